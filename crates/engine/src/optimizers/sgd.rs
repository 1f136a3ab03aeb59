//! Gradient descent, with momentum.

use serde::{Deserialize, Serialize};

use super::{Common, Field, LearningRate, Slots, decay_or_1, fields};
use crate::error::Result;
use crate::float::Float;

/// Gradient descent, with momentum (Polyak, *Some methods of speeding up the convergence of iteration methods*, 1964) or
/// with Nesterov's (Sutskever, Martens, Dahl and Hinton, *On the importance of initialization and momentum in deep
/// learning*, 2013), as Keras computes it:
///
/// ```text
/// theta -= learning_rate g                             if momentum is 0
///
/// m      = momentum m - learning_rate g                else
/// theta += m                                           plain
/// theta += momentum m - learning_rate g                with nesterov
/// ```
///
/// The learning rate is part of m, where PyTorch multiplies by it afterwards. As long as the learning rate does not
/// change, both give the same weights but for rounding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SGD {
    /// Scale of a step. Keras's default: 0.01.
    pub learning_rate: LearningRate,
    /// Fraction of the last step that is taken again, in [0, 1]. Keras's default: 0.
    pub momentum: f64,
    /// Nesterov's momentum, which looks one step ahead. Keras's default: false.
    pub nesterov: bool,
    /// The arguments of every optimiser.
    #[serde(flatten)]
    pub common: Common,
}

impl Default for SGD {
    fn default() -> Self {
        Self { learning_rate: 0.01.into(), momentum: 0.0, nesterov: false, common: Common::default() }
    }
}

impl SGD {
    /// Gradient descent with this learning rate and without momentum.
    #[must_use]
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self { learning_rate: learning_rate.into(), ..Self::default() }
    }

    /// Sets the momentum.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// Makes the momentum Nesterov's.
    #[must_use]
    pub fn nesterov(self) -> Self {
        Self { nesterov: true, ..self }
    }

    pub(super) fn fields(&mut self) -> Vec<(&'static str, Field<'_>)> {
        fields!(self: learning_rate, momentum, nesterov)
    }

    pub(super) fn slots(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum"] }
    }

    pub(super) fn update<F: Float>(
        &self,
        rate: F,
        theta: &mut [F],
        gradient: impl Iterator<Item = F>,
        [m, ..]: Slots<'_, F>,
    ) {
        let momentum = F::of(self.momentum);
        let each = theta.iter_mut().zip(gradient);
        if self.momentum == 0.0 {
            for (theta, g) in each {
                *theta -= g * rate;
            }
        } else if self.nesterov {
            for ((theta, g), m) in each.zip(m) {
                let step = g * rate;
                *m = *m * momentum - step;
                *theta += *m * momentum - step;
            }
        } else {
            for ((theta, g), m) in each.zip(m) {
                *m = *m * momentum - g * rate;
                *theta += *m;
            }
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        decay_or_1("momentum", self.momentum)
    }
}
