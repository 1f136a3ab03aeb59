//! Statistical tests: of pairs under the same seeds, and of two samples of one distribution.
#![allow(clippy::doc_markdown, reason = "names of libraries, in prose")]

mod paired;
mod two_samples;

pub use paired::{Spread, holm, sign_test};
pub use two_samples::{ks_critical_distance, ks_distance, ks_p_value};
