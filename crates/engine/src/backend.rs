//! The interface of a backend: the device that runs programs.
//!
//! A backend is chosen once. It takes a [`Plan`], allocates every buffer that the plan needs, and returns a
//! [`Session`], which holds the weights, the optimiser's state and the programs. Nothing is allocated after that.

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
    /// A short name of the backend: `cpu, 2 threads`.
    fn name(&self) -> String;

    /// Allocates all buffers. The session starts at step 0, with all weights and all optimiser state zero.
    ///
    /// # Errors
    /// If the device lacks a feature that the plan needs, or the memory for it ([`Plan::require_room`]).
    fn session(&self, plan: Plan) -> Result<Box<dyn Session<F>>>;

    /// Describes how the backend would train a plan, if it has more than one way: which kernels it would use, and
    /// why it cannot use faster ones. For display to a user.
    fn describe(&self, plan: &Plan) -> Option<String> {
        let _ = plan;
        None
    }

    /// Measures the machine's ceilings with the backend's threads: arithmetic throughput, and bandwidth to whichever
    /// cache or memory holds `working_set` bytes per thread. Takes some tens of milliseconds. `None` if the backend
    /// has no such measurement.
    fn ceilings(&self, working_set: usize) -> Option<Ceilings> {
        let _ = working_set;
        None
    }
}

/// Everything that a backend needs to train a model and to predict with it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program of a training step.
    pub training: Program,
    /// The program of inference.
    pub inference: Program,
    /// The layout of the weights.
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
    /// The optimiser's slots, each in the plan's layout.
    pub slots: Vec<Vec<F>>,
    /// Training steps taken.
    pub step: u64,
}

/// Upper limit on the steps that a state may have taken, so that a run cannot overflow the counter.
const MOST_STEPS: u64 = 1 << 62;

impl<F: Float> State<F> {
    /// The state before the first step.
    #[must_use]
    pub fn new(weights: Vec<F>, optimizer: &Optimizer) -> Self {
        let slots = vec![vec![F::zero(); weights.len()]; optimizer.slots().len()];
        Self { weights, slots, step: 0 }
    }

    /// Checks that this state fits a plan.
    ///
    /// # Errors
    /// Names what does not fit.
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

/// Samples and their targets.
#[derive(Debug, Clone, Copy)]
pub struct Dataset<'a, F> {
    /// The model's inputs.
    pub x: Samples<'a, F>,
    /// The targets; for an autoencoder, `x` itself.
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

    /// Returns true if there are no samples.
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

    /// Checks that the samples and the targets fit a plan and each other.
    ///
    /// # Errors
    /// Names what does not fit.
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

/// Progress of an epoch, passed to a callback after each training batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchEnd {
    /// Index of the batch within the epoch, from 0.
    pub batch: usize,
    /// Number of batches in the epoch.
    pub batches: usize,
    /// Samples trained on in this epoch so far.
    pub samples: usize,
    /// The mean loss of the epoch so far, each batch weighted by its samples.
    pub loss: f64,
}

/// The samples of one epoch of training, and their order.
#[derive(Debug, Clone, Copy)]
pub struct Epoch<'a> {
    /// Index of the epoch, from 0; used in errors only.
    pub epoch: usize,
    /// Indices of the samples in training order. Each batch takes the next `batch_size`; the last takes the rest.
    pub order: &'a [u32],
    /// Samples in a batch.
    pub batch_size: usize,
}

/// A model on a device, in the middle of a training run.
///
/// ```
/// use glassbox_engine::backend::{Backend, Dataset, State};
/// use glassbox_engine::geometry::Padding;
/// use glassbox_engine::layers::Conv1D;
/// use glassbox_engine::losses::Loss;
/// use glassbox_engine::model::Sequential;
/// use glassbox_engine::optimizers::Optimizer;
/// use glassbox_engine::reference::Reference;
/// use glassbox_engine::samples::Samples;
///
/// let mut model = Sequential::new((8, 1));
/// model.add(Conv1D::new(1, 3).padding(Padding::Same))?;
/// let optimizer = Optimizer::default();
/// let plan = model.plan(Loss::MeanSquaredError, optimizer.clone(), 1, 4)?;
/// let mut session = Reference.session(plan)?;
/// session.set_state(&State::new(model.layout().initial(1), &optimizer))?;
///
/// let series: Vec<f32> = (0..11).map(|t| (t as f32 / 3.0).sin()).collect();
/// let data = Dataset::autoencoder(Samples::windows(&series, 8, 1)?);
/// let before = session.compute_gradient(&data, &[0, 1, 2, 3])?; // the four windows
/// session.update()?;
/// assert!(session.evaluate(&data)? < before);
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
pub trait Session<F: Float>: Send {
    /// The plan that this session was made from.
    fn plan(&self) -> &Plan;

