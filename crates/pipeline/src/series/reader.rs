//! Reads the rows of a CSV, as its bytes arrive.
//!
//! The reader accepts comma-separated columns in any number and order with a header line, LF or CRLF line ends, with
//! or without a last newline, with or without a byte order mark, quoted or not, with or without spaces around a field,
//! and blank lines between rows. Everything else is refused with the line and with what to do.
//!
//! It has one record in memory, of at most [`LONGEST_RECORD`] bytes, and visits a byte once.

use glassbox_engine::text::one_line;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::bad_rows::{BadRows, is_missing};
use super::records::{Endless, Position, Records};
use super::{Clock, Columns, SeriesError, time};

/// Maximum length of a record in bytes: a line, or several if a quoted field has line breaks.
pub const LONGEST_RECORD: usize = 1 << 20;

/// A row of a CSV.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// Its line in the file, counted from 1.
    pub line: u64,
    /// Its timestamp.
    pub timestamp: DateTime,
    /// The clock that the timestamp comes from, the same for all rows.
    pub clock: Clock,
    /// Its value in each column (raw, finite), if it has one there.
    pub values: Vec<Option<f64>>,
}

/// The place in an input up to which its rows were read, and how to find it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The end of the first row.
    head: Position,
    /// The end of the last row.
    last: Position,
    clock: Option<Clock>,
}

impl Place {
    /// Returns false if no reader can be at this place, for example in a damaged file.
    pub(crate) fn is_sound(&self) -> bool {
        // A header and a row, and blank lines around them.
        self.head.bytes <= 4 * LONGEST_RECORD as u64
            && self.head.bytes <= self.last.bytes
            && self.last.is_sound()
            && self.head.is_sound()
    }

    /// Number of bytes that [`Place::is_in`] needs.
    pub(crate) fn head(&self) -> usize {
        usize::try_from(self.head.bytes).unwrap_or(usize::MAX)
    }

    /// Returns true if an input that begins with `bytes` begins like the one that this is a place in.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        bytes.get(..self.head()).is_some_and(|head| Position::of(head) == self.head)
    }
}

/// A reader of rows. Bytes are pushed into it: `RowReader::read` takes them off a slice until a row is whole.
#[derive(Debug)]
pub(crate) struct RowReader {
    records: Records,
    /// The path or name of the file, for errors.
    file: String,
    columns: Columns,
    bad_rows: BadRows,
    header: Option<Header>,
    clock: Option<Clock>,
    /// The end of the first row.
    head: Option<Position>,
    /// The place to go on from, until it is reached.
    resumed: Option<Place>,
}

/// The places of the columns.
#[derive(Debug)]
struct Header {
    fields: usize,
    time: usize,
    values: Vec<usize>,
}

impl RowReader {
    /// A reader of the file called `file`. It reads rows without a value if `bad_rows` says what becomes of them.
    pub(crate) fn new(file: &str, columns: &Columns, bad_rows: BadRows) -> Self {
        Self {
            records: Records::new(),
            file: file.into(),
            columns: columns.clone(),
            bad_rows,
            header: None,
            clock: None,
            head: None,
            resumed: None,
        }
    }

    /// The same from `place` on: it takes the input from its beginning, and reads no row before that place.
    pub(crate) fn resume(mut self, place: Place) -> Self {
        (self.clock, self.head, self.resumed) = (place.clock, Some(place.head), Some(place));
        self
    }

    /// The same for an input that goes on after `place`, from its own beginning.
    pub(crate) fn with_clock(self, place: Place) -> Self {
        Self { clock: place.clock, ..self }
    }

    /// Takes bytes off `input` until `row` is whole, and returns true; or until there are none. `end` says that no bytes
    /// come after `input`. After an error of [one row](SeriesError::is_of_one_row), the next row can be read.
    ///
    /// # Errors
    /// If the header lacks a column, a row has another number of fields, no timestamp, or a text that is no number.
    pub(crate) fn read(&mut self, input: &mut &[u8], end: bool, row: &mut Row) -> Result<bool, SeriesError> {
        if self.header.is_none() {
            if !self.next(input, end)? {
                return if end { Err(SeriesError::Empty { file: self.file.clone() }) } else { Ok(false) };
            }
            self.header = Some(self.read_header()?);
        }
        if let Some(place) = self.resumed {
            if !self.records.skip_to(&place.last, input) {
                return if end { Err(self.changed()) } else { Ok(false) };
            }
            if self.records.position() != place.last {
                return Err(self.changed());
            }
            self.resumed = None;
        }
        if !self.next(input, end)? {
            return Ok(false);
        }
        self.head.get_or_insert(self.records.position());
        self.read_row(row)?;
        Ok(true)
    }

