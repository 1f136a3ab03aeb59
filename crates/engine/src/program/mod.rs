//! Programs: a training step as a flat list of instructions over the values of one sample.
//!
//! A layer describes its computation, forward and backward, by recording instructions on a [`Tape`]; the result is a
//! [`Program`]. All backends read programs: the reference backend runs them line by line, a fast backend may run them
//! depth first while a sample is in cache, and a device may run a whole program as one launch. Print a program to see
//! every operation of a training step.
//!
//! A program refers to:
//!
//! * a [`Value`], a signal of one sample, `(steps, channels)`. Every value is written once;
//! * a [`Weight`], a tensor of the model, the same for all samples. Its gradient has the same index,
//!   and **gradients of weights are added to, gradients of values are stored**;
//! * a [`Mask`], the dropout mask of one layer for one sample.
//!
//! A program describes the computation of one sample; the backend sums the gradients of weights over the samples. Only
//! one instruction refers to the batch: [`Instruction::Meet`], a **barrier**. Each sample computes a small value of its
//! own, there the samples meet, and each goes on with what they have made of it together. So a program is a list of
//! [stretches](Program::stretches) with a barrier between two; inside a stretch no sample depends on another. Only
//! batch normalisation needs barriers, and most programs are a single stretch.

pub mod cost;
pub mod custom;
mod fuse;
mod receptive_field;
mod reverse;
mod tape;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use tape::Tape;

use crate::activations::Activation;
use crate::geometry::Geometry;
use crate::index_map::IndexMap;
use crate::losses::Loss;
use crate::recurrent::Cell;
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

/// The rate and the size of a dropout mask. A mask that is as long as a step has the same bits at all steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskSpec {
    /// The fraction of elements that are dropped, in [0, 1).
    pub rate: f64,
    /// The number of elements.
    pub len: usize,
    /// The number of bits that are drawn: `len`, or fewer, which then repeat. Element e has bit `e % drawn`.
    pub drawn: usize,
}

/// A function of one element. Kernels apply such functions in order, as an epilogue, before they store the element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pointwise {
    /// `v factors[c]`, where c is the element's channel.
    Scale(Weight),
    /// `v + bias[c]`, where c is the element's channel.
    AddBias(Weight),
    /// `activation(v)`; NaN stays NaN.
    Activation(Activation),
    /// `v / (1 - rate)` where the mask keeps the element, else 0. It is its own gradient.
    Dropout(Mask),
    /// `v activation'`: the gradient of [`Pointwise::Activation`], from the value of the same shape that is its
    /// [`Residual`](crate::activations::Residual).
    ActivationGradient(Activation, Value),
}

/// The number that stands for a window of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The largest; the first of several.
    Max,
    /// The mean, of which padding is no part.
    Average,
}

impl Pooling {
    /// The name in a printed program.
    fn name(self) -> &'static str {
        match self {
            Self::Max => "max_pool",
            Self::Average => "average_pool",
        }
    }
}

/// The statistics that [`Instruction::Standardize`] uses: a mean and a variance for each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// Those of the batch, `(2, channels)`: the result of [`Meeting::Moments`].
    Batch(Value),
    /// Those that training has left in weights: the moving mean and the moving variance.
    Moving([Weight; 2]),
}

/// A function of a value of all samples of a batch, computed at a barrier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meeting {
    /// The mean over the batch, element by element.
    Means,
    /// The mean and the variance of each channel over the batch and all steps, `(2, channels)`, from those of each sample:
    /// the mean of the means, and the mean of the variances plus the variance of the means.
    ///
    /// Each moving statistic w moves towards that of the batch, s. Its change is added to its gradient:
    /// `dw += (1 - momentum) (s - (w + dw))`, where dw is not zero if the layer was called before.
    Moments {
        /// Fraction of the moving statistics that stays.
        momentum: f64,
        /// The moving mean and the moving variance.
        moving: [Weight; 2],
    },
}

