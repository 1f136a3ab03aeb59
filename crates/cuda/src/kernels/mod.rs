//! The plain kernels, one Rust function for each: what it is given, how large that must be, and its grid.
//!
//! A kernel trusts its arguments, so making a launch is `unsafe`. Each function checks what it is given against what
//! its kernel reads and writes. A wrong size is a mistake in this crate, not in a model, and panics; a model that is
//! too large for a grid is refused before ([`require_launchable`]).
#![allow(unsafe_code)]

mod operands;
mod sources;
mod update;

use glassbox_engine::geometry::Geometry;
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::{WORD, drop_below};
use glassbox_engine::optimizers::Adam;
use glassbox_engine::program::{MaskSpec, Meeting, Pooling, Weight};
use glassbox_engine::random::Stream;
use glassbox_engine::recurrent::Cell;
use glassbox_engine::shape::Shape;

use crate::device::{Arg, Buffer, Function, Gpu, Launch, args, word};
use crate::error::{DeviceError, Result};

pub(crate) use operands::activation_code;
pub use operands::{At, Control, EpilogueArgs, Order, Partials, Series, Sources};
pub use sources::{FUSED_FILES, PLAIN_FILES, plain};
pub use update::{Buffers, ClippingBuffers, Rates};

/// Threads of a block, at most.
const THREADS: usize = 256;

/// Threads of a block for the sums of [`Kernels::loss`] and [`Kernels::mean_loss`], as `block_sum.cuh` has it.
const SUM_THREADS: u32 = 256;

/// Blocks that a grid can have in its second dimension.
const BLOCKS: usize = 65_535;

/// Values that a sample's signal can have, or a weight tensor, so that indices within it and its grid are possible.
pub const LARGEST: usize = THREADS * BLOCKS;

/// Checks that a model's signals or weights are few enough for the kernels' indices and grids.
///
/// # Errors
/// Names what is too large.
pub fn require_launchable(what: &str, len: usize) -> Result<()> {
    if len > LARGEST {
        return Err(DeviceError::Refused {
            what: what.into(),
            problem: format!("{len} values are more than the {LARGEST} that a kernel can index"),
        });
    }
    Ok(())
}

/// Defines [`Kernels`], with a field for each kernel.
macro_rules! kernels {
    ($($name:ident)*) => {
        /// The plain kernels, compiled.
        #[derive(Debug)]
        pub struct Kernels {
            $($name: Function,)*
        }

        impl Kernels {
            /// Compiles them for a device, or takes them from its cache.
            ///
            /// # Errors
            /// If they cannot be compiled or loaded.
            pub fn new(device: &Gpu) -> Result<Self> {
                let module = device.compile(&plain())?;
                Ok(Self { $($name: device.function(&module, stringify!($name))?,)* })
            }
        }
    };
}
kernels! {
    gather draw apply apply_transposed transpose_kernel correlate map add multiply normalize normalize_gradient pool
    moments meet follow standardize gradient_means standardize_gradient pool_gradient index_map recur recur_gradient clear
    sum_steps sum_parts loss mean_loss clip sum_squares decay adam rmsprop sgd shift advance multiply_adds copy reads
}

impl Kernels {
    /// Copies the samples of a batch to `y`, each of `len` values.
    pub fn gather(&self, at: &At, series: &Series, order: &Order, y: &Buffer<f32>, len: usize) -> Launch {
        series.require(len);
        at.require(y, len, "room for all samples");
        // SAFETY: `y` has room for all samples, the series for every sample that there is, and the order names
        // those only: the session sees to that.
        unsafe { per_sample(&self.gather, at.samples, len, args![at, series, order, y, len]) }
    }

