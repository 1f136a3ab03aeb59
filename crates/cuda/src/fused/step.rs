//! A training step in two launches. Making a launch is `unsafe`: its arguments are checked against what the kernels of
//! `kernels/fused_step.cu` read and write.
#![allow(unsafe_code)]

use glassbox_engine::backend::Plan;
use glassbox_engine::optimizers::Adam;
use glassbox_engine::profile::Part;
use glassbox_engine::random::{Purpose, Stream};

use super::{FILES, Tuning, Windows, adam, compile};
use crate::device::{Buffer, Function, Gpu, Launch, args, word};
use crate::error::Result;
use crate::kernels::{Buffers, factors, require};
use crate::step::{EpochBuffers, StepLaunch, TrainingStep};

/// Weights, and rows at once, of a block of `fused_update`.
const UPDATE: [u32; 2] = [32, 8];

/// A training step in two launches.
#[derive(Debug)]
pub struct FusedStep {
    gradient: Function,
    update: Function,
    windows: Windows,
    batch_size: usize,
    buffers: Buffers,
    /// The sums of each block.
    partials: Buffer<f32>,
    adam: Adam,
    seed: u64,
}

impl FusedStep {
    /// Compiles the step for a plan; `None` if the plan does not fit the device.
    ///
    /// # Errors
    /// If the kernels cannot be compiled or loaded, or there is not enough device memory.
    pub fn new(device: &Gpu, plan: &Plan, buffers: &Buffers, tuning: Tuning) -> Result<Option<Self>> {
        let Ok(adam) = adam(plan) else { return Ok(None) };
        let Some((module, windows)) = compile(device, FILES[0], &plan.training, plan, tuning)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            gradient: device.function(&module, "fused_gradient")?,
            update: device.function(&module, "fused_update")?,
            batch_size: plan.batch_size,
            buffers: buffers.clone(),
            partials: Buffer::undefined(device, windows.blocks(plan.batch_size) * plan.layout.len())?,
            windows,
            adam,
            seed: plan.seed,
        }))
    }

    /// `fused_gradient`: each window's loss, and the sums of the gradient of each block.
    fn launch_gradient(&self, data: &EpochBuffers, within: u32) -> Launch {
        let Self { buffers: Buffers { control, weights, .. }, partials, .. } = self;
        let EpochBuffers { x, y, order, losses, .. } = data;
        x.require(self.windows.x_len);
        y.require(self.windows.y_len);
        let ([key_0, key_1], _) = Stream::new(self.seed, Purpose::Dropout, 0, 0).words();
        let args = args![control, within, order, x, y, weights, key_0, key_1, partials, losses];
        // SAFETY: the series have every sample that there is, and the order names those only, as the session sees
        // to; a loss for each sample of the epoch; a row of sums for each block, and all weights. The kernel was
        // compiled for the plan's shapes and takes this much shared memory.
        unsafe { self.windows.launch(&self.gradient, self.batch_size, args) }
    }

    /// `fused_update`: the gradient and the mean loss of the batch, and Adam's step if it is to be taken.
    fn launch_update(&self, data: &EpochBuffers, within: u32, take_step: bool) -> Launch {
        let Self { buffers: Buffers { control, weights, slots, gradient, .. }, partials, .. } = self;
        let EpochBuffers { losses, means, rates, .. } = data;
        let [m, v] = slots.as_slice() else { panic!("the moments of Adam") };
        let (len, blocks) = (weights.len(), self.windows.blocks(self.batch_size));
        require([m, v, gradient].iter().all(|slot| slot.len() >= len), "a gradient and two moments a weight");
        require(partials.len() >= blocks * len, "sums of all blocks");
        let adam = factors(&self.adam);
        let args = args![
            control,
            within,
            partials,
            losses,
            blocks,
            gradient,
            means,
            take_step,
            rates.steps,
            weights,
            m,
            v,
            adam
        ];
        let grid = [word(len).div_ceil(UPDATE[0]).max(1), 1];
        // SAFETY: as above; and a mean and a rate for each batch of the epoch.
        unsafe { Launch::new(&self.update, grid, UPDATE, 0, args) }
    }
}

impl TrainingStep for FusedStep {
    fn launches(&self, data: &EpochBuffers, within: u32, update: bool) -> Vec<StepLaunch> {
        let reduction = if update { Part::Update } else { Part::Reduction };
        vec![
            (Part::Fused, self.launch_gradient(data, within)),
            (reduction, self.launch_update(data, within, update)),
        ]
    }
}
