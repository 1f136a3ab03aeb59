//! `result.json`, field by field; a page for its readers is `docs/result-schema.md`.

use glassbox_engine::training::History;
use serde::{Deserialize, Serialize};

use crate::statistics::Summary;
use crate::tutorial::{Timings, TutorialOptions};

/// The version of the schema: raised by a change that a reader of the one before would misread.
pub const SCHEMA: u32 = 1;

/// All numbers of a run. Windows, points and epochs are counted from 0; errors and the threshold are in
/// standard deviations of the training series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The versions that computed it.
    pub versions: Versions,
    /// The data that it was computed from.
    pub data: DataInfo,
    /// The options.
    pub config: TutorialOptions,
    /// The model that was trained.
    pub model: ModelInfo,
    /// How training went.
    pub training: Training,
    /// The error above which a window is anomalous.
    pub threshold: f64,
    /// The errors of all windows.
    pub errors: Errors,
    /// The anomalies in the test series.
    pub anomalies: Anomalies,
    /// How long it took, and where: the only part that differs from run to run.
    pub timings: Timings,
}

/// The versions that computed a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// This crate.
    pub glassbox: String,
    /// The major version of Keras whose meanings of layers, losses and options are followed.
    pub keras_semantics: String,
}

/// The two series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataInfo {
    /// `directory`, `cache` or `twin`.
    pub source: String,
    /// The folder of the files; `null` for the twin.
    pub folder: Option<String>,
    /// The seed of the twin; `null` for files.
    pub twin_seed: Option<u64>,
    /// The series to train on.
    pub train: SeriesInfo,
    /// The series to find the anomaly in.
    pub test: SeriesInfo,
}

/// A series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesInfo {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its CSV.
    pub sha256: String,
    /// Its rows.
    pub rows: usize,
    /// Its first timestamp.
    pub first_timestamp: String,
    /// Its last timestamp.
    pub last_timestamp: String,
    /// Its mean (raw value); `null` if it has no moments.
    pub mean: Option<f64>,
    /// Its sample standard deviation (raw value); `null` if it has no moments.
    pub std: Option<f64>,
    /// Warnings about it, in words.
    pub warnings: Vec<String>,
}

/// The model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// Its parameters, all trainable.
    pub parameters: usize,
    /// The names of its layers.
    pub layers: Vec<String>,
}

/// How training went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The moments that normalise: mean (raw value).
    pub mean: f64,
    /// The moments that normalise: sample standard deviation (raw value).
    pub std: f64,
    /// The windows of the training series: (windows, steps, channels).
    pub shape: [usize; 3],
    /// Windows that were trained on.
    pub training_windows: usize,
    /// Windows for validation.
    pub validation_windows: usize,
    /// Training steps in an epoch.
    pub steps_per_epoch: usize,
    /// Epochs done, those before a resume too.
    pub epochs: usize,
    /// The epoch at which early stopping ended training, else `null`.
    pub stopped_epoch: Option<usize>,
    /// The epoch whose weights were restored, else `null`.
    pub restored_epoch: Option<usize>,
    /// The losses of each epoch.
    pub history: History,
    /// The batches in which the training windows were predicted.
    pub predict_batches: usize,
}

/// The errors of all windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Of the training series, validation windows included.
    pub train: Option<Summary>,
    /// Of the test series.
    pub test: Option<Summary>,
}

/// The anomalies in a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomalies {
    /// The anomalous windows.
    pub windows: Windows,
    /// The anomalous points.
    pub points: Points,
}

/// The anomalous windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Windows {
    /// All windows of the series: (windows, steps, channels).
    pub shape: [usize; 3],
    /// How many are anomalous.
    pub count: usize,
    /// Their contiguous ranges.
    pub ranges: Vec<WindowRange>,
    /// Each of them, by its first row.
    pub indices: Vec<usize>,
}

/// A contiguous range of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRange {
    /// Its first window.
    pub first: usize,
    /// Its last window, itself in the range.
    pub last: usize,
}

/// The anomalous points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Points {
    /// How many there are.
    pub count: usize,
    /// The first, or `null`.
    pub first: Option<Point>,
    /// The last, or `null`.
    pub last: Option<Point>,
    /// Their contiguous stretches.
    pub stretches: Vec<Stretch>,
    /// Each of them, by its row.
    pub indices: Vec<usize>,
}

/// A row of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The row.
    pub index: usize,
    /// Its timestamp, as in the CSV.
    pub timestamp: String,
}

/// A contiguous stretch of points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Its first point.
    pub first: Point,
    /// Its last point, itself in the stretch.
    pub last: Point,
    /// Its points.
    pub count: usize,
}
