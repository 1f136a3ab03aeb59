//! A series at another sampling step.

use glassbox_engine::memory;
use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::{Series, SeriesError};

impl Series {
    /// This series, whose rows are in the order of time, at a sampling step of `step`: at whole multiples of it from the
    /// midnight at which year 0 begins.
    ///
    /// To a longer step, each new row is the mean of the rows from its time until before the next one's. To a shorter
    /// step, each new row is on the straight line between its neighbours; no row is made in a gap. Times at which there
    /// are no rows stay gaps.
    ///
    /// # Errors
    /// If `step` is not positive, the series has no forward step, or there is not enough memory for its new rows.
    pub fn resampled(&self, step: SignedDuration) -> Result<Self, SeriesError> {
        let problem =
            |problem: &str| SeriesError::Resample { name: self.name.clone(), step, problem: problem.into() };
        let own = self.sampling().step.ok_or_else(|| problem("no row is later than the one above it"))?;
        if !step.is_positive() {
            return Err(problem("the step must be positive"));
        }
        let (step, own) = (step.as_nanos(), own.as_nanos());
        // A row becomes at most this many: a step that is no gap is at most one and a half times the commonest.
        let most = usize::try_from(2 * own / step + 1).ok();
        let bytes = most.and_then(|most| {
            memory::product(&[self.len(), most, self.columns.len(), size_of::<(i128, f64)>()])
        });
        memory::require(format!("series `{}` at that step", self.name), bytes, "choose a longer step")
            .map_err(|error| SeriesError::Memory { problem: error.to_string() })?;
        let columns: Vec<Vec<(i128, f64)>> =
            self.columns.iter().map(|values| self.resample(values, step, own)).collect();
        let time = |cell: i128| origin() + SignedDuration::from_nanos_i128(cell * step);
        let timestamps = columns[0].iter().map(|(cell, _)| time(*cell)).collect();
        let values = |column: Vec<(i128, f64)>| column.into_iter().map(|(_, value)| value).collect();
        Self::of_columns(&self.name, self.clock, timestamps, columns.into_iter().map(values).collect())
    }

    /// The new rows of one column: their time, as a multiple of `step`, and their value. Steps are in nanoseconds.
    fn resample(&self, values: &[f64], step: i128, own: i128) -> Vec<(i128, f64)> {
        let nanos = |at: DateTime| at.duration_since(origin()).as_nanos();
        let mut rows: Vec<(i128, f64)> = vec![];
        if step >= own {
            let mut count = 0.0;
            for (at, value) in self.timestamps.iter().zip(values) {
                let cell = nanos(*at).div_euclid(step);
                match rows.last_mut() {
                    Some((last, mean)) if *last == cell => {
                        count += 1.0;
                        *mean += (value - *mean) / count;
                    }
                    _ => {
                        rows.push((cell, *value));
                        count = 1.0;
                    }
                }
            }
        } else {
            for row in 0..self.len() {
                let (from, value) = (nanos(self.timestamps[row]), values[row]);
                let first = from.div_euclid(step) + i128::from(from.rem_euclid(step) > 0);
                let next = row + 1;
                let gap = next == self.len() || 2 * (nanos(self.timestamps[next]) - from) > 3 * own;
                if gap {
                    // Nothing follows: only a new row at the very time of this one.
                    rows.extend((first * step == from).then_some((first, value)));
                    continue;
                }
                let (to, then) = (nanos(self.timestamps[next]), values[next]);
                let new = (first..).take_while(|cell| cell * step < to);
                rows.extend(new.map(|cell| {
                    let part = (cell * step - from) as f64 / (to - from) as f64;
                    (cell, value + part * (then - value))
                }));
            }
        }
        rows
    }
}

/// The time that multiples of a step are counted from.
fn origin() -> DateTime {
    DateTime::constant(0, 1, 1, 0, 0, 0, 0)
}
