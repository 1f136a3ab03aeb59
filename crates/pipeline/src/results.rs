//! What a run of the tutorial leaves behind: the folder `glassbox-out/`.
//!
//! | file | |
//! |---|---|
//! | `result.json` | all numbers of the run: [`RunResult`], described in `docs/result-schema.md` |
//! | `model.safetensors` | the detector, see [`model_file`](crate::model_file) |
//! | `windows.csv` | each window of the test series: its error, and whether it is anomalous |
//! | `anomalies.csv` | the anomalous points |
//! | `history.csv` | the losses of each epoch |
//! | `first_window.csv` | the first training window and its reconstruction |
//! | `train.csv`, `test.csv` | both series, as they were read |
//! | `inside.safetensors` | what went on inside of the model, if it was captured: [`Inside`](crate::inside::Inside) |
//!
//! Each is written whole or not at all, `result.json` last: where it is, the others are those of its run.
//! With the same data, options and kind of backend all are the same to the byte, but for `timings` in
//! `result.json`.

mod from_run;
mod schema;
mod tables;

use std::path::Path;

use glassbox_engine::training::History;
use serde::Serialize;

pub use schema::{
    Anomalies, Config, Data, EarlyStoppingConfig, Errors, ModelInfo, Point, Points, RunResult, SCHEMA,
    SeriesInfo, Stretch, TimingsInfo, Training, Versions, WindowRange, Windows,
};
pub use tables::{write_anomalies_csv, write_first_window_csv, write_history_csv, write_windows_csv};

use crate::atomic::{self, WriteError};
use crate::inside;
use crate::model_file::ModelFileError;
use crate::series::{Columns, write_csv};
use crate::tutorial::TutorialRun;

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

/// Writes all files of a run into the folder `dir`, which is created if absent. An `inside.safetensors` of an
/// earlier run is removed if this run has none, and its `report.html` in any case.
///
/// # Errors
/// If a file cannot be written; those before it are there.
pub fn write(dir: &Path, run: &TutorialRun) -> Result<(), ResultsError> {
    let test = &run.data.test.series;
    run.detector.save(&dir.join("model.safetensors"))?;
    let table = |name: &str| dir.join(name);
    // A page of another run would be mistaken for this one's.
    atomic::remove(&table("report.html"))?;
    atomic::write_with(&table("windows.csv"), |out| write_windows_csv(test, &run.detection, out))?;
    atomic::write_with(&table("anomalies.csv"), |out| write_anomalies_csv(test, &run.detection, out))?;
    atomic::write_with(&table("history.csv"), |out| write_history_csv(&run.fitted.history, out))?;
    atomic::write_with(&table("first_window.csv"), |out| write_first_window_csv(run, out))?;
    for (name, series) in [("train.csv", &run.data.train.series), ("test.csv", test)] {
        atomic::write_with(&table(name), |out| write_csv(series, &Columns::default(), out))?;
    }
    match &run.inside {
        Some(inside) => inside.write(dir, &run.detector.model)?,
        None => atomic::remove(&dir.join(inside::FILE_NAME))?,
    }
    write_json(&dir.join("result.json"), &RunResult::of(run))?;
    Ok(())
}

/// Writes the losses as `{"loss": [...], "val_loss": [...]}`; both are there, `val_loss` empty if there was no
/// validation.
///
/// # Errors
/// If the file cannot be written.
pub fn write_history_json(path: &Path, history: &History) -> Result<(), WriteError> {
    write_json(path, history)
}

/// Indented, with a line feed at its end; floats as the shortest decimals that give the same bits again.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), WriteError> {
    atomic::write_with(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
}
