//! The error of this crate.

use std::io;
use std::path::PathBuf;

use glassbox_engine::text::excerpt;
use glassbox_formats::atomic::WriteError;
use glassbox_formats::hash::Sha256;
use glassbox_formats::model_file::ModelFileError;
use glassbox_formats::output_folder::OutputFolderError;
use glassbox_formats::tensor_file::TensorFileError;

use jiff::SignedDuration;

use crate::live::StateError;
use crate::rows::ThresholdRule;
use crate::series::SeriesError;
use crate::words::counted;

/// The result of a fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the pipeline. Its text is complete: what is wrong, where, what was expected, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages call them")]
pub enum Error {
    /// The engine or its device failed.
    #[error(transparent)]
    Engine(glassbox_engine::Error),
    /// A model cannot be trained, resumed, read or written, or training was interrupted.
    #[error(transparent)]
    Model(glassbox::Error),
    /// A series, or its CSV, cannot be used.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// The values of a series cannot be normalised.
    #[error("series `{series}`: {problem}")]
    Values { series: String, problem: Box<Error> },
    /// A folder does not take the results.
    #[error(transparent)]
    Folder(#[from] OutputFolderError),
    /// A file could not be downloaded or written. No incomplete file is left behind.
    #[error("cannot fetch {url}: {failure}")]
    Fetch { url: String, failure: FetchFailure },

    /// The [`Autoencoder`](crate::architecture::Autoencoder) cannot reconstruct windows of this length; one of
    /// `suggestion` steps it can.
    #[error(
        "the model strides over a window by {strides} twice and then back, so windows of {} do not come back as long \
         as they were: choose a multiple of {multiple}, at least {multiple}, such as {suggestion}, or a model of your \
         own",
        counted(*time_steps, "step", "steps")
    )]
    WindowLength { time_steps: usize, strides: usize, multiple: usize, suggestion: usize },
    /// The model reads another number of channels than a series has columns.
    #[error(
        "model {model} reads {}, and the series has {}: give a model whose input is (steps, {columns}), or other columns",
        counted(*channels, "channel", "channels"), counted(*columns, "value in a row", "values in a row")
    )]
    Channels { model: String, channels: usize, columns: usize },
    /// A model file without the entries of a detector.
    #[error(
        "{file} holds a model and no detector: its metadata has no `glassbox.mean`, `glassbox.std`, \
         `glassbox.time_steps` and `glassbox.threshold`; train one on a series"
    )]
    NotADetector { file: String },
    /// The internals in a file are those of another model than the one beside it.
    #[error("{file} does not belong to the model beside it: {problem}; run the tutorial again")]
    AnotherModel { file: String, problem: String },

    /// A training series has fewer than two values.
    #[error(
        "a training series of {} has no sample standard deviation: it needs at least 2 values, and many more to be \
         meaningful",
        counted(*values, "value", "values")
    )]
    TooFewValues { values: usize },
    /// All values of a training series are the same.
    #[error(
        "the training series is constant: all {values} values are {value}, so its standard deviation is 0 and \
         it cannot be normalised; train on a series that varies"
    )]
    Constant { values: usize, value: f64 },
    /// A value is NaN or infinite.
    #[error("value {index} (counted from 0) is {value}, which is not a finite number: remove or replace it")]
    ValueNotFinite { index: usize, value: f64 },
    /// The values of a series are so large that their moments overflow.
    #[error(
        "the mean or the standard deviation of these values exceeds the range of 64-bit numbers (largest \
         magnitude {largest:e}): give the values in a larger unit"
    )]
    MomentOverflow { largest: f64 },
    /// A normalised value is outside of the range of f32.
    #[error(
        "value {index} (counted from 0), {value:e}, exceeds the range of 32-bit numbers when normalised with mean \
         {mean} and standard deviation {std}: use the scaler of a series with similar values"
    )]
    ValueOverflow { index: usize, value: f64, mean: f64, std: f64 },
    /// Moments that no fit can give, for example from a damaged model file.
    #[error(
        "mean {mean} and standard deviation {std} are not those of a series: both must be finite, the second \
         above 0"
    )]
    BadMoments { mean: f64, std: f64 },

    /// There are no training windows.
    #[error("there is no training window to compute a threshold from: train on at least one window of rows")]
    NoTrainingErrors,
    /// The error of a window is NaN or infinite.
    #[error(
        "the error of window {window} (counted from 0) is {error}, which is not a finite number: the model has \
         diverged, or its input was not finite"
    )]
    ErrorNotFinite { window: usize, error: f64 },
    /// A threshold that no training can give, for example from a damaged model file.
    #[error(
        "{0} is not a valid threshold: expected a finite number, not below 0, because a mean absolute error is never \
         negative"
    )]
    BadThreshold(f64),
    /// The detector was trained without the calibration of row scores.
    #[error(
        "this detector has no calibration for row scores, because an earlier version trained it: train it anew, or judge \
         points by the published or the inclusive rule"
    )]
    NoCalibration,
    /// The rows of a series are farther apart, or closer together, than those of the training series.
    #[error(
        "series `{series}` has a row every {found:#}, but the detector was trained on a series with a row every \
         {expected:#}: give data with that step, train on data like these, or resample them"
    )]
    OtherStep { series: String, found: SignedDuration, expected: SignedDuration },
    /// The detector cannot tell a gap from the next row.
    #[error(
        "this detector does not know how far apart rows are, because an earlier version trained it: train it anew"
    )]
    NoSamplingStep,
    /// The state of an interrupted watch cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// There are too few training scores for a rule of the threshold.
    #[error(
        "{rule} needs the scores of at least {needed} training rows, and there are {rows}: train on a longer series, or \
         choose another threshold"
    )]
    TooFewScores { rule: ThresholdRule, rows: usize, needed: usize },
    /// The detector keeps the largest training scores only, and the quantile is below them.
    #[error(
        "the quantile {quantile} is too low: the detector knows the largest training scores, from quantile {least} on"
    )]
    QuantileTooLow { quantile: f64, least: f64 },
    /// A column has another unit than in training.
    #[error(
        "the unit of column `{}` is {}, and the detector was trained {}; convert the values, or train a detector on such a \
         series",
        excerpt(column), excerpt(found),
        if expected.is_empty() { "without a unit for it".into() } else { format!("on values in {}", excerpt(expected)) }
    )]
    OtherUnit { column: String, found: String, expected: String },
    /// A rate of false alarms that is in the bulk of the training scores.
    #[error(
        "a rate of {rate} is too high for a fit of the largest training scores: expected one below {most}; choose a \
         quantile instead"
    )]
    RateTooHigh { rate: f64, most: f64 },
    /// The number of a rule for the threshold is out of range.
    #[error("{number} is out of range for this threshold: expected {expected}")]
    BadThresholdRule { number: f64, expected: &'static str },
    /// The number of rows that an adaptive threshold looks back over is out of range.
    #[error(
        "an adaptive threshold by this rule cannot look back over {}: expected {fewest} to {most}",
        counted(*rows, "row", "rows")
    )]
    BadAdaptiveRows { rows: usize, fewest: usize, most: usize },
    /// Windows are too short for the rule of anomalous points.
    #[error(
        "windows of {} are too short for the {rule} rule of anomalous points, which needs at least {least}",
        counted(*steps, "step", "steps")
    )]
    WindowTooShort { steps: usize, rule: &'static str, least: usize },

    /// A file of the tutorial is missing in the folder that the user named; `below` is a subfolder that has it.
    #[error(
        "{} has no {file}: expected the `data` folder of a checkout of numenta/NAB; {}",
        folder.display(),
        match below { Some(below) => format!("it is in {}: name that", below.display()),
                      None => "name another, or none to use downloaded files or the built-in synthetic copy".into() }
    )]
    MissingFile { folder: PathBuf, file: &'static str, below: Option<PathBuf> },
    /// One of the tutorial's two files is missing in the cache.
    #[error("the downloaded file {} is missing: fetch it again", path.display())]
    MissingFromCache { path: PathBuf },
    /// The checksum of a file in the cache is wrong.
    #[error(
        "the downloaded file {} is damaged: its SHA-256 is {found}, expected {expected}; fetch it again",
        path.display()
    )]
    Damaged { path: PathBuf, found: Sha256, expected: Sha256 },
    /// A file exists but cannot be read.
    #[error("cannot read {}: {cause}; check that the file may be read", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
}

