//! Options that several commands have.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use glassbox::training::TrainOptions;
use glassbox_engine::optimizers::{Adam, Optimizer};
use glassbox_engine::training::EarlyStopping;
use glassbox_pipeline::tutorial::TutorialOptions;

use crate::device::DeviceChoice;

/// The columns of a CSV.
#[derive(Debug, Args)]
pub(crate) struct ColumnArgs {
    /// The column with the timestamps (RFC 3339 or YYYY-MM-DD HH:MM:SS)
    #[arg(long, value_name = "NAME", default_value = "timestamp")]
    pub(crate) timestamp_column: String,

    /// The column with the values
    #[arg(long, value_name = "NAME", default_value = "value")]
    pub(crate) value_column: String,
}

/// What of the tutorial may be chosen.
#[derive(Debug, Args)]
pub(crate) struct TutorialFitArgs {
    /// Epochs at most
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    pub(crate) epochs: usize,

    /// Windows in a batch
    #[arg(long, default_value_t = 128)]
    pub(crate) batch_size: usize,

    /// Epochs without a better val_loss after which training stops
    #[arg(long, default_value_t = 5)]
    pub(crate) patience: usize,

    /// Adam's learning rate
    #[arg(long, default_value_t = 0.001)]
    pub(crate) learning_rate: f64,

    /// Which windows a point's verdict asks
    #[arg(long, value_enum, default_value_t)]
    pub(crate) rule: Rule,
}

impl TutorialFitArgs {
    /// The tutorial with these choices.
    pub(crate) fn options(&self, seed: u64) -> TutorialOptions {
        let defaults = TrainOptions::default();
        let patience = |stop: EarlyStopping| EarlyStopping { patience: self.patience, ..stop };
        TutorialOptions {
            train: TrainOptions {
                seed,
                epochs: self.epochs,
                batch_size: self.batch_size,
                optimizer: Optimizer::Adam(Adam::new(self.learning_rate)),
                early_stopping: defaults.early_stopping.map(patience),
                ..TrainOptions::default()
            },
            rule: self.rule.into(),
            ..TutorialOptions::default()
        }
    }
}

/// The arguments of Keras's `fit` and of Adam.
#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    /// Epochs at most
    #[arg(long, default_value_t = 50)]
    pub(crate) epochs: usize,

    /// Windows in a batch
    #[arg(long, default_value_t = 128)]
    pub(crate) batch_size: usize,

    /// The fraction of the windows, from the end, that val_loss is taken of
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1)]
    pub(crate) validation_split: f64,

    /// Keep the windows in order
    #[arg(long)]
    pub(crate) no_shuffle: bool,

    /// Decides initial weights, shuffles and dropout masks
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Train with Adam at this learning rate, whatever the model was compiled with [as it was compiled; if it was not,
    /// with Adam at 0.001]
    #[arg(long, value_name = "RATE")]
    pub(crate) learning_rate: Option<f64>,

    /// Minimise this loss, whatever the model was compiled with [as it was compiled; if it was not, mse]
    #[arg(long, value_enum)]
    pub(crate) loss: Option<LossName>,
}

/// A loss, by Keras's short name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LossName {
    /// Mean squared error
    #[value(alias = "mean_squared_error")]
    Mse,
    /// Mean absolute error
    #[value(alias = "mean_absolute_error")]
    Mae,
}

/// When to stop before all epochs are done.
#[derive(Debug, Args)]
pub(crate) struct EarlyStoppingArgs {
    /// Epochs without a better val_loss after which training stops; without validation windows it does not stop early
    #[arg(long, default_value_t = 5)]
    pub(crate) patience: usize,

    /// A change of no more than this is no improvement
    #[arg(long, default_value_t = 0.0, value_parser = not_negative)]
    pub(crate) min_delta: f64,

    /// Take back the weights of the best epoch when training ends
    #[arg(long)]
    pub(crate) restore_best_weights: bool,

    /// Train all epochs
    #[arg(long, conflicts_with_all = ["patience", "min_delta", "restore_best_weights"])]
    pub(crate) no_early_stopping: bool,
}

/// Saving a run.
#[derive(Debug, Args)]
pub(crate) struct CheckpointArgs {
    /// Save the run in this folder after each epoch; a checkpoint of another run in it is refused
    #[arg(long, value_name = "DIR")]
    pub(crate) checkpoint_dir: Option<PathBuf>,

    /// Go on from the checkpoint in --checkpoint-dir, or else from the one that Ctrl-C left; start anew if there
    /// is none
    #[arg(long)]
    pub(crate) resume: bool,
}

/// What computes.
#[derive(Debug, Args)]
pub(crate) struct ComputeArgs {
    /// What computes: cpu, cuda (the first NVIDIA GPU), cuda:N (the GPU of that number), or auto, the first GPU if
    /// it can be used and else the CPU; `glassbox devices` lists them
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: DeviceChoice,

    /// Threads of the CPU, 1024 at most [one for each core]; the results do not depend on it
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,

    /// Say why another device was not taken, and how this one trains the model
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// A number that is not below zero; whether it is finite is for others to say.
fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value < 0.0 => Err("expected a number that is not negative".into()),
        Ok(value) => Ok(value),
        Err(error) => Err(error.to_string()),
    }
}

/// What is printed.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Print the result as a JSON object and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which windows a point's verdict asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Rule {
    /// As the published loop does: all windows that hold the point but the one that starts at it
    #[default]
    Published,
    /// All windows that hold the point
    Inclusive,
}

/// Training for no epoch at all would leave a detector that knows nothing.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a detector that was not trained detects nothing: give at least 1".into()),
        Ok(epochs) => Ok(epochs),
        Err(error) => Err(error.to_string()),
    }
}
