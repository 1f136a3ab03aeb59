//! Reads a series from CSV.
//!
//! The reader accepts comma-separated columns in any number and order with a header line, LF or CRLF line ends, with
//! or without a last newline, with or without a byte order mark, quoted or not, with or without spaces around a field,
//! and blank lines between rows. Everything else is refused with the line and with what to do.
//!
//! The time is in proportion to the length of the file: each pass over it (the text, the line numbers, the quotes)
//! visits a byte once. Before reading any row, the reader checks that all rows fit into memory. The CSV parser holds a
//! record as a whole, so a record is at most [`LONGEST_RECORD`] bytes long.

use std::io::{self, Read};
use std::path::Path;

use glassbox_engine::memory;
use glassbox_engine::text::one_line;

use super::bad_rows::{BadRows, Skipped, is_missing};
use super::{Clock, Series, SeriesError, Warning, time, warning};
use crate::rows::Reason;

/// Maximum length of a record in bytes: a line, or several if a quoted field has line breaks.
pub const LONGEST_RECORD: usize = 1 << 20;

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
/// or more than [`LONGEST_RECORD`] bytes; if a number or a timestamp is invalid, or a number is not finite; if there is
/// not enough memory for the rows.
pub fn parse_csv(bytes: &[u8], file: &str, columns: &Columns) -> Result<Loaded, SeriesError> {
    parse_rows(bytes, file, columns, BadRows::Keep)
}

/// Reads a CSV in memory; `bad_rows` says what becomes of rows that cannot be used.
///
/// # Errors
/// As [`parse_csv`], and those of `bad_rows`.
pub fn parse_rows(
    bytes: &[u8],
    file: &str,
    columns: &Columns,
    bad_rows: BadRows,
) -> Result<Loaded, SeriesError> {
    let text = text(bytes, file)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        // The number of fields is checked below, with a message that says what to do.
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(Records { rest: text.as_bytes(), left: 0 });
    let mut lines = Lines::new(text);
    let mut quotes = Quotes::new(text);
    let mut record = csv::StringRecord::new();
    // The line of the next record, and its first byte.
    let mut next = |record: &mut csv::StringRecord, quotes: &mut Quotes<'_>| {
        let line = lines.of(reader.position().byte());
        let byte = lines.at as usize;
        let records = reader.get_mut();
        records.left = (byte + LONGEST_RECORD).saturating_sub(text.len() - records.rest.len());
        match reader.read_record(record) {
            Ok(more) => Ok(more.then_some((line, byte))),
            // Reading text from memory cannot fail in any other way.
            Err(_) if quotes.is_opened_by(byte) => {
                Err(SeriesError::OpenQuote { file: file.to_owned(), line })
            }
            Err(_) => Err(SeriesError::LongRecord { file: file.to_owned(), line, most: LONGEST_RECORD }),
        }
    };

    let empty = || SeriesError::Empty { file: file.to_owned() };
    let (header_line, _) = next(&mut record, &mut quotes)?.ok_or_else(empty)?;
    let header: Vec<String> = record.iter().map(str::to_owned).collect();
    let time_at = find(&header, &columns.timestamp, file, header_line)?;
    let value_at: Vec<usize> = columns
        .values
        .iter()
        .map(|column| find(&header, column, file, header_line))
        .collect::<Result<_, _>>()?;

    let mut clock = None;
    let most = line_ends(text) + 1;
    memory::require(
        format!("{file}, a series of up to {most} rows,"),
        memory::product(&[most, ROW_BYTES + (value_at.len().max(1) - 1) * size_of::<f64>()]),
        "split the file, or use a machine with more memory",
    )
    .map_err(|error| SeriesError::Memory { problem: error.to_string() })?;
    let mut timestamps = Vec::with_capacity(most);
    let mut read: Vec<Vec<f64>> = value_at.iter().map(|_| Vec::with_capacity(most)).collect();
    let mut rows = Vec::with_capacity(most);
    let mut skipped: Vec<Skipped> = vec![];
    while let Some((line, byte)) = next(&mut record, &mut quotes)? {
        let file = || file.to_owned();
        if (record.len() != header.len() || record.iter().any(|field| field.contains('\n')))
            && quotes.is_opened_by(byte)
        {
            return Err(SeriesError::OpenQuote { file: file(), line });
        }
        if record.len() != header.len() {
            let (found, expected) = (record.len(), header.len());
            return Err(SeriesError::Ragged { file: file(), line, found, expected });
        }
        let found = &record[time_at];
        let (at, of) = time::parse(found).map_err(|why| {
            let (column, found) = (columns.timestamp.clone(), shortened(found));
            SeriesError::BadTime { file: file(), line, column, found, why }
        })?;
        if *clock.get_or_insert(of) != of {
            let found = found.to_owned();
            return Err(SeriesError::MixedClocks { file: file(), line, found, zoned: of == Clock::Utc });
        }
        let value = |(at, column): (&usize, &String)| match &record[*at] {
            field if is_missing(field) && bad_rows != BadRows::Keep => Ok(None),
            field => number(field, column, file, line).map(Some),
        };
        let values: Vec<Option<f64>> =
            value_at.iter().zip(&columns.values).map(value).collect::<Result<_, _>>()?;
        let whole: Option<Vec<f64>> = values.iter().copied().collect();
        let reason = match (&whole, timestamps.last()) {
            (None, _) => Some(Reason::MissingValue),
            _ if bad_rows == BadRows::Keep => None,
            (_, Some(last)) if at == *last => Some(Reason::RepeatedTime),
            (_, Some(last)) if at < *last => Some(Reason::BackInTime),
            _ => None,
        };
        match reason {
            Some(reason) if bad_rows == BadRows::Refuse => {
                return Err(SeriesError::BadRow { file: file(), line, reason });
            }
            Some(reason) => {
                skipped.push(Skipped { before: timestamps.len(), line, timestamp: at, values, reason });
            }
            None => {
                timestamps.push(at);
                read.iter_mut()
                    .zip(whole.into_iter().flatten())
                    .for_each(|(column, value)| column.push(value));
                rows.push(line);
            }
        }
    }
    let back: Vec<&Skipped> = skipped.iter().filter(|row| row.reason == Reason::BackInTime).collect();
    let of = rows.len() + skipped.len();
    if let Some(first) = back.first().filter(|_| 2 * back.len() > of) {
        return Err(SeriesError::Unordered { file: file.to_owned(), line: first.line, rows: back.len(), of });
    }
    let clock = clock.ok_or_else(|| SeriesError::NoRows { file: file.to_owned() })?;
    let series = Series::of_columns(stem(file), clock, timestamps, read)?;
    let mut warnings = warning::warnings(file, &series.sampling(), &rows, bad_rows);
    warnings.splice(..0, warning::skipped(file, &skipped));
    let extreme = series.columns().iter().find_map(|values| warning::extreme(file, values, &rows));
    Ok(Loaded { series, skipped, warnings, extreme })
}

