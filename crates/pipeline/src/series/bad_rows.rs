//! Rows that a series of one's own cannot use: without a value, with a repeated timestamp, or back in time.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::{Row, SeriesError};
use crate::rows::Reason;

/// The policy for rows without a value, of rows that repeat the timestamp of the row above, and of rows that go back in
/// time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BadRows {
    /// Rows without a value are an error; the others are kept in the order of the file, as in the tutorial.
    #[default]
    Keep,
    /// All are left out, and listed in [`Loaded::skipped`](super::Loaded::skipped). If more than half of the rows go back
    /// in time, the file is in another order, which is an error.
    Skip,
    /// The first of them is an error.
    Refuse,
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// Number of rows of the series before it.
    pub before: usize,
    /// Its line in the file, counted from 1.
    pub line: u64,
    /// Its timestamp.
    pub timestamp: DateTime,
    /// Its value in each column, if it has one there.
    pub values: Vec<Option<f64>>,
    /// Why it was left out.
    pub reason: Reason,
}

/// Applies the policy to rows, as they arrive. It serialises what it knows of the rows so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sieve {
    #[serde(skip)]
    policy: BadRows,
    /// The time of the last row that can be used.
    last: Option<DateTime>,
    /// Number of rows.
    rows: usize,
    /// Number of rows that go back in time, and the line of the first.
    back: usize,
    first_back: u64,
}

impl Sieve {
    pub(crate) fn new(policy: BadRows) -> Self {
        Self { policy, last: None, rows: 0, back: 0, first_back: 0 }
    }

    /// The same after the rows that `seen` has seen.
    pub(crate) fn resume(&self, seen: Self) -> Self {
        Self { policy: self.policy, ..seen }
    }

    /// Returns false if no rows can have been like this, for example in a damaged file.
    pub(crate) fn is_sound(&self) -> bool {
        self.rows < 1 << 62 && self.back <= self.rows
    }

    /// The time of the last row that can be used.
    pub(crate) fn last(&self) -> Option<DateTime> {
        self.last
    }

    /// Takes the next row of `file`. Returns the reason why it is left out, if it is.
    ///
    /// # Errors
    /// [`SeriesError::BadRow`] if the policy refuses it; it is then not taken.
    pub(crate) fn take(&mut self, file: &str, row: &Row) -> Result<Option<Reason>, SeriesError> {
        let reason = match self.last {
            _ if row.values.contains(&None) => Some(Reason::MissingValue),
            _ if self.policy == BadRows::Keep => None,
            Some(last) if row.timestamp == last => Some(Reason::RepeatedTime),
            Some(last) if row.timestamp < last => Some(Reason::BackInTime),
            _ => None,
        };
        match reason {
            Some(reason) if self.policy == BadRows::Refuse => {
                return Err(SeriesError::BadRow { file: file.into(), line: row.line, reason });
            }
            Some(Reason::BackInTime) => {
                if self.back == 0 {
                    self.first_back = row.line;
                }
                self.back += 1;
            }
            Some(_) => {}
            None => self.last = Some(row.timestamp),
        }
        self.rows += 1;
        Ok(reason)
    }

    /// Checks, after the last row of `file`, that no more than half of the rows go back in time.
    ///
    /// # Errors
    /// [`SeriesError::Unordered`].
    pub(crate) fn finish(&self, file: &str) -> Result<(), SeriesError> {
        let Self { rows, back, first_back, .. } = *self;
        if 2 * back <= rows {
            return Ok(());
        }
        Err(SeriesError::Unordered { file: file.into(), line: first_back, rows: back, of: rows })
    }
}

/// Returns true for a field that stands for a missing value: empty, or `NaN`, `NA`, `N/A`, `null` or `none` in any case.
pub(super) fn is_missing(field: &str) -> bool {
    field.is_empty()
        || ["nan", "na", "n/a", "null", "none"].iter().any(|name| field.eq_ignore_ascii_case(name))
}