    /// Draws the masks of a batch; the stream is that of the mask, at any step.
    pub fn draw(&self, at: &At, mask: &Buffer<u32>, spec: MaskSpec, stream: Stream) -> Launch {
        let words = spec.len.div_ceil(WORD);
        at.require(mask, words, "room for the masks of all samples");
        require(spec.drawn > 0, "random bits to repeat");
        let ([key_0, key_1], [_, purpose]) = stream.words();
        let args = args![at, mask, words, spec.drawn, key_0, key_1, purpose, drop_below(spec.rate)];
        // SAFETY: the mask has room for all samples.
        unsafe { per_sample(&self.draw, at.samples, words, args) }
    }

    /// `y = epilogue(A x)`
    pub fn apply(
        &self,
        at: &At,
        a: &Geometry,
        [x, kernel, y]: [&Buffer<f32>; 3],
        epilogue: &EpilogueArgs,
    ) -> Launch {
        let to = a.output();
        require_contraction(at, a, [a.input(), to], [x, kernel, y], epilogue);
        // SAFETY: x, y, the kernel and what the epilogue reads are as large as the geometry and the batch ask for.
        unsafe { per_sample(&self.apply, at.samples, to.len(), args![at, a, x, kernel, y, epilogue]) }
    }

    /// `y = epilogue(A^T x)`; `transposed` is the kernel as [`Kernels::transpose_kernel`] makes it.
    pub fn apply_transposed(
        &self,
        at: &At,
        a: &Geometry,
        [x, transposed, y]: [&Buffer<f32>; 3],
        epilogue: &EpilogueArgs,
    ) -> Launch {
        let to = a.input();
        require_contraction(at, a, [a.output(), to], [x, transposed, y], epilogue);
        let args = args![at, a, x, transposed, y, epilogue];
        // SAFETY: as for `apply`, with both sides exchanged.
        unsafe { per_sample(&self.apply_transposed, at.samples, to.len(), args) }
    }

    /// A kernel `(taps, in, out)` as `(taps, out, in)`.
    pub fn transpose_kernel(&self, a: &Geometry, kernel: &Buffer<f32>, transposed: &Buffer<f32>) -> Launch {
        let len = a.kernel_len();
        require(kernel.len() >= len && transposed.len() >= len, "a kernel of the geometry");
        // SAFETY: both are as large as the geometry's kernel.
        unsafe { over(&self.transpose_kernel, len, args![a, kernel, transposed]) }
    }

    /// Adds the correlation of `x` and `y` to the partials from weight `offset` on.
    pub fn correlate(
        &self,
        at: &At,
        a: &Geometry,
        [x, y]: [&Buffer<f32>; 2],
        partials: &Partials,
        offset: usize,
    ) -> Launch {
        let Partials { values, per_part, parts, weights } = partials;
        let len = a.kernel_len();
        at.require(x, a.input().len(), "x of all samples");
        at.require(y, a.output().len(), "y of all samples");
        partials.require(at, offset, len);
        let args = args![at, a, x, y, values, weights, offset, per_part];
        // SAFETY: signals of all samples, and partials that have the kernel at `offset`. No two threads have the
        // same element.
        unsafe { per_sample(&self.correlate, *parts, len, args) }
    }

    /// `y = epilogue(x)`, for values of that shape in each sample.
    pub fn map(&self, at: &At, [x, y]: [&Buffer<f32>; 2], shape: Shape, epilogue: &EpilogueArgs) -> Launch {
        let (len, channels) = (shape.len(), shape.channels);
        at.require(x, len, "x of all samples");
        at.require(y, len, "y of all samples");
        require(x != y, "x and y apart");
        epilogue.require(at, len, channels);
        // SAFETY: x, y and what the epilogue reads are of all samples.
        unsafe { per_sample(&self.map, at.samples, len, args![at, len, channels, x, y, epilogue]) }
    }

    /// `y = a + b`, for `len` elements a sample.
    pub fn add(&self, at: &At, values: [&Buffer<f32>; 3], len: usize) -> Launch {
        of_two(&self.add, at, values, len)
    }