/// One operation on the values of a sample. Its documentation names the reference in [`crate::reference`] that it must
/// equal.
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
        /// Functions applied to each element of `y`.
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
        /// Functions applied to each element of `y`.
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
        /// Functions applied to each element.
        epilogue: Vec<Pointwise>,
    },
    /// `y = a + b`: branches meet, or the gradients of a value that is used twice.
    Add {
        /// Read.
        a: Value,
        /// Read.
        b: Value,
        /// Stored.
        y: Value,
    },
    /// All steps of a recurrence. z and the trace are those of [`recurrent`](crate::recurrent); z may be one row, which
    /// is then that of all steps.
    Recur {
        /// The cell.
        cell: Cell,
        /// The recurrent kernel, `(units, columns)`.
        kernel: Weight,
        /// The bias, `(2, columns)`, of a cell that [takes it](Cell::reset_after).
        bias: Option<Weight>,
        /// Read: z.
        z: Value,
        /// Stored: the trace.
        trace: Value,
    },
    /// The gradient of [`Instruction::Recur`] with respect to z and, if the cell takes a bias, next to it that with
    /// respect to the biased product with the recurrent kernel.
    RecurGradient {
        /// The cell.
        cell: Cell,
        /// The recurrent kernel, `(units, columns)`.
        kernel: Weight,
        /// Read: the trace.
        trace: Value,
        /// Read: the gradient with respect to the hidden states of all steps, or of the last step.
        dh: Value,
        /// Stored: `(steps, gradient channels)`.
        dz: Value,
    },
    /// `y` consists of elements of the inputs, and of zeros.
    IndexMap {
        /// The source of each element.
        map: Arc<IndexMap>,
        /// Read: the inputs of the map, in its order.
        inputs: Vec<Value>,
        /// Stored: its output.
        y: Value,
    },
    /// The transpose of an index map with respect to one input: each element of `dx` is the sum of the elements of `dy`
    /// that it has become.
    IndexMapTransposed {
        /// The map.
        map: Arc<IndexMap>,
        /// Index of the input.
        input: usize,
        /// Read: the gradient with respect to the output of the map.
        dy: Value,
        /// Stored: the gradient with respect to the input, as far as this use of it goes.
        dx: Value,
    },
    /// `y = a b`, element by element.
    Multiply {
        /// Read.
        a: Value,
        /// Read.
        b: Value,
        /// Stored.
        y: Value,
    },
    /// `y[t, c] = (x[t, c] - mean) / sqrt(variance + epsilon)`, with the mean and the variance of step t over its channels.
    Normalize {
        /// Added to the variance.
        epsilon: f64,
        /// Read.
        x: Value,
        /// Stored; of the shape of `x`.
        y: Value,
    },
    /// The gradient of [`Instruction::Normalize`].
    NormalizeGradient {
        /// As in the forward pass.
        epsilon: f64,
        /// Read: the input of the forward pass.
        x: Value,
        /// Read: the gradient with respect to the output.
        dy: Value,
        /// Stored: the gradient with respect to the input.
        dx: Value,
    },
    /// `y`: the mean and the variance of each channel of `x` over the steps of the sample, `(2, channels)`.
    Moments {
        /// Read.
        x: Value,
        /// Stored.
        y: Value,
    },
    /// A barrier: the samples of the batch meet. `y` is the same for all of them.
    Meet {
        /// The function that is computed.
        meeting: Meeting,
        /// Read, of every sample of the batch: two rows.
        x: Value,
        /// Stored, in every sample; of the shape of `x`.
        y: Value,
    },
    /// `y[t, c] = (x[t, c] - mean[c]) / sqrt(variance[c] + epsilon)`
    Standardize {
        /// Added to the variance.
        epsilon: f64,
        /// The mean and the variance of each channel.
        statistics: Statistics,
        /// Read.
        x: Value,
        /// Stored; of the shape of `x`.
        y: Value,
    },
    /// `means`: the means over steps of `dy[t, c]` and of `dy[t, c] y[t, c]`, `(2, channels)`. Their means over the batch
    /// are what the gradient of a standardisation by the batch's statistics depends on.
    GradientMeans {
        /// Read: the result of the standardisation.
        y: Value,
        /// Read: the gradient with respect to it.
        dy: Value,
        /// Stored.
        means: Value,
    },
    /// The gradient of [`Instruction::Standardize`] with respect to `x`, through the batch's statistics too:
    /// `dx[t, c] = (dy[t, c] - means[0, c] - y[t, c] means[1, c]) / sqrt(variance[c] + epsilon)`
    StandardizeGradient {
        /// As in the forward pass.
        epsilon: f64,
        /// Read: the statistics of the batch.
        statistics: Value,
        /// Read: the means of [`Instruction::GradientMeans`] over the batch.
        means: Value,
        /// Read: the result of the forward pass.
        y: Value,
        /// Read: the gradient with respect to it.
        dy: Value,
        /// Stored.
        dx: Value,
    },
    /// `y[t, c]` = the maximum, or the mean, of `x[i, c]` over the input steps i that output step t meets.
    Pool {
        /// The value that stands for a window.
        pooling: Pooling,
        /// The steps that meet: those of a convolution, as many channels out as in.
        geometry: Geometry,
        /// Read.
        x: Value,
        /// Stored.
        y: Value,
    },
    /// The gradient of [`Instruction::Pool`].
    PoolGradient {
        /// As in the forward pass.
        pooling: Pooling,
        /// As in the forward pass.
        geometry: Geometry,
        /// The input of the forward pass; read to find the maxima.
        x: Value,
        /// Read: the gradient with respect to the output.
        dy: Value,
        /// Stored: the gradient with respect to the input.
        dx: Value,
    },
    /// Draws a dropout mask for this sample.
    Draw {
        /// Stored.
        mask: Mask,
    },
    /// The loss of this sample, and its gradient with respect to an output.
    Loss {
        /// The loss function.
        loss: Loss,
        /// Read: an output of the model.
        y: Value,
        /// Its target: the elements from here on of the sample's.
        target: usize,
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
        /// Read: neighbouring weight tensors, which the operation gets as one slice.
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
        /// Read; their gradients are added to.
        weights: Range<usize>,
    },
}

