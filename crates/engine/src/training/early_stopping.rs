//! Early stopping: ends a run when a loss no longer improves.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::float::Float;

/// Stops training when a loss has not improved for `patience` epochs
/// ([`keras.callbacks.EarlyStopping`](https://keras.io/api/callbacks/early_stopping/)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EarlyStopping {
    /// The monitored loss.
    pub monitor: Monitor,
    /// Minimum change that counts as an improvement; its sign does not matter.
    pub min_delta: f64,
    /// Number of epochs without improvement after which training stops.
    pub patience: usize,
    /// The direction of improvement.
    pub mode: Mode,
    /// If given, an improvement resets the patience only if it is also better than this.
    pub baseline: Option<f64>,
    /// Number of epochs at the start that are not monitored.
    pub start_from_epoch: usize,
    /// If true, the weights of the best epoch are restored when training ends. The tutorial keeps those of the last
    /// epoch.
    pub restore_best_weights: bool,
}

/// The monitored quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// The training loss.
    Loss,
    /// The validation loss.
    #[default]
    ValLoss,
}

/// The direction of improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Inferred from the name of the monitored quantity; a loss should decrease.
    #[default]
    Auto,
    /// The quantity should decrease.
    Min,
    /// The quantity should increase.
    Max,
}

impl Monitor {
    pub(super) fn validate(self, has_validation: bool) -> Result<()> {
        if self == Self::ValLoss && !has_validation {
            return Err(Error::Option {
                option: "monitor",
                found: "val_loss without validation samples".into(),
                expected: "loss, or a validation_split above 0".into(),
            });
        }
        Ok(())
    }

    /// The monitored one of an epoch's losses.
    ///
    /// # Panics
    /// If there is no validation loss and it is the monitored one, which `validate` refuses.
    pub(super) fn of(self, loss: f64, val_loss: Option<f64>) -> f64 {
        match self {
            Self::Loss => loss,
            Self::ValLoss => val_loss.expect("checked before the first epoch"),
        }
    }
}

impl Mode {
    /// Returns true if `value` is better than another one by more than `min_delta`.
    pub(super) fn improves(self, value: f64, than: f64, min_delta: f64) -> bool {
        match self {
            Self::Auto | Self::Min => value + min_delta.abs() < than,
            Self::Max => value - min_delta.abs() > than,
        }
    }
}

impl Default for EarlyStopping {
    /// Keras's defaults.
    fn default() -> Self {
        Self {
            monitor: Monitor::ValLoss,
            min_delta: 0.0,
            patience: 0,
            mode: Mode::Auto,
            baseline: None,
            start_from_epoch: 0,
            restore_best_weights: false,
        }
    }
}

/// The state of an [`EarlyStopping`], part of a checkpoint. It serialises without the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct EarlyStoppingState<F> {
    /// Epochs since the last improvement.
    pub wait: usize,
    /// The best value so far.
    pub best: Option<f64>,
    /// The epoch of the best value, from 0.
    pub best_epoch: usize,
    /// The weights after that epoch, if they are to be restored.
    #[serde(skip)]
    pub best_weights: Option<Vec<F>>,
    /// The epoch that stopped training, from 0.
    pub stopped_epoch: Option<usize>,
}

impl<F> Default for EarlyStoppingState<F> {
    fn default() -> Self {
        Self { wait: 0, best: None, best_epoch: 0, best_weights: None, stopped_epoch: None }
    }
}

impl EarlyStopping {
    /// Stops once `val_loss` has not improved for `patience` epochs; otherwise with Keras's defaults.
    #[must_use]
    pub fn patience(patience: usize) -> Self {
        Self { patience, ..Self::default() }
    }

    /// Checks the options, given whether there is a validation loss.
    ///
    /// # Errors
    /// Names the invalid option.
    pub fn validate(&self, has_validation: bool) -> Result<()> {
        self.monitor.validate(has_validation)?;
        let option = |option, value: f64, expected: &str| Error::Option {
            option,
            found: value.to_string(),
            expected: expected.into(),
        };
        if !self.min_delta.is_finite() {
            return Err(option("min_delta", self.min_delta, "a finite number"));
        }
        if let Some(baseline) = self.baseline.filter(|baseline| baseline.is_nan()) {
            return Err(option("baseline", baseline, "a number"));
        }
        Ok(())
    }

    /// Updates the state with the value of an epoch, counted from 0, and the weights after it. Sets `stopped_epoch` if
    /// training should stop.
    pub fn on_epoch_end<F: Float>(
        &self,
        state: &mut EarlyStoppingState<F>,
        epoch: usize,
        value: f64,
        weights: &[F],
    ) {
        if epoch < self.start_from_epoch {
            return;
        }
        // A state from a file may have any number.
        state.wait = state.wait.saturating_add(1);
        // The first value counts as best. If it is NaN, no later value improves on it.
        if state.best.is_none_or(|best| self.mode.improves(value, best, self.min_delta)) {
            state.best = Some(value);
            state.best_epoch = epoch;
            state.best_weights = self.restore_best_weights.then(|| weights.to_vec());
            if self.baseline.is_none_or(|baseline| self.mode.improves(value, baseline, self.min_delta)) {
                state.wait = 0;
            }
        } else if state.wait >= self.patience && epoch > 0 {
            state.stopped_epoch = Some(epoch);
        }
    }
}
