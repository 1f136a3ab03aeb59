//! Layers, each with its forward and its backward pass.
//!
//! A layer holds its arguments, under Keras's names, and no numbers. Weights are in one flat vector (see
//! [`WeightLayout`](crate::model::WeightLayout)), activations in the buffers of a backend. The two passes of a layer
//! are next to each other in its file. They record [instructions](crate::program::Instruction) on a [`Tape`]. With
//! A the linear map of [`Geometry`](crate::geometry::Geometry):
//!
//! | | forward | gradient of the input | gradient of the kernel |
//! |---|---|---|---|
//! | [`Conv1D`] | apply A | apply A^T | correlate |
//! | [`Conv1DTranspose`] | apply A^T | apply A | correlate, signals swapped |
//! | [`Dense`] | apply A, of one tap | apply A^T | correlate |
//!
//! [`LSTM`], [`GRU`] and [`Bidirectional`] are [recurrences](crate::recurrent).
//!
//! Layers that only rearrange elements are [index maps](crate::index_map): [`Flatten`], [`Reshape`], [`RepeatVector`],
//! [`UpSampling1D`], [`ZeroPadding1D`], [`Cropping1D`], [`Concatenate`].

mod activation;
mod batch_normalization;
mod bidirectional;
pub(crate) mod config;
mod conv1d;
mod conv1d_transpose;
mod convolution;
mod dense;
mod dropout;
mod gru;
mod layer_normalization;
mod lstm;
mod merge;
mod pooling1d;
mod rearrange;
mod recurrent;
mod registry;
mod relu;
mod time_distributed;

use std::borrow::Cow;
use std::fmt::Debug;

pub use crate::activations::Activation;
pub use activation::{ELU, LeakyReLU};
pub use batch_normalization::BatchNormalization;
pub use bidirectional::{Bidirectional, Merge, Recurrent};
pub use config::Config;
pub use conv1d::Conv1D;
pub use conv1d_transpose::Conv1DTranspose;
pub use dense::Dense;
pub use dropout::{Dropout, SpatialDropout1D};
pub use gru::GRU;
pub use layer_normalization::LayerNormalization;
pub use lstm::LSTM;
pub use merge::{Add, Multiply};
pub use pooling1d::{AveragePooling1D, MaxPooling1D};
pub use rearrange::{Concatenate, Cropping1D, Flatten, RepeatVector, Reshape, UpSampling1D, ZeroPadding1D};
pub use registry::{FromConfig, Registry};
pub use relu::ReLU;
pub use time_distributed::TimeDistributed;

use crate::error::{Error, Result};
use crate::initializers::Initializer;
use crate::model::Network;
use crate::program::{Tape, Value, Weight};
use crate::shape::Shape;

/// Return value of [`Layer::package`] for Keras's own layers: their module.
pub(crate) const KERAS: &str = "keras.layers";

/// A layer. Implement this trait to write your own: its forward pass is enough, the backward pass is derived. See [`Operation`](crate::program::custom::Operation) for
/// computations that no instruction covers.
///
/// ```
/// use glassbox_engine::layers::{Call, Layer};
/// use glassbox_engine::model::Sequential;
/// use glassbox_engine::program::{Pointwise, Tape, Value};
///
/// /// Doubles a signal: `y = x + x`.
/// #[derive(Debug)]
/// struct Double;
///
/// impl Layer for Double {
///     fn class_name(&self) -> &'static str {
///         "Double"
///     }
///
///     fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
///         tape.add(call.x(), call.x())
///     }
/// }
///
/// let mut model = Sequential::new((8, 1));
/// model.add(Double)?;
/// assert_eq!(model.layers()[0].name, "double");
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
pub trait Layer: Debug + Send + Sync {
    /// The class, under Keras's name: `Conv1D`.
    fn class_name(&self) -> &'static str;

