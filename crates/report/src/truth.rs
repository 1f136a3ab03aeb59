//! The true anomaly, where it is known, and how well the anomalous points meet it.

use glassbox_pipeline::evaluation::Score;
use glassbox_pipeline::nab::{TEST, TRAIN};
use glassbox_pipeline::results::RunResult;
use glassbox_pipeline::series::Series;
use jiff::civil::{DateTime, date};

use crate::figure::Span;
use crate::figures::seconds;

/// The day's level is too high from here ...
const FROM: DateTime = date(2014, 4, 11).at(9, 0, 0, 0);
/// ... to here; see [`true_anomaly`](glassbox_pipeline::evaluation::true_anomaly), which knows it by its rows.
const TO: DateTime = date(2014, 4, 11).at(18, 0, 0, 0);

/// Whether both series are those of the tutorial: the published ones, by their content and not by their place, or their
/// twin.
pub(crate) fn of_the_tutorial(result: &RunResult) -> bool {
    let data = &result.data;
    let published =
        data.train.sha256 == TRAIN.sha256.to_string() && data.test.sha256 == TEST.sha256.to_string();
    published || data.source == "twin"
}

/// What is truly anomalous in the test series, and what was found of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Truth {
    /// The interval, to shade.
    pub(crate) span: Span,
    /// Points within it.
    pub(crate) points: usize,
    /// How well the anomalous points meet it.
    pub(crate) score: Score,
    /// Minutes from its start to the first anomalous point within it.
    pub(crate) delay: Option<i64>,
}

impl Truth {
    /// Known of the published file and of its twin, or of what there is of them.
    pub(crate) fn of(result: &RunResult, test: &Series) -> Option<Self> {
        let known = result.data.source == "twin" || result.data.test.sha256 == TEST.sha256.to_string();
        // Both series have a row every five minutes, in order: the rows between two times are neighbours.
        let row_of = |time: DateTime| test.timestamps().iter().position(|at| *at == time);
        let rows =
            known.then(|| row_of(FROM).zip(row_of(TO))).flatten().map(|(first, last)| first..last + 1)?;
        let score = Score::of(&result.anomalies.points.indices, &rows);
        let minutes = |row: usize| ((seconds(test.timestamps()[row]) - seconds(FROM)) / 60.0) as i64;
        Some(Self {
            span: Span { from: seconds(FROM), to: seconds(TO), label: "ground truth".into() },
            points: rows.len(),
            delay: score.first_hit.map(minutes),
            score,
        })
    }
}