/// The reason why a download failed. Its text ends with what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchFailure {
    /// The server answered with a status other than 200.
    #[error("the server answered with status {0}; check the address, or try later where it is 5xx")]
    Status(u16),
    /// There were more redirects than allowed.
    #[error("still redirected after {followed} redirects; check the address")]
    TooManyRedirects {
        /// Number of redirects that were followed.
        followed: u32,
    },
    /// The download took too long.
    #[error(
        "timed out waiting for {waiting_for}, after {got} bytes of the file; check the network and try again"
    )]
    TimedOut {
        /// The step that took too long.
        waiting_for: String,
        /// Bytes of the file received by then.
        got: u64,
    },
    /// The connection ended before the file was complete.
    #[error(
        "truncated: {}; try again",
        match announced { Some(announced) => format!("got {got} of {announced} bytes"),
                          None => format!("the connection broke after {got} bytes") }
    )]
    Truncated {
        /// Bytes received.
        got: u64,
        /// Bytes announced by the server, if it announced any.
        announced: Option<u64>,
    },
    /// More bytes were received or announced than allowed.
    #[error("it has more than the maximum of {limit} bytes; check the address")]
    TooLarge {
        /// The maximum number of bytes.
        limit: u64,
    },
    /// The checksum of the content is wrong.
    #[error(
        "wrong content: {found_bytes} bytes with SHA-256 {found}, expected {expected_bytes} bytes with {expected}; \
         check the address, and that no proxy answers instead of the server"
    )]
    WrongChecksum {
        /// Its checksum.
        found: Sha256,
        /// The published checksum.
        expected: Sha256,
        /// Its length in bytes.
        found_bytes: u64,
        /// The published length in bytes.
        expected_bytes: u64,
    },
    /// The connection failed, or the answer was not valid HTTP.
    #[error("{0}; check the network, or get the file by other means and name its folder")]
    Connection(String),
    /// The file was received, but could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The class of an error: the few that a program handles differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A file, a model or an option cannot be used.
    Input,
    /// Training or inference gave NaN or infinity.
    NotFinite,
    /// An output could not be written.
    Output,
    /// A download failed.
    Download,
    /// The device failed, or cannot be used.
    Device,
    /// Training was interrupted on request.
    Interrupted,
}

impl Error {
    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        use glassbox_engine::Error as Engine;
        match self {
            Self::Engine(Engine::NonFinite(_)) | Self::ErrorNotFinite { .. } => ErrorKind::NotFinite,
            Self::Engine(Engine::Device { .. }) => ErrorKind::Device,
            // The only callback that can fail is the one that writes checkpoints.
            Self::Engine(Engine::Callback(_)) | Self::Folder(_) => ErrorKind::Output,
            Self::Model(glassbox::Error::Interrupted { .. }) => ErrorKind::Interrupted,
            Self::Fetch { .. } => ErrorKind::Download,
            _ => ErrorKind::Input,
        }
    }
}

impl From<glassbox_engine::Error> for Error {
    fn from(error: glassbox_engine::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<glassbox::Error> for Error {
    fn from(error: glassbox::Error) -> Self {
        match error {
            glassbox::Error::Engine(error) => Self::Engine(error),
            other => Self::Model(other),
        }
    }
}

impl From<ModelFileError> for Error {
    fn from(error: ModelFileError) -> Self {
        Self::Model(error.into())
    }
}

impl From<TensorFileError> for Error {
    fn from(error: TensorFileError) -> Self {
        ModelFileError::from(error).into()
    }
}
