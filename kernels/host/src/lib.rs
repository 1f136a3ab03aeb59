//! A CUDA device without a GPU, for tests and for debuggers.
//!
//! The very sources that NVRTC compiles for a GPU are compiled here as C++ and run on the host, thread by
//! thread, with every access to memory checked. `include/shim.hpp` says how that is done, what is checked and
//! what is not; this crate compiles, loads and launches.
//!
//! * [`compile`]: a source becomes a shared library, kept in `target/shim` under a hash of all that it was made of;
//! * [`device`]: memory, launches, and the faults that a launch can end with.
//!
//! # A kernel in a debugger
//!
//! Every test that runs kernels can be stepped through. The sources are those in `kernels/`:
//!
//! ```sh
//! GLASSBOX_SHIM_DEBUG=1 cargo test -p glassbox-shim --no-run     # names the test binary
//! GLASSBOX_SHIM_DEBUG=1 gdb --args target/debug/deps/kernels-... sums_of_blocks
//! (gdb) set breakpoint pending on
//! (gdb) break sums.cu:20 if blockIdx.x == 1 && threadIdx.x == 5
//! (gdb) break shim::fail
//! (gdb) run
//! ```
//!
//! `GLASSBOX_SHIM_DEBUG` compiles without optimisation. Without it kernels run some ten times faster, and
//! breakpoints still work.

pub mod compile;
pub mod device;
mod memory;
mod scan;

pub use compile::Source;
pub use device::{Argument, HostDevice, Launch, Memory};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No compiler, or nowhere to put what it makes.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why it could not.
        source: std::io::Error,
    },
    /// The compiler refused a source.
    #[error("{name} does not compile as C++:\n{log}")]
    Compile {
        /// The source.
        name: String,
        /// What the compiler said.
        log: String,
    },
    /// A library cannot be loaded, or lacks a kernel.
    #[error("{what}: {source}")]
    Load {
        /// What was looked for.
        what: String,
        /// Why it was not found.
        source: libloading::Error,
    },
    /// A kernel did what a GPU does not forgive.
    #[error("{0}")]
    Fault(String),
    /// A copy that does not fit its buffer, or one of what nobody wrote.
    #[error("{0}")]
    Copy(String),
}

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
