//! The error of NAB's files.

use std::path::PathBuf;

use glassbox_engine::text::{excerpt, one_line};
use glassbox_pipeline::words::counted;

/// An error of reading the benchmark or a detector's results.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages call them")]
pub enum NabError {
    /// The labels cannot be read.
    #[error(
        "cannot read the labels {}: {cause}; expected labels/combined_windows.json beside the `data` folder of a \
         checkout of numenta/NAB",
        file.display()
    )]
    NoLabels { file: PathBuf, cause: std::io::Error },
    /// The labels are not windows by file.
    #[error(
        "{}: {}; expected a JSON object of files, each with a list of windows [first timestamp, last timestamp]",
        file.display(), one_line(problem).up_to(200)
    )]
    BadLabels { file: PathBuf, problem: String },
    /// A window does not fit its file.
    #[error("{}: window {number} of {data} {problem}", labels.display())]
    BadWindow { labels: PathBuf, data: String, number: usize, problem: String },
    /// A folder cannot be read.
    #[error("cannot read {}: {cause}; check that the folder may be read", folder.display())]
    NoFolder { folder: PathBuf, cause: std::io::Error },
    /// A folder has no name, which is the detector's.
    #[error("{} has no name: give the folder of a detector's results, named like the detector", folder.display())]
    NoDetector { folder: PathBuf },
    /// A file of results is missing or cannot be read.
    #[error("cannot read the results {}: {cause}; the benchmark has {of}, each needs one", file.display(), of = counted(*files, "file", "files"))]
    NoResults { file: PathBuf, files: usize, cause: std::io::Error },
    /// A file of results is of no file of the benchmark.
    #[error("{} is of no file of the benchmark: remove it, or score the folder against the data and labels that it was made for", file.display())]
    UnknownResults { file: PathBuf },
    /// A file of results is damaged, or of other data.
    #[error("{}, line {line}: {problem}", file.display())]
    BadRow { file: PathBuf, line: u64, problem: String },
    /// A file of results lacks a column.
    #[error("{} has no column `{column}`, but {}; expected NAB's `timestamp` and `anomaly_score`", file.display(), excerpt(found))]
    NoColumn { file: PathBuf, column: &'static str, found: String },
    /// A file of results has too few rows.
    #[error(
        "{} has {}, and its data file {expected}: run the detector again on the whole file",
        file.display(), counted(*found, "row", "rows")
    )]
    MissingRows { file: PathBuf, found: usize, expected: usize },
}
