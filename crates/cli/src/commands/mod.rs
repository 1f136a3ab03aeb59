//! A file for each command.

mod conclusion;
pub(crate) mod convert;
pub(crate) mod data;
pub(crate) mod detect;
pub(crate) mod devices;
pub(crate) mod fit_arrays;
pub(crate) mod gradcheck;
pub(crate) mod nab;
pub(crate) mod predict;
pub(crate) mod profile;
pub(crate) mod replicate;
pub(crate) mod report;
pub(crate) mod shell;
mod study;
pub(crate) mod summary;
pub(crate) mod train;
pub(crate) mod tutorial;
pub(crate) mod watch;

use std::io::Read as _;
use std::path::Path;

use glassbox::Device;
use glassbox_engine::layers::Registry;
use glassbox_engine::model::Network;
use glassbox_formats::model_file::ModelFile;
use glassbox_pipeline::architecture::tutorial_model;
use glassbox_pipeline::detector::Detector;
use glassbox_pipeline::inside::SeriesInside;
use glassbox_pipeline::rows::RowDetection;
use glassbox_pipeline::series::{BadRows, Columns, Loaded, parse_rows, read_rows};
use glassbox_pipeline::training::TrainOptions;
use glassbox_report::{Findings, Training, own_page};
use serde_json::{Value as Json, json};

use crate::args::ArchitectureArgs;
use crate::failure::{Failure, Kind, OrFail as _};
pub(crate) use crate::terminal::{note, print, print_data, print_json, warn};

/// The length of the tutorial's windows: a day of five-minute steps.
pub(crate) const TIME_STEPS: usize = glassbox_pipeline::tutorial::TIME_STEPS;

/// The optimiser and the loss of a training, for a result as JSON.
fn compiled(options: &TrainOptions) -> Json {
    let mut optimizer = json!({ "class_name": options.optimizer.class_name() });
    for (name, value) in options.optimizer.hyperparameters() {
        optimizer[name] = json!(value);
    }
    json!({ "optimizer": optimizer, "loss": options.loss })
}

/// The moment that the first Ctrl-C waits for where a model is trained.
const AFTER_EPOCH: &str = "after this epoch";

/// The name of a run's checkpoint in messages about files that collide.
const CHECKPOINT: &str = "the checkpoint";

impl ArchitectureArgs {
    /// The model to look at; the tutorial's has `tutorial_steps` steps unless --time-steps says otherwise.
    fn model(&self, tutorial_steps: usize) -> Result<Network, Failure> {
        match &self.architecture {
            None => Ok(tutorial_model(self.time_steps.unwrap_or(tutorial_steps))?),
            Some(path) => Ok(start_model(Some(path), self.time_steps)?.0),
        }
    }
}

/// The name of standard input in messages.
const STANDARD_INPUT: &str = "standard input";

/// Warns of the columns in which flat lines are not looked for.
fn warn_of_flat_lines(detector: &Detector, columns: &[String], quiet: bool) {
    let Some(calibration) = &detector.calibration else { return };
    for (channel, column) in columns.iter().enumerate() {
        if !calibration.finds_flat_lines(channel) {
            let problem =
                "windows are too short for it, or the training series itself stands still for as long";
            warn(quiet, format_args!("flat lines are not looked for in column {column}: {problem}"));
        }
    }
}

/// Reads a series from a CSV file, or from standard input if the path is `-`.
fn read_series(path: &Path, columns: &Columns, bad_rows: BadRows) -> Result<Loaded, Failure> {
    if path != Path::new("-") {
        return Ok(read_rows(path, columns, bad_rows)?);
    }
    let mut bytes = vec![];
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|cause| Failure::new(Kind::Input, format_args!("cannot read {STANDARD_INPUT}: {cause}")))?;
    Ok(parse_rows(&bytes, STANDARD_INPUT, columns, bad_rows)?)
}

/// Rows with the largest scores whose windows are shown, besides those of anomalies.
const PEAKS: usize = 8;

/// The page of a series of one's own; `training` if the detector was trained on it.
fn page(
    device: &Device,
    detector: &Detector,
    loaded: &Loaded,
    columns: &Columns,
    detection: &RowDetection,
    training: Option<Training<'_>>,
) -> Result<String, Failure> {
    let mut runs = detection.runs();
    runs.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut rows: Vec<usize> = runs.iter().map(|run| run.peak).collect();
    // Without anomalies, as in training, the rows that are closest to the threshold.
    rows.extend(detection.peaks(PEAKS));
    let inside = SeriesInside::capture(detector, device, &loaded.series, &rows)?;
    let findings = Findings { detector, loaded, columns, detection, inside: &inside, training };
    own_page(&findings).or_fail(Kind::Output)
}

/// The model to train, and the weights to start from if its file has them.
fn start_model(
    model: Option<&Path>,
    time_steps: Option<usize>,
) -> Result<(Network, Option<Vec<f32>>), Failure> {
    let Some(path) = model else { return Ok((tutorial_model(time_steps.unwrap_or(TIME_STEPS))?, None)) };
    let file = ModelFile::read(path).or_fail(Kind::Input)?;
    let model = architecture_of(&file, time_steps)?;
    match (time_steps, model.input_shape().steps) {
        (Some(asked), steps) if asked != steps => {
            let path = path.display();
            let message =
                format!("{path}: the model has windows of {steps} steps, but --time-steps is {asked}");
            Err(Failure::new(Kind::Input, message))
        }
        _ if file.has_weights() => {
            let saved = file.weights_of(model).or_fail(Kind::Input)?;
            Ok((saved.model, Some(saved.weights)))
        }
        _ => Ok((model, None)),
    }
}

/// The architecture in a file, with `steps` where it leaves the steps of a sample open.
fn architecture_of(file: &ModelFile, steps: Option<usize>) -> Result<Network, Failure> {
    let registry = Registry::default();
    let fixed = file.architecture(None, &registry);
    fixed.or_else(|_| file.architecture(steps, &registry)).or_fail(Kind::Input)
}
