//! A training run on a device that launches kernels.
//!
//! All that a step needs is on the device: weights, moments, samples, the epoch's order. An epoch is recorded
//! once, up to [`STEPS_IN_A_RECORDING`] steps at a time, and replayed; the host looks at the end, when the losses
//! come back. A loss that is not finite stops the run on the device itself, where it is, and is then located as
//! on any other backend.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use glassbox_engine::backend::{
    BatchEnd, Dataset, Epoch, Plan, Session, State, check_prediction, locate_non_finite,
};
use glassbox_engine::losses::Loss;
use glassbox_engine::profile::{Part, StepProfile};
use glassbox_engine::samples::Samples;
use glassbox_engine::{Result, When};

use crate::data::Uploads;
use crate::device::{Buffer, Gpu, Launch, Mark, Recording};
use crate::fused::{FusedScoring, FusedStep, Tuning, Tunings};
use crate::kernels::{At, Buffers, Control, Kernels, Rates, Series, require_launchable};
use crate::plain::{PlainScoring, PlainStep, require_runnable};
use crate::step::{EpochBuffers, STEPS_IN_A_RECORDING, Scoring, TrainingStep};

/// A model on a device.
pub(crate) struct CudaSession {
    plan: Plan,
    device: Arc<Gpu>,
    kernels: Arc<Kernels>,
    buffers: Buffers,
    training: Box<dyn TrainingStep>,
    uploads: Uploads,
    /// Training steps taken.
    step: u64,
    /// The data that was trained on last, and the launches that take so many steps on it, by their number.
    epoch: Option<(EpochBuffers, BTreeMap<usize, Recording>)>,
    plain: PlainScoring,
    fused: Option<FusedScoring>,
    /// The tuning of fused scoring until it is first needed: whether it fits is known once it was compiled.
    undecided: Option<Tuning>,
}

impl CudaSession {
    /// Lays out all memory of a plan. Training and scoring are fused where they fit, if there are `tunings` for it.
    pub(crate) fn new(
        plan: Plan,
        device: &Arc<Gpu>,
        kernels: &Arc<Kernels>,
        tunings: Option<Tunings>,
    ) -> Result<Self> {
        require_runnable(&plan)?;
        // On the host; the device says itself what it has not the memory for.
        plan.require_room(size_of::<f32>(), Some(0), 1, 0)?;
        let buffers = Buffers::zeros(device, &plan)?;
        let fused = tunings.map(|tunings| FusedStep::new(device, &plan, &buffers, tunings.step));
        let training: Box<dyn TrainingStep> = match fused.transpose()?.flatten() {
            Some(fused) => Box::new(fused),
            None => Box::new(PlainStep::new(device, kernels, &plan, &buffers)?),
        };
        Ok(Self {
            plain: PlainScoring::new(device, kernels, &plan, &buffers.weights)?,
            fused: None,
            undecided: tunings.map(|tunings| tunings.scoring),
            plan,
            device: Arc::clone(device),
            kernels: Arc::clone(kernels),
            uploads: Uploads::default(),
            buffers,
            training,
            step: 0,
            epoch: None,
        })
    }

    /// The samples on the device.
    fn upload(&mut self, samples: &Samples<'_, f32>) -> Result<Series> {
        Ok(self.uploads.series(&self.device, samples)?)
    }

    /// Scoring in one launch, if it fits.
    fn scoring(&mut self) -> Result<&mut dyn Scoring> {
        if let Some(tuning) = self.undecided {
            self.fused = FusedScoring::new(&self.device, &self.plan, &self.buffers.weights, tuning)?;
            self.undecided = None;
        }
        Ok(match &mut self.fused {
            Some(fused) => fused,
            None => &mut self.plain,
        })
    }

