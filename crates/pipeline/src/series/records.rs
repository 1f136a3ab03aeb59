//! Splits the bytes of a CSV into records, as they arrive: from a file in memory, or piece by piece from a pipe.

use serde::{Deserialize, Serialize};

use super::LONGEST_RECORD;

/// The byte order mark that some programs put before a text.
const MARK: &[u8; 3] = b"\xEF\xBB\xBF";

/// A position between two records of an input, with a checksum of all bytes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Bytes before it.
    pub(super) bytes: u64,
    /// The line of the byte before it, counted from 1.
    line: u64,
    /// The byte before it is a carriage return, so a line feed that follows ends no other line.
    after_return: bool,
    /// FNV-1a of the bytes before it. It finds a mistake, such as another file under the same name, and no forgery.
    hash: u64,
}

impl Position {
    const START: Self = Self { bytes: 0, line: 1, after_return: false, hash: 0xcbf2_9ce4_8422_2325 };

    /// The position after `bytes`, with which the input begins.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut position = Self::START;
        position.advance(bytes);
        position
    }

    /// Returns false if no input can be so long, or has so many lines.
    pub(super) fn is_sound(&self) -> bool {
        self.bytes < 1 << 62 && (1..=self.bytes + 1).contains(&self.line)
    }

    fn advance(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            // LF, CRLF or a lone CR ends a line.
            self.line += u64::from(byte == b'\r' || (byte == b'\n' && !self.after_return));
            self.after_return = byte == b'\r';
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.bytes += bytes.len() as u64;
    }
}

/// The reason why a record cannot be read. Reading cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endless {
    /// A quote is open at the end of the input, or where the record is longest.
    Quote,
    /// The record is longer than [`LONGEST_RECORD`] bytes.
    Long,
}

/// A reader of records. It has at most one of them in memory.
#[derive(Debug)]
pub(super) struct Records {
    csv: csv_core::Reader,
    /// Bytes of the byte order mark that were found; 3 also if there is none.
    mark: usize,
    /// The unescaped fields of the record, one after the other.
    fields: Vec<u8>,
    written: usize,
    /// Where each field ends.
    ends: Vec<usize>,
    count: usize,
    /// Bytes of the record so far; 0 between two records.
    length: usize,
    /// The line that the record begins on.
    line: u64,
    at: Position,
    /// The end of the last whole record.
    done: Position,
}

impl Records {
    pub(super) fn new() -> Self {
        let mut csv = csv_core::Reader::new();
        // A blank line is no record. It keeps the parser from looking for the byte order mark, which may arrive in pieces.
        let _ = csv.read_record(b"\n", &mut [0], &mut [0]);
        Self {
            csv,
            mark: 0,
            fields: vec![0; 256],
            written: 0,
            ends: vec![0; 16],
            count: 0,
            length: 0,
            line: 1,
            at: Position::START,
            done: Position::START,
        }
    }

    /// Takes bytes off `input` until a record is whole, and returns true; or until there are none. `end` says that no
    /// bytes come after `input`, so its end is that of the last record.
    pub(super) fn next(&mut self, input: &mut &[u8], end: bool) -> Result<bool, Endless> {
        if self.length == 0 {
            (self.written, self.count) = (0, 0);
            self.skip_mark(input, end);
            let blank = input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            self.take(input, blank);
            if self.mark < MARK.len() || (input.is_empty() && self.length == 0) {
                return Ok(false);
            }
            if self.length == 0 {
                self.line = self.at.line;
            }
        }
        let room = LONGEST_RECORD - self.length;
        let part = &input[..input.len().min(room)];
        if !part.is_empty() {
            let (whole, taken) = self.parse(part);
            self.take(input, taken);
            self.length += taken;
            if whole {
                return Ok(self.finish());
            }
        }
        if input.is_empty() && !end {
            return Ok(false);
        }
        // A line end that does not end the record is within quotes.
        let (whole, _) = self.parse(b"\n");
        match (whole, input.is_empty()) {
            (false, _) => Err(Endless::Quote),
            (true, false) => Err(Endless::Long),
            // The end of the input is that of the record.
            (true, true) => Ok(self.finish()),
        }
    }

    fn finish(&mut self) -> bool {
        self.length = 0;
        self.done = self.at;
        true
    }

    /// The fields of the record, without spaces around them. The error is the first byte that is not UTF-8.
    pub(super) fn fields(&self) -> impl Iterator<Item = Result<&str, u8>> {
        let mut start = 0;
        self.ends[..self.count].iter().map(move |end| {
            let field = &self.fields[std::mem::replace(&mut start, *end)..*end];
            let text = std::str::from_utf8(field).map_err(|error| field[error.valid_up_to()])?;
            Ok(text.trim())
        })
    }

    /// Number of fields of the record.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The line that the record begins on.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The line that the record ends on.
    pub(super) fn last_line(&self) -> u64 {
        // Its line end was counted, unless the input ended instead.
        self.at.line.saturating_sub(1).max(self.line)
    }

    /// The end of the last whole record.
    pub(super) fn position(&self) -> Position {
        self.done
    }

    /// Takes bytes off `input` up to `position`, the end of a record. Returns true when there.
    pub(super) fn skip_to(&mut self, position: &Position, input: &mut &[u8]) -> bool {
        let left = position.bytes.saturating_sub(self.at.bytes);
        self.take(input, usize::try_from(left).unwrap_or(usize::MAX).min(input.len()));
        self.done = self.at;
        self.at.bytes >= position.bytes
    }

    /// Takes the byte order mark off the beginning of the input. What begins like it and goes on otherwise is text.
    fn skip_mark(&mut self, input: &mut &[u8], end: bool) {
        while self.mark < MARK.len() {
            match input.first() {
                Some(byte) if *byte == MARK[self.mark] => {
                    self.take(input, 1);
                    self.mark += 1;
                }
                None if !end => return,
                _ => {
                    let begun = std::mem::replace(&mut self.mark, MARK.len());
                    if begun > 0 {
                        self.parse(&MARK[..begun]);
                        self.length = begun;
                    }
                }
            }
        }
    }

    /// Gives bytes to the parser, at least one. Returns true if a record is whole, and how many bytes it took.
    fn parse(&mut self, bytes: &[u8]) -> (bool, usize) {
        use csv_core::ReadRecordResult as Read;
        let mut taken = 0;
        loop {
            let (fields, ends) = (&mut self.fields[self.written..], &mut self.ends[self.count..]);
            let (read, nin, nout, nends) = self.csv.read_record(&bytes[taken..], fields, ends);
            (taken, self.written, self.count) = (taken + nin, self.written + nout, self.count + nends);
            match read {
                Read::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
                Read::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                Read::InputEmpty => return (false, taken),
                Read::Record | Read::End => return (true, taken),
            }
            // No bytes would mean the end of the input.
            if taken == bytes.len() {
                return (false, taken);
            }
        }
    }

    fn take(&mut self, input: &mut &[u8], count: usize) {
        let (taken, rest) = input.split_at(count);
        self.at.advance(taken);
        *input = rest;
    }
}