impl Instruction {
    /// The values that this instruction reads.
    #[must_use]
    pub fn reads(&self) -> Vec<Value> {
        let mut reads = self.operands();
        reads.extend(fuse::residuals(self.epilogue()));
        reads
    }

    /// The values that this instruction itself reads, without the residuals of its epilogue.
    fn operands(&self) -> Vec<Value> {
        match self {
            Self::Apply { x, .. }
            | Self::ApplyTransposed { x, .. }
            | Self::SumSteps { x, .. }
            | Self::Map { x, .. }
            | Self::Normalize { x, .. }
            | Self::Moments { x, .. }
            | Self::Meet { x, .. }
            | Self::Standardize { statistics: Statistics::Moving(_), x, .. }
            | Self::Pool { x, .. }
            | Self::Custom { x, .. } => vec![*x],
            Self::Standardize { statistics: Statistics::Batch(statistics), x, .. } => vec![*x, *statistics],
            Self::GradientMeans { y, dy, .. } => vec![*y, *dy],
            Self::StandardizeGradient { statistics, means, y, dy, .. } => vec![*statistics, *means, *y, *dy],
            Self::NormalizeGradient { x, dy, .. }
            | Self::PoolGradient { pooling: Pooling::Max, x, dy, .. } => {
                vec![*x, *dy]
            }
            Self::PoolGradient { pooling: Pooling::Average, dy, .. } => vec![*dy],
            Self::Correlate { x, y, .. } => vec![*x, *y],
            Self::IndexMap { inputs, .. } => inputs.clone(),
            Self::IndexMapTransposed { dy, .. } => vec![*dy],
            Self::Add { a, b, .. } | Self::Multiply { a, b, .. } => vec![*a, *b],
            Self::Loss { y, .. } => vec![*y],
            Self::CustomGradient { x, y, dy, .. } => vec![*x, *y, *dy],
            Self::Recur { z, .. } => vec![*z],
            Self::RecurGradient { trace, dh, .. } => vec![*trace, *dh],
            Self::Draw { .. } => vec![],
        }
    }

    /// Returns true if the result depends on weights of the model.
    fn has_weights(&self) -> bool {
        let scaled = |op: &Pointwise| matches!(op, Pointwise::Scale(_) | Pointwise::AddBias(_));
        let own = match self {
            Self::Apply { .. } | Self::ApplyTransposed { .. } | Self::Recur { .. } => true,
            Self::Custom { weights, .. } => !weights.is_empty(),
            _ => false,
        };
        own || self.epilogue().iter().any(scaled)
    }

