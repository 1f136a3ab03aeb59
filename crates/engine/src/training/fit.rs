//! The training loop, epoch by epoch.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::callback::{Callback, EpochEnd, Flow};
use super::early_stopping::{EarlyStopping, EarlyStoppingState};
use super::history::History;
use super::reduce_lr_on_plateau::{ReduceLROnPlateau, ReduceLROnPlateauState};
use crate::backend::{Dataset, Epoch, Session, State, locate_non_finite};
use crate::error::{Error, NonFinite, Result, When};
use crate::float::Float;
use crate::random::{Purpose, Stream};

/// The arguments of [`fit`], under Keras's names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Maximum number of epochs, counted from the start of the run, also after a resume.
    pub epochs: usize,
    /// Samples in a batch; the last batch of an epoch has the rest.
    pub batch_size: usize,
    /// The fraction of the samples, taken from the end before any shuffling, on which the loss is
    /// evaluated after each epoch; in [0, 1).
    pub validation_split: f64,
    /// If true, the training samples are shuffled before each epoch, with the plan's seed.
    pub shuffle: bool,
    /// Early stopping, if any.
    pub early_stopping: Option<EarlyStopping>,
    /// Reduction of the learning rate, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce_lr_on_plateau: Option<ReduceLROnPlateau>,
}

impl Default for Fit {
    /// Keras's defaults.
    fn default() -> Self {
        Self {
            epochs: 1,
            batch_size: 32,
            validation_split: 0.0,
            shuffle: true,
            early_stopping: None,
            reduce_lr_on_plateau: None,
        }
    }
}

impl Fit {
    /// Adds early stopping.
    #[must_use]
    pub fn early_stopping(self, early_stopping: EarlyStopping) -> Self {
        Self { early_stopping: Some(early_stopping), ..self }
    }

    /// Adds reduction of the learning rate.
    #[must_use]
    pub fn reduce_lr_on_plateau(self, reduce: ReduceLROnPlateau) -> Self {
        Self { reduce_lr_on_plateau: Some(reduce), ..self }
    }
}

/// The complete state of a run after an epoch. A run that resumes from it gives the same result as one that was never
/// interrupted, because random numbers are functions of the seed and of the counters in here.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint<F> {
    /// The weights, the optimiser's state and the steps taken.
    pub state: State<F>,
    /// Number of epochs done.
    pub epochs: usize,
    /// Their losses and learning rates.
    pub history: History,
    /// The state of early stopping.
    pub early_stopping: EarlyStoppingState<F>,
    /// The state of the reduction of the learning rate.
    pub reduce_lr_on_plateau: ReduceLROnPlateauState,
}

impl<F: Float> Checkpoint<F> {
    /// The state of a run before its first epoch.
    #[must_use]
    pub fn start(state: State<F>) -> Self {
        Self {
            state,
            epochs: 0,
            history: History::default(),
            early_stopping: EarlyStoppingState::default(),
            reduce_lr_on_plateau: ReduceLROnPlateauState::default(),
        }
    }
}

/// The result of a run. The session holds the final weights.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The losses and the learning rate of each epoch.
    pub history: History,
    /// The epoch, from 0, at which early stopping ended the run.
    pub stopped_epoch: Option<usize>,
    /// The epoch, from 0, whose weights were restored.
    pub restored_epoch: Option<usize>,
    /// Number of epochs that were done before this call, in the run that it resumed.
    pub resumed_from: usize,
    /// The time of each epoch of this call, with validation but without callbacks.
    pub epoch_durations: Vec<Duration>,
    /// The time of the whole call, with callbacks.
    pub duration: Duration,
}

/// The number of training samples if a fraction of `n` samples is split off for validation. The validation samples are
/// the last ones; the number of training samples is `floor(n (1 - validation_split))`, as in Keras.
///
/// # Errors
/// If the split is not in [0, 1), or leaves one of the two parts empty.
pub fn split_at(n: usize, validation_split: f64) -> Result<usize> {
    if validation_split == 0.0 && n > 0 {
        return Ok(n);
    }
    let train = (n as f64 * (1.0 - validation_split)).floor() as usize;
    if !(0.0..1.0).contains(&validation_split) || train == 0 || train >= n {
        return Err(Error::Option {
            option: "validation_split",
            found: format!("{validation_split} of {n} samples"),
            expected: "a fraction in [0, 1) that leaves samples for training and for validation".into(),
        });
    }
    Ok(train)
}

