//! A training step written down: a flat list of instructions over the values of one sample.
//!
//! A layer says what it computes, forward and backward, by recording instructions on a [`Tape`]; the
//! result is a [`Program`]. It is the one thing that every backend reads: the reference backend obeys
//! it line by line, a fast one may run it depth first while a sample sits in cache, and a device can
//! capture the whole of it as one launch. Print a program to see all that happens in a training step.
//!
//! What a program speaks of:
//!
//! * a [`Value`] is a signal of one sample, `(steps, channels)`. Every value is written once;
//! * a [`Weight`] is a tensor of the model, the same for all samples. Its gradient has the same index,
//!   and **gradients of weights are added to, gradients of values are stored**;
//! * a [`Mask`] is the dropout mask of one layer for one sample.
//!
//! Instructions say nothing of the batch: a program holds for each sample alone, and the gradients of
//! weights are summed over samples by whoever runs it.

pub mod cost;
pub mod custom;
mod fuse;
mod receptive_field;
mod tape;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use tape::Tape;

use crate::geometry::Geometry;
use crate::losses::Loss;
use crate::shape::Shape;
use custom::AnyOperation;

/// A signal of one sample, `(steps, channels)`: an index into [`Program::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) usize);

/// A weight tensor and its gradient: an index into the model's weight layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Weight(pub(crate) usize);

/// A dropout mask of one sample: an index into [`Program::masks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mask(pub(crate) usize);

impl Value {
    /// The index into [`Program::values`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

impl Weight {
    /// The index into the model's weight layout.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

impl Mask {
    /// The index into [`Program::masks`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// What is known of a dropout mask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskSpec {
    /// The fraction of elements that are dropped, in [0, 1).
    pub rate: f64,
    /// The number of elements.
    pub len: usize,
}

/// A function of one element, applied where a value is made: kernels run them as an epilogue, in
/// order, before the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pointwise {
    /// `v + bias[c]`, c the element's channel.
    AddBias(Weight),
    /// `max(v, 0)`; NaN stays NaN.
    Relu,
    /// `v / (1 - rate)` where the mask keeps the element, else 0. Its own gradient.
    Dropout(Mask),
    /// `v` where the given value of the same shape is positive, else 0: the gradient of
    /// [`Pointwise::Relu`], whose output is given.
    ReluGate(Value),
}

/// One operation on the values of a sample. Each names the reference that it must equal, in
/// [`crate::reference`].
#[derive(Debug, Clone)]
pub enum Instruction {
    /// Contraction 1: `y = epilogue(A x)`.
    Apply {
        /// A.
        geometry: Geometry,
        /// The kernel of A, `(taps, in, out)`.
        kernel: Weight,
        /// Read: A's input signal.
        x: Value,
        /// Stored: A's output signal.
        y: Value,
        /// Applied to each element of `y`.
        epilogue: Vec<Pointwise>,
    },
    /// Contraction 2: `y = epilogue(A^T x)`. Here `x` is on A's output side.
    ApplyTransposed {
        /// A.
        geometry: Geometry,
        /// The kernel of A, `(taps, in, out)`.
        kernel: Weight,
        /// Read: a signal on A's output side.
        x: Value,
        /// Stored: a signal on A's input side.
        y: Value,
        /// Applied to each element of `y`.
        epilogue: Vec<Pointwise>,
    },
    /// Contraction 3: `dkernel[tap, c, o] += sum over t of x[in_step(t, tap), c] y[t, o]`.
    Correlate {
        /// A.
        geometry: Geometry,
        /// Read: a signal on A's input side.
        x: Value,
        /// Read: a signal on A's output side.
        y: Value,
        /// Added to: the gradient of A's kernel.
        kernel: Weight,
    },
    /// `dbias[c] += sum over t of x[t, c]`: the gradient of [`Pointwise::AddBias`].
    SumSteps {
        /// Read: the gradient with respect to the biased value.
        x: Value,
        /// Added to: the gradient of the bias.
        bias: Weight,
    },
    /// `y = epilogue(x)`, element by element.
    Map {
        /// Read.
        x: Value,
        /// Stored; of the shape of `x`.
        y: Value,
        /// Applied to each element.
        epilogue: Vec<Pointwise>,
    },
    /// `y = a + b`: where a value is used twice, its gradients add up.
    Add {
        /// Read.
        a: Value,
        /// Read.
        b: Value,
        /// Stored.
        y: Value,
    },
    /// Draws a dropout mask for this sample.
    Draw {
        /// Stored.
        mask: Mask,
    },
    /// The loss of this sample, and its gradient with respect to the prediction.
    Loss {
        /// Which one.
        loss: Loss,
        /// Read: the model's output. The target is the sample's own.
        y: Value,
        /// Stored: the gradient of the batch's mean loss.
        dy: Value,
    },
    /// A user's operation: `y = op(x)`.
    Custom {
        /// The operation.
        op: Arc<dyn AnyOperation>,
        /// Read.
        x: Value,
        /// Stored.
        y: Value,
        /// Read: neighbouring weight tensors, which the operation sees as one slice.
        weights: Range<usize>,
    },
    /// The gradient of a user's operation.
    CustomGradient {
        /// The operation.
        op: Arc<dyn AnyOperation>,
        /// Read: its input.
        x: Value,
        /// Read: its output.
        y: Value,
        /// Read: the gradient with respect to `y`.
        dy: Value,
        /// Stored: the gradient with respect to `x`.
        dx: Value,
        /// Read, and their gradients added to.
        weights: Range<usize>,
    },
}

impl Instruction {
    /// The values that this instruction reads.
    #[must_use]
    pub fn reads(&self) -> Vec<Value> {
        let mut reads = self.operands();
        reads.extend(fuse::gates(self.epilogue()));
        reads
    }

