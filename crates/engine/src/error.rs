//! The engine's errors. Each names the place, what was found, what was expected, and what to do.

use std::fmt;

use crate::shape::Shape;

/// The result of a fallible function of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer's argument has an invalid value.
    #[error("{layer}: {argument} is {found}, expected {expected}")]
    Argument {
        /// The layer's name or class.
        layer: String,
        /// The argument, as Keras names it.
        argument: String,
        /// Its value.
        found: String,
        /// The values that are valid.
        expected: String,
    },

    /// A layer cannot take an input of this shape.
    #[error("{layer}: cannot take an input of shape {}: {problem}", input.batch("batch"))]
    Input {
        /// The layer's name or class.
        layer: String,
        /// The input's shape.
        input: Shape,
        /// The reason.
        problem: String,
    },

    /// A feature of Keras that this engine does not have.
    #[error("{place}: {feature} is not supported; {instead}")]
    Unsupported {
        /// The model or layer that uses it.
        place: String,
        /// The feature, with its value.
        feature: String,
        /// The supported alternative.
        instead: String,
    },

    /// A JSON text is not an architecture as `model.to_json()` of Keras 3 writes it.
    #[error("{place}: expected {expected}, found {found}")]
    Architecture {
        /// Position in the document.
        place: String,
        /// The content that Keras writes at that position.
        expected: String,
        /// The content of the document there.
        found: String,
    },

    /// A training option has an invalid value.
    #[error("{option} is {found}, expected {expected}")]
    Option {
        /// The option, as Keras names it.
        option: &'static str,
        /// Its value.
        found: String,
        /// The values that are valid.
        expected: String,
    },

    /// A request for more memory than the machine can allocate, found before allocating any of it.
    #[error("{what} takes at least {bytes} of memory, more than this machine can allocate; {advice}")]
    Memory {
        /// The object that needs the memory.
        what: String,
        /// The size, with its unit.
        bytes: String,
        /// Advice on what to lower.
        advice: String,
    },

    /// Two things that must fit together do not fit.
    #[error("{what}: expected {expected}, found {found}")]
    Mismatch {
        /// The thing that was compared.
        what: String,
        /// The value that one side needs.
        expected: String,
        /// The value that the other side has.
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
        /// A description of the failure, and what to do.
        problem: String,
    },

    /// A callback failed. Training stopped after the epoch whose end it was called for.
    #[error("{0}")]
    Callback(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A NaN or an infinity, and where it was first found.
#[derive(Debug, Clone, PartialEq)]
pub struct NonFinite {
    /// The value.
    pub value: f64,
    /// Where it is: an input, a weight tensor, the output of a layer, the loss.
    pub place: String,
    /// When it was found: the epoch and the batch within it, both from 1; `None` outside of training.
    pub when: Option<When>,
}

/// A position in a training run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The batch within the epoch, from 1; `None` after the last batch: in the weights, or during validation.
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
