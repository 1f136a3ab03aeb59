//! A GPU, through NVIDIA's driver.
//!
//! The driver's library is loaded when it is first asked for, so this builds and runs, and says what is missing,
//! where there is none. One stream keeps all work in order; launches are recorded on another, so that whoever works
//! on the same GPU meanwhile, in another thread, does not end up in the recording.
#![allow(unsafe_code)]

mod arguments;
mod discover;
mod errors;
mod handles;

use std::ffi::{CString, c_void};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;
use sys::CUfunction_attribute_enum as KernelAttribute;

use super::cache::{Cache, Key};
use super::nvrtc::Nvrtc;
use super::{Launch, Properties, Source};
use crate::error::{DeviceError, Result};
use arguments::Value;
pub use discover::{Listed, list, version};
use discover::{count, properties, require_capability, start};
use errors::{done, failure};
use handles::Context;
pub use handles::{Function, Mark, Memory, Module, Recording};

/// Modules that stay loaded though nobody uses them: a model that is trained again is not compiled, nor loaded, again.
const MODULES_KEPT: usize = 16;

/// A GPU.
pub struct Gpu {
    properties: Properties,
    context: Arc<Context>,
    stream: sys::CUstream,
    /// Where launches are recorded, by one at a time.
    recorder: Mutex<Recorder>,
    /// The last used comes last.
    modules: Mutex<Vec<(Key, Arc<Module>)>>,
    nvrtc: Nvrtc,
    architecture: String,
    driver: (u32, u32),
    cache: Cache,
}

impl Gpu {
    /// Opens a GPU by its number.
    ///
    /// # Errors
    /// If there is no driver, no such GPU, or no NVRTC, or the GPU is too old.
    pub fn open(ordinal: usize, cache: Cache) -> Result<Self> {
        Self::open_with(ordinal, cache, |driver| Nvrtc::load(Some(driver)))
    }