    /// Brings an epoch's data to the device: the recordings that are there stay good if it is the same data, and
    /// no longer an epoch.
    fn enter(&mut self, data: &Dataset<'_, f32>, order: &[u32], batch_size: usize) -> Result<()> {
        data.check(&self.plan)?;
        require_launchable("an epoch", order.len())?;
        for index in order {
            assert!((*index as usize) < data.len(), "sample {index} of {}", data.len());
        }
        let (samples, batches) = (order.len(), order.len().div_ceil(batch_size));
        let (x, y) = (self.upload(&data.x)?, self.upload(&data.y)?);
        let fits = self.epoch.as_ref().is_some_and(|(data, _)| {
            let room = data.order.as_ref().map_or(0, Buffer::len);
            data.x == x && data.y == y && room >= samples && data.means.len() >= batches
        });
        if !fits {
            let device = &self.device;
            let data = EpochBuffers {
                order: Some(Buffer::zeros(device, samples)?),
                losses: Buffer::zeros(device, samples)?,
                means: Buffer::zeros(device, batches)?,
                rates: Rates::zeros(device, &self.plan.optimizer, batches)?,
                x,
                y,
            };
            self.epoch = Some((data, BTreeMap::new()));
        }
        let control = Control { samples, batch: batch_size, step: self.step };
        self.buffers.control.write(&control.words())?;
        let data = self.data();
        data.rates.write(&self.plan.optimizer, self.step, batches)?;
        if let Some(to) = &data.order {
            to.write(order)?;
        }
        Ok(())
    }

    /// The data that was entered.
    fn data(&self) -> &EpochBuffers {
        &self.epoch.as_ref().expect("an epoch was entered").0
    }

    /// Takes all steps of the epoch that was entered: records what is not recorded yet, and replays it.
    fn take_steps(&mut self, batches: usize) -> Result<()> {
        let Self { device, kernels, buffers, training, epoch, .. } = self;
        let (data, recordings) = epoch.as_mut().expect("an epoch was entered");
        let mut left = batches;
        while left > 0 {
            let steps = left.min(STEPS_IN_A_RECORDING);
            let recording = match recordings.entry(steps) {
                Entry::Occupied(recorded) => recorded.into_mut(),
                Entry::Vacant(place) => {
                    let launches = (0..steps as u32).flat_map(|within| training.launches(data, within, true));
                    let mut launches: Vec<Launch> = launches.map(|(_, launch)| launch).collect();
                    launches.push(kernels.advance(&buffers.control, steps as u32));
                    place.insert(device.record(&launches)?)
                }
            };
            device.replay(recording)?;
            left -= steps;
        }
        Ok(())
    }
}

impl Session<f32> for CudaSession {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn state(&self) -> Result<State<f32>> {
        Ok(State {
            weights: self.buffers.weights.to_vec()?,
            slots: self.buffers.slots.iter().map(Buffer::to_vec).collect::<Result<_, _>>()?,
            step: self.step,
        })
    }

    fn set_state(&mut self, state: &State<f32>) -> Result<()> {
        state.check(&self.plan)?;
        self.buffers.weights.write(&state.weights)?;
        for (slot, values) in self.buffers.slots.iter().zip(&state.slots) {
            slot.write(values)?;
        }
        self.step = state.step;
        Ok(())
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.plan.optimizer.set_learning_rate(rate);
    }

    fn compute_gradient(&mut self, data: &Dataset<'_, f32>, batch: &[u32]) -> Result<f64> {
        assert!(batch.len() <= self.plan.batch_size, "a batch of {}", batch.len());
        if batch.is_empty() {
            // The mean of nothing, as everywhere.
            self.buffers.gradient.write(&vec![0.0; self.plan.layout.len()])?;
            return Ok(f64::NAN);
        }
        self.enter(data, batch, batch.len())?;
        for (_, launch) in self.training.launches(self.data(), 0, false) {
            self.device.launch(&launch)?;
        }
        let mut mean = [0.0];
        self.data().means.read(&mut mean)?;
        Ok(mean[0])
    }

    fn profile_step(&mut self, data: &Dataset<'_, f32>, batch: &[u32]) -> Result<StepProfile> {
        assert!(!batch.is_empty() && batch.len() <= self.plan.batch_size, "a batch of {}", batch.len());
        self.enter(data, batch, batch.len())?;
        let launches = self.training.launches(self.data(), 0, true);
        let mut marks = vec![self.device.mark()?];
        for (_, launch) in &launches {
            self.device.launch(launch)?;
            marks.push(self.device.mark()?);
        }
        let between = |pair: &[Mark]| self.device.elapsed(&pair[0], &pair[1]);
        let times = marks.windows(2).map(between).collect::<Result<Vec<_>, _>>()?;
        let mut mean = [0.0];
        self.data().means.read(&mut mean)?;
        self.step += 1;
        let times: Vec<(Part, Duration)> = launches.iter().map(|(part, _)| *part).zip(times).collect();
        Ok(StepProfile::measured(mean[0], batch.len(), self.plan.training.lines.len(), &times))
    }

