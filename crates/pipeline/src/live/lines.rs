//! Lines as text: CSV, or JSON lines.

use std::io::Write as _;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::{Kind, Line};
use crate::rows::Verdict;
use crate::series::Columns;

/// The lines to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lines {
    /// Live lines.
    Live,
    /// Settled lines.
    Settled,
    /// Both, with a column `kind` that tells them apart.
    #[default]
    Both,
}

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// CSV with a header, with the columns of [`RowVerdicts::write_csv`](crate::results::RowVerdicts::write_csv).
    #[default]
    Csv,
    /// A JSON object in each line, with the fields of a row of
    /// [`RowVerdicts::write_json`](crate::results::RowVerdicts::write_json).
    Json,
}

/// Writes lines as text.
#[derive(Debug, Clone)]
pub struct LineWriter {
    /// The form of the lines.
    pub format: Format,
    /// The lines to write.
    pub lines: Lines,
    /// Write only the lines of anomalous rows.
    pub only_anomalies: bool,
    /// The names of the columns.
    pub columns: Columns,
}

impl LineWriter {
    /// Appends the header: `kind` if there are both kinds of lines, the timestamp, the value columns, `score` (settled),
    /// `live_score`, `verdict`, `reason`; and for several value columns the part of each in the score, `share:NAME`. JSON
    /// lines have none.
    pub fn header(&self, out: &mut Vec<u8>) {
        if self.format == Format::Json {
            return;
        }
        let Columns { timestamp, values } = &self.columns;
        let kind = (self.lines == Lines::Both).then_some("kind");
        let own = ["score", "live_score", "verdict", "reason"];
        let shares: Vec<String> = self.shared().iter().map(|column| format!("share:{column}")).collect();
        let names = [timestamp].into_iter().chain(values).map(String::as_str);
        let names = kind.into_iter().chain(names).chain(own).chain(shares.iter().map(String::as_str));
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(names).and_then(|()| Ok(csv.flush()?)).expect("memory can be written to");
    }

    /// Appends a line, if it is one of those to write. Numbers have as many digits as give the same bits again.
    pub fn write(&self, line: &Line<'_>, out: &mut Vec<u8>) {
        let asked = match self.lines {
            Lines::Live => line.kind == Kind::Live,
            Lines::Settled => line.kind == Kind::Settled,
            Lines::Both => true,
        };
        if !asked || (self.only_anomalies && !matches!(line.judged.verdict, Verdict::Anomalous(_))) {
            return;
        }
        match self.format {
            Format::Csv => self.write_csv(line, out),
            Format::Json => {
                serde_json::to_writer(&mut *out, &Object { writer: self, line })
                    .expect("memory can be written to");
                out.push(b'\n');
            }
        }
    }

    /// No field needs quotes: all are numbers, times, and words without a comma.
    fn write_csv(&self, line: &Line<'_>, out: &mut Vec<u8>) {
        let Line { kind, timestamp, clock, values, judged } = line;
        if self.lines == Lines::Both {
            out.extend_from_slice(kind.name().as_bytes());
            out.push(b',');
        }
        clock.write(*timestamp, out);
        let mut number = |number: Option<f64>| {
            out.push(b',');
            if let Some(number) = number {
                write!(out, "{number:?}").expect("memory can be written to");
            }
        };
        values.iter().copied().chain([judged.score, judged.live]).for_each(&mut number);
        for text in [judged.verdict.name(), judged.verdict.reason()] {
            out.push(b',');
            out.extend_from_slice(text.as_bytes());
        }
        for channel in 0..self.shared().len() {
            out.push(b',');
            if let Some(share) = judged.shares.get(channel) {
                write!(out, "{share:?}").expect("memory can be written to");
            }
        }
        out.push(b'\n');
    }

    /// The columns that share a score: several, or none.
    fn shared(&self) -> &[String] {
        if self.columns.values.len() > 1 { &self.columns.values } else { &[] }
    }
}

/// A line as a JSON object.
struct Object<'a> {
    writer: &'a LineWriter,
    line: &'a Line<'a>,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { writer, line: Line { kind, timestamp, clock, values, judged } } = self;
        let mut object = serializer.serialize_map(None)?;
        if writer.lines == Lines::Both {
            object.serialize_entry("kind", kind)?;
        }
        object.serialize_entry("timestamp", &clock.show(*timestamp))?;
        object.serialize_entry("values", &Named(&writer.columns.values, values))?;
        object.serialize_entry("score", &judged.score)?;
        object.serialize_entry("live_score", &judged.live)?;
        object.serialize_entry("verdict", judged.verdict.name())?;
        object.serialize_entry("reason", judged.verdict.reason())?;
        if !writer.shared().is_empty() && !judged.shares.is_empty() {
            object.serialize_entry("shares", &Named(writer.shared(), &judged.shares))?;
        }
        object.end()
    }
}

/// Numbers by the names of their columns.
struct Named<'a, T>(&'a [String], &'a [T]);

impl<T: Serialize> Serialize for Named<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1))
    }
}
