//! The plots of a run: those of the tutorial, then those of the model's internals.

mod inside;
mod tutorial;

use glassbox_pipeline::series::Series;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::Results;
use glassbox_figures::{Axis, Figure, Span};

pub(crate) use inside::{mean_error, worst_row, worst_window};

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
    at.to_zoned(TimeZone::UTC).map_or(0.0, |at| at.timestamp().as_second() as f64)
}

/// The x axis over the first `rows` rows of a series: their times or, where the timestamps do not ascend, their numbers.
fn times(series: &Series, rows: usize) -> (Axis, Vec<f64>) {
    let at: Vec<f64> = series.timestamps()[..rows].iter().map(|at| seconds(*at)).collect();
    match at.windows(2).all(|pair| pair[0] < pair[1]) {
        true => (Axis::time(), at),
        false => (Axis::linear("row"), (0..rows).map(|row| row as f64).collect()),
    }
}

/// The interval of the ground truth, to shade; `x` are the times of the test series' rows.
fn true_span(results: &Results, axis: &Axis, x: &[f64]) -> Option<Span> {
    let rows = results.truth().filter(|_| *axis == Axis::time())?;
    Some(Span { from: x[rows.start], to: x[rows.end - 1], label: "ground truth".into() })
}
