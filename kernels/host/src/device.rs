//! The device: it keeps buffers and runs kernels, one launch after the other.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libloading::Symbol;

use crate::compile::Module;
use crate::memory::{Access, Heap};
use crate::{Error, Result};

/// A device that is the host.
pub struct HostDevice {
    /// Bytes of shared memory that a block can have.
    shared_bytes: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    heap: Heap,
    /// Counts the barriers of all launches.
    epoch: u64,
}

/// A buffer in the device's memory, given back when this is dropped.
pub struct Memory {
    address: usize,
    bytes: usize,
    state: Arc<Mutex<State>>,
}

/// A kernel. Its library stays loaded until the process ends.
#[derive(Clone)]
pub struct Function {
    name: String,
    entry: unsafe extern "C" fn(*const RawLaunch) -> c_int,
    parameters: Vec<Parameter>,
}

/// What a kernel takes in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// An address in device memory, or none.
    Pointer,
    /// A value of so many bytes.
    Value(usize),
}

impl Parameter {
    /// The size of its argument.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Pointer => size_of::<usize>(),
            Self::Value(bytes) => bytes,
        }
    }
}

impl Function {
    /// Its parameters, in their order.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }
}

impl Memory {
    /// Where it begins, as kernels see it.
    #[must_use]
    pub fn address(&self) -> usize {
        self.address
    }

    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
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

/// A kernel, its grid and its arguments.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The kernel.
    pub function: Function,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory of a block.
    pub shared_bytes: u32,
    /// The arguments, in the order of the kernel's parameters.
    pub args: Vec<Arg>,
}

/// An argument of a kernel.
#[derive(Debug, Clone)]
pub enum Arg {
    /// A pointer to device memory, so many bytes from its start.
    Memory(Arc<Memory>, usize),
    /// The bytes of a value, or of any other pointer.
    Bytes(Vec<u8>),
}

impl Module {
    /// The kernel of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn function(&self, name: &str) -> Result<Function> {
        type Entry = unsafe extern "C" fn(*const RawLaunch) -> c_int;
        type Parameters = unsafe extern "C" fn(*mut u64, u64) -> u64;
        let missing = |_| Error(format!("there is no kernel {name} in {}", self.name));
        // SAFETY: symbols of these prefixes are made by SHIM_EXPORT, which gives them these types.
        let (entry, parameters): (Symbol<'_, Entry>, Symbol<'_, Parameters>) = unsafe {
            let library = &self.library;
            (
                library.get(format!("shim_launch_{name}")).map_err(missing)?,
                library.get(format!("shim_parameters_{name}")).map_err(missing)?,
            )
        };
        // SAFETY: with room for none it only counts; then there is room for all.
        let bytes = unsafe {
            let mut bytes = vec![0; parameters(std::ptr::null_mut(), 0) as usize];
            parameters(bytes.as_mut_ptr(), bytes.len() as u64);
            bytes
        };
        let parameters = bytes.into_iter().map(|bytes| match bytes {
            0 => Parameter::Pointer,
            bytes => Parameter::Value(bytes as usize),
        });
        Ok(Function { name: name.into(), entry: *entry, parameters: parameters.collect() })
    }
}

impl HostDevice {
    /// A device with so many bytes of shared memory for a block.
    #[must_use]
    pub fn new(shared_bytes: usize) -> Self {
        Self { shared_bytes, state: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory with undefined contents.
    #[must_use]
    pub fn alloc(&self, bytes: usize) -> Memory {
        Memory { address: self.lock().heap.alloc(bytes), bytes, state: Arc::clone(&self.state) }
    }

    /// Copies to the device.
    ///
    /// # Errors
    /// If the bytes do not fit at that offset.
    pub fn upload(&self, bytes: &[u8], to: &Memory, offset: usize) -> Result<()> {
        self.lock().heap.write(to.address, offset, bytes)
    }

    /// Copies from the device.
    ///
    /// # Errors
    /// If there are not as many bytes at that offset, or nothing has written one of them.
    pub fn download(&self, from: &Memory, offset: usize, bytes: &mut [u8]) -> Result<()> {
        self.lock().heap.read(from.address, offset, bytes)
    }

    /// Runs a kernel.
    ///
    /// # Errors
    /// If the device cannot take the launch, or the kernel does what it must not: says which thread, what and where.
    pub fn launch(&self, launch: &Launch) -> Result<()> {
        let Function { name, entry, parameters } = &launch.function;
        let fault = |problem: &str| Error(format!("kernel {name}: {problem}"));
        let mut state = self.lock();
        let State { heap, epoch } = &mut *state;
        let value = |arg: &Arg| match arg {
            Arg::Memory(memory, offset) => (memory.address + offset).to_ne_bytes().to_vec(),
            Arg::Bytes(bytes) => bytes.clone(),
        };
        let values: Vec<Vec<u8>> = launch.args.iter().map(value).collect();
        for (position, (value, parameter)) in values.iter().zip(parameters).enumerate() {
            let (found, expected) = (value.len(), parameter.bytes());
            if found != expected {
                return Err(fault(&format!(
                    "argument {position} has {found} bytes, its parameter {expected}"
                )));
            }
        }
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
            shared_limit: u32::try_from(self.shared_bytes).expect("shared memory is small"),
            buffers: regions.as_ptr(),
            buffer_count: regions.len() as u64,
            args: args.as_ptr(),
            arg_count: args.len() as u64,
            epoch,
            message: message.as_mut_ptr().cast(),
            message_bytes: message.len() as u64,
        };
        // SAFETY: the structures are those of the shim and outlive the call; the regions are whole buffers,
        // held alone by the lock; the arguments are as large as the kernel's parameters, of which the shim counts them,
        // and it holds each pointer against the regions.
        let status = unsafe { entry(&raw const raw) };
        if status == 0 {
            return Ok(());
        }
        let len = message.iter().position(|byte| *byte == 0).unwrap_or(message.len());
        Err(fault(&String::from_utf8_lossy(&message[..len])))
    }
}

/// How a message names a buffer: by the first argument that points into it.
fn buffer_name(address: usize, launch: &Launch) -> CString {
    let points = |arg: &Arg| matches!(arg, Arg::Memory(memory, _) if memory.address == address);
    let position = launch.args.iter().position(points);
    let name = position.map_or("a buffer".into(), |position| format!("argument {position}"));
    CString::new(name).expect("no zero byte")
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).heap.free(self.address);
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} bytes)", self.bytes)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
