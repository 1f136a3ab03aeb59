//! The GPU, and what it is asked for.
//!
//! Everything goes through NVIDIA's driver and NVRTC, which are found at run time. Tests put libraries with the same C
//! interfaces in their place (`kernels/driver`), which run the kernels on the CPU with every access checked.
//!
//! Work is done in the order in which it is asked for: writes to buffers, launches, recordings. It may not be done when
//! the call returns; [`Buffer::read`] waits for it.
//!
//! **Where a mistake could do harm.** A kernel trusts its arguments. So making a [`Launch`] is `unsafe`, and
//! happens only in [`crate::kernels`] and [`crate::fused`], where each kernel has one Rust function that checks the
//! sizes of what it is given. Launching is then safe. A launch holds on to the memory that it uses.

mod buffer;
pub mod cache;
mod discover;
mod errors;
mod gpu;
mod launch;
pub mod nvrtc;

pub use buffer::Buffer;
pub use cudarc::driver::{CudaEvent as Mark, CudaFunction as Function, CudaModule as Module};
pub use discover::{Listed, list, version};
pub use gpu::{Gpu, Recording};
pub use launch::{Arg, Launch};
pub(crate) use launch::{Operand, args, word};

/// The properties of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    /// `NVIDIA H200`.
    pub name: String,
    /// `cuda:0`.
    pub place: String,
    /// The compute capability: (9, 0).
    pub capability: (u32, u32),
    /// Bytes of shared memory that a block can have, if it asks for more than the usual 48 KiB.
    pub shared_bytes: usize,
    /// Multiprocessors.
    pub multiprocessors: usize,
    /// Bytes of device memory.
    pub memory: u64,
}

/// CUDA C++ that makes one module.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// The name of the text, for messages.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
    /// The headers that it may include: names and texts.
    pub headers: &'a [(&'a str, &'a str)],
}
