//! The plain kernels, one Rust function for each: what it is given, how large that must be, and its grid.
//!
//! A kernel trusts its arguments, so making a launch is `unsafe`, and is done here and nowhere else. Each function
//! holds what it is given against what its kernel reads and writes. That sizes are not what they should be is a
//! mistake in this crate, not in a model, and panics; a model that is too large for a grid is refused before
//! ([`require_launchable`]).
#![allow(unsafe_code)]

mod operands;
mod sources;

use glassbox_engine::geometry::{Geometry, GeometrySpec};
use glassbox_engine::losses::Loss;
use glassbox_engine::optimizers::Adam;
use glassbox_engine::random::Stream;

use crate::device::{Arg, Buffer, Function, Gpu, Launch};
use crate::error::{DeviceError, Result};

pub use operands::{At, Control, Epilogue, Order, Partials, Parts, Series};
pub use sources::{FUSED_FILES, PLAIN_FILES, plain};

/// Threads of a block, at most.
const THREADS: usize = 256;

/// Threads of a block for the sums of [`Kernels::loss`] and [`Kernels::mean_loss`], as `block_sum.cuh` has it.
const SUM_THREADS: u32 = 256;

/// Blocks that a grid can have in its second dimension.
const BLOCKS: usize = 65_535;

/// Values that a sample's signal can have, or a weight tensor, so that indices within it and its grid are possible.
pub const LARGEST: usize = THREADS * BLOCKS;

/// That a model's signals and weights are small enough for the kernels' indices and grids.
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

/// The plain kernels, compiled.
#[derive(Debug)]
pub struct Kernels {
    gather: Function,
    draw: Function,
    apply: Function,
    apply_transposed: Function,
    transpose_kernel: Function,
    correlate: Function,
    map: Function,
    add: Function,
    clear: Function,
    sum_steps: Function,
    sum_parts: Function,
    loss: Function,
    mean_loss: Function,
    adam: Function,
    advance: Function,
    multiply_adds: Function,
    copy: Function,
    reads: Function,
}

impl Kernels {
    /// Compiles them for a device, or takes them from its cache.
    ///
    /// # Errors
    /// If they cannot be compiled or loaded.
    pub fn new(device: &Gpu) -> Result<Self> {
        let module = device.compile(&plain())?;
        let kernel = |name| device.function(&module, name);
        Ok(Self {
            gather: kernel("gather")?,
            draw: kernel("draw")?,
            apply: kernel("apply")?,
            apply_transposed: kernel("apply_transposed")?,
            transpose_kernel: kernel("transpose_kernel")?,
            correlate: kernel("correlate")?,
            map: kernel("map")?,
            add: kernel("add")?,
            clear: kernel("clear")?,
            sum_steps: kernel("sum_steps")?,
            sum_parts: kernel("sum_parts")?,
            loss: kernel("loss")?,
            mean_loss: kernel("mean_loss")?,
            adam: kernel("adam")?,
            advance: kernel("advance")?,
            multiply_adds: kernel("multiply_adds")?,
            copy: kernel("copy")?,
            reads: kernel("reads")?,
        })
    }

    /// Copies the samples of a batch to `y`, each of `len` values.
    #[must_use]
    pub fn gather(&self, at: &At, series: &Series, order: &Order, y: &Buffer<f32>, len: usize) -> Launch {
        require_series(series, len);
        require(y.len() >= at.samples * len, "room for all samples");
        let args = [at.args(), series.args(), order_args(order)].concat();
        let args = [args, vec![y.arg(), Arg::U32(word(len))]].concat();
        // SAFETY: `y` has room for all samples, the series for every sample that there is, and the order names
        // those only: the session sees to that.
        unsafe { per_sample(&self.gather, at.samples, len, args) }
    }

