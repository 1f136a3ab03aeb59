//! The front door of glassbox.
#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod fingerprint;
pub mod interrupt;
pub mod training;
