//! Training on samples: Keras's `compile` and `fit`, with checkpoints.

use std::error::Error as StdError;
use std::path::PathBuf;

use glassbox_engine::backend::{Backend, Dataset, Plan, Session, State};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Sequential;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::samples::Samples;
use glassbox_engine::training::{
    Callback, Checkpoint, EarlyStopping, EpochEnd, Fit, Fitted, Flow, Mode, Monitor, fit, split_at,
};

use crate::checkpoint::{self, CheckpointWriter};
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::interrupt::Interrupt;

/// How a model is trained; the defaults are the tutorial's.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// Epochs at most, counted from the start of the run, also after a resume. Default: 50.
    pub epochs: usize,
    /// Samples in a batch. Default: 128.
    pub batch_size: usize,
    /// The fraction of the samples, cut from the end before any shuffling, that is not trained on but
    /// evaluated after each epoch; in [0, 1). Default: 0.1.
    pub validation_split: f64,
    /// Whether the training samples are put into a new order for each epoch. Default: true.
    pub shuffle: bool,
    /// Decides the initial weights, the shuffles and the dropout masks. Default: 0.
    pub seed: u64,
    /// How a gradient becomes a step. Default: Adam, with Keras's defaults.
    pub optimizer: Optimizer,
    /// What is minimised. Default: the mean squared error.
    pub loss: Loss,
    /// When to stop before all epochs are done. Default: once `val_loss` has not improved for 5 epochs, the
    /// weights of the last epoch being kept.
    pub early_stopping: Option<EarlyStopping>,
    /// Where the run is kept, to go on from there. Default: nowhere.
    pub checkpoints: Option<Checkpoints>,
    /// A request to stop, heeded at the end of each epoch. Default: none will be made.
    pub interrupt: Option<Interrupt>,
}

/// Where a run is kept, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoints {
    /// The folder of [`checkpoint::FILE_NAME`].
    pub dir: PathBuf,
    /// Whether to go on from the checkpoint that is there. If there is none, or this is false, the run starts
    /// from the beginning, and its first checkpoint replaces that of an earlier start of the same run. That of
    /// another run is refused if the run is kept after each epoch; one that is kept only when it is interrupted
    /// replaces that too, then. A file there that is no checkpoint is always refused.
    pub resume: bool,
    /// Whether the run is kept after each epoch; if not, only when it is interrupted.
    pub every_epoch: bool,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            epochs: 50,
            batch_size: 128,
            validation_split: 0.1,
            shuffle: true,
            seed: 0,
            optimizer: Optimizer::default(),
            loss: Loss::MeanSquaredError,
            early_stopping: Some(EarlyStopping {
                monitor: Monitor::ValLoss,
                patience: 5,
                mode: Mode::Min,
                ..EarlyStopping::default()
            }),
            checkpoints: None,
            interrupt: None,
        }
    }
}

impl TrainOptions {
    /// The arguments of `fit`.
    #[must_use]
    pub fn fit_options(&self) -> Fit {
        Fit {
            epochs: self.epochs,
            batch_size: self.batch_size,
            validation_split: self.validation_split,
            shuffle: self.shuffle,
            early_stopping: self.early_stopping.clone(),
        }
    }

    /// The plan of training `model` on so many samples.
    fn plan(&self, model: &Sequential, samples: usize) -> Result<Plan, Error> {
        // A session need not have room for more samples than there are.
        let most = self.batch_size.min(samples.max(1));
        Ok(model.plan(self.loss, self.optimizer.clone(), self.seed, most)?)
    }
}

/// A model after training.
pub struct Trained {
    /// The session that trained it, with the final weights.
    pub session: Box<dyn Session<f32>>,
    /// The final weights, flat, in the model's layout.
    pub weights: Vec<f32>,
    /// The losses, how training ended, and how long it took.
    pub fitted: Fitted,
}

impl std::fmt::Debug for Trained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trained").field("fitted", &self.fitted).finish_non_exhaustive()
    }
}

/// How many of `samples` are trained on, how many are for validation, and the training steps of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Samples that are trained on.
    pub training: usize,
    /// Samples that are for validation.
    pub validation: usize,
    /// Batches in an epoch, the last one perhaps not full.
    pub steps_per_epoch: usize,
}

impl Split {
    /// The split of so many samples.
    ///
    /// # Errors
    /// If the validation split leaves one of the parts empty.
    pub fn of(samples: usize, options: &TrainOptions) -> Result<Self, Error> {
        let training = split_at(samples, options.validation_split)?;
        let steps_per_epoch = training.div_ceil(options.batch_size.max(1));
        Ok(Self { training, validation: samples - training, steps_per_epoch })
    }
}

/// That a model gives back samples of the shape that it reads.
///
/// # Errors
/// [`Error::NotAnAutoencoder`] if not.
pub fn require_autoencoder(model: &Sequential) -> Result<(), Error> {
    let (input, output) = (model.input_shape(), model.output_shape());
    if input == output {
        return Ok(());
    }
    Err(Error::NotAnAutoencoder { model: model.name().into(), input, output })
}

/// Trains `model` to give back each sample of `x`; see [`train`].
///
/// # Errors
/// As [`train`], and if the model's output has not the shape of its input, or there is to be no epoch: who asks for an
/// autoencoder wants one that has learned something.
pub fn train_autoencoder(
    backend: &dyn Backend<f32>,
    model: &Sequential,
    start: Option<&[f32]>,
    x: Samples<'_, f32>,
    options: &TrainOptions,
    callbacks: &mut [&mut dyn Callback<f32>],
) -> Result<Trained, Error> {
    require_autoencoder(model)?;
    if options.epochs == 0 {
        let expected = "at least 1: an autoencoder that was not trained detects nothing".into();
        return Err(glassbox_engine::Error::Option { option: "epochs", found: "0".into(), expected }.into());
    }
    train(backend, model, start, &Dataset::autoencoder(x), options, callbacks)
}