    /// Draws the masks of a batch, each of `len` elements of which the fraction `rate` is dropped; the stream is
    /// that of the mask, at any step.
    #[must_use]
    pub fn draw(&self, at: &At, mask: &Buffer<u32>, len: usize, stream: Stream, drop_below: u32) -> Launch {
        let words = len.div_ceil(32);
        require(mask.len() >= at.samples * words, "room for the masks of all samples");
        let ([key_0, key_1], [_, purpose]) = stream.words();
        let mut args = at.args();
        args.extend([mask.arg(), Arg::U32(word(words))]);
        args.extend([key_0, key_1, purpose, drop_below].map(Arg::U32));
        // SAFETY: the mask has room for all samples.
        unsafe { per_sample(&self.draw, at.samples, words, args) }
    }

    /// `y = epilogue(A x)`
    #[must_use]
    pub fn apply(
        &self,
        at: &At,
        geometry: &Geometry,
        x: &Buffer<f32>,
        kernel: &Buffer<f32>,
        y: &Buffer<f32>,
        epilogue: &Epilogue,
    ) -> Launch {
        let (input, output) = (geometry.input(), geometry.output());
        require_map(at, geometry, (x, input.len()), kernel, (y, output.len()));
        let args =
            map_args(at, geometry, x, kernel, y, epilogue.args(at.samples, output.len(), output.channels));
        // SAFETY: x, y, the kernel and what the epilogue reads are as large as the geometry and the batch ask for.
        unsafe { per_sample(&self.apply, at.samples, output.len(), args) }
    }

    /// `y = epilogue(A^T x)`; `transposed` is the kernel as [`Kernels::transpose_kernel`] makes it.
    #[must_use]
    pub fn apply_transposed(
        &self,
        at: &At,
        geometry: &Geometry,
        x: &Buffer<f32>,
        transposed: &Buffer<f32>,
        y: &Buffer<f32>,
        epilogue: &Epilogue,
    ) -> Launch {
        let (input, output) = (geometry.input(), geometry.output());
        require_map(at, geometry, (x, output.len()), transposed, (y, input.len()));
        let args =
            map_args(at, geometry, x, transposed, y, epilogue.args(at.samples, input.len(), input.channels));
        // SAFETY: as for `apply`, with both sides exchanged.
        unsafe { per_sample(&self.apply_transposed, at.samples, input.len(), args) }
    }

    /// A kernel `(taps, in, out)` as `(taps, out, in)`.
    #[must_use]
    pub fn transpose_kernel(
        &self,
        geometry: &Geometry,
        kernel: &Buffer<f32>,
        transposed: &Buffer<f32>,
    ) -> Launch {
        let len = geometry.kernel_len();
        require(kernel.len() >= len && transposed.len() >= len, "a kernel of the geometry");
        let args = vec![geometry_arg(geometry), kernel.arg(), transposed.arg()];
        // SAFETY: both are as large as the geometry's kernel.
        unsafe { over(&self.transpose_kernel, len, args) }
    }

    /// Adds the correlation of `x` and `y` to the partials from weight `offset` on.
    #[must_use]
    pub fn correlate(
        &self,
        at: &At,
        geometry: &Geometry,
        x: &Buffer<f32>,
        y: &Buffer<f32>,
        partials: &Partials,
        offset: usize,
    ) -> Launch {
        let len = geometry.kernel_len();
        require(x.len() >= at.samples * geometry.input().len(), "x of all samples");
        require(y.len() >= at.samples * geometry.output().len(), "y of all samples");
        partials.require(at, offset, len);
        let mut args = at.args();
        args.extend([geometry_arg(geometry), x.arg(), y.arg()]);
        args.extend(partials.args(offset));
        // SAFETY: signals of all samples, and partials that have the kernel at `offset`. No two threads have the
        // same element.
        unsafe { per_sample(&self.correlate, partials.parts.count, len, args) }
    }

