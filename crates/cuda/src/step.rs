//! The steps, the scoring and the memory of a training run, plain or fused.
//!
//! There are two kinds of training steps, and of scoring. The plain ones ([`crate::plain`]) are a launch for each line of
//! the program and take any model. The fused ones take a whole window through the network in one block's shared memory;
//! they are made for models that fit there. The session does not ask which it has.

use std::fmt::Debug;
use std::sync::Arc;

use glassbox_engine::backend::Plan;
use glassbox_engine::losses::Loss;
use glassbox_engine::model::WeightLayout;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::profile::Part;

use crate::device::{Buffer, Gpu, Launch, word};
use crate::error::Result;
use crate::kernels::{Control, Order, Series};

/// The most steps that are recorded together. More would only make recordings larger: the host's share is small
/// by then.
pub const STEPS_IN_A_RECORDING: usize = 32;

/// A part of a training step, and a launch that belongs to it.
pub type StepLaunch = (Part, Launch);

/// A way to take training steps.
pub trait TrainingStep: Debug + Send {
    /// The launches that leave the gradient of a batch's mean loss in [`Buffers::gradient`], each sample's loss in
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

/// The device memory of a training run, whatever the data.
#[derive(Debug, Clone)]
pub struct Buffers {
    /// The control block, which says where the run is: see `control.cuh`.
    pub control: Buffer<u32>,
    /// All weights, in the model's layout.
    pub weights: Buffer<f32>,
    /// The optimiser's slots, each in the same layout.
    pub slots: Vec<Buffer<f32>>,
    /// The gradient, in the same layout.
    pub gradient: Buffer<f32>,
    /// The memory for clipping the gradient, if the optimiser clips it.
    pub clipping: Option<ClippingBuffers>,
}

impl Buffers {
    /// Lays out the memory of a plan, all zero.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn zeros(device: &Arc<Gpu>, plan: &Plan) -> Result<Self> {
        let zeros = || Buffer::zeros(device, plan.layout.len());
        let clips = plan.optimizer.common().clipping().is_some();
        Ok(Self {
            control: Buffer::zeros(device, Control::WORDS)?,
            weights: zeros()?,
            slots: plan.optimizer.slots().iter().map(|_| zeros()).collect::<Result<_>>()?,
            gradient: zeros()?,
            clipping: clips.then(|| ClippingBuffers::new(device, &plan.layout)).transpose()?,
        })
    }
}

/// The device memory for clipping a gradient.
#[derive(Debug, Clone)]
pub struct ClippingBuffers {
    /// The clipped gradient.
    pub clipped: Buffer<f32>,
    /// Where each tensor begins in the gradient, and where the last one ends.
    pub bounds: Buffer<u32>,
    /// The sum of squares of each tensor.
    pub sums: Buffer<f64>,
    /// The length of the longest tensor.
    pub longest: usize,
}

impl ClippingBuffers {
    fn new(device: &Arc<Gpu>, layout: &WeightLayout) -> Result<Self> {
        let ranges = || layout.tensors().iter().map(|tensor| tensor.range.clone());
        let bounds: Vec<u32> = ranges().map(|range| word(range.start)).chain([word(layout.len())]).collect();
        Ok(Self {
            clipped: Buffer::zeros(device, layout.len())?,
            bounds: Buffer::of(device, &bounds)?,
            sums: Buffer::zeros(device, layout.tensors().len())?,
            longest: ranges().map(|range| range.len()).max().unwrap_or(0),
        })
    }
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

/// The factors of the optimiser's steps, which the host computes: a step for each batch of an epoch.
#[derive(Debug)]
pub struct Rates {
    /// The factor of each step, see [`Optimizer::rate`].
    pub steps: Buffer<f32>,
    /// The learning rate of each step, if the weights decay by it.
    pub learning: Option<Buffer<f32>>,
}

impl Rates {
    /// Room for so many steps.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn zeros(device: &Arc<Gpu>, optimizer: &Optimizer, steps: usize) -> Result<Self> {
        let zeros = || Buffer::zeros(device, steps);
        let decays = optimizer.common().weight_decay.is_some();
        Ok(Self { steps: zeros()?, learning: decays.then(zeros).transpose()? })
    }

    /// Writes the factors of so many steps, after those that are `done`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn write(&self, optimizer: &Optimizer, done: u64, steps: usize) -> Result<()> {
        let steps = done + 1..=done + steps as u64;
        self.steps.write(&steps.clone().map(|step| optimizer.rate(step)).collect::<Vec<_>>())?;
        match &self.learning {
            None => Ok(()),
            Some(learning) => {
                let rate = optimizer.learning_rate();
                learning.write(&steps.map(|step| rate.at(step)).collect::<Vec<_>>())
            }
        }
    }
}
