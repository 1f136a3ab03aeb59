//! The period of a series, by its autocorrelation.

use super::Series;

/// Rows that are looked at, from the end, and the longest period that is looked for: a second of work at most.
const MOST_ROWS: usize = 20_000;
/// The least autocorrelation of a period.
const LEAST: f64 = 0.3;
/// A period is the first peak of at least this part of the highest one: two weeks repeat as well as one does.
const PART: f64 = 0.8;

/// The period of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Period {
    /// Its length in rows.
    pub rows: usize,
    /// The autocorrelation at this lag, up to 1.
    pub correlation: f64,
}

impl Series {
    /// The period of the longest stretch without a gap, if a column has one that occurs at least three times there; of the
    /// column that repeats best.
    ///
    /// A straight line is subtracted. Among the lags from the first one with a negative autocorrelation up to a third of
    /// the stretch, the period is the first peak that is almost as high as the highest. Of a stretch of more than 20,000
    /// rows the last ones are looked at.
    #[must_use]
    pub fn period(&self) -> Option<Period> {
        let stretches = self.stretches(self.sampling().step?);
        let longest = stretches.into_iter().max_by_key(std::ops::Range::len)?;
        let rows = longest.start.max(longest.end.saturating_sub(MOST_ROWS))..longest.end;
        let periods = self.columns.iter().filter_map(|values| Period::of(&values[rows.clone()]));
        periods.max_by(|a, b| a.correlation.total_cmp(&b.correlation))
    }
}

impl Period {
    /// The period of evenly sampled values.
    fn of(raw: &[f64]) -> Option<Self> {
        let squares = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
        let values = without_line(raw);
        let variance = squares(&values);
        // What is left of a straight line is rounding.
        if variance <= 1e-20 * squares(raw) {
            return None;
        }
        let correlation = |lag: usize| {
            let products = values.iter().zip(&values[lag..]).map(|(a, b)| a * b);
            // As many terms as the variance has.
            products.sum::<f64>() / variance * values.len() as f64 / (values.len() - lag) as f64
        };
        let correlations: Vec<f64> = (0..=values.len() / 3).map(correlation).collect();
        let first = correlations.iter().position(|correlation| *correlation < 0.0)?;
        let highest = correlations[first..].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if highest.is_nan() || highest < LEAST {
            return None;
        }
        // Noise makes many small peaks of one: the peak is the highest lag of a run of high ones.
        let is_high = |lag: &usize| correlations[*lag] >= PART * highest;
        let start = (first..correlations.len()).find(is_high)?;
        let run = (start..correlations.len()).take_while(is_high);
        let rows = run.max_by(|a, b| correlations[*a].total_cmp(&correlations[*b]))?;
        Some(Self { rows, correlation: correlations[rows] })
    }
}

/// The values less the straight line that fits them best.
fn without_line(values: &[f64]) -> Vec<f64> {
    let middle = (values.len() as f64 - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let away = || (0..values.len()).map(|row| row as f64 - middle);
    let slope = away().zip(values).map(|(t, value)| t * (value - mean)).sum::<f64>()
        / away().map(|t| t * t).sum::<f64>().max(1.0);
    away().zip(values).map(|(t, value)| value - mean - slope * t).collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::planted::Profile;
    use crate::series::Clock;
    use crate::synthetic::{self, START, Subset};

    fn series(values: Vec<f64>) -> Series {
        let times = (0..values.len()).map(|row| START + SignedDuration::from_mins(5 * row as i64)).collect();
        Series::new("s", Clock::Local, times, values).unwrap()
    }

    #[test]
    fn a_daily_wave_has_the_period_of_a_day() {
        assert_eq!(synthetic::series(Subset::Train, 1).period().unwrap().rows, 288);
        for profile in Profile::ALL {
            let found = profile.series(28, 3).period().unwrap();
            assert!(found.rows.abs_diff(96) <= 1 && found.correlation > 0.5, "{profile:?}: {found:?}");
        }
        // On a line, which has no period itself.
        let sloping =
            Profile::Noisy.series(28, 3).values().iter().zip(0..).map(|(v, t)| v + f64::from(t)).collect();
        assert!(series(sloping).period().unwrap().rows.abs_diff(96) <= 1);
    }

    #[test]
    fn what_does_not_repeat_has_no_period() {
        use glassbox_engine::random::{Purpose, Stream};
        let mut draws = Stream::new(1, Purpose::Check, 0, 0).draws();
        assert_eq!(series((0..2000).map(|_| draws.normal()).collect()).period(), None);
        assert_eq!(series((0..500).map(f64::from).collect()).period(), None);
        assert_eq!(series(vec![3.0; 500]).period(), None);
        for rows in 1..6 {
            let _ = series((0..rows).map(f64::from).collect()).period();
        }
    }
}
