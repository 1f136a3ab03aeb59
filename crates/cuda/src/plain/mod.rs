//! Programs as launches of the plain kernels: one for each line, over all samples of a batch.

mod epilogue;
mod lower;
mod memory;

use std::sync::Arc;

use glassbox_engine::backend::Plan;
use glassbox_engine::losses::Loss;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::profile::Part;
use glassbox_engine::program::Value;

use crate::device::{Buffer, Gpu};
use crate::error::Result;
use crate::kernels::{At, Kernels, Order, Partials, Parts, Series};
use crate::step::{Buffers, Data, TrainingStep, Work};
use lower::Lowered;
pub(crate) use memory::require_runnable;

/// A training step, a launch for each line of the program.
#[derive(Debug)]
pub struct PlainStep {
    kernels: Arc<Kernels>,
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
        let (parts, weights) = (Parts::of(plan.batch_size), plan.layout.len());
        Ok(Self {
            kernels: Arc::clone(kernels),
            program: Lowered::new(device, kernels, &plan.training, plan, plan.batch_size)?,
            buffers: buffers.clone(),
            partials: Partials { values: Buffer::undefined(device, parts.count * weights)?, parts, weights },
            optimizer: plan.optimizer.clone(),
        })
    }

    fn at(&self, within: u32) -> At {
        self.program.at(&self.buffers.control, within)
    }
}

impl TrainingStep for PlainStep {
    fn gradient(&self, data: &Data, within: u32) -> Vec<Work> {
        let Self { kernels, program, buffers, partials, .. } = self;
        let at = self.at(within);
        let mut work = program.pack(&buffers.weights);
        work.push(Work { part: Part::Clearing, launch: kernels.clear(partials) });
        work.push(program.gather(&at, &data.x, &data.order));
        work.extend(program.lines(&at, &buffers.weights, Some((partials, data))));
        let reduction = [
            kernels.sum_parts(&at, partials, &buffers.gradient),
            kernels.mean_loss(&at, &data.losses, &data.means),
        ];
        work.extend(reduction.map(|launch| Work { part: Part::Reduction, launch }));
        work
    }

    fn step(&self, data: &Data, within: u32) -> Vec<Work> {
        let mut work = self.gradient(data, within);
        work.push(update(&self.kernels, &self.at(within), &self.optimizer, &self.buffers, &data.alphas));
        work
    }
}

/// The optimiser's step.
pub(crate) fn update(
    kernels: &Kernels,
    at: &At,
    optimizer: &Optimizer,
    buffers: &Buffers,
    alphas: &Buffer<f32>,
) -> Work {
    let launch = match (optimizer, buffers.slots.as_slice()) {
        (Optimizer::Adam(adam), [m, v]) => {
            kernels.adam(at, adam, &buffers.gradient, [&buffers.weights, m, v], alphas)
        }
        (other, slots) => panic!("{other:?} with {} slots: no kernel takes its step", slots.len()),
    };
    Work { part: Part::Update, launch }
}

/// Inference, a launch for each line of the program.
#[derive(Debug)]
pub(crate) struct Inference {
    kernels: Arc<Kernels>,
    program: Lowered,
    /// Where it is: its own, so that a look at the validation data does not disturb training.
    control: Buffer<u32>,
    weights: Buffer<f32>,
    input: Value,
    output: Value,
}

impl Inference {
    /// Lays out all values of a batch of `samples`.
    pub(crate) fn new(
        device: &Arc<Gpu>,
        kernels: &Arc<Kernels>,
        plan: &Plan,
        samples: usize,
        weights: &Buffer<f32>,
    ) -> Result<Self> {
        let program = &plan.inference;
        Ok(Self {
            kernels: Arc::clone(kernels),
            program: Lowered::new(device, kernels, program, plan, samples)?,
            control: Buffer::zeros(device, crate::kernels::Control::WORDS)?,
            weights: weights.clone(),
            input: program.input,
            output: program.output,
        })
    }

    /// Samples in a batch, at most.
    pub(crate) fn samples(&self) -> usize {
        self.program.samples()
    }

    pub(crate) fn control(&self) -> &Buffer<u32> {
        &self.control
    }

    /// The values of a batch, sample by sample.
    pub(crate) fn value(&self, value: Value) -> &Buffer<f32> {
        self.program.value(value)
    }

    pub(crate) fn input(&self) -> &Buffer<f32> {
        self.value(self.input)
    }

    pub(crate) fn output(&self) -> &Buffer<f32> {
        self.value(self.output)
    }

    /// The kernels in the order in which the program reads them; to be launched after each change of the weights.
    pub(crate) fn pack(&self) -> Vec<Work> {
        self.program.pack(&self.weights)
    }

    /// From samples to predictions.
    pub(crate) fn predict(&self, x: &Series, order: &Order, within: u32) -> Vec<Work> {
        let at = self.program.at(&self.control, within);
        let mut work = vec![self.program.gather(&at, x, order)];
        work.extend(self.program.lines(&at, &self.weights, None));
        work
    }

    /// From what is in [`Inference::input`] to all values.
    pub(crate) fn run(&self) -> Vec<Work> {
        let at = self.program.at(&self.control, 0);
        self.program.lines(&at, &self.weights, None)
    }

    /// From samples to the loss of each.
    pub(crate) fn losses(
        &self,
        loss: Loss,
        [x, y]: [&Series; 2],
        losses: &Buffer<f64>,
        within: u32,
    ) -> Vec<Work> {
        let at = self.program.at(&self.control, within);
        let mut work = self.predict(x, &None, within);
        let len = self.program.len(self.output);
        let launch = self.kernels.loss(&at, loss, self.output(), y, &None, losses, None, len);
        work.push(Work { part: Part::Reduction, launch });
        work
    }
}
