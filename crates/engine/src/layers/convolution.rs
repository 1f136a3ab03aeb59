//! Code that Conv1D, Conv1DTranspose and Dense share, besides the three contractions.

use serde_json::Value as Json;

use super::{Activation, Call, Config, Layer, WeightSpec};
use crate::error::{Error, Result};
use crate::geometry::{Geometry, GeometrySpec};
use crate::initializers::Initializer;
use crate::program::{Pointwise, Tape, Value};
use crate::shape::Shape;

/// Builds the geometry of a layer whose arguments are in range. `spec` is `None` if its numbers overflow.
///
/// # Errors
/// If the input is empty, or the numbers are too large.
pub(super) fn geometry(layer: &dyn Layer, input: Shape, spec: Option<GeometrySpec>) -> Result<Geometry> {
    let geometry = spec.and_then(|spec| Geometry::new(spec).ok());
    geometry.ok_or_else(|| Error::Input {
        layer: layer.class_name().into(),
        input,
        problem: if input.is_empty() {
            "it has no values".into()
        } else {
            "the padded input, the kernel or the output is larger than any memory; lower the steps of the \
             input, or the layer's filters, kernel_size, strides or dilation_rate"
                .into()
        },
    })
}

/// The weights of the layer: the kernel of A, and a bias of `filters` values if there is one.
pub(super) fn weights(geometry: &Geometry, filters: usize, use_bias: bool) -> Vec<WeightSpec> {
    let kernel = WeightSpec::new("kernel", geometry.kernel().to_vec(), Initializer::GlorotUniform);
    let bias = WeightSpec::new("bias", vec![filters], Initializer::Zeros);
    std::iter::once(kernel).chain(use_bias.then_some(bias)).collect()
}

/// Records `activation(v + bias)` of a contraction's result v. The bias is the second weight of the call, if the layer
/// has one.
pub(super) fn forward(
    tape: &mut Tape,
    call: &Call,
    activation: Activation,
    contraction: impl FnOnce(&mut Tape, Vec<Pointwise>) -> Value,
) -> Value {
    let bias = call.weights.get(1).map(|bias| Pointwise::AddBias(*bias));
    let function = (activation != Activation::Linear).then_some(Pointwise::Activation(activation));
    contraction(tape, bias.into_iter().chain(function).collect())
}

/// Adds the arguments of which the engine supports one value only.
pub(super) fn with_fixed_arguments(config: Config) -> Config {
    with_constraints(with_initializers(config).with("activity_regularizer", Json::Null))
}

/// The first of these arguments.
pub(super) fn with_initializers(config: Config) -> Config {
    config
        .with("kernel_initializer", Initializer::GlorotUniform.config())
        .with("bias_initializer", Initializer::Zeros.config())
        .with("kernel_regularizer", Json::Null)
        .with("bias_regularizer", Json::Null)
}

/// The last of these arguments.
pub(super) fn with_constraints(config: Config) -> Config {
    config.with("kernel_constraint", Json::Null).with("bias_constraint", Json::Null)
}

/// Takes the arguments of [`with_fixed_arguments`] and refuses unsupported values.
pub(super) fn take_fixed_arguments(config: &mut Config, use_bias: bool) -> Result<()> {
    // If an initialiser is null, Keras uses Glorot's, also for the bias.
    initializer(config, "kernel_initializer", &["GlorotUniform", "glorot_uniform"], false)?;
    initializer(config, "bias_initializer", &["Zeros", "zeros", "zero"], use_bias)?;
    for argument in ["kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint"] {
        config.only(argument, &Json::Null)?;
    }
    Ok(())
}

/// Refuses an initialiser that is not the one with these names. It may be an object with a class, or a name; null is
/// accepted unless `required`.
pub(super) fn initializer(config: &mut Config, key: &str, names: &[&str], required: bool) -> Result<()> {
    if required && config.entries.get(key).is_some_and(Json::is_null) {
        return Err(config.unsupported(key, &Json::Null, &format!("{} is", names[0])));
    }
    let Some(value) = config.find_some(key) else { return Ok(()) };
    let place = format!("{}, {key}", config.place);
    let class = match &value {
        Json::Object(_) => {
            let mut object = Config::new(&place, value.clone())?;
            let class = object.built_in_class(&["keras.initializers"])?;
            if names.contains(&class.as_str())
                && let Some(arguments) = object.find_some("config")
            {
                let mut arguments = Config::new(&place, arguments)?;
                // The seed is ignored: weights are drawn from the seed of the run.
                arguments.find("seed");
                if class == Initializer::Orthogonal.name() && arguments.number_or("gain", 1.0)? != 1.0 {
                    return Err(config.unsupported(key, &value, "a gain of 1 is"));
                }
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
