//! A machine that compiles CUDA C++ and launches kernels.
//!
//! [`Device`] is all that the rest of this crate asks of CUDA. A GPU is one (`Gpu`, through the driver and
//! NVRTC); the host shim of `kernels/host` is another, which compiles the same sources as C++ and runs them on
//! the CPU with every access checked. What is above this line cannot tell them apart.
//!
//! Work is done in the order in which it is asked for: uploads, launches, recordings. It may not be done when
//! the call returns; [`Device::download`] and [`Device::synchronize`] wait for it.
//!
//! **Where a mistake could do harm.** A kernel trusts its arguments. So making a [`Launch`] is `unsafe`, and
//! happens in [`crate::kernels`] only, where each kernel has one Rust function that checks the sizes of what
//! it is given. Launching is then safe. A launch holds on to the memory that it uses.

mod buffer;
pub mod cache;
#[cfg(feature = "driver")]
mod driver;
pub mod nvrtc;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

pub use buffer::Buffer;
#[cfg(feature = "driver")]
pub use driver::{Gpu, Listed, list, version};

use crate::error::Result;

/// A machine that compiles CUDA C++ and launches kernels. See the head of this module.
pub trait Device: Debug + Send + Sync + 'static {
    /// Compiled source.
    type Module: Send + Sync;
    /// A kernel of a module, which it keeps alive.
    type Function: Clone + Debug + Send + Sync;
    /// A piece of device memory. It is given back when this is dropped.
    type Memory: Debug + Send + Sync;
    /// Launches that are ready to be done again: a CUDA graph.
    type Recording: Send;
    /// A moment in the order of the work: a CUDA event.
    type Mark: Send;

    /// What the machine is.
    fn properties(&self) -> &Properties;

    /// Compiles.
    ///
    /// # Errors
    /// If there is no compiler, or it refuses the source.
    fn compile(&self, source: &Source<'_>) -> Result<Self::Module>;

    /// The kernel of that name.
    ///
    /// # Errors
    /// If there is none.
    fn function(&self, module: &Self::Module, name: &str) -> Result<Self::Function>;

    /// Memory with undefined contents.
    ///
    /// # Errors
    /// If there is not as much left.
    fn alloc(&self, bytes: usize) -> Result<Self::Memory>;

    /// Fills with zero bytes.
    ///
    /// # Errors
    /// If the device fails.
    fn zero(&self, memory: &Self::Memory) -> Result<()>;

    /// Copies to the device. `bytes` may change as soon as this returns.
    ///
    /// # Errors
    /// If the bytes do not fit at that offset, or the device fails.
    fn upload(&self, bytes: &[u8], to: &Self::Memory, offset: usize) -> Result<()>;

    /// Copies from the device, when all work before is done.
    ///
    /// # Errors
    /// If there are not as many bytes at that offset, or the device or any work before has failed.
    fn download(&self, from: &Self::Memory, offset: usize, bytes: &mut [u8]) -> Result<()>;

    /// Launches a kernel.
    ///
    /// # Errors
    /// If the device cannot take it.
    fn launch(&self, launch: &Launch<Self>) -> Result<()>;

    /// Makes launches ready to be done again, one after the other.
    ///
    /// # Errors
    /// If the device cannot take them.
    fn record(&self, launches: &[Launch<Self>]) -> Result<Self::Recording>;

    /// Does recorded launches.
    ///
    /// # Errors
    /// If the device fails.
    fn replay(&self, recording: &Self::Recording) -> Result<()>;

    /// Waits for all work.
    ///
    /// # Errors
    /// If any of it has failed.
    fn synchronize(&self) -> Result<()>;

    /// Marks this moment in the order of the work.
    ///
    /// # Errors
    /// If the device fails.
    fn mark(&self) -> Result<Self::Mark>;

    /// The time between two marks. Waits for the later one.
    ///
    /// # Errors
    /// If the device or any work before `end` has failed.
    fn elapsed(&self, start: &Self::Mark, end: &Self::Mark) -> Result<Duration>;
}

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
    /// What it may include: names and texts.
    pub headers: &'a [(&'a str, &'a str)],
    /// Macros: names and values.
    pub defines: &'a [(&'a str, String)],
}

/// An argument of a kernel.
#[derive(Debug)]
pub enum Arg<M> {
    /// A pointer to device memory, so many bytes from its start.
    Memory(Arc<M>, usize),
    /// A pointer that the kernel does not follow.
    Null,
    /// A number.
    U32(u32),
    /// A number.
    F32(f32),
    /// A struct by value, of plain numbers of 4 or 8 bytes.
    Bytes(Vec<u8>),
}

// Derived, it would ask for memory that can be cloned.
impl<M> Clone for Arg<M> {
    fn clone(&self) -> Self {
        match self {
            Self::Memory(memory, offset) => Self::Memory(Arc::clone(memory), *offset),
            Self::Null => Self::Null,
            Self::U32(number) => Self::U32(*number),
            Self::F32(number) => Self::F32(*number),
            Self::Bytes(bytes) => Self::Bytes(bytes.clone()),
        }
    }
}

/// A kernel, its grid and its arguments.
#[derive(Debug)]
pub struct Launch<D: Device + ?Sized> {
    function: D::Function,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    args: Vec<Arg<D::Memory>>,
}

impl<D: Device + ?Sized> Clone for Launch<D> {
    fn clone(&self) -> Self {
        Self { function: self.function.clone(), args: self.args.clone(), ..*self }
    }
}

impl<D: Device + ?Sized> Launch<D> {
    /// A launch of `grid` blocks of `block` threads, each block with `shared_bytes` of dynamic shared memory.
    ///
    /// # Safety
    /// * the arguments are the kernel's parameters, in their order and of their types;
    /// * with these arguments, and whatever the memory holds, the kernel stays within the memory that it is
    ///   given, reads none that was never written, and no two threads race.
    #[expect(unsafe_code, reason = "nothing is done here; whoever calls it vouches for the kernel")]
    pub unsafe fn new(
        function: &D::Function,
        grid: [u32; 3],
        block: [u32; 3],
        shared_bytes: u32,
        args: Vec<Arg<D::Memory>>,
    ) -> Self {
        Self { function: function.clone(), grid, block, shared_bytes, args }
    }

    /// The kernel.
    #[must_use]
    pub fn function(&self) -> &D::Function {
        &self.function
    }

    /// Blocks.
    #[must_use]
    pub fn grid(&self) -> [u32; 3] {
        self.grid
    }

    /// Threads of a block.
    #[must_use]
    pub fn block(&self) -> [u32; 3] {
        self.block
    }

    /// Bytes of dynamic shared memory of a block.
    #[must_use]
    pub fn shared_bytes(&self) -> u32 {
        self.shared_bytes
    }

    /// The arguments, in the order of the kernel's parameters.
    #[must_use]
    pub fn args(&self) -> &[Arg<D::Memory>] {
        &self.args
    }
}
