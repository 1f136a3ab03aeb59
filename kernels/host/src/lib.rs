//! CUDA kernels without a GPU, for tests and for debuggers.
//!
//! The very sources that NVRTC compiles for a GPU are compiled here as C++ and run on the host, thread by
//! thread, with every access to memory checked. `include/shim.hpp` says how that is done, what is checked and
//! what is not; this crate compiles, loads and launches. `kernels/driver` puts NVIDIA's interfaces in front of it, so
//! whatever runs on a GPU runs here.
//!
//! # A kernel in a debugger
//!
//! Every test that runs kernels can be stepped through. The sources are those in `kernels/`:
//!
//! ```sh
//! export GLASSBOX_SHIM_DEBUG=1
//! cargo test -p glassbox-shim --no-run     # names the test binary
//! gdb --args target/debug/deps/kernels-... sums_of_blocks
//! (gdb) set breakpoint pending on
//! (gdb) break sums.cu:20 if blockIdx.x == 1 && threadIdx.x == 5
//! (gdb) break shim::fail
//! (gdb) run
//! ```
//!
//! `GLASSBOX_SHIM_DEBUG` compiles without optimisation. Without it kernels run some ten times faster, and
//! breakpoints still work.

mod compile;
mod device;
mod memory;
mod scan;

pub use compile::{Module, Source, compile, has_compiler};
pub use device::{Function, HostDevice, Launch};

/// The problem, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// The result of what this crate does.
pub type Result<T, E = Error> = std::result::Result<T, E>;
