//! Loss functions.

use serde::{Deserialize, Serialize};

use crate::float::Float;

/// A loss function: a mean over the elements of a sample, and over the samples of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// `mean((y - target)^2)`; Keras's `mse`.
    #[default]
    MeanSquaredError,
    /// `mean(|y - target|)`; Keras's `mae`.
    MeanAbsoluteError,
}

impl Loss {
    /// Keras's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MeanSquaredError => "mean_squared_error",
            Self::MeanAbsoluteError => "mean_absolute_error",
        }
    }

    /// The loss of one sample: the mean over its elements, summed in `f64`.
    ///
    /// # Panics
    /// If the lengths differ.
    #[must_use]
    pub fn sample<F: Float>(self, y: &[F], target: &[F]) -> f64 {
        assert_eq!(y.len(), target.len(), "a prediction has the shape of its target");
        let sum: f64 = y.iter().zip(target).map(|(y, t)| self.element(*y - *t)).sum();
        sum / y.len() as f64
    }

    /// Computes the loss of one sample, and stores in `dy` the gradient of the *batch's* loss with respect to `y`. With
    /// n elements in a sample and B samples in the batch:
    ///
    /// * mean squared error: `dy = 2 (y - target) / (n B)`
    /// * mean absolute error: `dy = sign(y - target) / (n B)`, and 0 where they are equal, as in Keras
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn gradient<F: Float>(self, y: &[F], target: &[F], batch: usize, dy: &mut [F]) -> f64 {
        assert_eq!((y.len(), y.len()), (target.len(), dy.len()), "a prediction has the shape of its target");
        let scale = 1.0 / (y.len() * batch) as f64;
        let (one, two) = (F::of(scale), F::of(2.0 * scale));
        let mut sum = 0.0;
        for ((y, target), dy) in y.iter().zip(target).zip(dy) {
            let difference = *y - *target;
            sum += self.element(difference);
            *dy = match self {
                Self::MeanSquaredError => two * difference,
                Self::MeanAbsoluteError if difference == F::zero() => F::zero(),
                Self::MeanAbsoluteError => one * difference.signum(),
            };
        }
        sum / y.len() as f64
    }

    fn element<F: Float>(self, difference: F) -> f64 {
        let difference = difference.wide();
        match self {
            Self::MeanSquaredError => difference * difference,
            Self::MeanAbsoluteError => difference.abs(),
        }
    }
}
