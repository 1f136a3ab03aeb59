//! The one place where the device is chosen.

use std::fmt;
use std::str::FromStr;

use glassbox_cpu::Cpu;
#[cfg(feature = "cuda")]
use glassbox_cuda::{
    Cuda,
    device::{Gpu, cache::Cache},
};
use glassbox_engine::backend::Backend;
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Sequential;
use glassbox_engine::optimizers::Optimizer;

use crate::args::ComputeArgs;
use crate::commands::note;
use crate::failure::{Failure, Kind};

/// The choices of `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceChoice {
    /// The first GPU if usable, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU with this number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || "expected auto, cpu, cuda, or cuda:N where N is 0 or more".to_string();
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                number.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

/// The backend of the chosen device.
pub(crate) enum Chosen {
    /// The CPU.
    Cpu(Box<dyn Backend<f32>>),
    /// A GPU.
    Gpu(Box<dyn Backend<f32>>),
}

impl ComputeArgs {
    /// Opens the backend. Prints which one, and with --verbose why it is not a GPU, unless `quiet`.
    pub(crate) fn backend(&self, quiet: bool) -> Result<Box<dyn Backend<f32>>, Failure> {
        let (Chosen::Cpu(backend) | Chosen::Gpu(backend)) = self.choose(quiet)?;
        Ok(backend)
    }

    /// Opens the backend as [`ComputeArgs::backend`] does, and tells the kind of its device.
    pub(crate) fn choose(&self, quiet: bool) -> Result<Chosen, Failure> {
        let cpu = || -> Result<Box<dyn Backend<f32>>, Failure> { Ok(Box::new(Cpu::new(self.threads)?)) };
        let chosen = match self.device {
            DeviceChoice::Cpu => return cpu().map(Chosen::Cpu),
            DeviceChoice::Cuda(ordinal) => Chosen::Gpu(cuda(ordinal).map_err(|problem| {
                Failure::new(Kind::Device, format_args!("--device {}: {problem}", self.device))
            })?),
            DeviceChoice::Auto => match cuda(0) {
                Ok(backend) => Chosen::Gpu(backend),
                Err(problem) => {
                    note(quiet || !self.verbose, format_args!("no GPU is used: {problem}"));
                    Chosen::Cpu(cpu()?)
                }
            },
        };
        let (Chosen::Cpu(backend) | Chosen::Gpu(backend)) = &chosen;
        note(quiet, format_args!("Computing on {}", backend.name()));
        Ok(chosen)
    }

    /// Number of trainings in parallel, each on a backend of [`one_thread`]; on the CPU, whatever --device says.
    pub(crate) fn workers(&self) -> Result<usize, Failure> {
        // Refuses numbers that no backend takes.
        Ok(Cpu::new(self.threads)?.threads())
    }

    /// Refuses a GPU, for a command that trains many models in parallel.
    pub(crate) fn require_cpu(&self, command: &str) -> Result<(), Failure> {
        match self.device {
            DeviceChoice::Cuda(_) => Err(Failure::new(
                Kind::Input,
                format_args!(
                    "{command} trains its models in parallel on the CPU, one on each core: leave out --device {}",
                    self.device
                ),
            )),
            DeviceChoice::Auto | DeviceChoice::Cpu => Ok(()),
        }
    }
}

/// Creates a backend with one thread, for one of many trainings.
pub(crate) fn one_thread() -> glassbox_engine::Result<Box<dyn Backend<f32>>> {
    Ok(Box::new(Cpu::new(Some(1))?))
}

/// Prints with --verbose how the backend will train the model, unless `quiet`.
pub(crate) fn explain(
    compute: &ComputeArgs,
    quiet: bool,
    backend: &dyn Backend<f32>,
    model: &Sequential,
    batch_size: usize,
) -> Result<(), Failure> {
    if compute.verbose {
        let plan = model.plan(Loss::default(), Optimizer::default(), 0, batch_size)?;
        if let Some(text) = backend.describe(&plan) {
            note(quiet, text);
        }
    }
    Ok(())
}

/// Opens a GPU, or says why that failed.
#[cfg(feature = "cuda")]
fn cuda(ordinal: usize) -> Result<Box<dyn Backend<f32>>, String> {
    let gpu = Gpu::open(ordinal, kernel_cache()).and_then(Cuda::new).map_err(|error| error.to_string())?;
    Ok(Box::new(gpu))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Box<dyn Backend<f32>>, String> {
    Err(BUILT_WITHOUT.into())
}

/// The reason why this binary has no GPU.
#[cfg(not(feature = "cuda"))]
pub(crate) const BUILT_WITHOUT: &str =
    "this glassbox was built without the feature `cuda`: build it with default features, or use --device cpu";

/// The cache of compiled kernels.
#[cfg(feature = "cuda")]
fn kernel_cache() -> Cache {
    let folder = glassbox::cache::folder();
    folder.map_or_else(Cache::none, |folder| Cache::in_folder(folder.join("kernels")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_they_are_printed() {
        for (text, device) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda:0", DeviceChoice::Cuda(0)),
            ("cuda:12", DeviceChoice::Cuda(12)),
        ] {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cuda0", "cpu:1"] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }
}
