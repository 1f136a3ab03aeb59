//! The variants: the tutorial, and the tutorial with one thing changed.

use std::sync::LazyLock;

use glassbox_engine::model::Network;
use glassbox_pipeline::Result;
use glassbox_pipeline::architecture::{Autoencoder, lstm_model, tutorial_model};
use glassbox_pipeline::detection::PointRule;
use glassbox_pipeline::reconstruction::ErrorMeasure;
use serde::{Deserialize, Serialize};

use super::models::{dense_model, pooled_model};

/// A model to train; the options of training are those of the tutorial.
#[derive(Debug, Clone, Copy)]
pub struct Training {
    /// Its name, to which variants refer.
    pub name: &'static str,
    /// Makes the model for windows of so many steps and one channel, or says which lengths it can take.
    pub model: fn(usize) -> Result<Network>,
}

/// The models to train.
pub static TRAININGS: LazyLock<Vec<Training>> = LazyLock::new(|| {
    let training = |name, model| Training { name, model };
    vec![
        training(BASELINE, tutorial_model),
        training("no-dropout", |steps| Autoencoder { dropout: 0.0, ..Autoencoder::default() }.model(steps)),
        training("more-channels", |steps| {
            Autoencoder { filters: [64, 32], ..Autoencoder::default() }.model(steps)
        }),
        training("fewer-channels", |steps| {
            Autoencoder { filters: [16, 8], ..Autoencoder::default() }.model(steps)
        }),
        training("stride-1", |steps| Autoencoder { strides: 1, ..Autoencoder::default() }.model(steps)),
        training("stride-4", |steps| Autoencoder { strides: 4, ..Autoencoder::default() }.model(steps)),
        training("pooled", pooled_model),
        training("dense", dense_model),
        training("lstm", lstm_model),
    ]
});

/// The epoch whose weights are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// Those of the last epoch, as in the tutorial.
    Last,
    /// Those of the epoch with the best `val_loss`: `restore_best_weights` of Keras.
    Best,
}

/// The source of the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ThresholdRule {
    /// The largest error of a training window, as in the tutorial.
    TrainingMax,
    /// The quantile `q` of the errors of the training windows.
    TrainingQuantile {
        /// The fraction of the windows with a smaller error.
        q: f64,
    },
    /// The largest error of a validation window: one that was not trained on.
    ValidationMax,
}

/// The rule from anomalous windows to anomalous points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A point is anomalous if the window that ends with it is: nothing after it is needed.
    LastStep,
    /// A point is anomalous if the windows that hold it are.
    #[serde(untagged)]
    Windows(PointRule),
}

/// The tutorial with at most one thing changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name, one word.
    pub name: String,
    /// A few words for a table.
    pub title: String,
    /// The change, in a sentence.
    pub change: String,
    /// The name of its [`Training`].
    pub training: String,
    /// The epoch whose weights it has.
    pub weights: Weights,
    /// The error of a window.
    pub error: ErrorMeasure,
    /// The error above which a window is anomalous.
    pub threshold: ThresholdRule,
    /// The rule for points.
    pub rule: Rule,
    /// The number of models; the error of a window is the mean of theirs.
    pub members: usize,
}

/// The name of the tutorial as published, with which all others are compared.
pub const BASELINE: &str = "tutorial";

