//! The fast CPU backend of glassbox, in `f32`.
//!
//! Three ideas make it fast; each has its file.
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
//! The products themselves are `matrixmultiply`'s ([`gemm`], the only module with `unsafe`). It packs its
//! operands into a buffer that it allocates for each call; apart from that nothing is allocated in the
//! training loop.

#![deny(unsafe_code)]

mod apply;
mod apply_transposed;
mod correlate;
mod epilogue;
mod executor;
mod gemm;
mod layout;
mod session;

use std::sync::Arc;

use glassbox_engine::backend::{Backend, Plan, Session};
use glassbox_engine::{Error, Result};
use rayon::ThreadPool;
use session::CpuSession;

/// The fast CPU backend: a pool of threads.
///
/// Results are the same to the bit for any number of threads.
#[derive(Debug, Clone)]
pub struct Cpu {
    pool: Arc<ThreadPool>,
}

impl Cpu {
    /// A backend of `threads` threads, or of one for each core if `None`.
    ///
    /// # Errors
    /// If `threads` is zero, or the system cannot start so many.
    pub fn new(threads: Option<usize>) -> Result<Self> {
        if threads == Some(0) {
            return Err(Error::Option {
                option: "threads",
                found: "0".into(),
                expected: "at least 1".into(),
            });
        }
        let pool = rayon::ThreadPoolBuilder::new()
            // Zero stands for one a core.
            .num_threads(threads.unwrap_or(0))
            .thread_name(|index| format!("glassbox-{index}"))
            .build()
            .map_err(|error| Error::Device { backend: "cpu".into(), problem: error.to_string() })?;
        Ok(Self { pool: Arc::new(pool) })
    }

    /// The number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }
}

impl Backend<f32> for Cpu {
    fn name(&self) -> String {
        match self.threads() {
            1 => "cpu, 1 thread".into(),
            threads => format!("cpu, {threads} threads"),
        }
    }

    fn session(&self, plan: Plan) -> Result<Box<dyn Session<f32>>> {
        Ok(Box::new(CpuSession::new(plan, Arc::clone(&self.pool))))
    }
}