    /// The same, with the compiler that `nvrtc` gives for the CUDA version of the driver.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn open_with(
        ordinal: usize,
        cache: Cache,
        nvrtc: impl FnOnce((u32, u32)) -> Result<Nvrtc>,
    ) -> Result<Self> {
        let driver = start()?;
        let found = count()?;
        if ordinal >= found {
            return Err(DeviceError::NoSuchGpu { ordinal, found });
        }
        let properties = properties(ordinal)?;
        require_capability(&properties)?;
        let nvrtc = nvrtc(driver)?;
        let context = Arc::new(Context::retain(ordinal)?);
        context.enter()?;
        let stream =
            || done("cuStreamCreate", result::stream::create(result::stream::StreamKind::NonBlocking));
        let (stream, recorder) = (stream()?, Mutex::new(Recorder { stream: stream()? }));
        let architecture = nvrtc.architecture(properties.capability);
        let modules = Mutex::default();
        Ok(Self { properties, context, stream, recorder, modules, nvrtc, architecture, driver, cache })
    }

    /// The properties of the GPU.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Compiles, or takes what was compiled before.
    ///
    /// # Errors
    /// If there is no compiler, or it refuses the source.
    pub fn compile(&self, source: &Source<'_>) -> Result<Arc<Module>> {
        let key = self.key(source);
        let kept = || self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = {
            let mut kept = kept();
            kept.iter().position(|(other, _)| *other == key).map(|at| kept.remove(at).1)
        };
        let module = match loaded {
            Some(module) => module,
            None => {
                let image = self.image(source, &key)?;
                self.context.enter()?;
                // SAFETY: the image is what NVRTC made: machine code with its own length, or PTX that ends in NUL.
                let handle =
                    done("cuModuleLoadData", unsafe { result::module::load_data(image.as_ptr().cast()) })?;
                Arc::new(Module { handle, name: source.name.into(), context: Arc::clone(&self.context) })
            }
        };
        let mut kept = kept();
        // Another thread may have loaded it meanwhile: one of the two stays.
        kept.retain(|(other, _)| *other != key);
        if kept.len() == MODULES_KEPT {
            kept.remove(0);
        }
        kept.push((key, Arc::clone(&module)));
        Ok(module)
    }

    /// The kernel of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn function(&self, module: &Arc<Module>, name: &str) -> Result<Function> {
        self.context.enter()?;
        let missing = || DeviceError::NoKernel { kernel: name.into(), module: module.name.clone() };
        let c_name = CString::new(name).map_err(|_| missing())?;
        // SAFETY: the module is alive.
        let handle = unsafe { result::module::get_function(module.handle, c_name) };
        let handle = handle.map_err(|error| match error.0 {
            sys::CUresult::CUDA_ERROR_NOT_FOUND => missing(),
            _ => failure("cuModuleGetFunction", error),
        })?;
        // All the shared memory that a block can have, beside what the kernel declares itself: without that a launch
        // could ask for 48 KiB in all. It also loads the kernel, which drivers put off until it is needed: that must
        // not be while launches are recorded.
        use KernelAttribute::{
            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as DYNAMIC,
            CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES as DECLARED,
        };
        // SAFETY: the function is one of a module that is alive.
        let declared = unsafe { result::function::get_function_attribute(handle, DECLARED) };
        let most = self.properties.shared_bytes as i32 - done("cuFuncGetAttribute", declared)?;
        // SAFETY: as above.
        let set = unsafe { result::function::set_function_attribute(handle, DYNAMIC, most) };
        done("cuFuncSetAttribute", set)?;
        Ok(Function { handle, name: name.into(), module: Arc::clone(module) })
    }

    /// Memory with undefined contents.
    ///
    /// # Errors
    /// If there is not as much left.
    pub fn alloc(&self, bytes: usize) -> Result<Memory> {
        self.context.enter()?;
        // SAFETY: what is undefined in it is the caller's to write before it is read.
        match unsafe { result::malloc_sync(bytes.max(1)) } {
            Ok(address) => Ok(Memory { address, bytes, context: Arc::clone(&self.context) }),
            Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                let (free, _) = result::mem_get_info().unwrap_or((0, 0));
                let total = self.properties.memory;
                Err(DeviceError::OutOfMemory { asked: bytes as u64, free: free as u64, total })
            }
            Err(error) => Err(failure("cuMemAlloc", error)),
        }
    }

    /// Fills with zero bytes.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn zero(&self, memory: &Memory) -> Result<()> {
        self.context.enter()?;
        // SAFETY: all of a piece of memory that is alive.
        let set = unsafe { result::memset_d8_async(memory.address, 0, memory.bytes, self.stream) };
        done("cuMemsetD8Async", set)
    }

    /// Copies to the GPU. `bytes` may change as soon as this returns.
    ///
    /// # Errors
    /// If the bytes do not fit at that offset, or the GPU fails.
    pub fn upload(&self, bytes: &[u8], to: &Memory, offset: usize) -> Result<()> {
        let address = to.at(offset, bytes.len(), "an upload")?;
        self.context.enter()?;
        // SAFETY: the range lies within the memory. The bytes are in pageable memory, which the driver copies
        // away before it returns.
        done("cuMemcpyHtoDAsync", unsafe { result::memcpy_htod_async(address, bytes, self.stream) })
    }

    /// Copies from the GPU, when all work before is done.
    ///
    /// # Errors
    /// If there are not as many bytes at that offset, or the GPU or any work before has failed.
    pub fn download(&self, from: &Memory, offset: usize, bytes: &mut [u8]) -> Result<()> {
        let address = from.at(offset, bytes.len(), "a download")?;
        self.context.enter()?;
        // SAFETY: the range lies within the memory, and `bytes` outlives the wait below.
        let copied = unsafe { result::memcpy_dtoh_async(bytes, address, self.stream) };
        done("cuMemcpyDtoHAsync", copied).and(self.wait())
    }

    /// Launches a kernel.
    ///
    /// # Errors
    /// If the GPU cannot take it.
    pub fn launch(&self, launch: &Launch) -> Result<()> {
        self.context.enter()?;
        Self::enqueue(launch, self.stream)
    }

    /// Makes launches ready to be done again, one after the other.
    ///
    /// # Errors
    /// If the GPU cannot take them.
    pub fn record(&self, launches: &[Launch]) -> Result<Recording> {
        use sys::CUstreamCaptureMode_enum::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL as THIS_THREAD;
        self.context.enter()?;
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the stream is alive, it is held alone, and no capture is under way on it: each ends below.
        done("cuStreamBeginCapture", unsafe { result::stream::begin_capture(recorder.stream, THIS_THREAD) })?;
        let enqueued = launches.iter().try_for_each(|launch| Self::enqueue(launch, recorder.stream));
        // SAFETY: the capture that was begun above. It ends whatever happened within it.
        let graph = done("cuStreamEndCapture", unsafe { result::stream::end_capture(recorder.stream) });
        if let Err(error) = enqueued {
            if let Ok(graph) = graph {
                // SAFETY: nobody else has it. A failure would change nothing.
                let _ = unsafe { result::graph::destroy(graph) };
            }
            return Err(error);
        }
        let graph = graph?;
        // SAFETY: the graph is whole; the instance does not need it any more, so it is destroyed.
        let (instance, _) = unsafe {
            let no_flags = sys::CUgraphInstantiate_flags(0);
            (result::graph::instantiate(graph, no_flags), result::graph::destroy(graph))
        };
        Ok(Recording {
            instance: done("cuGraphInstantiate", instance)?,
            _launches: launches.to_vec(),
            context: Arc::clone(&self.context),
        })
    }

    /// Does recorded launches.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn replay(&self, recording: &Recording) -> Result<()> {
        self.context.enter()?;
        // SAFETY: the instance and the stream are alive; the recording holds all memory that it uses.
        done("cuGraphLaunch", unsafe { result::graph::launch(recording.instance, self.stream) })
    }

    /// Waits for all work.
    ///
    /// # Errors
    /// If any of it has failed.
    pub fn synchronize(&self) -> Result<()> {
        self.context.enter()?;
        self.wait()
    }

    /// Marks this moment in the order of the work.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn mark(&self) -> Result<Mark> {
        self.context.enter()?;
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT);
        let mark = Mark { event: done("cuEventCreate", event)?, context: Arc::clone(&self.context) };
        // SAFETY: event and stream are alive.
        done("cuEventRecord", unsafe { result::event::record(mark.event, self.stream) })?;
        Ok(mark)
    }

    /// The time between two marks. Waits for the later one.
    ///
    /// # Errors
    /// If the GPU or any work before `end` has failed.
    pub fn elapsed(&self, start: &Mark, end: &Mark) -> Result<Duration> {
        self.context.enter()?;
        // SAFETY: both events are alive and were recorded on this stream.
        let milliseconds = unsafe {
            done("cuEventSynchronize", result::event::synchronize(end.event))?;
            done("cuEventElapsedTime", result::event::elapsed(start.event, end.event))?
        };
        Ok(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1e3))
    }

    fn key(&self, source: &Source<'_>) -> Key {
        let options = Nvrtc::options(source, &self.architecture);
        Key::new(source, &options, [self.nvrtc.version(), self.driver], &self.architecture)
    }

    fn image(&self, source: &Source<'_>, key: &Key) -> Result<Vec<u8>> {
        if let Some(image) = self.cache.get(key) {
            return Ok(image);
        }
        let image = self.nvrtc.compile(source, &self.architecture)?.image;
        // The cache is a convenience: without it the next process compiles again.
        let _ = self.cache.put(key, &image);
        Ok(image)
    }

    /// Enqueues a launch on a stream. The context is current.
    fn enqueue(launch: &Launch, stream: sys::CUstream) -> Result<()> {
        let Launch { function, grid: [gx, gy, gz], block: [bx, by, bz], shared_bytes, args } = launch;
        // Values first, all of them, so that no pointer to one is moved away from.
        let values: Vec<Value> = args.iter().map(Value::of).collect();
        let mut pointers: Vec<*mut c_void> = values.iter().map(Value::pointer).collect();
        // SAFETY: whoever made the launch vouches that the arguments are the kernel's parameters and that it
        // stays within its memory; the driver copies the values before it returns. The memory outlives the
        // launch: freeing waits for all work.
        let launched = unsafe {
            result::launch_kernel(
                function.handle,
                (*gx, *gy, *gz),
                (*bx, *by, *bz),
                *shared_bytes,
                stream,
                &mut pointers,
            )
        };
        done("cuLaunchKernel", launched)
    }

    fn wait(&self) -> Result<()> {
        // SAFETY: the stream is alive as long as `self`.
        done("cuStreamSynchronize", unsafe { result::stream::synchronize(self.stream) })
    }
}

/// A stream for recording.
struct Recorder {
    stream: sys::CUstream,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu").field("properties", &self.properties).field("nvrtc", &self.nvrtc).finish()
    }
}

// SAFETY: the driver's interface may be called from any thread once the context is current there, which every
// method sees to; the handles in here are only passed to it.
unsafe impl Send for Gpu {}
// SAFETY: as above; calls from several threads are put in some order by the driver.
unsafe impl Sync for Gpu {}

impl Drop for Gpu {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            let recorder = self.recorder.get_mut().unwrap_or_else(PoisonError::into_inner).stream;
            for stream in [self.stream, recorder] {
                // SAFETY: nobody else has the stream. That it could not be destroyed would change nothing.
                let _ = unsafe { result::stream::destroy(stream) };
            }
        }
    }
}
