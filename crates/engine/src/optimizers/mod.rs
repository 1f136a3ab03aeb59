//! Optimisers: the update of the weights from a gradient.

mod adam;
mod clip;
mod common;
mod rmsprop;
mod schedule;
mod sgd;

pub use adam::{Adam, AdamW};
pub use clip::Clipping;
pub use common::Common;
pub use rmsprop::RMSprop;
pub use schedule::{CosineDecay, ExponentialDecay, LearningRate, Schedule};
pub use sgd::SGD;

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::float::Float;
use crate::model::WeightLayout;

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
    /// Adam with decay of the weights.
    AdamW(AdamW),
    /// Steps scaled by the size of recent gradients.
    RMSprop(RMSprop),
    /// Gradient descent, with momentum or without.
    SGD(SGD),
}

/// The value of a hyperparameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Hyperparameter {
    /// A number, such as a momentum.
    Number(f64),
    /// A schedule, in place of a learning rate.
    Schedule(Schedule),
    /// A Boolean, such as Nesterov's momentum.
    Flag(bool),
}

impl fmt::Display for Hyperparameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(value) => write!(f, "{value:?}"),
            Self::Schedule(schedule) => LearningRate::Schedule(*schedule).fmt(f),
            Self::Flag(value) => write!(f, "{value}"),
        }
    }
}

/// Calls the same method of whatever optimiser it is.
macro_rules! each {
    ($optimizer:expr, $rule:ident => $call:expr) => {
        match $optimizer {
            Optimizer::Adam($rule) | Optimizer::AdamW(AdamW($rule)) => $call,
            Optimizer::RMSprop($rule) => $call,
            Optimizer::SGD($rule) => $call,
        }
    };
}

impl Optimizer {
    /// Every optimiser, with Keras's defaults.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![
            Adam::default().into(),
            AdamW::default().into(),
            RMSprop::default().into(),
            SGD::default().into(),
        ]
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
            Self::AdamW(_) => "AdamW",
            Self::RMSprop(_) => "RMSprop",
            Self::SGD(_) => "SGD",
        }
    }

    /// Its name, as Keras's `compile` takes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Adam(_) => "adam",
            Self::AdamW(_) => "adamw",
            Self::RMSprop(_) => "rmsprop",
            Self::SGD(_) => "sgd",
        }
    }

    /// The learning rate.
    #[must_use]
    pub fn learning_rate(&self) -> LearningRate {
        each!(self, rule => rule.learning_rate)
    }

    /// Sets the learning rate.
    pub fn set_learning_rate(&mut self, rate: impl Into<LearningRate>) {
        each!(self, rule => rule.learning_rate = rate.into());
    }

    /// The arguments of every optimiser.
    #[must_use]
    pub fn common(&self) -> &Common {
        each!(self, rule => &rule.common)
    }

    /// The same with decay of the weights, see [`Common::weight_decay`].
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        each!(&mut self, rule => rule.common.weight_decay = Some(weight_decay));
        self
    }

    /// The same with clipping of the gradient, and no other.
    #[must_use]
    pub fn clip(mut self, clipping: Clipping) -> Self {
        let common = each!(&mut self, rule => &mut rule.common);
        (common.clipnorm, common.clipvalue, common.global_clipnorm) = match clipping {
            Clipping::Norm(limit) => (Some(limit), None, None),
            Clipping::Value(limit) => (None, Some(limit), None),
            Clipping::GlobalNorm(limit) => (None, None, Some(limit)),
        };
        self
    }

    /// The names of all hyperparameters: Keras's arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<&'static str> {
        self.clone().fields().into_iter().map(|(name, _)| name).collect()
    }

    /// The hyperparameters that have a value, under the names of Keras's arguments.
    #[must_use]
    pub fn hyperparameters(&self) -> Vec<(&'static str, Hyperparameter)> {
        let mut copy = self.clone();
        copy.fields().into_iter().filter_map(|(name, field)| Some((name, field.value()?))).collect()
    }

    pub(crate) fn fields(&mut self) -> Vec<(&'static str, Field<'_>)> {
        each!(self, rule => rule.fields())
    }

    /// Sets a hyperparameter by the name of Keras's argument. The value is checked by [`Optimizer::validate`].
    ///
    /// # Errors
    /// If the optimiser has no such hyperparameter, or it is a number and the value a Boolean, or the reverse.
    pub fn set(&mut self, name: &'static str, value: Hyperparameter) -> Result<()> {
        let field = self.fields().into_iter().find(|(field, _)| *field == name).map(|(_, field)| field);
        match (field, value) {
            (Some(Field::Rate(field)), Hyperparameter::Number(value)) => *field = value.into(),
            (Some(Field::Rate(field)), Hyperparameter::Schedule(value)) => {
                *field = LearningRate::Schedule(value);
            }
            (Some(Field::Number(field)), Hyperparameter::Number(value)) => *field = value,
            (Some(Field::Optional(field)), Hyperparameter::Number(value)) => *field = Some(value),
            (Some(Field::Flag(field)), Hyperparameter::Flag(value)) => *field = value,
            (field, value) => {
                let expected = match field {
                    Some(Field::Rate(_)) => "a number or a schedule".into(),
                    Some(Field::Number(_) | Field::Optional(_)) => "a number".into(),
                    Some(Field::Flag(_)) => "true or false".into(),
                    None => {
                        let (class, names) = (self.class_name(), self.arguments().join(", "));
                        format!("no value: {class} does not have it; its arguments are {names}")
                    }
                };
                return Err(Error::Option { option: name, found: value.to_string(), expected });
            }
        }
        Ok(())
    }

    /// The names of the numbers that are kept per weight.
    #[must_use]
    pub fn slots(&self) -> &'static [&'static str] {
        each!(self, rule => rule.slots())
    }

    /// The factor of step number `step`, from 1: the learning rate, and in Adam the correction of its moments too. It
    /// and the learning rate are all in an update that depends on the step's number.
    #[must_use]
    pub fn rate<F: Float>(&self, step: u64) -> F {
        match self {
            Self::Adam(adam) | Self::AdamW(AdamW(adam)) => adam.rate(step),
            other => other.learning_rate().at(step),
        }
    }

    /// Takes step number `step`, from 1: clips the gradient, decays the weights, and updates `weights` and `slots`. Unless
    /// norms are clipped, each element is independent of the others. All this is for the weights that are
    /// [trained](crate::model::WeightInfo::trained); the gradient of a moving statistic is its change, and is added to it.
    ///
    /// # Panics
    /// If the number of slots or a length is wrong.
    pub fn update<F: Float>(
        &self,
        step: u64,
        layout: &WeightLayout,
        weights: &mut [F],
        gradient: &[F],
        slots: &mut [Vec<F>],
    ) {
        assert_eq!(slots.len(), self.slots().len(), "slots of {}", self.class_name());
        let mut lengths = [weights.len(), gradient.len()].into_iter().chain(slots.iter().map(Vec::len));
        assert!(lengths.all(|len| len == layout.len()), "a number for each weight");
        for range in layout.trained() {
            self.common().decay(self.learning_rate().at::<F>(step), &mut weights[range]);
        }
        let rate = self.rate(step);
        let tensors = layout.tensors().iter().filter(|tensor| tensor.trained);
        let tensors = tensors.map(|tensor| tensor.range.clone());
        match self.common().clipping() {
            None => self.step(rate, layout.trained(), weights, gradient, slots, |g| g),
            Some(Clipping::Value(limit)) => {
                let clip = clip::by_value(F::of(limit));
                self.step(rate, layout.trained(), weights, gradient, slots, clip);
            }
            Some(Clipping::Norm(limit)) => {
                for range in tensors {
                    let clip = clip::by_norm(F::of(limit), &gradient[range.clone()]);
                    self.step(rate, std::iter::once(range), weights, gradient, slots, clip);
                }
            }
            Some(Clipping::GlobalNorm(limit)) => {
                let clip = clip::by_global_norm(limit, tensors.map(|range| &gradient[range]));
                self.step(rate, layout.trained(), weights, gradient, slots, clip);
            }
        }
        for range in layout.untrained() {
            let changes = &gradient[range.clone()];
            weights[range].iter_mut().zip(changes).for_each(|(weight, change)| *weight += *change);
        }
    }

    /// Updates ranges of the weights.
    fn step<F: Float>(
        &self,
        rate: F,
        ranges: impl Iterator<Item = Range<usize>>,
        weights: &mut [F],
        gradient: &[F],
        slots: &mut [Vec<F>],
        clip: impl Fn(F) -> F,
    ) {
        for range in ranges {
            let mut parts = Slots::default();
            for (part, slot) in parts.iter_mut().zip(&mut *slots) {
                *part = &mut slot[range.clone()];
            }
            let gradient = gradient[range.clone()].iter().map(|g| clip(*g));
            each!(self, rule => rule.update(rate, &mut weights[range], gradient, parts));
        }
    }

    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// Names the first that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.learning_rate().validate()?;
        self.common().validate()?;
        if matches!(self, Self::AdamW(_)) && self.common().weight_decay.is_none() {
            let (found, expected) = ("absent".into(), "a number; without decay, AdamW is Adam".into());
            return Err(Error::Option { option: "weight_decay", found, expected });
        }
        each!(self, rule => rule.validate())
    }
}

