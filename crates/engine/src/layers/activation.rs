//! Activation functions as separate layers: [`Activation`] has any of them; [`ELU`] and [`LeakyReLU`] are classes of
//! their own in Keras. The functions and their derivatives are in [`activations`](crate::activations).

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

    fn acts_on_steps(&self) -> bool {
        true
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

/// Implements the layer of an activation function that has a class of its own, with these arguments.
macro_rules! layer_of_activation {
    ($class:ident: $($argument:ident),*) => {
        impl Layer for $class {
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

            fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value) {
                Activation::from(*self).backward(tape, call, y, dy);
            }

            fn acts_on_steps(&self) -> bool {
                true
            }

            fn config(&self) -> Config {
                Config::default()$(.with(stringify!($argument), self.$argument))*
            }
        }

        impl FromConfig for $class {
            const CLASS_NAME: &'static str = stringify!($class);
            const PACKAGE: &'static str = KERAS;

            fn from_config(config: &mut Config) -> Result<Self> {
                let default = Self::default();
                Ok(Self { $($argument: config.number_or(stringify!($argument), default.$argument)?),* })
            }
        }
    };
}

layer_of_activation!(ELU: alpha);
layer_of_activation!(LeakyReLU: negative_slope);
