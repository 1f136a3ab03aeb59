//! The one place where the device is chosen.

use std::fmt;
use std::str::FromStr;

use glassbox::Device;
use glassbox_cpu::Cpu;
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Network;
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
    Cpu(Device),
    /// A GPU.
    Gpu(Device),
}

impl ComputeArgs {
    /// Opens the device. Prints which one, and with --verbose why it is not a GPU, unless `quiet`.
    pub(crate) fn device(&self, quiet: bool) -> Result<Device, Failure> {
        let (Chosen::Cpu(device) | Chosen::Gpu(device)) = self.choose(quiet)?;
        Ok(device)
    }

    /// Opens the device as [`ComputeArgs::device`] does, and tells its kind.
    pub(crate) fn choose(&self, quiet: bool) -> Result<Chosen, Failure> {
        let cpu = || -> Result<Device, Failure> { Ok(Device::new(Cpu::new(self.threads)?)) };
        let chosen = match self.device {
            DeviceChoice::Cpu => return cpu().map(Chosen::Cpu),
            DeviceChoice::Cuda(ordinal) => Chosen::Gpu(cuda(ordinal).map_err(|problem| {
                let way_out = "--device cpu computes on the CPU, `glassbox devices` lists all devices";
                Failure::new(Kind::Device, format_args!("--device {}: {problem} ({way_out})", self.device))
            })?),
            DeviceChoice::Auto => match cuda(0) {
                Ok(device) => Chosen::Gpu(device),
                Err(problem) => {
                    note(quiet || !self.verbose, format_args!("no GPU is used: {problem}"));
                    Chosen::Cpu(cpu()?)
                }
            },
        };
        let (Chosen::Cpu(device) | Chosen::Gpu(device)) = &chosen;
        note(quiet, format_args!("Computing on {device}"));
        Ok(chosen)
    }

    /// Number of trainings in parallel, each on [`one_thread`]; on the CPU, whatever --device says.
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

/// The CPU with one thread, for one of many trainings.
pub(crate) fn one_thread() -> Result<Device, glassbox::Error> {
    Device::cpu_with_threads(1)
}

/// Prints with --verbose how the device will train the model, unless `quiet`.
pub(crate) fn explain(
    compute: &ComputeArgs,
    quiet: bool,
    device: &Device,
    model: &Network,
    optimizer: &Optimizer,
    batch_size: usize,
) -> Result<(), Failure> {
    if compute.verbose {
        let plan = model.plan(Loss::default(), optimizer.clone(), 0, batch_size)?;
        if let Some(text) = device.backend().describe(&plan) {
            note(quiet, text);
        }
    }
    Ok(())
}

/// Opens a GPU; fails with the reason why it cannot be used.
pub(crate) fn cuda(ordinal: usize) -> Result<Device, String> {
    Device::cuda(ordinal).map_err(|error| match error {
        glassbox::Error::Engine(glassbox_engine::Error::Device { problem, .. }) => problem,
        other => other.to_string(),
    })
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
