//! `replicate.json`, field by field; a page for its readers is `docs/replicate.md`.

use serde::{Deserialize, Serialize};

use super::keras::{KerasRuns, keras_runs};
use crate::statistics::{Spread, ks_critical_distance, ks_distance, ks_p_value};
use glassbox_pipeline::nab::TutorialData;
use glassbox_pipeline::results::{DataInfo, Versions};
use glassbox_pipeline::tutorial::TutorialOptions;
use glassbox_pipeline::words::{counted, probability};

/// The version of the schema: raised by a change that a reader of the one before would misread.
pub const SCHEMA: u32 = 1;

/// The level of significance of a difference, all quantities together.
const LEVEL: f64 = 0.01;

/// Our runs, those of Keras, and how far their distributions are apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replication {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The versions that computed it.
    pub versions: Versions,
    /// The two series.
    pub data: DataInfo,
    /// The options.
    pub config: ReplicationConfig,
    /// Our runs, in the order of their seeds.
    pub runs: Vec<Run>,
    /// The runs of Keras.
    pub keras: KerasRuns,
    /// `true` if our runs are on other data than those of Keras: then the comparison is only indicative.
    pub indicative: bool,
    /// Each quantity.
    pub comparison: Vec<Comparison>,
    /// The conclusion, a sentence each.
    pub conclusion: Vec<String>,
}

/// The options of a replication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplicationConfig {
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The backend of each run.
    pub backend: String,
    /// The options as in `result.json`; `seed` is the first one.
    #[serde(flatten)]
    pub tutorial: TutorialOptions,
}

/// The numbers of a run, ours or Keras's; a row of `runs.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// Epochs done.
    pub epochs: usize,
    /// The training loss of the last epoch.
    pub loss: f64,
    /// The validation loss after it.
    pub val_loss: f64,
    /// The largest training error, in standard deviations of the training series.
    pub threshold: f64,
    /// Anomalous windows.
    pub windows: usize,
    /// Anomalous points.
    pub points: usize,
    /// The first of them, if there is one.
    pub first_point: Option<usize>,
    /// The last of them.
    pub last_point: Option<usize>,
    /// Seconds on one thread beside others; unknown for Keras.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

impl Run {
    /// Checks that training can give these numbers: all come from f32, and only `val_loss` may be NaN, for a run without
    /// validation.
    ///
    /// # Errors
    /// The message names the number that is not possible.
    pub(super) fn require_possible(&self) -> Result<(), String> {
        let Self { seed, loss, val_loss, threshold, .. } = *self;
        for (name, value) in [("loss", loss), ("val_loss", val_loss), ("threshold", threshold)] {
            let none = name == "val_loss" && value.is_nan();
            if !none && !(0.0..=f64::from(f32::MAX)).contains(&value) {
                return Err(format!(
                    "the {name} of seed {seed} is {value:?}, expected a number from 0 to {:e}",
                    f32::MAX
                ));
            }
        }
        Ok(())
    }
}

/// The comparison of one quantity with Keras.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// `epochs`, `threshold`, `windows`, `points`, `loss` or `val_loss`.
    pub quantity: String,
    /// Our runs.
    pub ours: Spread,
    /// The runs of Keras.
    pub keras: Spread,
    /// The Kolmogorov-Smirnov distance: the largest distance between both distribution functions.
    pub distance: f64,
    /// The probability of a distance at least as large if both distributions are the same.
    pub p: f64,
}

/// One number of a run.
type Quantity = fn(&Run) -> f64;

/// The compared quantities.
pub(super) const QUANTITIES: [(&str, Quantity); 6] = [
    ("epochs", |run| run.epochs as f64),
    ("threshold", |run| run.threshold),
    ("windows", |run| run.windows as f64),
    ("points", |run| run.points as f64),
    ("loss", |run| run.loss),
    ("val_loss", |run| run.val_loss),
];

/// One quantity of all runs.
pub(super) fn values(quantity: &str, runs: &[Run]) -> Vec<f64> {
    let (_, of) = QUANTITIES.iter().find(|(name, _)| *name == quantity).expect("a known quantity");
    runs.iter().map(of).collect()
}