    /// `y = a b`, for `len` elements a sample.
    pub fn multiply(&self, at: &At, values: [&Buffer<f32>; 3], len: usize) -> Launch {
        of_two(&self.multiply, at, values, len)
    }

    /// `y`: the steps of `x`, each normalised over its channels.
    pub fn normalize(&self, at: &At, epsilon: f64, [x, y]: [&Buffer<f32>; 2], shape: Shape) -> Launch {
        at.require(x, shape.len(), "x of all samples");
        at.require(y, shape.len(), "y of all samples");
        let args = args![at, shape.steps, shape.channels, epsilon as f32, x, y];
        // SAFETY: both are of all samples.
        unsafe { per_sample(&self.normalize, at.samples, shape.steps, args) }
    }

    /// The gradient of [`Kernels::normalize`]: `dx` from `x` and `dy`.
    pub fn normalize_gradient(
        &self,
        at: &At,
        epsilon: f64,
        [x, dy, dx]: [&Buffer<f32>; 3],
        shape: Shape,
    ) -> Launch {
        for value in [x, dy, dx] {
            at.require(value, shape.len(), "values of all samples");
        }
        let args = args![at, shape.steps, shape.channels, epsilon as f32, x, dy, dx];
        // SAFETY: all three are of all samples.
        unsafe { per_sample(&self.normalize_gradient, at.samples, shape.steps, args) }
    }

    /// The mean and the variance of each channel of `x` over the steps of a sample.
    pub fn moments(&self, at: &At, [x, y]: [&Buffer<f32>; 2], shape: Shape) -> Launch {
        let Shape { steps, channels, .. } = shape;
        at.require(x, shape.len(), "x of all samples");
        at.require(y, 2 * channels, "moments of all samples");
        let args = args![at, steps, channels, x, y];
        // SAFETY: both are of all samples.
        unsafe { per_sample(&self.moments, at.samples, channels, args) }
    }

    /// A barrier: what the samples of a batch make of two numbers of each channel, and the changes of moving statistics.
    /// `moving` gives a moving statistic and its change in the partials.
    pub fn meet(
        &self,
        at: &At,
        meeting: &Meeting,
        [x, y]: [&Buffer<f32>; 2],
        channels: usize,
        moving: impl Fn(Weight) -> [Buffer<f32>; 2],
    ) -> Vec<Launch> {
        at.require(x, 2 * channels, "x of all samples");
        at.require(y, 2 * channels, "y of all samples");
        let args = args![at, channels, matches!(meeting, Meeting::Moments { .. }), x, y];
        // SAFETY: both are of all samples.
        let mut launches = vec![unsafe { over(&self.meet, channels, args) }];
        if let Meeting::Moments { momentum, moving: weights } = meeting {
            for (row, weight) in weights.iter().enumerate() {
                let [weight, change] = moving(*weight);
                require(weight.len() >= channels && change.len() >= channels, "statistics of each channel");
                let statistic = y.part(row * channels..(row + 1) * channels);
                let args = args![&statistic, &weight, &change, channels, (1.0 - momentum) as f32];
                // SAFETY: a statistic, its moving one and its change for each channel.
                launches.push(unsafe { over(&self.follow, channels, args) });
            }
        }
        launches
    }

    /// `y = (x - mean) / sqrt(variance + epsilon)`. The statistics are those of all samples, or of each, `hop` apart.
    pub fn standardize(
        &self,
        at: &At,
        epsilon: f64,
        ([mean, variance], hop): ([&Buffer<f32>; 2], usize),
        [x, y]: [&Buffer<f32>; 2],
        shape: Shape,
    ) -> Launch {
        let (len, channels) = (shape.len(), shape.channels);
        at.require(x, len, "x of all samples");
        at.require(y, len, "y of all samples");
        let last = (at.samples - 1) * hop + channels;
        require(mean.len() >= last && variance.len() >= last, "statistics for all samples");
        let args = args![at, len, channels, epsilon as f32, mean, variance, hop, x, y];
        // SAFETY: x and y are of all samples, and so are the statistics.
        unsafe { per_sample(&self.standardize, at.samples, len, args) }
    }

