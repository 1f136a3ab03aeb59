//! The variants: the tutorial, and the tutorial with one thing changed.

use glassbox_pipeline::architecture::Autoencoder;
use glassbox_pipeline::detection::PointRule;
use glassbox_pipeline::reconstruction::ErrorMeasure;
use serde::{Deserialize, Serialize};

/// A model to train; the options of training are those of the tutorial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Training {
    /// Its name, to which variants refer.
    pub name: &'static str,
    /// The model.
    pub autoencoder: Autoencoder,
}

/// The tutorial's model.
const MODEL: Autoencoder = Autoencoder { filters: [32, 16], strides: 2, dropout: 0.2 };

/// The models to train.
pub const TRAININGS: [Training; 6] = [
    Training { name: BASELINE, autoencoder: MODEL },
    Training { name: "no-dropout", autoencoder: Autoencoder { dropout: 0.0, ..MODEL } },
    Training { name: "more-channels", autoencoder: Autoencoder { filters: [64, 32], ..MODEL } },
    Training { name: "fewer-channels", autoencoder: Autoencoder { filters: [16, 8], ..MODEL } },
    Training { name: "stride-1", autoencoder: Autoencoder { strides: 1, ..MODEL } },
    Training { name: "stride-4", autoencoder: Autoencoder { strides: 4, ..MODEL } },
];

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
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ThresholdRule {
    /// The largest error of a training window, as in the tutorial.
    TrainingMax,
    /// The quantile of the errors of the training windows.
    TrainingQuantile(f64),
    /// The largest error of a validation window: one that was not trained on.
    ValidationMax,
}

/// The rule from the errors of windows to anomalous points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A point is anomalous if the windows that hold it are.
    Windows(PointRule),
    /// A point is anomalous if the window that ends with it is: nothing after it is needed.
    LastStep,
}

/// The tutorial with at most one thing changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variant {
    /// Its name, one word.
    pub name: &'static str,
    /// A few words for a table.
    pub title: &'static str,
    /// The change, in a sentence.
    pub change: &'static str,
    /// The name of its [`Training`].
    pub training: &'static str,
    /// The epoch whose weights it has.
    pub weights: Weights,
    /// The error of a window.
    pub error: ErrorMeasure,
    /// The error above which a window is anomalous.
    pub threshold: ThresholdRule,
    /// The rule for points.
    pub verdict: Verdict,
    /// The number of models; the error of a window is the mean of theirs.
    pub members: usize,
}

/// The name of the tutorial as published, with which all others are compared.
pub const BASELINE: &str = "tutorial";

const TUTORIAL: Variant = Variant {
    name: BASELINE,
    title: "the tutorial as published",
    change: "No change.",
    training: BASELINE,
    weights: Weights::Last,
    error: ErrorMeasure::Mean,
    threshold: ThresholdRule::TrainingMax,
    verdict: Verdict::Windows(PointRule::Published),
    members: 1,
};

/// The variants, the tutorial first.
pub const VARIANTS: [Variant; 14] = [
    TUTORIAL,
    Variant {
        name: "restore-best-weights",
        title: "best epoch's weights",
        change: "The weights are those of the epoch with the best val_loss, not of the last epoch.",
        weights: Weights::Best,
        ..TUTORIAL
    },
    Variant {
        name: "threshold-q99.9",
        title: "threshold: 99.9 % quantile",
        change: "The threshold is the 99.9 % quantile of the training windows' errors, not the largest.",
        threshold: ThresholdRule::TrainingQuantile(0.999),
        ..TUTORIAL
    },
    Variant {
        name: "threshold-q99",
        title: "threshold: 99 % quantile",
        change: "The threshold is the 99 % quantile of the training windows' errors, not the largest.",
        threshold: ThresholdRule::TrainingQuantile(0.99),
        ..TUTORIAL
    },
    Variant {
        name: "threshold-q95",
        title: "threshold: 95 % quantile",
        change: "The threshold is the 95 % quantile of the training windows' errors, not the largest.",
        threshold: ThresholdRule::TrainingQuantile(0.95),
        ..TUTORIAL
    },
    Variant {
        name: "threshold-validation",
        title: "threshold: validation windows",
        change: "The threshold is the largest error of a validation window, which training has not seen.",
        threshold: ThresholdRule::ValidationMax,
        ..TUTORIAL
    },
    Variant {
        name: "inclusive-rule",
        title: "inclusive point rule",
        change: "The rule for a point includes the window that starts at the point.",
        verdict: Verdict::Windows(PointRule::Inclusive),
        ..TUTORIAL
    },
    Variant {
        name: "last-step",
        title: "error of the last step",
        change: "A window's error is the error of its last step, not the mean over all steps, and applies to that step \
                 only: a verdict needs no later rows.",
        error: ErrorMeasure::LastStep,
        verdict: Verdict::LastStep,
        ..TUTORIAL
    },
    Variant {
        name: "no-dropout",
        title: "no dropout",
        change: "No dropout layers.",
        training: "no-dropout",
        ..TUTORIAL
    },
    Variant {
        name: "more-channels",
        title: "more channels: 64, 32",
        change: "Layers have twice as many channels: 64 and 32.",
        training: "more-channels",
        ..TUTORIAL
    },
    Variant {
        name: "fewer-channels",
        title: "fewer channels: 16, 8",
        change: "Layers have half as many channels: 16 and 8.",
        training: "fewer-channels",
        ..TUTORIAL
    },
    Variant {
        name: "stride-1",
        title: "strides of 1",
        change: "Strides are 1, not 2: no layer shortens the window, so there is no bottleneck in time.",
        training: "stride-1",
        ..TUTORIAL
    },
    Variant {
        name: "stride-4",
        title: "strides of 4",
        change: "Strides are 4, not 2: the code between encoder and decoder has a sixteenth of the steps of the window.",
        training: "stride-4",
        ..TUTORIAL
    },
    Variant {
        name: "ensemble",
        title: "ensemble of 3 seeds",
        change: "Three models with different seeds; a window's error is the mean of their errors.",
        members: 3,
        ..TUTORIAL
    },
];

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
        assert_eq!((VARIANTS[0].name, TRAININGS[0].name), (BASELINE, BASELINE));
        assert_eq!(MODEL, Autoencoder::default());
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
