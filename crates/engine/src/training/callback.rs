//! Callbacks, which follow a training run.

use std::fmt;

use super::Checkpoint;
use crate::backend::{BatchEnd, Session};
use crate::float::Float;

/// Follows a training run, and may stop it
/// ([`keras.callbacks.Callback`](https://keras.io/api/callbacks/base_callback/)).
pub trait Callback<F: Float>: Send {
    /// Called before the first epoch, with the state from which the run starts or resumes.
    fn on_train_begin(&mut self, start: &Checkpoint<F>) {
        let _ = start;
    }

    /// Called before an epoch, counted from 0, of at most `epochs`.
    fn on_epoch_begin(&mut self, epoch: usize, epochs: usize) {
        let _ = (epoch, epochs);
    }

    /// Called after each batch.
    fn on_batch_end(&mut self, batch: BatchEnd) {
        let _ = batch;
    }

    /// Called after each epoch and its validation.
    ///
    /// # Errors
    /// An error ends the training; [`fit`](fn@super::fit) returns it.
    fn on_epoch_end(
        &mut self,
        end: &EpochEnd<'_, F>,
    ) -> Result<Flow, Box<dyn std::error::Error + Send + Sync>> {
        let _ = end;
        Ok(Flow::Continue)
    }
}

/// The result of an epoch.
#[derive(Clone, Copy)]
pub struct EpochEnd<'a, F: Float> {
    /// The epoch, from 0.
    pub epoch: usize,
    /// Maximum number of epochs.
    pub epochs: usize,
    /// The mean training loss of the epoch.
    pub loss: f64,
    /// The validation loss after it.
    pub val_loss: Option<f64>,
    /// The state from which the run can be resumed.
    pub checkpoint: &'a Checkpoint<F>,
    /// The session, for callbacks that need more: its [`gradient`](Session::gradient) is that of the epoch's last
    /// batch. Data is copied from the device only when a callback requests it.
    pub session: &'a dyn Session<F>,
}

impl<F: Float> fmt::Debug for EpochEnd<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, epochs, loss, val_loss, checkpoint, .. } = self;
        f.debug_struct("EpochEnd")
            .field("epoch", epoch)
            .field("epochs", epochs)
            .field("loss", loss)
            .field("val_loss", val_loss)
            .field("checkpoint", checkpoint)
            .finish_non_exhaustive()
    }
}

/// A callback's decision to continue or stop training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Training continues.
    Continue,
    /// Training ends normally after this epoch.
    Stop,
}
