//! Reduction of the learning rate when a loss no longer improves.

use serde::{Deserialize, Serialize};

use super::early_stopping::{Mode, Monitor};
use crate::error::{Error, Result};
use crate::optimizers::{LearningRate, Optimizer};

/// Reduces the learning rate when a loss has not improved for `patience` epochs
/// ([`keras.callbacks.ReduceLROnPlateau`](https://keras.io/api/callbacks/reduce_lr_on_plateau/)). The learning rate stays
/// reduced after the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReduceLROnPlateau {
    /// The monitored loss.
    pub monitor: Monitor,
    /// Factor of a reduction, in (0, 1).
    pub factor: f64,
    /// Number of epochs without improvement after which the learning rate is reduced.
    pub patience: usize,
    /// The direction of improvement.
    pub mode: Mode,
    /// Minimum change that counts as an improvement; its sign does not matter.
    pub min_delta: f64,
    /// Number of epochs after a reduction that do not count as without improvement.
    pub cooldown: usize,
    /// Smallest learning rate.
    pub min_lr: f64,
}

impl Default for ReduceLROnPlateau {
    /// Keras's defaults.
    fn default() -> Self {
        Self {
            monitor: Monitor::ValLoss,
            factor: 0.1,
            patience: 10,
            mode: Mode::Auto,
            min_delta: 1e-4,
            cooldown: 0,
            min_lr: 0.0,
        }
    }
}

/// The state of a [`ReduceLROnPlateau`], part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ReduceLROnPlateauState {
    /// Epochs since the last improvement or reduction.
    pub wait: usize,
    /// The best value so far.
    pub best: Option<f64>,
    /// Epochs of the cooldown that are left.
    pub cooldown_counter: usize,
    /// The learning rate, once it was reduced.
    pub learning_rate: Option<f64>,
}

impl ReduceLROnPlateau {
    /// Checks the options, given whether there is a validation loss, and the optimiser.
    ///
    /// # Errors
    /// Names the invalid option, or the schedule of the learning rate, which cannot be reduced.
    pub fn validate(&self, has_validation: bool, optimizer: &Optimizer) -> Result<()> {
        self.monitor.validate(has_validation)?;
        if let schedule @ LearningRate::Schedule(_) = optimizer.learning_rate() {
            return Err(Error::Option {
                option: "learning_rate",
                found: schedule.to_string(),
                expected: "a number where the learning rate is to be reduced on a plateau".into(),
            });
        }
        for (option, value, good, expected) in [
            ("factor", self.factor, self.factor > 0.0 && self.factor < 1.0, "a number in (0, 1)"),
            ("min_delta", self.min_delta, self.min_delta.is_finite(), "a finite number"),
            ("min_lr", self.min_lr, self.min_lr >= 0.0 && self.min_lr.is_finite(), "a number of at least 0"),
        ] {
            if !good {
                return Err(Error::Option { option, found: value.to_string(), expected: expected.into() });
            }
        }
        Ok(())
    }

    /// Updates the state with the value of an epoch, and with the learning rate that the epoch had. Returns the new learning
    /// rate if it is to be reduced.
    pub fn on_epoch_end(
        &self,
        state: &mut ReduceLROnPlateauState,
        value: f64,
        learning_rate: f64,
    ) -> Option<f64> {
        if state.cooldown_counter > 0 {
            state.cooldown_counter -= 1;
            state.wait = 0;
        }
        // The first value counts as best. If it is NaN, no later value improves on it.
        if state.best.is_none_or(|best| self.mode.improves(value, best, self.min_delta)) {
            state.best = Some(value);
            state.wait = 0;
            return None;
        }
        if state.cooldown_counter > 0 {
            return None;
        }
        // A state from a file may have any number.
        state.wait = state.wait.saturating_add(1);
        // Keras compares both as `float32`.
        if state.wait < self.patience || learning_rate as f32 <= self.min_lr as f32 {
            return None;
        }
        (state.wait, state.cooldown_counter) = (0, self.cooldown);
        state.learning_rate = Some((learning_rate * self.factor).max(self.min_lr));
        state.learning_rate
    }
}
