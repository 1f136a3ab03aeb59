//! How a detector's model is trained.

use glassbox::training::Checkpoints;
use glassbox::{Device, Error, Hooks, Interrupt, Model};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Network;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::samples::Samples;
use glassbox_engine::training::{Callback, EarlyStopping, Fit, Fitted, Mode, split_at};
use serde::{Deserialize, Serialize};

/// How a model is trained; the defaults are the tutorial's. It serialises as one table of Keras's arguments, without
/// `checkpoints` and `interrupt`, which no result depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainOptions {
    /// The arguments of `fit`. Default: up to 50 epochs of batches of 128 samples, shuffled; the last tenth of the
    /// samples is for validation; training stops once `val_loss` has not improved for 5 epochs, and the weights of the
    /// last epoch are kept.
    #[serde(flatten)]
    pub fit: Fit,
    /// Seed of the initial weights, the shuffles and the dropout masks. Default: 0.
    pub seed: u64,
    /// The loss to minimise. Default: the mean squared error.
    pub loss: Loss,
    /// The optimiser. Default: Adam, with Keras's defaults.
    #[serde(flatten)]
    pub optimizer: Optimizer,
    /// The place of the run's checkpoint. Default: none.
    #[serde(skip)]
    pub checkpoints: Option<Checkpoints>,
    /// A request to stop, heeded at the end of each epoch. Default: none will be made.
    #[serde(skip)]
    pub interrupt: Option<Interrupt>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        let early_stopping = EarlyStopping { mode: Mode::Min, ..EarlyStopping::patience(5) };
        Self {
            fit: Fit {
                epochs: 50,
                batch_size: 128,
                validation_split: 0.1,
                shuffle: true,
                early_stopping: Some(early_stopping),
                reduce_lr_on_plateau: None,
            },
            seed: 0,
            loss: Loss::default(),
            optimizer: Optimizer::default(),
            checkpoints: None,
            interrupt: None,
        }
    }
}

impl TrainOptions {
    /// A model with fresh weights that trains in this way.
    ///
    /// # Errors
    /// If the model has no layers, or a hyperparameter is out of range.
    pub fn compile(&self, architecture: Network, device: &Device) -> Result<Model, Error> {
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
    pub fn of(samples: usize, options: &Fit) -> Result<Self, Error> {
        let training = split_at(samples, options.validation_split)?;
        let steps_per_epoch = training.div_ceil(options.batch_size.max(1));
        Ok(Self { training, validation: samples - training, steps_per_epoch })
    }
}

/// Checks that a model's output has the shape of its input.
///
/// # Errors
/// [`Error::NotAnAutoencoder`] if not.
pub fn require_autoencoder(model: &Network) -> Result<(), Error> {
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
    architecture: &Network,
    start: Option<&[f32]>,
    x: Samples<'_, f32>,
    options: &'a TrainOptions,
    callbacks: Vec<&'a mut dyn Callback<f32>>,
) -> Result<Trained, Error> {
    require_autoencoder(architecture)?;
    if options.fit.epochs == 0 {
        let expected = "at least 1: an autoencoder that was not trained detects nothing".into();
        return Err(glassbox_engine::Error::Option { option: "epochs", found: "0".into(), expected }.into());
    }
    let mut model = options.compile(architecture.clone(), device)?;
    if let Some(start) = start {
        model = model.start_from(start.to_vec())?;
    }
    let fitted = model.fit_with(&x, &x, &options.fit, options.hooks(callbacks))?;
    Ok(Trained { model, fitted })
}
