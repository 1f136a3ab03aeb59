//! The laboratory: experiments on the tutorial.
//!
//! | question | module |
//! |---|---|
//! | What would improve it? | [`study`] |
//! | Does it match Keras, over many seeds? | [`replicate`] |
//! | How good are detectors on the Numenta Anomaly Benchmark? | [`nab`] |
//! | Where does the time of a training step go? | [`profile`] |
//! | Is a difference more than chance? | [`statistics`] |
//! | How are many models trained in parallel? | [`jobs`] |

#![forbid(unsafe_code)]

mod error;
pub mod jobs;
pub mod nab;
pub mod profile;
pub mod replicate;
pub mod statistics;
pub mod study;

pub use error::{Error, Result};

/// The most seeds of a study or a replication; so many cannot overflow a count.
pub const MOST_SEEDS: usize = 1_000_000;

/// Checks a number of seeds.
fn require_seeds(found: usize) -> Result<()> {
    match found {
        1..=MOST_SEEDS => Ok(()),
        _ => Err(Error::Seeds { found, most: MOST_SEEDS }),
    }
}
