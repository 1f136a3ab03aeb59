//! The Numenta Anomaly Benchmark.
pub mod corpus;
mod error;
pub mod measures;
pub mod results;
pub mod scoreboard;
pub mod scoring;

pub use corpus::LabelledFile;
pub use error::NabError;
pub use scoreboard::Scoreboard;
pub use scoring::{Profile, Scored, Window, probation};
