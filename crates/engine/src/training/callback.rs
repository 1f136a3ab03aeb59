//! Who is told how training goes.

use super::Checkpoint;
use crate::backend::BatchEnd;
use crate::float::Float;

/// Is told how training goes, and may stop it
/// ([`keras.callbacks.Callback`](https://keras.io/api/callbacks/base_callback/)).
pub trait Callback<F: Float>: Send {
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
#[derive(Debug, Clone, Copy)]
pub struct EpochEnd<'a, F> {
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
}

/// Whether training goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It ends after this epoch, in good order.
    Stop,
}