/// Trains the model of a session ([`keras.Model.fit`](https://keras.io/api/models/model_training_apis/)).
/// Starts from `checkpoint`, to which it also sets the session's state.
///
/// ```
/// use glassbox_engine::backend::{Backend, Dataset, State};
/// use glassbox_engine::geometry::Padding;
/// use glassbox_engine::layers::Conv1D;
/// use glassbox_engine::losses::Loss;
/// use glassbox_engine::model::Sequential;
/// use glassbox_engine::optimizers::{Adam, Optimizer};
/// use glassbox_engine::reference::Reference;
/// use glassbox_engine::samples::Samples;
/// use glassbox_engine::training::{Checkpoint, Fit, fit};
///
/// let mut model = Sequential::new((8, 1));
/// model.add(Conv1D::new(1, 3).padding(Padding::Same))?;
/// let optimizer = Optimizer::from(Adam::new(0.01));
/// let plan = model.plan(Loss::MeanSquaredError, optimizer.clone(), 1, 4)?;
/// let mut session = Reference.session(plan)?;
///
/// let series: Vec<f32> = (0..40).map(|t| (t as f32 / 3.0).sin()).collect();
/// let data = Dataset::autoencoder(Samples::windows(&series, 8, 1)?);
/// let start = Checkpoint::start(State::new(model.layout().initial(1), &optimizer));
/// let options = Fit { epochs: 3, batch_size: 4, ..Fit::default() };
/// let fitted = fit(&mut *session, &data, &options, start, &mut [])?;
/// assert!(fitted.history.loss[2] < fitted.history.loss[0]);
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
///
/// # Errors
/// * an option is invalid: the error names it
/// * NaN or infinity in the samples, in a weight or in a loss: the error names the sample, tensor or layer, the epoch
///   and the batch
/// * a callback fails: its error is returned
pub fn fit<F: Float>(
    session: &mut dyn Session<F>,
    data: &Dataset<'_, F>,
    options: &Fit,
    mut checkpoint: Checkpoint<F>,
    callbacks: &mut [&mut dyn Callback<F>],
) -> Result<Fitted> {
    let train_len = check(session, data, options)?;
    let (train, validation) = (data.slice(0..train_len), data.slice(train_len..data.len()));
    session.plan().layout.require_finite(&checkpoint.state.weights)?;
    session.set_state(&checkpoint.state)?;
    if let Some(rate) = checkpoint.reduce_lr_on_plateau.learning_rate {
        session.set_learning_rate(rate);
    }

    for callback in callbacks.iter_mut() {
        callback.on_train_begin(&checkpoint);
    }
    let (began, resumed_from, mut epoch_durations) = (Instant::now(), checkpoint.epochs, vec![]);
    let mut order: Vec<u32> = Vec::with_capacity(train_len);
    while checkpoint.epochs < options.epochs && checkpoint.early_stopping.stopped_epoch.is_none() {
        let epoch = checkpoint.epochs;
        for callback in callbacks.iter_mut() {
            callback.on_epoch_begin(epoch, options.epochs);
        }
        let epoch_began = Instant::now();
        order.clear();
        order.extend(0..train_len as u32);
        if options.shuffle {
            Stream::new(session.plan().seed, Purpose::Shuffle, 0, epoch as u32).draws().shuffle(&mut order);
        }
        let pass = Epoch { epoch, order: &order, batch_size: options.batch_size };
        let loss = session.train_epoch(&train, &pass, &mut |batch| {
            for callback in callbacks.iter_mut() {
                callback.on_batch_end(batch);
            }
        })?;
        let val_loss = validate(session, &validation, epoch)?;
        epoch_durations.push(epoch_began.elapsed());

        checkpoint.state = session.state()?;
        require_finite_weights(session, &checkpoint.state.weights, epoch)?;
        checkpoint.epochs += 1;
        checkpoint.history.loss.push(loss);
        checkpoint.history.val_loss.extend(val_loss);
        if let Some(early_stopping) = &options.early_stopping {
            let value = early_stopping.monitor.of(loss, val_loss);
            let weights = &checkpoint.state.weights;
            early_stopping.on_epoch_end(&mut checkpoint.early_stopping, epoch, value, weights);
        }
        if let Some(reduce) = &options.reduce_lr_on_plateau {
            let value = reduce.monitor.of(loss, val_loss);
            // As the steps had it.
            let rate = session.plan().optimizer.learning_rate().at::<F>(checkpoint.state.step).wide();
            checkpoint.history.learning_rate.push(rate);
            if let Some(rate) = reduce.on_epoch_end(&mut checkpoint.reduce_lr_on_plateau, value, rate) {
                session.set_learning_rate(rate);
            }
        }
        let (epochs, checkpoint) = (options.epochs, &checkpoint);
        let end = EpochEnd { epoch, epochs, loss, val_loss, checkpoint, session: &*session };
        let mut flow = Flow::Continue;
        for callback in callbacks.iter_mut() {
            if callback.on_epoch_end(&end).map_err(Error::Callback)? == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        if flow == Flow::Stop {
            break;
        }
    }
    let (stopped_epoch, history) = (checkpoint.early_stopping.stopped_epoch, checkpoint.history.clone());
    let restored_epoch = restore(session, checkpoint)?;
    let duration = began.elapsed();
    Ok(Fitted { history, stopped_epoch, restored_epoch, resumed_from, epoch_durations, duration })
}

fn check<F: Float>(session: &dyn Session<F>, data: &Dataset<'_, F>, options: &Fit) -> Result<usize> {
    data.check(session.plan())?;
    let train_len = split_at(data.len(), options.validation_split)?;
    if let Some(early_stopping) = &options.early_stopping {
        early_stopping.validate(train_len < data.len())?;
    }
    if let Some(reduce) = &options.reduce_lr_on_plateau {
        reduce.validate(train_len < data.len(), &session.plan().optimizer)?;
    }
    let most = session.plan().batch_size;
    if options.batch_size == 0 || options.batch_size > most {
        return Err(Error::Option {
            option: "batch_size",
            found: options.batch_size.to_string(),
            expected: format!("1 to {most}, for which the session is laid out"),
        });
    }
    if u32::try_from(data.len()).is_err() || u32::try_from(options.epochs).is_err() {
        return Err(Error::Option {
            option: "epochs",
            found: format!("{} epochs of {} samples", options.epochs, data.len()),
            expected: format!("no more than {} of each", u32::MAX),
        });
    }
    data.x.require_finite("the input")?;
    data.y.require_finite("the target")?;
    Ok(train_len)
}

fn validate<F: Float>(
    session: &mut dyn Session<F>,
    data: &Dataset<'_, F>,
    epoch: usize,
) -> Result<Option<f64>> {
    if data.is_empty() {
        return Ok(None);
    }
    let loss = session.evaluate(data)?;
    if !loss.is_finite() {
        let all: Vec<u32> = (0..data.len() as u32).collect();
        return Err(locate_non_finite(session, data, &all, loss, When { epoch: epoch + 1, batch: None }));
    }
    Ok(Some(loss))
}

/// Checks the weights after an epoch, because no loss of this epoch has seen the update of the last batch.
fn require_finite_weights<F: Float>(session: &dyn Session<F>, weights: &[F], epoch: usize) -> Result<()> {
    session.plan().layout.require_finite(weights).map_err(|error| match error {
        Error::NonFinite(found) => {
            NonFinite { when: Some(When { epoch: epoch + 1, batch: None }), ..found }.into()
        }
        other => other,
    })
}

/// Restores the weights of the best epoch, if early stopping kept them, and returns that epoch.
fn restore<F: Float>(session: &mut dyn Session<F>, checkpoint: Checkpoint<F>) -> Result<Option<usize>> {
    let Checkpoint { mut state, early_stopping, .. } = checkpoint;
    let Some(best) = early_stopping.best_weights else { return Ok(None) };
    state.weights = best;
    session.set_state(&state)?;
    Ok(Some(early_stopping.best_epoch))
}
