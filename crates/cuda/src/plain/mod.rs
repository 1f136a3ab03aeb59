//! Programs as launches of the plain kernels: one for each line, over all samples of a batch.

mod limits;
mod lower;
mod score;

use std::sync::Arc;

use glassbox_engine::backend::Plan;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::profile::Part;

use crate::device::Gpu;
use crate::error::Result;
use crate::kernels::{Buffers, Kernels, Partials};
use crate::step::{EpochBuffers, StepLaunch, TrainingStep};
pub(crate) use limits::require_runnable;
use lower::Lowered;
pub(crate) use score::PlainScoring;

/// A training step, a launch for each line of the program.
#[derive(Debug)]
pub struct PlainStep {
    program: Lowered,
    buffers: Buffers,
    partials: Partials,
    optimizer: Optimizer,
}

impl PlainStep {
    /// Lays out all values of a batch.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(device: &Arc<Gpu>, kernels: &Arc<Kernels>, plan: &Plan, buffers: &Buffers) -> Result<Self> {
        let (Buffers { control, weights, .. }, batch) = (buffers, plan.batch_size);
        Ok(Self {
            program: Lowered::new(device, kernels, plan, &plan.training, batch, control, weights)?,
            partials: Partials::new(device, batch, weights.len())?,
            buffers: buffers.clone(),
            optimizer: plan.optimizer.clone(),
        })
    }
}

impl TrainingStep for PlainStep {
    fn launches(&self, data: &EpochBuffers, within: u32, update: bool) -> Vec<StepLaunch> {
        let Self { program, buffers, partials, optimizer } = self;
        let kernels = &program.kernels;
        let EpochBuffers { x, order, losses, means, rates, .. } = data;
        let at = program.at(within);
        let mut launches = program.pack();
        launches.push((Part::Clearing, kernels.clear(partials)));
        launches.push(program.gather(&at, x, order));
        launches.extend(program.lines(&at, Some((partials, data))));
        launches.push((Part::Reduction, kernels.sum_parts(&at, partials, &buffers.gradient)));
        launches.push((Part::Reduction, kernels.mean_loss(&at, losses, means)));
        if update {
            let update = kernels.update(&at, optimizer, buffers, rates);
            launches.extend(update.into_iter().map(|launch| (Part::Update, launch)));
        }
        launches
    }
}
