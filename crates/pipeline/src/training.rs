//! How a detector's model is trained.

use glassbox::training::Checkpoints;
use glassbox::{Device, Error, Hooks, Interrupt, Model};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Sequential;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::samples::Samples;
use glassbox_engine::training::{Callback, EarlyStopping, Fit, Fitted, Mode, Monitor, split_at};

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
    /// Put the training samples into a new order for each epoch. Default: true.
    pub shuffle: bool,
    /// Decides the initial weights, the shuffles and the dropout masks. Default: 0.
    pub seed: u64,
    /// How a gradient becomes a step. Default: Adam, with Keras's defaults.
    pub optimizer: Optimizer,
    /// The loss to minimise. Default: the mean squared error.
    pub loss: Loss,
    /// When to stop before all epochs are done. Default: once `val_loss` has not improved for 5 epochs, the
    /// weights of the last epoch being kept.
    pub early_stopping: Option<EarlyStopping>,
    /// Where the run is kept, to go on from there. Default: nowhere.
    pub checkpoints: Option<Checkpoints>,
    /// A request to stop, heeded at the end of each epoch. Default: none will be made.
    pub interrupt: Option<Interrupt>,
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
    pub fn fit(&self) -> Fit {
        Fit {
            epochs: self.epochs,
            batch_size: self.batch_size,
            validation_split: self.validation_split,
            shuffle: self.shuffle,
            early_stopping: self.early_stopping.clone(),
        }
    }

    /// A model with fresh weights that trains in this way.
    ///
    /// # Errors
    /// If the model has no layers, or a hyperparameter is out of range.
    pub fn compile(&self, architecture: Sequential, device: &Device) -> Result<Model, Error> {
        Model::new(architecture, self.optimizer.clone(), self.loss, self.seed, device.clone())
    }

    /// The connections of the run: these callbacks, the checkpoints, and the request to stop.
    #[must_use]
    pub fn hooks<'a>(&'a self, callbacks: Vec<&'a mut dyn Callback<f32>>) -> Hooks<'a> {
        Hooks { callbacks, checkpoints: self.checkpoints.as_ref(), interrupt: self.interrupt.as_ref() }
    }
}

/// An autoencoder after training.
#[derive(Debug)]
pub struct Trained {
    /// The model, on the device that trained it.
    pub model: Model,
    /// The losses, how training ended, and how long it took.
    pub fitted: Fitted,
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

/// Checks that a model's output has the shape of its input.
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

/// Trains `architecture` to reconstruct each sample of `x`, from the weights `start` (flat, in its layout) or else from
/// those that the seed gives.
///
/// # Errors
/// As [`Model::fit_with`], if the output has another shape than the input, or if there is to be no epoch: an
/// autoencoder that was not trained detects nothing.
pub fn train_autoencoder<'a>(
    device: &Device,
    architecture: &Sequential,
    start: Option<&[f32]>,
    x: Samples<'_, f32>,
    options: &'a TrainOptions,
    callbacks: Vec<&'a mut dyn Callback<f32>>,
) -> Result<Trained, Error> {
    require_autoencoder(architecture)?;
    if options.epochs == 0 {
        let expected = "at least 1: an autoencoder that was not trained detects nothing".into();
        return Err(glassbox_engine::Error::Option { option: "epochs", found: "0".into(), expected }.into());
    }
    let mut model = options.compile(architecture.clone(), device)?;
    if let Some(start) = start {
        model = model.start_from(start.to_vec())?;
    }
    let fitted = model.fit_with(&x, &x, &options.fit(), options.hooks(callbacks))?;
    Ok(Trained { model, fitted })
}
