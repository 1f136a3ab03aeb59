//! Loss functions.

use std::f64::consts::LN_2;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::float::Float;

/// A loss function: a mean over the elements of a sample, and over the samples of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// `mean((y - target)^2)`; Keras's `mse`.
    #[default]
    MeanSquaredError,
    /// `mean(|y - target|)`; Keras's `mae`.
    MeanAbsoluteError,
    /// Keras's `huber`. With d = y - target, the mean of `d^2 / 2` where `|d| <= delta`, and of
    /// `delta (|d| - delta / 2)` elsewhere (Huber 1964).
    Huber {
        /// The difference from which on the loss grows linearly.
        delta: Delta,
    },
    /// `mean(log(cosh(y - target)))`; Keras's `log_cosh`.
    LogCosh,
}

/// The `delta` of [`Loss::Huber`]: positive and finite, also when rounded to `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Delta(f64);

impl Delta {
    /// Checks a `delta`.
    ///
    /// # Errors
    /// If it is not positive, or rounds to zero or infinity in `f32`.
    pub fn new(delta: f64) -> Result<Self> {
        let narrow = delta as f32;
        if narrow > 0.0 && narrow.is_finite() {
            return Ok(Self(delta));
        }
        let expected = "a positive number in the range of f32".into();
        Err(Error::Option { option: "delta", found: delta.to_string(), expected })
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Default for Delta {
    /// Keras's default: 1.
    fn default() -> Self {
        Self(1.0)
    }
}

impl TryFrom<f64> for Delta {
    type Error = Error;

    fn try_from(delta: f64) -> Result<Self> {
        Self::new(delta)
    }
}

impl From<Delta> for f64 {
    fn from(delta: Delta) -> Self {
        delta.0
    }
}

impl Loss {
    /// Every loss, with Keras's default arguments.
    pub const ALL: [Self; 4] =
        [Self::MeanSquaredError, Self::MeanAbsoluteError, Self::Huber { delta: Delta(1.0) }, Self::LogCosh];

    /// The Huber loss, which is linear where a prediction is further than `delta` from its target.
    ///
    /// # Errors
    /// If `delta` is not positive, or rounds to zero or infinity in `f32`.
    pub fn huber(delta: f64) -> Result<Self> {
        Ok(Self::Huber { delta: Delta::new(delta)? })
    }

    /// Keras's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.names()[0]
    }

    /// The names of the function and the class in Keras: first the function's full name.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::MeanSquaredError => &["mean_squared_error", "mse", "MSE", "MeanSquaredError"],
            Self::MeanAbsoluteError => &["mean_absolute_error", "mae", "MAE", "MeanAbsoluteError"],
            Self::Huber { .. } => &["huber", "Huber"],
            Self::LogCosh => &["log_cosh", "LogCosh"],
        }
    }

    /// Finds a loss by one of its [names](Self::names), with Keras's default arguments.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|loss| loss.names().contains(&name))
    }

    /// The loss of one sample of a model with several outputs: the sum of the losses of each. `outputs` are the elements
    /// of each output in the prediction, and of its target in the target.
    ///
    /// # Panics
    /// If an output is not within both.
    #[must_use]
    pub fn total<F: Float>(self, outputs: &[Range<usize>], y: &[F], target: &[F]) -> f64 {
        outputs.iter().map(|output| self.sample(&y[output.clone()], &target[output.clone()])).sum()
    }

    /// The loss of one sample: the mean over its elements, summed in `f64`.
    ///
    /// # Panics
    /// If the lengths differ.
    #[must_use]
    pub fn sample<F: Float>(self, y: &[F], target: &[F]) -> f64 {
        assert_eq!(y.len(), target.len(), "a prediction has the shape of its target");
        let sum: f64 = y.iter().zip(target).map(|(y, t)| self.element(*y - *t).0).sum();
        sum / y.len() as f64
    }

    /// Computes the loss of one sample, and stores in `dy` the gradient of the *batch's* loss with respect to `y`. With
    /// d = y - target, n elements in a sample and B samples in the batch:
    ///
    /// * mean squared error: `dy = 2 d / (n B)`
    /// * mean absolute error: `dy = sign(d) / (n B)`, and 0 where d is 0, as in Keras
    /// * Huber: `dy = c / (n B)`, where c is d clamped to -delta ..= delta; an element's loss is `c (d - c / 2)`
    /// * log cosh: `dy = tanh(d) / (n B)`
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn gradient<F: Float>(self, y: &[F], target: &[F], batch: usize, dy: &mut [F]) -> f64 {
        assert_eq!((y.len(), y.len()), (target.len(), dy.len()), "a prediction has the shape of its target");
        let scale = 1.0 / (y.len() * batch) as f64;
        let scale = F::of(if self == Self::MeanSquaredError { 2.0 * scale } else { scale });
        let mut sum = 0.0;
        for ((y, target), dy) in y.iter().zip(target).zip(dy) {
            let (loss, slope) = self.element(*y - *target);
            sum += loss;
            *dy = scale * slope;
        }
        sum / y.len() as f64
    }

    /// The loss of one element, and its derivative; half of it for the mean squared error.
    fn element<F: Float>(self, difference: F) -> (f64, F) {
        let wide = difference.wide();
        match self {
            Self::MeanSquaredError => (wide * wide, difference),
            Self::MeanAbsoluteError if difference == F::zero() => (0.0, F::zero()),
            Self::MeanAbsoluteError => (wide.abs(), difference.signum()),
            Self::Huber { delta } => {
                let delta = F::of(delta.0);
                let clamped = num_traits::clamp(difference, -delta, delta);
                (clamped.wide() * (wide - 0.5 * clamped.wide()), clamped)
            }
            Self::LogCosh => (log_cosh(wide), F::of(wide.tanh())),
        }
    }
}

