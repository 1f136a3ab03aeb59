//! Devices that train models: the CPU, or a GPU.

use std::fmt;
use std::sync::Arc;

use glassbox_cpu::Cpu;
#[cfg(feature = "cuda")]
use glassbox_cuda::{
    Cuda,
    device::{Gpu, cache::Cache},
};
use glassbox_engine::backend::Backend;

use crate::error::Result;

/// A device that trains models and predicts with them. Cheap to clone: clones share its threads or its GPU.
///
/// ```
/// use glassbox::Device;
///
/// let cpu = Device::cpu()?;              // one thread per core
/// let one = Device::cpu_with_threads(1)?;
/// let best = Device::best()?;            // the first GPU if it can be used, else the CPU
/// println!("{cpu}; {one}; {best}");
/// # Ok::<(), glassbox::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Device(Arc<dyn Backend<f32>>);

impl Device {
    /// The device that this backend drives: one of your own, or one with special settings.
    #[must_use]
    pub fn new(backend: impl Backend<f32> + 'static) -> Self {
        Self(Arc::new(backend))
    }

    /// The CPU, with a thread for each core.
    ///
    /// # Errors
    /// If the threads cannot be started, or `GLASSBOX_SIMD` names an instruction set that this processor does not
    /// support.
    pub fn cpu() -> Result<Self> {
        Ok(Self::new(Cpu::new(None)?))
    }

    /// The CPU, with a given number of threads. Results are the same to the bit for any number of threads.
    ///
    /// # Errors
    /// As [`Device::cpu`], and if the number is out of range.
    pub fn cpu_with_threads(threads: usize) -> Result<Self> {
        Ok(Self::new(Cpu::new(Some(threads))?))
    }

    /// NVIDIA GPU number `ordinal`, from 0. Compiled kernels are stored in the [cache folder](crate::cache::folder).
    ///
    /// # Errors
    /// If the GPU cannot be used: no driver, no such GPU, no run-time compiler, or a library built without the feature
    /// `cuda`. The error names the reason.
    pub fn cuda(ordinal: usize) -> Result<Self> {
        #[cfg(feature = "cuda")]
        {
            let kernels = crate::cache::folder()
                .map_or_else(Cache::none, |folder| Cache::in_folder(folder.join("kernels")));
            let gpu =
                Gpu::open(ordinal, kernels).and_then(Cuda::new).map_err(glassbox_engine::Error::from)?;
            Ok(Self::new(gpu))
        }
        #[cfg(not(feature = "cuda"))]
        {
            let backend = format!("cuda:{ordinal}");
            let problem =
                "this glassbox was built without the feature `cuda`: build it with default features, or \
                           compute on the CPU"
                    .into();
            Err(glassbox_engine::Error::Device { backend, problem }.into())
        }
    }

    /// The first GPU if it can be used, else the CPU.
    ///
    /// # Errors
    /// As [`Device::cpu`].
    pub fn best() -> Result<Self> {
        Self::cuda(0).or_else(|_| Self::cpu())
    }

    /// The backend of the device.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend<f32> {
        &*self.0
    }
}

/// `cpu, avx512, 2 threads`.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name())
    }
}
