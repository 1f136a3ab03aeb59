//! Reads the results of a run from its folder, and checks that they belong together.

mod check;

use std::path::{Path, PathBuf};

use glassbox_engine::text::one_line;
use glassbox_lab::study::Study;
use glassbox_pipeline::detector::Detector;
use glassbox_pipeline::inside::Inside;
use glassbox_pipeline::results::{DataInfo, RunResult, SCHEMA};
use glassbox_pipeline::series::{Columns, Series, read_csv};
use serde::de::DeserializeOwned;

/// A folder of results cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file is missing, or cannot be read.
    #[error("cannot read {}: {cause}; give a folder that `glassbox tutorial` wrote", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// A file is damaged, or not of this run.
    #[error(
        "{} is not what a run of the tutorial writes: {}; run it again", path.display(), one_line(problem).up_to(400)
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// A series, the model, or the file of its internals is damaged, or of another run.
    #[error(transparent)]
    Content(#[from] glassbox_pipeline::Error),
}

/// The first training window, in standard deviations of the training series.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstWindow {
    /// The input of the model.
    pub values: Vec<f64>,
    /// Its output.
    pub reconstruction: Vec<f64>,
}

/// The results of a run, read from its folder.
#[derive(Debug, Clone)]
pub struct Folder {
    /// `result.json`.
    pub result: RunResult,
    /// `train.csv`.
    pub train: Series,
    /// `test.csv`.
    pub test: Series,
    /// The errors in `windows.csv`.
    pub errors: Vec<f64>,
    /// `first_window.csv`.
    pub first_window: FirstWindow,
    /// `model.safetensors`.
    pub detector: Detector,
    /// `inside.safetensors`, if the run captured it.
    pub inside: Option<Inside>,
    /// `study.json`, if it exists and is of the same two series.
    pub study: Option<Study>,
}

impl Folder {
    /// Reads the folder `dir`.
    ///
    /// # Errors
    /// If a file is missing or damaged, or the files are not of one run.
    pub fn read(dir: &Path) -> Result<Self, FolderError> {
        let result = read_result(&dir.join("result.json"))?;
        let [mae] = columns(&dir.join("windows.csv"), ["mae"])?;
        let [values, reconstruction] = columns(&dir.join("first_window.csv"), ["value", "reconstruction"])?;
        // The CSV does not hold the name of the series.
        let series = |file: &str, name: &str| {
            let read = read_csv(&dir.join(file), &Columns::default())
                .map_err(glassbox_pipeline::Error::from)?
                .series;
            let (times, values) = (read.timestamps().to_vec(), read.values().to_vec());
            Series::new(name, read.clock(), times, values).map_err(glassbox_pipeline::Error::from)
        };
        let detector = Detector::load(&dir.join("model.safetensors"))?;
        let inside = Inside::read(dir, &detector.model)?;
        let folder = Self {
            train: series("train.csv", &result.data.train.name)?,
            test: series("test.csv", &result.data.test.name)?,
            errors: mae,
            first_window: FirstWindow { values, reconstruction },
            detector,
            inside,
            study: read_study(&dir.join("study.json"), &result.data)?,
            result,
        };
        folder.check(dir)?;
        Ok(folder)
    }

    /// `true` if both series are those of the tutorial, published or synthetic, whose content is known.
    pub(crate) fn of_the_tutorial(&self) -> bool {
        self.result.data.is_published() || self.result.data.is_twin()
    }
}

/// Checks the schema first: a file of another schema cannot be read.
fn read_result(path: &Path) -> Result<RunResult, FolderError> {
    let document: serde_json::Value = read_json(path)?;
    let malformed = |problem: String| FolderError::Malformed { path: path.to_owned(), problem };
    match document.get("schema") {
        Some(schema) if *schema != SCHEMA => {
            Err(malformed(format!("`schema` is {schema}, and this version of glassbox reads {SCHEMA}")))
        }
        _ => serde_path_to_error::deserialize(document)
            .map_err(|error| malformed(format!("`{}`: {}", error.path(), error.inner()))),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, FolderError> {
    let text = read(path)?;
    serde_json::from_str(&text)
        .map_err(|error| FolderError::Malformed { path: path.to_owned(), problem: error.to_string() })
}

/// Reads a study; one of other series is ignored.
fn read_study(path: &Path, data: &DataInfo) -> Result<Option<Study>, FolderError> {
    if matches!(path.try_exists(), Ok(false)) {
        return Ok(None);
    }
    let study: Study = read_json(path)?;
    let same =
        |a: &DataInfo, b: &DataInfo| a.train.sha256 == b.train.sha256 && a.test.sha256 == b.test.sha256;
    Ok(Some(study).filter(|study| same(&study.data, data)))
}

/// Reads columns of numbers from a CSV, by their names.
fn columns<const N: usize>(path: &Path, names: [&str; N]) -> Result<[Vec<f64>; N], FolderError> {
    let malformed = |problem: String| FolderError::Malformed { path: path.to_owned(), problem };
    let text = read(path)?;
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let header = csv.headers().map_err(|error| malformed(error.to_string()))?.clone();
    let mut columns = [const { vec![] }; N];
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(names) {
        *place = header
            .iter()
            .position(|column| column == name)
            .ok_or_else(|| malformed(format!("it has no column `{name}`")))?;
    }
    for (row, record) in csv.records().enumerate() {
        let record = record.map_err(|error| malformed(error.to_string()))?;
        for (column, place) in columns.iter_mut().zip(places) {
            let number = record[place].parse::<f64>().ok().filter(|number| number.is_finite());
            column.push(number.ok_or_else(|| {
                malformed(format!("line {}: `{}` is not a finite number", row + 2, &record[place]))
            })?);
        }
    }
    Ok(columns)
}

fn read(path: &Path) -> Result<String, FolderError> {
    std::fs::read_to_string(path).map_err(|cause| FolderError::Unreadable { path: path.to_owned(), cause })
}
