//! The device: it keeps buffers and runs kernels, one launch after the other.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libloading::Symbol;

use crate::compile::{self, Module, Source};
use crate::memory::{Access, Heap};
use crate::{Error, Result};

/// A device. Its limits are those of the GPU that it stands for.
#[derive(Clone)]
pub struct HostDevice {
    /// Bytes of shared memory that a block can have.
    pub shared_bytes: u32,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    heap: Heap,
    /// Counts the barriers of all launches.
    epoch: u64,
}

/// A buffer in the device's memory, freed when the last handle goes.
#[derive(Clone)]
pub struct Memory(Arc<Owned>);

struct Owned {
    address: usize,
    bytes: usize,
    state: Arc<Mutex<State>>,
}

/// A kernel.
#[derive(Clone)]
pub struct Function {
    name: String,
    entry: unsafe extern "C" fn(*const RawLaunch) -> c_int,
}

/// An argument of a kernel.
#[derive(Debug, Clone)]
pub enum Argument {
    /// An address: so many bytes into a buffer.
    Memory(Memory, usize),
    /// No address: the kernel does not touch it.
    Null,
    /// The bytes of a plain value.
    Bytes(Vec<u8>),
}

/// A launch, as `cuLaunchKernel` has it.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The kernel.
    pub function: Function,
    /// Blocks in the grid.
    pub grid: [u32; 3],
    /// Threads in a block.
    pub block: [u32; 3],
    /// Bytes of shared memory, beyond those that the kernel declares.
    pub shared_bytes: u32,
    /// One for each of the kernel's parameters.
    pub arguments: Vec<Argument>,
}

/// The shim's `Region`.
#[repr(C)]
struct RawRegion {
    base: *mut u8,
    bytes: u64,
    defined: *mut u8,
    accesses: *mut Access,
    name: *const c_char,
}

/// The shim's `Launch`.
#[repr(C)]
struct RawLaunch {
    grid: [u32; 3],
    block: [u32; 3],
    dynamic_shared: u32,
    shared_limit: u32,
    buffers: *const RawRegion,
    buffer_count: u64,
    args: *const *const c_void,
    arg_count: u64,
    epoch: *mut u64,
    message: *mut c_char,
    message_bytes: u64,
}

impl HostDevice {
    /// A device whose blocks have up to so many bytes of shared memory: 232448 (227 KiB) on Hopper.
    #[must_use]
    pub fn new(shared_bytes: u32) -> Self {
        Self { shared_bytes, state: Arc::default() }
    }

    /// The kernel `name` of a source.
    ///
    /// # Errors
    /// If the source does not compile, or has no such kernel.
    pub fn function(&self, source: &Source<'_>, name: &str) -> Result<Function> {
        function(&*compile::compile(source)?, source.name, name)
    }

    /// A buffer. Nothing has written it.
    #[must_use]
    pub fn alloc(&self, bytes: usize) -> Memory {
        let address = self.lock().heap.alloc(bytes);
        Memory(Arc::new(Owned { address, bytes, state: Arc::clone(&self.state) }))
    }

    /// Copies to a buffer.
    ///
    /// # Errors
    /// If it is too short.
    pub fn upload(&self, bytes: &[u8], to: &Memory, offset: usize) -> Result<()> {
        self.lock().heap.write(to.0.address, offset, bytes)
    }

    /// Copies from a buffer.
    ///
    /// # Errors
    /// If it is too short, or nothing has written what is asked for.
    pub fn download(&self, from: &Memory, offset: usize, bytes: &mut [u8]) -> Result<()> {
        self.lock().heap.read(from.0.address, offset, bytes)
    }

    /// Runs a kernel to its end.
    ///
    /// # Safety
    /// The arguments have the sizes of the kernel's parameters, and the kernel reaches memory only through
    /// parameters of the checked types of `dialect.cuh`.
    ///
    /// # Errors
    /// The fault that the shim found, if any: what the launch wrote before it stays written.
    pub unsafe fn launch(&self, launch: &Launch) -> Result<()> {
        let mut state = self.lock();
        let State { heap, epoch } = &mut *state;
        let addresses = launch.arguments.iter().map(|argument| match argument {
            Argument::Memory(memory, offset) => (memory.0.address + offset).to_ne_bytes().to_vec(),
            Argument::Null => 0usize.to_ne_bytes().to_vec(),
            Argument::Bytes(bytes) => bytes.clone(),
        });
        let values: Vec<Vec<u8>> = addresses.collect();
        let args: Vec<*const c_void> = values.iter().map(|value| value.as_ptr().cast()).collect();
        let names: Vec<CString> = heap.buffers.keys().map(|address| buffer_name(*address, launch)).collect();
        let regions = heap.buffers.values_mut().zip(&names).map(|(buffer, name)| RawRegion {
            base: buffer.base(),
            bytes: buffer.bytes as u64,
            defined: buffer.defined.as_mut_ptr(),
            accesses: buffer.accesses.as_mut_ptr(),
            name: name.as_ptr(),
        });
        let regions: Vec<RawRegion> = regions.collect();
        let mut message = vec![0u8; 1024];
        let raw = RawLaunch {
            grid: launch.grid,
            block: launch.block,
            dynamic_shared: launch.shared_bytes,
            shared_limit: self.shared_bytes,
            buffers: regions.as_ptr(),
            buffer_count: regions.len() as u64,
            args: args.as_ptr(),
            arg_count: args.len() as u64,
            epoch,
            message: message.as_mut_ptr().cast(),
            message_bytes: message.len() as u64,
        };
        // SAFETY: the structures are those of the shim and outlive the call; the regions are whole buffers,
        // held alone by the lock; the sizes of the arguments are the caller's promise.
        let status = unsafe { (launch.function.entry)(&raw const raw) };
        if status == 0 {
            return Ok(());
        }
        let len = message.iter().position(|byte| *byte == 0).unwrap_or(message.len());
        Err(Error::Fault(String::from_utf8_lossy(&message[..len]).into_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn function(module: &Module, source: &str, name: &str) -> Result<Function> {
    let symbol = format!("shim_launch_{name}");
    // SAFETY: symbols of this prefix are made by SHIM_EXPORT, which gives them this type.
    let entry: Result<Symbol<'_, unsafe extern "C" fn(*const RawLaunch) -> c_int>, _> =
        unsafe { module.library.get(&symbol) };
    let what = || format!("the kernel {name} of {source}");
    let entry = *entry.map_err(|source| Error::Load { what: what(), source })?;
    Ok(Function { name: name.into(), entry })
}

/// How a message names a buffer: by the first argument that points into it.
fn buffer_name(address: usize, launch: &Launch) -> CString {
    let position = launch
        .arguments
        .iter()
        .position(|argument| matches!(argument, Argument::Memory(memory, _) if memory.0.address == address));
    let name = position.map_or("a buffer".into(), |position| format!("argument {position}"));
    CString::new(name).expect("no zero byte")
}

impl Memory {
    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).heap.free(self.address);
    }
}

impl fmt::Debug for HostDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostDevice({} bytes of shared memory)", self.shared_bytes)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} bytes)", self.0.bytes)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
