//! Layers, from their `class_name` and `config`.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::near::respelt;
use super::object::Object;
use crate::error::{Error, Result};
use crate::geometry::Padding;
use crate::layers::{Conv1D, Conv1DTranspose, Dropout, Layer, ReLU};
use crate::text::excerpt;

/// The layers that there are.
const CLASSES: [&str; 4] = ["Conv1D", "Conv1DTranspose", "Dropout", "ReLU"];

/// Reads a layer and the name that it has, if it has one. Arguments that are absent have Keras's defaults.
pub(super) fn read(class: &str, mut config: Object) -> Result<(Option<String>, Arc<dyn Layer>)> {
    let name = config.name()?;
    if let Some(name) = &name {
        config.place = format!("{} ({})", excerpt(name), excerpt(class));
    }
    let layer: Arc<dyn Layer> = match class {
        "Conv1D" => {
            let layer = Conv1D {
                filters: config.integer("filters")?,
                kernel_size: config.single("kernel_size")?,
                strides: config.single_or_1("strides")?,
                padding: config.padding(&[Padding::Valid, Padding::Same, Padding::Causal])?,
                dilation_rate: config.single_or_1("dilation_rate")?,
                activation: config.activation()?,
                use_bias: config.flag("use_bias")?,
            };
            config.only("groups", &json!(1))?;
            config.only("lora_rank", &Json::Null)?;
            config.only("lora_alpha", &Json::Null)?;
            convolution(&mut config, layer.use_bias)?;
            Arc::new(layer)
        }
        "Conv1DTranspose" => {
            let layer = Conv1DTranspose {
                filters: config.integer("filters")?,
                kernel_size: config.single("kernel_size")?,
                strides: config.single_or_1("strides")?,
                padding: config.padding(&[Padding::Valid, Padding::Same])?,
                activation: config.activation()?,
                use_bias: config.flag("use_bias")?,
            };
            let dilation_rate = config.single_or_1("dilation_rate")?;
            if dilation_rate != 1 {
                return Err(config.unsupported("dilation_rate", &json!(dilation_rate), "1 is"));
            }
            config.only("output_padding", &Json::Null)?;
            convolution(&mut config, layer.use_bias)?;
            Arc::new(layer)
        }
        "Dropout" => {
            let rate = config.number("rate")?;
            // Masks are drawn from the run's own seed.
            config.find("seed");
            config.only("noise_shape", &Json::Null)?;
            Arc::new(Dropout { rate })
        }
        "ReLU" => {
            config.only("max_value", &Json::Null)?;
            for argument in ["negative_slope", "threshold"] {
                let value = config.find(argument).unwrap_or(json!(0.0));
                if value.as_f64() != Some(0.0) {
                    return Err(config.unsupported(argument, &value, "0 is"));
                }
            }
            Arc::new(ReLU)
        }
        other => {
            return Err(Error::Unsupported {
                place: name.map_or(config.place, |name| format!("layer {}", excerpt(&name))),
                feature: format!("class {}", excerpt(other)),
                instead: format!("{} and ReLU are{}", CLASSES[..3].join(", "), respelt(other, &CLASSES)),
            });
        }
    };
    config.only("activity_regularizer", &Json::Null)?;
    config.require_float32()?;
    config.only("trainable", &json!(true))?;
    config.finish()?;
    Ok((name, layer))
}

/// What Conv1D and Conv1DTranspose share and the engine has one form of.
fn convolution(config: &mut Object, use_bias: bool) -> Result<()> {
    if let Some(format) = config.find_some("data_format")
        && format.as_str().map(str::to_lowercase).as_deref() != Some("channels_last")
    {
        return Err(config.unsupported("data_format", &format, "channels_last is"));
    }
    // Where an initialiser is null, Keras takes Glorot's: for the bias too.
    if config.entries.get("bias_initializer").is_some_and(Json::is_null) && use_bias {
        return Err(config.unsupported("bias_initializer", &Json::Null, "Zeros is"));
    }
    initializer(config, "kernel_initializer", &["GlorotUniform", "glorot_uniform"])?;
    initializer(config, "bias_initializer", &["Zeros", "zeros", "zero"])?;
    for argument in ["kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint"] {
        config.only(argument, &Json::Null)?;
    }
    Ok(())
}

/// Refuses an initialiser other than the one that has these names. It is written as an object with its class, or as
/// its name; null is left to the caller.
fn initializer(config: &mut Object, key: &str, names: &[&str]) -> Result<()> {
    let Some(value) = config.find_some(key) else { return Ok(()) };
    let place = format!("{}, {key}", config.place);
    let class = match &value {
        Json::Object(_) => {
            let mut object = Object::new(&place, value.clone())?;
            let class = object.built_in_class(&["keras.initializers"])?;
            if names.contains(&class.as_str())
                && let Some(arguments) = object.find_some("config")
            {
                let mut arguments = Object::new(&place, arguments)?;
                // Weights are drawn from the run's own seed.
                arguments.find("seed");
                arguments.only("input_axes", &Json::Null)?;
                arguments.only("output_axes", &Json::Null)?;
                arguments.finish()?;
            }
            class
        }
        name => name.as_str().unwrap_or_default().to_owned(),
    };
    match names.contains(&class.as_str()) {
        true => Ok(()),
        false => Err(config.unsupported(key, &value, &format!("{} is", names[0]))),
    }
}
