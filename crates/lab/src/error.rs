//! The error of this crate.

use std::path::PathBuf;

use glassbox::fingerprint::Difference;
use glassbox_engine::text::{excerpt, one_line};
use glassbox_figures::DrawError;
use glassbox_formats::atomic::WriteError;
use glassbox_formats::output_folder::OutputFolderError;
use glassbox_pipeline::ErrorKind;

use crate::nab::NabError;

/// The result of a fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a study or a replication.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages call them")]
pub enum Error {
    /// A training failed, or the data, an option or a folder cannot be used.
    #[error(transparent)]
    Pipeline(#[from] glassbox_pipeline::Error),
    /// The number of seeds is out of range.
    #[error("{found} seeds: expected from 1 to {most}")]
    Seeds { found: usize, most: usize },
    /// The ground truth is not known.
    #[error(
        "the ground truth of series `{series}` is not known, but a study compares its variants with it: use the \
         published test file or the built-in synthetic copy"
    )]
    UnknownTruth { series: String },
    /// A replication was stopped before all seeds were done.
    #[error("interrupted after {done} of {of} seeds, whose rows are kept in {}", file.display())]
    Interrupted { done: usize, of: usize, file: PathBuf },
    /// A file of rows cannot be read.
    #[error("cannot read {}: {cause}; check that it may be read, or choose another folder", file.display())]
    Unreadable { file: PathBuf, cause: std::io::Error },
    /// Rows without their options.
    #[error(
        "{} is missing, so the options of the rows in {} are unknown; choose another folder, or remove the rows",
        options.display(), rows.display()
    )]
    NoOptions { options: PathBuf, rows: PathBuf },
    /// A file is damaged, or was not written by a replication of this version.
    #[error(
        "{}: {}; remove runs.csv and options.json to run all seeds again, or choose another folder",
        file.display(), one_line(problem).up_to(200)
    )]
    Damaged { file: PathBuf, problem: String },
    /// The rows have other options.
    #[error(
        "{} has rows of other options: {} is {} in them and {} now; choose another folder, or the same options",
        file.display(), excerpt(&difference.what), excerpt(&difference.there), excerpt(&difference.here)
    )]
    OtherOptions { file: PathBuf, difference: Difference },
    /// A file of the Numenta Anomaly Benchmark, or a detector's results, cannot be used.
    #[error(transparent)]
    Nab(#[from] NabError),
    /// A file of rows cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A plot could not be drawn.
    #[error(transparent)]
    Plot(#[from] DrawError),
}

impl Error {
    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Pipeline(error) => error.kind(),
            Self::Interrupted { .. } => ErrorKind::Interrupted,
            Self::Write(_) | Self::Plot(_) => ErrorKind::Output,
            _ => ErrorKind::Input,
        }
    }
}

impl From<glassbox::Error> for Error {
    fn from(error: glassbox::Error) -> Self {
        Self::Pipeline(error.into())
    }
}

impl From<OutputFolderError> for Error {
    fn from(error: OutputFolderError) -> Self {
        Self::Pipeline(error.into())
    }
}
