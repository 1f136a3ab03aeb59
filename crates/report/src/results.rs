//! The results of a run, as the report needs them: of a run in memory, or read from its folder.
//!
//! [`Results::read`] first checks the folder against its `manifest.json`, which lists the files that the run wrote with
//! their checksums: a file that is missing, was edited, or was copied from another run is named. Then it checks what
//! drawing relies on, the lengths and ranges with which the files refer to each other, because a manifest can be forged.

use std::path::{Path, PathBuf};

use glassbox_engine::text::one_line;
use glassbox_formats::output_folder::{self, OutputFolderError};
use glassbox_lab::study::{self, Study};
use glassbox_pipeline::architecture::tutorial_model;
use glassbox_pipeline::detector::Detector;
use glassbox_pipeline::evaluation::true_anomaly;
use glassbox_pipeline::inside::Inside;
use glassbox_pipeline::results::{FILES, RunResult, SCHEMA};
use glassbox_pipeline::series::{Columns, Series, SeriesError, read_csv};
use glassbox_pipeline::synthetic::Subset;
use glassbox_pipeline::tutorial::TutorialRun;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The results in a folder cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// A file cannot be read.
    #[error("cannot read {}: {cause}; give a folder with the results of the tutorial", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// A file is not the one that the run wrote.
    #[error(transparent)]
    Folder(#[from] OutputFolderError),
    /// The content of a file is invalid.
    #[error(
        "{} is not what a run of the tutorial writes: {}; run it again", path.display(), one_line(problem).up_to(400)
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// A series cannot be read.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// The model, or the file of its internals, is damaged.
    #[error(transparent)]
    Content(#[from] glassbox_pipeline::Error),
}

/// A step of the first training window, in standard deviations of the training series.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct WindowStep {
    /// The input of the model.
    pub value: f64,
    /// Its output.
    pub reconstruction: f64,
}

/// The results of a run.
#[derive(Debug, Clone)]
pub struct Results {
    /// All numbers: `result.json`.
    pub result: RunResult,
    /// The training series: `train.csv`.
    pub train: Series,
    /// The test series: `test.csv`.
    pub test: Series,
    /// The error of each test window: `windows.csv`.
    pub errors: Vec<f64>,
    /// The first training window: `first_window.csv`.
    pub first_window: Vec<WindowStep>,
    /// The detector: `model.safetensors`.
    pub detector: Detector,
    /// The model's internals, if the run captured them: `inside.safetensors`.
    pub inside: Option<Inside>,
    /// The study of variants, if there is one: `study.json`.
    pub study: Option<Study>,
}

impl Results {
    /// The results of `run`, and of a study on the same data. They equal those that [`Results::read`] reads from its
    /// folder.
    #[must_use]
    pub fn of(run: &TutorialRun, study: Option<Study>) -> Self {
        // As the decimals of a file, so that both give the same page.
        let decimal = |value: &f32| value.to_string().parse().expect("the decimal of a number");
        let first_window = run.first_window.iter().zip(&run.first_reconstruction);
        Self {
            result: RunResult::of(run),
            train: run.data.train.series.clone(),
            test: run.data.test.series.clone(),
            errors: run.detection.errors.clone(),
            first_window: first_window
                .map(|(x, y)| WindowStep { value: decimal(x), reconstruction: decimal(y) })
                .collect(),
            detector: run.detector.clone(),
            inside: run.inside.clone(),
            study,
        }
    }

    /// Reads the results in the folder `dir`.
    ///
    /// # Errors
    /// If a file is missing, is not the one that the run wrote, or is invalid.
    pub fn read(dir: &Path) -> Result<Self, ResultsError> {
        #[derive(Deserialize)]
        struct Window {
            mae: f64,
        }
        let path = dir.join("result.json");
        // Without this file there are no results that could be damaged.
        if path.exists() {
            output_folder::verify(dir, &[&FILES[..], &study::FILES].concat())?;
        }
        let result: RunResult = read_json(&path, SCHEMA)?;
        // The CSV does not hold the name of the series.
        let series = |file: &str, name: &str| {
            let read = read_csv(&dir.join(file), &Columns::default())?.series;
            Series::new(name, read.clock(), read.timestamps().to_vec(), read.values().to_vec())
        };
        let detector = Detector::load(&dir.join("model.safetensors"))?;
        let study = dir.join("study.json");
        let results = Self {
            train: series("train.csv", &result.data.train.name)?,
            test: series("test.csv", &result.data.test.name)?,
            errors: read_csv_rows(&dir.join("windows.csv"))?.into_iter().map(|Window { mae }| mae).collect(),
            first_window: read_csv_rows(&dir.join("first_window.csv"))?,
            inside: Inside::read(dir, &detector.model)?,
            study: if study.exists() { Some(read_json(&study, study::SCHEMA)?) } else { None },
            detector,
            result,
        };
        results.train.require_window(results.detector.time_steps())?;
        results.test.require_window(results.detector.time_steps())?;
        match results.problem() {
            None => Ok(results),
            Some((file, problem)) => Err(malformed(&dir.join(file), problem)),
        }
    }

