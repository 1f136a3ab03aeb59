//! A series: one number at each time, and its CSV.
//!
//! | topic | file |
//! |---|---|
//! | the type [`Series`] and its `head` | this file and `series/head.rs` |
//! | reading a CSV file as a whole | `series/read.rs` |
//! | reading rows as their bytes arrive, with errors that name file and line | `series/reader.rs`, `series/records.rs` |
//! | reading Parquet, with the feature `parquet` | `series/parquet.rs` |
//! | writing CSV, exactly | `series/write.rs` |
//! | the forms of a timestamp | `series/time.rs` |
//! | irregular timestamps: [`Sampling`] and [`Warning`] | `series/sampling.rs`, `series/warning.rs` |
//! | rows that cannot be used: [`BadRows`] | `series/bad_rows.rs` |
//! | another sampling step | `series/resample.rs` |
//! | its period | `series/period.rs` |
//!
//! # The tutorial keeps rows as they are
//! Real files repeat timestamps (clocks set back), skip hours, and are sampled unevenly: of NAB's 58 files,
//! 25 do at least one of these. With [`BadRows::Keep`], such a file is loaded with its rows in file order; none is dropped, filled in or
//! moved. A [`Warning`] reports each kind of irregularity:
//!
//! | irregularity | meaning | handling |
//! |---|---|---|
//! | duplicates | a row has the timestamp of an earlier row | both rows are kept |
//! | unordered | a row's timestamp is before that of the row above it | rows keep the order of the file |
//! | gaps | a step above 1.5 times the commonest | nothing is filled in; windows run across |
//! | irregular | a forward step that is not a whole multiple of the commonest | every step counts as one row |
//!
//! The reason is that a window is a range of *rows*. The tutorial and NAB's own scorer treat them the same way, so
//! results stay comparable, and row n of the input is row n of every result. Filled-in values would be scored as if
//! they had been measured, and sorting would interleave the two passes of an hour that a clock repeated. The reader of
//! the warning has to judge the effect of a gap on the windows across it. The sampling step of a series is its
//! commonest step.
//!
//! # A series of one's own
//! With [`BadRows::Skip`], rows without a value, repeated rows and rows that go back in time are left out and listed in
//! [`Loaded::skipped`]. [`Series::stretches`] then splits the series at its gaps, so that no window runs across one.
//!
//! # Zones
//! A timestamp without a zone is a reading of a local clock and is not converted; a timestamp with a zone (`Z` or an
//! offset) is converted to UTC. [`Series::clock`] distinguishes the two. A file with both kinds is refused, because
//! their order in time is unknown.

use std::ops::Range;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

mod bad_rows;
mod error;
mod head;
#[cfg(feature = "parquet")]
mod parquet;
mod period;
mod read;
mod reader;
mod records;
mod resample;
mod sampling;
#[cfg(test)]
mod tests;
mod time;
mod warning;
mod write;

pub(crate) use bad_rows::Sieve;
pub use bad_rows::{BadRows, Skipped};
pub use error::{SeriesError, TimeError};
pub use period::Period;
pub use read::{Columns, Loaded, parse_csv, parse_rows, read_csv, read_rows};
pub use reader::{LONGEST_RECORD, Row};
pub(crate) use reader::{Place, RowReader};
pub use sampling::{Gaps, Irregular, Repeats, Sampling, Unordered};
pub(crate) use sampling::{commonest, follows};
pub use warning::{Warning, WarningKind};
pub use write::write_csv;

/// The clock that the timestamps of a series come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// A local clock of unknown zone: the file gave no zone.
    #[default]
    Local,
    /// UTC: the file gave a zone with every timestamp.
    Utc,
}

impl Clock {
    /// A time by this clock as in a CSV: `2014-04-01 00:05:00`, or `2014-04-01T00:05:00Z` in UTC.
    #[must_use]
    pub fn show(self, at: DateTime) -> String {
        time::show(at, self)
    }

    /// Appends the same to `out`.
    pub(crate) fn write(self, at: DateTime, out: &mut Vec<u8>) {
        time::write(at, self, out);
    }
}

/// A series of at least one row, in the order of its file. A row has the time of its measurement and a finite value in each
/// column.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    name: String,
    clock: Clock,
    timestamps: Vec<DateTime>,
    columns: Vec<Vec<f64>>,
}

impl Series {
    /// Creates a series of one column: `values` (raw) measured at `timestamps`, which need not be in order or evenly spaced.
    /// `name` appears in messages and titles.
    ///
    /// # Errors
    /// As [`Series::of_columns`].
    pub fn new(
        name: impl Into<String>,
        clock: Clock,
        timestamps: Vec<DateTime>,
        values: Vec<f64>,
    ) -> Result<Self, SeriesError> {
        Self::of_columns(name, clock, timestamps, vec![values])
    }

