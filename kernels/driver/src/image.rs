//! What NVRTC gives and the driver takes: here not machine code but the source, with what it was compiled for.

use glassbox_shim::Source;
use serde::{Deserialize, Serialize};

/// What an image begins with; its length in decimals follows.
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
    /// As bytes. Like machine code they know their own length; like PTX they are text that ends in NUL.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let text = serde_json::to_string(self).expect("strings are JSON");
        format!("{MAGIC}{:012}\n{text}\0", text.len()).into_bytes()
    }

    /// From bytes that begin there.
    ///
    /// # Safety
    /// * the bytes are an image's, or end in NUL before they differ from one.
    pub(crate) unsafe fn at(start: *const u8) -> Option<Self> {
        let bytes = |from: usize, len: usize| {
            // SAFETY: the caller's: what was read up to here is an image's, so there is as much more.
            (from..from + len).map(|at| unsafe { *start.add(at) })
        };
        if !bytes(0, MAGIC.len()).eq(MAGIC.bytes()) {
            return None;
        }
        let len: String = bytes(MAGIC.len(), 12).map(char::from).collect();
        let text: Vec<u8> = bytes(MAGIC.len() + 13, len.parse().ok()?).collect();
        serde_json::from_slice(&text).ok()
    }
}
