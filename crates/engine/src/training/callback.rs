//! Who is told how training goes.

use std::fmt;

use super::Checkpoint;
use crate::backend::{BatchEnd, Session};
use crate::float::Float;

/// Is told how training goes, and may stop it
/// ([`keras.callbacks.Callback`](https://keras.io/api/callbacks/base_callback/)).
pub trait Callback<F: Float>: Send {
    /// Before the first epoch: the run as it starts, or as it was when it was interrupted.
    fn on_train_begin(&mut self, start: &Checkpoint<F>) {
        let _ = start;
    }

    /// Before an epoch, counted from 0, of at most `epochs`.
    fn on_epoch_begin(&mut self, epoch: usize, epochs: usize) {
        let _ = (epoch, epochs);
    }

    /// After a batch.
    fn on_batch_end(&mut self, batch: BatchEnd) {
        let _ = batch;
    }

    /// After an epoch and its validation.
    ///
    /// # Errors
    /// Ends the training; [`fit`](fn@super::fit) passes the error on.
    fn on_epoch_end(
        &mut self,
        end: &EpochEnd<'_, F>,
    ) -> Result<Flow, Box<dyn std::error::Error + Send + Sync>> {
        let _ = end;
        Ok(Flow::Continue)
    }
}

/// How an epoch ended.
#[derive(Clone, Copy)]
pub struct EpochEnd<'a, F: Float> {
    /// The epoch, from 0.
    pub epoch: usize,
    /// Epochs at most.
    pub epochs: usize,
    /// The mean training loss of the epoch.
    pub loss: f64,
    /// The validation loss after it.
    pub val_loss: Option<f64>,
    /// All that is needed to go on from here.
    pub checkpoint: &'a Checkpoint<F>,
    /// The session, for who wants to look closer: its [`gradient`](Session::gradient) is that of the epoch's
    /// last batch. Nothing is copied from the device for a callback that does not ask.
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

/// Whether training goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It ends after this epoch, in good order.
    Stop,
}
