//! `glassbox train` and `glassbox fit-arrays`

use std::path::PathBuf;

use clap::Args;

use super::shared::{
    BadRowsArgs, CheckpointArgs, ColumnArgs, ComputeArgs, EarlyStoppingArgs, FitArgs, OutputArgs,
};

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// CSV file with the training series: a timestamp and a value in each row; - is standard input
    #[arg(value_name = "CSV")]
    pub(crate) input: PathBuf,

    /// Model to train: a .keras file or a model file written by glassbox (safetensors), whose weights are the start, or
    /// JSON from Keras's `model.to_json()` [default: the tutorial's model]
    #[arg(long, visible_alias = "architecture", value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,

    /// Window length in rows [default: that of the model, else the period of the series, rounded up to a multiple of 4,
    /// else 288]
    #[arg(long, value_name = "N")]
    pub(crate) time_steps: Option<usize>,

    /// Model file to write: NAME.keras for Keras, else safetensors [default: model.safetensors]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// File for the losses, as {"loss": [...], "val_loss": [...]}, without val_loss if there are no validation windows
    /// [default: NAME.history.json beside --out NAME.safetensors, history.json without --out]
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,

    /// Write a page about the training too, to open in a browser: one HTML file that loads nothing
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) columns: ColumnArgs,

    #[command(flatten)]
    pub(crate) bad_rows: BadRowsArgs,

    #[command(flatten)]
    pub(crate) fit: FitArgs,

    #[command(flatten)]
    pub(crate) early_stopping: EarlyStoppingArgs,

    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FitArraysArgs {
    /// Model to train further, from its weights and, if it has it, the state of its optimizer: a .keras file, or one that
    /// this command wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["architecture", "weights"])]
    pub(crate) model: Option<PathBuf>,

    /// Architecture to train from the beginning: JSON from Keras's `model.to_json()`, or a .keras file
    #[arg(long, value_name = "FILE", required_unless_present = "model")]
    pub(crate) architecture: Option<PathBuf>,

    /// Initial weights: safetensors with tensors {layer}.kernel and {layer}.bias, .weights.h5 or .keras [default: random,
    /// from --seed]
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,

    /// Samples: .npy file of shape (n, steps, channels) or (n, units); once for each input of the model
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) input: Vec<PathBuf>,

    /// Targets, as --input; once for each output of the model [default: the samples, for an autoencoder]
    #[arg(long, value_name = "FILE")]
    pub(crate) target: Vec<PathBuf>,

    /// File for the losses, as {"loss": [...], "val_loss": [...]}, without val_loss if there are no validation samples
    /// [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,

    /// File for the trained model: NAME.keras for Keras, NAME.weights.h5 for its weights, else safetensors
    #[arg(long, value_name = "FILE", default_value = "final.safetensors")]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) fit: FitArgs,

    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
