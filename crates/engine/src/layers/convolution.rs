//! What Conv1D and Conv1DTranspose share beside the three contractions.

use serde_json::{Map, Value as Json, json};

use super::{Activation, Call, Layer, WeightSpec};
use crate::error::{Error, Result};
use crate::geometry::{Geometry, GeometrySpec};
use crate::initializers::Initializer;
use crate::program::Pointwise;
use crate::shape::Shape;

/// The geometry of a layer whose arguments are in their ranges.
///
/// # Errors
/// If the input is empty, or the numbers are too large, or could not even be computed.
pub(super) fn geometry(layer: &dyn Layer, input: Shape, spec: Option<GeometrySpec>) -> Result<Geometry> {
    let geometry = spec.and_then(|spec| Geometry::new(spec).ok());
    geometry.ok_or_else(|| Error::Input {
        layer: layer.class_name().into(),
        input,
        problem: if input.is_empty() {
            "it has no values".into()
        } else {
            "what the layer reads, its kernel or its output is larger than any memory; lower the steps of the \
             input, or the layer's filters, kernel_size, strides or dilation_rate"
                .into()
        },
    })
}

/// The kernel of A, and a bias of `filters` values if there is one.
pub(super) fn weights(geometry: &Geometry, filters: usize, use_bias: bool) -> Vec<WeightSpec> {
    let kernel = WeightSpec {
        name: "kernel",
        shape: geometry.kernel().to_vec(),
        initializer: Initializer::GlorotUniform,
    };
    let bias = WeightSpec { name: "bias", shape: vec![filters], initializer: Initializer::Zeros };
    std::iter::once(kernel).chain(use_bias.then_some(bias)).collect()
}

/// `activation(v + bias)`, the bias being the second weight of the call if it has one.
pub(super) fn epilogue(call: &Call, activation: Activation) -> Vec<Pointwise> {
    let bias = call.weights.get(1).map(|bias| Pointwise::AddBias(*bias));
    bias.into_iter().chain(activation.forward()).collect()
}

/// Adds to a layer's config the arguments that have one supported value.
pub(super) fn with_fixed_arguments(config: Json) -> Map<String, Json> {
    let fixed = json!({
        "kernel_initializer": Initializer::GlorotUniform.config(),
        "bias_initializer": Initializer::Zeros.config(),
        "kernel_regularizer": null,
        "bias_regularizer": null,
        "activity_regularizer": null,
        "kernel_constraint": null,
        "bias_constraint": null,
    });
    let entries = [config, fixed].into_iter().filter_map(|object| match object {
        Json::Object(entries) => Some(entries),
        _ => None,
    });
    entries.flatten().collect()
}