/// Trains `model` on `data`, from the weights `start` (flat, in the model's layout) or else from those that
/// the seed gives. A checkpoint is written before the callbacks hear of an epoch's end.
///
/// # Errors
/// If an option makes no sense, the data does not fit the model, a number is not finite, the checkpoint to
/// resume from is not of this run, or a callback fails; [`Error::Interrupted`] after the epoch during
/// which an interrupt was requested.
pub fn train(
    backend: &dyn Backend<f32>,
    model: &Sequential,
    start: Option<&[f32]>,
    data: &Dataset<'_, f32>,
    options: &TrainOptions,
    callbacks: &mut [&mut dyn Callback<f32>],
) -> Result<Trained, Error> {
    let plan = options.plan(model, data.len())?;
    data.check(&plan)?;
    let start = start.map_or_else(|| plan.layout.initial(options.seed), <[f32]>::to_vec);
    // No larger than the session's batches, and in effect the same.
    let fit_options = Fit { batch_size: plan.batch_size, ..options.fit_options() };
    let start = Checkpoint::start(State::new(start, &plan.optimizer));
    let mut session = backend.session(plan)?;
    let callbacks = callbacks.iter_mut().map(|callback| &mut **callback as _).collect();
    let hooks =
        Hooks { callbacks, checkpoints: options.checkpoints.as_ref(), interrupt: options.interrupt.as_ref() };
    let fitted = run(&mut *session, model, data, &fit_options, start, hooks)?;
    let weights = session.state()?.weights;
    Ok(Trained { session, weights, fitted })
}

/// What a training run talks to besides its model: the program around it, and the disk.
#[derive(Default)]
pub struct Hooks<'a> {
    /// Told of each batch and epoch, in this order.
    pub callbacks: Vec<&'a mut dyn Callback<f32>>,
    /// Where the run is kept, to go on from there. Default: nowhere.
    pub checkpoints: Option<&'a Checkpoints>,
    /// A request to stop, heeded at the end of each epoch. Default: none will be made.
    pub interrupt: Option<&'a Interrupt>,
}

impl std::fmt::Debug for Hooks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { callbacks, checkpoints, interrupt } = self;
        f.debug_struct("Hooks")
            .field("callbacks", &callbacks.len())
            .field("checkpoints", checkpoints)
            .field("interrupt", interrupt)
            .finish()
    }
}

/// Trains the model of a session from `start`, or from the checkpoint that is to be resumed. A checkpoint is written
/// before the callbacks hear of an epoch's end.
pub(crate) fn run(
    session: &mut dyn Session<f32>,
    architecture: &Sequential,
    data: &Dataset<'_, f32>,
    options: &Fit,
    start: Checkpoint<f32>,
    hooks: Hooks<'_>,
) -> Result<Fitted, Error> {
    data.check(session.plan())?;
    let mut keeper = Keeper { interrupt: hooks.interrupt.cloned(), ..Keeper::default() };
    let mut start = start;
    if let Some(Checkpoints { dir, resume, every_epoch }) = hooks.checkpoints {
        let plan = session.plan();
        let fingerprint = Fingerprint::of(architecture, plan, options, data, &start.state.weights);
        if *resume {
            start = checkpoint::resume(dir, plan, &fingerprint, options.epochs)?.unwrap_or(start);
        } else if *every_epoch {
            checkpoint::require_own(dir, plan, &fingerprint)?;
        } else {
            checkpoint::require_checkpoint(dir)?;
        }
        keeper.writer = Some(CheckpointWriter::new(dir, plan, fingerprint));
        keeper.every_epoch = *every_epoch;
    }
    let mut callbacks: Vec<&mut dyn Callback<f32>> = vec![&mut keeper];
    for callback in hooks.callbacks {
        callbacks.push(callback);
    }
    let fitted = fit(session, data, options, start, &mut callbacks)?;
    match keeper.interrupted_after {
        None => Ok(fitted),
        Some(epochs) => Err(Error::Interrupted {
            epochs,
            of: options.epochs,
            checkpoint: hooks.checkpoints.map(|kept| kept.dir.join(checkpoint::FILE_NAME)),
        }),
    }
}

/// Keeps the run, and ends it when that is asked for. One callback does both, with one look at the request an
/// epoch: a run that ends by it has surely been kept.
#[derive(Debug, Default)]
struct Keeper {
    writer: Option<CheckpointWriter>,
    every_epoch: bool,
    interrupt: Option<Interrupt>,
    /// Epochs done, if the run was ended.
    interrupted_after: Option<usize>,
}

impl Callback<f32> for Keeper {
    fn on_epoch_end(&mut self, end: &EpochEnd<'_, f32>) -> Result<Flow, Box<dyn StdError + Send + Sync>> {
        let stop = self.interrupt.as_ref().is_some_and(Interrupt::is_requested);
        if let Some(writer) = self.writer.as_mut().filter(|_| self.every_epoch || stop) {
            writer.on_epoch_end(end)?;
        }
        if !stop {
            return Ok(Flow::Continue);
        }
        self.interrupted_after = Some(end.epoch + 1);
        Ok(Flow::Stop)
    }
}
