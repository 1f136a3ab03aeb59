//! The plots of a run: first those of the tutorial, then those of the inside.

mod inside;
mod tutorial;

use glassbox_pipeline::series::Series;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::figure::{Axis, Figure};
use crate::folder::Folder;
use crate::truth::Truth;

pub(crate) use inside::{mean_error, worst_row, worst_window};

/// The plots that there can be, by [`Figure::id`].
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

/// All plots of a run, in the order of the page.
#[must_use]
pub fn figures(folder: &Folder) -> Vec<Figure> {
    let truth = Truth::of(&folder.result, &folder.test);
    let mut figures = tutorial::figures(folder, truth.as_ref());
    if let Some(inside) = &folder.inside {
        figures.extend(inside::figures(folder, inside, truth.as_ref()));
    }
    figures
}

/// Seconds since 1970-01-01 00:00 by the clock that shows `at`.
pub(crate) fn seconds(at: DateTime) -> f64 {
    at.to_zoned(TimeZone::UTC).map_or(0.0, |at| at.timestamp().as_second() as f64)
}

/// The times of a series' first rows. An axis needs values that ascend: where the timestamps do not, it counts
/// rows.
fn times(series: &Series, rows: usize) -> (Axis, Vec<f64>) {
    let at: Vec<f64> = series.timestamps()[..rows].iter().map(|at| seconds(*at)).collect();
    match at.windows(2).all(|pair| pair[0] < pair[1]) {
        true => (Axis::time(), at),
        false => (Axis::linear("row"), (0..rows).map(|row| row as f64).collect()),
    }
}