    /// `y = epilogue(x)`, for `len` elements a sample.
    #[must_use]
    pub fn map(
        &self,
        at: &At,
        x: &Buffer<f32>,
        y: &Buffer<f32>,
        (len, channels): (usize, usize),
        epilogue: &Epilogue,
    ) -> Launch {
        require(x.len() >= at.samples * len && y.len() >= at.samples * len, "x and y of all samples");
        require(!x.is(y), "x and y apart");
        let mut args = at.args();
        args.extend([Arg::U32(word(len)), Arg::U32(word(channels)), x.arg(), y.arg()]);
        args.extend(epilogue.args(at.samples, len, channels));
        // SAFETY: x, y and what the epilogue reads are of all samples.
        unsafe { per_sample(&self.map, at.samples, len, args) }
    }

    /// `y = a + b`, for `len` elements a sample.
    #[must_use]
    pub fn add(&self, at: &At, a: &Buffer<f32>, b: &Buffer<f32>, y: &Buffer<f32>, len: usize) -> Launch {
        require([a, b, y].iter().all(|value| value.len() >= at.samples * len), "values of all samples");
        let mut args = at.args();
        args.extend([Arg::U32(word(len)), a.arg(), b.arg(), y.arg()]);
        // SAFETY: all three are of all samples.
        unsafe { per_sample(&self.add, at.samples, len, args) }
    }

    /// Zeros into all partials.
    #[must_use]
    pub fn clear(&self, partials: &Partials) -> Launch {
        let len = partials.parts.count * partials.weights;
        require(partials.values.len() >= len, "partials of all parts");
        // SAFETY: as many partials as are cleared.
        unsafe { over(&self.clear, len, vec![partials.values.arg(), Arg::U32(word(len))]) }
    }

    /// Adds the sums over the steps of `x`, `(steps, channels)`, to the partials from weight `offset` on.
    #[must_use]
    pub fn sum_steps(
        &self,
        at: &At,
        x: &Buffer<f32>,
        (steps, channels): (usize, usize),
        partials: &Partials,
        offset: usize,
    ) -> Launch {
        require(x.len() >= at.samples * steps * channels, "x of all samples");
        partials.require(at, offset, channels);
        let mut args = at.args();
        args.extend([Arg::U32(word(steps)), Arg::U32(word(channels)), x.arg()]);
        args.extend(partials.args(offset));
        let grid = [word(partials.parts.count), word(channels.div_ceil(32)), 1];
        // SAFETY: x of all samples, and partials that have the bias at `offset`. No two threads have the same one.
        unsafe { Launch::new(&self.sum_steps, grid, [32, 8, 1], 0, args) }
    }

    /// The gradient of the batch: the partials of its parts, added up.
    #[must_use]
    pub fn sum_parts(&self, at: &At, partials: &Partials, gradient: &Buffer<f32>) -> Launch {
        let Partials { values, parts, weights } = partials;
        partials.require(at, 0, *weights);
        require(gradient.len() >= *weights, "a gradient for each weight");
        let mut args = at.args();
        args.extend([values.arg(), gradient.arg(), Arg::U32(word(*weights)), Arg::U32(word(parts.per_part))]);
        // SAFETY: partials of all parts of a batch, and room for the gradient.
        unsafe { over(&self.sum_parts, *weights, args) }
    }

