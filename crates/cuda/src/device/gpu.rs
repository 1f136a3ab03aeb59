//! A GPU, through NVIDIA's driver.
//!
//! The driver's library is loaded when it is first asked for, so this builds and runs, and says what is missing,
//! where there is none. One stream keeps all work in order; launches are recorded on another, so that whoever works
//! on the same GPU meanwhile, in another thread, does not end up in the recording.
#![allow(unsafe_code)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::{CudaContext, CudaGraph, CudaStream, sys};
use cudarc::nvrtc::Ptx;
use sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as DYNAMIC_SHARED_BYTES;

use super::buffer::Memory;
use super::cache::{Cache, Key};
use super::discover::{count, properties, require_capability, version};
use super::errors::done;
use super::nvrtc::Nvrtc;
use super::{Function, Launch, Mark, Module, Properties, Source};
use crate::error::{DeviceError, Result};

/// Modules that stay loaded though nobody uses them: a model that is trained again is not compiled, nor loaded, again.
const MODULES_KEPT: usize = 16;

/// A GPU.
#[derive(Debug)]
pub struct Gpu {
    properties: Properties,
    stream: Arc<CudaStream>,
    /// The stream on which launches are recorded, by one at a time.
    recorder: Mutex<Arc<CudaStream>>,
    /// The modules that stay loaded; the last used comes last.
    modules: Mutex<Vec<(Key, Arc<Module>)>>,
    nvrtc: Nvrtc,
    architecture: String,
    driver: (u32, u32),
    cache: Cache,
}

/// Launches that are ready to be done again, with the memory that they use.
pub struct Recording {
    graph: CudaGraph,
    _launches: Vec<Launch>,
    context: Arc<CudaContext>,
}

// SAFETY: one thread at a time has it, and the driver's graphs are not bound to a thread.
unsafe impl Send for Recording {}

impl Drop for Recording {
    fn drop(&mut self) {
        // The graph is destroyed next, in the context that is current. A failure would change nothing.
        let _ = self.context.bind_to_thread();
    }
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
        let driver = version()?;
        let found = count()?;
        if ordinal >= found {
            return Err(DeviceError::NoSuchGpu { ordinal, found });
        }
        let properties = properties(ordinal)?;
        require_capability(&properties)?;
        let nvrtc = nvrtc(driver)?;
        let context = done("cuDevicePrimaryCtxRetain", CudaContext::new(ordinal))?;
        let stream = || done("cuStreamCreate", context.new_stream());
        let (stream, recorder) = (stream()?, Mutex::new(stream()?));
        let architecture = nvrtc.architecture(properties.capability);
        Ok(Self {
            properties,
            stream,
            recorder,
            modules: Mutex::default(),
            nvrtc,
            architecture,
            driver,
            cache,
        })
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
        let versions = [self.nvrtc.version(), self.driver];
        let key = Key::new(source, &Nvrtc::options(&self.architecture), versions);
        let kept = || self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = kept().iter().find(|(other, _)| *other == key).map(|(_, module)| Arc::clone(module));
        let module = match loaded {
            Some(module) => module,
            None => {
                // Machine code with its own length, or PTX that ends in NUL.
                let image = Ptx::from_binary(self.image(source, &key)?);
                done("cuModuleLoadData", self.context().load_module(image))?
            }
        };
        let mut kept = kept();
        // It is now the last used. Another thread may have loaded it meanwhile: one of the two stays.
        kept.retain(|(other, _)| *other != key);
        if kept.len() == MODULES_KEPT {
            kept.remove(0);
        }
        kept.push((key, Arc::clone(&module)));
        Ok(module)
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

    /// The kernel of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn function(&self, module: &Arc<Module>, name: &str) -> Result<Function> {
        self.enter()?;
        let function = done("cuModuleGetFunction", module.load_function(name))?;
        // All the shared memory that a block can have, beside what the kernel declares itself: without that a launch
        // could ask for 48 KiB in all. It also loads the kernel, which drivers put off until it is needed: that must
        // not be while launches are recorded.
        let declared = done("cuFuncGetAttribute", function.shared_size_bytes())?;
        let most = self.properties.shared_bytes as i32 - declared;
        done("cuFuncSetAttribute", function.set_attribute(DYNAMIC_SHARED_BYTES, most))?;
        Ok(function)
    }

    /// Memory with undefined contents.
    pub(super) fn alloc(&self, bytes: usize) -> Result<Memory> {
        self.enter()?;
        // SAFETY: what is undefined in it is the caller's to write before it is read.
        let allocated = unsafe { result::malloc_sync(bytes) };
        if let Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) = allocated {
            let (free, total) = (result::mem_get_info().unwrap_or((0, 0)).0, self.properties.memory);
            return Err(DeviceError::OutOfMemory { asked: bytes as u64, free: free as u64, total });
        }
        Ok(Memory { address: done("cuMemAlloc", allocated)?, stream: Arc::clone(&self.stream) })
    }

    /// Launches a kernel.
    ///
    /// # Errors
    /// If the GPU cannot take it.
    pub fn launch(&self, launch: &Launch) -> Result<()> {
        self.enter()?;
        launch.enqueue(&self.stream)
    }

    /// Makes launches ready to be done again, one after the other.
    ///
    /// # Errors
    /// If the GPU cannot take them.
    pub fn record(&self, launches: &[Launch]) -> Result<Recording> {
        use sys::CUstreamCaptureMode_enum::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL as THIS_THREAD;
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        done("cuStreamBeginCapture", recorder.begin_capture(THIS_THREAD))?;
        let enqueued = launches.iter().try_for_each(|launch| launch.enqueue(&recorder));
        // The capture ends whatever happened within it.
        let graph = recorder.end_capture(sys::CUgraphInstantiate_flags(0));
        enqueued?;
        let graph = done("cuStreamEndCapture", graph)?.expect("the graph of a capture that was begun");
        Ok(Recording { graph, _launches: launches.to_vec(), context: Arc::clone(self.context()) })
    }

    /// Does recorded launches.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn replay(&self, recording: &Recording) -> Result<()> {
        self.enter()?;
        let (instance, stream) = (recording.graph.cu_graph_exec(), self.stream.cu_stream());
        // SAFETY: the instance and the stream are alive; the recording holds all memory that it uses.
        done("cuGraphLaunch", unsafe { result::graph::launch(instance, stream) })
    }

    /// Marks this moment in the order of the work.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn mark(&self) -> Result<Mark> {
        done("cuEventRecord", self.stream.record_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT)))
    }

    /// The time between two marks. Waits for the later one.
    ///
    /// # Errors
    /// If the GPU or any work before `end` has failed.
    pub fn elapsed(&self, start: &Mark, end: &Mark) -> Result<Duration> {
        let milliseconds = done("cuEventElapsedTime", start.elapsed_ms(end))?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1e3))
    }

    fn context(&self) -> &Arc<CudaContext> {
        self.stream.context()
    }

    /// Makes the context current in this thread.
    fn enter(&self) -> Result<()> {
        done("cuCtxSetCurrent", self.context().bind_to_thread())
    }
}