    /// The package that the class is registered in, for Keras's JSON. Default: `Custom`, as in Keras.
    fn package(&self) -> &'static str {
        "Custom"
    }

    /// The shape of a sample of the output. Default: the shape of the only input.
    ///
    /// # Errors
    /// If an argument of the layer is invalid, or does not fit these inputs.
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        single_input(self.class_name(), inputs)
    }

    /// The weight tensors, for inputs that [`Layer::output_shape`] accepts. Default: none.
    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let _ = inputs;
        vec![]
    }

    /// Records the forward pass and returns its output.
    fn forward(&self, tape: &mut Tape, call: &Call) -> Value;

    /// Records the backward pass, which adds to the gradients of the weights and of the inputs. `y` is the output of
    /// the forward pass, `dy` the gradient with respect to it. Default: it is derived from the instructions of the
    /// forward pass ([`Tape::derive`]).
    fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value) {
        let _ = (call, y, dy);
        tape.derive();
    }

    /// Returns true if each step of the output depends on the same step of the input only, in the same way at all steps:
    /// then [`TimeDistributed`] may apply the layer. Default: false.
    fn acts_on_steps(&self) -> bool {
        false
    }

    /// This layer as one that [`Bidirectional`] can wrap. Default: none.
    fn recurrent(&self) -> Option<Recurrent> {
        None
    }

    /// The arguments, as in `config` of Keras's JSON, without those that every layer has. Default: none.
    fn config(&self) -> Config {
        Config::default()
    }

    /// The model that this layer is, if it is one: a model may be a layer of another.
    fn network(&self) -> Option<&Network> {
        None
    }
}

/// A weight tensor that a layer needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightSpec {
    /// Its name within the layer: `kernel`, `bias`; in a layer of layers after theirs, `conv1d.kernel`.
    pub name: Cow<'static, str>,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values before training.
    pub initializer: Initializer,
    /// If false, it is no weight that an optimiser trains but a moving statistic, which the layer itself keeps.
    pub trainable: bool,
}

impl WeightSpec {
    /// A tensor that is trained.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, shape: Vec<usize>, initializer: Initializer) -> Self {
        Self { name: name.into(), shape, initializer, trainable: true }
    }
}

/// The operands of one use of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The inputs.
    pub inputs: Vec<Value>,
    /// The layer's weight tensors, in the order of [`Layer::weights`].
    pub weights: Vec<Weight>,
}

impl Call {
    /// The input of a layer that has exactly one.
    ///
    /// # Panics
    /// If the number of inputs is not 1, which [`Layer::output_shape`] has ruled out.
    #[must_use]
    pub fn x(&self) -> Value {
        match self.inputs[..] {
            [x] => x,
            _ => panic!("a layer of one input called with {}", self.inputs.len()),
        }
    }
}

/// The shape of the only input; an error if there are more or none.
fn single_input(layer: &str, inputs: &[Shape]) -> Result<Shape> {
    match inputs {
        [input] if !input.is_empty() => Ok(*input),
        [input] => {
            Err(Error::Input { layer: layer.into(), input: *input, problem: "it has no elements".into() })
        }
        _ => Err(Error::Argument {
            layer: layer.into(),
            argument: "the number of inputs".into(),
            found: inputs.len().to_string(),
            expected: "1".into(),
        }),
    }
}

/// The shape of the only input, which must have steps.
fn input_of_steps(layer: &dyn Layer, inputs: &[Shape]) -> Result<Shape> {
    let input = single_input(layer.class_name(), inputs)?;
    match input.rank() {
        2 => Ok(input),
        _ => Err(Error::Input {
            layer: layer.class_name().into(),
            input,
            problem: "it has no steps, expected (batch, steps, channels); put a RepeatVector or a Reshape before it"
                .into(),
        }),
    }
}

/// Checks that integer arguments are at least 1.
fn require_positive(layer: &dyn Layer, arguments: &[(&str, usize)]) -> Result<()> {
    match arguments.iter().find(|(_, value)| *value == 0) {
        None => Ok(()),
        Some((argument, value)) => Err(Error::Argument {
            layer: layer.class_name().into(),
            argument: (*argument).into(),
            found: value.to_string(),
            expected: "at least 1".into(),
        }),
    }
}
