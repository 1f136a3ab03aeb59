//! The fast CPU backend of glassbox, in `f32`.
//!
//! Four ideas make it fast; each has its place.
//!
//! * **No copy of windows.** A convolution over rows of channels is a matrix product over a *view* of its
//!   padded input: a row of the view is `taps x channels` values long, and the next one starts
//!   `stride x channels` values later ([`apply`], [`apply_transposed`], [`correlate`]). So values lie with
//!   zero rows before and after them ([`layout`]), and nothing is unrolled.
//! * **Depth first.** A sample goes through the whole program, forward and backward, while its values sit
//!   in a core's cache ([`executor`]), instead of each layer sweeping over the whole batch.
//! * **Sums in a fixed order.** Samples are cut into chunks of a fixed size. Each chunk adds up its own
//!   gradient, and the chunks are added in order ([`session`]). Threads take chunks as they come, so the
//!   bits do not depend on their number.
//!
//! * **Tiles that stay in registers.** The sums of a tile of the output are made in registers from start to
//!   end, and bias, activation and dropout are applied before its only store ([`kernels`]). Each kernel is
//!   written once and compiled for each instruction set ([`simd`]), which is chosen once, when a [`Cpu`] is
//!   made.
//!
//! `unsafe` is in [`kernels`] and [`simd`] only, and in [`gemm`], which calls `matrixmultiply`: a [path](Simd)
//! of its own, through the same plans, as a yardstick for benches and tests. On the other paths nothing is
//! allocated in the training loop.
//!
//! [`Contraction`] runs one contraction by itself; [`peak`] measures the ceiling that it can be compared with.

#![deny(unsafe_code)]

mod apply;
mod apply_transposed;
mod band;
mod ceilings;
mod contractions;
mod correlate;
mod executor;
mod gemm;
mod kernels;
mod layout;
mod panels;
mod passes;
mod pieces;
mod product;
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

/// The most threads of a backend: more than any processor has cores, and few enough to be started in a second or two.
pub const MOST_THREADS: usize = 1024;

/// The fast CPU backend: a pool of threads.
///
/// Results are the same to the bit for any number of threads.
#[derive(Debug, Clone)]
pub struct Cpu {
    pool: Arc<ThreadPool>,
    simd: Simd,
}

impl Cpu {
    /// A backend of `threads` threads, or of one for each core if `None`, on the path that
    /// [`Simd::choose`] gives.
    ///
    /// # Errors
    /// As for [`Cpu::with_simd`], and if `GLASSBOX_SIMD` names no path.
    pub fn new(threads: Option<usize>) -> Result<Self> {
        Self::with_simd(threads, Simd::choose()?)
    }

    /// The same on a given path.
    ///
    /// # Errors
    /// If `threads` is not from 1 to [`MOST_THREADS`], the system cannot start so many, or the processor cannot take the
    /// path.
    pub fn with_simd(threads: Option<usize>, simd: Simd) -> Result<Self> {
        let simd = simd.require_available()?;
        if let Some(asked) = threads.filter(|threads| !(1..=MOST_THREADS).contains(threads)) {
            return Err(Error::Option {
                option: "threads",
                found: asked.to_string(),
                expected: format!("1 to {MOST_THREADS}, or none to have one for each core"),
            });
        }
        let pool = rayon::ThreadPoolBuilder::new()
            // Zero stands for one a core.
            .num_threads(threads.unwrap_or(0))
            .thread_name(|index| format!("glassbox-{index}"))
            .build()
            .map_err(|error| {
                let asked = threads.map_or("one thread for each core".into(), |n| format!("{n} threads"));
                let problem = format!("cannot start {asked}: {error}; ask for fewer (--threads)");
                Error::Device { backend: "cpu".into(), problem }
            })?;
        Ok(Self { pool: Arc::new(pool), simd })
    }

    /// The number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The path that products take.
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
