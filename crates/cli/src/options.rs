//! From arguments to the options of the pipeline.

use std::path::{Path, PathBuf};

use glassbox::checkpoint::FILE_NAME;
use glassbox::training::Checkpoints;
use glassbox_engine::model::{Compilation, Network};
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::text::listed;
use glassbox_engine::training::{Callback, EarlyStopping, Fit, Mode, Monitor, ReduceLROnPlateau};
use glassbox_formats::atomic;
use glassbox_formats::lock::Lock;
use glassbox_pipeline::series::Columns;
use glassbox_pipeline::training::TrainOptions;

use crate::args::{CheckpointArgs, ColumnArgs, EarlyStoppingArgs, FitArgs, ReduceLrArgs};
use crate::commands::note;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::files::Named;

impl FitArgs {
    /// The options of training `model`, without early stopping and checkpoints. Says how the model was compiled, where
    /// it was.
    pub(crate) fn options(&self, model: &Network, quiet: bool) -> Result<TrainOptions, Failure> {
        let given = self.optimizer.given()?;
        let optimizer_given = given.is_some();
        let Compilation { optimizer, loss, metrics } = self.compilation(model, given)?;
        if model.is_compiled() {
            let by = |given: bool, option| if given { option } else { "as the model was compiled" };
            note(
                quiet,
                format_args!(
                    "optimizer: {optimizer}, {}; loss: {loss}, {}",
                    by(optimizer_given, "as the command line says"),
                    by(self.loss.is_some(), "by --loss"),
                ),
            );
        }
        if metrics {
            note(quiet, "the metrics that the model was compiled with are not computed");
        }
        Ok(TrainOptions {
            fit: Fit {
                epochs: self.epochs,
                batch_size: self.batch_size,
                validation_split: self.validation_split,
                shuffle: !self.no_shuffle,
                early_stopping: None,
                reduce_lr_on_plateau: self.reduce_lr.reduce_lr_on_plateau(self.validation_split, quiet),
            },
            seed: self.seed,
            loss,
            optimizer,
            ..TrainOptions::default()
        })
    }

    /// How the model was compiled, but for what the command line says.
    fn compilation(&self, model: &Network, optimizer: Option<Optimizer>) -> Result<Compilation, Failure> {
        let compilation = model.compilation(optimizer, self.loss);
        compilation.map_err(|error| {
            let message = format!(
                "{error}; to train otherwise than the model was compiled, give --optimizer, and --loss"
            );
            Failure::new(Kind::Input, message)
        })
    }
}

impl ReduceLrArgs {
    /// Without validation windows there is no `val_loss` to watch, as in Keras, and that is said.
    fn reduce_lr_on_plateau(&self, validation_split: f64, quiet: bool) -> Option<ReduceLROnPlateau> {
        if !self.reduce_lr_on_plateau {
            return None;
        }
        if self.lr_monitor == Monitor::ValLoss && validation_split == 0.0 {
            note(
                quiet,
                "the learning rate is not reduced: --validation-split 0 leaves no val_loss to watch; --lr-monitor \
                 loss watches the training loss",
            );
            return None;
        }
        Some(ReduceLROnPlateau {
            monitor: self.lr_monitor,
            factor: self.lr_factor,
            patience: self.lr_patience,
            min_delta: self.lr_min_delta,
            cooldown: self.lr_cooldown,
            min_lr: self.min_lr,
            ..ReduceLROnPlateau::default()
        })
    }
}

