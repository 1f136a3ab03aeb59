//! The results of a run of the tutorial: the folder `glassbox-out/`.
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
//! | `manifest.json` | the list of these files: [`output_folder`](glassbox_formats::output_folder) |
//!
//! They are put in place together, `result.json` last: where it is, the others are those of its run. What earlier runs
//! left is removed: their results, page and plots, their study. Nothing else is removed or replaced, see
//! [`output_folder`](glassbox_formats::output_folder).
//!
//! With the same data, options and kind of backend all are the same to the byte, but for `timings` in
//! `result.json`, and so its checksum in `manifest.json`.

mod from_run;
mod rows;
mod runs;
mod schema;
mod tables;

use glassbox_engine::training::History;

pub use rows::{Counts, RowVerdicts};
pub use runs::Run;
pub use schema::{
    Anomalies, DataInfo, Errors, ModelInfo, Point, Points, RunResult, SCHEMA, SeriesInfo, Stretch, Training,
    Versions, WindowRange, Windows,
};
pub use tables::{write_anomalies_csv, write_first_window_csv, write_history_csv, write_windows_csv};

use crate::error::Result;
use crate::inside;
use crate::series::{Columns, write_csv};
use crate::tutorial::TutorialRun;
use glassbox_formats::atomic;
use glassbox_formats::output_folder::OutputFolder;

/// The files of a run; `inside.safetensors` if the run captures it.
pub const FILES: [&str; 9] = [
    "model.safetensors",
    "windows.csv",
    "anomalies.csv",
    "history.csv",
    "first_window.csv",
    "train.csv",
    "test.csv",
    inside::FILE_NAME,
    "result.json",
];

/// Writes all files of a run into `folder`, and removes all those of earlier runs.
///
/// # Errors
/// If a file cannot be written: then those of earlier runs are as they were. If one cannot be removed or renamed, some
/// may be gone or new, and `result.json` is not there.
pub fn write(folder: &mut OutputFolder, run: &TutorialRun) -> Result<()> {
    let test = &run.data.test.series;
    let model = run.detector.to_saved_model().bytes_for(&folder.dir().join("model.safetensors"))?;
    let mut batch = folder.batch();
    batch.add("model.safetensors", &model)?;
    batch.add_with("windows.csv", |out| write_windows_csv(test, &run.detection, out))?;
    batch.add_with("anomalies.csv", |out| write_anomalies_csv(test, &run.detection, out))?;
    batch.add_with("history.csv", |out| write_history_csv(&run.fitted.history, out))?;
    batch.add_with("first_window.csv", |out| write_first_window_csv(run, out))?;
    for (name, series) in [("train.csv", &run.data.train.series), ("test.csv", test)] {
        batch.add_with(name, |out| write_csv(series, &Columns::default(), out))?;
    }
    if let Some(inside) = &run.inside {
        batch.add(inside::FILE_NAME, &inside.to_bytes(&run.detector.model))?;
    }
    batch.add("result.json", &atomic::json(&RunResult::of(run)))?;
    Ok(batch.commit(|_| true)?)
}

/// The losses as `{"loss": [...], "val_loss": [...]}`, without `val_loss` if there was no validation.
#[must_use]
pub fn history_json(history: &History) -> Vec<u8> {
    atomic::json(history)
}