    /// The loss of each sample, and the gradient of their mean if `dy` is given.
    #[must_use]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different thing that the kernel reads or writes"
    )]
    pub fn loss(
        &self,
        at: &At,
        loss: Loss,
        y: &Buffer<f32>,
        targets: &Series,
        order: &Order,
        losses: &Buffer<f64>,
        dy: Option<&Buffer<f32>>,
        len: usize,
    ) -> Launch {
        require_series(targets, len);
        require(y.len() >= at.samples * len, "predictions of all samples");
        require(dy.is_none_or(|dy| dy.len() >= at.samples * len), "room for all gradients");
        let kind = match loss {
            Loss::MeanSquaredError => 0,
            Loss::MeanAbsoluteError => 1,
        };
        let mut args = at.args();
        args.extend([Arg::U32(kind), y.arg()]);
        args.extend(targets.args());
        args.extend(order_args(order));
        args.extend([losses.arg(), Arg::U32(dy.is_some().into()), dy.map_or(Arg::Null, Buffer::arg)]);
        args.push(Arg::U32(word(len)));
        // SAFETY: predictions and gradients of all samples, targets as for `gather`, and a loss for each sample of
        // the epoch: the session sees to that.
        unsafe { Launch::new(&self.loss, [word(at.samples), 1, 1], [SUM_THREADS, 1, 1], 0, args) }
    }

    /// The mean loss of the batch. One that is not finite stops the run.
    #[must_use]
    pub fn mean_loss(&self, at: &At, losses: &Buffer<f64>, means: &Buffer<f64>) -> Launch {
        let args = [at.args(), vec![losses.arg(), means.arg()]].concat();
        // SAFETY: a loss for each sample of the epoch and room for the mean of each batch: the session sees to
        // that.
        unsafe { Launch::new(&self.mean_loss, [1; 3], [SUM_THREADS, 1, 1], 0, args) }
    }

    /// Adam's step, for all weights.
    #[must_use]
    pub fn adam(
        &self,
        at: &At,
        adam: &Adam,
        gradient: &Buffer<f32>,
        [theta, m, v]: [&Buffer<f32>; 3],
        alphas: &Buffer<f32>,
    ) -> Launch {
        let weights = theta.len();
        require(
            [gradient, m, v].iter().all(|slot| slot.len() >= weights),
            "a gradient and two moments a weight",
        );
        let mut args = at.args();
        args.extend([gradient, theta, m, v].map(Buffer::arg));
        args.extend([Arg::U32(word(weights)), alphas.arg()]);
        args.extend(
            [1.0 - adam.beta_1, 1.0 - adam.beta_2, adam.epsilon].map(|factor| Arg::F32(factor as f32)),
        );
        // SAFETY: four slots of all weights, and an alpha for each batch of the epoch: the session sees to that.
        unsafe { over(&self.adam, weights, args) }
    }

    /// Moves a run on by so many batches.
    #[must_use]
    pub fn advance(&self, control: &Buffer<u32>, steps: u32) -> Launch {
        require(control.len() >= Control::WORDS, "a control block");
        // SAFETY: a control block.
        unsafe { Launch::new(&self.advance, [1; 3], [1; 3], 0, vec![control.arg(), Arg::U32(steps)]) }
    }

    /// `8 * rounds` multiply-adds in each of the threads that `out` has room for, a multiple of 256.
    #[must_use]
    pub fn multiply_adds(&self, out: &Buffer<f32>, rounds: u32) -> Launch {
        require(out.len().is_multiple_of(THREADS), "whole blocks");
        // Each chain comes to rest near 2, far from overflow and underflow.
        let args = vec![out.arg(), Arg::F32(0.5), Arg::F32(1.0), Arg::U32(rounds)];
        // SAFETY: a place for each thread.
        unsafe { over(&self.multiply_adds, out.len(), args) }
    }

    /// `y = x`, a multiple of four values.
    #[must_use]
    pub fn copy(&self, x: &Buffer<f32>, y: &Buffer<f32>, blocks: u32) -> Launch {
        require(x.len() == y.len() && x.len().is_multiple_of(4), "as many values, in fours");
        let args = vec![x.arg(), y.arg(), Arg::U32(word(x.len() / 4))];
        // SAFETY: both have so many quads; they begin at the start of an allocation, so quads are aligned.
        unsafe { Launch::new(&self.copy, [blocks, 1, 1], [THREADS as u32, 1, 1], 0, args) }
    }

    /// Reads of `x`, a multiple of four values, four at a time: a thread for each value of `out`, so many rounds of them,
    /// which begin `stride` quads after one another.
    #[must_use]
    pub fn reads(&self, x: &Buffer<f32>, out: &Buffer<f32>, stride: usize, rounds: u32) -> Launch {
        let quads = x.len() / 4;
        require(quads > 0 && x.len().is_multiple_of(4), "values in fours");
        require(out.len().is_multiple_of(THREADS), "whole blocks");
        let args =
            vec![x.arg(), out.arg(), Arg::U32(word(quads)), Arg::U32(word(stride % quads)), Arg::U32(rounds)];
        // SAFETY: a place for each thread; a thread stays below the number of quads, by one subtraction, since a stride
        // is less than that. They begin at the start of an allocation, so quads are aligned.
        unsafe { over(&self.reads, out.len(), args) }
    }
}

