//! Programs as launches of the plain kernels: one for each line, over all samples of a batch.

mod limits;
mod lower;
mod score;

use std::sync::Arc;

use glassbox_engine::backend::Plan;
use glassbox_engine::optimizers::Adam;
use glassbox_engine::profile::Part;

use crate::device::{Buffer, Gpu};
use crate::error::Result;
use crate::kernels::{At, Kernels, Partials};
use crate::step::{Buffers, EpochBuffers, StepLaunch, TrainingStep};
pub(crate) use limits::require_runnable;
use lower::Lowered;
pub(crate) use score::PlainScoring;

/// A training step, a launch for each line of the program.
#[derive(Debug)]
pub struct PlainStep {
    kernels: Arc<Kernels>,
    program: Lowered,
    buffers: Buffers,
    partials: Partials,
    adam: Adam,
}

impl PlainStep {
    /// Lays out all values of a batch.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(
        device: &Arc<Gpu>,
        kernels: &Arc<Kernels>,
        plan: &Plan,
        buffers: &Buffers,
        adam: Adam,
    ) -> Result<Self> {
        let (Buffers { control, weights, .. }, batch) = (buffers, plan.batch_size);
        Ok(Self {
            kernels: Arc::clone(kernels),
            program: Lowered::new(device, kernels, plan, &plan.training, batch, control, weights)?,
            partials: Partials::new(device, batch, weights.len())?,
            buffers: buffers.clone(),
            adam,
        })
    }
}

impl TrainingStep for PlainStep {
    fn gradient(&self, data: &EpochBuffers, within: u32) -> Vec<StepLaunch> {
        let Self { kernels, program, buffers, partials, .. } = self;
        let at = program.at(within);
        let mut launches = program.pack();
        launches.push(StepLaunch { part: Part::Clearing, launch: kernels.clear(partials) });
        launches.push(program.gather(&at, &data.x, &data.order));
        launches.extend(program.lines(&at, Some((partials, data))));
        let reduction = [
            kernels.sum_parts(&at, partials, &buffers.gradient),
            kernels.mean_loss(&at, &data.losses, &data.means),
        ];
        launches.extend(reduction.map(|launch| StepLaunch { part: Part::Reduction, launch }));
        launches
    }

    fn step(&self, data: &EpochBuffers, within: u32) -> Vec<StepLaunch> {
        let mut launches = self.gradient(data, within);
        let at = self.program.at(within);
        launches.push(update(&self.kernels, &at, &self.adam, &self.buffers, &data.alphas));
        launches
    }
}

/// Adam's step.
pub(crate) fn update(
    kernels: &Kernels,
    at: &At,
    adam: &Adam,
    buffers: &Buffers,
    alphas: &Buffer<f32>,
) -> StepLaunch {
    let Buffers { weights, slots: [m, v], gradient, .. } = buffers;
    StepLaunch { part: Part::Update, launch: kernels.adam(at, adam, [gradient, weights, m, v], alphas) }
}
