//! The fast CPU backend of glassbox, in `f32`.
//!
//! Four ideas make it fast:
//!
//! * **No copy of windows.** A convolution over rows of channels is a matrix product over a *view* of its padded input:
//!   a row of the view is `taps x channels` values long, and the next row starts `stride x channels` values later. So
//!   values are stored with zero rows before and after them, and no window is ever copied.
//! * **Tiles in registers.** The sums of a tile of the output stay in registers from start to end, and bias, activation
//!   and dropout are applied before the only store. Each kernel is written once and compiled for each instruction set,
//!   which is chosen once, when a [`Cpu`] is created.
//! * **Depth first.** A sample goes through the whole program, forward and backward, while its values are in a core's
//!   cache ([`executor`]). (The alternative is to run each layer over the whole batch.) Only recurrences take several
//!   samples in lockstep ([`recurrence`]), and at a [barrier](glassbox_engine::program) all samples of a batch meet. In
//!   inference, a window of a series computes only what it does not share with an overlapping one
//!   ([`sliding`](executor::sliding)).
//! * **Sums in a fixed order.** Samples are cut into chunks of a fixed size. Each chunk adds up its own gradient, and
//!   the chunks are added in order ([`session`]). Threads take chunks as they come, so the result is the same to the
//!   bit for any number of threads.
//!
//! `unsafe` is in [`kernels`] and [`simd`] only, and in [`gemm`], which calls `matrixmultiply`: a separate
//! [path](Simd) through the same plans, as a yardstick for benches and tests. On the other paths nothing is allocated
//! in the training loop.
//!
//! # How a convolution is computed
//!
//! A convolution takes part in three contractions (see [`geometry`](glassbox_engine::geometry)): `y = A x` forward,
//! `dx = A^T dy` and `dkernel += correlate(x, dy)` backward. Read the files in this order. Each adds one step to those
//! before it. The example is `y = A x` of a signal with 4 steps and 2 channels, and a kernel of 3 taps from 2 channels
//! to 2, with stride 1 and padding `same` (one zero row on either side).
//!
//! **1. [`contractions`]: the interface.** [`Contraction`] owns the operands of one contraction, plans it once, and
//! runs it. Tests, benches and curious readers use it; a training run ([`executor`]) uses the same plans. A plan is
//! made of the parts below, and everything that can be decided from the geometry is decided in it.
//!
//! **2. [`layout`]: zeros around the values.** The kernel reads padding, so the padding is stored. A [`Slot`] places a
//! value between its zero rows. Now every read is in bounds, and no loop tests for the ends of the signal:
//!
//! ```text
//!   step             -1     0      1      2      3      4
//!   x in memory     0  0  a0 a1  b0 b1  c0 c1  d0 d1   0  0
//! ```
//!
//! **3. [`apply`]: a matrix product.** Output step t reads 3 taps x 2 channels, which are 6 neighbouring values in
//! memory, and the next step reads 6 values that start 2 further on. So the input *is* a matrix whose rows overlap, and
//! `A x` is its product with the kernel as a matrix of 6 rows and 2 columns:
//!
//! ```text
//!   row 0     0  0 a0 a1 b0 b1                       k00 k01            y00 y01
//!   row 1           a0 a1 b0 b1 c0 c1                k10 k11            y10 y11
//!   row 2                 b0 b1 c0 c1 d0 d1     x    ..  ..       =     y20 y21
//!   row 3                       c0 c1 d0 d1  0  0    k50 k51            y30 y31
//! ```
//!
//! Here this fact becomes the numbers of a [`Band`](band::Band): row distances, taps and their order.
//!
//! **4. [`apply_transposed`]: the same product, by phases.** With stride s, the rows of `A^T x` fall into s phases
//! ([`layout::phases`]). Rows of one phase meet the same taps, so each phase is a product as in 3, with its own taps.
//! The result is again a [`Band`](band::Band); from here on both directions are the same.
//!
//! **5. [`band`]: products of a good shape.** The product in 3 has 2 columns, and a vector of AVX2 has 8 lanes. So
//! `band` may compute a block of neighbouring rows of y as one row: 4 rows here, whose 4 x 2 = 8 values are neighbours
//! in memory. A block reads 12 values of x, most of which belong to several rows, and the original
//! kernel is repeated along a diagonal:
//!
//! ```text
//!   0 0 a0 a1 b0 b1 c0 c1 d0 d1 0 0    x    12 terms of 8 columns    =    y00 y01 y10 y11 y20 y21 y30 y31
//! ```
//!
//! Half of the 96 multiply-adds are by zero, but 12 vector instructions replace 24. The choice between phases and
//! blocks is made by an estimate of the time (step 7).
//!
//! **6. [`product`]: packing.** A [`Product`](product::Product) is one such product, planned. It copies the kernel once
//! per training step into the order in which the next step reads it: term by term, zeros after the last column.
//!
//! **7. [`panels`]: a micro-kernel for each column.** Columns are cut into panels. Each panel goes to the micro-kernel
//! with the least estimated time: [`kernels::rows`] has its vectors along the columns, [`kernels::dot`] along the terms
//! of a sum, which suits outputs of few channels. In the example (AVX2), a row costs an estimated 10.2 multiply-adds by
//! `rows`, 12.2 by `dot`, and 3.6 in blocks of 4 by `rows`: blocks are chosen.
//!
//! **8. [`passes`]: the other epilogues.** The micro-kernels apply bias, ReLU, dropout and ReLU gate, in this order,
//! before they store. A pass over the stored values applies functions in another order, or to values that no
//! micro-kernel computed. The other activations are such passes, [`kernels::activations`], on the vector functions of
//! [`simd::functions`].
//!
//! **9. [`correlate`]: the gradient of the kernel.** The view of 3, transposed, times the signal on the output side: a
//! sum of outer products over the steps. It needs no packing; its micro-kernel is [`kernels::outer`].
//!
//! **10. [`recurrence`]: steps that wait for each other.** At each step, the product of the states of a group of samples
//! with the recurrent kernel, by the same micro-kernels, then the gates of all of them, [`kernels::gates`].
//!
//! **11. [`kernels`]: the loops.** Here are the only loops that must be fast. Each file has a safe function, which
//! checks all bounds once, and a task generic over the vector type, with a picture of its tile of registers.
//!
//! **12. [`simd`]: the instruction sets.** [`Vector`](simd::Vector) is the interface of a register, with one file per
//! instruction set; [`Isa`](simd::Isa) compiles a task for each of them and calls the right one.
//!
//! Compare the speed of a contraction with the ceiling of the machine, which [`peak`] measures.
//!
//! [`Slot`]: layout::Slot

