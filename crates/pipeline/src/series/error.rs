//! What can be wrong with a series or its CSV.

use glassbox_engine::text::{excerpt, listed};

use crate::words::counted;

/// Why a series cannot be had. `file` is the path as the user gave it, or the name of a series that was
/// never in a file; `line` counts from 1, the header being line 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages call them")]
pub enum SeriesError {
    /// The file cannot be opened or read.
    #[error("cannot read {file}: {cause}; check the path, and that the file may be read")]
    Unreadable { file: String, cause: String },
    /// The file has no bytes.
    #[error(
        "{file} is empty: expected a CSV with a header line and at least one row; check that it was written to \
         its end"
    )]
    Empty { file: String },
    /// Bytes that are not text.
    #[error(
        "{file}, line {line}: not UTF-8 text (byte {byte:#04x}); save the file as UTF-8{}",
        if *utf_16 { ", it looks like UTF-16" } else { "" }
    )]
    NotUtf8 { file: String, line: u64, byte: u8, utf_16: bool },
    /// A column that was asked for is not there.
    #[error(
        "{file}, line {line}: there is no column `{}`; the columns are {}; name the ones to use by \
         --timestamp-column and --value-column, or correct the header{}",
        excerpt(column), listed(present.iter()),
        if present.len() == 1 { " (columns are separated by commas)" } else { "" }
    )]
    MissingColumn { file: String, line: u64, column: String, present: Vec<String> },
    /// A column that was asked for is there more than once.
    #[error(
        "{file}, line {line}: there are {times} columns `{}`; rename all but the one to use",
        excerpt(column)
    )]
    AmbiguousColumn { file: String, line: u64, column: String, times: usize },
    /// A row of another width than the header.
    #[error(
        "{file}, line {line}: {} where the header has {expected}; complete or remove the row, and put a text that \
         holds a comma in quotes",
        counted(*found, "field", "fields")
    )]
    Ragged { file: String, line: u64, found: usize, expected: usize },
    /// A row, or a header, of more bytes than one may have.
    #[error(
        "{file}, line {line}: it is longer than {most} bytes, the most that a line and the quoted line breaks in it may \
         have; check that this is a CSV file, and shorten the line"
    )]
    LongRecord { file: String, line: u64, most: usize },
    /// More rows than there is memory for.
    #[error("{problem}")]
    Memory { problem: String },
    /// A quote that makes one field of the rest of the file.
    #[error(
        "{file}, line {line}: a quote is opened and never closed, so all that follows is one field; close it, or take \
         it out"
    )]
    OpenQuote { file: String, line: u64 },
    /// A header, and nothing below it.
    #[error("{file} has no rows: expected at least one below the header")]
    NoRows { file: String },
    /// A value that is no number.
    #[error(
        "{file}, line {line}: `{}` in column `{}` is not a number; expected one like 21.97 or 2.2e1, \
         with a point for the decimals; correct the value or remove the row",
        excerpt(found),
        excerpt(column)
    )]
    BadNumber { file: String, line: u64, column: String, found: String },
    /// A value that is NaN, infinite, or beyond the range of f64.
    #[error(
        "{file}, line {line}: `{}` in column `{}` is not a finite 64-bit number; remove the row, or replace the \
         value",
        excerpt(found),
        excerpt(column)
    )]
    NotFinite { file: String, line: u64, column: String, found: String },
    /// A timestamp that cannot be understood.
    #[error(
        "{file}, line {line}: `{}` in column `{}` is not a timestamp ({why}); expected YYYY-MM-DD HH:MM:SS, \
         or RFC 3339 such as 2014-04-01T00:05:00Z; correct it or remove the row",
        excerpt(found),
        excerpt(column)
    )]
    BadTime { file: String, line: u64, column: String, found: String, why: TimeError },
    /// Timestamps with a zone and without in one file.
    #[error(
        "{file}, line {line}: `{}` {} a time zone, the rows above it {}; give all rows a time zone, or none",
        excerpt(found),
        if *zoned { "has" } else { "lacks" },
        if *zoned { "lack one" } else { "have one" }
    )]
    MixedClocks { file: String, line: u64, found: String, zoned: bool },
    /// Fewer rows than one window.
    #[error(
        "series `{name}` has {}, fewer than one window of {steps} steps; give it more rows, or choose a \
         window of at most {rows} steps that the model can reconstruct (the tutorial's: a multiple of 4)",
        counted(*rows, "row", "rows")
    )]
    TooShort { name: String, rows: usize, steps: usize },
    /// A series put together from parts of different lengths.
    #[error(
        "series `{file}`: {timestamps} timestamps for {values} values; give as many of one as of the other"
    )]
    LengthsDiffer { file: String, timestamps: usize, values: usize },
}

/// Why a text is not a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// It does not look like one at all.
    #[error("unrecognised timestamp format")]
    Form,
    /// It has the form, but no calendar or clock has that date or time.
    #[error("no such date or time")]
    NoSuchTime,
    /// More than nine decimals of a second.
    #[error("more than 9 decimals of a second")]
    TooFine,
    /// Outside of the years 0 to 9999, perhaps only once it is converted to UTC.
    #[error("outside the years 0000 to 9999 in UTC")]
    OutOfRange,
}
