//! An activation function as a separate layer.

use super::{Activation, Call, Config, FromConfig, KERAS, Layer, single_input};
use crate::error::Result;
use crate::program::{Tape, Value};
use crate::shape::Shape;

/// `y = activation(x)` ([`keras.layers.Activation`](https://keras.io/api/layers/core_layers/activation/)).
///
/// # Shapes
/// * input and output `(batch, steps, channels)`
///
/// ```
/// use glassbox_engine::layers::Activation;
/// use glassbox_engine::model::Sequential;
///
/// let mut model = Sequential::new((8, 1));
/// model.add(Activation::Tanh)?;
/// assert_eq!(model.layers()[0].name, "activation");
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
impl Layer for Activation {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.validate(Self::CLASS_NAME)?;
        single_input(Self::CLASS_NAME, inputs)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        tape.activation(call.x(), *self)
    }

    /// `dx = dy activation'`. Reads `y` of the forward pass, or `x`, whichever is the function's
    /// [`Residual`](crate::activations::Residual).
    fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value) {
        let x = call.x();
        if x == y || !tape.needs_gradient(x) {
            return;
        }
        let dx = tape.activation_gradient(*self, y, dy);
        tape.add_gradient(x, dx);
    }

    fn config(&self) -> Config {
        Config::default().with("activation", self.to_json())
    }
}

impl FromConfig for Activation {
    const CLASS_NAME: &'static str = "Activation";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        if !config.entries.contains_key("activation") {
            return Err(config.missing("activation"));
        }
        config.activation()
    }
}
