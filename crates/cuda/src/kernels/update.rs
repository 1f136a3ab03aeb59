//! The update of the weights: its memory, and its launches.

use std::ops::Range;
use std::sync::Arc;

use glassbox_engine::backend::Plan;
use glassbox_engine::model::WeightLayout;
use glassbox_engine::optimizers::{AdamW, Clipping, Optimizer, RMSprop, SGD};

use super::{At, Control, Kernels, SUM_THREADS, factors, over, per_sample, require};
use crate::device::{Buffer, Gpu, Launch, args, word};
use crate::error::Result;

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
    /// The weights that are trained.
    pub trained: Vec<Range<usize>>,
    /// The other weights, of which moving statistics change.
    pub untrained: Vec<Range<usize>>,
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
            trained: plan.layout.trained().collect(),
            untrained: plan.layout.untrained().collect(),
            clipping: clips.then(|| ClippingBuffers::new(device, &plan.layout)).transpose()?,
        })
    }
}

/// The device memory for clipping a gradient.
#[derive(Debug, Clone)]
pub struct ClippingBuffers {
    /// The clipped gradient.
    pub clipped: Buffer<f32>,
    /// Where each tensor that is trained begins in the gradient, and where it ends.
    pub bounds: Buffer<u32>,
    /// The sum of squares of each tensor.
    pub sums: Buffer<f64>,
    /// The length of the longest tensor.
    pub longest: usize,
}

impl ClippingBuffers {
    fn new(device: &Arc<Gpu>, layout: &WeightLayout) -> Result<Self> {
        let trained = layout.tensors().iter().filter(|tensor| tensor.trained);
        let ranges: Vec<Range<usize>> = trained.map(|tensor| tensor.range.clone()).collect();
        let bounds: Vec<u32> = ranges.iter().flat_map(|range| [word(range.start), word(range.end)]).collect();
        Ok(Self {
            clipped: Buffer::zeros(device, layout.len())?,
            bounds: Buffer::of(device, &bounds)?,
            sums: Buffer::zeros(device, ranges.len())?,
            longest: ranges.iter().map(Range::len).max().unwrap_or(0),
        })
    }
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

impl Kernels {
    /// The optimiser's step, for all weights.
    pub fn update(&self, at: &At, optimizer: &Optimizer, buffers: &Buffers, rates: &Rates) -> Vec<Launch> {
        let Buffers { control, weights, slots, gradient, clipping, trained, untrained } = buffers;
        let len = weights.len();
        require(gradient.len() >= len, "a gradient for each weight");
        require(slots.len() == optimizer.slots().len(), "the optimiser's slots");
        require(slots.iter().all(|slot| slot.len() >= len), "slots for each weight");
        // The gradient of a moving statistic is its change.
        let mut launches: Vec<Launch> = untrained
            .iter()
            .map(|range| {
                let [change, weights] = [gradient, weights].map(|buffer| buffer.part(range.clone()));
                // SAFETY: a change for each of these weights.
                unsafe { over(&self.shift, range.len(), args![control, &change, &weights, range.len()]) }
            })
            .collect();
        let mut gradient = gradient;
        if let Some(kind) = optimizer.common().clipping() {
            let clipping = clipping.as_ref().expect("a session lays out what its optimiser needs");
            launches.extend(self.clip(kind, gradient, clipping));
            gradient = &clipping.clipped;
        }
        if let Some(decay) = optimizer.common().weight_decay {
            require(rates.learning.is_some(), "learning rates, by which the weights decay");
            launches.extend(trained.iter().map(|range| {
                let weights = weights.part(range.clone());
                let args = args![at, &weights, range.len(), rates.learning.as_ref(), decay as f32];
                // SAFETY: a learning rate for each batch of the epoch: the session sees to that.
                unsafe { over(&self.decay, range.len(), args) }
            }));
        }
        launches.extend(trained.iter().map(|range| {
            let part = |buffer: &Buffer<f32>| buffer.part(range.clone());
            let slots: Vec<_> = slots.iter().map(part).collect();
            self.step(at, optimizer, [&part(gradient), &part(weights)], &slots, &rates.steps)
        }));
        launches
    }

    /// The optimiser's step, for some of the weights.
    fn step(
        &self,
        at: &At,
        optimizer: &Optimizer,
        [gradient, weights]: [&Buffer<f32>; 2],
        slots: &[Buffer<f32>],
        rates: &Buffer<f32>,
    ) -> Launch {
        let len = weights.len();
        // Null if the optimiser does not have it, as its kernel is told.
        let slot = |name| optimizer.slots().iter().position(|slot| *slot == name).map(|index| &slots[index]);
        let (kernel, args) = match optimizer {
            Optimizer::Adam(adam) | Optimizer::AdamW(AdamW(adam)) => {
                let [rest_1, rest_2, epsilon] = factors(adam);
                let (m, v, v_hat) = (slot("m"), slot("v"), slot("v_hat"));
                let slots = args![m, v, v_hat, v_hat.is_some()];
                let numbers = args![len, rates, rest_1, rest_2, epsilon];
                (&self.adam, [args![at, gradient, weights], slots, numbers].concat())
            }
            Optimizer::RMSprop(rmsprop) => {
                let RMSprop { rho, momentum, epsilon, .. } = *rmsprop;
                let [rho, rest, momentum, epsilon] = [rho, 1.0 - rho, momentum, epsilon].map(|f| f as f32);
                let (v, m, a) = (slot("velocity"), slot("momentum"), slot("average_gradient"));
                let slots = args![v, m, m.is_some(), a, a.is_some()];
                let numbers = args![len, rates, rho, rest, momentum, epsilon];
                (&self.rmsprop, [args![at, gradient, weights], slots, numbers].concat())
            }
            Optimizer::SGD(SGD { momentum, nesterov, .. }) => {
                let (m, momentum) = (slot("momentum"), *momentum as f32);
                (&self.sgd, args![at, gradient, weights, m, m.is_some(), len, rates, momentum, *nesterov])
            }
            other => unreachable!("{}, which the session refuses", other.class_name()),
        };
        // SAFETY: a gradient and slots of these weights, and a rate for each batch of the epoch: the session sees to that.
        unsafe { over(kernel, len, args) }
    }

    /// Clips the gradient.
    fn clip(&self, kind: Clipping, gradient: &Buffer<f32>, to: &ClippingBuffers) -> Vec<Launch> {
        let ClippingBuffers { clipped, bounds, sums, longest } = to;
        let tensors = sums.len();
        require(gradient.len() >= clipped.len(), "a gradient for each weight");
        require(bounds.len() == 2 * tensors, "bounds of all tensors");
        let (code, by_norm, limit) = match kind {
            Clipping::Value(limit) => (1u32, false, limit),
            Clipping::Norm(limit) => (2, true, limit),
            Clipping::GlobalNorm(limit) => (3, true, limit),
        };
        let mut launches = vec![];
        if tensors == 0 {
            return launches;
        }
        if by_norm {
            let args = args![gradient, bounds, sums];
            // SAFETY: the bounds are those of the layout, in which the gradient is, and each tensor has a sum.
            launches.push(unsafe {
                Launch::new(&self.sum_squares, [word(tensors), 1], [SUM_THREADS, 1], 0, args)
            });
        }
        let numbers = args![code, limit as f32, (1.0 / limit) as f32];
        let sums = by_norm.then_some(sums);
        let args = [args![gradient, bounds, tensors, sums], numbers, args![clipped]].concat();
        // SAFETY: as above, and a clipped element for each of the gradient.
        launches.push(unsafe { per_sample(&self.clip, tensors, *longest, args) });
        launches
    }
}
