//! A series: one number at each time, and its CSV.
//!
//! | what | where |
//! |---|---|
//! | the type [`Series`], its `head` | here and `series/head.rs` |
//! | CSV to series, with errors that name file and line | `series/read.rs` |
//! | series to CSV, exactly | `series/write.rs` |
//! | the forms of a timestamp | `series/time.rs` |
//! | what is odd about the timestamps: [`Sampling`] and [`Warning`] | `series/sampling.rs`, `series/warning.rs` |
//!
//! # Rows stay as they are
//! Real files repeat timestamps (clocks set back), skip hours, and are sampled unevenly: of NAB's 58 files,
//! 25 do at least one of these. Such a file is loaded with its rows in file order, none dropped, none
//! filled in, none sorted, and says so in a [`Warning`] for each kind of irregularity:
//!
//! | irregularity | meaning | handling |
//! |---|---|---|
//! | duplicates | a row's timestamp was in an earlier row | both rows are kept |
//! | unordered | a row's timestamp lies before the row's above it | rows keep the order of the file |
//! | gaps | a step above 1.5 times the commonest | nothing is filled in; windows run across |
//! | irregular | a forward step that is no whole multiple of the commonest | every step counts as one row |
//!
//! The reason: a window is over *rows*. So the tutorial and NAB's own scorer treat them, results stay
//! comparable, and row n of the input is row n of every result. Invented values would be scored as if they
//! had been measured, and sorting would interleave the two passes of an hour that a clock repeated. What a
//! gap does to the windows across it is for the reader of the warning to judge. The sampling step of a
//! series is its commonest one.
//!
//! # Zones
//! A timestamp without a zone is a reading of a local clock and stays one; with a zone (`Z` or an offset) it
//! is converted to UTC. [`Series::clock`] says which. A file that has both kinds is refused, since their
//! order in time is unknown.

use jiff::civil::DateTime;

mod error;
mod head;
mod read;
mod sampling;
#[cfg(test)]
mod tests;
mod time;
mod warning;
mod write;

pub use error::{SeriesError, TimeError};
pub use read::{Columns, LONGEST_RECORD, Loaded, parse_csv, read_csv};
pub use sampling::{Gaps, Irregular, Repeats, Sampling, Unordered};
pub use warning::{Warning, WarningKind};
pub use write::write_csv;

/// What the timestamps of a series are readings of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clock {
    /// A local clock of unknown zone: the file gave none.
    Local,
    /// UTC: the file gave a zone with every timestamp.
    Utc,
}

/// A series of at least one finite value, each with the time it was measured at, in the order of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    name: String,
    clock: Clock,
    timestamps: Vec<DateTime>,
    values: Vec<f64>,
}

impl Series {
    /// A series of `values` (raw) measured at `timestamps`, which need neither be in order nor be evenly
    /// spaced. `name` appears in messages and titles.
    ///
    /// # Errors
    /// If the lengths differ, there is no row, a value is not finite, or a year lies outside 0..=9999 (what
    /// a CSV can hold). Rows are named by their line in a CSV of this series, where the header is line 1.
    pub fn new(
        name: impl Into<String>,
        clock: Clock,
        timestamps: Vec<DateTime>,
        values: Vec<f64>,
    ) -> Result<Self, SeriesError> {
        let file = name.into();
        if timestamps.len() != values.len() {
            return Err(SeriesError::LengthsDiffer {
                file,
                timestamps: timestamps.len(),
                values: values.len(),
            });
        }
        if values.is_empty() {
            return Err(SeriesError::NoRows { file });
        }
        if let Some(row) = values.iter().position(|value| !value.is_finite()) {
            let found = values[row].to_string();
            return Err(SeriesError::NotFinite { file, line: row as u64 + 2, column: "value".into(), found });
        }
        if let Some(row) = timestamps.iter().position(|at| !(0..=9999).contains(&at.year())) {
            let found = timestamps[row].to_string();
            let (line, column, why) = (row as u64 + 2, "timestamp".into(), TimeError::OutOfRange);
            return Err(SeriesError::BadTime { file, line, column, found, why });
        }
        Ok(Self { name: file, clock, timestamps, values })
    }

    /// The series' name: the file's, without folder and extension, if it was read from one.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the timestamps are readings of.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// When each value was measured, by [`Series::clock`].
    #[must_use]
    pub fn timestamps(&self) -> &[DateTime] {
        &self.timestamps
    }

    /// The raw values, all finite.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The number of rows; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no series is empty")]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// The timestamp of `row` as a CSV of this series has it: `2014-04-01 00:05:00`, or
    /// `2014-04-01T00:05:00Z` in UTC.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn timestamp_text(&self, row: usize) -> String {
        time::show(self.timestamps[row], self.clock)
    }

    /// How the timestamps are spaced.
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        Sampling::of(&self.timestamps)
    }

    /// Refuses a series that is shorter than one window of `steps` rows.
    ///
    /// # Errors
    /// [`SeriesError::TooShort`] if so, or if `steps` is 0.
    pub fn require_window(&self, steps: usize) -> Result<(), SeriesError> {
        if steps > 0 && self.len() >= steps {
            Ok(())
        } else {
            Err(SeriesError::TooShort { name: self.name.clone(), rows: self.len(), steps })
        }
    }

    /// The first `n` rows, aligned as pandas prints the `head()` of a frame whose index is the timestamp.
    ///
    /// As there, values have six decimals less the zeros that all of them end in, or an exponent if one is
    /// too small or too large for that.
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