    /// The values that this instruction reads for itself, the gates of its epilogue left out.
    fn operands(&self) -> Vec<Value> {
        match self {
            Self::Apply { x, .. }
            | Self::ApplyTransposed { x, .. }
            | Self::SumSteps { x, .. }
            | Self::Map { x, .. }
            | Self::Custom { x, .. } => vec![*x],
            Self::Correlate { x, y, .. } => vec![*x, *y],
            Self::Add { a, b, .. } => vec![*a, *b],
            Self::Loss { y, .. } => vec![*y],
            Self::CustomGradient { x, y, dy, .. } => vec![*x, *y, *dy],
            Self::Draw { .. } => vec![],
        }
    }

    /// The value that this instruction stores, if any.
    #[must_use]
    pub fn stores(&self) -> Option<Value> {
        match self {
            Self::Apply { y, .. }
            | Self::ApplyTransposed { y, .. }
            | Self::Map { y, .. }
            | Self::Add { y, .. }
            | Self::Custom { y, .. } => Some(*y),
            Self::Loss { dy, .. } => Some(*dy),
            Self::CustomGradient { dx, .. } => Some(*dx),
            Self::Correlate { .. } | Self::SumSteps { .. } | Self::Draw { .. } => None,
        }
    }

    /// Whether element-by-element functions can be merged into this instruction's store.
    #[must_use]
    pub fn takes_epilogue(&self) -> bool {
        matches!(self, Self::Apply { .. } | Self::ApplyTransposed { .. } | Self::Map { .. })
    }

    /// What is applied to each element of the stored value.
    #[must_use]
    pub fn epilogue(&self) -> &[Pointwise] {
        match self {
            Self::Apply { epilogue, .. }
            | Self::ApplyTransposed { epilogue, .. }
            | Self::Map { epilogue, .. } => epilogue,
            _ => &[],
        }
    }

