//! The code that NVRTC gives and the driver takes: here not machine code but the source, with what it was compiled for.

use std::ffi::CStr;

use glassbox_shim::Source;
use serde::{Deserialize, Serialize};

/// The text that an image begins with; JSON follows.
const MAGIC: &str = "glassbox stand-in ";

/// A compiled source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub(crate) source: Source,
    /// `sm_90` or `compute_90`.
    pub(crate) architecture: String,
    /// The version of NVRTC, as a driver has it: 1000 major + 10 minor.
    pub(crate) version: i32,
}

impl Image {
    /// The image as bytes: like PTX, text that ends in NUL.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let text = serde_json::to_string(self).expect("strings are JSON");
        format!("{MAGIC}{text}\0").into_bytes()
    }

    /// Reads an image from its bytes.
    ///
    /// # Safety
    /// * the bytes end in NUL.
    pub(crate) unsafe fn at(start: *const u8) -> Option<Self> {
        // SAFETY: the caller's.
        let text = unsafe { CStr::from_ptr(start.cast()) }.to_str().ok()?;
        serde_json::from_str(text.strip_prefix(MAGIC)?).ok()
    }
}
