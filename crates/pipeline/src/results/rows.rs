//! The verdicts on the rows of a series, as CSV and as JSON.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::tables::decimal;
use super::{Point, Stretch};
use crate::detection::stretches;
use crate::rows::{Alarm, Judged, RowDetection, Verdict};
use crate::series::{Columns, Loaded};

/// How many rows have each verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Rows with a score above the threshold.
    pub anomalous: usize,
    /// Rows with a score up to it.
    pub normal: usize,
    /// Rows without a score, those that were left out included.
    pub unjudged: usize,
}

/// The verdicts on all rows of a file: those of its series, and those that were left out of it.
#[derive(Debug, Clone, Copy)]
pub struct RowVerdicts<'a> {
    /// The file.
    pub loaded: &'a Loaded,
    /// The names of its columns.
    pub columns: &'a Columns,
    /// Their units, an empty text for one without; empty if no column has one.
    pub units: &'a [String],
    /// The verdicts on its series.
    pub detection: &'a RowDetection,
    /// Write only rows that are anomalous.
    pub only_anomalies: bool,
}

/// A row of a file.
struct Row {
    timestamp: String,
    values: Vec<Option<f64>>,
    judged: Judged,
}

impl RowVerdicts<'_> {
    /// Counts the rows by verdict.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { unjudged: self.loaded.skipped.len(), ..Counts::default() };
        for row in &self.detection.rows {
            match row.verdict {
                Verdict::Anomalous(_) => counts.anomalous += 1,
                Verdict::Normal => counts.normal += 1,
                Verdict::Unjudged(_) => counts.unjudged += 1,
            }
        }
        counts
    }

    /// Writes a row for each row of the file: `timestamp`, the value columns, `score` (settled), `live_score`, `verdict`
    /// (`normal`, `anomalous` or `unjudged`), `reason`; and for several value columns the part of each in the score,
    /// `share:NAME`. A score above 1 is above the threshold. A field without a number is empty.
    ///
    /// # Errors
    /// If `out` refuses to be written to.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        let Columns { timestamp, values } = self.columns;
        let shares: Vec<String> = self.shared().iter().map(|column| format!("share:{column}")).collect();
        let header = [timestamp].into_iter().chain(values).map(String::as_str);
        let own = ["score", "live_score", "verdict", "reason"];
        csv.write_record(header.chain(own).chain(shares.iter().map(String::as_str)))?;
        let text = |number: Option<f64>| number.map_or_else(String::new, decimal);
        for Row { timestamp, values, judged } in self.rows() {
            let numbers = values.into_iter().chain([judged.score, judged.live]).map(text);
            let texts = [judged.verdict.name(), judged.verdict.reason()].map(str::to_owned);
            let shares = (0..shares.len()).map(|channel| text(judged.shares.get(channel).copied()));
            csv.write_record([timestamp].into_iter().chain(numbers).chain(texts).chain(shares))?;
        }
        csv.flush()
    }

    /// Writes a JSON object: the counts, how rows were judged, the stretches of anomalous rows, and each row.
    ///
    /// # Errors
    /// If `out` refuses to be written to.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct Document<'a> {
            series: &'a str,
            rows: usize,
            #[serde(flatten)]
            counts: Counts,
            rule: &'static str,
            time_steps: usize,
            windows: usize,
            threshold: Alarm,
            stretches: Vec<Stretch>,
            columns: &'a [String],
            #[serde(skip_serializing_if = "<[String]>::is_empty")]
            units: &'a [String],
            judged: Vec<Json>,
        }
        let series = &self.loaded.series;
        let point = |index: usize| Point { index, timestamp: series.timestamp_text(index) };
        let is_anomalous = |row: &Judged| matches!(row.verdict, Verdict::Anomalous(_));
        let anomalous: Vec<usize> =
            (0..series.len()).filter(|row| is_anomalous(&self.detection.rows[*row])).collect();
        let stretch = |rows: std::ops::Range<usize>| Stretch {
            first: point(rows.start),
            last: point(rows.end - 1),
            count: rows.len(),
        };
        let document = Document {
            series: series.name(),
            rows: series.len() + self.loaded.skipped.len(),
            counts: self.counts(),
            rule: "rows",
            time_steps: self.detection.time_steps,
            windows: self.detection.windows,
            threshold: self.detection.alarm,
            stretches: stretches(&anomalous).into_iter().map(stretch).collect(),
            columns: &self.columns.values,
            units: self.units,
            judged: self.rows().map(|row| self.json(&row)).collect(),
        };
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)
    }

    fn json(&self, row: &Row) -> Json {
        let named = |columns: &[String], numbers: &[Option<f64>]| -> Map<String, Json> {
            columns.iter().zip(numbers).map(|(column, number)| (column.clone(), json!(number))).collect()
        };
        let judged = &row.judged;
        let mut json = json!({
            "timestamp": row.timestamp,
            "values": named(&self.columns.values, &row.values),
            "score": judged.score,
            "live_score": judged.live,
            "verdict": judged.verdict.name(),
            "reason": judged.verdict.reason(),
        });
        let shares: Vec<Option<f64>> = judged.shares.iter().copied().map(Some).collect();
        let shares = named(self.shared(), &shares);
        if !shares.is_empty() {
            json["shares"] = shares.into();
        }
        json
    }

    /// The columns that share a score: several, or none.
    fn shared(&self) -> &[String] {
        if self.columns.values.len() > 1 { &self.columns.values } else { &[] }
    }

    /// The rows to write, in the order of the file.
    fn rows(&self) -> impl Iterator<Item = Row> {
        let (series, detection) = (&self.loaded.series, self.detection);
        let mut skipped = self.loaded.skipped.iter().peekable();
        let rows = (0..=series.len()).flat_map(move |index| {
            let mut rows = vec![];
            while let Some(left_out) = skipped.next_if(|left_out| left_out.before == index) {
                let judged = Judged::unjudged(left_out.reason);
                let timestamp = series.show_time(left_out.timestamp);
                rows.push(Row { timestamp, values: left_out.values.clone(), judged });
            }
            if let Some(judged) = detection.rows.get(index) {
                let values = series.columns().iter().map(|values| Some(values[index])).collect();
                rows.push(Row { timestamp: series.timestamp_text(index), values, judged: judged.clone() });
            }
            rows
        });
        let only_anomalies = self.only_anomalies;
        rows.filter(move |row| !only_anomalies || matches!(row.judged.verdict, Verdict::Anomalous(_)))
    }
}