    /// The means of `dy` and of `dy y` over the steps of a sample, for each channel.
    pub fn gradient_means(&self, at: &At, [y, dy, means]: [&Buffer<f32>; 3], shape: Shape) -> Launch {
        let Shape { steps, channels, .. } = shape;
        at.require(y, shape.len(), "y of all samples");
        at.require(dy, shape.len(), "dy of all samples");
        at.require(means, 2 * channels, "means of all samples");
        let args = args![at, steps, channels, y, dy, means];
        // SAFETY: all three are of all samples.
        unsafe { per_sample(&self.gradient_means, at.samples, channels, args) }
    }

    /// The gradient of [`Kernels::standardize`] by the statistics of the batch: `dx` from `y` and `dy`.
    pub fn standardize_gradient(
        &self,
        at: &At,
        epsilon: f64,
        [statistics, means]: [&Buffer<f32>; 2],
        [y, dy, dx]: [&Buffer<f32>; 3],
        shape: Shape,
    ) -> Launch {
        let (len, channels) = (shape.len(), shape.channels);
        for numbers in [statistics, means] {
            at.require(numbers, 2 * channels, "numbers of each channel of all samples");
        }
        for value in [y, dy, dx] {
            at.require(value, len, "values of all samples");
        }
        let args = args![at, len, channels, epsilon as f32, statistics, means, y, dy, dx];
        // SAFETY: all five are of all samples.
        unsafe { per_sample(&self.standardize_gradient, at.samples, len, args) }
    }

    /// The maxima, or the means, of the windows of `x`.
    pub fn pool(&self, at: &At, pooling: Pooling, a: &Geometry, [x, y]: [&Buffer<f32>; 2]) -> Launch {
        at.require(x, a.input().len(), "x of all samples");
        at.require(y, a.output().len(), "y of all samples");
        let args = args![at, a, pooling == Pooling::Average, x, y];
        // SAFETY: x and y are as large as the geometry and the batch ask for.
        unsafe { per_sample(&self.pool, at.samples, a.output().len(), args) }
    }

    /// The gradient of [`Kernels::pool`].
    pub fn pool_gradient(
        &self,
        at: &At,
        pooling: Pooling,
        a: &Geometry,
        [x, dy, dx]: [&Buffer<f32>; 3],
    ) -> Launch {
        at.require(x, a.input().len(), "x of all samples");
        at.require(dy, a.output().len(), "dy of all samples");
        at.require(dx, a.input().len(), "dx of all samples");
        let args = args![at, a, pooling == Pooling::Average, x, dy, dx];
        // SAFETY: all three are as large as the geometry and the batch ask for.
        unsafe { per_sample(&self.pool_gradient, at.samples, a.input().len(), args) }
    }

    /// Each element of `y` is the sum of its sources among the `from` elements of a sample of `x`. If `keep`, elements
    /// without a source stay as they are.
    pub fn index_map(
        &self,
        at: &At,
        sources: &Sources,
        [x, y]: [&Buffer<f32>; 2],
        from: usize,
        keep: bool,
    ) -> Launch {
        let len = sources.len();
        at.require(x, from, "x of all samples");
        at.require(y, len, "y of all samples");
        require(x != y, "x and y apart");
        require(sources.below <= from, "sources among the elements of x");
        let args = args![at, from, len, &sources.starts, &sources.indices, x, y, keep];
        // SAFETY: x and y are of all samples, each element has a start, and each source is an element of x.
        unsafe { per_sample(&self.index_map, at.samples, len, args) }
    }