/// Returns the file as text, without its byte order mark.
fn text<'a>(bytes: &'a [u8], file: &str) -> Result<&'a str, SeriesError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let utf_16 = bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF");
        SeriesError::NotUtf8 { file: file.to_owned(), line, byte: bytes[good.len()], utf_16 }
    })?;
    Ok(text.strip_prefix('\u{FEFF}').unwrap_or(text))
}

fn find(header: &[String], column: &str, file: &str, line: u64) -> Result<usize, SeriesError> {
    let (file, column) = (file.to_owned(), column.to_owned());
    let mut places = (0..header.len()).filter(|&place| header[place] == column);
    match (places.next(), places.count()) {
        (Some(place), 0) => Ok(place),
        (Some(_), more) => Err(SeriesError::AmbiguousColumn { file, line, column, times: more + 1 }),
        (None, _) => {
            let present = header.iter().map(|name| shortened(name)).collect();
            Err(SeriesError::MissingColumn { file, line, column, present })
        }
    }
}

fn number(text: &str, column: &str, file: impl Fn() -> String, line: u64) -> Result<f64, SeriesError> {
    let (column, found) = (column.to_owned(), shortened(text));
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        // Texts for infinity and NaN, and decimals too large for an f64.
        Ok(_) => Err(SeriesError::NotFinite { file: file(), line, column, found }),
        Err(_) => Err(SeriesError::BadNumber { file: file(), line, column, found }),
    }
}

/// Counts the line ends, LF, CRLF or a lone CR: at least as many as rows.
fn line_ends(text: &str) -> usize {
    let count = |end: u8| text.bytes().filter(|&byte| byte == end).count();
    count(b'\n') + count(b'\r') - text.matches("\r\n").count()
}

/// The reader for the CSV parser. It fails after `left` bytes, so that no record is longer than allowed.
struct Records<'a> {
    rest: &'a [u8],
    /// Bytes that may still be read.
    left: usize,
}

impl Read for Records<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.rest.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let most = buffer.len().min(self.left);
        let read = self.rest.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}

/// Counts the quotes of a text from a position that only grows.
struct Quotes<'a> {
    text: &'a str,
    /// The position of the last count.
    from: usize,
    /// The number of quotes from there on.
    count: usize,
}

impl<'a> Quotes<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, from: 0, count: count_quotes(text) }
    }

    /// Returns true if the line that begins at byte `at` opens a quote that is never closed: a field of it begins with
    /// a quote, and the number of quotes from there to the end of the text is odd.
    fn is_opened_by(&mut self, at: usize) -> bool {
        self.count -= count_quotes(&self.text[self.from..at]);
        self.from = at;
        let line = self.text[at..].lines().next().unwrap_or("");
        let opens = line.split(',').any(|field| field.trim_start().starts_with('"'));
        opens && !self.count.is_multiple_of(2)
    }
}

fn count_quotes(text: &str) -> usize {
    #[cfg(test)]
    super::tests::LOOKED_AT.set(super::tests::LOOKED_AT.get() + text.len());
    text.bytes().filter(|&byte| byte == b'"').count()
}

/// The beginning of a field, for error messages: a quoted field may be as long as the file.
fn shortened(text: &str) -> String {
    one_line(text).up_to(60).to_string()
}

/// The name of a file, without folder and extension.
fn stem(file: &str) -> String {
    Path::new(file).file_stem().map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// Computes the line numbers of byte positions that only grow. The CSV reader counts lines up to the *end* of the
/// record before, so its numbers are too small after blank lines and, by one, after every CRLF.
struct Lines<'a> {
    rest: &'a [u8],
    at: u64,
    line: u64,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.as_bytes(), at: 0, line: 1 }
    }

    /// The line of the first byte at or after `position` that is not a line end.
    fn of(&mut self, position: u64) -> u64 {
        while let Some((&byte, rest)) = self.rest.split_first() {
            if self.at >= position && byte != b'\n' && byte != b'\r' {
                break;
            }
            // A lone CR is a line end too, as in the CSV reader.
            let ends = byte == b'\n' || (byte == b'\r' && rest.first() != Some(&b'\n'));
            self.line += u64::from(ends);
            self.at += 1;
            self.rest = rest;
        }
        self.line
    }
}
