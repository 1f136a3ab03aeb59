//! The history of a run: its losses and its learning rate by epoch.

use serde::{Deserialize, Serialize};

/// The losses and the learning rate of each epoch, as in `model.fit(...).history` of Keras.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// The mean loss over the epoch's samples. Each batch's loss is computed before its update and with dropout active.
    pub loss: Vec<f64>,
    /// The mean loss over the validation samples after the epoch, without dropout. Empty if there are none; it is then
    /// omitted from the JSON, because Keras's history has no such key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub val_loss: Vec<f64>,
    /// The learning rate of the epoch's steps, rounded as they were computed, if it is reduced on a plateau. Empty if not;
    /// it is then omitted from the JSON too, because only the callback adds it to Keras's history.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learning_rate: Vec<f64>,
}

impl History {
    /// The epochs that `earlier`, the start of this history, does not have.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let rest = |all: &[f64], earlier: &[f64]| all.get(earlier.len()..).unwrap_or_default().to_vec();
        Self {
            loss: rest(&self.loss, &earlier.loss),
            val_loss: rest(&self.val_loss, &earlier.val_loss),
            learning_rate: rest(&self.learning_rate, &earlier.learning_rate),
        }
    }
}
