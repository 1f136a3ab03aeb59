//! Saved models, which can be loaded and trained further with the same result to the bit.

use std::path::Path;

use glassbox_engine::backend::State;
use glassbox_engine::layers::Registry;
use glassbox_engine::model::Compilation;
use glassbox_formats::model_file::{SavedModel, Training};

use crate::compiled::Model;
use crate::{Device, Error, Result};

impl Model {
    /// Writes the model to a file atomically: the architecture, the weights, and the state that further training needs. The
    /// name of the file says its [format](glassbox_formats::model_file::Format): a file `model.keras` opens in Keras, which
    /// goes on with the training too.
    ///
    /// # Errors
    /// If a weight is not finite, the file cannot be written, or the device fails.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(self.to_saved_model()?.save(path.as_ref())?)
    }

    /// The content of the model's file.
    ///
    /// # Errors
    /// If the device fails.
    pub fn to_saved_model(&self) -> Result<SavedModel> {
        let State { weights, slots, step } = self.state()?;
        let training = Training {
            optimizer: self.optimizer.clone(),
            loss: self.loss,
            seed: self.seed,
            step,
            history: self.history.clone(),
            slots,
        };
        Ok(SavedModel { training: Some(training), ..SavedModel::new(self.architecture.clone(), weights) })
    }

    /// Reads a model that [`Model::save`] or Keras wrote, for the best available device. Training goes on where the file
    /// has its state. A model without it, such as a detector, starts with the optimiser and the loss that it was compiled
    /// with, by default Keras's Adam and the mean squared error, and seed 0.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, has an unsupported feature, or no device can be used.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &Registry::default())
    }

    /// Reads a model whose layers are in `registry`, such as your own.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with(path: impl AsRef<Path>, registry: &Registry) -> Result<Self> {
        Self::from_saved_model(SavedModel::load_with(path.as_ref(), registry)?, Device::best()?)
    }

    /// The model that a file holds, as [`Model::load`] has it.
    ///
    /// # Errors
    /// If the model was compiled with an unsupported optimiser or loss.
    pub fn from_saved_model(saved: SavedModel, device: Device) -> Result<Self> {
        let SavedModel { model, weights, training, .. } = saved;
        let Some(Training { optimizer, loss, seed, step, history, slots }) = training else {
            let Compilation { optimizer, loss, .. } = model.compilation(None, None).map_err(Error::Engine)?;
            return Self::new(model, optimizer, loss, 0, device)?.start_from(weights);
        };
        let mut loaded = Self::new(model, optimizer, loss, seed, device)?;
        loaded.resume_from(State { weights, slots, step }, history);
        Ok(loaded)
    }
}
