//! The spacing of the timestamps of a series: its step, and each kind of deviation from it.

use std::collections::{HashMap, HashSet};

use jiff::SignedDuration;
use jiff::civil::DateTime;

/// The spacing of a series' timestamps. Rows count from 0; a step is the time from one row to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampling {
    /// The commonest forward step, which is the sampling step; of equally common ones the shorter. `None` if no step
    /// goes forward.
    pub step: Option<SignedDuration>,
    /// Number of steps that are equal to it.
    pub regular: usize,
    /// Number of steps: rows minus one.
    pub steps: usize,
    /// Rows with the timestamp of an earlier row, adjacent or not.
    pub repeats: Option<Repeats>,
    /// Rows whose timestamp is before that of the row above.
    pub unordered: Option<Unordered>,
    /// Steps above one and a half times the commonest.
    pub gaps: Option<Gaps>,
    /// Forward steps that are not a whole multiple of the commonest.
    pub irregular: Option<Irregular>,
}

/// Rows that repeat a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeats {
    /// Number of such rows.
    pub rows: usize,
    /// The first of them.
    pub first: usize,
}

/// Rows that go back in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unordered {
    /// Number of such rows.
    pub rows: usize,
    /// The first of them.
    pub first: usize,
    /// The longest step back, as a positive duration.
    pub farthest: SignedDuration,
}

/// Missing rows between neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gaps {
    /// Number of gaps.
    pub gaps: usize,
    /// Number of rows that the gaps would hold at the commonest step.
    pub missing_rows: u64,
    /// The longest step.
    pub longest: SignedDuration,
    /// The row after the longest gap.
    pub longest_before: usize,
    /// The row after the first gap.
    pub first_before: usize,
}

/// Steps that are not a multiple of the commonest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Irregular {
    /// Number of such steps.
    pub steps: usize,
    /// The row after the first of them.
    pub first_before: usize,
}

impl Sampling {
    /// The spacing of `timestamps`.
    #[must_use]
    pub fn of(timestamps: &[DateTime]) -> Self {
        let steps: Vec<SignedDuration> =
            timestamps.windows(2).map(|pair| pair[1].duration_since(pair[0])).collect();
        let (step, regular) = commonest(&steps);
        let mut sampling = Self {
            step,
            regular,
            steps: steps.len(),
            repeats: repeats(timestamps),
            unordered: None,
            gaps: None,
            irregular: None,
        };
        for (row, &length) in (1..).zip(&steps) {
            if length.is_negative() {
                sampling.step_back(row, length);
            } else if let Some(step) = step {
                sampling.step_forward(row, length.as_nanos(), step.as_nanos(), length);
            }
        }
        sampling
    }

    /// The fraction of steps that are equal to the commonest, from 0 to 1; 1 if there are no steps.
    #[must_use]
    pub fn regular_share(&self) -> f64 {
        if self.steps == 0 { 1.0 } else { self.regular as f64 / self.steps as f64 }
    }

    fn step_back(&mut self, row: usize, length: SignedDuration) {
        let farthest = length.abs();
        let found = self.unordered.get_or_insert(Unordered { rows: 0, first: row, farthest });
        found.rows += 1;
        found.farthest = found.farthest.max(farthest);
    }

    /// Compares a step with the commonest. `length` and `step` are in nanoseconds, so that the comparison is exact.
    fn step_forward(&mut self, row: usize, length: i128, step: i128, duration: SignedDuration) {
        if 2 * length > 3 * step {
            let found = self.gaps.get_or_insert(Gaps {
                gaps: 0,
                missing_rows: 0,
                longest: duration,
                longest_before: row,
                first_before: row,
            });
            found.gaps += 1;
            let rows = rounded_quotient(length, step) - 1;
            found.missing_rows = found.missing_rows.saturating_add(u64::try_from(rows).unwrap_or(u64::MAX));
            if duration > found.longest {
                (found.longest, found.longest_before) = (duration, row);
            }
        }
        if length % step != 0 {
            let found = self.irregular.get_or_insert(Irregular { steps: 0, first_before: row });
            found.steps += 1;
        }
    }
}

/// Rounds `length / step` to the nearest whole number, and a tie to the even one, so that many gaps with half a step
/// (a step of 10 minutes, a gap of 25) do not add up to a bias.
fn rounded_quotient(length: i128, step: i128) -> i128 {
    let (whole, twice_rest) = (length / step, 2 * (length % step));
    whole + i128::from(twice_rest > step || (twice_rest == step && whole % 2 == 1))
}

