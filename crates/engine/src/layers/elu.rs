//! The exponential linear unit as a separate layer.

use super::{Activation, Call, Config, FromConfig, KERAS, Layer, single_input};
use crate::error::Result;
use crate::program::{Tape, Value};
use crate::shape::Shape;

/// `y = x` where `x >= 0`, else `alpha (exp(x) - 1)`
/// ([`keras.layers.ELU`](https://keras.io/api/layers/activation_layers/elu/);
/// Clevert, Unterthiner and Hochreiter, [2016](https://arxiv.org/abs/1511.07289)).
///
/// # Shapes
/// * input and output `(batch, steps, channels)`
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ELU {
    /// Minus the limit for small x, not negative.
    pub alpha: f64,
}

impl ELU {
    /// Creates the layer with this alpha; Keras's default is 1.
    #[must_use]
    pub fn new(alpha: f64) -> Self {
        Self { alpha }
    }
}

impl Default for ELU {
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl From<ELU> for Activation {
    fn from(ELU { alpha }: ELU) -> Self {
        Self::Elu { alpha }
    }
}

impl Layer for ELU {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        Activation::from(*self).validate(Self::CLASS_NAME)?;
        single_input(Self::CLASS_NAME, inputs)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        Activation::from(*self).forward(tape, call)
    }

    /// `dx = dy` where `y > 0`, else `dy (y + alpha)`. Reads `y` of the forward pass.
    fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value) {
        Activation::from(*self).backward(tape, call, y, dy);
    }

    fn config(&self) -> Config {
        Config::default().with("alpha", self.alpha)
    }
}

impl FromConfig for ELU {
    const CLASS_NAME: &'static str = "ELU";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::default().alpha;
        Ok(Self::new(config.number_or("alpha", default)?))
    }
}
