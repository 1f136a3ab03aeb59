//! Gated recurrent unit.

use super::recurrent::{self, Options, recurrent_layer};
use super::{Activation, Call, Config, FromConfig, KERAS, Layer, Recurrent, WeightSpec};
use crate::error::Result;
use crate::initializers::Initializer;
use crate::program::{Tape, Value};
use crate::recurrent::Kind;
use crate::shape::Shape;

/// Gated recurrent unit ([`keras.layers.GRU`](https://keras.io/api/layers/recurrent_layers/gru/)). The equations are in
/// [`recurrent`](crate::recurrent).
///
/// # Shapes
/// * input `(batch, steps, channels)`
/// * output `(batch, steps, units)` with `return_sequences`, else `(batch, units)`: the hidden state of the last step
/// * kernel `(channels, 3 units)`, recurrent kernel `(units, 3 units)`, bias `(2, 3 units)` with `reset_after`, else
///   `(3 units)`
///
/// ```
/// use glassbox_engine::layers::{GRU, Layer};
/// use glassbox_engine::shape::Shape;
///
/// let layer = GRU::new(16).return_sequences(true);
/// assert_eq!(layer.output_shape(&[Shape::new(288, 1)])?, Shape::new(288, 16));
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GRU {
    /// Length of the hidden state.
    pub units: usize,
    /// Function of the candidate.
    pub activation: Activation,
    /// Function of the update gate and the reset gate.
    pub recurrent_activation: Activation,
    /// If true, a bias is added.
    pub use_bias: bool,
    /// If true, the output is the hidden states of all steps, else that of the last.
    pub return_sequences: bool,
    /// If true, the steps are taken from the last to the first; the output is in this order too.
    pub go_backwards: bool,
    /// If true, the reset gate acts on the product with the recurrent kernel, else on the state.
    pub reset_after: bool,
}

impl GRU {
    /// Creates a layer with Keras's defaults: tanh and sigmoid, with bias, `reset_after`, only the last step is
    /// returned.
    #[must_use]
    pub fn new(units: usize) -> Self {
        Self {
            units,
            activation: Activation::Tanh,
            recurrent_activation: Activation::Sigmoid,
            use_bias: true,
            return_sequences: false,
            go_backwards: false,
            reset_after: true,
        }
    }

    /// Sets what the reset gate acts on.
    #[must_use]
    pub fn reset_after(self, reset_after: bool) -> Self {
        Self { reset_after, ..self }
    }
}

recurrent_layer!(GRU, layer => Kind::Gru { reset_after: layer.reset_after });

impl Layer for GRU {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        recurrent::output_shape(self, inputs, &self.cell(), self.return_sequences)
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        recurrent::weights(&self.cell(), inputs[0], self.use_bias.then_some(Initializer::Zeros))
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        recurrent::forward(tape, call, self.cell(), self.options())
    }

    fn recurrent(&self) -> Option<Recurrent> {
        Some(self.clone().into())
    }

    fn config(&self) -> Config {
        let config = recurrent::with_options(Config::default(), &self.cell(), self.options());
        recurrent::with_fixed_arguments(config).with("reset_after", self.reset_after)
    }
}

impl FromConfig for GRU {
    const CLASS_NAME: &'static str = "GRU";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let (units, [activation, recurrent_activation], options) = recurrent::take(config)?;
        let Options { use_bias, return_sequences, go_backwards } = options;
        let reset_after = config.flag("reset_after")?;
        Ok(Self {
            units,
            activation,
            recurrent_activation,
            use_bias,
            return_sequences,
            go_backwards,
            reset_after,
        })
    }
}
