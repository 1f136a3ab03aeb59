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
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::profile::{Part, StepProfile};
use glassbox_engine::samples::Samples;
use glassbox_engine::{Error, Result, When};

use crate::data::Uploads;
use crate::device::{Buffer, Gpu, Launch, Mark, Recording};
use crate::error::DeviceError;
use crate::fused::{FusedScoring, Tuning};
use crate::kernels::{At, Control, Kernels, Series, require_launchable};
use crate::plain::{Inference, require_runnable, update};
use crate::step::{Buffers, Data, STEPS_IN_A_RECORDING, TrainingStep, Work};

/// Samples that inference takes at a time, for each multiprocessor: as many blocks of each kernel's threads as one
/// can hold, and some in waiting.
const LOOKS_PER_MULTIPROCESSOR: usize = 16;

/// Launches that take so many batches, by their number.
type Recordings = BTreeMap<usize, Recording>;

/// A model on a device.
pub(crate) struct CudaSession {
    plan: Plan,
    device: Arc<Gpu>,
    kernels: Arc<Kernels>,
    buffers: Buffers,
    training: Box<dyn TrainingStep>,
    /// Inference by the plain kernels, once somebody has asked for it.
    inference: Option<Inference>,
    uploads: Uploads,
    /// Training steps taken.
    step: u64,
    /// Of the data that was trained on last.
    epoch: Option<Recorded<Data>>,
    /// Of the data that was looked at last.
    looks: Option<Recorded<Look>>,
    scoring: Scoring,
}

/// How windows are looked at.
enum Scoring {
    /// A launch for each instruction.
    Plain,
    /// As may be: nobody has asked yet, and to find out costs a compilation.
    Open(Tuning),
    /// All in one launch.
    Fused(FusedScoring),
}

/// Recordings, and the data that they are for.
struct Recorded<T> {
    data: T,
    recordings: Recordings,
}

/// Data in inference.
struct Look {
    x: Series,
    /// The loss, the targets, and room for the loss of each sample; `None` in prediction.
    loss: Option<(Loss, Series, Buffer<f64>)>,
}

impl CudaSession {
    /// Lays out all memory of a plan. `choose` makes the training step; inference is fused where it fits, if there
    /// is a `tuning` for it.
    pub(crate) fn new(
        plan: Plan,
        device: &Arc<Gpu>,
        kernels: &Arc<Kernels>,
        tuning: Option<Tuning>,
        choose: impl FnOnce(&Plan, &Buffers) -> Result<Box<dyn TrainingStep>>,
    ) -> Result<Self> {
        require_runnable(&plan)?;
        // On the host; the device says itself what it has not the memory for.
        plan.require_room(size_of::<f32>(), Some(0), 1, 0)?;
        let weights = plan.layout.len();
        let zeros = || Buffer::zeros(device, weights);
        let buffers = Buffers {
            control: Buffer::zeros(device, Control::WORDS)?,
            weights: zeros()?,
            slots: plan.optimizer.slots().iter().map(|_| zeros()).collect::<Result<_, _>>()?,
            gradient: zeros()?,
        };
        let training = choose(&plan, &buffers)?;
        Ok(Self {
            plan,
            device: Arc::clone(device),
            kernels: Arc::clone(kernels),
            uploads: Uploads::new(device),
            buffers,
            training,
            inference: None,
            step: 0,
            epoch: None,
            looks: None,
            scoring: tuning.map_or(Scoring::Plain, Scoring::Open),
        })
    }

