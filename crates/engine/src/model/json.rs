//! Keras's JSON: what `model.to_json()` of Keras 3 writes and `keras.models.model_from_json` reads.
//!
//! Reading is strict. It refuses classes that are not Keras's own or registered, arguments that would change the
//! computation in a way that the engine does not support, and unknown arguments. An absent argument has Keras's
//! default.

mod compile;
mod functional;
mod write;

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::network::{Kind, Network};
use super::sequential::Sequential;
use crate::error::{Error, Result};
use crate::layers::config::{Class, abridged};
use crate::layers::{Config, Layer, Registry};
use crate::shape::Shape;

pub use compile::Compilation;
pub(super) use compile::{read as read_compilation, write as write_compilation};
pub(super) use write::write;
pub(crate) use write::write_layer;

/// The message of a JSON error without the line and column that `serde_json` appends.
fn without_place(error: &serde_json::Error) -> String {
    let (text, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    text.strip_suffix(&place).map(str::to_owned).unwrap_or(text)
}

pub(super) fn read(text: &str, steps: Option<usize>, registry: &Registry) -> Result<Network> {
    let document: Json = serde_json::from_str(text).map_err(|error| Error::Architecture {
        place: format!("line {}, column {}", error.line(), error.column()),
        expected: "the JSON that model.to_json() of Keras 3 writes".into(),
        found: without_place(&error),
    })?;
    let mut model = Config::new("the model", document)?;
    let class = model.class()?;
    let mut network = match model_class(&class) {
        Some(kind) => read_network(kind, model.object("config")?, steps, registry)?,
        None if class.is_in(MODULES) => {
            let instead = "Sequential and Functional are";
            return Err(model.unsupported("class_name", &class.name.as_str().into(), instead));
        }
        None => return Err(class.unknown(MODULES[0])),
    };
    network.compile_config = compile_config(&mut model)?;
    Ok(network)
}

/// The modules of Keras's models.
const MODULES: &[&str] = &["keras", "keras.models", "keras.src.models.functional"];

/// The kind of model that a class is, if it is one of Keras's two.
fn model_class(class: &Class) -> Option<Kind> {
    match class.name.as_str() {
        _ if !class.is_in(MODULES) => None,
        "Sequential" => Some(Kind::Sequential),
        "Functional" => Some(Kind::Functional),
        _ => None,
    }
}

fn read_network(
    kind: Kind,
    mut config: Config,
    steps: Option<usize>,
    registry: &Registry,
) -> Result<Network> {
    let name = config.name()?;
    config.require_float32()?;
    config.only("trainable", &json!(true))?;
    let Json::Array(layers) = config.take("layers")? else {
        return Err(config.wrong("layers", "an array of layers", "something else"));
    };
    let mut network = match kind {
        Kind::Sequential => read_sequential(config, layers, steps, registry)?,
        Kind::Functional => functional::read(config, layers, steps, registry)?,
    };
    if let Some(name) = name {
        network.name = name;
    }
    Ok(network)
}

fn read_sequential(
    mut config: Config,
    layers: Vec<Json>,
    steps: Option<usize>,
    registry: &Registry,
) -> Result<Network> {
    let build_shape = config.find_some("build_input_shape");
    let mut entries = vec![];
    for (index, layer) in layers.into_iter().enumerate() {
        let mut layer = Config::new(&format!("layer {index}"), layer)?;
        let class = layer.class()?;
        let config = layer.object("config")?;
        entries.push((class, config));
    }
    let (mut shape, mut input) = (build_shape, None);
    if entries.first().is_some_and(|(class, _)| class.is_built_in("InputLayer")) {
        let (_, config) = entries.remove(0);
        let (name, batch_shape) = batch_shape(config)?;
        (shape, input) = (Some(batch_shape), name);
    }
    // Layers are read first, so that a model of images is refused for its Conv2D and not for its input shape.
    let layers = entries.into_iter().map(|(class, config)| read_layer(&class, config, registry));
    let layers = layers.collect::<Result<Vec<_>>>()?;
    let mut sequential = Sequential::new(input_shape("the model's input", shape.as_ref(), steps)?);
    if let Some(name) = input {
        sequential = sequential.input_named(name);
    }
    for (name, layer) in layers {
        let name = name.unwrap_or_else(|| sequential.default_name(layer.class_name()));
        sequential.add_named(name, layer)?;
    }
    Ok(sequential.into())
}

/// Reads a layer, which may be a model, and its name, if it has one.
fn read_layer(
    class: &Class,
    config: Config,
    registry: &Registry,
) -> Result<(Option<String>, Arc<dyn Layer>)> {
    match model_class(class) {
        None => registry.read(class, config),
        Some(kind) => {
            let network = read_network(kind, config, None, registry)?;
            Ok((Some(network.name.clone()), Arc::new(network)))
        }
    }
}

/// Takes the arguments that the model was compiled with, if it was.
fn compile_config(model: &mut Config) -> Result<Map<String, Json>> {
    match model.find_some("compile_config") {
        None => Ok(Map::new()),
        Some(config) => Ok(Config::new("compile_config", config)?.entries),
    }
}

/// Takes the name and the shape of an `InputLayer`, with the batch in front.
fn batch_shape(mut config: Config) -> Result<(Option<String>, Json)> {
    let shape = config.find_some("batch_shape").or_else(|| config.find_some("batch_input_shape"));
    let shape = shape.ok_or_else(|| config.missing("batch_shape"))?;
    config.require_float32()?;
    for argument in ["sparse", "ragged"] {
        if let Some(value) = config.find_some(argument).filter(|value| *value != json!(false)) {
            return Err(config.unsupported(argument, &value, "false is"));
        }
    }
    // Changes no computation.
    config.find("optional");
    let name = config.name()?;
    config.finish()?;
    Ok((name, shape))
}

/// Reads an input shape, `[null, 288, 1]` (batch, steps, channels) or `[null, 32]` (batch, units). If the steps are
/// null, `steps` gives their number.
fn input_shape(input: &str, batch_shape: Option<&Json>, steps: Option<usize>) -> Result<Shape> {
    let refused = |found: String, expected: &str| Error::Architecture {
        place: format!("{input}, batch_shape"),
        expected: expected.into(),
        found,
    };
    let usual = "[null, steps, channels] or [null, units]";
    let Some(batch_shape) = batch_shape else {
        return Err(refused("a model that was never built".into(), "an InputLayer or build_input_shape"));
    };
    let unusual = || refused(abridged(batch_shape), usual);
    let axis = |axis: &Json| axis.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let (model_steps, channels) = match batch_shape.as_array().map(Vec::as_slice) {
        Some([_, units]) => return axis(units).map(Shape::units).ok_or_else(unusual),
        Some([_, model_steps, channels]) => (model_steps, axis(channels).ok_or_else(unusual)?),
        _ => return Err(unusual()),
    };
    match (axis(model_steps), steps) {
        (Some(model_steps), None) => Ok(Shape::new(model_steps, channels)),
        (Some(model_steps), Some(steps)) if model_steps == steps => Ok(Shape::new(steps, channels)),
        (Some(_), Some(steps)) => Err(refused(abridged(batch_shape), &format!("{steps} steps, or null"))),
        (None, Some(steps)) if model_steps.is_null() && steps > 0 => Ok(Shape::new(steps, channels)),
        (None, _) => Err(refused(abridged(batch_shape), "a number of steps, since none is given otherwise")),
    }
}