    fn gradient(&self) -> Result<Vec<f32>> {
        Ok(self.buffers.gradient.to_vec()?)
    }

    fn set_gradient(&mut self, gradient: &[f32]) -> Result<()> {
        self.plan.layout.require_len(gradient.len())?;
        Ok(self.buffers.gradient.write(gradient)?)
    }

    fn update(&mut self) -> Result<()> {
        // Afresh: a loss that was not finite does not keep a caller from going on.
        let control = Control { samples: 1, batch: 1, step: self.step };
        self.buffers.control.write(&control.words())?;
        let optimizer = &self.plan.optimizer;
        let rates = Rates::zeros(&self.device, optimizer, 1)?;
        rates.write(optimizer, self.step, 1)?;
        let at = At { control: self.buffers.control.clone(), within: 0, samples: 1 };
        for launch in self.kernels.update(&at, optimizer, &self.buffers, &rates) {
            self.device.launch(&launch)?;
        }
        self.step += 1;
        Ok(())
    }

    fn train_epoch(
        &mut self,
        data: &Dataset<'_, f32>,
        epoch: &Epoch<'_>,
        on_batch: &mut (dyn FnMut(BatchEnd) + Send),
    ) -> Result<f64> {
        let Epoch { order, batch_size, .. } = *epoch;
        assert!(batch_size <= self.plan.batch_size, "batches of {batch_size}");
        let batches = order.len().div_ceil(batch_size);
        self.enter(data, order, batch_size)?;
        self.take_steps(batches)?;
        let mut means = vec![0.0; batches];
        self.data().means.read(&mut means)?;

        let (mut sum, mut samples) = (0.0, 0);
        for (index, (batch, loss)) in order.chunks(batch_size).zip(means).enumerate() {
            if !loss.is_finite() {
                // The device has left the state as it was before this batch.
                let when = When { epoch: epoch.epoch + 1, batch: Some(index + 1) };
                return Err(locate_non_finite(self, data, batch, loss, when));
            }
            self.step += 1;
            sum += loss * batch.len() as f64;
            samples += batch.len();
            on_batch(BatchEnd { batch: index, batches, samples, loss: sum / samples as f64 });
        }
        Ok(sum / samples as f64)
    }

    fn evaluate(&mut self, data: &Dataset<'_, f32>) -> Result<f64> {
        let mut losses = vec![0.0; data.len()];
        self.sample_losses(data, self.plan.loss, &mut losses)?;
        Ok(losses.iter().sum::<f64>() / data.len() as f64)
    }

    fn sample_losses(&mut self, data: &Dataset<'_, f32>, loss: Loss, losses: &mut [f64]) -> Result<()> {
        data.check(&self.plan)?;
        assert_eq!(losses.len(), data.len(), "a loss for each sample");
        if data.is_empty() {
            return Ok(());
        }
        let (x, y) = (self.upload(&data.x)?, self.upload(&data.y)?);
        Ok(self.scoring()?.losses(&x, &y, loss, losses)?)
    }

    fn predict(&mut self, x: &Samples<'_, f32>, y: &mut [f32]) -> Result<()> {
        check_prediction(&self.plan, x, y)?;
        if x.is_empty() {
            return Ok(());
        }
        let x = self.upload(x)?;
        Ok(self.scoring()?.predict(&x, y)?)
    }

    fn observe(&mut self, sample: &[f32], visit: &mut dyn FnMut(usize, &[f32])) -> Result<()> {
        let program = &self.plan.inference;
        let len = program.values[program.input.index()].len();
        assert_eq!(sample.len(), len, "a sample of the model's input");
        Ok(self.plain.observe(sample, visit)?)
    }
}
