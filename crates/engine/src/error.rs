//! What can go wrong in the engine, said so that the reader knows where and what to do.

use std::fmt;

use crate::shape::Shape;

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer's argument has a value that the layer cannot work with.
    #[error("{layer}: {argument} is {found}, expected {expected}")]
    Argument {
        /// The layer's name or class.
        layer: String,
        /// The argument, as Keras names it.
        argument: String,
        /// Its value.
        found: String,
        /// What it should have been.
        expected: String,
    },

    /// A layer cannot take an input of this shape.
    #[error("{layer}: cannot take an input of shape (batch, {}, {}): {problem}", input.steps, input.channels)]
    Input {
        /// The layer's name or class.
        layer: String,
        /// The input's shape.
        input: Shape,
        /// Why not.
        problem: String,
    },

    /// Something that Keras has and this engine does not.
    #[error("{place}: {feature} is not supported; {instead}")]
    Unsupported {
        /// The model or layer that asks for it.
        place: String,
        /// What is asked for, with its value.
        feature: String,
        /// What is supported.
        instead: String,
    },

    /// A model's JSON is not an architecture as `model.to_json()` of Keras 3 writes it.
    #[error("{place}: expected {expected}, found {found}")]
    Architecture {
        /// Where in the document.
        place: String,
        /// What Keras writes there.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A training option has a value that cannot be worked with.
    #[error("{option} is {found}, expected {expected}")]
    Option {
        /// The option, as Keras names it.
        option: &'static str,
        /// Its value.
        found: String,
        /// What it should have been.
        expected: String,
    },

    /// More memory than the machine lends; asked before any of it was taken.
    #[error("{what} takes at least {bytes} of memory, more than this machine lends; {advice}")]
    Memory {
        /// What was asked for.
        what: String,
        /// How much it takes, with the unit.
        bytes: String,
        /// What to lower.
        advice: String,
    },

    /// Two things that must fit together do not.
    #[error("{what}: expected {expected}, found {found}")]
    Mismatch {
        /// What was compared.
        what: String,
        /// What one side asks for.
        expected: String,
        /// What the other side has.
        found: String,
    },

    /// A number that is NaN or infinite.
    #[error(transparent)]
    NonFinite(#[from] NonFinite),

    /// The device that the backend drives failed.
    #[error("{backend}: {problem}")]
    Device {
        /// The backend's name.
        backend: String,
        /// What happened, and what to do.
        problem: String,
    },

    /// A callback failed; training stopped after the epoch that called it.
    #[error("{0}")]
    Callback(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A NaN or an infinity, and where it was met first.
#[derive(Debug, Clone, PartialEq)]
pub struct NonFinite {
    /// The value.
    pub value: f64,
    /// Where it is: an input, a weight tensor, the output of a layer, the loss.
    pub place: String,
    /// When it was met: the epoch and the batch within it, both from 1; `None` outside training.
    pub when: Option<When>,
}

/// A moment of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The batch within the epoch, from 1; `None` after the last one: in its weights, or in validation.
    pub batch: Option<usize>,
}

impl std::error::Error for NonFinite {}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.place, self.value)?;
        if let Some(when) = self.when {
            write!(f, " in epoch {}", when.epoch)?;
            match when.batch {
                Some(batch) => write!(f, ", batch {batch}")?,
                None => write!(f, ", after its last batch")?,
            }
            write!(f, "; training stopped: try a smaller learning rate, or look at the data around it")?;
        }
        Ok(())
    }
}
