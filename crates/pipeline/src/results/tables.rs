//! Results as CSV: a header, LF line ends, floats as the shortest decimals that give the same bits again.

use std::io::{self, Write};

use glassbox_engine::training::History;

use crate::detector::Detection;
use crate::series::Series;
use crate::tutorial::TutorialRun;

/// The `Debug` of a float is its shortest exact text, with an exponent where that is shorter.
pub(super) fn decimal(value: f64) -> String {
    format!("{value:?}")
}

/// Writes each window of `series`: `window` (counted from 0), `first_timestamp`, `last_timestamp`, `mae` (its
/// error, in standard deviations of the training series), `anomalous` (`true` or `false`).
///
/// # Errors
/// If `out` refuses to be written to.
pub fn write_windows_csv(series: &Series, detection: &Detection, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["window", "first_timestamp", "last_timestamp", "mae", "anomalous"])?;
    let mut anomalous = detection.windows.iter().peekable();
    for (window, error) in detection.errors.iter().enumerate() {
        let last = window + detection.time_steps - 1;
        csv.write_record([
            window.to_string(),
            series.timestamp_text(window),
            series.timestamp_text(last),
            decimal(*error),
            anomalous.next_if_eq(&&window).is_some().to_string(),
        ])?;
    }
    csv.flush()
}

/// Writes the anomalous points of `series`: `index` (the row, counted from 0), `timestamp`, `value` (raw).
///
/// # Errors
/// If `out` refuses to be written to.
pub fn write_anomalies_csv(series: &Series, detection: &Detection, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["index", "timestamp", "value"])?;
    for &point in &detection.points {
        let value = decimal(series.values()[point]);
        csv.write_record([point.to_string(), series.timestamp_text(point), value])?;
    }
    csv.flush()
}

/// Writes the first training window: `step`, `timestamp`, `value`, `reconstruction` (both in standard deviations
/// of the training series).
///
/// # Errors
/// If `out` refuses to be written to.
pub fn write_first_window_csv(run: &TutorialRun, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["step", "timestamp", "value", "reconstruction"])?;
    for (step, (value, reconstruction)) in run.first_window.iter().zip(&run.first_reconstruction).enumerate()
    {
        let timestamp = run.data.train.series.timestamp_text(step);
        csv.write_record([step.to_string(), timestamp, format!("{value:?}"), format!("{reconstruction:?}")])?;
    }
    csv.flush()
}

/// Writes the history: `epoch` (counted from 1, as Keras prints it), `loss`, `val_loss` if there was a validation, and
/// `learning_rate` if it was to be reduced on a plateau.
///
/// # Errors
/// If `out` refuses to be written to.
pub fn write_history_csv(history: &History, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    let History { loss, val_loss, learning_rate } = history;
    let mut columns = vec![("loss", loss), ("val_loss", val_loss), ("learning_rate", learning_rate)];
    columns.retain(|(_, values)| !values.is_empty());
    csv.write_record(["epoch"].into_iter().chain(columns.iter().map(|(name, _)| *name)))?;
    for epoch in 0..loss.len() {
        let cells =
            columns.iter().map(|(_, values)| values.get(epoch).copied().map(decimal).unwrap_or_default());
        csv.write_record([(epoch + 1).to_string()].into_iter().chain(cells))?;
    }
    csv.flush()
}
