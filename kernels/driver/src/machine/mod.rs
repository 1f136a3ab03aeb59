//! The driver's state: what has been made and not given back, and the rules for it.

mod work;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cudarc::driver::sys::CUresult as Code;
use glassbox_cuda::DeviceError;
use glassbox_cuda::device::{Arg, Device as _, Launch};
use glassbox_shim::{Function, HostDevice, Memory, Module};

use crate::image::Image;
use crate::settings::{Settings, TRACE};
pub(crate) use work::{Destination, Work};

/// What a call gives.
pub(crate) type Answer<T = ()> = Result<T, Code>;

/// The one context: its handle.
const CONTEXT: u64 = 1;

/// Bytes of dynamic shared memory that a kernel can have unless it was allowed more.
const USUAL_SHARED_BYTES: u32 = 48 << 10;

thread_local! {
    /// The context that is current in this thread, or 0.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// The driver, of which a process has one.
pub(crate) fn machine() -> MutexGuard<'static, Machine> {
    static MACHINE: LazyLock<Mutex<Machine>> = LazyLock::new(|| Mutex::new(Machine::new()));
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that the driver knows.
pub(crate) struct Machine {
    pub(crate) settings: Settings,
    device: HostDevice,
    started: bool,
    /// How often the context was retained and not released.
    retained: usize,
    things: BTreeMap<u64, Thing>,
    last_handle: u64,
    /// By address.
    memory: BTreeMap<usize, Arc<Memory>>,
    launches: u64,
    /// What every call is answered once the device is lost.
    lost: Option<Code>,
    trace: Option<File>,
}

/// What a handle is of.
enum Thing {
    Stream(work::Stream),
    Event(Option<Instant>),
    Module(Arc<Module>),
    Kernel(Kernel),
    Graph(Vec<Launch<HostDevice>>),
    Executable(Vec<Launch<HostDevice>>),
}

/// A kernel of a module.
#[derive(Clone)]
struct Kernel {
    module: u64,
    name: String,
    function: Function,
    shared_bytes: u32,
}

/// The things of one kind, by their handles.
macro_rules! things {
    ($($name:ident, $kind:ident: $what:ty;)*) => {
        impl Machine {$(
            fn $name(&mut self, handle: u64) -> Answer<&mut $what> {
                match self.things.get_mut(&handle) {
                    Some(Thing::$kind(thing)) => Ok(thing),
                    _ => Err(Code::CUDA_ERROR_INVALID_HANDLE),
                }
            }
        )*}
    };
}
things! {
    stream, Stream: work::Stream;
    event, Event: Option<Instant>;
    module, Module: Arc<Module>;
    kernel, Kernel: Kernel;
    graph, Graph: Vec<Launch<HostDevice>>;
    executable, Executable: Vec<Launch<HostDevice>>;
}

impl Machine {
    fn new() -> Self {
        let settings = Settings::of_environment();
        let Settings { capability, shared_bytes, multiprocessors, memory, .. } = settings;
        let trace = env::var_os(TRACE).filter(|path| !path.is_empty()).map(|path| {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            file.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        });
        Self {
            device: HostDevice::new(capability, shared_bytes, multiprocessors).with_memory(memory),
            settings,
            started: false,
            retained: 0,
            things: BTreeMap::new(),
            last_handle: CONTEXT,
            memory: BTreeMap::new(),
            launches: 0,
            lost: None,
            trace,
        }
    }

    /// A line for the trace.
    pub(crate) fn trace(&mut self, line: fmt::Arguments<'_>) {
        if let Some(file) = &mut self.trace {
            writeln!(file, "{line}").expect("room for a trace");
        }
    }

    // -----------------------------------------------------------------------------------------------------
    // The device and its context

    pub(crate) fn start(&mut self) -> Answer {
        if !self.settings.present {
            return Err(Code::CUDA_ERROR_NO_DEVICE);
        }
        self.started = true;
        Ok(())
    }

    /// What a call about the device asks for: that all has been started.
    pub(crate) fn require_started(&self) -> Answer {
        if self.started { Ok(()) } else { Err(Code::CUDA_ERROR_NOT_INITIALIZED) }
    }

    pub(crate) fn require_device(&self, device: i32) -> Answer {
        self.require_started()?;
        if device == 0 { Ok(()) } else { Err(Code::CUDA_ERROR_INVALID_DEVICE) }
    }

    /// The device that launches are done on.
    pub(crate) fn device(&self) -> &HostDevice {
        &self.device
    }

    pub(crate) fn retain_context(&mut self, device: i32) -> Answer<u64> {
        self.require_device(device)?;
        self.retained += 1;
        Ok(CONTEXT)
    }

    pub(crate) fn release_context(&mut self, device: i32) -> Answer {
        self.require_device(device)?;
        self.retained = self.retained.checked_sub(1).ok_or(Code::CUDA_ERROR_INVALID_CONTEXT)?;
        // Kernels go with their modules. Of a device that is lost nothing can be given back.
        let left = self.things.values().filter(|thing| !matches!(thing, Thing::Kernel(_))).count();
        if self.retained == 0 && self.lost.is_none() && left + self.memory.len() > 0 {
            complain(format_args!(
                "the context goes while there are {} pieces of memory and {left} other things in it",
                self.memory.len()
            ));
        }
        Ok(())
    }

    pub(crate) fn set_current(&mut self, context: u64) -> Answer {
        self.require_started()?;
        match context {
            0 => {}
            CONTEXT if self.retained > 0 => {}
            _ => return Err(Code::CUDA_ERROR_INVALID_CONTEXT),
        }
        CURRENT.set(context);
        Ok(())
    }

    /// What every call within the context asks for.
    fn require_context(&self) -> Answer {
        self.require_started()?;
        if self.retained == 0 || CURRENT.get() != CONTEXT {
            return Err(Code::CUDA_ERROR_INVALID_CONTEXT);
        }
        self.lost.map_or(Ok(()), Err)
    }

    fn keep(&mut self, thing: Thing) -> u64 {
        self.last_handle += 1;
        self.things.insert(self.last_handle, thing);
        self.last_handle
    }

    // -----------------------------------------------------------------------------------------------------
    // Memory

    pub(crate) fn alloc(&mut self, bytes: usize) -> Answer<u64> {
        self.require_context()?;
        self.require_no_capture()?;
        self.trace(format_args!("cuMemAlloc {bytes} bytes"));
        if bytes == 0 {
            return Err(Code::CUDA_ERROR_INVALID_VALUE);
        }
        match self.device.alloc(bytes) {
            Ok(memory) => {
                let address = memory.address();
                self.memory.insert(address, Arc::new(memory));
                Ok(address as u64)
            }
            Err(_) => Err(Code::CUDA_ERROR_OUT_OF_MEMORY),
        }
    }

    pub(crate) fn free(&mut self, address: u64) -> Answer {
        self.require_context()?;
        self.require_no_capture()?;
        // The driver waits for all that may use it.
        self.finish_all()?;
        match self.memory.remove(&(address as usize)) {
            Some(_) => Ok(()),
            None => Err(Code::CUDA_ERROR_INVALID_VALUE),
        }
    }

    /// Bytes that are free.
    pub(crate) fn free_bytes(&mut self) -> Answer<usize> {
        self.require_context()?;
        let used: usize = self.memory.values().map(|memory| memory.bytes()).sum();
        Ok((self.settings.memory as usize).saturating_sub(used))
    }

    /// The memory that an address lies in, and where in it.
    fn find(&self, address: u64) -> Answer<(Arc<Memory>, usize)> {
        let found = self.memory.range(..=address as usize).next_back();
        match found.map(|(start, memory)| (memory, address as usize - start)) {
            Some((memory, offset)) if offset < memory.bytes() => Ok((Arc::clone(memory), offset)),
            _ => Err(Code::CUDA_ERROR_INVALID_VALUE),
        }
    }

    /// Memory from an address on, of so many bytes.
    pub(crate) fn range(&self, address: u64, bytes: usize) -> Answer<(Arc<Memory>, usize)> {
        let (memory, offset) = self.find(address)?;
        let fits = offset.checked_add(bytes).is_some_and(|end| end <= memory.bytes());
        if fits { Ok((memory, offset)) } else { Err(Code::CUDA_ERROR_INVALID_VALUE) }
    }

    // -----------------------------------------------------------------------------------------------------
    // Modules and kernels

    pub(crate) fn load(&mut self, image: Option<&Image>) -> Answer<u64> {
        self.require_context()?;
        let image = image.ok_or(Code::CUDA_ERROR_INVALID_IMAGE)?;
        self.trace(format_args!("cuModuleLoadData {} {}", image.name, image.architecture));
        let (major, minor) = self.settings.capability;
        let own = 10 * major + minor;
        match image.architecture.split_once('_').map(|(kind, number)| (kind, number.parse::<u32>())) {
            // Machine code runs on GPUs of the same major version that are not older.
            Some(("sm", Ok(number))) if number / 10 == major && number <= own => {}
            Some(("compute", Ok(number))) if number <= own => {
                if image.version > self.settings.driver {
                    return Err(Code::CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
                }
            }
            _ => return Err(Code::CUDA_ERROR_NO_BINARY_FOR_GPU),
        }
        match image.with(|source| self.device.compile(source)) {
            Ok(module) => Ok(self.keep(Thing::Module(module))),
            Err(error) => {
                complain(format_args!("{error}"));
                Err(Code::CUDA_ERROR_INVALID_IMAGE)
            }
        }
    }

    pub(crate) fn get_kernel(&mut self, module: u64, name: &str) -> Answer<u64> {
        self.require_context()?;
        let loaded = Arc::clone(self.module(module)?);
        let function = self.device.function(&loaded, name).map_err(|_| Code::CUDA_ERROR_NOT_FOUND)?;
        let kernel = Kernel { module, name: name.into(), function, shared_bytes: USUAL_SHARED_BYTES };
        Ok(self.keep(Thing::Kernel(kernel)))
    }

    pub(crate) fn unload(&mut self, module: u64) -> Answer {
        self.require_context()?;
        self.module(module)?;
        self.finish_all()?;
        self.things.remove(&module);
        self.things.retain(|_, thing| !matches!(thing, Thing::Kernel(kernel) if kernel.module == module));
        Ok(())
    }

    pub(crate) fn require_kernel(&mut self, kernel: u64) -> Answer {
        self.require_context()?;
        self.kernel(kernel).map(|_| ())
    }

    pub(crate) fn allow_shared_bytes(&mut self, kernel: u64, bytes: i32) -> Answer {
        self.require_context()?;
        let most = self.settings.shared_bytes;
        let kernel = self.kernel(kernel)?;
        match u32::try_from(bytes) {
            Ok(bytes) if bytes as usize <= most => kernel.shared_bytes = bytes,
            _ => return Err(Code::CUDA_ERROR_INVALID_VALUE),
        }
        Ok(())
    }

    /// A launch of a kernel whose parameters' bytes `read` gives, by their position and size.
    pub(crate) fn make_launch(
        &mut self,
        kernel: u64,
        [grid, block]: [[u32; 3]; 2],
        shared_bytes: u32,
        read: impl Fn(usize, usize) -> Vec<u8>,
    ) -> Answer<Launch<HostDevice>> {
        use glassbox_shim::Parameter;
        self.require_context()?;
        let Kernel { name, function, shared_bytes: most, .. } = self.kernel(kernel)?.clone();
        let threads: u64 = block.iter().map(|n| u64::from(*n)).product();
        let fits = (1..=1024).contains(&threads)
            && grid.iter().all(|n| *n > 0)
            && grid[1].max(grid[2]) <= 65_535
            && shared_bytes <= most;
        if !fits {
            return Err(Code::CUDA_ERROR_INVALID_VALUE);
        }
        let mut args = vec![];
        for (position, parameter) in function.parameters().iter().enumerate() {
            args.push(match *parameter {
                Parameter::Value(bytes) => Arg::Bytes(read(position, bytes)),
                Parameter::Pointer => {
                    let bytes = read(position, size_of::<u64>());
                    match u64::from_ne_bytes(bytes.try_into().expect("as many bytes as were asked for")) {
                        0 => Arg::Null,
                        address => {
                            let (memory, offset) = self.find(address).inspect_err(|_| {
                                complain(format_args!(
                                    "{name}: argument {position}, {address:#x}, is no address in device memory"
                                ));
                            })?;
                            Arg::Memory(memory, offset)
                        }
                    }
                }
            });
        }
        // SAFETY: the arguments were read by the kernel's own parameters, and the shim checks the rest before harm
        // is done.
        #[expect(unsafe_code, reason = "what the driver's caller vouches for, the shim checks")]
        Ok(unsafe { Launch::new(&function, grid, block, shared_bytes, args) })
    }

    // -----------------------------------------------------------------------------------------------------
    // Events

    pub(crate) fn create_event(&mut self) -> Answer<u64> {
        self.require_context()?;
        Ok(self.keep(Thing::Event(None)))
    }

    pub(crate) fn destroy_event(&mut self, event: u64) -> Answer {
        self.require_context()?;
        self.event(event)?;
        self.things.remove(&event);
        Ok(())
    }

    /// Milliseconds from one event to another.
    pub(crate) fn elapsed(&mut self, [start, end]: [u64; 2]) -> Answer<f32> {
        self.require_context()?;
        match (*self.event(start)?, *self.event(end)?) {
            (Some(start), Some(end)) => Ok(end.saturating_duration_since(start).as_secs_f32() * 1e3),
            _ => Err(Code::CUDA_ERROR_NOT_READY),
        }
    }

    /// Ends the device: every call from now on is answered so.
    fn lose(&mut self, code: Code) -> Code {
        *self.lost.get_or_insert(code)
    }

    /// What became of a piece of work.
    fn settle(&mut self, done: Result<(), DeviceError>) -> Answer {
        done.map_err(|error| {
            complain(format_args!("{error}"));
            self.lose(Code::CUDA_ERROR_ILLEGAL_ADDRESS)
        })
    }
}

/// Says what is wrong.
pub(crate) fn complain(what: fmt::Arguments<'_>) {
    eprintln!("stand-in: {what}");
}