    /// The first file that does not fit the others, and its problem.
    fn problem(&self) -> Option<(&'static str, String)> {
        let steps = self.detector.time_steps();
        let mut lengths = vec![
            ("result.json", "steps in a window", self.result.config.time_steps, steps),
            ("windows.csv", "rows", self.errors.len(), self.test.len() - steps + 1),
            ("first_window.csv", "rows", self.first_window.len(), steps),
        ];
        if let Some(inside) = &self.inside {
            lengths.push(("inside.safetensors", "rows", inside.rows.error.len(), self.test.len()));
        }
        if let Some((file, what, found, expected)) =
            lengths.into_iter().find(|(.., found, expected)| found != expected)
        {
            return Some((
                file,
                format!("it has {found} {what}, and {expected} are expected from the other files"),
            ));
        }
        for (field, series) in [("train", &self.train), ("test", &self.test)] {
            // SVG has no such characters.
            if series.name().contains(char::is_control) {
                let problem =
                    format!("`data.{field}.name` is {:?}, which has control characters", series.name());
                return Some(("result.json", problem));
            }
        }
        if let Some(line) = self.errors.iter().position(|error| !error.is_finite()) {
            return Some(("windows.csv", format!("line {}: the error is not finite", line + 2)));
        }
        if self.detector.model.layers().is_empty() {
            return Some(("model.safetensors", "its model has no layers".into()));
        }
        let windows = &self.inside.as_ref()?.windows;
        let beyond =
            windows.iter().find(|window| window.id.window > self.series(window.id.series).len() - steps);
        match beyond {
            Some(window) => Some((
                "inside.safetensors",
                format!("its window {} is beyond the end of the series", window.id.window),
            )),
            None => windows.is_empty().then(|| ("inside.safetensors", "it has no windows".into())),
        }
    }

    /// One of the two series.
    pub(crate) fn series(&self, part: Subset) -> &Series {
        match part {
            Subset::Train => &self.train,
            Subset::Test => &self.test,
        }
    }

    /// `true` if both series are those of the tutorial, published or synthetic, whose content is known.
    pub(crate) fn of_the_tutorial(&self) -> bool {
        self.result.data.is_published() || self.result.data.is_twin()
    }

    /// `true` if the model is the tutorial's.
    pub(crate) fn of_the_tutorials_model(&self) -> bool {
        tutorial_model(self.detector.time_steps()).is_ok_and(|model| model == self.detector.model)
    }

    /// The rows of the ground truth in the test series, where it is known.
    pub(crate) fn truth(&self) -> Option<std::ops::Range<usize>> {
        true_anomaly(&self.result.data, &self.test)
    }

    /// The mean absolute error of the first training window.
    pub(crate) fn first_error(&self) -> f64 {
        let errors = self.first_window.iter().map(|step| (step.value - step.reconstruction).abs());
        errors.sum::<f64>() / self.first_window.len() as f64
    }
}

fn malformed(path: &Path, problem: impl ToString) -> ResultsError {
    ResultsError::Malformed { path: path.to_owned(), problem: problem.to_string() }
}

/// Reads a document. Its schema is checked first: a document of another one cannot be read.
fn read_json<T: DeserializeOwned>(path: &Path, schema: u32) -> Result<T, ResultsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| ResultsError::Unreadable { path: path.to_owned(), cause })?;
    let document: serde_json::Value = serde_json::from_str(&text).map_err(|error| malformed(path, error))?;
    match document.get("schema") {
        Some(found) if *found != schema => {
            Err(malformed(path, format!("`schema` is {found}, and this version of glassbox reads {schema}")))
        }
        _ => serde_path_to_error::deserialize(document)
            .map_err(|error| malformed(path, format!("`{}`: {}", error.path(), error.inner()))),
    }
}

/// Reads the rows of a CSV, by the names of its columns.
fn read_csv_rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, ResultsError> {
    let rows = csv::Reader::from_path(path).and_then(|csv| csv.into_deserialize().collect());
    rows.map_err(|error| malformed(path, error))
}
