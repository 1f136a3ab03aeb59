//! A detector's scores in NAB's own format.
//!
//! `results/DETECTOR/GROUP/DETECTOR_file.csv` has a row for each row of the data file, with the columns `timestamp`,
//! `value`, `anomaly_score` and `label` (1 within a window). Other columns, which NAB's own detectors add, are ignored.
//! Scores are written with as many digits as it takes to read the same number: a threshold is compared with them.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use glassbox_engine::text::excerpt;
use glassbox_formats::output_folder::OutputFolder;
use jiff::civil::DateTime;

use super::{LabelledFile, NabError};
use crate::Result;

/// The column of scores.
const SCORE: &str = "anomaly_score";
/// The column of times.
const TIMESTAMP: &str = "timestamp";

/// The paths of a detector's results below its folder, with `/`.
#[must_use]
pub fn file_names(files: &[LabelledFile], detector: &str) -> Vec<String> {
    let name = |file: &LabelledFile| match file.group() {
        "" => format!("{detector}_{}", file.name()),
        group => format!("{group}/{detector}_{}", file.name()),
    };
    files.iter().map(name).collect()
}

/// Writes `scores`, those of the rows of each file, into a detector's folder.
///
/// # Errors
/// If a file cannot be written; then none is.
///
/// # Panics
/// If there are not as many scores as rows.
pub fn write(
    folder: &mut OutputFolder,
    detector: &str,
    files: &[LabelledFile],
    scores: &[Vec<f64>],
) -> Result<()> {
    let names = file_names(files, detector);
    let mut batch = folder.batch();
    for ((file, scores), name) in files.iter().zip(scores).zip(&names) {
        let (series, rows) = (&file.series, file.series.len());
        assert_eq!(scores.len(), rows, "a score for each row of {}", file.path);
        let mut text = Vec::with_capacity(50 * rows);
        writeln!(text, "{TIMESTAMP},value,{SCORE},label").expect("memory takes every byte");
        for (row, score) in scores.iter().enumerate() {
            let (time, value) = (series.timestamp_text(row), series.values()[row]);
            let label = u8::from(file.windows.iter().any(|window| window.contains(row)));
            writeln!(text, "{time},{value},{score},{label}").expect("memory takes every byte");
        }
        batch.add(name, &text)?;
    }
    Ok(batch.commit(|name| names.iter().any(|file| file == name))?)
}

/// Reads the scores of the rows of each file from a detector's folder, which is named like the detector. Returns the name
/// as well.
///
/// # Errors
/// If the results of a file are missing, incomplete or of other rows, a score is not in [0, 1], or the folder has
/// results of a file that is not among these.
pub fn read(folder: &Path, files: &[LabelledFile]) -> Result<(String, Vec<Vec<f64>>)> {
    let no_folder = |cause| NabError::NoFolder { folder: folder.to_owned(), cause };
    let full = folder.canonicalize().map_err(no_folder)?;
    let Some(detector) = full.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        return Err(NabError::NoDetector { folder: folder.to_owned() }.into());
    };
    let paths: Vec<PathBuf> = file_names(files, &detector).iter().map(|name| folder.join(name)).collect();
    let scores = files.iter().zip(&paths).map(|(file, path)| read_file(path, file, files.len()));
    let scores = scores.collect::<Result<_>>()?;
    require_known(folder, &paths)?;
    Ok((detector, scores))
}

/// Refuses a CSV in a subfolder of `folder` that is not one of `paths`. NAB's scorer leaves files of its own beside the
/// subfolders.
fn require_known(folder: &Path, paths: &[PathBuf]) -> Result<()> {
    let entries = |folder: &Path| -> Result<Vec<PathBuf>> {
        let no_folder = |cause| NabError::NoFolder { folder: folder.to_owned(), cause };
        let read = std::fs::read_dir(folder).map_err(no_folder)?;
        let mut entries: Vec<PathBuf> =
            read.map(|entry| Ok(entry.map_err(no_folder)?.path())).collect::<Result<_, NabError>>()?;
        entries.sort();
        Ok(entries)
    };
    for group in entries(folder)?.iter().filter(|path| path.is_dir()) {
        let unknown = |file: &&PathBuf| file.extension() == Some(OsStr::new("csv")) && !paths.contains(file);
        if let Some(file) = entries(group)?.iter().find(unknown) {
            return Err(NabError::UnknownResults { file: file.clone() }.into());
        }
    }
    Ok(())
}

fn read_file(path: &Path, file: &LabelledFile, files: usize) -> Result<Vec<f64>> {
    let bytes =
        std::fs::read(path).map_err(|cause| NabError::NoResults { file: path.to_owned(), files, cause })?;
    let mut csv = csv::Reader::from_reader(bytes.as_slice());
    let bad = |line, problem: String| NabError::BadRow { file: path.to_owned(), line, problem };
    let unreadable = |error: csv::Error| {
        bad(error.position().map_or(1, csv::Position::line), format!("the CSV cannot be read: {error}"))
    };
    let header = csv.headers().map_err(unreadable)?.clone();
    let column = |name: &'static str| {
        header.iter().position(|column| column == name).ok_or_else(|| NabError::NoColumn {
            file: path.to_owned(),
            column: name,
            found: header.iter().collect::<Vec<_>>().join(", "),
        })
    };
    let (time_column, score_column) = (column(TIMESTAMP)?, column(SCORE)?);
    let timestamps = file.series.timestamps();
    let mut scores = Vec::with_capacity(timestamps.len());
    for record in csv.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        let Some(expected) = timestamps.get(scores.len()) else {
            let problem = format!("there are more rows than the {} of the data file", timestamps.len());
            return Err(bad(line, problem).into());
        };
        let (time, score) = (&record[time_column], &record[score_column]);
        if DateTime::from_str(time).ok() != Some(*expected) {
            let expected = file.series.timestamp_text(scores.len());
            let problem = format!("the timestamp is {}, and {expected} in the data file", excerpt(time));
            return Err(bad(line, problem).into());
        }
        match score.parse::<f64>() {
            Ok(score) if (0.0..=1.0).contains(&score) => scores.push(score),
            _ => {
                let problem = format!("the score is {}, expected a number from 0 to 1", excerpt(score));
                return Err(bad(line, problem).into());
            }
        }
    }
    match scores.len() {
        found if found == timestamps.len() => Ok(scores),
        found => {
            Err(NabError::MissingRows { file: path.to_owned(), found, expected: timestamps.len() }.into())
        }
    }
}