    fn epilogue_mut(&mut self) -> Option<&mut Vec<Pointwise>> {
        match self {
            Self::Apply { epilogue, .. }
            | Self::ApplyTransposed { epilogue, .. }
            | Self::Map { epilogue, .. } => Some(epilogue),
            _ => None,
        }
    }
}

/// The part of a training step that an instruction belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// From the input to the prediction.
    Forward,
    /// The loss and its gradient.
    Loss,
    /// From the loss back to the first weights.
    Backward,
}

/// An instruction, and whose it is.
#[derive(Debug, Clone)]
pub struct Line {
    /// What to do.
    pub instruction: Instruction,
    /// The layer that it belongs to: its place in the model, from 0. The loss comes after the last.
    pub layer: usize,
    /// The pass that it belongs to.
    pub pass: Pass,
}

/// All that is computed for one sample, in order.
#[derive(Debug, Clone)]
pub struct Program {
    /// The shape of each value.
    pub values: Vec<Shape>,
    /// The dropout masks.
    pub masks: Vec<MaskSpec>,
    /// The instructions. A value is stored before it is read.
    pub lines: Vec<Line>,
    /// Where a sample is put before the first instruction.
    pub input: Value,
    /// The model's prediction.
    pub output: Value,
    /// The gradient with respect to the sample, if it was asked for.
    pub input_gradient: Option<Value>,
    /// The output of each layer, where it is still stored: fusion may have merged it into the next
    /// layer's.
    pub layer_outputs: Vec<Option<Value>>,
}

impl Program {
    /// Merges element-by-element instructions into the kernels whose output they read, so that bias,
    /// activation, dropout and their gradients are applied where a value is made. The results are the
    /// same to the bit.
    #[must_use]
    pub fn fused(&self) -> Self {
        fuse::fuse(self)
    }

    /// The number of values that a sample holds in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.iter().map(Shape::len).sum()
    }

    /// Whether there is nothing to compute.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "v{} = sample {}", self.input.0, self.values[self.input.0])?;
        for line in &self.lines {
            writeln!(f, "{line}  # layer {}, {:?}", line.layer, line.pass)?;
        }
        write!(f, "prediction: v{}", self.output.0)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instruction {
            Instruction::Apply { kernel, x, y, .. } => write!(f, "v{} = A(w{}) v{}", y.0, kernel.0, x.0)?,
            Instruction::ApplyTransposed { kernel, x, y, .. } => {
                write!(f, "v{} = A(w{})^T v{}", y.0, kernel.0, x.0)?;
            }
            Instruction::Correlate { x, y, kernel, .. } => {
                write!(f, "dw{} += correlate(v{}, v{})", kernel.0, x.0, y.0)?;
            }
            Instruction::SumSteps { x, bias } => write!(f, "dw{} += sum_steps(v{})", bias.0, x.0)?,
            Instruction::Map { x, y, .. } => write!(f, "v{} = v{}", y.0, x.0)?,
            Instruction::Add { a, b, y } => write!(f, "v{} = v{} + v{}", y.0, a.0, b.0)?,
            Instruction::Draw { mask } => write!(f, "m{} = draw", mask.0)?,
            Instruction::Loss { loss, y, dy } => write!(f, "v{} = d {}(v{})", dy.0, loss.name(), y.0)?,
            Instruction::Custom { op, x, y, weights } => {
                write!(f, "v{} = {op:?}(v{}, w{weights:?})", y.0, x.0)?;
            }
            Instruction::CustomGradient { op, dy, dx, weights, .. } => {
                write!(f, "v{}, dw{weights:?} += d {op:?}(v{})", dx.0, dy.0)?;
            }
        }
        for op in self.instruction.epilogue() {
            match op {
                Pointwise::AddBias(bias) => write!(f, " |> + w{}", bias.0)?,
                Pointwise::Relu => write!(f, " |> relu")?,
                Pointwise::Dropout(mask) => write!(f, " |> dropout m{}", mask.0)?,
                Pointwise::ReluGate(y) => write!(f, " |> where v{} > 0", y.0)?,
            }
        }
        Ok(())
    }
}
