//! The verdicts on the rows of a series, as CSV and as JSON.

use std::io::{self, Write};

use serde::Serialize;

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
    /// The verdicts on its series.
    pub detection: &'a RowDetection,
    /// Write only rows that are anomalous.
    pub only_anomalies: bool,
}

/// A row of a file, in its JSON.
#[derive(Serialize)]
struct Row {
    timestamp: String,
    value: Option<f64>,
    score: Option<f64>,
    live_score: Option<f64>,
    verdict: &'static str,
    reason: &'static str,
}

impl Row {
    fn new(timestamp: String, value: Option<f64>, judged: &Judged) -> Self {
        let (verdict, reason) = (judged.verdict.name(), judged.verdict.reason());
        Self { timestamp, value, score: judged.score, live_score: judged.live, verdict, reason }
    }
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

    /// Writes a row for each row of the file: `timestamp`, the value column, `score` (settled), `live_score`, `verdict`
    /// (`normal`, `anomalous` or `unjudged`), `reason`. A score above 1 is above the threshold. A field without a number
    /// is empty.
    ///
    /// # Errors
    /// If `out` refuses to be written to.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        let Columns { timestamp, value } = self.columns;
        csv.write_record([timestamp, value, "score", "live_score", "verdict", "reason"])?;
        let text = |number: Option<f64>| number.map_or_else(String::new, decimal);
        for row in self.rows() {
            let numbers = [row.value, row.score, row.live_score].map(text);
            let texts = [row.verdict.to_owned(), row.reason.to_owned()];
            csv.write_record([row.timestamp].into_iter().chain(numbers).chain(texts))?;
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
            judged: Vec<Row>,
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
            judged: self.rows().collect(),
        };
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)
    }

    /// The rows to write, in the order of the file.
    fn rows(&self) -> impl Iterator<Item = Row> {
        let (series, detection) = (&self.loaded.series, self.detection);
        let mut skipped = self.loaded.skipped.iter().peekable();
        let rows = (0..=series.len()).flat_map(move |row| {
            let mut before = vec![];
            while let Some(left_out) = skipped.next_if(|left_out| left_out.before == row) {
                let judged = Judged::unjudged(left_out.reason);
                before.push(Row::new(series.show_time(left_out.timestamp), left_out.value, &judged));
            }
            let own = detection.rows.get(row);
            before.extend(
                own.map(|judged| Row::new(series.timestamp_text(row), Some(series.values()[row]), judged)),
            );
            before
        });
        let only_anomalies = self.only_anomalies;
        rows.filter(move |row| !only_anomalies || row.verdict == "anomalous")
    }
}
