//! NAB's windowed Gaussian: the tail probability of a value under the distribution of those before it.
//!
//! Source: the description of `windowedGaussian` in NAB, whose published scores this reproduces.

use super::tail;

/// The most values that the distribution is fitted to.
const WINDOW: usize = 6400;
/// The number of values that a full window is moved by.
const STEP: usize = 100;

/// A score for each value.
pub(super) fn scores(values: &[f64]) -> Vec<f64> {
    let (mut first, mut end) = (0, 0);
    let mut fitted = None;
    let score = |(row, value): (usize, &f64)| {
        let score = fitted.map_or(0.0, |(mean, std): (f64, f64)| 1.0 - tail((value - mean).abs() / std));
        let seen = row + 1;
        // A full window moves only when it has a whole step to take in.
        if seen - first <= WINDOW || seen - end == STEP {
            (first, end) = (seen.saturating_sub(WINDOW), seen);
            fitted = Some(moments(&values[first..end]));
        }
        published(score)
    };
    values.iter().enumerate().map(score).collect()
}

/// The mean and the population's standard deviation; 1e-6 in place of 0.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    (mean, if variance > 0.0 { variance.sqrt() } else { 1e-6 })
}

/// The score with 12 significant digits, as in the published results. NAB's best threshold for it is 1.0, so the rows that
/// this rounds to 1.0 decide.
fn published(score: f64) -> f64 {
    format!("{score:.11e}").parse().expect("a number that was just written")
}
