//! The errors of this crate.

use std::path::{Path, PathBuf};

use glassbox_engine::shape::Shape;
use glassbox_formats::model_file::ModelFileError;

use crate::checkpoint::CheckpointError;

/// The result of a fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of building, training, saving or loading a model. A checkpoint of an earlier epoch, if requested, is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the engine: an invalid argument, a number that is not finite, or a failure of a callback or the
    /// device.
    #[error(transparent)]
    Engine(#[from] glassbox_engine::Error),
    /// The run cannot be resumed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model file is invalid, or cannot be written.
    #[error(transparent)]
    File(#[from] ModelFileError),
    /// The model has no layer of this name.
    #[error("there is no layer {name}; the layers are {names}")]
    NoLayer {
        /// The requested name.
        name: String,
        /// The names of the layers.
        names: String,
    },
    /// The output of the model has another shape than its input.
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
        /// Number of epochs done.
        epochs: usize,
        /// Maximum number of epochs.
        of: usize,
        /// The file with the state of the run, if one was requested.
        checkpoint: Option<PathBuf>,
    },
}

fn kept(checkpoint: Option<&Path>) -> String {
    checkpoint.map_or_else(String::new, |file| format!("; the run is kept in {}", file.display()))
}