impl Comparison {
    /// Compares each quantity of two sets of runs.
    ///
    /// # Panics
    /// If one of them is empty.
    #[must_use]
    pub fn all(ours: &[Run], keras: &[Run]) -> Vec<Self> {
        let compare = |(name, of): &(&str, Quantity)| {
            let [ours, keras] = [ours, keras].map(|runs| runs.iter().map(of).collect::<Vec<_>>());
            let distance = ks_distance(&ours, &keras);
            let spread = |values: &[f64]| Spread::of(values).expect("there is a run");
            Self {
                quantity: (*name).into(),
                ours: spread(&ours),
                keras: spread(&keras),
                distance,
                p: ks_p_value(distance, ours.len(), keras.len()),
            }
        };
        QUANTITIES.iter().map(compare).collect()
    }

    /// `true` if the difference is significant: at a level of 1 % for all quantities together (Bonferroni).
    #[must_use]
    pub fn differs(&self) -> bool {
        self.p < LEVEL / QUANTITIES.len() as f64
    }
}

impl Replication {
    pub(super) fn of(data: &TutorialData, options: &TutorialOptions, backend: &str, runs: Vec<Run>) -> Self {
        let keras = keras_runs();
        let comparison = Comparison::all(&runs, &keras.measured);
        let data = DataInfo::of(data);
        let indicative = !data.is_published();
        Self {
            schema: SCHEMA,
            versions: Versions::current(),
            data,
            config: ReplicationConfig {
                seeds: runs.iter().map(|run| run.seed).collect(),
                backend: backend.into(),
                tutorial: options.clone(),
            },
            conclusion: conclusion(runs.len(), keras.measured.len(), &comparison, indicative),
            runs,
            keras,
            indicative,
            comparison,
        }
    }
}

fn conclusion(ours: usize, keras: usize, comparison: &[Comparison], indicative: bool) -> Vec<String> {
    let differing: Vec<&str> =
        comparison.iter().filter(|c| c.differs()).map(|c| c.quantity.as_str()).collect();
    let farthest =
        comparison.iter().max_by(|a, b| a.distance.total_cmp(&b.distance)).expect("six quantities");
    let told = ks_critical_distance(LEVEL / QUANTITIES.len() as f64, ours, keras);
    let mut said = vec![match differing.as_slice() {
        [] => format!(
            "No significant difference from Keras in any of the {} quantities ({} against {keras}, Kolmogorov-Smirnov, \
             level 1 % for all together). The largest distance is {:.3}, of {} (p = {}).",
            comparison.len(),
            counted(ours, "run", "runs"),
            farthest.distance,
            farthest.quantity,
            probability(farthest.p)
        ),
        some => format!(
            "Significant difference from Keras (Kolmogorov-Smirnov, level 1 % for all together) in: {}. The largest \
             distance is {:.3}, of {}.",
            some.join(", "),
            farthest.distance,
            farthest.quantity
        ),
    }];
    said.push(match told < 1.0 {
        true => format!("With this number of runs, a distance of {told:.2} or more is significant."),
        false => "With so few runs, no distance is significant.".into(),
    });
    if indicative {
        said.push(
            "Keras ran on the published files and these runs did not, so the comparison is only indicative."
                .into(),
        );
    }
    said
}

/// The comparison as a table, and the conclusion.
impl std::fmt::Display for Replication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{:10}  {:>30}  {:>30}  {:>8}  {:>6}",
            "",
            format!("median [min, max] of {}", self.runs.len()),
            "Keras",
            "distance",
            "p"
        )?;
        for Comparison { quantity, ours, keras, distance, p } in &self.comparison {
            let digits = if ours.max < 2.0 { 5 } else { 0 };
            let shown = |spread: &Spread| {
                format!("{:.digits$} [{:.digits$}, {:.digits$}]", spread.median, spread.min, spread.max)
            };
            writeln!(
                f,
                "{quantity:10}  {:>30}  {:>30}  {distance:>8.3}  {:>6}",
                shown(ours),
                shown(keras),
                probability(*p)
            )?;
        }
        self.conclusion.iter().try_for_each(|sentence| writeln!(f, "{sentence}"))
    }
}