    /// Creates a series of one or more columns of raw values.
    ///
    /// # Errors
    /// If the lengths differ, there are no columns or no rows, a value is not finite, or a year is outside of 0..=9999 (the range of
    /// a CSV). Rows are named by their line in a CSV of this series, in which the header is line 1.
    pub fn of_columns(
        name: impl Into<String>,
        clock: Clock,
        timestamps: Vec<DateTime>,
        columns: Vec<Vec<f64>>,
    ) -> Result<Self, SeriesError> {
        let file = name.into();
        for values in &columns {
            if timestamps.len() != values.len() {
                return Err(SeriesError::LengthsDiffer {
                    file,
                    timestamps: timestamps.len(),
                    values: values.len(),
                });
            }
            if let Some(row) = values.iter().position(|value| !value.is_finite()) {
                let found = values[row].to_string();
                return Err(SeriesError::NotFinite {
                    file,
                    line: row as u64 + 2,
                    column: "value".into(),
                    found,
                });
            }
        }
        if columns.is_empty() || timestamps.is_empty() {
            return Err(SeriesError::NoRows { file });
        }
        if let Some(row) = timestamps.iter().position(|at| !(0..=9999).contains(&at.year())) {
            let found = timestamps[row].to_string();
            let (line, column, why) = (row as u64 + 2, "timestamp".into(), TimeError::OutOfRange);
            return Err(SeriesError::BadTime { file, line, column, found, why });
        }
        Ok(Self { name: file, clock, timestamps, columns })
    }

    /// The name of the series: that of its file, without folder and extension, if it was read from one.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The clock that the timestamps come from.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The time of each value, by [`Series::clock`].
    #[must_use]
    pub fn timestamps(&self) -> &[DateTime] {
        &self.timestamps
    }

    /// The raw values of each column, all finite; at least one column.
    #[must_use]
    pub fn columns(&self) -> &[Vec<f64>] {
        &self.columns
    }

    /// The raw values of the first column, all finite: those of a series of one value a row.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.columns[0]
    }

    /// The number of rows; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no series is empty")]
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// The timestamp of `row` as in a CSV of this series: `2014-04-01 00:05:00`, or `2014-04-01T00:05:00Z` in UTC.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn timestamp_text(&self, row: usize) -> String {
        self.show_time(self.timestamps[row])
    }

    /// A time by the clock of this series, as in a CSV of it.
    #[must_use]
    pub fn show_time(&self, at: DateTime) -> String {
        self.clock.show(at)
    }

    /// The spacing of the timestamps.
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        Sampling::of(&self.timestamps)
    }

    /// The contiguous ranges of rows between gaps, in order: from one row of a range to the next it is more than half of
    /// `step` and at most one and a half.
    #[must_use]
    pub fn stretches(&self, step: SignedDuration) -> Vec<Range<usize>> {
        let pairs = self.timestamps.windows(2).zip(1..);
        let ends = pairs.filter(|(pair, _)| !follows(pair[0], pair[1], step)).map(|(_, row)| row);
        let mut start = 0;
        ends.chain([self.len()]).map(|end| std::mem::replace(&mut start, end)..end).collect()
    }

    /// Refuses a series that is shorter than one window of `steps` rows.
    ///
    /// # Errors
    /// [`SeriesError::TooShort`], also if `steps` is 0.
    pub fn require_window(&self, steps: usize) -> Result<(), SeriesError> {
        if steps > 0 && self.len() >= steps {
            Ok(())
        } else {
            Err(SeriesError::TooShort { name: self.name.clone(), rows: self.len(), steps })
        }
    }

    /// Formats the first `n` rows as pandas prints the `head()` of a frame whose index is the timestamp.
    ///
    /// Values have six decimals without the zeros that all of them end in, or an exponent if one is too small or too
    /// large for that.
    ///
    /// ```
    /// use glassbox_pipeline::series::{Columns, parse_csv};
    ///
    /// let csv = b"timestamp,value\n2014-04-01 00:00:00,18.3249185392\n2014-04-01 00:05:00,21.97\n";
    /// let series = parse_csv(csv, "small.csv", &Columns::default())?.series;
    /// assert_eq!(
    ///     series.head(5),
    ///     "                         value\n\
    ///      timestamp                     \n\
    ///      2014-04-01 00:00:00  18.324919\n\
    ///      2014-04-01 00:05:00  21.970000\n"
    /// );
    /// # Ok::<(), glassbox_pipeline::series::SeriesError>(())
    /// ```
    #[must_use]
    pub fn head(&self, n: usize) -> String {
        head::head(self, n)
    }
}
