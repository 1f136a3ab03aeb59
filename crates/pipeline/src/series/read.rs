//! Reads a series from a CSV file, as a whole.
//!
//! Before reading any row, the reader checks that all rows fit into memory.

use std::path::Path;

use glassbox_engine::memory;

use super::bad_rows::{BadRows, Sieve, Skipped};
use super::reader::{Row, RowReader};
use super::{Series, SeriesError, Warning, warning};

/// Maximum memory of a row while its file is read, in bytes: 28 for its time, value and line, 16 for the step to the
/// next row, and 86 for the table of steps, if all steps differ and the table has just grown. It is more than a row
/// takes later, with its normalised value, the errors of its windows and the detected anomalies.
const ROW_BYTES: usize = 130;

/// The names of the columns to read; other columns are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The name of the column of timestamps; `timestamp` by default.
    pub timestamp: String,
    /// The names of the columns of raw values; `value` by default.
    pub values: Vec<String>,
}

impl Default for Columns {
    fn default() -> Self {
        Self { timestamp: "timestamp".into(), values: vec!["value".into()] }
    }
}

/// A series that was read, with warnings.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The series, with the rows of the file in the order of the file.
    pub series: Series,
    /// The rows that were left out, in the order of the file.
    pub skipped: Vec<Skipped>,
    /// Warnings about its timestamps; empty for an evenly sampled series.
    pub warnings: Vec<Warning>,
    /// A warning about an extreme value, for a series to train on. In other series such a value may be the anomaly.
    pub extreme: Option<Warning>,
}

/// Reads the CSV file at `path`.
///
/// The whole file is in memory while it is read. A row takes about 30 bytes there, up to 130 while its timestamps are
/// analysed, and 20 in the series.
///
/// # Errors
/// If the file cannot be read, or for any reason of [`parse_csv`].
pub fn read_csv(path: &Path, columns: &Columns) -> Result<Loaded, SeriesError> {
    read_rows(path, columns, BadRows::Keep)
}

/// Reads the CSV file at `path`; `bad_rows` says what becomes of rows that cannot be used.
///
/// # Errors
/// As [`read_csv`], and those of `bad_rows`.
pub fn read_rows(path: &Path, columns: &Columns, bad_rows: BadRows) -> Result<Loaded, SeriesError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|cause| SeriesError::Unreadable { file: file.clone(), cause: cause.to_string() })?;
    parse_rows(&bytes, &file, columns, bad_rows)
}

/// Reads a CSV in memory. `file` is its path or name for error messages; without folder and extension it becomes the
/// name of the series.
///
/// # Errors
/// If there is no text, no header with both columns, or no row that can be used; if a row has another number of fields than the header,
/// or more than [`LONGEST_RECORD`](super::reader::LONGEST_RECORD) bytes; if a number or a timestamp is invalid, or a number is not finite; if there is
/// not enough memory for the rows.
pub fn parse_csv(bytes: &[u8], file: &str, columns: &Columns) -> Result<Loaded, SeriesError> {
    parse_rows(bytes, file, columns, BadRows::Keep)
}

/// The first and the last bytes of a Parquet file.
const PARQUET: &[u8] = b"PAR1";

/// Reads a CSV in memory, or a Parquet file with the feature `parquet`; `bad_rows` says what becomes of rows that cannot be
/// used.
///
/// # Errors
/// As [`parse_csv`], and those of `bad_rows`; if a Parquet file is damaged, or a column has an unsupported type.
pub fn parse_rows(
    bytes: &[u8],
    file: &str,
    columns: &Columns,
    bad_rows: BadRows,
) -> Result<Loaded, SeriesError> {
    if bytes.starts_with(PARQUET) && bytes.ends_with(PARQUET) {
        #[cfg(feature = "parquet")]
        return parse_text(&super::parquet::to_csv(bytes, file, columns)?, file, columns, bad_rows);
        #[cfg(not(feature = "parquet"))]
        return Err(SeriesError::NoParquet { file: file.to_owned() });
    }
    parse_text(bytes, file, columns, bad_rows)
}

fn parse_text(bytes: &[u8], file: &str, columns: &Columns, bad_rows: BadRows) -> Result<Loaded, SeriesError> {
    let most = line_ends(bytes) + 1;
    memory::require(
        format!("{file}, a series of up to {most} rows,"),
        memory::product(&[most, ROW_BYTES + (columns.values.len().max(1) - 1) * size_of::<f64>()]),
        "split the file, or use a machine with more memory",
    )
    .map_err(|error| SeriesError::Memory { problem: error.to_string() })?;
    let mut timestamps = Vec::with_capacity(most);
    let mut read: Vec<Vec<f64>> = columns.values.iter().map(|_| Vec::with_capacity(most)).collect();
    let mut lines = Vec::with_capacity(most);
    let mut skipped: Vec<Skipped> = vec![];
    let (mut reader, mut sieve) = (RowReader::new(file, columns, bad_rows), Sieve::new(bad_rows));
    let (mut rest, mut row) = (bytes, Row::default());
    while reader.read(&mut rest, true, &mut row)? {
        if let Some(reason) = sieve.take(file, &row)? {
            let (before, values) = (timestamps.len(), row.values.clone());
            skipped.push(Skipped { before, line: row.line, timestamp: row.timestamp, values, reason });
            continue;
        }
        timestamps.push(row.timestamp);
        read.iter_mut().zip(row.values.iter().flatten()).for_each(|(column, value)| column.push(*value));
        lines.push(row.line);
    }
    sieve.finish(file)?;
    let clock = reader.clock().ok_or_else(|| SeriesError::NoRows { file: file.to_owned() })?;
    let series = Series::of_columns(stem(file), clock, timestamps, read)?;
    let mut warnings = warning::warnings(file, &series.sampling(), &lines, bad_rows);
    warnings.splice(..0, warning::skipped(file, &skipped));
    let extreme = series.columns().iter().find_map(|values| warning::extreme(file, values, &lines));
    Ok(Loaded { series, skipped, warnings, extreme })
}

/// Counts the line ends, LF, CRLF or a lone CR: at least as many as rows.
fn line_ends(bytes: &[u8]) -> usize {
    let ends = |(&byte, before): (&u8, &u8)| byte == b'\r' || (byte == b'\n' && *before != b'\r');
    bytes.iter().zip([b' '].iter().chain(bytes)).filter(|pair| ends(*pair)).count()
}

/// The name of a file, without folder and extension.
fn stem(file: &str) -> String {
    Path::new(file).file_stem().map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned())
}
