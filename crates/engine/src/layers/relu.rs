//! ReLU as a layer of its own.

use serde_json::{Map, Value as Json};

use super::{Call, Layer, WeightSpec, single_input};
use crate::error::Result;
use crate::program::{Pointwise, Tape, Value};
use crate::shape::Shape;

/// `y = max(x, 0)` ([`keras.layers.ReLU`](https://keras.io/api/layers/activation_layers/relu/) with its
/// defaults).
///
/// # Shapes
/// * input and output `(batch, steps, channels)`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReLU;

impl Layer for ReLU {
    fn class_name(&self) -> &'static str {
        "ReLU"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        single_input(self, inputs)
    }

    fn weights(&self, _: &[Shape]) -> Vec<WeightSpec> {
        vec![]
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        tape.map(call.x(), vec![Pointwise::Relu])
    }

    /// `dx = dy` where `x > 0`, which is where `y > 0`, else 0. Kept from the forward pass: `y`.
    fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value) {
        if tape.needs_gradient(call.x()) {
            let dx = tape.map(dy, vec![Pointwise::ReluGate(y)]);
            tape.add_gradient(call.x(), dx);
        }
    }

    fn config(&self) -> Map<String, Json> {
        Map::from_iter([
            ("max_value".into(), Json::Null),
            ("negative_slope".into(), 0.0.into()),
            ("threshold".into(), 0.0.into()),
        ])
    }
}
