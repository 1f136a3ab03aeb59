//! The CUDA backend of glassbox, in `f32`: the host side of `kernels/`.
//!
//! * [`device`]: the GPU. The driver and NVRTC are found at run time, so this builds, and says what is missing, on a
//!   machine that has neither;
//! * [`kernels`]: the plain kernels, one typed function for each;
//! * [`plain`]: a program as launches of these, one for each line;
//! * [`fused`]: a training step in two launches, inference in one, for models that fit into a block's shared memory;
//! * [`step`]: the steps, the scoring and the memory of a training run, plain or fused;
//! * [`session`]: a training run, recorded once and replayed.
//!
//! **Nothing leaves the device.** The series is uploaded once, windows are gathered there by index, masks are drawn
//! there from the same counters as everywhere, and only losses come back, once an epoch.
//!
//! **Bits.** Sums are taken in a fixed order, no float is added to atomically, and every rounding is written in the source: a run
//! gives the same bits each time. They differ from those of the CPU, whose sums have another order.
//!
//! `unsafe` is in the modules that make launches and in those that call into NVIDIA's libraries.

#![deny(unsafe_code)]

mod ceilings;
mod data;
pub mod device;
mod error;
pub mod fused;
pub mod kernels;
pub mod plain;
mod session;
pub mod step;

use std::sync::Arc;

use glassbox_engine::backend::{Backend, Plan, Session};
use glassbox_engine::profile::Ceilings;

use device::Gpu;
pub use error::{DeviceError, LEAST_CAPABILITY, LEAST_DRIVER, Result};
use fused::Tunings;
use kernels::Kernels;
use session::CudaSession;

/// The backend: a device, and the kernels compiled for it.
#[derive(Debug, Clone)]
pub struct Cuda {
    device: Arc<Gpu>,
    kernels: Arc<Kernels>,
    /// The tunings of the fused kernels; `None` if nothing is fused.
    tunings: Option<Tunings>,
}

impl Cuda {
    /// Compiles the plain kernels for a device, or takes them from its cache.
    ///
    /// # Errors
    /// If they cannot be compiled or loaded.
    pub fn new(device: Gpu) -> Result<Self> {
        let kernels = Arc::new(Kernels::new(&device)?);
        Ok(Self { device: Arc::new(device), kernels, tunings: Some(Tunings::default()) })
    }

    /// Takes every training step by the plain kernels, also where the fused ones would fit: they need no compilation
    /// for a model.
    #[must_use]
    pub fn plain(self) -> Self {
        Self { tunings: None, ..self }
    }

    /// Fuses training steps and inference where they fit, with kernels cut as `tunings` have it.
    #[must_use]
    pub fn tuned(self, tunings: impl Into<Tunings>) -> Self {
        Self { tunings: Some(tunings.into()), ..self }
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &Arc<Gpu> {
        &self.device
    }

    /// The plain kernels.
    #[must_use]
    pub fn kernels(&self) -> &Arc<Kernels> {
        &self.kernels
    }
}

impl Backend<f32> for Cuda {
    fn name(&self) -> String {
        let device::Properties { place, name, capability: (major, minor), .. } = self.device.properties();
        format!("{place}, {name}, sm_{major}{minor}")
    }

    fn session(&self, plan: Plan) -> glassbox_engine::Result<Box<dyn Session<f32>>> {
        let Self { device, kernels, tunings } = self;
        Ok(Box::new(CudaSession::new(plan, device, kernels, *tunings)?))
    }

    fn describe(&self, plan: &Plan) -> Option<String> {
        let plain = "a launch for each instruction of a training step";
        let Some(tunings) = self.tunings else { return Some(plain.into()) };
        Some(match fused::describe(plan, self.device.properties(), tunings.step) {
            Ok(fused) => fused,
            Err(reason) => format!("{plain}, which is not fused: {reason}"),
        })
    }

    /// The ceilings of arithmetic, of device memory, and of reads of `working_set` bytes over and over: those of the
    /// second cache, if they fit there.
    fn ceilings(&self, working_set: usize) -> Option<Ceilings> {
        // A device that fails here fails the training step as well, which then says how.
        ceilings::measure(&self.device, &self.kernels, working_set).ok()
    }
}
