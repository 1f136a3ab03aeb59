//! The maths of glassbox.
#![forbid(unsafe_code)]
pub mod random;
