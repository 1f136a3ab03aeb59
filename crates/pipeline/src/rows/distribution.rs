//! The distribution of scores in training, and the threshold that a rule gives for it.

use serde::{Deserialize, Serialize};

use super::rule::ThresholdRule;
use crate::error::{Error, Result};

/// The largest scores that a [`Distribution`] keeps.
const TAIL: usize = 1000;
/// The fraction of training scores that the fit of extreme values uses (Siffer et al. 2017: the initial threshold is
/// the quantile 0.98).
const PEAKS: f64 = 0.02;
/// The fewest peaks that two parameters can be fitted to.
const FEWEST_PEAKS: usize = 10;
/// Turns a median absolute deviation into the standard deviation of a normal distribution.
const MAD_TO_STD: f64 = 1.4826;

/// The distribution of scores in training.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Distribution {
    /// Number of rows.
    count: usize,
    /// The median score.
    median: f64,
    /// The median of |score - median|.
    mad: f64,
    /// The largest scores, in descending order: all of them, or 1000.
    largest: Vec<f64>,
}

impl Distribution {
    /// The distribution of `scores`, which are finite.
    pub(super) fn of(mut scores: Vec<f64>) -> Self {
        scores.sort_by(f64::total_cmp);
        let middle = |sorted: &[f64]| sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        let median = middle(&scores);
        let mut away: Vec<f64> = scores.iter().map(|score| (score - median).abs()).collect();
        away.sort_by(f64::total_cmp);
        let (count, mad) = (scores.len(), middle(&away));
        scores.reverse();
        scores.truncate(TAIL);
        Self { count, median, mad, largest: scores }
    }

    /// Number of rows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The largest scores, in descending order: all of them, or 1000; relative to the training maximum.
    #[must_use]
    pub fn largest(&self) -> &[f64] {
        &self.largest
    }

    /// Returns true if a distribution of scores can be like this.
    pub(super) fn is_valid(&self) -> bool {
        // Scores are relative to the largest.
        let good = |value: &f64| (0.0..=1.0).contains(value);
        self.count > 0
            && self.largest.len() == self.count.min(TAIL)
            && [self.median, self.mad].iter().chain(&self.largest).all(good)
            && self.largest.is_sorted_by(|a, b| a >= b)
    }

    /// The threshold by a rule.
    pub(super) fn threshold(&self, rule: ThresholdRule) -> Result<f64> {
        let too_few = |needed: usize| Error::TooFewScores { rule, rows: self.count, needed };
        match rule {
            ThresholdRule::Max => Ok(1.0),
            ThresholdRule::Quantile(quantile) => {
                let above = above(quantile, self.count);
                match self.largest.get(above) {
                    Some(_) if above == 0 => Err(too_few((1.0 / (1.0 - quantile)).round() as usize)),
                    Some(score) => Ok(*score),
                    None => {
                        Err(Error::QuantileTooLow { quantile, least: 1.0 - TAIL as f64 / self.count as f64 })
                    }
                }
            }
            ThresholdRule::RobustZ(z) => Ok(self.median + z * MAD_TO_STD * self.mad),
            ThresholdRule::Peaks(rate) => {
                let (base, excesses) = self.peaks();
                if excesses.len() < FEWEST_PEAKS {
                    return Err(too_few((FEWEST_PEAKS as f64 / PEAKS) as usize));
                }
                let fraction = excesses.len() as f64 / self.count as f64;
                if rate >= fraction {
                    return Err(Error::RateTooHigh { rate, most: fraction });
                }
                Ok(base + Pareto::fit(&excesses).exceeded_with(rate / fraction))
            }
            ThresholdRule::Adaptive(rule) => self.threshold(rule.beginning()),
        }
    }

    /// The score that the largest 2 % exceed, and the ascending excesses of these.
    pub(super) fn peaks(&self) -> (f64, Vec<f64>) {
        let peaks = ((PEAKS * self.count as f64) as usize).min(self.largest.len().saturating_sub(1));
        let base = self.largest.get(peaks).copied().unwrap_or_default();
        (base, self.largest[..peaks].iter().rev().map(|score| score - base).collect())
    }

    /// The median score.
    pub(super) fn median(&self) -> f64 {
        self.median
    }

    /// The fraction of training scores above `threshold`; at least that of one score, as none is not never.
    pub(super) fn fraction_above(&self, threshold: f64) -> f64 {
        let above = self.largest.partition_point(|score| *score > threshold).max(1);
        above as f64 / (self.count + 1) as f64
    }
}

/// Number of scores, of `count`, that may be above a quantile.
fn above(quantile: f64, count: usize) -> usize {
    ((1.0 - quantile) * count as f64 + 1e-9).floor() as usize
}

/// A quantile of ascending scores, of which at least one is above it.
pub(super) fn quantile_of(sorted: &[f64], quantile: f64) -> f64 {
    sorted[sorted.len() - 1 - above(quantile, sorted.len())]
}

/// The median of ascending scores plus `z` standard deviations, estimated by the median absolute deviation.
pub(super) fn robust_z_of(sorted: &[f64], z: f64) -> f64 {
    let middle = sorted.len() / 2;
    let median = sorted[middle];
    // The deviations in ascending order: the nearer one of both sides is next.
    let (mut below, mut from, mut mad) = (middle, middle, 0.0);
    for _ in 0..=middle {
        let left = below.checked_sub(1).map(|at| median - sorted[at]);
        let right = sorted.get(from).map(|score| score - median);
        mad = match (left, right) {
            (Some(left), right) if right.is_none_or(|right| left < right) => {
                below -= 1;
                left
            }
            (_, right) => {
                from += 1;
                right.unwrap_or(mad)
            }
        };
    }
    median + z * MAD_TO_STD * mad
}

/// A generalised Pareto distribution of excesses over a base.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pareto {
    pub(super) shape: f64,
    pub(super) scale: f64,
}

impl Pareto {
    /// Fits ascending `excesses`, at least 2, by probability-weighted moments (Hosking and Wallis 1987), which suit small
    /// samples and have no iteration that could fail.
    pub(super) fn fit(excesses: &[f64]) -> Self {
        let n = excesses.len() as f64;
        let mean = excesses.iter().sum::<f64>() / n;
        let weighted = excesses.iter().zip(0..).map(|(x, rank)| x * (n - 1.0 - f64::from(rank)) / (n - 1.0));
        let moment = weighted.sum::<f64>() / n;
        let spread = mean - 2.0 * moment;
        // No excess, or all are equal: there is no tail.
        if spread <= 1e-12 * mean {
            return Self { shape: 0.0, scale: 0.0 };
        }
        Self { shape: 2.0 - mean / spread, scale: 2.0 * mean * moment / spread }
    }

    /// The excess that is exceeded with this probability.
    pub(super) fn exceeded_with(self, probability: f64) -> f64 {
        if self.shape.abs() < 1e-9 {
            return -self.scale * probability.ln();
        }
        self.scale / self.shape * (probability.powf(-self.shape) - 1.0)
    }
}
