//! The steps, the scoring and the memory of a training run, plain or fused.
//!
//! There are two kinds of training steps, and of scoring. The plain ones ([`crate::plain`]) are a launch for each line of
//! the program and take any model. The fused ones take a whole window through the network in one block's shared memory;
//! they are made for models that fit there. The session does not ask which it has.

use std::fmt::Debug;

use glassbox_engine::losses::Loss;
use glassbox_engine::profile::Part;

use crate::device::{Buffer, Launch};
use crate::error::Result;
use crate::kernels::{Order, Rates, Series};

/// The most steps that are recorded together. More would only make recordings larger: the host's share is small
/// by then.
pub const STEPS_IN_A_RECORDING: usize = 32;

/// A part of a training step, and a launch that belongs to it.
pub type StepLaunch = (Part, Launch);

/// A way to take training steps.
pub trait TrainingStep: Debug + Send {
    /// The launches that leave the gradient of a batch's mean loss in [`Buffers::gradient`](crate::kernels::Buffers::gradient), each sample's loss in
    /// [`EpochBuffers::losses`], and the batch's mean in [`EpochBuffers::means`]; and, if `update`, take the optimiser's
    /// step, with the same gradient to the bit. `within` is the step's place in a recording.
    fn launches(&self, data: &EpochBuffers, within: u32, update: bool) -> Vec<StepLaunch>;
}

/// A way to make predictions and to score them.
pub(crate) trait Scoring {
    /// The loss of each sample of `x`, of which there is at least one, given its target in `y`.
    ///
    /// # Errors
    /// If there is not enough device memory, or the device fails.
    fn losses(&mut self, x: &Series, y: &Series, loss: Loss, losses: &mut [f64]) -> Result<()>;

    /// The predictions for `x`, which has at least one sample, sample by sample.
    ///
    /// # Errors
    /// As [`Scoring::losses`].
    fn predict(&mut self, x: &Series, predictions: &mut [f32]) -> Result<()>;
}

/// The device memory of an epoch.
#[derive(Debug)]
pub struct EpochBuffers {
    /// The samples that the model reads.
    pub x: Series,
    /// Their targets.
    pub y: Series,
    /// The samples of the epoch, in order.
    pub order: Order,
    /// A loss for each sample of the epoch.
    pub losses: Buffer<f64>,
    /// The mean loss of each batch.
    pub means: Buffer<f64>,
    /// The factors of the optimiser's step for each batch.
    pub rates: Rates,
}
