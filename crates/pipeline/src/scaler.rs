//! Normalisation by the moments of the training series.
//!
//! `z = (x - mean) / std`, with the mean and the *sample* standard deviation (divisor n - 1 and not n, as in pandas) of
//! the training series. The same moments normalise every other series: a level that does not occur in training must
//! stand out, and would not if each series had its own scale.
//!
//! Both moments are computed so that only their last digits can be wrong:
//! - sums are compensated (Neumaier, *Rundungsfehleranalyse einiger Verfahren zur Summation endlicher
//!   Summen*, 1974): their error does not grow with the number of terms;
//! - the variance is computed in a second pass, from the distances d to the mean, as
//!   (sum d^2 - (sum d)^2 / n) / (n - 1). The second term would be zero in exact arithmetic; it corrects for the
//!   rounding of the mean (Chan et al., *Algorithms for computing the sample variance*, 1983);
//! - distances are scaled by a power of two near the largest one, which is exact, so that their squares neither
//!   overflow nor underflow.

use crate::error::{Error, Result};

/// A training value is extreme if it alone makes up more than this fraction of the variance: it determines the scale of
/// all values, and the others look alike. Of n values, one that is z standard deviations from the mean makes up
/// z^2 / (n - 1). Of the 58 files of the Numenta Anomaly Benchmark 5 have such a value; the tutorial's two do not.
pub const EXTREME: f64 = 0.25;
/// A value closer than this many standard deviations is never extreme, because each of a few rows is a large part of
/// the variance.
pub const LEAST_EXTREME: f64 = 5.0;

/// Mean and standard deviation of a training series, in raw values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaler {
    mean: f64,
    std: f64,
}

impl Scaler {
    /// A scaler with given moments (raw values), for example from a model file.
    ///
    /// # Errors
    /// [`Error::BadMoments`] unless both are finite and `std` is above 0.
    pub fn new(mean: f64, std: f64) -> Result<Self> {
        if mean.is_finite() && std.is_finite() && std > 0.0 {
            Ok(Self { mean, std })
        } else {
            Err(Error::BadMoments { mean, std })
        }
    }

    /// Computes the moments of the training `values` (raw).
    ///
    /// ```
    /// let scaler = glassbox_pipeline::scaler::Scaler::fit(&[1.0, 2.0, 3.0, 4.0])?;
    /// assert_eq!(scaler.mean(), 2.5);
    /// assert_eq!(scaler.std(), (5.0_f64 / 3.0).sqrt());
    /// # Ok::<(), glassbox_pipeline::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there are fewer than two values, one is not finite, all are equal, or a moment overflows.
    pub fn fit(values: &[f64]) -> Result<Self> {
        if let Some((index, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(Error::ValueNotFinite { index, value });
        }
        if values.len() < 2 {
            return Err(Error::TooFewValues { values: values.len() });
        }
        // The values are compared, and not the standard deviation tested for 0, because the rounded mean of many equal
        // values can be at a tiny distance from each of them.
        if values.iter().all(|&value| value == values[0]) {
            return Err(Error::Constant { values: values.len(), value: values[0] });
        }
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let overflow = Error::MomentOverflow { largest };

        let n = values.len() as f64;
        let mean = compensated_sum(values.iter().copied()) / n;
        let spread = values.iter().fold(0.0_f64, |spread, value| spread.max((value - mean).abs()));
        if !spread.is_finite() {
            return Err(overflow);
        }
        let scale = power_of_two(spread);
        let distances = || values.iter().map(|value| (value - mean) / scale);
        let sum = compensated_sum(distances());
        let squares = compensated_sum(distances().map(|distance| distance * distance));
        let std = scale * ((squares - sum * sum / n) / (n - 1.0)).sqrt();
        Self::new(mean, std).map_err(|_| overflow)
    }

    /// The mean of the training series (raw value).
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The sample standard deviation of the training series (raw value), above 0.
    #[must_use]
    pub fn std(&self) -> f64 {
        self.std
    }

    /// Finds the training value farthest from the mean, if it is extreme ([`EXTREME`]): its row, and its distance in
    /// standard deviations.
    #[must_use]
    pub fn extreme(&self, values: &[f64]) -> Option<(usize, f64)> {
        let away = values.iter().map(|value| ((value - self.mean) / self.std).abs());
        let (row, away) = away.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let limit = (EXTREME * (values.len() as f64 - 1.0)).sqrt().max(LEAST_EXTREME);
        (away > limit).then_some((row, away))
    }

    /// Normalises raw `values` to standard deviations of the training series. Computed in f64 and rounded once.
    ///
    /// # Errors
    /// If a value is not finite, or its normalised value is outside of the range of f32; the error names the value.
    pub fn normalise(&self, values: &[f64]) -> Result<Vec<f32>> {
        values.iter().enumerate().map(|(index, value)| self.normalise_one(index, *value)).collect()
    }

    /// Normalises the value of row `index`.
    pub(crate) fn normalise_one(&self, index: usize, value: f64) -> Result<f32> {
        let z = ((value - self.mean) / self.std) as f32;
        match (value.is_finite(), z.is_finite()) {
            (true, true) => Ok(z),
            (true, false) => Err(Error::ValueOverflow { index, value, mean: self.mean, std: self.std }),
            (false, _) => Err(Error::ValueNotFinite { index, value }),
        }
    }
}

/// The largest power of two not above `positive`, or the smallest normal number if `positive` is below it.
fn power_of_two(positive: f64) -> f64 {
    const EXPONENT: u64 = f64::INFINITY.to_bits();
    f64::from_bits(positive.to_bits() & EXPONENT).max(f64::MIN_POSITIVE)
}

/// Sums `values`; the rounding error of each addition is collected and added at the end.
fn compensated_sum(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, lost) = values.fold((0.0_f64, 0.0), |(sum, lost), value| {
        let next = sum + value;
        // The lost part is exact if computed from the smaller of the two.
        let dropped = if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        (next, lost + dropped)
    });
    sum + lost
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_survive_a_large_offset() {
        // Whole numbers around 1e15, where neighbouring floats are 1/8 apart. The mean may be off by one of those,
        // which must not change the standard deviation, that of 0..=9.
        let values: Vec<f64> = (0..10).map(|i| 1e15 + f64::from(i)).collect();
        let scaler = Scaler::fit(&values).unwrap();
        assert!((scaler.mean() - (1e15 + 4.5)).abs() <= 0.125, "{}", scaler.mean());
        assert!((scaler.std() - (82.5_f64 / 9.0).sqrt()).abs() < 1e-14, "{}", scaler.std());
    }