    /// The place after the last row; `None` before the first.
    pub(crate) fn place(&self) -> Option<Place> {
        self.resumed
            .or_else(|| Some(Place { head: self.head?, last: self.records.position(), clock: self.clock }))
    }

    /// Returns true if the columns were found.
    pub(crate) fn has_header(&self) -> bool {
        self.header.is_some()
    }

    /// The clock of the timestamps, once there was one.
    pub(crate) fn clock(&self) -> Option<Clock> {
        self.clock
    }

    fn changed(&self) -> SeriesError {
        SeriesError::Changed { file: self.file.clone() }
    }

    fn next(&mut self, input: &mut &[u8], end: bool) -> Result<bool, SeriesError> {
        self.records.next(input, end).map_err(|endless| {
            let (file, line) = (self.file.clone(), self.records.line());
            match endless {
                Endless::Quote => SeriesError::OpenQuote { file, line },
                Endless::Long => SeriesError::LongRecord { file, line, most: LONGEST_RECORD },
            }
        })
    }

    fn read_header(&self) -> Result<Header, SeriesError> {
        let line = self.records.line();
        let names: Vec<&str> =
            self.records.fields().collect::<Result<_, _>>().map_err(|byte| self.not_utf_8(byte))?;
        let find = |column: &String| {
            let (file, column) = (self.file.clone(), column.clone());
            let mut places = (0..names.len()).filter(|&place| names[place] == column);
            match (places.next(), places.count()) {
                (Some(place), 0) => Ok(place),
                (Some(_), more) => Err(SeriesError::AmbiguousColumn { file, line, column, times: more + 1 }),
                (None, _) => {
                    let present = names.iter().map(|name| shortened(name)).collect();
                    Err(SeriesError::MissingColumn { file, line, column, present })
                }
            }
        };
        let time = find(&self.columns.timestamp)?;
        let values = self.columns.values.iter().map(find).collect::<Result<_, _>>()?;
        Ok(Header { fields: names.len(), time, values })
    }

    fn read_row(&mut self, row: &mut Row) -> Result<(), SeriesError> {
        let Some(header) = &self.header else { unreachable!("the header is read first") };
        let (records, line, file) = (&self.records, self.records.line(), || self.file.clone());
        if records.count() != header.fields {
            if let Some(byte) = records.fields().find_map(Result::err) {
                return Err(self.not_utf_8(byte));
            }
            let (found, expected, last) = (records.count(), header.fields, records.last_line());
            return Err(SeriesError::Ragged { file: file(), line, last, found, expected });
        }
        row.line = line;
        row.values.clear();
        row.values.resize(header.values.len(), None);
        for (place, field) in records.fields().enumerate() {
            let field = field.map_err(|byte| self.not_utf_8(byte))?;
            if place == header.time {
                let column = || self.columns.timestamp.clone();
                let (at, of) = time::parse(field).map_err(|why| {
                    let (column, found) = (column(), shortened(field));
                    SeriesError::BadTime { file: file(), line, column, found, why }
                })?;
                if self.clock.is_some_and(|clock| clock != of) {
                    let (found, zoned) = (shortened(field), of == Clock::Utc);
                    return Err(SeriesError::MixedClocks { file: file(), line, found, zoned });
                }
                (row.timestamp, row.clock) = (at, of);
            }
            let missing = self.bad_rows != BadRows::Keep && is_missing(field);
            for (value, _) in header.values.iter().enumerate().filter(|(_, at)| !missing && **at == place) {
                row.values[value] = Some(self.number(field, value, line)?);
            }
        }
        self.clock = Some(row.clock);
        Ok(())
    }

    fn number(&self, text: &str, column: usize, line: u64) -> Result<f64, SeriesError> {
        let (file, column) = (|| self.file.clone(), || self.columns.values[column].clone());
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            // Texts for infinity and NaN, and decimals too large for an f64.
            Ok(_) => {
                Err(SeriesError::NotFinite { file: file(), line, column: column(), found: shortened(text) })
            }
            Err(_) => {
                Err(SeriesError::BadNumber { file: file(), line, column: column(), found: shortened(text) })
            }
        }
    }

    /// Bytes of the record that are not text.
    fn not_utf_8(&self, byte: u8) -> SeriesError {
        let utf_16 = self.header.is_none() && matches!(byte, 0xFF | 0xFE);
        SeriesError::NotUtf8 { file: self.file.clone(), line: self.records.line(), byte, utf_16 }
    }
}

/// The beginning of a field, for error messages: a quoted field may be as long as the file.
fn shortened(text: &str) -> String {
    one_line(text).up_to(60).to_string()
}
