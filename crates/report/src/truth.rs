//! The true anomaly, where it is known, and how well the anomalous points meet it.

use glassbox_pipeline::nab::TEST;
use glassbox_pipeline::results::RunResult;
use glassbox_pipeline::series::Series;
use jiff::civil::{DateTime, date};

use crate::figure::Span;
use crate::figures::seconds;

/// The day's level is too high from here ...
const FROM: DateTime = date(2014, 4, 11).at(9, 0, 0, 0);
/// ... to here.
const TO: DateTime = date(2014, 4, 11).at(18, 0, 0, 0);

/// What is truly anomalous in the test series, and what was found of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Truth {
    /// The interval, to shade.
    pub(crate) span: Span,
    /// Points within it.
    pub(crate) points: usize,
    /// Anomalous points within it.
    pub(crate) hits: usize,
    /// Anomalous points.
    pub(crate) found: usize,
    /// Minutes from its start to the first anomalous point within it.
    pub(crate) delay: Option<i64>,
}

impl Truth {
    /// Known of the published file and of its twin.
    pub(crate) fn of(result: &RunResult, test: &Series) -> Option<Self> {
        let known = result.data.source == "twin" || result.data.test.sha256 == TEST.sha256.to_string();
        let within = |row: &usize| (FROM..=TO).contains(&test.timestamps()[*row]);
        let points = (0..test.len()).filter(within).count();
        if !known || points == 0 {
            return None;
        }
        let found = &result.anomalies.points.indices;
        let first = found.iter().copied().find(within);
        Some(Self {
            span: Span { from: seconds(FROM), to: seconds(TO), label: "truly anomalous".into() },
            points,
            hits: found.iter().copied().filter(within).count(),
            found: found.len(),
            delay: first.map(|row| ((seconds(test.timestamps()[row]) - seconds(FROM)) / 60.0) as i64),
        })
    }

    /// The part of the anomalous points that are truly so.
    pub(crate) fn precision(&self) -> Option<f64> {
        (self.found > 0).then(|| self.hits as f64 / self.found as f64)
    }

    /// The part of the truly anomalous points that were found.
    pub(crate) fn recall(&self) -> f64 {
        self.hits as f64 / self.points as f64
    }

    /// The harmonic mean of both: `2 hits / (found + points)`.
    pub(crate) fn f1(&self) -> f64 {
        2.0 * self.hits as f64 / (self.found + self.points) as f64
    }
}
