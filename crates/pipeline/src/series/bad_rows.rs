//! Rows that a series of one's own cannot use: without a value, with a repeated timestamp, or back in time.

use jiff::civil::DateTime;

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

/// Returns true for a field that stands for a missing value: empty, or `NaN`, `NA`, `N/A`, `null` or `none` in any case.
pub(super) fn is_missing(field: &str) -> bool {
    field.is_empty()
        || ["nan", "na", "n/a", "null", "none"].iter().any(|name| field.eq_ignore_ascii_case(name))
}
