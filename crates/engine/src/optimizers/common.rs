//! The arguments that all optimisers share.

use serde::{Deserialize, Serialize};

use super::{Field, check};
use crate::error::Result;
use crate::float::Float;

/// The arguments that each of Keras's optimisers has beside its own. They are absent by default.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Common {
    /// Decay of the weights, before each step and independent of the gradient: `theta -= theta weight_decay
    /// learning_rate`. At least 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

impl Common {
    pub(super) fn fields(&mut self) -> Vec<(&'static str, Field<'_>)> {
        vec![("weight_decay", Field::Optional(&mut self.weight_decay))]
    }

    /// Decays the weights, before a step at this learning rate.
    pub(super) fn decay<F: Float>(&self, learning_rate: F, theta: &mut [F]) {
        let Some(weight_decay) = self.weight_decay.map(F::of) else { return };
        for theta in theta {
            *theta -= *theta * weight_decay * learning_rate;
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        match self.weight_decay {
            None => Ok(()),
            Some(decay) => {
                check("weight_decay", decay, decay >= 0.0 && decay.is_finite(), "a number of at least 0")
            }
        }
    }
}
