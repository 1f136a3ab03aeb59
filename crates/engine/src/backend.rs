//! What computes: the interface of a backend.
//!
//! A backend is chosen once. It gets a [`Plan`], lays out every buffer that the plan needs, and gives a
//! [`Session`]: the weights, the optimiser's state and the programs, ready to run. Nothing is allocated
//! after that.

use crate::error::{Error, NonFinite, Result, When};
use crate::float::Float;
use crate::losses::Loss;
use crate::model::WeightLayout;
use crate::optimizers::Optimizer;
use crate::profile::{Ceilings, StepProfile};
use crate::program::Program;
use crate::samples::Samples;

/// A device that can run programs.
pub trait Backend<F: Float>: std::fmt::Debug + Send + Sync {
    /// What it is, in a few words: `cpu, 2 threads`.
    fn name(&self) -> String;

    /// Lays out all buffers. The session starts with all weights and state zero, at step 0.
    ///
    /// # Errors
    /// If the device lacks something, or has not the memory ([`Plan::require_room`]), or the plan holds something that
    /// it cannot do.
    fn session(&self, plan: Plan) -> Result<Box<dyn Session<F>>>;

    /// How it would train a plan, in a few words, if there is more than one way: which kernels, and why not
    /// faster ones. For a person who asks.
    fn describe(&self, plan: &Plan) -> Option<String> {
        let _ = plan;
        None
    }

    /// Measures what the machine can do at most, with the threads that the backend has: arithmetic, and traffic
    /// with wherever `working_set` bytes a thread lie. In some tens of milliseconds; `None` if the backend has
    /// no such measurement.
    fn ceilings(&self, working_set: usize) -> Option<Ceilings> {
        let _ = working_set;
        None
    }
}

/// All that a backend needs to know to train a model and to predict with it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// A training step.
    pub training: Program,
    /// Inference.
    pub inference: Program,
    /// The weights.
    pub layout: WeightLayout,
    /// The names of the layers, for errors and profiles.
    pub layer_names: Vec<String>,
    /// The loss.
    pub loss: Loss,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The run's seed: dropout masks and shuffles are drawn from it.
    pub seed: u64,
    /// The largest number of samples in a batch.
    pub batch_size: usize,
}

/// The numbers of a training run that change from step to step.
#[derive(Debug, Clone, PartialEq)]
pub struct State<F> {
    /// All weights, in the plan's layout.
    pub weights: Vec<F>,
    /// What the optimiser keeps, each of the same layout.
    pub slots: Vec<Vec<F>>,
    /// Training steps taken.
    pub step: u64,
}

/// The most steps that a state may have taken, so that no run comes to the end of the numbers.
const MOST_STEPS: u64 = 1 << 62;

impl<F: Float> State<F> {
    /// The state before the first step.
    #[must_use]
    pub fn new(weights: Vec<F>, optimizer: &Optimizer) -> Self {
        let slots = vec![vec![F::zero(); weights.len()]; optimizer.slots().len()];
        Self { weights, slots, step: 0 }
    }

    /// That this state belongs to a plan.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn check(&self, plan: &Plan) -> Result<()> {
        let slots = plan.optimizer.slots();
        if self.slots.len() != slots.len() {
            return Err(Error::Mismatch {
                what: "the optimiser's state".into(),
                expected: format!("{slots:?}"),
                found: format!("{} vectors", self.slots.len()),
            });
        }
        if self.step > MOST_STEPS {
            return Err(Error::Mismatch {
                what: "the optimiser's step".into(),
                expected: format!("at most {MOST_STEPS}, more than any run takes"),
                found: self.step.to_string(),
            });
        }
        plan.layout.require_len(self.weights.len())?;
        self.slots.iter().try_for_each(|slot| plan.layout.require_len(slot.len()))
    }
}

/// Samples and what a model should make of them.
#[derive(Debug, Clone, Copy)]
pub struct Dataset<'a, F> {
    /// What the model reads.
    pub x: Samples<'a, F>,
    /// What it should give; for an autoencoder, `x` again.
    pub y: Samples<'a, F>,
}

impl<'a, F: Float> Dataset<'a, F> {
    /// The data of an autoencoder: each sample is its own target.
    #[must_use]
    pub fn autoencoder(x: Samples<'a, F>) -> Self {
        Self { x, y: x }
    }

    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.x.len()
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.x.is_empty()
    }

    /// Samples `start..end`.
    ///
    /// # Panics
    /// If the range is not within the samples.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        Self { x: self.x.slice(range.clone()), y: self.y.slice(range) }
    }

    /// That the samples fit a plan and each other.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn check(&self, plan: &Plan) -> Result<()> {
        let mismatch = |what: &str, expected: String, found: String| {
            Err(Error::Mismatch { what: what.into(), expected, found })
        };
        let program = &plan.training;
        let (input, output) = (program.values[program.input.index()], program.values[program.output.index()]);
        if self.x.shape() != input {
            return mismatch(
                "the model's input",
                format!("samples of shape {input}"),
                self.x.shape().to_string(),
            );
        }
        if self.y.shape() != output {
            return mismatch(
                "the model's output",
                format!("targets of shape {}", self.y.shape()),
                output.to_string(),
            );
        }
        if self.x.len() != self.y.len() {
            return mismatch("the targets", format!("{} of them", self.x.len()), self.y.len().to_string());
        }
        Ok(())
    }
}

