//! Warnings about irregular timestamps and extreme values: one warning for each kind, not for each row.

use crate::words::counted;
use std::fmt;

use super::bad_rows::{BadRows, Skipped};
use super::sampling::{Gaps, Irregular, Repeats, Sampling, Unordered};
use crate::rows::Reason;
use crate::scaler::{EXTREME, Scaler};

/// A warning about the rows of a file that was loaded all the same. Its `Display` states what was found, where, and how
/// it is handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file's path as given.
    pub file: String,
    /// The line of the first row concerned, counted from 1.
    pub line: u64,
    /// The kind of warning.
    pub kind: WarningKind,
}

/// The kinds of warnings. Rows in them count from 0; lines of the file are in `Warning::line` and in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// Rows with the timestamp of an earlier row.
    Duplicates(Repeats),
    /// Rows with a timestamp before that of the row above.
    Unordered {
        /// The details.
        found: Unordered,
        /// Number of steps of the series.
        steps: usize,
    },
    /// Rows that were left out.
    Skipped {
        /// Number of rows without a value.
        missing: usize,
        /// Number of rows with the timestamp of the row above.
        repeated: usize,
        /// Number of rows with a timestamp before that of the row above.
        backward: usize,
    },
    /// Missing rows.
    Gaps {
        /// The details.
        found: Gaps,
        /// The line after the longest gap.
        longest_line: u64,
        /// The commonest step.
        step: jiff::SignedDuration,
        /// No window will run across a gap.
        split: bool,
    },
    /// A value so far from all others that a model trained on them learns nothing else.
    Extreme {
        /// The row.
        row: usize,
        /// The value (raw), with all of its digits.
        value: String,
        /// Its distance from the mean in standard deviations of the series, rounded down.
        deviations: u64,
    },
    /// Steps that are not a multiple of the commonest.
    Irregular {
        /// The details.
        found: Irregular,
        /// The commonest step.
        step: jiff::SignedDuration,
        /// The percentage of steps that are equal to it, rounded down.
        regular_percent: u8,
    },
}

/// The warnings for `sampling`; `lines[row]` is the line of a row in `file`.
pub(super) fn warnings(file: &str, sampling: &Sampling, lines: &[u64], bad_rows: BadRows) -> Vec<Warning> {
    let Sampling { step, steps, regular, repeats, unordered, gaps, irregular } = *sampling;
    let warning = |row: usize, kind| Warning { file: file.to_owned(), line: lines[row], kind };
    let regular_percent = (100 * regular / steps.max(1)) as u8;
    [
        repeats.map(|found| warning(found.first, WarningKind::Duplicates(found))),
        unordered.map(|found| warning(found.first, WarningKind::Unordered { found, steps })),
        gaps.zip(step).map(|(found, step)| {
            let longest_line = lines[found.longest_before];
            let split = bad_rows != BadRows::Keep;
            warning(found.first_before, WarningKind::Gaps { found, longest_line, step, split })
        }),
        irregular.zip(step).map(|(found, step)| {
            warning(found.first_before, WarningKind::Irregular { found, step, regular_percent })
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The warning about rows that were left out, if there are any.
pub(super) fn skipped(file: &str, rows: &[Skipped]) -> Option<Warning> {
    let count = |reason: Reason| rows.iter().filter(|row| row.reason == reason).count();
    let kind = WarningKind::Skipped {
        missing: count(Reason::MissingValue),
        repeated: count(Reason::RepeatedTime),
        backward: count(Reason::BackInTime),
    };
    rows.first().map(|first| Warning { file: file.to_owned(), line: first.line, kind })
}

/// The warning for a series to train on, if one of its values is [extreme](crate::scaler::EXTREME).
pub(super) fn extreme(file: &str, values: &[f64], lines: &[u64]) -> Option<Warning> {
    let (row, deviations) = Scaler::fit(values).ok()?.extreme(values)?;
    let value = format!("{:?}", values[row]);
    let kind = WarningKind::Extreme { row, value, deviations: deviations as u64 };
    Some(Warning { file: file.to_owned(), line: lines[row], kind })
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, kind } = self;
        write!(f, "{file}: ")?;
        match kind {
            WarningKind::Duplicates(found) => write!(
                f,
                "{} the timestamp of an earlier row, the first on line {line}; all rows are kept",
                counted(found.rows, "row repeats", "rows repeat")
            ),
            WarningKind::Unordered { found, steps } => {
                write!(
                    f,
                    "{} back in time, the first on line {line}, by {:#} at most; ",
                    counted(found.rows, "row goes", "rows go"),
                    found.farthest
                )?;
                if 2 * found.rows > *steps {
                    write!(f, "the file seems to have its newest row first: reverse it, as ")?;
                }
                write!(f, "rows keep the order of the file")
            }
            WarningKind::Skipped { missing, repeated, backward } => {
                let counts = [
                    (missing, "row without a value", "rows without a value"),
                    (repeated, "row that repeats a timestamp", "rows that repeat a timestamp"),
                    (backward, "row that goes back in time", "rows that go back in time"),
                ];
                let counts = counts.iter().filter(|(count, ..)| **count > 0);
                let texts: Vec<String> =
                    counts.map(|&(count, one, many)| counted(*count, one, many)).collect();
                write!(f, "left out {}, the first on line {line}", texts.join(", "))
            }
            WarningKind::Gaps { found, longest_line, step, split } => write!(
                f,
                "{} of {} in all at a step of {step:#}, the first before line {line}, the longest ({:#}) before \
                 line {longest_line}; nothing is filled in, and {}",
                counted(found.gaps, "gap", "gaps"),
                counted(found.missing_rows, "row", "rows"),
                found.longest,
                if *split { "no window runs across" } else { "windows run across" }
            ),
            WarningKind::Extreme { row, value, deviations } => write!(
                f,
                "the value of row {row} (counted from 0), on line {line}, is {value}, {deviations} standard deviations \
                 from the mean of the series, and makes up more than {:.0} % of its variance: a model trained on it \
                 may not distinguish the other values; remove it if it is an error",
                100.0 * EXTREME
            ),
            WarningKind::Irregular { found, step, regular_percent } => write!(
                f,
                "sampled unevenly: {} not a whole multiple of the commonest, {step:#} ({regular_percent} % of all), the \
                 first before line {line}; each step counts as one row",
                counted(found.steps, "step is", "steps are")
            ),
        }
    }
}
