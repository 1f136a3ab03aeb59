//! RMSprop: steps scaled by the root of a running mean of squared gradients.

use serde::{Deserialize, Serialize};

use super::{Common, Field, LearningRate, Slots, decay, decay_or_1, fields, positive};
use crate::error::Result;
use crate::float::Float;

/// RMSprop (Tieleman and Hinton, *Neural networks for machine learning*, lecture 6.5, 2012; centered: Graves, *Generating
/// sequences with recurrent neural networks*, arXiv:1308.0850), as Keras computes it:
///
/// ```text
/// v     = rho v + (1 - rho) g^2
/// a     = rho a + (1 - rho) g                          if centered
/// step  = learning_rate g / sqrt(v + epsilon)          if not
/// step  = learning_rate g / sqrt(v - a^2 + epsilon)    if centered
///
/// theta -= step                                        if momentum is 0
///
/// m      = momentum m + step                           else
/// theta -= m
/// ```
///
/// Epsilon is under the root, where PyTorch adds it to the root: the two give different results.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RMSprop {
    /// Scale of a step. Keras's default: 0.001.
    pub learning_rate: LearningRate,
    /// Decay rate of the running means, in [0, 1). Keras's default: 0.9.
    pub rho: f64,
    /// Fraction of the last step that is taken again, in [0, 1]. Keras's default: 0.
    pub momentum: f64,
    /// Keeps steps finite where gradients vanish. Keras's default: 1e-7.
    pub epsilon: f64,
    /// If true, the square of the mean gradient is subtracted: steps are scaled by the standard deviation of the
    /// gradient. Keras's default: false.
    pub centered: bool,
    /// The arguments of every optimiser.
    #[serde(flatten)]
    pub common: Common,
}

impl Default for RMSprop {
    fn default() -> Self {
        Self {
            learning_rate: 0.001.into(),
            rho: 0.9,
            momentum: 0.0,
            epsilon: 1e-7,
            centered: false,
            common: Common::default(),
        }
    }
}

impl RMSprop {
    /// RMSprop with this learning rate, and Keras's defaults otherwise.
    #[must_use]
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self { learning_rate: learning_rate.into(), ..Self::default() }
    }

    pub(super) fn fields(&mut self) -> Vec<(&'static str, Field<'_>)> {
        fields!(self: learning_rate, rho, momentum, epsilon, centered)
    }

    pub(super) fn slots(&self) -> &'static [&'static str] {
        match (self.momentum > 0.0, self.centered) {
            (false, false) => &["velocity"],
            (false, true) => &["velocity", "average_gradient"],
            (true, false) => &["velocity", "momentum"],
            (true, true) => &["velocity", "momentum", "average_gradient"],
        }
    }

    pub(super) fn update<F: Float>(
        &self,
        rate: F,
        theta: &mut [F],
        gradient: impl Iterator<Item = F>,
        slots: Slots<'_, F>,
    ) {
        let [rho, rest, momentum, epsilon] =
            [self.rho, 1.0 - self.rho, self.momentum, self.epsilon].map(F::of);
        // The step of an element: a function of its gradient and of its running means, which it updates.
        let plain = |g: F, v: &mut F| {
            *v = rho * *v + rest * (g * g);
            rate * g / (*v + epsilon).sqrt()
        };
        let centered = |g: F, v: &mut F, a: &mut F| {
            *v = rho * *v + rest * (g * g);
            *a = rho * *a + rest * g;
            rate * g / (*v - *a * *a + epsilon).sqrt()
        };
        let again = |m: &mut F, step: F| {
            *m = momentum * *m + step;
            *m
        };
        let each = theta.iter_mut().zip(gradient);
        match (self.momentum > 0.0, self.centered, slots) {
            (false, false, [v, ..]) => each.zip(v).for_each(|((theta, g), v)| *theta -= plain(g, v)),
            (false, true, [v, a, _]) => {
                each.zip(v).zip(a).for_each(|(((theta, g), v), a)| *theta -= centered(g, v, a));
            }
            (true, false, [v, m, _]) => {
                each.zip(v).zip(m).for_each(|(((theta, g), v), m)| *theta -= again(m, plain(g, v)));
            }
            (true, true, [v, m, a]) => {
                let each = each.zip(v).zip(m).zip(a);
                each.for_each(|((((theta, g), v), m), a)| *theta -= again(m, centered(g, v, a)));
            }
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        decay("rho", self.rho)?;
        decay_or_1("momentum", self.momentum)?;
        positive("epsilon", self.epsilon)
    }
}
