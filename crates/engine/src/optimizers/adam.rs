//! The Adam optimiser: steps scaled by running moments of the gradient. And AdamW, which decays the weights.

use serde::{Deserialize, Serialize};

use super::{Common, Field, LearningRate, Slots, decay, fields, positive};
use crate::error::Result;
use crate::float::Float;

/// Adam (Kingma and Ba, *Adam: a method for stochastic optimization*, arXiv:1412.6980), **as Keras
/// computes it**:
///
/// ```text
/// m     += (g - m) (1 - beta_1)
/// v     += (g^2 - v) (1 - beta_2)
/// alpha  = learning_rate sqrt(1 - beta_2^step) / (1 - beta_1^step)
/// theta -= alpha m / (sqrt(v) + epsilon)
/// ```
///
/// With `amsgrad` (Reddi, Kale and Kumar, *On the convergence of Adam and beyond*, arXiv:1904.09237) the root is that of
/// the largest v so far, `v_hat = max(v_hat, v)`.
///
/// Without it this is Kingma and Ba's formula "just before section 2.1", not its Algorithm 1: epsilon is added to the
/// root of the *uncorrected* v ("epsilon hat" there). It also defaults to 1e-7, where PyTorch takes 1e-8
/// with Algorithm 1, so the two give different results.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Adam {
    /// Scale of a step. Keras's default: 0.001.
    pub learning_rate: LearningRate,
    /// Decay rate of the first moment, in [0, 1). Keras's default: 0.9.
    pub beta_1: f64,
    /// Decay rate of the second moment, in [0, 1). Keras's default: 0.999.
    pub beta_2: f64,
    /// Keeps steps finite where gradients vanish. Keras's default: 1e-7.
    pub epsilon: f64,
    /// If true, steps are scaled by the largest second moment so far: they cannot grow again. Keras's default: false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub amsgrad: bool,
    /// The arguments of every optimiser.
    #[serde(flatten)]
    pub common: Common,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            learning_rate: 0.001.into(),
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-7,
            amsgrad: false,
            common: Common::default(),
        }
    }
}

impl Adam {
    /// Adam with this learning rate, and Keras's defaults otherwise.
    #[must_use]
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self { learning_rate: learning_rate.into(), ..Self::default() }
    }

    pub(super) fn fields(&mut self) -> Vec<(&'static str, Field<'_>)> {
        fields!(self: learning_rate, beta_1, beta_2, epsilon, amsgrad)
    }

    pub(super) fn slots(&self) -> &'static [&'static str] {
        if self.amsgrad { &["m", "v", "v_hat"] } else { &["m", "v"] }
    }

    /// The factor alpha of step number `step`, from 1. It is computed in `F`, as in Keras: in `f32`, beta_2 is
    /// 0.99900001, which makes the first steps smaller by a relative 6e-6 than in `f64`.
    pub(super) fn rate<F: Float>(&self, step: u64) -> F {
        let rest = |beta: f64| F::one() - F::of(beta).powf(F::of(step as f64));
        self.learning_rate.at::<F>(step) * rest(self.beta_2).sqrt() / rest(self.beta_1)
    }

    pub(super) fn update<F: Float>(
        &self,
        alpha: F,
        theta: &mut [F],
        gradient: impl Iterator<Item = F>,
        [m, v, v_hat]: Slots<'_, F>,
    ) {
        let (rest_1, rest_2) = (F::of(1.0 - self.beta_1), F::of(1.0 - self.beta_2));
        let epsilon = F::of(self.epsilon);
        let moments = |g: F, m: &mut F, v: &mut F| {
            *m += (g - *m) * rest_1;
            *v += (g * g - *v) * rest_2;
        };
        let step = |m: F, v: F| alpha * m / (v.sqrt() + epsilon);
        let each = theta.iter_mut().zip(gradient).zip(m).zip(v);
        if self.amsgrad {
            for ((((theta, g), m), v), v_hat) in each.zip(v_hat) {
                moments(g, m, v);
                *v_hat = v_hat.max(*v);
                *theta -= step(*m, *v_hat);
            }
        } else {
            for (((theta, g), m), v) in each {
                moments(g, m, v);
                *theta -= step(*m, *v);
            }
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        decay("beta_1", self.beta_1)?;
        decay("beta_2", self.beta_2)?;
        positive("epsilon", self.epsilon)
    }
}

/// AdamW: [`Adam`] with a [`weight_decay`](Common::weight_decay), by default 0.004 (Loshchilov and Hutter, *Decoupled
/// weight decay regularization*, arXiv:1711.05101). As in Keras, it is Adam's step to the bit after the decay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AdamW(pub Adam);

impl Default for AdamW {
    fn default() -> Self {
        Self(Adam { common: Common { weight_decay: Some(0.004), ..Common::default() }, ..Adam::default() })
    }
}

impl AdamW {
    /// AdamW with this learning rate, and Keras's defaults otherwise.
    #[must_use]
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self(Adam { learning_rate: learning_rate.into(), ..Self::default().0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initializers::Initializer;
    use crate::layers::WeightSpec;
    use crate::model::WeightLayout;
    use crate::optimizers::Optimizer;

    /// With a constant gradient g, m = g (1 - beta_1^t) and v = g^2 (1 - beta_2^t): the corrections cancel, and each
    /// step is learning_rate g / (|g| + epsilon / sqrt(1 - beta_2^t)).
    #[test]
    fn a_constant_gradient_gives_steps_of_the_learning_rate() {
        let adam = Adam::default();
        let gradient = [3.0f64, -0.5, 0.0];
        let (mut theta, mut slots) = ([0f64; 3], vec![vec![0f64; 3]; 2]);
        let mut expected = [0f64; 3];
        let mut layout = WeightLayout::default();
        layout.push(WeightSpec::new("w", vec![3], Initializer::Zeros));
        for step in 1..=100u64 {
            Optimizer::Adam(adam).update(step, &layout, &mut theta, &gradient, &mut slots);
            let correction = (1.0 - 0.999f64.powi(step as i32)).sqrt();
            for (e, g) in expected.iter_mut().zip(gradient) {
                *e -= 0.001 * g / (g.abs() + 1e-7 / correction);
            }
        }
        for (a, b) in theta.iter().zip(expected) {
            // A hundred steps, each with a few roundings of 1e-16 times 1e-3.
            assert!((a - b).abs() <= 1e-15, "{a} {b}");
        }
    }

    #[test]
    fn hyperparameters_out_of_range_are_named() {
        let bad = Adam { beta_2: 1.0, ..Adam::default() };
        assert_eq!(
            Optimizer::Adam(bad).validate().unwrap_err().to_string(),
            "beta_2 is 1, expected a number in [0, 1)"
        );
        assert!(Optimizer::Adam(Adam::new(f64::NAN)).validate().is_err());
    }
}
