//! NAB's last stage: how unlikely the errors of the last rows are, and whether a value is out of range.
//!
//! Source: the anomaly likelihood and the "spatial anomaly" of NAB's detector `numenta` (Ahmad et al. 2017, section 3.2).
//! All constants are NAB's.

use std::collections::VecDeque;

use super::tail;

/// The rows of the short-term average.
const AVERAGED: usize = 10;
/// The rows after which the distribution of averages is fitted again.
const REFIT: usize = 100;
/// The least mean and variance of the distribution: errors below are as good as none.
const LEAST_MEAN: f64 = 0.03;
const LEAST_VARIANCE: f64 = 0.0003;
/// A tail probability up to which a row is unlikely. A row that follows an unlikely one has [`YELLOW`] instead.
const RED: f64 = 1e-5;
const YELLOW: f64 = 1e-3;
/// The tail probability at which the logarithmic scale ends.
const LEAST: f64 = 1e-10;
/// The share of the range so far by which a value must leave it.
const TOLERANCE: f64 = 0.05;

/// The running distribution of the errors, averaged over the last rows.
#[derive(Debug)]
pub(super) struct Likelihood {
    probation: usize,
    recent: VecDeque<f64>,
    averages: Vec<f64>,
    /// Mean and standard deviation of the averages.
    fitted: (f64, f64),
}

impl Likelihood {
    /// Starts a series whose first `probation` rows are not judged. The first half of them does not count at all: there a
    /// detector has learnt little.
    pub(super) fn new(probation: usize) -> Self {
        Self { probation, recent: VecDeque::new(), averages: vec![], fitted: (0.0, 1.0) }
    }

    /// The tail probability of the average of the last rows, from the error of the next one; 1 in the probation.
    pub(super) fn next(&mut self, error: f64) -> f64 {
        let row = self.averages.len();
        if row >= self.probation && (row == self.probation || row.is_multiple_of(REFIT)) {
            self.fitted = moments(&self.averages[self.probation / 2..]);
        }
        self.recent.push_back(error);
        if self.recent.len() > AVERAGED {
            self.recent.pop_front();
        }
        let average = self.recent.iter().sum::<f64>() / self.recent.len() as f64;
        self.averages.push(average);
        let (mean, std) = self.fitted;
        if row < self.probation { 1.0 } else { tail((average - mean) / std) }
    }
}

/// The rest period: after an alarm, a stretch of unlikely rows is no other one.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// True if the row before was as unlikely as an alarm.
    red: bool,
}

impl Rest {
    /// The score of the next row, from its tail probability: 0 to 1, on a logarithmic scale.
    pub(super) fn next(&mut self, tail: f64) -> f64 {
        let red = tail <= RED;
        let again = std::mem::replace(&mut self.red, red) && red;
        let tail = if again { YELLOW } else { tail };
        ((tail + LEAST).ln() / LEAST.ln()).clamp(0.0, 1.0)
    }
}

/// The mean and the standard deviation of averages, neither below its least value.
fn moments(averages: &[f64]) -> (f64, f64) {
    let count = averages.len().max(1) as f64;
    let mean = averages.iter().sum::<f64>() / count;
    let variance = averages.iter().map(|average| (average - mean) * (average - mean)).sum::<f64>() / count;
    (mean.max(LEAST_MEAN), variance.max(LEAST_VARIANCE).sqrt())
}

/// The range of the values so far.
#[derive(Debug, Default)]
pub(super) struct Range(Option<(f64, f64)>);

impl Range {
    /// Returns whether the next value leaves the range by more than the tolerance, and adds it. There is no range before
    /// two values differ.
    pub(super) fn leaves(&mut self, value: f64) -> bool {
        let (low, high) = self.0.unwrap_or((value, value));
        let tolerance = TOLERANCE * (high - low);
        self.0 = Some((low.min(value), high.max(value)));
        low < high && (value > high + tolerance || value < low - tolerance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_unlikely_errors_is_one_alarm() {
        let mut likelihood = Likelihood::new(100);
        let mut rest = Rest::default();
        let mut next = |error: f64| rest.next(likelihood.next(error));
        let usual = |row: usize| 1.0 + 0.1 * (row as f64).sin();
        let calm: Vec<f64> = (0..300).map(|row| next(usual(row))).collect();
        assert!(calm[..100].iter().all(|score| *score == 0.0));
        assert!(calm[100..].iter().all(|score| *score < 0.3), "{calm:?}");
        let alarm = RED.ln() / LEAST.ln();
        let scores: Vec<f64> = (0..20).map(|_| next(5.0)).collect();
        assert!(scores[0] > alarm, "{scores:?}");
        // The logarithm of 1e-3 on a scale that ends at 1e-10.
        assert!(scores[1..].iter().all(|score| (score - 0.3).abs() < 1e-6), "{scores:?}");
        // It ends with the average of the rows; then the next is an alarm again.
        let after: Vec<f64> = (0..20).map(|row| next(usual(row))).collect();
        assert!(after[15] < 0.3 && next(5.0) > alarm, "{after:?}");
    }

    #[test]
    fn a_value_leaves_the_range_by_more_than_the_tolerance() {
        let mut range = Range::default();
        let left = [1.0, 1.0, 3.0, 3.1, 3.11, -5.0, -5.1, 9.0].map(|value| range.leaves(value));
        // The range of a constant says nothing; 3.1 is 5 % above.
        assert_eq!(left, [false, false, false, false, false, true, false, true]);
    }
}