    /// Copies the weights and the optimiser's state from the device.
    ///
    /// # Errors
    /// If the device fails.
    fn state(&self) -> Result<State<F>>;

    /// Replaces the weights and the optimiser's state.
    ///
    /// # Errors
    /// If they do not fit the plan, or the device fails.
    fn set_state(&mut self, state: &State<F>) -> Result<()>;

    /// Sets the learning rate of the steps to come, in the [`plan`](Session::plan)'s optimiser.
    fn set_learning_rate(&mut self, rate: f64);

    /// Computes the mean loss of a batch and its gradient, which [`Session::gradient`] then returns. `batch` holds
    /// the indices of the samples in `data`.
    ///
    /// # Errors
    /// If the device fails. A loss that is not finite is not an error here.
    fn compute_gradient(&mut self, data: &Dataset<'_, F>, batch: &[u32]) -> Result<f64>;

    /// Copies the gradient of the last batch from the device, in the plan's layout. That of a moving statistic is its
    /// change in a training step.
    ///
    /// # Errors
    /// If the device fails.
    fn gradient(&self) -> Result<Vec<F>>;

    /// Replaces the gradient, for example with its mean over several processes.
    ///
    /// # Errors
    /// If the length is wrong or the device fails.
    fn set_gradient(&mut self, gradient: &[F]) -> Result<()>;

    /// Takes an optimiser step with the current gradient.
    ///
    /// # Errors
    /// If the device fails.
    fn update(&mut self) -> Result<()>;

    /// Takes one training step ([`Session::compute_gradient`], then [`Session::update`]) and times each part of it.
    /// State and loss are the same to the bit as after an ordinary step.
    ///
    /// # Errors
    /// If the device fails, or cannot time the parts of a step, which is the default. A loss that is not finite is
    /// not an error here.
    fn profile_step(&mut self, data: &Dataset<'_, F>, batch: &[u32]) -> Result<StepProfile> {
        let _ = (data, batch);
        Err(Error::Unsupported {
            place: "this backend".into(),
            feature: "a clock around each part of a training step".into(),
            instead: "profile with the CPU backend, or with the device's own tools".into(),
        })
    }

    /// The number of samples whose values each thread has in memory at a time: more than one if samples go through an
    /// instruction together.
    fn samples_at_a_time(&self) -> usize {
        1
    }

    /// Trains for one epoch and returns its mean loss, each batch weighted by its samples: Keras's `loss`. By default
    /// the steps are taken one by one ([`train_epoch`]); a device that can take many steps without the host overrides
    /// this.
    ///
    /// # Errors
    /// If the device fails, or a loss is not finite; the error then names the layer, the epoch and the batch.
    fn train_epoch(
        &mut self,
        data: &Dataset<'_, F>,
        epoch: &Epoch<'_>,
        on_batch: &mut (dyn FnMut(BatchEnd) + Send),
    ) -> Result<f64> {
        train_epoch(self, data, epoch, on_batch)
    }

    /// Computes the mean loss over all samples of `data`, in inference: Keras's `val_loss`.
    ///
    /// # Errors
    /// If the device fails. A loss that is not finite is not an error here.
    fn evaluate(&mut self, data: &Dataset<'_, F>) -> Result<f64>;

    /// Writes the loss of each sample of `data`, in inference, to `losses`. A detector scores windows with it: it uses
    /// the mean absolute error, with each window as its own target. A device that holds the samples overrides this,
    /// so that only the losses are copied back.
    ///
    /// # Errors
    /// If the samples do not fit the model, or the device fails. A loss that is not finite is not an error here.
    ///
    /// # Panics
    /// If `losses` is not as long as `data`.
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
                losses[index] = loss.total(&self.plan().inference.outputs, y, data.y.get(index));
            }
        }
        Ok(())
    }

    /// Writes the prediction for each sample of `x` to `y`, row by row. For overlapping windows a device may compute what
    /// they [share](crate::program::Overlap) once; the bits are those of windows by themselves.
    ///
    /// # Errors
    /// If the device fails, or `y` is not as long as all predictions together.
    fn predict(&mut self, x: &Samples<'_, F>, y: &mut [F]) -> Result<()>;

    /// Runs inference on one sample and calls `visit` for each layer, with the layer's index in the model and its
    /// output row by row.
    ///
    /// # Errors
    /// If the device fails.
    fn observe(&mut self, sample: &[F], visit: &mut dyn FnMut(usize, &[F])) -> Result<()>;
}

/// Trains for one epoch, step by step: the default of [`Session::train_epoch`], and for overrides that wrap it.
///
/// # Errors
/// As [`Session::train_epoch`].
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

/// Checks that `x` fits the model, and that the buffer `y` is as long as its predictions.
///
/// # Errors
/// Names what does not fit.
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

/// Locates the origin of a loss that is not finite: a weight, a sample, or the first layer whose output is not
/// finite.
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
