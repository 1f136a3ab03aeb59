//! The history of a run: its losses by epoch.

use serde::{Deserialize, Serialize};

/// The losses of each epoch, as in `model.fit(...).history` of Keras.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// The mean loss over the epoch's samples. Each batch's loss is computed before its update and with dropout active.
    pub loss: Vec<f64>,
    /// The mean loss over the validation samples after the epoch, without dropout. Empty if there are none; it is then
    /// omitted from the JSON, because Keras's history has no such key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub val_loss: Vec<f64>,
}
