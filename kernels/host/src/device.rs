//! The device: it keeps buffers and runs kernels, one launch after the other.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use glassbox_cuda::device::{Arg, Device, Launch, Properties, Source};
use glassbox_cuda::{DeviceError, Result};
use libloading::Symbol;

use crate::compile::{self, Module};
use crate::memory::{Access, Heap};

/// A device that is the host. Its limits are those of the GPU that it stands for.
pub struct HostDevice {
    properties: Properties,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    heap: Heap,
    /// Counts the barriers of all launches.
    epoch: u64,
    /// Launches that are left before the device is lost; `None` if it never is.
    left: Option<u64>,
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

impl HostDevice {
    /// A device with the limits of Hopper: 227 KiB of shared memory for a block.
    #[must_use]
    pub fn hopper() -> Self {
        Self::new((9, 0), 227 * 1024, 132)
    }

    /// A device of a compute capability, with so many bytes of shared memory for a block.
    #[must_use]
    pub fn new(capability: (u32, u32), shared_bytes: usize, multiprocessors: usize) -> Self {
        let properties = Properties {
            name: "the host in a GPU's place".into(),
            place: "shim".into(),
            capability,
            shared_bytes,
            multiprocessors,
            memory: 1 << 30,
        };
        Self { properties, state: Arc::default() }
    }

    /// The same device with so many bytes of memory.
    #[must_use]
    pub fn with_memory(mut self, bytes: u64) -> Self {
        self.properties.memory = bytes;
        self
    }

    /// The same device, which is lost after so many launches: from then on everything that is asked of it fails,
    /// as on a GPU that has fallen off its bus.
    #[must_use]
    pub fn lost_after(self, launches: u64) -> Self {
        self.lock().left = Some(launches);
        self
    }

    /// The device's state, if it is not lost.
    fn alive(&self, call: &'static str) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        match state.left {
            Some(0) => Err(DeviceError::Lost { call, problem: "it was to be lost here".into() }),
            _ => Ok(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device for HostDevice {
    type Module = Arc<Module>;
    type Function = Function;
    type Memory = Memory;
    type Recording = Vec<Launch<Self>>;
    type Mark = Instant;

    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn compile(&self, source: &Source<'_>) -> Result<Self::Module> {
        compile::compile(source)
    }

    fn function(&self, module: &Self::Module, name: &str) -> Result<Function> {
        type Entry = unsafe extern "C" fn(*const RawLaunch) -> c_int;
        type Parameters = unsafe extern "C" fn(*mut u64, u64) -> u64;
        let missing = |_| DeviceError::NoKernel { kernel: name.into(), module: module.name.clone() };
        // SAFETY: symbols of these prefixes are made by SHIM_EXPORT, which gives them these types.
        let (entry, parameters): (Symbol<'_, Entry>, Symbol<'_, Parameters>) = unsafe {
            let library = &module.library;
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

    fn alloc(&self, bytes: usize) -> Result<Memory> {
        let mut state = self.alive("alloc")?;
        let (used, total) = (state.heap.bytes(), self.properties.memory);
        let (asked, free) = (bytes as u64, total.saturating_sub(used));
        if asked > free {
            return Err(DeviceError::OutOfMemory { asked, free, total });
        }
        let address = state.heap.alloc(bytes);
        drop(state);
        Ok(Memory { address, bytes, state: Arc::clone(&self.state) })
    }

    fn zero(&self, memory: &Memory) -> Result<()> {
        self.alive("zero")?.heap.write(memory.address, 0, &vec![0; memory.bytes])
    }

    fn upload(&self, bytes: &[u8], to: &Memory, offset: usize) -> Result<()> {
        self.alive("upload")?.heap.write(to.address, offset, bytes)
    }

    fn download(&self, from: &Memory, offset: usize, bytes: &mut [u8]) -> Result<()> {
        self.alive("download")?.heap.read(from.address, offset, bytes)
    }

    fn launch(&self, launch: &Launch<Self>) -> Result<()> {
        let mut state = self.alive("launch")?;
        let State { heap, epoch, left } = &mut *state;
        *left = left.map(|left| left - 1);
        let value = |arg: &Arg<Memory>| match arg {
            Arg::Memory(memory, offset) => (memory.address + offset).to_ne_bytes().to_vec(),
            Arg::Null => 0usize.to_ne_bytes().to_vec(),
            Arg::U32(number) => number.to_ne_bytes().to_vec(),
            Arg::F32(number) => number.to_ne_bytes().to_vec(),
            Arg::Bytes(bytes) => bytes.clone(),
        };
        let values: Vec<Vec<u8>> = launch.args().iter().map(value).collect();
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
            grid: launch.grid(),
            block: launch.block(),
            dynamic_shared: launch.shared_bytes(),
            shared_limit: u32::try_from(self.properties.shared_bytes).expect("shared memory is small"),
            buffers: regions.as_ptr(),
            buffer_count: regions.len() as u64,
            args: args.as_ptr(),
            arg_count: args.len() as u64,
            epoch,
            message: message.as_mut_ptr().cast(),
            message_bytes: message.len() as u64,
        };
        // SAFETY: the structures are those of the shim and outlive the call; the regions are whole buffers,
        // held alone by the lock; that the arguments are the kernel's parameters is what whoever made the
        // launch has promised.
        let status = unsafe { (launch.function().entry)(&raw const raw) };
        if status == 0 {
            return Ok(());
        }
        let len = message.iter().position(|byte| *byte == 0).unwrap_or(message.len());
        let problem = String::from_utf8_lossy(&message[..len]).into_owned();
        Err(DeviceError::Fault { kernel: launch.function().name.clone(), problem })
    }

    fn record(&self, launches: &[Launch<Self>]) -> Result<Self::Recording> {
        Ok(launches.to_vec())
    }

    fn replay(&self, recording: &Self::Recording) -> Result<()> {
        recording.iter().try_for_each(|launch| self.launch(launch))
    }

    fn synchronize(&self) -> Result<()> {
        self.alive("synchronize").map(|_| ())
    }

    fn mark(&self) -> Result<Instant> {
        Ok(Instant::now())
    }

    fn elapsed(&self, start: &Instant, end: &Instant) -> Result<Duration> {
        Ok(end.duration_since(*start))
    }
}

/// How a message names a buffer: by the first argument that points into it.
fn buffer_name(address: usize, launch: &Launch<HostDevice>) -> CString {
    let points = |arg: &Arg<Memory>| matches!(arg, Arg::Memory(memory, _) if memory.address == address);
    let position = launch.args().iter().position(points);
    let name = position.map_or("a buffer".into(), |position| format!("argument {position}"));
    CString::new(name).expect("no zero byte")
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).heap.free(self.address);
    }
}

impl fmt::Debug for HostDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostDevice({:?})", self.properties)
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
