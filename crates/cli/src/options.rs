//! From arguments to the options of the pipeline.

use std::io::ErrorKind;
use std::path::Path;

use glassbox_cpu::Simd;
use glassbox_engine::training::{EarlyStopping, Mode, Monitor};
use glassbox_pipeline::detection::PointRule;
use glassbox_pipeline::series::Columns;
use glassbox_pipeline::training::{Checkpoints, TrainOptions};

use crate::args::{CheckpointArgs, ColumnArgs, EarlyStoppingArgs, FitArgs, Rule, SimdPath};
use crate::failure::{Failure, Kind};

impl FitArgs {
    /// The options of training, with the tutorial's early stopping and no checkpoints.
    pub(crate) fn options(&self) -> TrainOptions {
        TrainOptions {
            epochs: self.epochs,
            batch_size: self.batch_size,
            validation_split: self.validation_split,
            shuffle: !self.no_shuffle,
            seed: self.seed,
            learning_rate: self.learning_rate,
            ..TrainOptions::default()
        }
    }
}

impl EarlyStoppingArgs {
    /// Watches `val_loss`, or `loss` where there are no validation windows.
    pub(crate) fn early_stopping(&self, validation_split: f64) -> Option<EarlyStopping> {
        let monitor = if validation_split > 0.0 { Monitor::ValLoss } else { Monitor::Loss };
        (!self.no_early_stopping).then(|| EarlyStopping {
            monitor,
            patience: self.patience,
            min_delta: self.min_delta,
            mode: Mode::Min,
            restore_best_weights: self.restore_best_weights,
            ..EarlyStopping::default()
        })
    }
}

impl CheckpointArgs {
    /// After each epoch in the folder that was asked for; else in `interrupted`, when Ctrl-C ends the run.
    pub(crate) fn checkpoints(&self, interrupted: &Path) -> Checkpoints {
        Checkpoints {
            dir: self.checkpoint_dir.clone().unwrap_or_else(|| interrupted.into()),
            resume: self.resume,
            every_epoch: self.checkpoint_dir.is_some(),
        }
    }

    /// Removes what Ctrl-C left in `interrupted`, once its run is done; a folder that was asked for is kept.
    pub(crate) fn done(&self, interrupted: &Path) -> Result<(), Failure> {
        let file = interrupted.join(glassbox_pipeline::checkpoint::FILE_NAME);
        if self.checkpoint_dir.is_some() || !self.resume {
            return Ok(());
        }
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Failure::new(Kind::Output, format!("cannot remove {}: {error}", file.display())))
            }
            _ => Ok(()),
        }
    }
}

impl ColumnArgs {
    pub(crate) fn columns(&self) -> Columns {
        Columns { timestamp: self.timestamp_column.clone(), value: self.value_column.clone() }
    }
}

impl From<Rule> for PointRule {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Published => Self::Published,
            Rule::Inclusive => Self::Inclusive,
        }
    }
}

impl From<SimdPath> for Simd {
    fn from(path: SimdPath) -> Self {
        match path {
            SimdPath::Avx512 => Self::Avx512,
            SimdPath::Avx2 => Self::Avx2,
            SimdPath::Portable => Self::Portable,
            SimdPath::MatrixMultiply => Self::MatrixMultiply,
        }
    }
}
