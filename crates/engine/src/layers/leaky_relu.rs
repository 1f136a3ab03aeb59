//! The leaky ReLU as a separate layer.

use super::{Activation, Call, Config, FromConfig, KERAS, Layer, single_input};
use crate::error::Result;
use crate::program::{Tape, Value};
use crate::shape::Shape;

/// `y = x` where `x >= 0`, else `negative_slope x`
/// ([`keras.layers.LeakyReLU`](https://keras.io/api/layers/activation_layers/leaky_relu/);
/// Maas, Hannun and Ng, *Rectifier nonlinearities improve neural network acoustic models*, 2013).
///
/// # Shapes
/// * input and output `(batch, steps, channels)`
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeakyReLU {
    /// The slope below 0, not negative.
    pub negative_slope: f64,
}

impl LeakyReLU {
    /// Creates the layer with this slope; Keras's default is 0.3.
    #[must_use]
    pub fn new(negative_slope: f64) -> Self {
        Self { negative_slope }
    }
}

impl Default for LeakyReLU {
    fn default() -> Self {
        Self::new(0.3)
    }
}

impl From<LeakyReLU> for Activation {
    fn from(LeakyReLU { negative_slope }: LeakyReLU) -> Self {
        Self::LeakyRelu { negative_slope }
    }
}

impl Layer for LeakyReLU {
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

    /// `dx = dy` where `y > 0`, else `negative_slope dy`. Reads `y` of the forward pass.
    fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value) {
        Activation::from(*self).backward(tape, call, y, dy);
    }

    fn config(&self) -> Config {
        Config::default().with("negative_slope", self.negative_slope)
    }
}

impl FromConfig for LeakyReLU {
    const CLASS_NAME: &'static str = "LeakyReLU";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::default().negative_slope;
        Ok(Self::new(config.number_or("negative_slope", default)?))
    }
}
