//! ReLU as a separate layer.

use serde_json::{Value as Json, json};

use super::{Activation, Call, Config, FromConfig, KERAS, Layer};
use crate::error::Result;
use crate::program::{Tape, Value};

/// `y = max(x, 0)` ([`keras.layers.ReLU`](https://keras.io/api/layers/activation_layers/relu/) with its
/// defaults).
///
/// # Shapes
/// * input and output `(batch, steps, channels)`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReLU;

impl Layer for ReLU {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        Activation::Relu.forward(tape, call)
    }

    /// `dx = dy` where `x > 0` (equivalently, where `y > 0`), else 0. Reads `y` of the forward pass.
    fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value) {
        Activation::Relu.backward(tape, call, y, dy);
    }

    fn acts_on_steps(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        Config::default().with("max_value", Json::Null).with("negative_slope", 0.0).with("threshold", 0.0)
    }
}

impl FromConfig for ReLU {
    const CLASS_NAME: &'static str = "ReLU";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        config.only("max_value", &Json::Null)?;
        for argument in ["negative_slope", "threshold"] {
            let value = config.find(argument).unwrap_or(json!(0.0));
            if value.as_f64() != Some(0.0) {
                return Err(config.unsupported(argument, &value, "0 is"));
            }
        }
        Ok(Self)
    }
}