    /// All steps of a recurrence over `steps` steps, of which z has `z_steps`. The bias is that of a cell that takes one.
    pub fn recur(
        &self,
        at: &At,
        (cell, steps): (&Cell, usize),
        (z, z_steps): (&Buffer<f32>, usize),
        (kernel, bias): (&Buffer<f32>, Option<&Buffer<f32>>),
        trace: &Buffer<f32>,
    ) -> Launch {
        let columns = cell.columns();
        require(z_steps == 1 || z_steps == steps, "z of all steps, or of one");
        require(kernel.len() >= cell.units * columns, "the recurrent kernel");
        require(
            bias.is_none_or(|bias| cell.reset_after() && bias.len() >= 2 * columns),
            "two rows of a bias",
        );
        at.require(z, z_steps * columns, "z of all samples");
        at.require(trace, steps * cell.trace_channels(), "traces of all samples");
        let args = args![at, (cell, steps), z_steps, z, kernel, bias, bias.is_some(), trace];
        // SAFETY: z and the trace are of all samples and steps, the kernel and the bias are those of the cell.
        unsafe { Launch::new(&self.recur, [word(at.samples), 1], [unit_threads(cell), 1], 0, args) }
    }

    /// The gradient of a recurrence over `steps` steps, from that of `dh_steps` hidden states.
    pub fn recur_gradient(
        &self,
        at: &At,
        (cell, steps): (&Cell, usize),
        (dh, dh_steps): (&Buffer<f32>, usize),
        [kernel, trace, dz]: [&Buffer<f32>; 3],
    ) -> Launch {
        require(dh_steps == 1 || dh_steps == steps, "dh of all steps, or of the last");
        require(kernel.len() >= cell.units * cell.columns(), "the recurrent kernel");
        at.require(dh, dh_steps * cell.units, "dh of all samples");
        at.require(trace, steps * cell.trace_channels(), "traces of all samples");
        at.require(dz, steps * cell.gradient_channels(), "dz of all samples");
        let args = args![at, (cell, steps), dh_steps, kernel, trace, dh, dz];
        let (grid, shared) = ([word(at.samples), 1], word(cell.units * size_of::<f32>()));
        // SAFETY: signals of all samples and steps, the cell's kernel, and shared memory of a number for each unit.
        unsafe { Launch::new(&self.recur_gradient, grid, [unit_threads(cell), 1], shared, args) }
    }

    /// Zeros into all partials.
    pub fn clear(&self, partials: &Partials) -> Launch {
        let len = partials.parts * partials.weights;
        require(partials.values.len() >= len, "partials of all parts");
        // SAFETY: as many partials as are cleared.
        unsafe { over(&self.clear, len, args![&partials.values, len]) }
    }

    /// Adds the sums over the steps of `x`, `(steps, channels)`, to the partials from weight `offset` on.
    pub fn sum_steps(
        &self,
        at: &At,
        x: &Buffer<f32>,
        shape: Shape,
        partials: &Partials,
        offset: usize,
    ) -> Launch {
        let Partials { values, per_part, parts, weights } = partials;
        let Shape { steps, channels, .. } = shape;
        at.require(x, shape.len(), "x of all samples");
        partials.require(at, offset, channels);
        let args = args![at, steps, channels, x, values, weights, offset, per_part];
        let grid = [word(*parts), word(channels.div_ceil(32))];
        // SAFETY: x of all samples, and partials that have the bias at `offset`. No two threads have the same one.
        unsafe { Launch::new(&self.sum_steps, grid, [32, 8], 0, args) }
    }

    /// The gradient of the batch: the partials of its parts, added up.
    pub fn sum_parts(&self, at: &At, partials: &Partials, gradient: &Buffer<f32>) -> Launch {
        let Partials { values, per_part, weights, .. } = partials;
        partials.require(at, 0, *weights);
        require(gradient.len() >= *weights, "a gradient for each weight");
        let args = args![at, values, gradient, weights, per_part];
        // SAFETY: partials of all parts of a batch, and room for the gradient.
        unsafe { over(&self.sum_parts, *weights, args) }
    }

