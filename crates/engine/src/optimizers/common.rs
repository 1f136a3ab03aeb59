//! The arguments that all optimisers share.

use serde::{Deserialize, Serialize};

use super::{Field, check};
use crate::error::Result;
use crate::float::Float;

/// The arguments that each of Keras's optimisers has beside its own. They are absent by default. A gradient is clipped in
/// one way at most; then the weights decay; then the optimiser takes its step.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Common {
    /// Decay of the weights, before each step and independent of the gradient: `theta -= theta weight_decay
    /// learning_rate`. Weights that the loss does not depend on stay. At least 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Largest Euclidean norm of the gradient of each tensor by itself: `g clipnorm / max(norm, clipnorm)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clipnorm: Option<f64>,
    /// Largest absolute value of an element of the gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clipvalue: Option<f64>,
    /// Largest Euclidean norm of the whole gradient: `g global_clipnorm min(1 / norm, 1 / global_clipnorm)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_clipnorm: Option<f64>,
}

impl Common {
    pub(super) fn fields(&mut self) -> Vec<(&'static str, Field<'_>)> {
        let Self { weight_decay, clipnorm, clipvalue, global_clipnorm } = self;
        let fields = [
            ("weight_decay", weight_decay),
            ("clipnorm", clipnorm),
            ("clipvalue", clipvalue),
            ("global_clipnorm", global_clipnorm),
        ];
        fields.map(|(name, field)| (name, Field::Optional(field))).into()
    }

    /// Decays the weights, before a step at this learning rate.
    pub(super) fn decay<F: Float>(&self, learning_rate: F, theta: &mut [F]) {
        let Some(weight_decay) = self.weight_decay.map(F::of) else { return };
        for theta in theta {
            *theta -= *theta * weight_decay * learning_rate;
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        if let Some(decay) = self.weight_decay {
            check("weight_decay", decay, decay >= 0.0 && decay.is_finite(), "a number of at least 0")?;
        }
        self.validate_clipping()
    }
}