fn order_args(order: &Order) -> Vec<Arg> {
    vec![order.as_ref().map_or(Arg::Null, Buffer::arg), Arg::U32(order.is_some().into())]
}

fn map_args(
    at: &At,
    geometry: &Geometry,
    x: &Buffer<f32>,
    kernel: &Buffer<f32>,
    y: &Buffer<f32>,
    epilogue: [Arg; 4],
) -> Vec<Arg> {
    let mut args = at.args();
    args.extend([geometry_arg(geometry), x.arg(), kernel.arg(), y.arg()]);
    args.extend(epilogue);
    args
}

/// `struct Geometry` of `geometry.cuh`.
fn geometry_arg(geometry: &Geometry) -> Arg {
    let GeometrySpec { in_steps, in_channels, out_steps, out_channels, taps, stride, dilation, pad_left } =
        **geometry;
    let words = [in_steps, in_channels, out_steps, out_channels, taps, stride, dilation, pad_left];
    Arg::Bytes(words.iter().flat_map(|n| word(*n).to_le_bytes()).collect())
}

fn require_map(
    at: &At,
    geometry: &Geometry,
    (x, x_len): (&Buffer<f32>, usize),
    kernel: &Buffer<f32>,
    (y, y_len): (&Buffer<f32>, usize),
) {
    require(x.len() >= at.samples * x_len, "x of all samples");
    require(y.len() >= at.samples * y_len, "y of all samples");
    require(kernel.len() >= geometry.kernel_len(), "a kernel of the geometry");
}

fn require_series(series: &Series, len: usize) {
    let used = series.samples.checked_sub(1).map_or(0, |last| last * series.hop + len);
    require(series.values.len() >= used, "a series that has all samples");
}

fn require(holds: bool, what: &str) {
    assert!(holds, "a launch needs {what}");
}

/// A number as kernels read it. Sizes were looked at when the session was made.
fn word(n: usize) -> u32 {
    u32::try_from(n).unwrap_or_else(|_| panic!("{n} is no 32-bit number"))
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
    let grid = [word(samples), word(len.div_ceil(threads).max(1)), 1];
    // SAFETY: the caller's.
    unsafe { Launch::new(function, grid, [word(threads), 1, 1], 0, args) }
}

/// A row of blocks with a thread for each of `len` elements.
///
/// # Safety
/// As [`Launch::new`].
unsafe fn over(function: &Function, len: usize, args: Vec<Arg>) -> Launch {
    let threads = threads(len);
    // SAFETY: the caller's.
    unsafe {
        Launch::new(function, [word(len.div_ceil(threads).max(1)), 1, 1], [word(threads), 1, 1], 0, args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_batch_and_are_not_too_many() {
        for batch in [0, 1, 3, 4, 5, 32, 128, 1024, 1025, 8192, 65_536, 1_000_000] {
            let Parts { per_part, count } = Parts::of(batch);
            assert!(per_part * count >= batch && (1..=Parts::MOST).contains(&count), "{batch}");
            assert!(per_part * (count - 1) < batch.max(1), "{batch}: no part is empty");
        }
        assert_eq!(Parts::of(128), Parts { per_part: 4, count: 32 });
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
