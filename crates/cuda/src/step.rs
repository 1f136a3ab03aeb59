//! What a training step is made of, whoever makes it.
//!
//! There are two kinds. The plain step ([`crate::plain`]) is a launch for each line of the program and takes any
//! model. The fused step takes a whole window through the network in one block's shared memory; it is made for
//! models that fit there. The session asks neither what is in it.

use std::fmt::Debug;

use glassbox_engine::profile::Part;

use crate::device::{Buffer, Launch};
use crate::kernels::{Order, Series};

/// The most steps that are recorded together. More would only make recordings larger: the host's share is small
/// by then.
pub const STEPS_IN_A_RECORDING: usize = 32;

/// A launch, and the part of a training step that it is.
#[derive(Debug)]
pub struct Work {
    /// The part.
    pub part: Part,
    /// The launch.
    pub launch: Launch,
}

/// How training steps are taken.
pub trait TrainingStep: Debug + Send {
    /// The launches that leave the gradient of a batch's mean loss in [`Buffers::gradient`], each sample's loss in
    /// [`Data::losses`], and the batch's mean in [`Data::means`]. `within` is the step's place in a recording.
    fn gradient(&self, data: &Data, within: u32) -> Vec<Work>;

    /// The launches of a whole step: the same gradient to the bit, and the optimiser's step.
    fn step(&self, data: &Data, within: u32) -> Vec<Work>;
}

/// The device memory of a training run, whatever the data.
#[derive(Debug, Clone)]
pub struct Buffers {
    /// Where the run is: see `control.cuh`.
    pub control: Buffer<u32>,
    /// All weights, in the model's layout.
    pub weights: Buffer<f32>,
    /// What the optimiser keeps, each in the same layout.
    pub slots: Vec<Buffer<f32>>,
    /// The gradient, in the same layout.
    pub gradient: Buffer<f32>,
}

/// The device memory of an epoch.
#[derive(Debug)]
pub struct Data {
    /// What the model reads.
    pub x: Series,
    /// What it should give.
    pub y: Series,
    /// The samples of the epoch, in order.
    pub order: Order,
    /// A loss for each sample of the epoch.
    pub losses: Buffer<f64>,
    /// The mean loss of each batch.
    pub means: Buffer<f64>,
    /// Adam's alpha for each batch.
    pub alphas: Buffer<f32>,
}
