//! `glassbox train` and `glassbox fit-arrays`

use std::path::PathBuf;

use clap::Args;

use super::shared::{CheckpointArgs, ColumnArgs, ComputeArgs, EarlyStoppingArgs, FitArgs, OutputArgs};

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// The training series: CSV with a timestamp and a value in each row
    #[arg(value_name = "CSV")]
    pub(crate) input: PathBuf,

    /// The model to train: Keras's JSON (`model.to_json()`), or a safetensors file of ours to start from
    /// [the tutorial's model]
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,

    /// Rows in a window [the model's own, or 288]
    #[arg(long, value_name = "N")]
    pub(crate) time_steps: Option<usize>,

    /// The model file to write [model.safetensors]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Where the losses go, as {"loss": [...], "val_loss": [...]}, without val_loss if there are no validation windows
    /// [NAME.history.json beside --out NAME.safetensors, history.json without --out]
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) columns: ColumnArgs,

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
    /// Keras's JSON (`model.to_json()`)
    #[arg(long, value_name = "FILE")]
    pub(crate) architecture: PathBuf,

    /// Start weights: safetensors with tensors {layer}.kernel and {layer}.bias [drawn from --seed]
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,

    /// The samples: .npy of shape (n, steps, channels)
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,

    /// Where the losses go, as {"loss": [...], "val_loss": [...]}, without val_loss if there are no validation samples
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,

    /// Where the trained weights go, named as in --weights
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