    /// The loss of each sample, and the gradient of their mean if `dy` is given.
    pub fn loss(
        &self,
        at: &At,
        loss: Loss,
        (y, dy): (&Buffer<f32>, Option<&Buffer<f32>>),
        (targets, order): (&Series, &Order),
        losses: &Buffer<f64>,
        len: usize,
    ) -> Launch {
        targets.require(len);
        at.require(y, len, "predictions of all samples");
        if let Some(dy) = dy {
            at.require(dy, len, "room for all gradients");
        }
        let (kind, delta) = loss_code(loss);
        let args = args![at, kind, delta, y, targets, order, losses, dy.is_some(), dy, len];
        // SAFETY: predictions and gradients of all samples, targets as for `gather`, and a loss for each sample of
        // the epoch: the session sees to that.
        unsafe { Launch::new(&self.loss, [word(at.samples), 1], [SUM_THREADS, 1], 0, args) }
    }

    /// The mean loss of the batch. One that is not finite stops the run.
    pub fn mean_loss(&self, at: &At, losses: &Buffer<f64>, means: &Buffer<f64>) -> Launch {
        // SAFETY: a loss for each sample of the epoch and room for the mean of each batch: the session sees to
        // that.
        unsafe { Launch::new(&self.mean_loss, [1; 2], [SUM_THREADS, 1], 0, args![at, losses, means]) }
    }

    /// Moves a run on by so many batches.
    pub fn advance(&self, control: &Buffer<u32>, steps: u32) -> Launch {
        require(control.len() >= Control::WORDS, "a control block");
        // SAFETY: a control block.
        unsafe { Launch::new(&self.advance, [1; 2], [1; 2], 0, args![control, steps]) }
    }

    /// `8 * rounds` multiply-adds in each of the threads that `out` has room for, a multiple of 256.
    pub fn multiply_adds(&self, out: &Buffer<f32>, rounds: usize) -> Launch {
        require(out.len().is_multiple_of(THREADS), "whole blocks");
        // Each chain comes to rest near 2, far from overflow and underflow.
        let args = args![out, 0.5f32, 1.0f32, rounds];
        // SAFETY: a place for each thread.
        unsafe { over(&self.multiply_adds, out.len(), args) }
    }

    /// `y = x`, a multiple of four values.
    pub fn copy(&self, x: &Buffer<f32>, y: &Buffer<f32>, blocks: usize) -> Launch {
        require(x.len() == y.len() && x.len().is_multiple_of(4), "as many values, in fours");
        let args = args![x, y, x.len() / 4];
        // SAFETY: both have so many quads; they begin at the start of an allocation, so quads are aligned.
        unsafe { Launch::new(&self.copy, [word(blocks), 1], [word(THREADS), 1], 0, args) }
    }

    /// Reads of `x`, a multiple of four values, four at a time: a thread for each value of `out`, so many rounds of them,
    /// which begin `stride` quads after one another.
    pub fn reads(&self, x: &Buffer<f32>, out: &Buffer<f32>, stride: usize, rounds: usize) -> Launch {
        let quads = x.len() / 4;
        require(quads > 0 && x.len().is_multiple_of(4), "values in fours");
        require(out.len().is_multiple_of(THREADS), "whole blocks");
        let args = args![x, out, quads, stride % quads, rounds];
        // SAFETY: a place for each thread; a thread stays below the number of quads, by one subtraction, since a stride
        // is less than that. They begin at the start of an allocation, so quads are aligned.
        unsafe { over(&self.reads, out.len(), args) }
    }
}