/// What is told after each batch of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchEnd {
    /// The batch within the epoch, from 0.
    pub batch: usize,
    /// Batches in the epoch.
    pub batches: usize,
    /// Samples of the epoch so far.
    pub samples: usize,
    /// The mean loss of the epoch so far, each batch weighted by its samples.
    pub loss: f64,
}

/// One epoch of training: which samples, in which order.
#[derive(Debug, Clone, Copy)]
pub struct Epoch<'a> {
    /// The epoch, from 0; for errors only.
    pub epoch: usize,
    /// The samples, in order; a batch is a run of them, the last one as long as is left.
    pub order: &'a [u32],
    /// Samples in a batch.
    pub batch_size: usize,
}

/// A model on a device, in the middle of a training run.
pub trait Session<F: Float>: Send {
    /// What this session was made of.
    fn plan(&self) -> &Plan;

    /// The weights and the optimiser's state, copied from the device.
    ///
    /// # Errors
    /// If the device fails.
    fn state(&self) -> Result<State<F>>;

    /// Replaces the weights and the optimiser's state.
    ///
    /// # Errors
    /// If they do not fit the plan, or the device fails.
    fn set_state(&mut self, state: &State<F>) -> Result<()>;

    /// The mean loss of a batch; its gradient is then in [`Session::gradient`]. The samples of `data` are
    /// named by `batch`.
    ///
    /// # Errors
    /// If the device fails. A loss that is not finite is no error here.
    fn compute_gradient(&mut self, data: &Dataset<'_, F>, batch: &[u32]) -> Result<f64>;

    /// The gradient of the last batch, in the plan's layout, copied from the device.
    ///
    /// # Errors
    /// If the device fails.
    fn gradient(&self) -> Result<Vec<F>>;

    /// Replaces the gradient: with its mean over several processes, say.
    ///
    /// # Errors
    /// If the length is wrong or the device fails.
    fn set_gradient(&mut self, gradient: &[F]) -> Result<()>;

    /// Lets the optimiser take a step with the gradient as it is.
    ///
    /// # Errors
    /// If the device fails.
    fn update(&mut self) -> Result<()>;

    /// Takes one training step, [`Session::compute_gradient`] and [`Session::update`], with a clock around each
    /// part of it. State and loss are then the same to the bit as after an ordinary step.
    ///
    /// # Errors
    /// If the device fails or cannot look inside of a step, which is the default. A loss that is not finite is
    /// no error here.
    fn profile_step(&mut self, data: &Dataset<'_, F>, batch: &[u32]) -> Result<StepProfile> {
        let _ = (data, batch);
        Err(Error::Unsupported {
            place: "this backend".into(),
            feature: "a clock around each part of a training step".into(),
            instead: "profile with the CPU backend, or with the device's own tools".into(),
        })
    }

    /// Takes the steps of one epoch and gives its mean loss, each batch weighted by its samples: Keras's
    /// `loss`. A device that can take many steps without the host overrides this.
    ///
    /// # Errors
    /// If a loss is not finite, naming the layer, the epoch and the batch; or if the device fails.
    fn train_epoch(
        &mut self,
        data: &Dataset<'_, F>,
        epoch: &Epoch<'_>,
        on_batch: &mut (dyn FnMut(BatchEnd) + Send),
    ) -> Result<f64>;

    /// The mean loss over all samples of `data`, in inference: Keras's `val_loss`.
    ///
    /// # Errors
    /// If the device fails. A loss that is not finite is no error here.
    fn evaluate(&mut self, data: &Dataset<'_, F>) -> Result<f64>;

    /// Writes the loss of each sample of `data`, in inference, to `losses`. With the mean absolute error and each
    /// sample as its own target, this is how a detector scores windows. A device that has the samples overrides
    /// it: then only the losses come back.
    ///
    /// # Errors
    /// If the samples do not fit the model, or the device fails. A loss that is not finite is no error here.
    ///
    /// # Panics
    /// If `losses` does not have room for just as many.
    fn sample_losses(&mut self, data: &Dataset<'_, F>, loss: Loss, losses: &mut [f64]) -> Result<()> {
        data.check(self.plan())?;
        assert_eq!(losses.len(), data.len(), "a loss for each sample");
        let batch = self.plan().batch_size;
        let program = &self.plan().inference;
        let len = program.values[program.output.index()].len();
        let mut y = vec![F::zero(); batch.min(data.len()) * len];
        for first in (0..data.len()).step_by(batch.max(1)) {
            let samples = first..data.len().min(first + batch);
            let y = &mut y[..samples.len() * len];
            self.predict(&data.x.slice(samples.clone()), y)?;
            for (index, y) in samples.zip(y.chunks_exact(len)) {
                losses[index] = loss.sample(y, data.y.get(index));
            }
        }
        Ok(())
    }

    /// Writes the prediction for each sample of `x` to `y`, row by row.
    ///
    /// # Errors
    /// If the device fails, or `y` does not have room for just as many predictions.
    fn predict(&mut self, x: &Samples<'_, F>, y: &mut [F]) -> Result<()>;

    /// Runs inference on one sample and shows the output of each layer: its place in the model, and its
    /// values row by row.
    ///
    /// # Errors
    /// If the device fails.
    fn observe(&mut self, sample: &[F], visit: &mut dyn FnMut(usize, &[F])) -> Result<()>;
}

/// [`Session::train_epoch`] step by step, for backends that have no better way.
///
/// # Errors
/// As there.
pub fn train_epoch<F: Float, S: Session<F> + ?Sized>(
    session: &mut S,
    data: &Dataset<'_, F>,
    epoch: &Epoch<'_>,
    on_batch: &mut (dyn FnMut(BatchEnd) + Send),
) -> Result<f64> {
    let batches = epoch.order.len().div_ceil(epoch.batch_size);
    let (mut sum, mut samples) = (0.0, 0);
    for (index, batch) in epoch.order.chunks(epoch.batch_size).enumerate() {
        let loss = session.compute_gradient(data, batch)?;
        if !loss.is_finite() {
            let when = When { epoch: epoch.epoch + 1, batch: Some(index + 1) };
            return Err(locate_non_finite(session, data, batch, loss, when));
        }
        session.update()?;
        sum += loss * batch.len() as f64;
        samples += batch.len();
        on_batch(BatchEnd { batch: index, batches, samples, loss: sum / samples as f64 });
    }
    Ok(sum / samples as f64)
}

/// That a prediction buffer holds just the predictions of `x`, and that `x` fits the model.
///
/// # Errors
/// Says what does not fit.
pub fn check_prediction<F: Float>(plan: &Plan, x: &Samples<'_, F>, y: &[F]) -> Result<()> {
    let program = &plan.inference;
    let (input, output) = (program.values[program.input.index()], program.values[program.output.index()]);
    if x.shape() != input {
        return Err(Error::Mismatch {
            what: "the model's input".into(),
            expected: format!("samples of shape {input}"),
            found: x.shape().to_string(),
        });
    }
    if y.len() != x.len() * output.len() {
        return Err(Error::Mismatch {
            what: "the room for predictions".into(),
            expected: format!("{} values", x.len() * output.len()),
            found: y.len().to_string(),
        });
    }
    Ok(())
}

/// Finds where a loss that is not finite comes from: a weight, the samples, or the first layer whose
/// output is not finite.
pub fn locate_non_finite<F: Float, S: Session<F> + ?Sized>(
    session: &mut S,
    data: &Dataset<'_, F>,
    batch: &[u32],
    loss: f64,
    when: When,
) -> Error {
    let at = |found: NonFinite| Error::NonFinite(NonFinite { when: Some(when), ..found });
    let weights = match session.state() {
        Ok(state) => state.weights,
        Err(error) => return error,
    };
    if let Err(Error::NonFinite(found)) = session.plan().layout.require_finite(&weights) {
        return at(found);
    }
    for index in batch.iter().map(|index| *index as usize) {
        for (what, samples) in [("the input", data.x), ("the target", data.y)] {
            if let Err(Error::NonFinite(found)) = samples.slice(index..index + 1).require_finite(what) {
                return at(found);
            }
        }
        let mut first = None;
        let observed = session.observe(data.x.get(index), &mut |layer, y: &[F]| {
            let bad = y.iter().find(|v| !v.is_finite());
            if let (None, Some(value)) = (first, bad) {
                first = Some((layer, value.wide()));
            }
        });
        if let Err(error) = observed {
            return error;
        }
        if let Some((layer, value)) = first {
            let place =
                format!("the output of layer {} for sample {index}", session.plan().layer_names[layer]);
            return at(NonFinite { value, place, when: None });
        }
    }
    at(NonFinite { value: loss, place: format!("the loss ({})", session.plan().loss.name()), when: None })
}