/// The variants, the tutorial first.
pub static VARIANTS: LazyLock<Vec<Variant>> = LazyLock::new(|| {
    let tutorial = Variant {
        name: BASELINE.into(),
        title: "the tutorial as published".into(),
        change: "No change.".into(),
        training: BASELINE.into(),
        weights: Weights::Last,
        error: ErrorMeasure::Mean,
        threshold: ThresholdRule::TrainingMax,
        rule: Rule::Windows(PointRule::Published),
        members: 1,
    };
    let variant = |name: &str, title: &str, change: &str, set: fn(&mut Variant)| {
        let (name, title, change) = (name.into(), title.into(), change.into());
        let mut variant = Variant { name, title, change, ..tutorial.clone() };
        set(&mut variant);
        variant
    };
    vec![
        tutorial.clone(),
        variant(
            "restore-best-weights",
            "best epoch's weights",
            "The weights are those of the epoch with the best val_loss, not of the last epoch.",
            |v| v.weights = Weights::Best,
        ),
        variant(
            "threshold-q99.9",
            "threshold: 99.9 % quantile",
            "The threshold is the 99.9 % quantile of the training windows' errors, not the largest.",
            |v| v.threshold = ThresholdRule::TrainingQuantile { q: 0.999 },
        ),
        variant(
            "threshold-q99",
            "threshold: 99 % quantile",
            "The threshold is the 99 % quantile of the training windows' errors, not the largest.",
            |v| v.threshold = ThresholdRule::TrainingQuantile { q: 0.99 },
        ),
        variant(
            "threshold-q95",
            "threshold: 95 % quantile",
            "The threshold is the 95 % quantile of the training windows' errors, not the largest.",
            |v| v.threshold = ThresholdRule::TrainingQuantile { q: 0.95 },
        ),
        variant(
            "threshold-validation",
            "threshold: validation windows",
            "The threshold is the largest error of a validation window, which training has not seen.",
            |v| v.threshold = ThresholdRule::ValidationMax,
        ),
        variant(
            "inclusive-rule",
            "inclusive point rule",
            "The rule for a point includes the window that starts at the point.",
            |v| v.rule = Rule::Windows(PointRule::Inclusive),
        ),
        variant(
            "last-step",
            "error of the last step",
            "A window's error is the error of its last step, not the mean over all steps, and applies to that step \
                 only: a verdict needs no later rows.",
            |v| (v.error, v.rule) = (ErrorMeasure::LastStep, Rule::LastStep),
        ),
        variant("no-dropout", "no dropout", "No dropout layers.", |v| v.training = "no-dropout".into()),
        variant(
            "more-channels",
            "more channels: 64, 32",
            "Layers have twice as many channels: 64 and 32.",
            |v| v.training = "more-channels".into(),
        ),
        variant(
            "fewer-channels",
            "fewer channels: 16, 8",
            "Layers have half as many channels: 16 and 8.",
            |v| v.training = "fewer-channels".into(),
        ),
        variant(
            "stride-1",
            "strides of 1",
            "Strides are 1, not 2: no layer shortens the window, so there is no bottleneck in time.",
            |v| v.training = "stride-1".into(),
        ),
        variant(
            "stride-4",
            "strides of 4",
            "Strides are 4, not 2: the code between encoder and decoder has a sixteenth of the steps of the window.",
            |v| v.training = "stride-4".into(),
        ),
        variant(
            "pooled",
            "pooling, up-sampling",
            "Max pooling shortens the window and up-sampling lengthens it again, in the place of strides; all \
                 convolutions have a stride of 1 and as many weights.",
            |v| v.training = "pooled".into(),
        ),
        variant(
            "dense",
            "dense: 64, 16, 64",
            "Dense layers in the place of convolutions: the window as one vector, and a code of 16 numbers.",
            |v| v.training = "dense".into(),
        ),
        variant(
            "lstm",
            "LSTM: 32, 32",
            "LSTM layers in the place of convolutions: a code of 32 numbers, the last hidden state of the encoder.",
            |v| v.training = "lstm".into(),
        ),
        variant(
            "ensemble",
            "ensemble of 3 seeds",
            "Three models with different seeds; a window's error is the mean of their errors.",
            |v| v.members = 3,
        ),
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_have_names_of_their_own_and_a_training_each() {
        for (index, variant) in VARIANTS.iter().enumerate() {
            assert!(VARIANTS[..index].iter().all(|other| other.name != variant.name), "{}", variant.name);
            assert!(TRAININGS.iter().any(|training| training.name == variant.training), "{}", variant.name);
            assert!(variant.title.chars().count() <= 29, "{} is too long for the table", variant.title);
        }
        assert_eq!((VARIANTS[0].name.as_str(), TRAININGS[0].name), (BASELINE, BASELINE));
    }

    /// One seed fewer than the default cannot be significant, even if all agree.
    #[test]
    fn the_default_number_of_seeds_is_the_least_that_can_tell() {
        let family = (VARIANTS.len() - 1) as f64;
        let adjusted = |seeds| family * crate::statistics::sign_test(seeds, 0);
        let seeds = super::super::DEFAULT_SEEDS;
        assert!(adjusted(seeds) <= super::super::LEVEL && adjusted(seeds - 1) > super::super::LEVEL);
    }
}
