//! `study.json`, field by field; a page for its readers is `docs/study.md`.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::variants::Variant;
use crate::statistics::Spread;
use glassbox_pipeline::results::{DataInfo, Stretch, Versions};
use glassbox_pipeline::training::TrainOptions;

/// The variants, their results, and the conclusion. Errors and thresholds are in standard deviations of
/// the training series; rows and epochs are counted from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// The versions that computed it.
    pub versions: Versions,
    /// The two series.
    pub data: DataInfo,
    /// The ground truth.
    pub truth: Stretch,
    /// The options.
    pub config: StudyConfig,
    /// The rows that all variants judge.
    pub judged: RowRange,
    /// Name of the variant with which the others are compared.
    pub baseline: String,
    /// The trained models.
    pub trainings: Vec<TrainingResult>,
    /// The variants, the baseline first.
    pub variants: Vec<VariantResult>,
    /// The conclusion, in a few sentences each.
    pub conclusion: Vec<String>,
}

/// A range of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRange {
    /// The first.
    pub first: usize,
    /// The last, itself in it.
    pub last: usize,
}

/// The options of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyConfig {
    /// The seeds that all variants have.
    pub seeds: Vec<u64>,
    /// The length of a window, in steps.
    pub time_steps: usize,
    /// The options of each training, as in `result.json`; `seed` is the first one.
    #[serde(flatten)]
    pub train: TrainOptions,
}

/// A model, trained with each seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingResult {
    /// Its name.
    pub name: String,
    /// The model, as Keras's `model.to_json()` writes it.
    pub architecture: Json,
    /// Its parameters.
    pub parameters: usize,
    /// Each training, by ascending seed.
    pub fits: Vec<FitResult>,
}

/// One training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitResult {
    /// Its seed.
    pub seed: u64,
    /// Epochs done.
    pub epochs: usize,
    /// The epoch with the best `val_loss`.
    pub best_epoch: usize,
    /// The training loss of the last epoch.
    pub loss: f64,
    /// The validation loss after it.
    pub val_loss: f64,
    /// Seconds of training, on one thread beside others.
    pub seconds: f64,
}

/// A variant, judged for each seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantResult {
    /// The variant.
    #[serde(flatten)]
    pub variant: Variant,
    /// The results of each seed.
    pub runs: Vec<VariantRun>,
    /// Over all seeds.
    pub spread: VariantSpread,
    /// Against the baseline; `null` for the baseline itself.
    pub difference: Option<Difference>,
    /// The verdict.
    pub verdict: Verdict,
    /// The same in a sentence, with the numbers.
    pub finding: String,
}

/// A variant under one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantRun {
    /// The seed; of an ensemble, that of its first member.
    pub seed: u64,
    /// The error above which a window is anomalous.
    pub threshold: f64,
    /// Anomalous windows.
    pub windows: usize,
    /// Those of them that hold no row of the true anomaly; by the error of the last step, those that do not end in
    /// it.
    pub false_windows: usize,
    /// Anomalous points.
    pub points: usize,
    /// Those of them in the true anomaly.
    pub hits: usize,
    /// The first anomalous point, or `null`.
    pub first_point: Option<usize>,
    /// The last anomalous point, or `null`.
    pub last_point: Option<usize>,
    /// hits / points; `null` if there are no points.
    pub precision: Option<f64>,
    /// hits / points of the true anomaly.
    pub recall: f64,
    /// 2 hits / (points + points of the true anomaly).
    pub f1: f64,
    /// Minutes from the first row of the true anomaly to the first hit; `null` if there is none.
    pub delay_minutes: Option<f64>,
    /// Minutes from the first row of the true anomaly to the last row that the verdict on the first hit needs: the delay
    /// in live detection.
    pub live_delay_minutes: Option<f64>,
    /// Epochs of all members together.
    pub epochs: usize,
    /// Seconds of training of all members together, on one thread.
    pub seconds: f64,
}

/// The spread of each number over the seeds; `null` where no run has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of a run")]
pub struct VariantSpread {
    pub f1: Option<Spread>,
    pub precision: Option<Spread>,
    pub recall: Option<Spread>,
    pub delay_minutes: Option<Spread>,
    pub live_delay_minutes: Option<Spread>,
    pub windows: Option<Spread>,
    pub false_windows: Option<Spread>,
    pub points: Option<Spread>,
    pub threshold: Option<Spread>,
    pub epochs: Option<Spread>,
    pub seconds: Option<Spread>,
}

/// F1 minus the baseline's under the same seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Its mean.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Seeds under which F1 is higher.
    pub better: usize,
    /// Seeds under which it is lower.
    pub worse: usize,
    /// Seeds under which it is the same.
    pub equal: usize,
    /// The p-value of the sign test, two-sided.
    pub p: f64,
    /// The same, corrected for the number of variants.
    pub p_adjusted: f64,
}

/// The verdict on a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is what the others are compared with.
    Baseline,
    /// F1 is higher, and that is significant.
    Helps,
    /// F1 is lower, and that is significant.
    Hurts,
    /// F1 differs by at most the worth of one point under every seed.
    Same,
    /// The seeds do not agree, or are too few.
    Unclear,
}

impl Verdict {
    /// A few words for a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "",
            Self::Helps => "helps",
            Self::Hurts => "hurts",
            Self::Same => "no difference",
            Self::Unclear => "inconclusive",
        }
    }
}
