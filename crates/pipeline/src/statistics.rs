//! Summaries of many numbers, as NumPy and Matplotlib compute them.
#![allow(clippy::doc_markdown, reason = "names of libraries, in prose")]

use serde::{Deserialize, Serialize};

/// The bins of a histogram; the tutorial's `bins=50`.
pub const BINS: usize = 50;

/// The quantiles that a summary has.
pub const QUANTILES: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

/// The distribution of errors, in their unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many there are.
    pub count: usize,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// [`QUANTILES`], in ascending order.
    pub quantiles: Vec<Quantile>,
    /// How many there are in each of [`BINS`] bins.
    pub histogram: Histogram,
}

/// The value below which a fraction of the errors lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// The fraction.
    pub q: f64,
    /// The value, interpolated between its neighbours as `numpy.quantile` does.
    pub value: f64,
}

/// Counts in bins of one width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// The bounds of the bins: one more than there are bins. A bin holds its lower bound, the last one its
    /// upper bound too.
    pub edges: Vec<f64>,
    /// Errors in each bin.
    pub counts: Vec<usize>,
}

impl Summary {
    /// The summary of `errors`, or `None` if there are none or one is not finite.
    #[must_use]
    pub fn of(errors: &[f64]) -> Option<Self> {
        if errors.is_empty() || errors.iter().any(|error| !error.is_finite()) {
            return None;
        }
        let mut sorted = errors.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
        Some(Self {
            count: errors.len(),
            min,
            max,
            mean: errors.iter().sum::<f64>() / errors.len() as f64,
            quantiles: QUANTILES.map(|q| Quantile { q, value: quantile(&sorted, q) }).to_vec(),
            histogram: Histogram::of(&sorted, min, max, BINS),
        })
    }
}

/// The value at fraction `q`, in [0, 1], of the way through `sorted`, interpolated as `numpy.quantile` does.
///
/// # Panics
/// If there is no value.
#[must_use]
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

impl Histogram {
    /// `sorted` in `bins` bins from `min` to `max`; where these are equal, from half below to half above, as
    /// `numpy.histogram` has it.
    fn of(sorted: &[f64], min: f64, max: f64, bins: usize) -> Self {
        let (low, high) = if min == max { (min - 0.5, max + 0.5) } else { (min, max) };
        let edge =
            |bin: usize| if bin == bins { high } else { low + (high - low) / bins as f64 * bin as f64 };
        let edges: Vec<f64> = (0..=bins).map(edge).collect();
        let mut below: Vec<usize> =
            edges.iter().map(|edge| sorted.partition_point(|value| value < edge)).collect();
        below[0] = 0;
        below[bins] = sorted.len();
        let counts = below.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        Self { edges, counts }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_numpys() {
        // numpy.quantile(range(11), q) and numpy.histogram(range(11), 50).
        let summary = Summary::of(&(0..11).rev().map(f64::from).collect::<Vec<_>>()).unwrap();
        assert_eq!((summary.count, summary.min, summary.max, summary.mean), (11, 0.0, 10.0, 5.0));
        let values: Vec<f64> = summary.quantiles.iter().map(|quantile| quantile.value).collect();
        for (value, expected) in values.iter().zip([0.1, 0.5, 1.0, 2.5, 5.0, 7.5, 9.0, 9.5, 9.9]) {
            assert!((value - expected).abs() < 1e-14, "{value} {expected}");
        }
        let counts = &summary.histogram.counts;
        assert_eq!((counts[0], counts[5], counts[6], counts[49]), (1, 1, 0, 1));
    }

    #[test]
    fn one_value_has_a_histogram_too() {
        let histogram = Summary::of(&[0.25; 3]).unwrap().histogram;
        assert_eq!((histogram.edges[0], histogram.edges[50]), (-0.25, 0.75));
        assert_eq!((histogram.counts[25], histogram.counts.iter().sum()), (3, 3));
        assert!(Summary::of(&[]).is_none() && Summary::of(&[f64::NAN]).is_none());
    }

    proptest! {
        #[test]
        fn every_value_is_counted_once(values in prop::collection::vec(-1e3..1e3_f64, 1..100)) {
            let summary = Summary::of(&values).unwrap();
            prop_assert_eq!(summary.histogram.counts.iter().sum::<usize>(), values.len());
            prop_assert_eq!((summary.histogram.edges.len(), summary.histogram.counts.len()), (51, 50));
            prop_assert!(summary.quantiles.windows(2).all(|pair| pair[0].value <= pair[1].value));
            prop_assert!(summary.min <= summary.mean + 1e-9 && summary.mean <= summary.max + 1e-9);
        }
    }
}
