//! Keras's JSON: what `model.to_json()` of Keras 3 writes and `keras.models.model_from_json` reads.
//!
//! Reading is strict. An argument that would change what is computed and that the engine does not have
//! is refused by name, and so is one that nobody here has heard of, unless it is null.

mod near;
mod write;

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::Sequential;
use crate::error::{Error, Result};
use crate::geometry::Padding;
use crate::layers::{Activation, Conv1D, Conv1DTranspose, Dropout, Layer, ReLU};
use crate::shape::Shape;
use near::{misspelt, respelt};

pub(super) use write::write;

/// The layers that there are.
const CLASSES: [&str; 4] = ["Conv1D", "Conv1DTranspose", "Dropout", "ReLU"];

/// What is wrong with a text, without the line and column that `serde_json` ends its message with.
fn without_place(error: &serde_json::Error) -> String {
    let (text, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    text.strip_suffix(&place).map(str::to_owned).unwrap_or(text)
}

pub(super) fn read(text: &str, steps: Option<usize>) -> Result<Sequential> {
    let document: Json = serde_json::from_str(text).map_err(|error| Error::Architecture {
        place: format!("line {}, column {}", error.line(), error.column()),
        expected: "the JSON that model.to_json() of Keras 3 writes".into(),
        found: without_place(&error),
    })?;
    let mut model = Object::new("the model", document)?;
    let class = model.text("class_name")?;
    if class != "Sequential" {
        return Err(Error::Unsupported {
            place: "the model".into(),
            feature: format!("class_name {class}"),
            instead: "a Sequential model is".into(),
        });
    }
    let mut config = model.object("config")?;
    let name = config.text("name")?;
    config.require_float32()?;
    let Json::Array(layers) = config.take("layers")? else {
        return Err(config.wrong("layers", "an array of layers", "something else"));
    };
    let build_shape = config.take("build_input_shape").ok();
    let mut entries = vec![];
    for (index, layer) in layers.into_iter().enumerate() {
        let mut layer = Object::new(&format!("layer {index}"), layer)?;
        let class = layer.text("class_name")?;
        let config = layer.object("config")?;
        entries.push((class, config));
    }
    let mut shape = build_shape;
    if let Some((class, config)) = entries.first_mut()
        && class == "InputLayer"
    {
        let batch_shape = config.take("batch_shape").or_else(|_| config.take("batch_input_shape"));
        shape = Some(batch_shape.map_err(|_| config.missing("batch_shape"))?);
        let dtype = config.take("dtype")?;
        config.require_dtype(&dtype)?;
        entries.remove(0);
    }
    // Layers first: a model of images should hear of Conv2D, not of the shape that goes with it.
    let layers = entries.into_iter().map(|(class, config)| read_layer(&class, config));
    let layers = layers.collect::<Result<Vec<_>>>()?;
    let mut model = Sequential::new(input_shape(shape.as_ref(), steps)?).named(name);
    for (name, layer) in layers {
        model.add_named(name, layer)?;
    }
    Ok(model)
}

/// `[null, 288, 1]`: batch, steps, channels. Where the model leaves the steps open, the caller gives them.
fn input_shape(batch_shape: Option<&Json>, steps: Option<usize>) -> Result<Shape> {
    let refused = |found: String, expected: &str| Error::Architecture {
        place: "the model's input, batch_shape".into(),
        expected: expected.into(),
        found,
    };
    let usual = "[null, steps, channels]";
    let Some(batch_shape) = batch_shape else {
        return Err(refused("a model that was never built".into(), "an InputLayer or build_input_shape"));
    };
    let axes = batch_shape.as_array().filter(|axes| axes.len() == 3);
    let Some([_, model_steps, channels]) = axes.map(Vec::as_slice) else {
        return Err(refused(batch_shape.to_string(), usual));
    };
    let axis = |axis: &Json| axis.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let Some(channels) = axis(channels) else { return Err(refused(batch_shape.to_string(), usual)) };
    match (axis(model_steps), steps) {
        (Some(model_steps), None) => Ok(Shape::new(model_steps, channels)),
        (Some(model_steps), Some(steps)) if model_steps == steps => Ok(Shape::new(steps, channels)),
        (Some(_), Some(steps)) => Err(refused(batch_shape.to_string(), &format!("{steps} steps, or null"))),
        (None, Some(steps)) if model_steps.is_null() && steps > 0 => Ok(Shape::new(steps, channels)),
        (None, _) => {
            Err(refused(batch_shape.to_string(), "a number of steps, since none is given otherwise"))
        }
    }
}

fn read_layer(class: &str, mut config: Object) -> Result<(String, Arc<dyn Layer>)> {
    let name = config.text("name")?;
    config.place = format!("{name} ({class})");
    let layer: Arc<dyn Layer> = match class {
        "Conv1D" => {
            let layer = Conv1D {
                filters: config.integer("filters")?,
                kernel_size: config.single("kernel_size")?,
                strides: config.single("strides")?,
                padding: config.padding(&[Padding::Valid, Padding::Same, Padding::Causal])?,
                dilation_rate: config.single("dilation_rate")?,
                activation: config.activation()?,
                use_bias: config.flag("use_bias")?,
            };
            config.only("groups", &json!(1))?;
            config.convolution()?;
            Arc::new(layer)
        }
        "Conv1DTranspose" => {
            let layer = Conv1DTranspose {
                filters: config.integer("filters")?,
                kernel_size: config.single("kernel_size")?,
                strides: config.single("strides")?,
                padding: config.padding(&[Padding::Valid, Padding::Same])?,
                activation: config.activation()?,
                use_bias: config.flag("use_bias")?,
            };
            let dilation_rate = config.single("dilation_rate")?;
            if dilation_rate != 1 {
                return Err(config.unsupported("dilation_rate", &json!(dilation_rate), "1 is"));
            }
            config.only("output_padding", &Json::Null)?;
            config.convolution()?;
            Arc::new(layer)
        }
        "Dropout" => {
            let rate = config.number("rate")?;
            // Masks are drawn from the run's own seed.
            config.take("seed").ok();
            config.only("noise_shape", &Json::Null)?;
            Arc::new(Dropout { rate })
        }
        "ReLU" => {
            config.only("max_value", &Json::Null)?;
            for argument in ["negative_slope", "threshold"] {
                let value = config.take(argument).unwrap_or(json!(0.0));
                if value.as_f64() != Some(0.0) {
                    return Err(config.unsupported(argument, &value, "0 is"));
                }
            }
            Arc::new(ReLU)
        }
        other => {
            return Err(Error::Unsupported {
                place: format!("layer {name}"),
                feature: format!("class {other}"),
                instead: format!("{} and ReLU are{}", CLASSES[..3].join(", "), respelt(other, &CLASSES)),
            });
        }
    };
    config.require_float32()?;
    let trainable = config.take("trainable").unwrap_or(json!(true));
    if trainable != json!(true) {
        return Err(config.unsupported("trainable", &trainable, "true is"));
    }
    config.finish()?;
    Ok((name, layer))
}

/// A JSON object whose entries are taken one by one: what is left in the end is what nobody read.
struct Object {
    place: String,
    entries: Map<String, Json>,
}

impl Object {
    fn new(place: &str, value: Json) -> Result<Self> {
        match value {
            Json::Object(entries) => Ok(Self { place: place.into(), entries }),
            other => Err(Error::Architecture {
                place: place.into(),
                expected: "a JSON object".into(),
                found: abridged(&other),
            }),
        }
    }

    fn take(&mut self, key: &str) -> Result<Json> {
        self.entries.remove(key).ok_or_else(|| self.missing(key))
    }

    fn object(&mut self, key: &str) -> Result<Self> {
        let value = self.take(key)?;
        Self::new(&format!("{}, {key}", self.place), value)
    }

    fn text(&mut self, key: &str) -> Result<String> {
        match self.take(key)? {
            Json::String(text) => Ok(text),
            other => Err(self.wrong(key, "a string", &abridged(&other))),
        }
    }

    fn flag(&mut self, key: &str) -> Result<bool> {
        let value = self.take(key)?;
        value.as_bool().ok_or_else(|| self.wrong(key, "true or false", &abridged(&value)))
    }

    fn number(&mut self, key: &str) -> Result<f64> {
        let value = self.take(key)?;
        value.as_f64().ok_or_else(|| self.wrong(key, "a number", &abridged(&value)))
    }

    fn integer(&mut self, key: &str) -> Result<usize> {
        let value = self.take(key)?;
        self.as_integer(key, &value)
    }

    /// `[7]` or `7`.
    fn single(&mut self, key: &str) -> Result<usize> {
        let value = self.take(key)?;
        match value.as_array().map(Vec::as_slice) {
            Some([only]) => self.as_integer(key, only),
            Some(_) => Err(self.wrong(key, "one number, for one dimension", &abridged(&value))),
            None => self.as_integer(key, &value),
        }
    }

    fn as_integer(&self, key: &str, value: &Json) -> Result<usize> {
        // Larger numbers could wrap in the arithmetic of lengths; no tensor has room for them.
        let integer = value.as_u64().filter(|n| *n <= u64::from(u32::MAX));
        integer
            .map(|n| n as usize)
            .ok_or_else(|| self.wrong(key, "a whole number, not negative", &abridged(value)))
    }

    fn padding(&mut self, supported: &[Padding]) -> Result<Padding> {
        let name = self.text("padding")?;
        supported.iter().find(|padding| padding.name() == name).copied().ok_or_else(|| {
            let names: Vec<_> = supported.iter().map(|padding| padding.name()).collect();
            self.wrong("padding", &names.join(" or "), &format!("{name}{}", respelt(&name, &names)))
        })
    }

    fn activation(&mut self) -> Result<Activation> {
        match self.take("activation")? {
            Json::Null => Ok(Activation::Linear),
            Json::String(name) if name == "linear" => Ok(Activation::Linear),
            Json::String(name) if name == "relu" => Ok(Activation::Relu),
            other => {
                let meant = respelt(other.as_str().unwrap_or_default(), &["linear", "relu"]);
                Err(self.unsupported("activation", &other, &format!("linear and relu are{meant}")))
            }
        }
    }

    /// What Conv1D and Conv1DTranspose share and the engine has one form of.
    fn convolution(&mut self) -> Result<()> {
        self.only("data_format", &json!("channels_last"))?;
        self.initializer("kernel_initializer", "GlorotUniform")?;
        self.initializer("bias_initializer", "Zeros")?;
        for argument in [
            "kernel_regularizer",
            "bias_regularizer",
            "activity_regularizer",
            "kernel_constraint",
            "bias_constraint",
        ] {
            self.only(argument, &Json::Null)?;
        }
        Ok(())
    }

    /// An initialiser is written as an object with its class, or as its name.
    fn initializer(&mut self, key: &str, supported: &str) -> Result<()> {
        let Ok(value) = self.take(key) else { return Ok(()) };
        let class = value.get("class_name").unwrap_or(&value).as_str().unwrap_or_default().to_string();
        let plain = |name: &str| name.replace('_', "").to_lowercase();
        match plain(&class) == plain(supported) {
            true => Ok(()),
            false => Err(self.unsupported(key, &value, &format!("{supported} is"))),
        }
    }

    /// An argument that has one supported value; where it is absent it has that value.
    fn only(&mut self, key: &str, supported: &Json) -> Result<()> {
        match self.take(key) {
            Ok(value) if value != *supported => {
                Err(self.unsupported(key, &value, &format!("{} is", abridged(supported))))
            }
            _ => Ok(()),
        }
    }

    fn require_float32(&mut self) -> Result<()> {
        match self.take("dtype") {
            Ok(dtype) => self.require_dtype(&dtype),
            Err(_) => Ok(()),
        }
    }

    /// `"float32"`, or the policy of that name.
    fn require_dtype(&self, dtype: &Json) -> Result<()> {
        let name = dtype.pointer("/config/name").unwrap_or(dtype);
        match name {
            Json::Null => Ok(()),
            Json::String(name) if name == "float32" => Ok(()),
            other => Err(self.unsupported("dtype", other, "float32 is")),
        }
    }

    /// What was not read must not matter.
    fn finish(self) -> Result<()> {
        match self.entries.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((key, value)) => Err(self.unsupported(key, value, "leaving it out is")),
        }
    }

    fn unsupported(&self, key: &str, value: &Json, instead: &str) -> Error {
        Error::Unsupported {
            place: self.place.clone(),
            feature: format!("{key} {}", abridged(value)),
            instead: instead.into(),
        }
    }

    fn wrong(&self, key: &str, expected: &str, found: &str) -> Error {
        Error::Architecture {
            place: format!("{}, {key}", self.place),
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn missing(&self, key: &str) -> Error {
        let found = match misspelt(key, self.entries.keys()) {
            None => "none".into(),
            Some(other) => format!("none; did you mean `{key}` where it has `{other}`?"),
        };
        self.wrong(key, "a value", &found)
    }
}

/// A JSON value short enough for an error message.
fn abridged(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(120) {
        None => text,
        Some((at, _)) => format!("{}...", &text[..at]),
    }
}
