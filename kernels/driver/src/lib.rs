//! NVIDIA's driver and its compiler NVRTC with no GPU behind them, for tests.
//!
//! `crates/cuda` finds both libraries at run time and calls them by their C interfaces. This is a library that has
//! those interfaces, as far as glassbox uses them, and runs what is launched on the host, by the shim of
//! `kernels/host`. So all that lies between a command line and a kernel is run in tests as it will be with a GPU:
//! finding the libraries, options and the cache of compiled kernels, modules, arguments as the driver reads them,
//! captured graphs, events, and every error that a driver gives.
//!
//! It holds its caller to the driver's rules:
//!
//! | rule | what breaks it gets |
//! |---|---|
//! | nothing before `cuInit`; a context that is current in the thread | `NOT_INITIALIZED`, `INVALID_CONTEXT` |
//! | handles are of things that are alive | `INVALID_HANDLE` |
//! | no more than 48 KiB of dynamic shared memory unless the kernel was allowed more | `INVALID_VALUE` |
//! | while a stream is captured: no allocation, no copy, no waiting | `STREAM_CAPTURE_UNSUPPORTED`, and a capture that is void |
//! | modules are for this architecture | `NO_BINARY_FOR_GPU` |
//! | a kernel stays within its memory, and within all that the shim checks | `ILLEGAL_ADDRESS`, from then on, for every call |
//!
//! **Work is put off as long as the interface allows**: launches, copies and events are done when somebody waits
//! for them. Whoever looks at a result too early, or frees what a graph still uses, is found out. What is wrong is said
//! on standard error in a line that begins with `stand-in:`; so is memory that is left over when the context goes.
//!
//! [`install()`] puts it into a folder under the names of the libraries, for other processes; [`plug()`] loads it into this
//! one, and gives it as many GPUs as a test wants. [`Settings`] say which GPU it stands for, and when that fails. [`TRACE`] names a file that gets a line for each call that costs time on a GPU.

mod cuda;
mod image;
mod install;
mod interface;
mod machine;
mod nvrtc;
mod settings;

pub use glassbox_shim::has_compiler;
pub use install::{Installed, install, library, plug};
pub use settings::{SETTINGS, Settings, TRACE};
