//! The device: it keeps buffers and runs kernels, one launch after the other.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt;

use crate::compile::Module;
use crate::memory::{Access, Heap};
use crate::{Error, Result};

/// A device that is the host.
pub struct HostDevice {
    /// Bytes of shared memory that a block can have.
    shared_bytes: usize,
    heap: Heap,
    /// Counts the barriers of all launches.
    epoch: u64,
}

/// A kernel. Its library stays loaded until the process ends.
#[derive(Clone)]
pub struct Function {
    name: String,
    entry: Entry,
    parameters: Vec<usize>,
}

impl Function {
    /// The bytes of its parameters, in their order.
    #[must_use]
    pub fn parameters(&self) -> &[usize] {
        &self.parameters
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The shim's `Kernel`.
#[repr(C)]
struct RawKernel {
    launch: Entry,
    parameters: *const u64,
    count: u64,
}

/// Runs a kernel.
type Entry = unsafe extern "C" fn(*const RawLaunch) -> c_int;

/// The shim's `Region`.
#[repr(C)]
struct RawRegion {
    base: *mut u8,
    bytes: u64,
    defined: *mut u8,
    accesses: *mut Access,
    name: *const c_char,
    address: u64,
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
    /// The bytes of the arguments, in the order of the kernel's parameters. Those of a pointer are an address.
    pub args: Vec<Vec<u8>>,
}

impl Module {
    /// The kernel of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn function(&self, name: &str) -> Result<Function> {
        // SAFETY: symbols of this prefix are made by SHIM_EXPORT, which gives them this type; the parameters are static.
        let (launch, parameters) = unsafe {
            let kernel = self.library.get::<unsafe extern "C" fn() -> RawKernel>(format!("shim_{name}"));
            let missing = |_| Error(format!("there is no kernel {name} in {}", self.name));
            let RawKernel { launch, parameters, count } = kernel.map_err(missing)?();
            (launch, std::slice::from_raw_parts(parameters, count as usize))
        };
        let parameters = parameters.iter().map(|bytes| *bytes as usize).collect();
        Ok(Function { name: name.into(), entry: launch, parameters })
    }
}

impl HostDevice {
    /// A device with so many bytes of shared memory for a block.
    #[must_use]
    pub fn new(shared_bytes: usize) -> Self {
        Self { shared_bytes, heap: Heap::default(), epoch: 0 }
    }

    /// Memory with undefined contents; gives its address.
    pub fn alloc(&mut self, bytes: usize) -> u64 {
        self.heap.alloc(bytes)
    }

    /// Frees memory by the address that it begins at; gives false if there is none.
    pub fn free(&mut self, address: u64) -> bool {
        self.heap.buffers.remove(&address).is_some()
    }

    /// The sizes of all memory that was not freed.
    pub fn sizes(&self) -> impl Iterator<Item = usize> {
        self.heap.buffers.values().map(|buffer| buffer.bytes)
    }

    /// Checks that there is memory of so many bytes at an address.
    ///
    /// # Errors
    /// If there is not.
    pub fn require(&mut self, address: u64, bytes: usize) -> Result<()> {
        self.heap.find(address, bytes).map(|_| ())
    }

    /// Copies to the device.
    ///
    /// # Errors
    /// If there are not as many bytes at that address.
    pub fn upload(&mut self, bytes: &[u8], address: u64) -> Result<()> {
        self.heap.write(address, bytes)
    }

    /// Copies from the device.
    ///
    /// # Errors
    /// If there are not as many bytes at that address, or nothing has written one of them.
    pub fn download(&mut self, address: u64, bytes: &mut [u8]) -> Result<()> {
        self.heap.read(address, bytes)
    }

    /// Runs a kernel.
    ///
    /// # Errors
    /// If the device cannot take the launch, or the kernel does what it must not: says which thread, what and where.
    pub fn launch(&mut self, launch: &Launch) -> Result<()> {
        let Launch { function: Function { name, entry, parameters }, args, .. } = launch;
        let fault = |problem: &str| Error(format!("kernel {name}: {problem}"));
        for (position, (arg, expected)) in args.iter().zip(parameters).enumerate() {
            if arg.len() != *expected {
                let found = arg.len();
                return Err(fault(&format!(
                    "argument {position} has {found} bytes, its parameter {expected}"
                )));
            }
        }
        let buffers = &mut self.heap.buffers;
        let names: Vec<CString> =
            buffers.iter().map(|(at, buffer)| name_of(*at, buffer.bytes, args)).collect();
        let regions = buffers.iter_mut().zip(&names).map(|((address, buffer), name)| RawRegion {
            base: buffer.base(),
            bytes: buffer.bytes as u64,
            defined: buffer.defined.as_mut_ptr(),
            accesses: buffer.accesses.as_mut_ptr(),
            name: name.as_ptr(),
            address: *address,
        });
        let regions: Vec<RawRegion> = regions.collect();
        let args: Vec<*const c_void> = args.iter().map(|arg| arg.as_ptr().cast()).collect();
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
            epoch: &mut self.epoch,
            message: message.as_mut_ptr().cast(),
            message_bytes: message.len() as u64,
        };
        // SAFETY: the structures are those of the shim and outlive the call; the regions are whole buffers, of which
        // nobody else knows; the arguments are as large as the kernel's parameters, of which the shim counts them, and
        // it holds each pointer against the regions.
        let status = unsafe { entry(&raw const raw) };
        if status == 0 {
            return Ok(());
        }
        let len = message.iter().position(|byte| *byte == 0).unwrap_or(message.len());
        Err(fault(&String::from_utf8_lossy(&message[..len])))
    }
}

/// The name of a buffer in messages: the first argument that points into it.
fn name_of(start: u64, bytes: usize, args: &[Vec<u8>]) -> CString {
    let points = |arg: &Vec<u8>| {
        let address = arg.as_slice().try_into().map(u64::from_ne_bytes);
        address.is_ok_and(|address| (start..start + bytes as u64).contains(&address))
    };
    let position = args.iter().position(points);
    let name = position.map_or("a buffer".into(), |position| format!("argument {position}"));
    CString::new(name).expect("no zero byte")
}