impl fmt::Display for Loss {
    /// The name, and the arguments if there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Huber { delta } => write!(f, "{} (delta {})", self.name(), delta.0),
            _ => f.write_str(self.name()),
        }
    }
}

/// Computes `log(cosh(x))`, precise to a few roundings for all `x`: `cosh` alone would overflow where `x` is large,
/// and the usual `|x| + log(1 + exp(-2 |x|)) - log(2)` cancels where it is small.
#[must_use]
pub fn log_cosh(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        // cosh(x) - 1 = h^2 / (2 exp(x)), with h = exp(x) - 1.
        let h = x.exp_m1();
        (h * h / (2.0 * (1.0 + h))).ln_1p()
    } else {
        x + (-2.0 * x).exp().ln_1p() - LN_2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_has_one_text_and_its_names_lead_to_it() {
        for (loss, text) in [
            (Loss::MeanSquaredError, r#""mean_squared_error""#),
            (Loss::MeanAbsoluteError, r#""mean_absolute_error""#),
            (Loss::huber(0.25).unwrap(), r#"{"huber":{"delta":0.25}}"#),
            (Loss::LogCosh, r#""log_cosh""#),
        ] {
            assert_eq!(serde_json::to_string(&loss).unwrap(), text);
            assert_eq!(serde_json::from_str::<Loss>(text).unwrap(), loss);
        }
        for loss in Loss::ALL {
            assert!(loss.names().iter().all(|name| Loss::from_name(name) == Some(loss)));
        }
        assert_eq!(Loss::from_name("hinge"), None);
        assert_eq!(Loss::huber(0.25).unwrap().to_string(), "huber (delta 0.25)");
    }

    #[test]
    fn a_delta_out_of_range_is_refused() {
        for delta in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-50, 1e39] {
            let error = Loss::huber(delta).unwrap_err().to_string();
            assert!(error.starts_with(&format!("delta is {delta}, expected a positive number")), "{error}");
        }
        let read = serde_json::from_str::<Loss>(r#"{"huber":{"delta":0.0}}"#);
        assert!(read.unwrap_err().to_string().contains("delta is 0, expected"));
    }

    /// Twice the logarithm is exact to 1e-15 by its series, x^2 - x^4 / 6 + ..., for small x; large ones are linear.
    #[test]
    fn log_cosh_is_precise_at_both_ends() {
        for x in [1e-160, 1e-100, 1e-20, 1e-9, 1e-5] {
            let series = x * x * (0.5 - x * x / 12.0);
            assert!((log_cosh(x) - series).abs() <= 1e-15 * series, "{x}");
        }
        // Both branches meet at 1.
        let (below, above) = (log_cosh(1.0f64.next_down()), log_cosh(1.0));
        assert!((below - above).abs() <= 4e-16 && (above - 1.0f64.cosh().ln()).abs() <= 4e-16);
        assert_eq!(log_cosh(-1e300), 1e300);
        assert_eq!(log_cosh(f64::NEG_INFINITY), f64::INFINITY);
        assert!(log_cosh(f64::NAN).is_nan());
    }
}