    /// Inference in one launch, if it fits.
    fn fused_scoring(&mut self) -> Result<Option<&mut FusedScoring>> {
        if let Scoring::Open(tuning) = self.scoring {
            let fused = FusedScoring::new(&self.device, &self.plan, &self.buffers.weights, tuning)?;
            self.scoring = fused.map_or(Scoring::Plain, Scoring::Fused);
        }
        Ok(match &mut self.scoring {
            Scoring::Fused(scoring) => Some(scoring),
            Scoring::Plain | Scoring::Open(_) => None,
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
        let batches = order.len().div_ceil(batch_size);
        let (x, y) = (self.uploads.series(&data.x)?, self.uploads.series(&data.y)?);
        let same = |series: &Series, other: &Series| {
            series.values.is(&other.values) && (series.hop, series.samples) == (other.hop, other.samples)
        };
        let fits = self.epoch.as_ref().is_some_and(|Recorded { data, .. }| {
            let room = data.order.as_ref().map_or(0, Buffer::len);
            same(&data.x, &x) && same(&data.y, &y) && room >= order.len() && data.means.len() >= batches
        });
        if !fits {
            let (device, samples) = (&self.device, order.len());
            let data = Data {
                order: Some(Buffer::zeros(device, samples)?),
                losses: Buffer::zeros(device, samples)?,
                means: Buffer::zeros(device, batches)?,
                alphas: Buffer::zeros(device, batches)?,
                x,
                y,
            };
            self.epoch = Some(Recorded { data, recordings: BTreeMap::new() });
        }
        let control = Control { samples: order.len(), batch: batch_size, step: self.step };
        self.buffers.control.write(&control.words())?;
        let Optimizer::Adam(adam) = &self.plan.optimizer else {
            return Err(unknown(&self.plan.optimizer));
        };
        let alphas: Vec<f32> = (1..=batches as u64).map(|batch| adam.alpha(self.step + batch)).collect();
        let Recorded { data, .. } = self.epoch.as_ref().expect("set above");
        data.alphas.write(&alphas)?;
        if let Some(to) = &data.order {
            to.write(order)?;
        }
        Ok(())
    }

    fn data(&self) -> &Data {
        &self.epoch.as_ref().expect("a batch was entered").data
    }

    fn launch(&self, work: &[Work]) -> Result<()> {
        work.iter().try_for_each(|work| Ok(self.device.launch(&work.launch)?))
    }

    /// Takes all steps of the epoch that was entered.
    fn take_steps(&mut self, batches: usize) -> Result<()> {
        let Self { device, kernels, buffers, training, epoch, .. } = self;
        let Recorded { data, recordings } = epoch.as_mut().expect("an epoch was entered");
        replay(device, recordings, batches, |steps| {
            let mut launches: Vec<Launch> = (0..steps as u32)
                .flat_map(|within| training.step(data, within))
                .map(|work| work.launch)
                .collect();
            launches.push(kernels.advance(&buffers.control, steps as u32));
            launches
        })
    }

    /// Brings data to the device for a look at it.
    fn look(&mut self, x: &Samples<'_, f32>, targets: Option<(Loss, &Samples<'_, f32>)>) -> Result<()> {
        require_launchable("the data", x.len())?;
        self.widen(x.len())?;
        let x = self.uploads.series(x)?;
        let targets = targets.map(|(loss, y)| Ok::<_, Error>((loss, self.uploads.series(y)?))).transpose()?;
        let same = |series: &Series, other: &Series| {
            series.values.is(&other.values) && (series.hop, series.samples) == (other.hop, other.samples)
        };
        let fits = self.looks.as_ref().is_some_and(|Recorded { data, .. }| {
            same(&data.x, &x)
                && match (&data.loss, &targets) {
                    (None, None) => true,
                    (Some((loss, y, _)), Some((other, targets))) => loss == other && same(y, targets),
                    _ => false,
                }
        });
        if !fits {
            let losses = |samples| Buffer::zeros(&self.device, samples);
            let loss = targets.map(|(loss, y)| Ok::<_, Error>((loss, y, losses(x.samples)?))).transpose()?;
            self.looks = Some(Recorded { data: Look { x, loss }, recordings: BTreeMap::new() });
        }
        let samples = self.looks.as_ref().expect("set above").data.x.samples;
        let inference = self.inference();
        let control = Control { samples, batch: inference.samples(), step: 0 };
        inference.control().write(&control.words())?;
        self.launch(&inference.pack())
    }

    /// Inference, which [`CudaSession::widen`] has laid out.
    fn inference(&self) -> &Inference {
        self.inference.as_ref().expect("it was laid out")
    }

    /// Lets inference take so many samples at a time, if the device can run as many side by side and has the memory;
    /// else fewer. A sample's prediction does not depend on its company.
    fn widen(&mut self, samples: usize) -> Result<()> {
        let most =
            (self.device.properties().multiprocessors * LOOKS_PER_MULTIPROCESSOR).max(self.plan.batch_size);
        let there = self.inference.as_ref().map_or(0, Inference::samples);
        let mut wanted = samples.clamp(1, most);
        while wanted > there {
            match Inference::new(&self.device, &self.kernels, &self.plan, wanted, &self.buffers.weights) {
                Ok(inference) => {
                    (self.inference, self.looks) = (Some(inference), None);
                    break;
                }
                Err(DeviceError::OutOfMemory { .. }) if wanted > 1 => wanted /= 2,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Runs so many batches of the data that is looked at.
    fn see(&mut self, batches: usize) -> Result<()> {
        let Self { device, kernels, inference, looks, .. } = self;
        let inference = inference.as_ref().expect("it was laid out");
        let Recorded { data, recordings } = looks.as_mut().expect("data is looked at");
        let Look { x, loss } = &*data;
        replay(device, recordings, batches, |steps| {
            let batch = |within| match loss {
                None => inference.predict(x, &None, within),
                Some((loss, y, losses)) => inference.losses(*loss, [x, y], losses, within),
            };
            let mut launches: Vec<Launch> =
                (0..steps as u32).flat_map(batch).map(|work| work.launch).collect();
            launches.push(kernels.advance(inference.control(), steps as u32));
            launches
        })
    }

    fn at(&self) -> At {
        At { control: self.buffers.control.clone(), within: 0, samples: self.plan.batch_size }
    }
}

/// Replays `batches` batches, recording what is not recorded yet.
fn replay(
    device: &Gpu,
    recordings: &mut Recordings,
    batches: usize,
    launches: impl Fn(usize) -> Vec<Launch>,
) -> Result<()> {
    let mut left = batches;
    while left > 0 {
        let steps = left.min(STEPS_IN_A_RECORDING);
        let recording = match recordings.entry(steps) {
            Entry::Occupied(recorded) => recorded.into_mut(),
            Entry::Vacant(place) => place.insert(device.record(&launches(steps))?),
        };
        device.replay(recording)?;
        left -= steps;
    }
    Ok(())
}

fn unknown(optimizer: &Optimizer) -> Error {
    Error::Unsupported {
        place: "the optimiser".into(),
        feature: format!("{optimizer:?} on a GPU"),
        instead: "take Adam, or --device cpu".into(),
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

    fn compute_gradient(&mut self, data: &Dataset<'_, f32>, batch: &[u32]) -> Result<f64> {
        assert!(batch.len() <= self.plan.batch_size, "a batch of {}", batch.len());
        if batch.is_empty() {
            // The mean of nothing, as everywhere.
            self.buffers.gradient.write(&vec![0.0; self.plan.layout.len()])?;
            return Ok(f64::NAN);
        }
        self.enter(data, batch, batch.len())?;
        self.launch(&self.training.gradient(self.data(), 0))?;
        let mut mean = [0.0];
        self.data().means.read(&mut mean)?;
        Ok(mean[0])
    }

    fn profile_step(&mut self, data: &Dataset<'_, f32>, batch: &[u32]) -> Result<StepProfile> {
        assert!(!batch.is_empty() && batch.len() <= self.plan.batch_size, "a batch of {}", batch.len());
        self.enter(data, batch, batch.len())?;
        let work = self.training.step(self.data(), 0);
        let mut marks = vec![self.device.mark()?];
        for Work { launch, .. } in &work {
            self.device.launch(launch)?;
            marks.push(self.device.mark()?);
        }
        let between = |pair: &[Mark]| self.device.elapsed(&pair[0], &pair[1]);
        let times = marks.windows(2).map(between).collect::<Result<Vec<_>, _>>()?;
        let mut mean = [0.0];
        self.data().means.read(&mut mean)?;
        self.step += 1;
        let times: Vec<(Part, Duration)> = work.iter().map(|work| work.part).zip(times).collect();
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
        let Optimizer::Adam(adam) = &self.plan.optimizer else {
            return Err(unknown(&self.plan.optimizer));
        };
        // Afresh: a loss that was not finite does not keep a caller from going on.
        let control = Control { samples: 1, batch: 1, step: self.step };
        self.buffers.control.write(&control.words())?;
        let alphas = Buffer::of(&self.device, &[adam.alpha::<f32>(self.step + 1)])?;
        let launch = update(&self.kernels, &self.at(), &self.plan.optimizer, &self.buffers, &alphas).launch;
        self.device.launch(&launch)?;
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
        if self.fused_scoring()?.is_some() {
            let (x, y) = (self.uploads.series(&data.x)?, self.uploads.series(&data.y)?);
            let scoring = self.fused_scoring()?.expect("it was there");
            return Ok(scoring.losses(&x, &y, loss, losses)?);
        }
        self.look(&data.x, Some((loss, &data.y)))?;
        self.see(data.len().div_ceil(self.inference().samples()))?;
        let look = &self.looks.as_ref().expect("data is looked at").data;
        let (_, _, found) = look.loss.as_ref().expect("its losses were asked for");
        Ok(found.read(losses)?)
    }

    fn predict(&mut self, x: &Samples<'_, f32>, y: &mut [f32]) -> Result<()> {
        check_prediction(&self.plan, x, y)?;
        if x.is_empty() {
            return Ok(());
        }
        if self.fused_scoring()?.is_some() {
            let x = self.uploads.series(x)?;
            let scoring = self.fused_scoring()?.expect("it was there");
            return Ok(scoring.predict(&x, y)?);
        }
        let len = y.len() / x.len();
        self.look(x, None)?;
        for y in y.chunks_mut(self.inference().samples() * len) {
            self.see(1)?;
            self.inference().output().read(y)?;
        }
        Ok(())
    }

    fn observe(&mut self, sample: &[f32], visit: &mut dyn FnMut(usize, &[f32])) -> Result<()> {
        self.widen(1)?;
        let inference = self.inference();
        let program = &self.plan.inference;
        assert_eq!(
            sample.len(),
            program.values[program.input.index()].len(),
            "a sample of the model's input"
        );
        let control = Control { samples: 1, batch: 1, step: 0 };
        inference.control().write(&control.words())?;
        inference.input().write(sample)?;
        self.launch(&inference.pack())?;
        self.launch(&inference.run())?;
        for (layer, value) in program.layer_outputs.iter().enumerate() {
            if let Some(value) = value {
                let mut y = vec![0.0; program.values[value.index()].len()];
                inference.value(*value).read(&mut y)?;
                visit(layer, &y);
            }
        }
        Ok(())
    }
}
