//! Instructions: what a program can say.

use std::ops::Range;
use std::sync::Arc;

use super::custom::AnyOperation;
use super::{Mask, Value, Weight, fuse};
use crate::activations::Activation;
use crate::geometry::Geometry;
use crate::index_map::IndexMap;
use crate::losses::Loss;
use crate::recurrent::Cell;

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
    pub(super) fn name(self) -> &'static str {
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
    pub(super) fn operands(&self) -> Vec<Value> {
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
    pub(super) fn has_weights(&self) -> bool {
        let scaled = |op: &Pointwise| matches!(op, Pointwise::Scale(_) | Pointwise::AddBias(_));
        let own = match self {
            Self::Apply { .. } | Self::ApplyTransposed { .. } | Self::Recur { .. } => true,
            Self::Custom { weights, .. } => !weights.is_empty(),
            _ => false,
        };
        own || self.epilogue().iter().any(scaled)
    }

    /// The weights whose gradients this instruction adds to, by index.
    pub(super) fn trains(&self) -> Range<usize> {
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

    pub(super) fn epilogue_mut(&mut self) -> Option<&mut Vec<Pointwise>> {
        match self {
            Self::Apply { epilogue, .. }
            | Self::ApplyTransposed { epilogue, .. }
            | Self::Map { epilogue, .. } => Some(epilogue),
            _ => None,
        }
    }
}
