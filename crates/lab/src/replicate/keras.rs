//! The recorded runs of Keras.

use serde::{Deserialize, Serialize};

use super::Run;

/// Runs of the tutorial by Keras.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KerasRuns {
    /// Versions and machine of the measured runs.
    pub source: String,
    /// Runs published by others.
    pub published: Vec<PublishedRun>,
    /// Runs made for this comparison.
    pub measured: Vec<Run>,
}

/// The known numbers of a published run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedRun {
    /// Its publication.
    pub source: String,
    /// Epochs done, if published.
    pub epochs: Option<usize>,
    /// The largest training error, in standard deviations of the training series.
    pub threshold: f64,
    /// Anomalous windows.
    pub windows: usize,
    /// Anomalous points.
    pub points: usize,
    /// The first of them.
    pub first_point: usize,
    /// The last of them.
    pub last_point: usize,
}

/// The runs of Keras that are built in (`crates/lab/data/keras_runs.json`): two that were published, and 60 of
/// Keras 3.15.1 with TensorFlow 2.21 on a CPU, on the published files.
///
/// # Panics
/// Never: a test reads them.
#[must_use]
pub fn keras_runs() -> KerasRuns {
    serde_json::from_str(include_str!("../../data/keras_runs.json")).expect("the built-in runs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_runs_and_two_published_ones_are_built_in() {
        let runs = keras_runs();
        assert_eq!((runs.measured.len(), runs.published.len()), (60, 2));
        assert!(runs.source.contains("Keras 3.15.1") && runs.source.contains("TensorFlow 2.21"));
        for run in &runs.measured {
            assert!((11..=50).contains(&run.epochs) && run.seconds.is_none(), "{run:?}");
            let (first, last) = (run.first_point.unwrap(), run.last_point.unwrap());
            assert!(run.points <= last + 1 - first, "{run:?}");
        }
        let mut seeds: Vec<u64> = runs.measured.iter().map(|run| run.seed).collect();
        seeds.dedup();
        assert_eq!(seeds.len(), 60, "each seed once");
    }
}
