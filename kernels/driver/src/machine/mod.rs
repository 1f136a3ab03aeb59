//! The GPUs, and the driver's state of each: what has been made and not given back, and the rules for it.

mod stream;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cudarc::driver::sys::CUresult as Code;
use glassbox_shim::{Function, HostDevice, Launch, Module, compile};

use crate::image::Image;
use crate::settings::{Settings, TRACE};
pub(crate) use stream::{Destination, Operation};

/// The outcome of a call.
pub(crate) type Answer<T = ()> = Result<T, Code>;

/// Bytes of dynamic shared memory that a kernel can have unless it was allowed more.
const USUAL_SHARED_BYTES: u32 = 48 << 10;

/// The last handle that was given. Contexts have the lowest: that of a GPU is its number and 1.
static LAST_HANDLE: AtomicU64 = AtomicU64::new(1 << 32);

/// True once everything has been started.
static STARTED: AtomicBool = AtomicBool::new(false);

/// The GPUs by their numbers: that of the environment, and those that were added.
static GPUS: LazyLock<Mutex<Vec<Arc<Mutex<Machine>>>>> =
    LazyLock::new(|| Mutex::new(vec![Machine::new(Settings::of_environment().clone())]));

thread_local! {
    /// The context that is current in this thread, or 0.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

fn gpus() -> MutexGuard<'static, Vec<Arc<Mutex<Machine>>>> {
    GPUS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a GPU, and gives its number.
pub(crate) fn plug(settings: Settings) -> usize {
    let mut gpus = gpus();
    gpus.push(Machine::new(settings));
    gpus.len() - 1
}

pub(crate) fn start() -> Answer {
    if !Settings::of_environment().present {
        return Err(Code::CUDA_ERROR_NO_DEVICE);
    }
    STARTED.store(true, Ordering::SeqCst);
    Ok(())
}

/// The number of GPUs, once all has been started.
pub(crate) fn count() -> Answer<usize> {
    if STARTED.load(Ordering::SeqCst) { Ok(gpus().len()) } else { Err(Code::CUDA_ERROR_NOT_INITIALIZED) }
}

/// Asks a GPU.
pub(crate) fn of_device<T>(device: i32, ask: impl FnOnce(&mut Machine) -> Answer<T>) -> Answer<T> {
    count()?;
    let machine = usize::try_from(device).ok().and_then(|number| gpus().get(number).cloned());
    let machine = machine.ok_or(Code::CUDA_ERROR_INVALID_DEVICE)?;
    ask(&mut machine.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Asks the GPU whose context is current in this thread.
pub(crate) fn in_context<T>(ask: impl FnOnce(&mut Machine) -> Answer<T>) -> Answer<T> {
    count()?;
    let device = CURRENT.get().checked_sub(1).ok_or(Code::CUDA_ERROR_INVALID_CONTEXT)?;
    of_device(device as i32, |machine| {
        machine.require_retained()?;
        machine.lost.map_or(Ok(()), Err)?;
        ask(machine)
    })
}

/// The context that is current in this thread.
pub(crate) fn current() -> Answer<u64> {
    count().map(|_| CURRENT.get())
}

/// Makes a context current in this thread.
pub(crate) fn set_current(context: u64) -> Answer {
    if context > count()? as u64 {
        return Err(Code::CUDA_ERROR_INVALID_CONTEXT);
    }
    if context > 0 {
        of_device(context as i32 - 1, |machine| machine.require_retained())?;
    }
    CURRENT.set(context);
    Ok(())
}

/// A line for the trace.
pub(crate) fn trace(line: fmt::Arguments<'_>) {
    static FILE: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
        env::var_os(TRACE).filter(|path| !path.is_empty()).map(|path| {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            Mutex::new(file.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
    });
    if let Some(file) = &*FILE {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(file, "{line}").expect("room for a trace");
    }
}

/// A GPU, and all that the driver knows of it.
pub(crate) struct Machine {
    pub(crate) settings: Settings,
    device: HostDevice,
    /// The number of times that the context was retained and not released.
    retained: usize,
    things: BTreeMap<u64, Thing>,
    launches: u64,
    /// The answer to every call once the GPU is lost.
    lost: Option<Code>,
}

/// A thing that has a handle.
enum Thing {
    Stream(stream::Stream),
    Event(Option<Instant>),
    Module(Arc<Module>),
    Kernel(Kernel),
    Graph(Vec<Launch>),
    Executable(Vec<Launch>),
}

/// A kernel of a module.
#[derive(Clone)]
pub(crate) struct Kernel {
    module: u64,
    function: Function,
    shared_bytes: u32,
}

/// The things of one kind, by their handles.
macro_rules! things {
    ($($name:ident, $kind:ident: $what:ty;)*) => {
        impl Machine {$(
            pub(crate) fn $name(&mut self, handle: u64) -> Answer<&mut $what> {
                match self.things.get_mut(&handle) {
                    Some(Thing::$kind(thing)) => Ok(thing),
                    _ => Err(Code::CUDA_ERROR_INVALID_HANDLE),
                }
            }
        )*}
    };
}
things! {
    stream, Stream: stream::Stream;
    event, Event: Option<Instant>;
    module, Module: Arc<Module>;
    kernel, Kernel: Kernel;
    graph, Graph: Vec<Launch>;
    executable, Executable: Vec<Launch>;
}

impl Machine {
    fn new(settings: Settings) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            device: HostDevice::new(settings.shared_bytes),
            settings,
            retained: 0,
            things: BTreeMap::new(),
            launches: 0,
            lost: None,
        }))
    }

    // -----------------------------------------------------------------------------------------------------
    // The context

    pub(crate) fn retain_context(&mut self) {
        self.retained += 1;
    }

    fn require_retained(&self) -> Answer {
        if self.retained > 0 { Ok(()) } else { Err(Code::CUDA_ERROR_INVALID_CONTEXT) }
    }

    pub(crate) fn release_context(&mut self) -> Answer {
        self.retained = self.retained.checked_sub(1).ok_or(Code::CUDA_ERROR_INVALID_CONTEXT)?;
        // Kernels go with their modules. Of a device that is lost nothing can be given back.
        let left = self.things.values().filter(|thing| !matches!(thing, Thing::Kernel(_))).count();
        let memory = self.device.sizes().count();
        if self.retained == 0 && self.lost.is_none() && left + memory > 0 {
            complain(format_args!(
                "the context goes while there are {memory} pieces of memory and {left} other things in it"
            ));
        }
        Ok(())
    }

    fn keep(&mut self, thing: Thing) -> u64 {
        let handle = LAST_HANDLE.fetch_add(1, Ordering::SeqCst) + 1;
        self.things.insert(handle, thing);
        handle
    }

    /// Forgets a thing, found by its handle.
    pub(crate) fn destroy<T>(&mut self, handle: u64, find: fn(&mut Self, u64) -> Answer<&mut T>) -> Answer {
        find(self, handle)?;
        self.things.remove(&handle);
        Ok(())
    }

    // -----------------------------------------------------------------------------------------------------
    // Memory

    pub(crate) fn alloc(&mut self, bytes: usize) -> Answer<u64> {
        self.require_no_capture()?;
        trace(format_args!("cuMemAlloc {bytes} bytes"));
        if bytes == 0 {
            return Err(Code::CUDA_ERROR_INVALID_VALUE);
        }
        if bytes > self.free_bytes() {
            return Err(Code::CUDA_ERROR_OUT_OF_MEMORY);
        }
        Ok(self.device.alloc(bytes))
    }

    pub(crate) fn free(&mut self, address: u64) -> Answer {
        self.require_no_capture()?;
        // The driver waits for all that may use it.
        self.finish_all()?;
        if self.device.free(address) { Ok(()) } else { Err(Code::CUDA_ERROR_INVALID_VALUE) }
    }

    /// Bytes that are free.
    pub(crate) fn free_bytes(&self) -> usize {
        (self.settings.memory as usize).saturating_sub(self.device.sizes().sum())
    }

    /// Checks that there is memory of so many bytes at an address.
    pub(crate) fn require_memory(&mut self, address: u64, bytes: usize) -> Answer {
        self.device.require(address, bytes).map_err(|_| Code::CUDA_ERROR_INVALID_VALUE)
    }

    // -----------------------------------------------------------------------------------------------------
    // Modules and kernels

    pub(crate) fn load(&mut self, image: Option<&Image>) -> Answer<u64> {
        let image = image.ok_or(Code::CUDA_ERROR_INVALID_IMAGE)?;
        trace(format_args!("cuModuleLoadData {} {}", image.source.name, image.architecture));
        let (major, minor) = self.settings.capability;
        let own = 10 * major + minor;
        match image.architecture.split_once('_').map(|(kind, number)| (kind, number.parse::<u32>())) {
            // Machine code runs on GPUs of the same major version that are not older.
            Some(("sm", Ok(number))) if number / 10 == major && number <= own => {}
            Some(("compute", Ok(number))) if number <= own => {
                if image.version > Settings::of_environment().driver {
                    return Err(Code::CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
                }
            }
            _ => return Err(Code::CUDA_ERROR_NO_BINARY_FOR_GPU),
        }
        match compile(&image.source) {
            Ok(module) => Ok(self.keep(Thing::Module(module))),
            Err(error) => {
                complain(format_args!("{error}"));
                Err(Code::CUDA_ERROR_INVALID_IMAGE)
            }
        }
    }

    pub(crate) fn get_kernel(&mut self, module: u64, name: &str) -> Answer<u64> {
        let loaded = Arc::clone(self.module(module)?);
        let function = loaded.function(name).map_err(|_| Code::CUDA_ERROR_NOT_FOUND)?;
        Ok(self.keep(Thing::Kernel(Kernel { module, function, shared_bytes: USUAL_SHARED_BYTES })))
    }

    pub(crate) fn unload(&mut self, module: u64) -> Answer {
        self.module(module)?;
        self.finish_all()?;
        self.things.remove(&module);
        self.things.retain(|_, thing| !matches!(thing, Thing::Kernel(kernel) if kernel.module == module));
        Ok(())
    }

    pub(crate) fn allow_shared_bytes(&mut self, kernel: u64, bytes: i32) -> Answer {
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
    ) -> Answer<Launch> {
        let Kernel { function, shared_bytes: most, .. } = self.kernel(kernel)?.clone();
        let threads: u64 = block.iter().map(|n| u64::from(*n)).product();
        let fits = (1..=1024).contains(&threads)
            && grid.iter().all(|n| *n > 0)
            && grid[1].max(grid[2]) <= 65_535
            && shared_bytes <= most;
        if !fits {
            return Err(Code::CUDA_ERROR_INVALID_VALUE);
        }
        let parameters = function.parameters().iter().enumerate();
        let args = parameters.map(|(position, bytes)| read(position, *bytes)).collect();
        Ok(Launch { function, grid, block, shared_bytes, args })
    }

    // -----------------------------------------------------------------------------------------------------
    // Events

    pub(crate) fn create_event(&mut self) -> Answer<u64> {
        Ok(self.keep(Thing::Event(None)))
    }

    /// Milliseconds from one event to another.
    pub(crate) fn elapsed(&mut self, [start, end]: [u64; 2]) -> Answer<f32> {
        match (*self.event(start)?, *self.event(end)?) {
            (Some(start), Some(end)) => Ok(end.saturating_duration_since(start).as_secs_f32() * 1e3),
            _ => Err(Code::CUDA_ERROR_NOT_READY),
        }
    }

    /// Ends the GPU: every call from now on is answered so.
    fn lose(&mut self, code: Code) -> Code {
        *self.lost.get_or_insert(code)
    }

    /// The outcome of an operation; a fault of the device ends it.
    fn settle(&mut self, done: glassbox_shim::Result<()>) -> Answer {
        done.map_err(|error| {
            complain(format_args!("{error}"));
            self.lose(Code::CUDA_ERROR_ILLEGAL_ADDRESS)
        })
    }
}

/// Reports a mistake of the caller's on standard error.
pub(crate) fn complain(what: fmt::Arguments<'_>) {
    eprintln!("stand-in: {what}");
}
