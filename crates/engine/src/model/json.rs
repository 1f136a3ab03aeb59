//! Keras's JSON: what `model.to_json()` of Keras 3 writes and `keras.models.model_from_json` reads.
//!
//! Reading is strict. It refuses classes that are not Keras's own or registered, arguments that would change the
//! computation in a way that the engine does not support, and unknown arguments. An absent argument has Keras's
//! default.

mod compile;
mod write;

use serde_json::{Map, Value as Json, json};

use super::Sequential;
use crate::error::{Error, Result};
use crate::layers::config::abridged;
use crate::layers::{Config, Registry};
use crate::shape::Shape;

pub use compile::Compilation;
pub(super) use compile::read as read_compilation;
pub(super) use write::write;
pub(crate) use write::write_layer;

/// The message of a JSON error without the line and column that `serde_json` appends.
fn without_place(error: &serde_json::Error) -> String {
    let (text, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    text.strip_suffix(&place).map(str::to_owned).unwrap_or(text)
}

pub(super) fn read(text: &str, steps: Option<usize>, registry: &Registry) -> Result<Sequential> {
    let document: Json = serde_json::from_str(text).map_err(|error| Error::Architecture {
        place: format!("line {}, column {}", error.line(), error.column()),
        expected: "the JSON that model.to_json() of Keras 3 writes".into(),
        found: without_place(&error),
    })?;
    let mut model = Config::new("the model", document)?;
    let class = model.built_in_class(&["keras", "keras.models"])?;
    if class != "Sequential" {
        return Err(model.unsupported("class_name", &class.into(), "Sequential is"));
    }
    let mut config = model.object("config")?;
    let name = config.name()?;
    config.require_float32()?;
    let Json::Array(layers) = config.take("layers")? else {
        return Err(config.wrong("layers", "an array of layers", "something else"));
    };
    let build_shape = config.find_some("build_input_shape");
    let mut entries = vec![];
    for (index, layer) in layers.into_iter().enumerate() {
        let mut layer = Config::new(&format!("layer {index}"), layer)?;
        let class = layer.class()?;
        let config = layer.object("config")?;
        entries.push((class, config));
    }
    let mut shape = build_shape;
    if entries.first().is_some_and(|(class, _)| class.is_built_in("InputLayer")) {
        let (_, config) = entries.remove(0);
        shape = Some(batch_shape(config)?);
    }
    // Layers are read first, so that a model of images is refused for its Conv2D and not for its input shape.
    let layers = entries.into_iter().map(|(class, config)| registry.read(&class, config));
    let layers = layers.collect::<Result<Vec<_>>>()?;
    let mut sequential =
        Sequential::new(input_shape(shape.as_ref(), steps)?).compiled(compile_config(&mut model)?);
    if let Some(name) = name {
        sequential = sequential.named(name);
    }
    for (name, layer) in layers {
        let name = name.unwrap_or_else(|| sequential.default_name(layer.class_name()));
        sequential.add_named(name, layer)?;
    }
    Ok(sequential)
}

/// Takes the arguments that the model was compiled with, if it was.
fn compile_config(model: &mut Config) -> Result<Map<String, Json>> {
    match model.find_some("compile_config") {
        None => Ok(Map::new()),
        Some(config) => Ok(Config::new("compile_config", config)?.entries),
    }
}

/// Takes the shape of an `InputLayer`, with the batch in front.
fn batch_shape(mut config: Config) -> Result<Json> {
    let shape = config.find_some("batch_shape").or_else(|| config.find_some("batch_input_shape"));
    let shape = shape.ok_or_else(|| config.missing("batch_shape"))?;
    config.require_float32()?;
    for argument in ["sparse", "ragged"] {
        if let Some(value) = config.find_some(argument).filter(|value| *value != json!(false)) {
            return Err(config.unsupported(argument, &value, "false is"));
        }
    }
    // Arguments that change no computation.
    for argument in ["optional", "name"] {
        config.find(argument);
    }
    config.finish()?;
    Ok(shape)
}

/// Reads an input shape, `[null, 288, 1]` (batch, steps, channels) or `[null, 32]` (batch, units). If the steps are
/// null, `steps` gives their number.
fn input_shape(batch_shape: Option<&Json>, steps: Option<usize>) -> Result<Shape> {
    let refused = |found: String, expected: &str| Error::Architecture {
        place: "the model's input, batch_shape".into(),
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
