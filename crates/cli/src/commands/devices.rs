//! `glassbox devices`

use std::fmt::Write as _;

use glassbox_cpu::Cpu;
use glassbox_engine::backend::Backend as _;
use serde::Serialize;

use super::{print, print_json};
use crate::args::DevicesArgs;
use crate::failure::Failure;

/// All that can compute, or could.
#[derive(Debug, Serialize)]
struct Devices {
    devices: Vec<Device>,
    /// Why there are no GPUs to list.
    no_gpu: Option<String>,
    /// NVRTC's version.
    nvrtc: Option<String>,
    /// Why it cannot be used.
    no_nvrtc: Option<String>,
    /// The device that `--device auto` takes.
    auto: String,
}

/// One device.
#[derive(Debug, Serialize)]
struct Device {
    /// As `--device` has it.
    device: String,
    name: String,
    /// Why it cannot be used.
    problem: Option<String>,
}

pub(crate) fn run(args: &DevicesArgs) -> Result<(), Failure> {
    let cpu = Cpu::new(None)?;
    let cpu = Device { device: "cpu".into(), name: cpu.name(), problem: None };
    let devices = gpus(cpu);
    if args.json { print_json(&devices) } else { print(&devices.table()) }
}

#[cfg(feature = "cuda")]
fn gpus(cpu: Device) -> Devices {
    use glassbox_cuda::device::nvrtc::Nvrtc;
    use glassbox_cuda::device::{Properties, list, version};

    let (nvrtc, no_nvrtc) = match Nvrtc::load(version().ok()) {
        Ok(nvrtc) => (Some(format!("{}.{}", nvrtc.version().0, nvrtc.version().1)), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let (mut devices, mut no_gpu) = (vec![cpu], None);
    match list() {
        Ok(listed) if listed.is_empty() => no_gpu = Some("the driver reports no GPU".into()),
        Ok(listed) => devices.extend(listed.into_iter().map(|gpu| {
            let Properties { name, place, capability: (major, minor), multiprocessors, memory, .. } = gpu.properties;
            let gib = memory as f64 / f64::from(1 << 30);
            Device {
                device: place,
                name: format!(
                    "{name}, compute capability {major}.{minor}, {multiprocessors} multiprocessors, {gib:.1} GiB"
                ),
                problem: gpu.problem.map(|error| error.to_string()).or_else(|| no_nvrtc.clone()),
            }
        })),
        Err(error) => no_gpu = Some(error.to_string()),
    }
    let first = devices.get(1).filter(|gpu| gpu.problem.is_none());
    let auto = first.map_or_else(|| "cpu".into(), |gpu| gpu.device.clone());
    Devices { devices, no_gpu, nvrtc, no_nvrtc, auto }
}

#[cfg(not(feature = "cuda"))]
fn gpus(cpu: Device) -> Devices {
    let no_gpu = crate::device::cuda(0).err();
    Devices { devices: vec![cpu], no_gpu, nvrtc: None, no_nvrtc: None, auto: "cpu".into() }
}

impl Devices {
    fn table(&self) -> String {
        let mut text = String::new();
        let width =
            self.devices.iter().map(|device| device.device.len()).max().unwrap_or(0).max("nvrtc".len());
        let mut row = |what: &str, says: &str| {
            let _ = writeln!(text, "{what:width$}  {says}");
        };
        for Device { device, name, problem } in &self.devices {
            row(device, name);
            if let Some(problem) = problem {
                row("", &format!("cannot be used: {problem}"));
            }
        }
        if let Some(problem) = &self.no_gpu {
            row("cuda", problem);
        }
        match (&self.nvrtc, &self.no_nvrtc) {
            (Some(version), _) => row("nvrtc", version),
            (None, Some(problem)) => row("nvrtc", problem),
            (None, None) => {}
        }
        row("auto", &format!("selects {}", self.auto));
        text
    }
}
