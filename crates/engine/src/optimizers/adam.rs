//! The Adam optimiser: steps scaled by running moments of the gradient.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
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
/// This is the paper's formula "just before section 2.1", not its Algorithm 1: epsilon is added to the
/// root of the *uncorrected* v ("epsilon hat" there). It also defaults to 1e-7, where PyTorch takes 1e-8
/// with Algorithm 1, so the two give different results.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Adam {
    /// Scale of a step. Keras's default: 0.001.
    pub learning_rate: f64,
    /// Decay rate of the first moment, in [0, 1). Keras's default: 0.9.
    pub beta_1: f64,
    /// Decay rate of the second moment, in [0, 1). Keras's default: 0.999.
    pub beta_2: f64,
    /// Keeps steps finite where gradients vanish. Keras's default: 1e-7.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { learning_rate: 0.001, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }
}

impl Adam {
    /// Adam with this learning rate, and Keras's defaults otherwise.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, ..Self::default() }
    }

    /// The factor alpha of step number `step`, from 1. It is computed in `F`, as in Keras: in `f32`, beta_2 is
    /// 0.99900001, which makes the first steps smaller by a relative 6e-6 than in `f64`.
    #[must_use]
    pub fn alpha<F: Float>(&self, step: u64) -> F {
        let rest = |beta: f64| F::one() - F::of(beta).powf(F::of(step as f64));
        F::of(self.learning_rate) * rest(self.beta_2).sqrt() / rest(self.beta_1)
    }

    /// Takes step number `step`, from 1. All slices have one element per weight; `theta`, `m` and `v` are updated.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn update<F: Float>(&self, step: u64, theta: &mut [F], gradient: &[F], m: &mut [F], v: &mut [F]) {
        let n = theta.len();
        assert_eq!((n, n, n), (gradient.len(), m.len(), v.len()), "one gradient and two moments a weight");
        let alpha: F = self.alpha(step);
        let (rest_1, rest_2) = (F::of(1.0 - self.beta_1), F::of(1.0 - self.beta_2));
        let epsilon = F::of(self.epsilon);
        for (((theta, g), m), v) in theta.iter_mut().zip(gradient).zip(m).zip(v) {
            *m += (*g - *m) * rest_1;
            *v += (*g * *g - *v) * rest_2;
            *theta -= alpha * *m / (v.sqrt() + epsilon);
        }
    }

    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// Names the first that is out of range.
    pub fn validate(&self) -> Result<()> {
        let check = |option, value: f64, good, expected: &str| match good {
            true => Ok(()),
            false => Err(Error::Option { option, found: value.to_string(), expected: expected.into() }),
        };
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let decay = |v: f64| (0.0..1.0).contains(&v);
        check("learning_rate", self.learning_rate, positive(self.learning_rate), "a positive number")?;
        check("beta_1", self.beta_1, decay(self.beta_1), "a number in [0, 1)")?;
        check("beta_2", self.beta_2, decay(self.beta_2), "a number in [0, 1)")?;
        check("epsilon", self.epsilon, positive(self.epsilon), "a positive number")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a constant gradient g, m = g (1 - beta_1^t) and v = g^2 (1 - beta_2^t): the corrections cancel, and each
    /// step is learning_rate g / (|g| + epsilon / sqrt(1 - beta_2^t)).
    #[test]
    fn a_constant_gradient_gives_steps_of_the_learning_rate() {
        let adam = Adam::default();
        let gradient = [3.0f64, -0.5, 0.0];
        let (mut theta, mut m, mut v) = ([0f64; 3], [0f64; 3], [0f64; 3]);
        let mut expected = [0f64; 3];
        for step in 1..=100u64 {
            adam.update(step, &mut theta, &gradient, &mut m, &mut v);
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
        assert_eq!(bad.validate().unwrap_err().to_string(), "beta_2 is 1, expected a number in [0, 1)");
        assert!(Adam::new(f64::NAN).validate().is_err());
    }
}
