//! NVRTC, where a test has it.

use glassbox_cuda::device::nvrtc::{Nvrtc, VARIABLE};

use crate::real_data::real_data;

/// NVRTC from the library that `GLASSBOX_NVRTC` names. `None`, with a word on standard error, if it is not set: the
/// test that asked skips.
///
/// # Panics
/// In CI, where nothing may skip; and if the library is not there, or is no NVRTC.
#[must_use]
pub fn nvrtc() -> Option<Nvrtc> {
    let path = real_data(VARIABLE)?;
    Some(Nvrtc::load_from(&path).unwrap_or_else(|error| panic!("{error}")))
}
