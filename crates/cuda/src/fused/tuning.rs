//! The constants that only a measurement can decide.
//!
//! The layout and the tiles of a network are chosen by a model of a multiprocessor (`tiling`). The model has three
//! numbers whose best values depend on what it does not know: how well warps hide each other's waiting, and what it
//! costs to fetch code. The bench `gpu` measures variants of them on the GPU at hand.

use super::WARP;

/// The tunings of a model's two fused kernels.
///
/// The two differ in how often a block runs through its code. A training step does so once for each launch, and what is
/// in no cache of the multiprocessor yet has to come from the second one; so that kernel is kept short, at the price of
/// more reads. Scoring runs through the same code for thousands of windows.
///
/// No GPU has been asked yet, and how much code a multiprocessor keeps is not published. That fetching can be what
/// limits a kernel is known from others: one of straight code waited 4.0 of each 6.7 cycles for its next instruction
/// (<https://forums.developer.nvidia.com/t/no-instruction-stalls-every-256-bytes-of-the-binary-code/70424>), and NVIDIA
/// describes one on an H100
/// (<https://developer.nvidia.com/blog/improving-gpu-performance-by-reducing-instruction-cache-misses/>).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tunings {
    /// The tuning of a training step. Default: 256 threads, 1100 multiply-adds, 2 cycles.
    pub step: Tuning,
    /// The tuning of scoring. Default: 256 threads, 1100 multiply-adds, 0.25 cycles.
    pub scoring: Tuning,
}

impl Default for Tunings {
    fn default() -> Self {
        let scoring = Tuning { threads: 256, straight: 1100, fetch: 0.25 };
        Self { step: Tuning { fetch: 2.0, ..scoring }, scoring }
    }
}

impl From<Tuning> for Tunings {
    /// Both kernels cut alike.
    fn from(tuning: Tuning) -> Self {
        Self { step: tuning, scoring: tuning }
    }
}

/// The constants by which a fused kernel is cut into tiles.
///
/// Any tuning gives the same gradient within rounding, since only the order of sums depends on it; and the same bits
/// each time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Threads of a block: a multiple of 32, at most 1024. More are more warps that hide each other's waiting, and
    /// fewer registers for each of them, so smaller tiles. 256 are two warps for each of a multiprocessor's
    /// schedulers, so that a thread can have 255 registers: tiles that large keep the schedulers busy by themselves.
    pub threads: usize,
    /// Multiply-adds in a piece of straight code, at most. Fewer are less code to fetch, and more operands to read for
    /// each of them. A tile of one row and one tap at a time is taken however few they are.
    pub straight: usize,
    /// Cycles to fetch an instruction that is not in the cache of the multiprocessor, as the model has it: at 0
    /// code costs nothing, and more makes tiles smaller.
    pub fetch: f64,
}

impl Tuning {
    /// Checks that there can be blocks of so many threads.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { threads, fetch, .. } = *self;
        if threads == 0 || !threads.is_multiple_of(WARP) || threads > MOST_THREADS {
            return Err(format!(
                "it is tuned for blocks of {threads} threads, and a block has a multiple of {WARP} up to {MOST_THREADS}"
            ));
        }
        if !(fetch >= 0.0 && fetch.is_finite()) {
            return Err(format!(
                "it is tuned for {fetch} cycles an instruction, expected a finite number that is not negative"
            ));
        }
        Ok(())
    }

    /// Shared memory that a kernel declares itself, in bytes: a sum of losses for each warp.
    pub(super) fn declared_bytes(&self) -> usize {
        self.threads / WARP * size_of::<f64>()
    }
}

/// Threads of a block, at most, on every architecture.
const MOST_THREADS: usize = 1024;