    /// The weights whose gradients this instruction adds to, by index.
    fn trains(&self) -> Range<usize> {
        match self {
            Self::Correlate { kernel: weight, .. } | Self::SumSteps { bias: weight, .. } => {
                weight.0..weight.0 + 1
            }
            Self::CustomGradient { weights, .. } => weights.clone(),
            _ => 0..0,
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
            | Self::IndexMap { y, .. }
            | Self::Multiply { y, .. }
            | Self::Normalize { y, .. }
            | Self::Moments { y, .. }
            | Self::Meet { y, .. }
            | Self::Standardize { y, .. }
            | Self::Pool { y, .. }
            | Self::Custom { y, .. } => Some(*y),
            Self::Loss { dy, .. } => Some(*dy),
            Self::GradientMeans { means, .. } => Some(*means),
            Self::Recur { trace, .. } => Some(*trace),
            Self::RecurGradient { dz, .. } => Some(*dz),
            Self::IndexMapTransposed { dx, .. }
            | Self::NormalizeGradient { dx, .. }
            | Self::StandardizeGradient { dx, .. }
            | Self::PoolGradient { dx, .. }
            | Self::CustomGradient { dx, .. } => Some(*dx),
            Self::Correlate { .. } | Self::SumSteps { .. } | Self::Draw { .. } => None,
        }
    }

    /// Returns true if the samples of a batch meet here.
    #[must_use]
    pub fn is_barrier(&self) -> bool {
        matches!(self, Self::Meet { .. })
    }

    /// Returns true if element-by-element functions can be merged into this instruction's store.
    #[must_use]
    pub fn takes_epilogue(&self) -> bool {
        matches!(self, Self::Apply { .. } | Self::ApplyTransposed { .. } | Self::Map { .. })
    }

    /// The functions applied to each element of the stored value.
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

/// An instruction with the layer and the pass that it belongs to.
#[derive(Debug, Clone)]
pub struct Line {
    /// The instruction.
    pub instruction: Instruction,
    /// Index of the layer that it belongs to; the loss has the index after the last layer.
    pub layer: usize,
    /// The pass that it belongs to.
    pub pass: Pass,
}

/// All instructions for one sample, in order.
#[derive(Debug, Clone)]
pub struct Program {
    /// The shape of each value.
    pub values: Vec<Shape>,
    /// The dropout masks.
    pub masks: Vec<MaskSpec>,
    /// The instructions. A value is stored before it is read.
    pub lines: Vec<Line>,
    /// The value that holds the sample before the first instruction runs.
    pub input: Value,
    /// The model's prediction. Several outputs are side by side.
    pub output: Value,
    /// The elements of each output in the prediction, and of its target in the sample's.
    pub outputs: Vec<Range<usize>>,
    /// The gradient with respect to the sample, if it was requested.
    pub input_gradient: Option<Value>,
    /// The output of each layer; `None` if no instruction stores it, because fusion has merged it into the next layer's
    /// output.
    pub layer_outputs: Vec<Option<Value>>,
}

impl Program {
    /// Fuses the program: merges element-by-element instructions into the kernels whose output they read, so that bias,
    /// activation, dropout and their gradients are applied in the kernel that computes the value. The results are the
    /// same to the bit.
    #[must_use]
    pub fn fused(&self) -> Self {
        fuse::fuse(self)
    }

    /// The indices of the lines of each stretch, in order. The line between two stretches is the
    /// [barrier](Instruction::is_barrier) that ends the first.
    #[must_use]
    pub fn stretches(&self) -> Vec<Range<usize>> {
        let barriers = (0..self.lines.len()).filter(|line| self.lines[*line].instruction.is_barrier());
        let ends = barriers.chain([self.lines.len()]);
        ends.scan(0, |first, end| Some(std::mem::replace(first, end + 1)..end)).collect()
    }

    /// The number of samples of a batch of `batch` whose values must be there at the same time: all, if they meet at a
    /// barrier, else one.
    #[must_use]
    pub fn together(&self, batch: usize) -> usize {
        let meet = self.lines.iter().any(|line| line.instruction.is_barrier());
        if meet { batch } else { 1 }
    }

    /// Tells of each of `tensors` weight tensors whether the program adds to its gradient: whether the loss depends on it.
    #[must_use]
    pub fn trained(&self, tensors: usize) -> Vec<bool> {
        let mut trained = vec![false; tensors];
        for line in &self.lines {
            trained[line.instruction.trains()].fill(true);
        }
        trained
    }

    /// The number of values of one sample.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.iter().map(Shape::len).sum()
    }

