//! Paired comparison, seed by seed: the sign test, and Holm's correction for many tests.

use glassbox_pipeline::statistics::quantile;
use serde::{Deserialize, Serialize};

/// Mean and quantiles of some values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The number of values.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// The lower quartile.
    pub q1: f64,
    /// The median.
    pub median: f64,
    /// The upper quartile.
    pub q3: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`, or `None` if there are none. Quartiles as `numpy.quantile` has them.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let [q1, median, q3] = [0.25, 0.5, 0.75].map(|q| quantile(&sorted, q));
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Some(Self { count: values.len(), mean, min, q1, median, q3, max })
    }
}

/// The two-sided sign test: the probability, were better and worse equally likely, of a split at least as uneven.
/// The caller leaves out ties; without any other pair it is 1.
///
/// ```
/// use glassbox_lab::statistics::sign_test;
///
/// assert_eq!(sign_test(10, 0), 2.0 / 1024.0);
/// assert_eq!(sign_test(9, 1), 22.0 / 1024.0);
/// assert_eq!(sign_test(3, 3), 1.0);
/// ```
#[must_use]
pub fn sign_test(better: usize, worse: usize) -> f64 {
    let n = better + worse;
    // Each of the 2^n outcomes has the same probability; C(n, k) of them have k of the rarer kind.
    let mut outcomes = 0.5_f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let mut tail = 0.0;
    for k in 0..=better.min(worse) {
        tail += outcomes;
        outcomes *= (n - k) as f64 / (k + 1) as f64;
    }
    (2.0 * tail).min(1.0)
}

/// Holm's correction: p-values of a family of tests, such that one below a level is significant at that level
/// whatever else was tested ([Holm 1979](https://www.jstor.org/stable/4615733)). In the order of `p`.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * p[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_numpys() {
        let spread = Spread::of(&[4.0, 1.0, 2.0, 3.0]).unwrap();
        // numpy.quantile([1, 2, 3, 4], [0.25, 0.5, 0.75])
        assert_eq!((spread.q1, spread.median, spread.q3), (1.75, 2.5, 3.25));
        assert_eq!((spread.count, spread.mean, spread.min, spread.max), (4, 2.5, 1.0, 4.0));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn the_sign_test_counts_outcomes() {
        for better in 0..8_usize {
            for worse in 0..8 {
                let n = better + worse;
                let uneven = better.abs_diff(worse);
                let as_uneven = (0..1_u32 << n)
                    .filter(|signs| (2 * signs.count_ones() as usize).abs_diff(n) >= uneven)
                    .count();
                let p = as_uneven as f64 / f64::from(1_u32 << n);
                assert!((sign_test(better, worse) - p).abs() < 1e-12, "{better}, {worse}");
            }
        }
        assert!(sign_test(5000, 0) == 0.0 && sign_test(40, 60) > 0.05 && sign_test(30, 70) < 0.001);
    }

    #[test]
    fn holms_example() {
        // Worked by hand: 4 * 0.005, 3 * 0.01, 2 * 0.03, 1 * 0.04 raised to the one before.
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (adjusted, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((adjusted - expected).abs() < 1e-15, "{adjusted}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
