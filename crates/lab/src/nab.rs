//! The Numenta Anomaly Benchmark (NAB): detectors on its 58 labelled series, and its score.
//!
//! | question | module |
//! |---|---|
//! | Which rows of which files are anomalous? | [`corpus`] |
//! | What are detections worth, and which threshold is best? | [`scoring`] |
//! | How are scores written and read? | [`results`] |
//! | What else can be said about them? | [`measures`] |
//! | Which detectors are there? | [`Detector`] |
//! | How good is one? | [`Scoreboard`] |
//!
//! The rules are those of NAB v1.1 (Ahmad, Lavin, Purdy, Agha 2017, "Unsupervised real-time anomaly detection for
//! streaming data"). `docs/nab.md` has the results.

pub mod corpus;
mod detectors;
mod error;
pub mod measures;
pub mod results;
pub mod scoreboard;
pub mod scoring;

pub use corpus::LabelledFile;
pub use detectors::Detector;
pub use error::NabError;
pub use scoreboard::Scoreboard;
pub use scoring::{Profile, Scored, Window, probation};

use crate::jobs::{self, Advance, MakeDevice};
use crate::{Error, Result};

/// Runs a detector on each file, `workers` files at a time, each on one thread. Returns a score for each row of each file;
/// it does not depend on the number of workers. Calls `on_advance` after each file.
///
/// # Errors
/// If a device cannot be made or fails, or the values of a file cannot be normalised.
pub fn run(
    detector: Detector,
    files: &[LabelledFile],
    seed: u64,
    device: MakeDevice<'_>,
    workers: usize,
    on_advance: &mut dyn FnMut(Advance),
) -> Result<Vec<Vec<f64>>> {
    let mut scores = vec![vec![]; files.len()];
    let jobs = files.iter().enumerate().map(|(index, file)| (index, file.series.len() as f64)).collect();
    let score = |index: &usize, device: &glassbox::Device| {
        let series = &files[*index].series;
        detector.scores(series.values(), probation(series.len()), seed, device).map_err(|error| match error {
            Error::Pipeline(problem) => Error::Pipeline(glassbox_pipeline::Error::Values {
                series: series.name().into(),
                problem: Box::new(problem),
            }),
            other => other,
        })
    };
    jobs::run::<_, _, Error>(jobs, workers, device, score, |index, of_file, advance| {
        scores[index] = of_file;
        on_advance(advance);
        Ok(())
    })?;
    Ok(scores)
}
