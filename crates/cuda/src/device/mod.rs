//! The GPU, and what it is asked for.
//!
//! Everything goes through NVIDIA's driver and NVRTC, which are found at run time. Tests put libraries with the same C
//! interfaces in their place (`kernels/driver`), which run the kernels on the CPU with every access checked.
//!
//! Work is done in the order in which it is asked for: uploads, launches, recordings. It may not be done when
//! the call returns; [`Gpu::download`] and [`Gpu::synchronize`] wait for it.
//!
//! **Where a mistake could do harm.** A kernel trusts its arguments. So making a [`Launch`] is `unsafe`, and
//! happens in [`crate::kernels`] only, where each kernel has one Rust function that checks the sizes of what
//! it is given. Launching is then safe. A launch holds on to the memory that it uses.

mod buffer;
pub mod cache;
mod driver;
pub mod nvrtc;

use std::sync::Arc;

pub use buffer::Buffer;
pub use driver::{Function, Gpu, Listed, Mark, Memory, Module, Recording, list, version};

/// What a device is.
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
    /// Macros: names and values.
    pub defines: &'a [(&'a str, String)],
}

/// An argument of a kernel.
#[derive(Debug, Clone)]
pub enum Arg {
    /// A pointer to device memory, so many bytes from its start.
    Memory(Arc<Memory>, usize),
    /// A pointer that the kernel does not follow.
    Null,
    /// A number.
    U32(u32),
    /// A number.
    F32(f32),
    /// A struct by value, of plain numbers of 4 or 8 bytes.
    Bytes(Vec<u8>),
}

/// A kernel, its grid and its arguments.
#[derive(Debug, Clone)]
pub struct Launch {
    function: Function,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    args: Vec<Arg>,
}

impl Launch {
    /// A launch of `grid` blocks of `block` threads, each block with `shared_bytes` of dynamic shared memory.
    ///
    /// # Safety
    /// * the arguments are the kernel's parameters, in their order and of their types;
    /// * with these arguments, and whatever the memory holds, the kernel stays within the memory that it is
    ///   given, reads none that was never written, and no two threads race.
    #[expect(unsafe_code, reason = "nothing is done here; whoever calls it vouches for the kernel")]
    pub unsafe fn new(
        function: &Function,
        grid: [u32; 3],
        block: [u32; 3],
        shared_bytes: u32,
        args: Vec<Arg>,
    ) -> Self {
        Self { function: function.clone(), grid, block, shared_bytes, args }
    }
}