impl EarlyStoppingArgs {
    /// Watches `val_loss`. Without validation windows nothing is watched, as in Keras, and that is said.
    pub(crate) fn early_stopping(&self, validation_split: f64, quiet: bool) -> Option<EarlyStopping> {
        if self.no_early_stopping {
            return None;
        }
        if validation_split == 0.0 {
            note(quiet, "training does not stop early: --validation-split 0 leaves no val_loss to watch");
            return None;
        }
        Some(EarlyStopping {
            min_delta: self.min_delta,
            mode: Mode::Min,
            restore_best_weights: self.restore_best_weights,
            ..EarlyStopping::patience(self.patience)
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

    /// The file that the run is kept in.
    pub(crate) fn file(&self, interrupted: &Path) -> PathBuf {
        self.checkpoint_dir.as_deref().unwrap_or(interrupted).join(FILE_NAME)
    }

    /// Keeps other runs out of the folder that the run is kept in.
    pub(crate) fn lock(&self, interrupted: &Path) -> Result<Lock, Failure> {
        Lock::folder(self.checkpoint_dir.as_deref().unwrap_or(interrupted)).or_fail(Kind::Output)
    }

    /// The same, where the run holds a lock on the folder `interrupted` already.
    pub(crate) fn lock_beside(&self, interrupted: &Path) -> Result<Option<Lock>, Failure> {
        let same =
            |dir: &Path| matches!((dir.canonicalize(), interrupted.canonicalize()), (Ok(a), Ok(b)) if a == b);
        match self.checkpoint_dir.as_deref() {
            Some(dir) if !same(dir) => self.lock(interrupted).map(Some),
            _ => Ok(None),
        }
    }

    /// Prepares the notes for the beginning of training: it starts without a checkpoint although it should resume, or
    /// it leaves one aside; and it replaces these of `outputs`.
    pub(crate) fn opening(&self, interrupted: &Path, outputs: &[Named<'_>], quiet: bool) -> Opening {
        let file = self.file(interrupted);
        let mut lines = vec![];
        match (self.resume, file.exists()) {
            (true, true) | (false, false) => {}
            (true, false) => {
                lines.push(format!("there is no checkpoint {}: starting from the beginning", file.display()));
            }
            (false, true) => lines.push(format!(
                "{} keeps an earlier run: this one starts from the beginning and takes its place; --resume goes on \
                 with it",
                file.display()
            )),
        }
        // A pipe or a device is written into, and stays what it is.
        for (name, path) in outputs.iter().filter(|(_, path)| path.is_file()) {
            lines.push(format!(
                "{name}: {} is there already, and is replaced when training is done",
                path.display()
            ));
        }
        Opening { lines: if quiet { vec![] } else { lines } }
    }

    /// Removes what Ctrl-C left in `interrupted`, of this run or of one before it, once a run is done; a folder that
    /// was asked for is kept. `lock` is that on the folder, if the folder is for nothing else.
    pub(crate) fn done(&self, interrupted: &Path, lock: Option<Lock>) -> Result<(), Failure> {
        if self.checkpoint_dir.is_some() {
            return Ok(());
        }
        atomic::remove(&interrupted.join(FILE_NAME)).or_fail(Kind::Output)?;
        drop(lock);
        // The folder goes with it if it was made for it. Only an empty one can be removed, and one that stays does no
        // harm.
        let _ = std::fs::remove_dir(interrupted);
        Ok(())
    }
}

/// Says something when training begins: whatever could refuse the run has been asked by then.
pub(crate) struct Opening {
    lines: Vec<String>,
}

impl Callback<f32> for Opening {
    fn on_epoch_begin(&mut self, _: usize, _: usize) {
        for line in self.lines.drain(..) {
            note(false, line);
        }
    }
}

impl ColumnArgs {
    /// The columns to read: those that are named, else `others`, else the default.
    pub(crate) fn columns(&self, others: &[String]) -> Columns {
        let given = [&self.value_column[..], others].into_iter().find(|names| !names.is_empty());
        let values = given.map_or_else(|| Columns::default().values, <[String]>::to_vec);
        Columns { timestamp: self.timestamp_column.clone(), values }
    }

    /// The units of these columns, an empty text for one without; empty if none is given.
    pub(crate) fn units(&self, columns: &[String]) -> Result<Vec<String>, Failure> {
        if self.unit.is_empty() {
            return Ok(vec![]);
        }
        let mut units = vec![String::new(); columns.len()];
        for given in &self.unit {
            let named = given
                .split_once('=')
                .and_then(|(name, unit)| Some((columns.iter().position(|column| column == name)?, unit)));
            let (column, unit) = match named {
                Some(named) => named,
                None if columns.len() == 1 => (0, given.as_str()),
                None => {
                    let message = format!(
                        "--unit {given}: expected COLUMN=UNIT with one of the columns {}",
                        listed(columns)
                    );
                    return Err(Failure::new(Kind::Input, message));
                }
            };
            units[column] = unit.to_owned();
        }
        Ok(units)
    }
}
