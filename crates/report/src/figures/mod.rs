//! The plots of a run: those of the tutorial, then those of the model's internals; and those of a series of one's own.

mod inside;
mod own;
mod tutorial;

use std::ops::Range;

use glassbox_pipeline::series::Series;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::Results;
use glassbox_figures::{Axis, Figure, Role, Span};

pub(crate) use inside::{mean_error, worst_row, worst_window};
pub(crate) use own::{COLUMN, SCORES, around, figures as own_figures};

/// The [`Figure::id`] of every plot that a run may have.
pub(crate) const IDS: [&str; 15] = [
    "series-train",
    "series-test",
    "losses",
    "train-mae",
    "test-mae",
    "first-window",
    "test-normalised",
    "window-errors",
    "anomalies",
    "worst-window",
    "row-reconstruction",
    "row-error",
    "norms-weights",
    "norms-gradients",
    "norms-updates",
];

/// The plots of a run, in the order of the page.
#[must_use]
pub fn figures(results: &Results) -> Vec<Figure> {
    let mut figures = tutorial::figures(results);
    if let Some(inside) = &results.inside {
        figures.extend(inside::figures(results, inside));
    }
    figures
}

/// Seconds since 1970-01-01 00:00 by the clock that shows `at`.
fn seconds(at: DateTime) -> f64 {
    at.to_zoned(TimeZone::UTC).map_or(0.0, |at| at.timestamp().as_microsecond() as f64 / 1e6)
}

/// The x axis over some rows of a series: their times or, where the timestamps do not ascend, their numbers.
pub(crate) fn times(series: &Series, rows: Range<usize>) -> (Axis, Vec<f64>) {
    let at: Vec<f64> = series.timestamps()[rows.clone()].iter().map(|at| seconds(*at)).collect();
    match at.is_sorted_by(|a, b| a < b) {
        true => (Axis::time(), at),
        false => (Axis::linear("row"), rows.map(|row| row as f64).collect()),
    }
}

/// The interval of the ground truth, to shade; `x` are the times of the test series' rows.
fn true_span(results: &Results, axis: &Axis, x: &[f64]) -> Option<Span> {
    let rows = results.truth().filter(|_| *axis == Axis::time())?;
    let (from, to) = (x[rows.start], x[rows.end - 1]);
    Some(Span { from, to, label: "ground truth".into(), role: Role::Anomaly })
}
