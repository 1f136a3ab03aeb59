//! The reasons why a GPU cannot be used, or has failed, and what to do about each.

use glassbox_engine::Error;

/// The result of what a [`Gpu`](crate::device::Gpu) does.
pub type Result<T, E = DeviceError> = std::result::Result<T, E>;

/// The least compute capability: Turing's. Older GPUs are no longer compiled for by CUDA 13.
pub const LEAST_CAPABILITY: (u32, u32) = (7, 5);

/// The least CUDA version of a driver: 12.0.
pub const LEAST_DRIVER: u32 = 12_000;

/// An error of a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The driver's library is not there.
    #[error(
        "no NVIDIA driver: its library ({library}) was not found; install the driver, or compute on the CPU"
    )]
    NoDriver {
        /// The name that was looked for.
        library: &'static str,
    },

    /// The driver was found and does not start.
    #[error("the NVIDIA driver does not start: {problem}; see what `nvidia-smi` says, or compute on the CPU")]
    Driver {
        /// The driver's or NVRTC's description.
        problem: String,
    },

    /// The driver is older than CUDA 12.0.
    #[error("the NVIDIA driver is for CUDA {}, at least {} is needed: install a newer driver", version(*found), version(LEAST_DRIVER))]
    OldDriver {
        /// Its CUDA version, as 1000 major + 10 minor.
        found: u32,
    },

    /// There is no such GPU.
    #[error("there is no GPU number {ordinal}: the driver sees {}; use one that it sees, or compute on the CPU", gpus(*found))]
    NoSuchGpu {
        /// The one asked for, from 0.
        ordinal: usize,
        /// The number of GPUs that there are.
        found: usize,
    },

    /// The GPU is too old.
    #[error(
        "{name} has compute capability {}.{}, at least {}.{} is needed: use another GPU, or compute on the CPU",
        found.0, found.1, LEAST_CAPABILITY.0, LEAST_CAPABILITY.1
    )]
    TooOld {
        /// Its name.
        name: String,
        /// Its compute capability.
        found: (u32, u32),
    },

    /// The compiler for kernels is not there.
    #[error(
        "no NVRTC, the compiler for CUDA kernels: {problem}; install the CUDA toolkit or the Python package \
         nvidia-cuda-nvrtc, no newer than the driver, and name its library in {variable}"
    )]
    NoCompiler {
        /// The libraries that were tried, and what is wrong with them.
        problem: String,
        /// The environment variable that names it.
        variable: &'static str,
    },

    /// A kernel does not compile.
    #[error("{name} does not compile for {arch}:\n{log}")]
    Compile {
        /// The source.
        name: String,
        /// The architecture.
        arch: String,
        /// The compiler's output.
        log: String,
    },

    /// Memory ran out.
    #[error(
        "out of device memory: {} more were asked for, {} of {} are free; lower the batch size, or compute on the CPU",
        mib(*asked), mib(*free), mib(*total)
    )]
    OutOfMemory {
        /// Bytes asked for.
        asked: u64,
        /// Bytes that were free.
        free: u64,
        /// Bytes that the device has.
        total: u64,
    },

    /// The device is gone, or can do no more in this process.
    #[error(
        "the GPU was lost in {call}: {problem}; what was written is whole, so a run with checkpoints can be resumed"
    )]
    Lost {
        /// The call that noticed.
        call: &'static str,
        /// The driver's or NVRTC's description.
        problem: String,
    },

    /// A call failed for another reason.
    #[error("{call} failed: {problem}")]
    Call {
        /// The call.
        call: &'static str,
        /// The driver's or NVRTC's description.
        problem: String,
    },

    /// A launch, or a copy, that the device cannot take.
    #[error("{what}: {problem}")]
    Refused {
        /// The operation.
        what: String,
        /// The reason.
        problem: String,
    },
}

impl From<DeviceError> for Error {
    fn from(error: DeviceError) -> Self {
        Self::Device { backend: "cuda".into(), problem: error.to_string() }
    }
}

fn version(number: u32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

fn gpus(number: usize) -> String {
    match number {
        0 => "none".into(),
        1 => "one, number 0".into(),
        n => format!("{n}, numbers 0 to {}", n - 1),
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_what_was_found_and_what_is_needed() {
        let old = DeviceError::TooOld { name: "Tesla P100".into(), found: (6, 0) }.to_string();
        assert!(old.contains("Tesla P100") && old.contains("6.0") && old.contains("7.5"), "{old}");
        let driver = DeviceError::OldDriver { found: 11_040 }.to_string();
        assert!(driver.contains("CUDA 11.4") && driver.contains("12.0"), "{driver}");
        let memory = DeviceError::OutOfMemory { asked: 3 << 20, free: 1 << 20, total: 1 << 30 }.to_string();
        assert!(memory.contains("3.0 MiB") && memory.contains("1024.0 MiB"), "{memory}");
        for (found, words) in [(0, "none"), (1, "number 0"), (4, "0 to 3")] {
            let error = DeviceError::NoSuchGpu { ordinal: 7, found }.to_string();
            assert!(error.contains(words) && error.contains('7'), "{error}");
        }
    }
}
