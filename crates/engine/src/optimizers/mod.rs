//! Optimisers: the update of the weights from a gradient.

mod adam;
mod sgd;

pub use adam::Adam;
pub use sgd::SGD;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::float::Float;

/// An optimiser and its hyperparameters. It serialises as `optimizer`, its name in lower case, and the hyperparameters
/// beside that, all under the names of Keras's arguments.
///
/// An optimiser keeps [`slots`](Optimizer::slots) numbers per weight. They belong to the state of a training run and
/// not to the optimiser, so that a device can store them next to the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "optimizer", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Optimizer {
    /// Kingma and Ba's Adam, as Keras computes it.
    Adam(Adam),
    /// Gradient descent, with momentum or without.
    SGD(SGD),
}

/// The value of a hyperparameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Hyperparameter {
    /// A number, such as a learning rate.
    Number(f64),
    /// A Boolean, such as Nesterov's momentum.
    Flag(bool),
}

impl fmt::Display for Hyperparameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(value) => write!(f, "{value:?}"),
            Self::Flag(value) => write!(f, "{value}"),
        }
    }
}

/// Calls the same method of whatever optimiser it is.
macro_rules! each {
    ($optimizer:expr, $rule:ident => $call:expr) => {
        match $optimizer {
            Optimizer::Adam($rule) => $call,
            Optimizer::SGD($rule) => $call,
        }
    };
}

impl Optimizer {
    /// Every optimiser, with Keras's defaults.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![Adam::default().into(), SGD::default().into()]
    }

    /// The optimiser of this name, in upper or lower case, with Keras's defaults.
    ///
    /// ```
    /// use glassbox_engine::optimizers::{Optimizer, SGD};
    ///
    /// assert_eq!(Optimizer::named("sgd"), Some(SGD::new(0.01).into()));
    /// assert_eq!(Optimizer::named("steepest"), None);
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|optimizer| optimizer.class_name().eq_ignore_ascii_case(name))
    }

    /// Keras's name of its class.
    #[must_use]
    pub fn class_name(&self) -> &'static str {
        match self {
            Self::Adam(_) => "Adam",
            Self::SGD(_) => "SGD",
        }
    }

    /// Its name, as Keras's `compile` takes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Adam(_) => "adam",
            Self::SGD(_) => "sgd",
        }
    }

    /// The learning rate.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        each!(self, rule => rule.learning_rate)
    }

    /// The hyperparameters, under the names of Keras's arguments.
    #[must_use]
    pub fn hyperparameters(&self) -> Vec<(&'static str, Hyperparameter)> {
        let mut copy = self.clone();
        let fields = each!(&mut copy, rule => rule.fields());
        fields.into_iter().map(|(name, field)| (name, field.value())).collect()
    }

    /// Sets a hyperparameter by the name of Keras's argument. The value is checked by [`Optimizer::validate`].
    ///
    /// # Errors
    /// If the optimiser has no such hyperparameter, or it is a number and the value a Boolean, or the reverse.
    pub fn set(&mut self, name: &'static str, value: Hyperparameter) -> Result<()> {
        let class = self.class_name();
        let mut fields = each!(self, rule => rule.fields());
        let expected = match (fields.iter_mut().find(|(field, _)| *field == name), value) {
            (Some((_, Field::Number(field))), Hyperparameter::Number(value)) => {
                **field = value;
                return Ok(());
            }
            (Some((_, Field::Flag(field))), Hyperparameter::Flag(value)) => {
                **field = value;
                return Ok(());
            }
            (Some((_, Field::Number(_))), _) => "a number".into(),
            (Some((_, Field::Flag(_))), _) => "true or false".into(),
            (None, _) => {
                let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
                format!("no value: {class} does not have it; its arguments are {}", names.join(", "))
            }
        };
        Err(Error::Option { option: name, found: value.to_string(), expected })
    }

    /// The names of the numbers that are kept per weight.
    #[must_use]
    pub fn slots(&self) -> &'static [&'static str] {
        each!(self, rule => rule.slots())
    }

    /// The factor of step number `step`, from 1: the learning rate, and in Adam the correction of its moments too. It
    /// is the only thing in an update that depends on the step's number.
    #[must_use]
    pub fn rate<F: Float>(&self, step: u64) -> F {
        each!(self, rule => rule.rate(step))
    }

    /// Takes step number `step`, from 1: updates `weights` and `slots` from `gradient`. Each element is independent of
    /// the others, so a caller may cut all of them into the same pieces.
    ///
    /// # Panics
    /// If the number of slots or a length is wrong.
    pub fn update<F: Float>(&self, step: u64, weights: &mut [F], gradient: &[F], slots: &mut [Vec<F>]) {
        assert_eq!(slots.len(), self.slots().len(), "slots of {}", self.class_name());
        each!(self, rule => rule.update(step, weights, gradient, slots));
    }

    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// Names the first that is out of range.
    pub fn validate(&self) -> Result<()> {
        each!(self, rule => rule.validate())
    }
}

impl From<Adam> for Optimizer {
    fn from(adam: Adam) -> Self {
        Self::Adam(adam)
    }
}

impl From<SGD> for Optimizer {
    fn from(sgd: SGD) -> Self {
        Self::SGD(sgd)
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

/// A hyperparameter within its optimiser.
enum Field<'a> {
    Number(&'a mut f64),
    Flag(&'a mut bool),
}

impl Field<'_> {
    fn value(self) -> Hyperparameter {
        match self {
            Self::Number(value) => Hyperparameter::Number(*value),
            Self::Flag(value) => Hyperparameter::Flag(*value),
        }
    }
}

impl<'a> From<&'a mut f64> for Field<'a> {
    fn from(value: &'a mut f64) -> Self {
        Self::Number(value)
    }
}

impl<'a> From<&'a mut bool> for Field<'a> {
    fn from(value: &'a mut bool) -> Self {
        Self::Flag(value)
    }
}

/// The fields of an optimiser, with their names.
macro_rules! fields {
    ($self:ident: $($name:ident),*) => {
        vec![$((stringify!($name), Field::from(&mut $self.$name))),*]
    };
}
use fields;

/// Panics if a length is not that of the weights.
fn require_lengths<F>(weights: &[F], gradient: &[F], slots: &[Vec<F>]) {
    let lengths = std::iter::once(gradient.len()).chain(slots.iter().map(Vec::len));
    assert!(lengths.eq(std::iter::repeat_n(weights.len(), 1 + slots.len())), "a number for each weight");
}

fn check(option: &'static str, value: f64, good: bool, expected: &str) -> Result<()> {
    match good {
        true => Ok(()),
        false => Err(Error::Option { option, found: value.to_string(), expected: expected.into() }),
    }
}

fn positive(option: &'static str, value: f64) -> Result<()> {
    check(option, value, value > 0.0 && value.is_finite(), "a positive number")
}

fn decay(option: &'static str, value: f64) -> Result<()> {
    check(option, value, (0.0..1.0).contains(&value), "a number in [0, 1)")
}

fn decay_or_1(option: &'static str, value: f64) -> Result<()> {
    check(option, value, (0.0..=1.0).contains(&value), "a number in [0, 1]")
}
