//! Errors of a series or its CSV.

use glassbox_engine::text::{excerpt, listed, one_line};
use jiff::SignedDuration;

use crate::rows::Reason;
use crate::words::counted;

/// An error of reading or building a series. `file` is the path as the user gave it, or the name of a series that is
/// not from a file; `line` counts from 1, the header being line 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages call them")]
pub enum SeriesError {
    /// The file cannot be opened or read.
    #[error("cannot read {file}: {cause}; check the path, and that the file may be read")]
    Unreadable { file: String, cause: String },
    /// The file has no bytes.
    #[error(
        "{file} is empty: expected a CSV with a header line and at least one row; check that it was written \
         completely"
    )]
    Empty { file: String },
    /// Bytes that are not text.
    #[error(
        "{file}, line {line}: not UTF-8 text (byte {byte:#04x}); save the file as UTF-8{}",
        if *utf_16 { ", it looks like UTF-16" } else { "" }
    )]
    NotUtf8 { file: String, line: u64, byte: u8, utf_16: bool },
    /// A Parquet file is damaged, or holds what is not supported.
    #[error("{file} cannot be read as a Parquet file: {}", one_line(problem).up_to(400))]
    Parquet { file: String, problem: String },
    /// A Parquet file, and this build does not read such files.
    #[error(
        "{file} is a Parquet file, which this build does not read; build with the feature `parquet`, or convert the file to CSV"
    )]
    NoParquet { file: String },
    /// A requested column is missing.
    #[error(
        "{file}, line {line}: there is no column `{}`; the columns are {}; correct the header{}, or name the columns \
         to use",
        excerpt(column), listed(present.iter()),
        if present.len() == 1 { " (columns are separated by commas)" } else { "" }
    )]
    MissingColumn { file: String, line: u64, column: String, present: Vec<String> },
    /// A requested column occurs more than once.
    #[error(
        "{file}, line {line}: there are {times} columns `{}`; rename all but the one to use",
        excerpt(column)
    )]
    AmbiguousColumn { file: String, line: u64, column: String, times: usize },
    /// A row does not have as many fields as the header.
    #[error(
        "{file}, line {line}: {} where the header has {expected}{}; complete or remove the row, and put a text that \
         holds a comma in quotes",
        counted(*found, "field", "fields"),
        if last > line { format!(", and quotes keep the row open up to line {last}") } else { String::new() }
    )]
    Ragged { file: String, line: u64, last: u64, found: usize, expected: usize },
    /// A row or a header is longer than the limit.
    #[error(
        "{file}, line {line}: it is longer than {most} bytes, the most that a line and the quoted line breaks in it may \
         have; check that this is a CSV file, and shorten the line"
    )]
    LongRecord { file: String, line: u64, most: usize },
    /// There is not enough memory for the rows.
    #[error("{problem}")]
    Memory { problem: String },
    /// A quote is not closed, so the rest of the file is one field.
    #[error(
        "{file}, line {line}: a quote is opened and never closed, so the rest of the file is one field; close it, or \
         remove it"
    )]
    OpenQuote { file: String, line: u64 },
    /// The file has a header but no rows.
    #[error("{file} has no rows; expected at least one below the header")]
    NoRows { file: String },
    /// A value is not a number.
    #[error(
        "{file}, line {line}: `{}` in column `{}` is not a number; expected one like 21.97 or 2.2e1, \
         with a point for the decimals; correct the value or remove the row",
        excerpt(found),
        excerpt(column)
    )]
    BadNumber { file: String, line: u64, column: String, found: String },
    /// A value is NaN, infinite, or beyond the range of f64.
    #[error(
        "{file}, line {line}: `{}` in column `{}` is not a finite 64-bit number; remove the row, or replace the \
         value",
        excerpt(found),
        excerpt(column)
    )]
    NotFinite { file: String, line: u64, column: String, found: String },
    /// A timestamp is invalid.
    #[error(
        "{file}, line {line}: `{}` in column `{}` is not a timestamp ({why}); expected YYYY-MM-DD HH:MM:SS, \
         RFC 3339 such as 2014-04-01T00:05:00Z, or seconds or milliseconds since 1970; correct it or remove the row",
        excerpt(found),
        excerpt(column)
    )]
    BadTime { file: String, line: u64, column: String, found: String, why: TimeError },
    /// Some timestamps have a zone and others do not.
    #[error(
        "{file}, line {line}: `{}` {} a time zone, the rows above it {}; give all rows a time zone, or none",
        excerpt(found),
        if *zoned { "has" } else { "lacks" },
        if *zoned { "lack one" } else { "have one" }
    )]
    MixedClocks { file: String, line: u64, found: String, zoned: bool },
    /// The series is shorter than one window.
    #[error(
        "series `{name}` has {}, fewer than one window of {steps} steps; give it more rows, or choose a \
         window of at most {rows} steps that the model can reconstruct (the tutorial's: a multiple of 4)",
        counted(*rows, "row", "rows")
    )]
    TooShort { name: String, rows: usize, steps: usize },
    /// A row cannot be used, and such rows are to be refused.
    #[error("{file}, line {line}: {}; correct or remove the row, or leave such rows out", reason.text())]
    BadRow { file: String, line: u64, reason: Reason },
    /// Most rows go back in time.
    #[error(
        "{file}: {rows} of {of} rows go back in time, the first on line {line}; the rows must be in the order of time: \
         sort them (if the newest row is first, reverse them)"
    )]
    Unordered { file: String, line: u64, rows: usize, of: usize },
    /// A series cannot be resampled.
    #[error("series `{name}` cannot be resampled to a step of {step:#}: {problem}")]
    Resample { name: String, step: SignedDuration, problem: String },
    /// No stretch between gaps is as long as one window.
    #[error(
        "series `{name}` has {} between gaps, and the longest has {longest} rows, fewer than one window of {steps}; give it \
         stretches of at least {steps} rows, or choose shorter windows (the tutorial's model: a multiple of 4)",
        counted(*stretches, "stretch", "stretches")
    )]
    NoWholeWindow { name: String, stretches: usize, longest: usize, steps: usize },
    /// An input does not begin with the bytes that were read from it before.
    #[error(
        "{file} is not the input that was read before, or its beginning was changed; give that input, or start anew"
    )]
    Changed { file: String },
    /// The parts of a series have different lengths.
    #[error("series `{file}`: {timestamps} timestamps for {values} values; give the same number of both")]
    LengthsDiffer { file: String, timestamps: usize, values: usize },
}

impl SeriesError {
    /// Returns true if the error is of one row of a file, and the rows below it can be read.
    #[must_use]
    pub fn is_of_one_row(&self) -> bool {
        matches!(
            self,
            Self::NotUtf8 { .. }
                | Self::Ragged { .. }
                | Self::BadNumber { .. }
                | Self::NotFinite { .. }
                | Self::BadTime { .. }
                | Self::MixedClocks { .. }
                | Self::BadRow { .. }
        )
    }
}

/// The reason why a text is not a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// It does not have the form of a timestamp.
    #[error("unrecognised timestamp format")]
    Form,
    /// It has the form, but the date or the time does not exist.
    #[error("no such date or time")]
    NoSuchTime,
    /// More than nine decimals of a second.
    #[error("more than 9 decimals of a second")]
    TooFine,
    /// It is outside of the years 0 to 9999, possibly only after conversion to UTC.
    #[error("outside the years 0000 to 9999 in UTC")]
    OutOfRange,
}