impl fmt::Display for Optimizer {
    /// The name of the class, and the hyperparameters that have a value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> =
            self.hyperparameters().iter().map(|(name, value)| format!("{name} {value}")).collect();
        write!(f, "{} ({})", self.class_name(), values.join(", "))
    }
}

impl From<Adam> for Optimizer {
    fn from(adam: Adam) -> Self {
        Self::Adam(adam)
    }
}

impl From<AdamW> for Optimizer {
    fn from(adam: AdamW) -> Self {
        Self::AdamW(adam)
    }
}

impl From<RMSprop> for Optimizer {
    fn from(rmsprop: RMSprop) -> Self {
        Self::RMSprop(rmsprop)
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
pub(crate) enum Field<'a> {
    Rate(&'a mut LearningRate),
    Number(&'a mut f64),
    /// A number that may be absent.
    Optional(&'a mut Option<f64>),
    Flag(&'a mut bool),
}

impl Field<'_> {
    pub(crate) fn value(self) -> Option<Hyperparameter> {
        match self {
            Self::Rate(LearningRate::Constant(value)) => Some(Hyperparameter::Number(*value)),
            Self::Rate(LearningRate::Schedule(value)) => Some(Hyperparameter::Schedule(*value)),
            Self::Number(value) => Some(Hyperparameter::Number(*value)),
            Self::Optional(value) => value.map(Hyperparameter::Number),
            Self::Flag(value) => Some(Hyperparameter::Flag(*value)),
        }
    }
}

impl<'a> From<&'a mut LearningRate> for Field<'a> {
    fn from(value: &'a mut LearningRate) -> Self {
        Self::Rate(value)
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

/// The fields of an optimiser, with their names: its own, then those that every optimiser has.
macro_rules! fields {
    ($self:ident: $($name:ident),*) => {{
        let mut fields = vec![$((stringify!($name), Field::from(&mut $self.$name))),*];
        fields.extend($self.common.fields());
        fields
    }};
}
use fields;

/// The numbers that an optimiser keeps for some weights, in the order of its slots; those that it does not have are empty.
type Slots<'a, F> = [&'a mut [F]; 3];

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
