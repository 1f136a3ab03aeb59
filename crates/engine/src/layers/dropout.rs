//! Dropout of single elements, and of whole channels.

use serde_json::Value as Json;

use super::{Call, Config, FromConfig, KERAS, Layer, input_of_steps, single_input};
use crate::error::{Error, Result};
use crate::program::{Pointwise, Tape, Value};
use crate::shape::Shape;

/// Inverted dropout ([`keras.layers.Dropout`](https://keras.io/api/layers/regularization_layers/dropout/);
/// Srivastava et al., *Dropout: a simple way to prevent neural networks from overfitting*, 2014).
///
/// In training each element is zero with probability `rate` and `x / (1 - rate)` otherwise, so that its
/// expectation is `x`; in inference it is `x`.
///
/// # Shapes
/// * input and output `(batch, steps, channels)`
#[derive(Debug, Clone, PartialEq)]
pub struct Dropout {
    /// The fraction of elements to drop, in [0, 1).
    pub rate: f64,
}

impl Dropout {
    /// Creates a dropout layer with this rate.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }
}

/// Checks a rate.
fn require_rate(layer: &dyn Layer, rate: f64) -> Result<()> {
    if (0.0..1.0).contains(&rate) {
        return Ok(());
    }
    Err(Error::Argument {
        layer: layer.class_name().into(),
        argument: "rate".into(),
        found: rate.to_string(),
        expected: "a number in [0, 1)".into(),
    })
}

impl Layer for Dropout {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        require_rate(self, self.rate)?;
        single_input(Self::CLASS_NAME, inputs)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let x = call.x();
        if !tape.training() || self.rate == 0.0 {
            return x;
        }
        let mask = tape.draw(self.rate, tape.shape(x).len());
        tape.map(x, vec![Pointwise::Dropout(mask)])
    }

    /// `dx = dy / (1 - rate)` where the forward pass kept the element, else 0. Reads the mask of the forward pass, one
    /// bit per element.
    fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value) {
        let x = call.x();
        if x == y || !tape.needs_gradient(x) {
            return;
        }
        let mask = tape.mask_of(y).expect("the forward pass drew a mask");
        let dx = tape.map(dy, vec![Pointwise::Dropout(mask)]);
        tape.add_gradient(x, dx);
    }

    fn acts_on_steps(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        Config::default().with("rate", self.rate).with("seed", Json::Null).with("noise_shape", Json::Null)
    }
}

impl FromConfig for Dropout {
    const CLASS_NAME: &'static str = "Dropout";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let rate = config.number("rate")?;
        // The seed is ignored: masks are drawn from the seed of the run.
        config.find("seed");
        config.only("noise_shape", &Json::Null)?;
        Ok(Self { rate })
    }
}

/// Inverted dropout of whole channels
/// ([`keras.layers.SpatialDropout1D`](https://keras.io/api/layers/regularization_layers/spatial_dropout1d/);
/// Tompson et al., [2015](https://arxiv.org/abs/1411.4280)).
///
/// In training each channel is zero at all steps with probability `rate` and `x / (1 - rate)` otherwise; in inference
/// it is `x`.
///
/// # Shapes
/// * input and output `(batch, steps, channels)`
#[derive(Debug, Clone, PartialEq)]
pub struct SpatialDropout1D {
    /// The fraction of channels to drop, in [0, 1).
    pub rate: f64,
}

impl SpatialDropout1D {
    /// Creates the layer with this rate.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }
}

impl Layer for SpatialDropout1D {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        require_rate(self, self.rate)?;
        input_of_steps(self, inputs)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let x = call.x();
        if !tape.training() || self.rate == 0.0 {
            return x;
        }
        let mask = tape.draw_channels(self.rate, tape.shape(x));
        tape.map(x, vec![Pointwise::Dropout(mask)])
    }

    fn config(&self) -> Config {
        Config::default().with("rate", self.rate).with("seed", Json::Null)
    }
}

impl FromConfig for SpatialDropout1D {
    const CLASS_NAME: &'static str = "SpatialDropout1D";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let rate = config.number("rate")?;
        // As in Dropout.
        config.find("seed");
        // Keras's class does not take what all others do.
        for argument in ["trainable", "activity_regularizer"] {
            if let Some(value) = config.find(argument) {
                return Err(config.unsupported(argument, &value, "leaving it out is, as in Keras,"));
            }
        }
        Ok(Self { rate })
    }
}
