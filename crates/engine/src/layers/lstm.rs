//! Long short-term memory.

use super::recurrent::{self, Options, recurrent_layer};
use super::{Activation, Call, Config, FromConfig, KERAS, Layer, Recurrent, WeightSpec};
use crate::error::Result;
use crate::initializers::Initializer;
use crate::program::{Tape, Value};
use crate::recurrent::Kind;
use crate::shape::Shape;

/// Long short-term memory ([`keras.layers.LSTM`](https://keras.io/api/layers/recurrent_layers/lstm/)). The equations
/// are in [`recurrent`](crate::recurrent).
///
/// # Shapes
/// * input `(batch, steps, channels)`
/// * output `(batch, steps, units)` with `return_sequences`, else `(batch, units)`: the hidden state of the last step
/// * kernel `(channels, 4 units)`, recurrent kernel `(units, 4 units)`, bias `(4 units)`
///
/// ```
/// use glassbox_engine::layers::{LSTM, Layer};
/// use glassbox_engine::shape::Shape;
///
/// let encoder = LSTM::new(32);
/// assert_eq!(encoder.output_shape(&[Shape::new(288, 1)])?, Shape::units(32));
/// let decoder = LSTM::new(32).return_sequences(true);
/// assert_eq!(decoder.output_shape(&[Shape::new(288, 32)])?, Shape::new(288, 32));
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LSTM {
    /// Length of the hidden state and of the cell state.
    pub units: usize,
    /// Function of the candidate and of the cell state.
    pub activation: Activation,
    /// Function of the input gate, the forget gate and the output gate.
    pub recurrent_activation: Activation,
    /// If true, a bias is added.
    pub use_bias: bool,
    /// If true, the bias of the forget gate starts at 1, else at 0.
    pub unit_forget_bias: bool,
    /// If true, the output is the hidden states of all steps, else that of the last.
    pub return_sequences: bool,
    /// If true, the steps are taken from the last to the first; the output is in this order too.
    pub go_backwards: bool,
}

impl LSTM {
    /// Creates a layer with Keras's defaults: tanh and sigmoid, with bias, only the last step is returned.
    #[must_use]
    pub fn new(units: usize) -> Self {
        Self {
            units,
            activation: Activation::Tanh,
            recurrent_activation: Activation::Sigmoid,
            use_bias: true,
            unit_forget_bias: true,
            return_sequences: false,
            go_backwards: false,
        }
    }

    /// Sets the start of the forget gate's bias.
    #[must_use]
    pub fn unit_forget_bias(self, unit_forget_bias: bool) -> Self {
        Self { unit_forget_bias, ..self }
    }
}

recurrent_layer!(LSTM, _layer => Kind::Lstm);

impl Layer for LSTM {
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
        let bias = if self.unit_forget_bias { Initializer::UnitForgetBias } else { Initializer::Zeros };
        recurrent::weights(&self.cell(), inputs[0], self.use_bias.then_some(bias))
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        recurrent::forward(tape, call, self.cell(), self.options())
    }

    fn recurrent(&self) -> Option<Recurrent> {
        Some(self.clone().into())
    }

    fn config(&self) -> Config {
        let config = recurrent::with_options(Config::default(), &self.cell(), self.options());
        recurrent::with_fixed_arguments(config.with("unit_forget_bias", self.unit_forget_bias))
    }
}

impl FromConfig for LSTM {
    const CLASS_NAME: &'static str = "LSTM";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let (units, [activation, recurrent_activation], options) = recurrent::take(config)?;
        let Options { use_bias, return_sequences, go_backwards } = options;
        let unit_forget_bias = config.flag("unit_forget_bias")?;
        Ok(Self {
            units,
            activation,
            recurrent_activation,
            use_bias,
            unit_forget_bias,
            return_sequences,
            go_backwards,
        })
    }
}
