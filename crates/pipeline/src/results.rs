//! What a run of the tutorial leaves behind: the folder `glassbox-out/`.
//!
//! | file | |
//! |---|---|
//! | `result.json` | all numbers of the run: [`RunResult`], described in `docs/result-schema.md` |
//! | `model.safetensors` | the detector, see [`model_file`](glassbox_formats::model_file) |
//! | `windows.csv` | each window of the test series: its error, and whether it is anomalous |
//! | `anomalies.csv` | the anomalous points |
//! | `history.csv` | the losses of each epoch |
//! | `first_window.csv` | the first training window and its reconstruction |
//! | `train.csv`, `test.csv` | both series, as they were read |
//! | `inside.safetensors` | what went on inside of the model, if it was captured: [`Inside`](crate::inside::Inside) |
//!
//! Each is written whole or not at all. `result.json` of an earlier run is removed before the first and written after
//! the last: where it is, the others are those of its run. What an earlier run left and this one has not is removed
//! with it: its page and plots, its study, its `inside.safetensors`. That no other run writes there meanwhile is the
//! caller's part, see [`lock`](glassbox_formats::lock).
//!
//! With the same data, options and kind of backend all are the same to the byte, but for `timings` in
//! `result.json`.

mod from_run;
mod schema;
mod tables;

use std::path::{Path, PathBuf};

use glassbox_engine::training::History;

pub use schema::{
    Anomalies, Config, Data, EarlyStoppingConfig, Errors, ModelInfo, Point, Points, RunResult, SCHEMA,
    SeriesInfo, Stretch, TimingsInfo, Training, Versions, WindowRange, Windows,
};
pub use tables::{write_anomalies_csv, write_first_window_csv, write_history_csv, write_windows_csv};

use crate::inside;
use crate::series::{Columns, write_csv};
use crate::tutorial::TutorialRun;
use glassbox_formats::atomic::{self, WriteError};
use glassbox_formats::model_file::ModelFileError;

/// Why the results of a run were not written, or not all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The model could not be written.
    #[error(transparent)]
    Model(#[from] ModelFileError),
}

/// Writes all files of a run into the folder `dir`, which is created if absent, and removes those of an earlier run
/// that would be mistaken for this one's.
///
/// # Errors
/// If a file cannot be written or removed; those before it are there, and `result.json` is not.
pub fn write(dir: &Path, run: &TutorialRun) -> Result<(), ResultsError> {
    let test = &run.data.test.series;
    let table = |name: &str| dir.join(name);
    for name in ["result.json", "report.html", "study.json", "study.csv", inside::FILE_NAME] {
        atomic::remove(&table(name))?;
    }
    remove_plots(&table("plots"))?;
    run.detector.save(&table("model.safetensors"))?;
    atomic::write_with(&table("windows.csv"), |out| write_windows_csv(test, &run.detection, out))?;
    atomic::write_with(&table("anomalies.csv"), |out| write_anomalies_csv(test, &run.detection, out))?;
    atomic::write_with(&table("history.csv"), |out| write_history_csv(&run.fitted.history, out))?;
    atomic::write_with(&table("first_window.csv"), |out| write_first_window_csv(run, out))?;
    for (name, series) in [("train.csv", &run.data.train.series), ("test.csv", test)] {
        atomic::write_with(&table(name), |out| write_csv(series, &Columns::default(), out))?;
    }
    if let Some(inside) = &run.inside {
        inside.write(dir, &run.detector.model)?;
    }
    atomic::write_json(&dir.join("result.json"), &RunResult::of(run))?;
    Ok(())
}

/// Removes the pictures in the folder of plots, and the folder if nothing else is in it.
fn remove_plots(plots: &Path) -> Result<(), WriteError> {
    // A folder that is not there, or cannot be read, has none to remove.
    let Ok(entries) = std::fs::read_dir(plots) else { return Ok(()) };
    let is_picture = |path: &PathBuf| {
        path.extension().is_some_and(|extension| ["svg", "png"].iter().any(|known| extension == *known))
    };
    for picture in entries.flatten().map(|entry| entry.path()).filter(is_picture) {
        atomic::remove(&picture)?;
    }
    // Only an empty one can be removed.
    let _ = std::fs::remove_dir(plots);
    Ok(())
}

/// Writes the losses as `{"loss": [...], "val_loss": [...]}`, without `val_loss` if there was no validation.
///
/// # Errors
/// If the file cannot be written.
pub fn write_history_json(path: &Path, history: &History) -> Result<(), WriteError> {
    atomic::write_json(path, history)
}