/// Returns true if no gap is between two neighbouring rows of a series with this sampling step: they are more than half
/// of it apart, and at most one and a half.
pub(crate) fn follows(from: DateTime, to: DateTime, step: SignedDuration) -> bool {
    let (step, twice) = (step.as_nanos(), 2 * to.duration_since(from).as_nanos());
    step < twice && twice <= 3 * step
}

/// The commonest forward step, of equally common ones the shorter, and how often it occurs.
pub(crate) fn commonest(steps: &[SignedDuration]) -> (Option<SignedDuration>, usize) {
    let mut counts: HashMap<SignedDuration, usize> = HashMap::new();
    for &step in steps.iter().filter(|step| step.is_positive()) {
        *counts.entry(step).or_default() += 1;
    }
    counts
        .into_iter()
        .max_by_key(|&(step, count)| (count, std::cmp::Reverse(step)))
        .map_or((None, 0), |(step, count)| (Some(step), count))
}

fn repeats(timestamps: &[DateTime]) -> Option<Repeats> {
    let mut seen = HashSet::with_capacity(timestamps.len());
    let mut repeats = None;
    for (row, at) in timestamps.iter().enumerate() {
        if !seen.insert(at) {
            repeats.get_or_insert(Repeats { rows: 0, first: row }).rows += 1;
        }
    }
    repeats
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn minutes(minutes: &[i64]) -> Sampling {
        let start = date(2014, 4, 1).at(0, 0, 0, 0);
        let times: Vec<_> = minutes.iter().map(|&m| start + SignedDuration::from_mins(m)).collect();
        Sampling::of(&times)
    }

    #[test]
    fn an_even_grid_has_nothing_to_report() {
        let sampling = minutes(&[0, 5, 10, 15]);
        assert_eq!(sampling.step, Some(SignedDuration::from_mins(5)));
        assert_eq!((sampling.regular, sampling.steps), (3, 3));
        assert_eq!(sampling.regular_share(), 1.0);
        assert!(sampling.repeats.is_none() && sampling.unordered.is_none());
        assert!(sampling.gaps.is_none() && sampling.irregular.is_none());
    }

    #[test]
    fn gaps_count_the_rows_they_would_hold() {
        // Steps 5, 5, 7 (no gap, irregular), 8 (a gap, irregular), 15, 5.
        let sampling = minutes(&[0, 5, 10, 17, 25, 40, 45]);
        let gaps = sampling.gaps.unwrap();
        assert_eq!((gaps.gaps, gaps.missing_rows), (2, 3));
        assert_eq!((gaps.first_before, gaps.longest_before), (4, 5));
        assert_eq!(gaps.longest, SignedDuration::from_mins(15));
        assert_eq!(sampling.irregular, Some(Irregular { steps: 2, first_before: 3 }));
    }

    #[test]
    fn half_a_row_goes_to_the_even_number_of_steps() {
        for (length, quotient) in [(15, 2), (24, 2), (25, 2), (26, 3), (34, 3), (35, 4), (36, 4)] {
            assert_eq!(rounded_quotient(length, 10), quotient, "{length}");
        }
    }

    #[test]
    fn a_clock_set_back_is_unordered_and_repeats() {
        let sampling = minutes(&[0, 5, 10, 15, 5, 10, 15, 20, 20]);
        assert_eq!(sampling.repeats, Some(Repeats { rows: 4, first: 4 }));
        let unordered = sampling.unordered.unwrap();
        assert_eq!((unordered.rows, unordered.first), (1, 4));
        assert_eq!(unordered.farthest, SignedDuration::from_mins(10));
        assert!(sampling.gaps.is_none() && sampling.irregular.is_none());
    }

    #[test]
    fn no_step_forward_is_no_step() {
        assert_eq!(minutes(&[0]).step, None);
        assert_eq!(minutes(&[0, 0, 0]).step, None);
        assert_eq!(minutes(&[10, 5, 0]).unordered.unwrap().rows, 2);
        // The shorter of equally common steps.
        assert_eq!(minutes(&[0, 10, 15, 25, 30]).step, Some(SignedDuration::from_mins(5)));
    }

    #[test]
    fn the_widest_times_do_not_overflow() {
        let sampling = Sampling::of(&[DateTime::MIN, DateTime::MAX, DateTime::MIN, DateTime::MAX]);
        assert_eq!(sampling.regular, 2);
        let nanosecond = SignedDuration::from_nanos(1);
        let near = DateTime::MIN + nanosecond;
        let sampling = Sampling::of(&[DateTime::MIN, near, near + nanosecond, DateTime::MAX]);
        assert_eq!(sampling.gaps.unwrap().missing_rows, u64::MAX);
    }
}
