//! Layers: what each computes, forward and backward.
//!
//! A layer holds its arguments, as Keras names them, and no numbers: weights live in one flat vector (see
//! [`WeightLayout`](crate::model::WeightLayout)), activations in the buffers of a backend. Its two passes
//! stand next to each other and record [instructions](crate::program::Instruction) on a
//! [`Tape`]; with A the linear map of [`Geometry`](crate::geometry::Geometry),
//!
//! | | forward | gradient of the input | gradient of the kernel |
//! |---|---|---|---|
//! | [`Conv1D`] | apply A | apply A^T | correlate |
//! | [`Conv1DTranspose`] | apply A^T | apply A | correlate, signals swapped |

mod conv1d;
mod conv1d_transpose;
mod convolution;
mod dropout;
mod relu;

use std::fmt::Debug;

pub use conv1d::Conv1D;
pub use conv1d_transpose::Conv1DTranspose;
pub use dropout::Dropout;
pub use relu::ReLU;
use serde_json::{Map, Value as Json};

use crate::error::{Error, Result};
use crate::initializers::Initializer;
use crate::program::{Pointwise, Tape, Value, Weight};
use crate::shape::Shape;

/// A layer. Users write their own by implementing this; see
/// [`Operation`](crate::program::custom::Operation) for computations that no instruction says.
pub trait Layer: Debug + Send + Sync {
    /// The class, as Keras names it: `Conv1D`.
    fn class_name(&self) -> &'static str;

    /// The shape of a sample of the output.
    ///
    /// # Errors
    /// If the layer's arguments make no sense, or do not with these inputs.
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape>;

    /// The weight tensors, for inputs that [`Layer::output_shape`] accepts.
    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec>;

    /// Records the forward pass and gives its output.
    fn forward(&self, tape: &mut Tape, call: &Call) -> Value;

    /// Records the backward pass: adds to the gradients of the weights and of the inputs, given the output
    /// `y` of the forward pass and the gradient `dy` with respect to it.
    fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value);

    /// The arguments, as they stand in `config` of Keras's JSON, without those that every layer has.
    fn config(&self) -> Map<String, Json>;
}

/// A weight tensor that a layer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightSpec {
    /// Its name within the layer: `kernel`, `bias`.
    pub name: &'static str,
    /// Its shape.
    pub shape: Vec<usize>,
    /// How it starts.
    pub initializer: Initializer,
}

/// One use of a layer: what it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The inputs.
    pub inputs: Vec<Value>,
    /// The layer's weight tensors, in the order of [`Layer::weights`].
    pub weights: Vec<Weight>,
}

impl Call {
    /// The input of a layer that has one.
    ///
    /// # Panics
    /// If there is not exactly one, which [`Layer::output_shape`] has ruled out.
    #[must_use]
    pub fn x(&self) -> Value {
        match self.inputs[..] {
            [x] => x,
            _ => panic!("a layer of one input called with {}", self.inputs.len()),
        }
    }
}

/// What is applied to a layer's output; Keras's `activation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Activation {
    /// Nothing.
    #[default]
    Linear,
    /// `max(x, 0)`, with gradient 0 at 0 as Keras has it.
    Relu,
}

impl Activation {
    /// Keras's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
        }
    }

    fn forward(self) -> Option<Pointwise> {
        match self {
            Self::Linear => None,
            Self::Relu => Some(Pointwise::Relu),
        }
    }

    /// The gradient, given the activation's output `y`.
    fn backward(self, y: Value) -> Option<Pointwise> {
        match self {
            Self::Linear => None,
            Self::Relu => Some(Pointwise::ReluGate(y)),
        }
    }
}

/// The shape of the only input.
fn single_input(layer: &dyn Layer, inputs: &[Shape]) -> Result<Shape> {
    match inputs {
        [input] if !input.is_empty() => Ok(*input),
        [input] => Err(Error::Input {
            layer: layer.class_name().into(),
            input: *input,
            problem: "it has no elements".into(),
        }),
        _ => Err(Error::Argument {
            layer: layer.class_name().into(),
            argument: "the number of inputs".into(),
            found: inputs.len().to_string(),
            expected: "1".into(),
        }),
    }
}

/// That an integer argument is at least 1.
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
