//! Optimisers: the update of the weights from a gradient.

mod adam;

pub use adam::Adam;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::float::Float;

/// An optimiser and its hyperparameters. It serialises as `optimizer`, its name in lower case, and the hyperparameters
/// beside that, all under the names of Keras's arguments.
///
/// An optimiser keeps [`slots`](Optimizer::slots) numbers per weight. They belong to the state of a training run and
/// not to the optimiser, so that a device can store them next to the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "optimizer", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Optimizer {
    /// Kingma and Ba's Adam, as Keras computes it.
    Adam(Adam),
}

impl Optimizer {
    /// Keras's name of its class.
    #[must_use]
    pub fn class_name(&self) -> &'static str {
        match self {
            Self::Adam(_) => "Adam",
        }
    }

    /// The learning rate.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Adam(adam) => adam.learning_rate,
        }
    }

    /// The hyperparameters, under the names of Keras's arguments.
    #[must_use]
    pub fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Adam(Adam { learning_rate, beta_1, beta_2, epsilon }) => vec![
                ("learning_rate", *learning_rate),
                ("beta_1", *beta_1),
                ("beta_2", *beta_2),
                ("epsilon", *epsilon),
            ],
        }
    }

    /// The names of the numbers that are kept per weight.
    #[must_use]
    pub fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Adam(_) => &["m", "v"],
        }
    }

    /// Takes step number `step`, from 1: updates `weights` and `slots` from `gradient`. Each element is independent of
    /// the others, so a caller may cut all of them into the same pieces.
    ///
    /// # Panics
    /// If the number of slots or a length is wrong.
    pub fn update<F: Float>(&self, step: u64, weights: &mut [F], gradient: &[F], slots: &mut [Vec<F>]) {
        match (self, slots) {
            (Self::Adam(adam), [m, v]) => adam.update(step, weights, gradient, m, v),
            (Self::Adam(_), other) => panic!("Adam keeps 2 slots, got {}", other.len()),
        }
    }

    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// Names the first that is out of range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Adam(adam) => adam.validate(),
        }
    }
}

impl From<Adam> for Optimizer {
    fn from(adam: Adam) -> Self {
        Self::Adam(adam)
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}