    /// Returns true if the program has no instructions.
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
            Instruction::Recur { cell, kernel, z, trace, .. } => {
                write!(f, "v{} = {cell}(w{}, v{})", trace.0, kernel.0, z.0)?;
            }
            Instruction::RecurGradient { cell, kernel, trace, dh, dz } => {
                write!(f, "v{} = d {cell}(w{}, v{}, v{})", dz.0, kernel.0, trace.0, dh.0)?;
            }
            Instruction::IndexMap { inputs, y, .. } => {
                let inputs: Vec<String> = inputs.iter().map(|x| format!("v{}", x.0)).collect();
                write!(f, "v{} = index_map({})", y.0, inputs.join(", "))?;
            }
            Instruction::IndexMapTransposed { input, dy, dx, .. } => {
                write!(f, "v{} = index_map[{input}]^T v{}", dx.0, dy.0)?;
            }
            Instruction::Multiply { a, b, y } => write!(f, "v{} = v{} v{}", y.0, a.0, b.0)?,
            Instruction::Normalize { x, y, .. } => write!(f, "v{} = normalize(v{})", y.0, x.0)?,
            Instruction::NormalizeGradient { x, dy, dx, .. } => {
                write!(f, "v{} = d normalize(v{}, v{})", dx.0, x.0, dy.0)?;
            }
            Instruction::Moments { x, y } => write!(f, "v{} = moments(v{})", y.0, x.0)?,
            Instruction::Meet { meeting: Meeting::Means, x, y } => {
                write!(f, "v{} = batch_means(v{})", y.0, x.0)?;
            }
            Instruction::Meet { meeting: Meeting::Moments { moving: [mean, variance], .. }, x, y } => {
                write!(f, "v{}, dw{}, dw{} += batch_moments(v{})", y.0, mean.0, variance.0, x.0)?;
            }
            Instruction::Standardize { statistics: Statistics::Batch(statistics), x, y, .. } => {
                write!(f, "v{} = standardize(v{}, v{})", y.0, x.0, statistics.0)?;
            }
            Instruction::Standardize { statistics: Statistics::Moving([mean, variance]), x, y, .. } => {
                write!(f, "v{} = standardize(v{}, w{}, w{})", y.0, x.0, mean.0, variance.0)?;
            }
            Instruction::GradientMeans { y, dy, means } => {
                write!(f, "v{} = gradient_means(v{}, v{})", means.0, y.0, dy.0)?;
            }
            Instruction::StandardizeGradient { statistics, means, y, dy, dx, .. } => {
                let read = [y, dy, statistics, means].map(|value| format!("v{}", value.0)).join(", ");
                write!(f, "v{} = d standardize({read})", dx.0)?;
            }
            Instruction::Pool { pooling, x, y, .. } => write!(f, "v{} = {}(v{})", y.0, pooling.name(), x.0)?,
            Instruction::PoolGradient { pooling, x, dy, dx, .. } => {
                write!(f, "v{} = d {}(v{}, v{})", dx.0, pooling.name(), x.0, dy.0)?;
            }
            Instruction::Draw { mask } => write!(f, "m{} = draw", mask.0)?,
            Instruction::Loss { loss, y, dy, .. } => write!(f, "v{} = d {}(v{})", dy.0, loss.name(), y.0)?,
            Instruction::Custom { op, x, y, weights } => {
                write!(f, "v{} = {op:?}(v{}, w{weights:?})", y.0, x.0)?;
            }
            Instruction::CustomGradient { op, dy, dx, weights, .. } => {
                write!(f, "v{}, dw{weights:?} += d {op:?}(v{})", dx.0, dy.0)?;
            }
        }
        for op in self.instruction.epilogue() {
            match op {
                Pointwise::Scale(factors) => write!(f, " |> * w{}", factors.0)?,
                Pointwise::AddBias(bias) => write!(f, " |> + w{}", bias.0)?,
                Pointwise::Activation(activation) => write!(f, " |> {activation}")?,
                Pointwise::Dropout(mask) => write!(f, " |> dropout m{}", mask.0)?,
                Pointwise::ActivationGradient(Activation::Relu, y) => write!(f, " |> where v{} > 0", y.0)?,
                Pointwise::ActivationGradient(activation, at) => write!(f, " |> d {activation}(v{})", at.0)?,
            }
        }
        Ok(())
    }
}
