//! `glassbox detect` and `glassbox predict`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::shared::{ColumnArgs, ComputeArgs, Rule};

#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// The series to look at: CSV with a timestamp and a value in each row
    #[arg(value_name = "CSV")]
    pub(crate) input: PathBuf,

    /// A model file written by `glassbox train` or `glassbox tutorial`
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,

    /// What to write: a row for each anomalous point, for each window, or all of it as JSON
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,

    /// Where to write it [standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Which windows a point's verdict asks
    #[arg(long, value_enum, default_value_t)]
    pub(crate) rule: Rule,

    /// Another threshold than the model's: mean absolute error in standard deviations of the training series
    #[arg(long, value_name = "MAE")]
    pub(crate) threshold: Option<f64>,

    #[command(flatten)]
    pub(crate) columns: ColumnArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// Print nothing but the result and errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// What `detect` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// index,timestamp,value: a row for each anomalous point
    #[default]
    Csv,
    /// window,first,last,mae,anomalous: a row for each window
    Windows,
    /// An object with both, and the threshold
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Windows: .npy of shape (n, steps, channels), as the model reads them (normalised)
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,

    /// Where the reconstructions go: .npy, float32
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// A model to compute with.
#[derive(Debug, Args)]
#[group(id = "model_source", required = true, multiple = true)]
pub(crate) struct ModelArgs {
    /// A model file of ours (safetensors)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["architecture", "weights"])]
    pub(crate) model: Option<PathBuf>,

    /// Keras's JSON (`model.to_json()`)
    #[arg(long, value_name = "FILE", requires = "weights")]
    pub(crate) architecture: Option<PathBuf>,

    /// Its weights: safetensors with tensors {layer}.kernel and {layer}.bias
    #[arg(long, value_name = "FILE", requires = "architecture")]
    pub(crate) weights: Option<PathBuf>,
}