#![deny(unsafe_code)]

mod apply;
mod apply_transposed;
mod band;
mod ceilings;
mod contractions;
mod correlate;
mod executor;
mod gemm;
mod index_map;
mod kernels;
mod layout;
mod panels;
mod passes;
mod pieces;
mod product;
mod recurrence;
mod session;
mod simd;

use std::sync::Arc;

use glassbox_engine::backend::{Backend, Plan, Session};
use glassbox_engine::profile::Ceilings;
use glassbox_engine::{Error, Result};
use rayon::ThreadPool;
use session::CpuSession;

pub use contractions::{Contraction, Epilogue, Operation};
pub use kernels::peak;
pub use pieces::Pieces;
pub use simd::{Simd, VARIABLE};

/// Maximum number of threads of a backend: more than any processor has cores, and few enough to start within a second
/// or two.
pub const MOST_THREADS: usize = 1024;

/// The fast CPU backend: a thread pool and an instruction set.
///
/// Results are the same to the bit for any number of threads.
#[derive(Debug, Clone)]
pub struct Cpu {
    pool: Arc<ThreadPool>,
    simd: Simd,
}

impl Cpu {
    /// Creates a backend with `threads` threads, or one per core if `None`, on the path that [`Simd::choose`] returns.
    ///
    /// # Errors
    /// As [`Cpu::with_simd`], and if `GLASSBOX_SIMD` does not name a path.
    pub fn new(threads: Option<usize>) -> Result<Self> {
        Self::with_simd(threads, Simd::choose()?)
    }

    /// Creates a backend on a given path.
    ///
    /// # Errors
    /// If `threads` is not from 1 to [`MOST_THREADS`], the system cannot start that many, or the processor does not
    /// support the path.
    pub fn with_simd(threads: Option<usize>, simd: Simd) -> Result<Self> {
        let simd = simd.require_available()?;
        if let Some(asked) = threads.filter(|threads| !(1..=MOST_THREADS).contains(threads)) {
            return Err(Error::Option {
                option: "threads",
                found: asked.to_string(),
                expected: format!("1 to {MOST_THREADS}, or none for one per core"),
            });
        }
        let pool = rayon::ThreadPoolBuilder::new()
            // Zero stands for one per core.
            .num_threads(threads.unwrap_or(0))
            .thread_name(|index| format!("glassbox-{index}"))
            .build()
            .map_err(|error| {
                let asked = threads.map_or("one thread per core".into(), |n| format!("{n} threads"));
                let problem = format!("cannot start {asked}: {error}; use fewer threads");
                Error::Device { backend: "cpu".into(), problem }
            })?;
        Ok(Self { pool: Arc::new(pool), simd })
    }

    /// The number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The path of this backend.
    #[must_use]
    pub fn simd(&self) -> Simd {
        self.simd
    }
}

impl Backend<f32> for Cpu {
    fn name(&self) -> String {
        match self.threads() {
            1 => format!("cpu, {}, 1 thread", self.simd),
            threads => format!("cpu, {}, {threads} threads", self.simd),
        }
    }

    fn session(&self, plan: Plan) -> Result<Box<dyn Session<f32>>> {
        Ok(Box::new(CpuSession::new(plan, Arc::clone(&self.pool), self.simd)?))
    }

    fn ceilings(&self, working_set: usize) -> Option<Ceilings> {
        ceilings::measure(&self.pool, self.simd, working_set)
    }
}
