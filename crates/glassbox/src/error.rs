//! What can go wrong with a model.

use std::path::{Path, PathBuf};

use glassbox_engine::shape::Shape;
use glassbox_formats::model_file::ModelFileError;

use crate::checkpoint::CheckpointError;

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model was not built, trained, saved or loaded. A checkpoint of an earlier epoch, if asked for, is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine refused an argument, met a number that is not finite, or a callback or the device failed.
    #[error(transparent)]
    Engine(#[from] glassbox_engine::Error),
    /// The run cannot be resumed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model file is not as it should be, or cannot be written.
    #[error(transparent)]
    File(#[from] ModelFileError),
    /// The model has no layer of this name.
    #[error("there is no layer {name}; the layers are {names}")]
    NoLayer {
        /// The name asked for.
        name: String,
        /// The names that there are.
        names: String,
    },
    /// A model whose output has another shape than its input.
    #[error(
        "model {model} makes samples of shape {output} from samples of shape {input}, (steps, channels): it is \
         no autoencoder, whose output has the shape of its input; change its last layers, or the length of \
         its windows"
    )]
    NotAnAutoencoder {
        /// The model's name.
        model: String,
        /// The shape of its input.
        input: Shape,
        /// The shape of its output.
        output: Shape,
    },
    /// A [request to stop](crate::Interrupt) ended the training.
    #[error("interrupted after epoch {epochs} of at most {of}{}", kept(checkpoint.as_deref()))]
    Interrupted {
        /// Epochs done.
        epochs: usize,
        /// Epochs at most.
        of: usize,
        /// The file that holds the run, if it was to be kept.
        checkpoint: Option<PathBuf>,
    },
}

fn kept(checkpoint: Option<&Path>) -> String {
    checkpoint.map_or_else(String::new, |file| format!("; the run is kept in {}", file.display()))
}
