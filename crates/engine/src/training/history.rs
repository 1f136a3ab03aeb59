//! What a run remembers of its epochs.

use serde::{Deserialize, Serialize};

/// The losses of each epoch, as `model.fit(...).history` of Keras has them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// The mean over the epoch's samples, each batch's loss taken before its update and with dropout
    /// active.
    pub loss: Vec<f64>,
    /// The mean over the validation samples after the epoch, without dropout. Empty if there are none; then it is
    /// left out of the JSON, as Keras's history has no such key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub val_loss: Vec<f64>,
}
