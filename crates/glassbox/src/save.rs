//! Saved models, which can be loaded and trained further with the same result to the bit.

use std::path::Path;

use glassbox_engine::backend::State;
use glassbox_engine::layers::Registry;
use glassbox_engine::losses::Loss;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::training::History;
use glassbox_formats::model_file::{ModelFileError, SavedModel};
use glassbox_formats::tensor_file::TensorFileError;
use serde::{Deserialize, Serialize};

use crate::compiled::Model;
use crate::{Device, Result};

/// The key of a [`Training`], as JSON, in a model file.
const TRAINING: &str = "glassbox.training";

/// The training options and the progress of a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Training {
    #[serde(flatten)]
    optimizer: Optimizer,
    loss: Loss,
    seed: u64,
    step: u64,
    history: History,
}

impl Model {
    /// Writes the model to a file atomically: the architecture, the weights, and the state that further training needs
    /// ([the format](glassbox_formats::model_file)).
    ///
    /// # Errors
    /// If a weight is not finite, the file cannot be written, or the device fails.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let State { weights, slots, step } = self.state()?;
        let training = Training {
            optimizer: self.optimizer.clone(),
            loss: self.loss,
            seed: self.seed,
            step,
            history: self.history.clone(),
        };
        let mut saved = SavedModel::new(self.architecture.clone(), weights);
        saved.slots = self.optimizer.slots().iter().map(|name| (*name).to_owned()).zip(slots).collect();
        let training = serde_json::to_string(&training).expect("numbers and names");
        saved.metadata.insert(TRAINING.into(), training);
        Ok(saved.save(path.as_ref())?)
    }

    /// Reads a model that [`Model::save`] wrote, for the best available device. A model from a file with weights only,
    /// such as a detector's, starts training with Keras's Adam, the mean squared error and seed 0.
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
        let path = path.as_ref();
        let SavedModel { model, weights, slots, metadata } = SavedModel::load_with(path, registry)?;
        let device = Device::best()?;
        let Some(text) = metadata.get(TRAINING) else {
            return Self::with_weights(model, weights, device);
        };
        let bad = |found: String, expected: &str| {
            ModelFileError::from(TensorFileError::BadKey {
                file: path.display().to_string(),
                key: TRAINING.into(),
                found,
                expected: expected.into(),
                advice: "remove it, and the tensors that begin with `optimizer/`, to get a model that starts training",
            })
        };
        let training: Training = serde_json::from_str(text)
            .map_err(|problem| bad(problem.to_string(), "what glassbox writes there"))?;
        let Training { optimizer, loss, seed, step, history } = training;
        let mut slots = slots;
        let slots: Option<Vec<_>> = optimizer.slots().iter().map(|name| slots.remove(*name)).collect();
        let slots = slots.ok_or_else(|| bad(text.clone(), "an optimiser whose tensors are in the file"))?;
        let mut loaded = Self::new(model, optimizer, loss, seed, device)?;
        loaded.resume_from(State { weights, slots, step }, history);
        Ok(loaded)
    }
}
