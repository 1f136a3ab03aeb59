//! `glassbox detect` and `glassbox predict`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use glassbox_pipeline::detection::PointRule;

use super::shared::{ColumnArgs, ComputeArgs, point_rule};

#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// CSV file with the series: a timestamp and a value in each row
    #[arg(value_name = "CSV")]
    pub(crate) input: PathBuf,

    /// Model file written by `glassbox train` or `glassbox tutorial`
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,

    /// Output format
    #[arg(long, value_enum, default_value_t, conflicts_with = "json")]
    format: Format,

    /// Print the result as a JSON object and nothing else, as --format json does
    #[arg(long)]
    json: bool,

    /// Output file [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Rule for anomalous points
    #[arg(long, default_value_t, value_parser = point_rule())]
    pub(crate) rule: PointRule,

    /// Mean absolute error above which a window is anomalous, in standard deviations of the training series [default: the
    /// threshold in the model file]
    #[arg(long, value_name = "MAE")]
    pub(crate) threshold: Option<f64>,

    #[command(flatten)]
    pub(crate) columns: ColumnArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// Print only the result and errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl DetectArgs {
    /// The output format: `--json` is short for `--format json`.
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// Output format of `detect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// CSV, a row for each anomalous point: index,timestamp,value
    #[default]
    Csv,
    /// CSV, a row for each window: window,first,last,mae,anomalous
    Windows,
    /// JSON object with points, windows and the threshold
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Normalised windows: .npy file of shape (n, steps, channels) or (n, units); once for each input of the model
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) input: Vec<PathBuf>,

    /// Output file for the predictions: .npy, float32; once for each output of the model
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) output: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// Print only errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// The model to predict with.
#[derive(Debug, Args)]
#[group(id = "model_source", required = true, multiple = true)]
pub(crate) struct ModelArgs {
    /// Model file written by glassbox (safetensors)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["architecture", "weights"])]
    pub(crate) model: Option<PathBuf>,

    /// Architecture: JSON from Keras's `model.to_json()`
    #[arg(long, value_name = "FILE", requires = "weights")]
    pub(crate) architecture: Option<PathBuf>,

    /// Weights for --architecture: safetensors with tensors {layer}.kernel and {layer}.bias
    #[arg(long, value_name = "FILE", requires = "architecture")]
    pub(crate) weights: Option<PathBuf>,
}
