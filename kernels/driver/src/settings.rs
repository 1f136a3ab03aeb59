//! Which GPU is stood in for, and when it fails.

use std::env;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The environment variable that holds [`Settings`], as JSON. What it leaves out is as in [`Settings::default`].
pub const SETTINGS: &str = "GLASSBOX_STAND_IN";

/// The environment variable that names a file for the trace: a line for each call.
pub const TRACE: &str = "GLASSBOX_STAND_IN_TRACE";

/// A GPU, its driver and its compiler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// True if the driver sees the GPU.
    pub present: bool,
    /// The driver's CUDA version, as 1000 major + 10 minor. This, and what is said of NVRTC, a process has once: from the
    /// environment.
    pub driver: i32,
    /// The GPU's compute capability.
    pub capability: (u32, u32),
    /// Bytes of shared memory that a block can have.
    pub shared_bytes: usize,
    /// Multiprocessors.
    pub multiprocessors: usize,
    /// Bytes of device memory.
    pub memory: u64,
    /// Launches after which the GPU is lost.
    pub lost_after: Option<u64>,
    /// NVRTC's version.
    pub nvrtc: (i32, i32),
    /// The architectures that NVRTC knows: 90 is `sm_90`.
    pub architectures: Vec<u32>,
}

impl Default for Settings {
    /// A Hopper GPU with few multiprocessors, so that blocks take several windows, and CUDA 13.0.
    fn default() -> Self {
        Self {
            present: true,
            driver: 13_000,
            capability: (9, 0),
            shared_bytes: 227 << 10,
            multiprocessors: 4,
            memory: 1 << 30,
            lost_after: None,
            nvrtc: (13, 0),
            architectures: vec![75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121],
        }
    }
}

impl Settings {
    /// Those of the environment.
    ///
    /// # Panics
    /// If they are no settings.
    pub(crate) fn of_environment() -> &'static Self {
        static FOUND: LazyLock<Settings> = LazyLock::new(|| {
            let Some(text) = env::var(SETTINGS).ok().filter(|text| !text.is_empty()) else {
                return Settings::default();
            };
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{SETTINGS} is {text}: {error}"))
        });
        &FOUND
    }
}