/// A launch of `add` or `multiply`: of a and b, y, of `len` elements a sample.
fn of_two(kernel: &Function, at: &At, [a, b, y]: [&Buffer<f32>; 3], len: usize) -> Launch {
    for value in [a, b, y] {
        at.require(value, len, "values of all samples");
    }
    // SAFETY: all three are of all samples.
    unsafe { per_sample(kernel, at.samples, len, args![at, len, a, b, y]) }
}

/// Threads of a block that share the units of a cell.
fn unit_threads(cell: &Cell) -> u32 {
    word(cell.units.next_multiple_of(32).min(THREADS))
}

/// The constants of Adam's kernels: `1 - beta_1`, `1 - beta_2` and epsilon.
pub(crate) fn factors(adam: &Adam) -> [f32; 3] {
    [1.0 - adam.beta_1, 1.0 - adam.beta_2, adam.epsilon].map(|factor| factor as f32)
}

/// The number of a loss in `kernels/losses.cuh`, and its delta; 0 where it has none.
pub(crate) fn loss_code(loss: Loss) -> (u32, f32) {
    match loss {
        Loss::MeanSquaredError => (1, 0.0),
        Loss::MeanAbsoluteError => (2, 0.0),
        Loss::Huber { delta } => (3, delta.get() as f32),
        Loss::LogCosh => (4, 0.0),
    }
}

fn require_contraction(
    at: &At,
    a: &Geometry,
    [from, to]: [Shape; 2],
    [x, kernel, y]: [&Buffer<f32>; 3],
    epilogue: &EpilogueArgs,
) {
    at.require(x, from.len(), "x of all samples");
    at.require(y, to.len(), "y of all samples");
    require(kernel.len() >= a.kernel_len(), "a kernel of the geometry");
    epilogue.require(at, to.len(), to.channels);
}

/// Panics unless a condition of a launch holds.
pub(crate) fn require(holds: bool, what: &str) {
    assert!(holds, "a launch needs {what}");
}

/// Threads of a block for so many elements: whole warps, and no more than it takes.
fn threads(len: usize) -> usize {
    len.next_multiple_of(32).clamp(32, THREADS)
}

/// A grid of a row of blocks for each sample, with a thread for each of `len` elements.
///
/// # Safety
/// As [`Launch::new`].
unsafe fn per_sample(function: &Function, samples: usize, len: usize, args: Vec<Arg>) -> Launch {
    let threads = threads(len);
    let grid = [word(samples), word(len.div_ceil(threads).max(1))];
    // SAFETY: the caller's.
    unsafe { Launch::new(function, grid, [word(threads), 1], 0, args) }
}

/// A row of blocks with a thread for each of `len` elements.
///
/// # Safety
/// As [`Launch::new`].
unsafe fn over(function: &Function, len: usize, args: Vec<Arg>) -> Launch {
    let threads = threads(len);
    // SAFETY: the caller's.
    unsafe { Launch::new(function, [word(len.div_ceil(threads).max(1)), 1], [word(threads), 1], 0, args) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_batch_and_are_not_too_many() {
        for batch in [0, 1, 3, 4, 5, 32, 128, 1024, 1025, 8192, 65_536, 1_000_000] {
            let (per_part, count) = Partials::cut(batch);
            assert!(per_part * count >= batch && (1..=Partials::MOST).contains(&count), "{batch}");
            assert!(per_part * (count - 1) < batch.max(1), "{batch}: no part is empty");
        }
        assert_eq!(Partials::cut(128), (4, 32));
    }

    #[test]
    fn what_a_kernel_cannot_index_is_refused() {
        require_launchable("v1", LARGEST).unwrap();
        let error = require_launchable("v1", LARGEST + 1).unwrap_err().to_string();
        assert!(error.contains("v1") && error.contains("16776960"), "{error}");
    }

    #[test]
    fn blocks_are_whole_warps() {
        for (len, expected) in [(0, 32), (1, 32), (32, 32), (33, 64), (255, 256), (256, 256), (10_000, 256)] {
            assert_eq!(threads(len), expected);
        }
    }
}