    #[test]
    fn moments_survive_extreme_units() {
        for unit in [2e-308, 1e-300, 1e-160, 1e160, 1e300] {
            let scaler = Scaler::fit(&[unit, 2.0 * unit, 3.0 * unit]).unwrap();
            assert!((scaler.mean() / unit - 2.0).abs() < 1e-15, "{unit:e}");
            assert!((scaler.std() / unit - 1.0).abs() < 1e-15, "{unit:e}");
        }
    }

    #[test]
    fn what_has_no_moments_is_refused_by_name() {
        assert!(matches!(Scaler::fit(&[]), Err(Error::TooFewValues { values: 0 })));
        assert!(matches!(Scaler::fit(&[1.0]), Err(Error::TooFewValues { values: 1 })));
        // 0.1 is not a binary fraction, so the mean of these need not be one of them.
        assert!(matches!(Scaler::fit(&[0.1; 1001]), Err(Error::Constant { values: 1001, value: 0.1 })));
        assert!(matches!(Scaler::fit(&[1.0, f64::NAN]), Err(Error::ValueNotFinite { index: 1, .. })));
        assert!(matches!(Scaler::fit(&[f64::MAX, f64::MAX, 0.0]), Err(Error::MomentOverflow { .. })));
        assert!(matches!(Scaler::fit(&[f64::MAX, f64::MIN]), Err(Error::MomentOverflow { .. })));
        for (mean, std) in [(0.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY), (0.0, -1.0), (0.0, f64::NAN)] {
            assert!(matches!(Scaler::new(mean, std), Err(Error::BadMoments { .. })), "{mean} {std}");
        }
    }

    #[test]
    fn a_value_that_decides_the_scale_is_extreme() {
        let with = |rows: usize, value: f64| {
            let mut values: Vec<f64> = (0..rows).map(|row| (row % 7) as f64).collect();
            values[rows / 2] = value;
            Scaler::fit(&values).unwrap().extreme(&values).map(|(row, _)| row)
        };
        for rows in [30, 100, 300, 4032] {
            for value in [1e38, -1e38, 1e4] {
                assert_eq!(with(rows, value), Some(rows / 2), "{value} among {rows}");
            }
            // About three standard deviations.
            assert_eq!(with(rows, 9.0), None, "{rows}");
        }
        // Too few rows to decide.
        assert_eq!(with(10, 1e38), None);
    }

    #[test]
    fn what_leaves_the_range_is_refused_and_not_infinite() {
        let scaler = Scaler::new(0.0, 1e-3).unwrap();
        assert!(matches!(
            scaler.normalise(&[0.0, 1e36]),
            Err(Error::ValueOverflow { index: 1, value: 1e36, .. })
        ));
        assert!(matches!(scaler.normalise(&[f64::NAN]), Err(Error::ValueNotFinite { index: 0, .. })));
    }

    proptest! {
        #[test]
        fn normalised_training_values_have_mean_0_and_std_1(
            values in prop::collection::vec(-1e6..1e6_f64, 2..200),
        ) {
            prop_assume!(values.iter().any(|&value| value != values[0]));
            let scaler = Scaler::fit(&values).unwrap();
            let again: Vec<f64> =
                values.iter().map(|value| (value - scaler.mean()) / scaler.std()).collect();
            let n = values.len() as f64;
            let mean = again.iter().sum::<f64>() / n;
            let std = (again.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            // A distance is known to an ulp of the value it comes from.
            let ulp = 1e6 * f64::EPSILON / scaler.std();
            prop_assert!(mean.abs() <= 1e-13 + 4.0 * ulp, "mean {mean}");
            prop_assert!((std - 1.0).abs() <= 1e-13 + 4.0 * ulp, "std {std}");
        }

        #[test]
        fn a_normalised_value_is_the_distance_to_the_mean_in_deviations(
            values in prop::collection::vec(-1e6..1e6_f64, 1..50),
            mean in -1e3..1e3_f64,
            std in 1e-2..1e3_f64,
        ) {
            let scaler = Scaler::new(mean, std).unwrap();
            for (value, z) in values.iter().zip(scaler.normalise(&values).unwrap()) {
                let back = mean + std * f64::from(z);
                // One rounding to f32 of the distance; the f64 operations are far below it.
                let bound = f64::from(f32::EPSILON) * (value - mean).abs() + 1e-9;
                prop_assert!((value - back).abs() <= bound, "{value} {back}");
            }
        }
    }
}
