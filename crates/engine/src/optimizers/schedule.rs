//! Learning rates: a number, or a schedule over the training steps.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{check, positive};
use crate::error::{Error, Result};
use crate::float::Float;

/// A learning rate. It serialises as a number, or as an object with the schedule's `class_name` and its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LearningRate {
    /// The same at every step.
    Constant(f64),
    /// A function of the step.
    Schedule(Schedule),
}

/// A learning rate that depends on the training step, as in
/// [`keras.optimizers.schedules`](https://keras.io/api/optimizers/learning_rate_schedules/).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "class_name")]
#[non_exhaustive]
pub enum Schedule {
    /// A power of the step.
    ExponentialDecay(ExponentialDecay),
    /// Half a wave of the cosine, after a linear warmup or without.
    CosineDecay(CosineDecay),
}

/// A learning rate that decays by a factor in so many steps. At `step`, from 0:
///
/// ```text
/// initial_learning_rate decay_rate^(step / decay_steps)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExponentialDecay {
    /// The learning rate of the first step.
    pub initial_learning_rate: f64,
    /// The steps in which it decays by `decay_rate`.
    pub decay_steps: u64,
    /// The factor.
    pub decay_rate: f64,
    /// If true, the exponent is rounded down: the learning rate changes every `decay_steps` steps only. Keras's default:
    /// false.
    #[serde(default)]
    pub staircase: bool,
}

/// A learning rate that falls along half a wave of the cosine (Loshchilov and Hutter, *SGDR: stochastic gradient descent
/// with warm restarts*, arXiv:1608.03983), and rises in a straight line before if there is a `warmup_target` (Goyal et al.,
/// *Accurate, large minibatch SGD*, arXiv:1706.02677). At `step`, from 0:
///
/// ```text
/// initial + (target - initial) step / warmup_steps          for step < warmup_steps
/// from ((1 - alpha) (1 + cos(pi completed)) / 2 + alpha)    after
///
/// completed = min((step - warmup_steps) / decay_steps, 1)
/// ```
///
/// `from` is the target, or the initial learning rate if there is none; then `warmup_steps` does not count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CosineDecay {
    /// The learning rate of the first step.
    pub initial_learning_rate: f64,
    /// The steps of the decay.
    pub decay_steps: u64,
    /// The learning rate after the decay, as a fraction of that before. Keras's default: 0.
    #[serde(default)]
    pub alpha: f64,
    /// The learning rate at the end of the warmup. Keras's default: no warmup.
    #[serde(default)]
    pub warmup_target: Option<f64>,
    /// The steps of the warmup. Keras's default: 0.
    #[serde(default)]
    pub warmup_steps: u64,
}

impl LearningRate {
    /// The learning rate of step number `step`, from 1. It is computed in `F`, as in Keras.
    #[must_use]
    pub fn at<F: Float>(&self, step: u64) -> F {
        // Keras counts the steps that are done.
        let done = F::of(step.saturating_sub(1) as f64);
        match self {
            Self::Constant(rate) => F::of(*rate),
            Self::Schedule(Schedule::ExponentialDecay(decay)) => decay.after(done),
            Self::Schedule(Schedule::CosineDecay(decay)) => decay.after(done),
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        match self {
            Self::Constant(rate) => positive("learning_rate", *rate),
            Self::Schedule(Schedule::ExponentialDecay(decay)) => {
                positive("initial_learning_rate", decay.initial_learning_rate)?;
                steps(decay.decay_steps)?;
                positive("decay_rate", decay.decay_rate)
            }
            Self::Schedule(Schedule::CosineDecay(decay)) => {
                not_negative("initial_learning_rate", decay.initial_learning_rate)?;
                steps(decay.decay_steps)?;
                not_negative("alpha", decay.alpha)?;
                decay.warmup_target.map_or(Ok(()), |target| not_negative("warmup_target", target))
            }
        }
    }
}

impl ExponentialDecay {
    /// A schedule without a staircase.
    #[must_use]
    pub fn new(initial_learning_rate: f64, decay_steps: u64, decay_rate: f64) -> Self {
        Self { initial_learning_rate, decay_steps, decay_rate, staircase: false }
    }

    fn after<F: Float>(&self, step: F) -> F {
        let power = step / F::of(self.decay_steps as f64);
        let power = if self.staircase { power.floor() } else { power };
        F::of(self.initial_learning_rate) * F::of(self.decay_rate).powf(power)
    }
}

impl CosineDecay {
    /// A schedule that decays to 0, without warmup.
    #[must_use]
    pub fn new(initial_learning_rate: f64, decay_steps: u64) -> Self {
        Self { initial_learning_rate, decay_steps, alpha: 0.0, warmup_target: None, warmup_steps: 0 }
    }

    fn after<F: Float>(&self, step: F) -> F {
        let initial = F::of(self.initial_learning_rate);
        let decay_steps = F::of(self.decay_steps as f64);
        let (from, step) = match self.warmup_target.map(F::of) {
            None => (initial, step),
            Some(target) => {
                let warmup_steps = F::of(self.warmup_steps as f64);
                if step < warmup_steps {
                    return (target - initial) * (step / warmup_steps) + initial;
                }
                (target, step - warmup_steps)
            }
        };
        let completed = step.min(decay_steps) / decay_steps;
        let cosine = F::of(0.5) * (F::one() + (F::of(std::f64::consts::PI) * completed).cos());
        from * (F::of(1.0 - self.alpha) * cosine + F::of(self.alpha))
    }
}

/// The number, or the schedule with its arguments: `ExponentialDecay (initial_learning_rate 0.1, ...)`.
impl fmt::Display for LearningRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(rate) => write!(f, "{rate:?}"),
            Self::Schedule(Schedule::ExponentialDecay(decay)) => {
                let ExponentialDecay { initial_learning_rate, decay_steps, decay_rate, staircase } = decay;
                write!(
                    f,
                    "ExponentialDecay (initial_learning_rate {initial_learning_rate:?}, decay_steps {decay_steps}, \
                     decay_rate {decay_rate:?}, staircase {staircase})"
                )
            }
            Self::Schedule(Schedule::CosineDecay(decay)) => {
                let CosineDecay { initial_learning_rate, decay_steps, alpha, warmup_target, warmup_steps } =
                    decay;
                write!(
                    f,
                    "CosineDecay (initial_learning_rate {initial_learning_rate:?}, decay_steps {decay_steps}, alpha \
                     {alpha:?}"
                )?;
                if let Some(target) = warmup_target {
                    write!(f, ", warmup_target {target:?}, warmup_steps {warmup_steps}")?;
                }
                f.write_str(")")
            }
        }
    }
}

impl From<f64> for LearningRate {
    fn from(rate: f64) -> Self {
        Self::Constant(rate)
    }
}

impl From<ExponentialDecay> for LearningRate {
    fn from(decay: ExponentialDecay) -> Self {
        Self::Schedule(Schedule::ExponentialDecay(decay))
    }
}

impl From<CosineDecay> for LearningRate {
    fn from(decay: CosineDecay) -> Self {
        Self::Schedule(Schedule::CosineDecay(decay))
    }
}

fn steps(decay_steps: u64) -> Result<()> {
    match decay_steps {
        0 => Err(Error::Option {
            option: "decay_steps",
            found: "0".into(),
            expected: "a whole number of at least 1".into(),
        }),
        _ => Ok(()),
    }
}

fn not_negative(option: &'static str, value: f64) -> Result<()> {
    check(option, value, value >= 0.0 && value.is_finite(), "a number of at least 0")
}
