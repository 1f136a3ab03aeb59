//! The identity of a training run, as texts: a checkpoint continues the run that wrote it and no other.

use std::collections::BTreeMap;

use glassbox_engine::backend::{Dataset, Plan};
use glassbox_engine::model::Sequential;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::samples::Samples;
use glassbox_engine::training::{EarlyStopping, Fit};

use glassbox_formats::hash::Sha256;

/// All that decides the numbers of a run, as pairs of name and text, in the order in which two runs are
/// compared: the model, the loss and the optimiser, `fit`'s options, the data, the initial weights.
///
/// The number of epochs is no part of it: a run may be resumed with more. Nor is the backend, whose name has
/// the number of its threads; a run that is resumed on another *kind* of backend goes on from the same
/// numbers, and is no longer equal to the bit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fingerprint(Vec<(String, String)>);

/// The first thing in which two runs differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub what: String,
    /// Its text in this run.
    pub here: String,
    /// Its text in the other run.
    pub there: String,
}

impl Fingerprint {
    /// The fingerprint of training `model` from `start` (its weights, flat) under `plan` and `options`.
    #[must_use]
    pub fn of(
        model: &Sequential,
        plan: &Plan,
        options: &Fit,
        data: &Dataset<'_, f32>,
        start: &[f32],
    ) -> Self {
        let mut entries = Self::default();
        entries.model(model);
        entries.add("loss", plan.loss.name());
        entries.optimizer(&plan.optimizer);
        entries.add("seed", plan.seed);
        entries.add("masks", format!("drawn with seed {}", plan.seed));
        entries.add("batch_size", options.batch_size);
        entries.number("validation_split", options.validation_split);
        entries.add("shuffle", options.shuffle);
        entries.early_stopping(options.early_stopping.as_ref());
        entries.add("data", dataset(data));
        entries.add("initial weights", format!("sha256 {}", Sha256::of(&bytes(start))));
        entries
    }

    /// The pairs of name and text.
    #[must_use]
    pub fn entries(&self) -> &[(String, String)] {
        &self.0
    }

    /// The first entry that `other` (text by name) has not or has otherwise; or one that only it has.
    #[must_use]
    pub fn difference(&self, other: &BTreeMap<String, String>) -> Option<Difference> {
        let absent = || "absent".to_owned();
        for (what, here) in &self.0 {
            let there = other.get(what);
            if there != Some(here) {
                let there = there.cloned().unwrap_or_else(absent);
                return Some(Difference { what: what.clone(), here: here.clone(), there });
            }
        }
        let only_there = |what: &&String| self.0.iter().all(|(ours, _)| ours != *what);
        let what = other.keys().find(only_there)?;
        Some(Difference { what: what.clone(), here: absent(), there: other[what].clone() })
    }

    /// Adds a pair of name and text.
    pub fn add(&mut self, what: &str, value: impl ToString) {
        self.0.push((what.to_owned(), value.to_string()));
    }

    /// Adds a number, with as many digits as tell it apart from every other.
    pub fn number(&mut self, what: &str, value: f64) {
        self.add(what, format!("{value:?}"));
    }

    /// Adds the shape of the input and the layers, with their arguments.
    pub fn model(&mut self, model: &Sequential) {
        self.add("input", model.input_shape());
        for (index, named) in model.layers().iter().enumerate() {
            let config = named.layer.config();
            self.add(
                &format!("layer {index}"),
                format!("{} ({}) {config}", named.name, named.layer.class_name()),
            );
        }
    }

    /// Adds the optimiser and its hyperparameters.
    pub fn optimizer(&mut self, optimizer: &Optimizer) {
        self.add("optimizer", optimizer.class_name());
        for (name, value) in optimizer.hyperparameters() {
            self.number(name, value);
        }
    }

    /// Adds the arguments of early stopping.
    pub fn early_stopping(&mut self, options: Option<&EarlyStopping>) {
        self.add("early stopping", if options.is_some() { "on" } else { "off" });
        let Some(options) = options else { return };
        self.add("monitor", format!("{:?}", options.monitor));
        self.number("min_delta", options.min_delta);
        self.add("patience", options.patience);
        self.add("mode", format!("{:?}", options.mode));
        self.add("baseline", format!("{:?}", options.baseline));
        self.add("start_from_epoch", options.start_from_epoch);
        self.add("restore_best_weights", options.restore_best_weights);
    }
}

fn dataset(data: &Dataset<'_, f32>) -> String {
    let (x, y) = (samples(&data.x), samples(&data.y));
    if x == y { x } else { format!("{x}, targets {y}") }
}

fn samples(samples: &Samples<'_, f32>) -> String {
    let (values, hop) = samples.raw();
    let used = samples.len().checked_sub(1).map_or(0, |last| last * hop + samples.shape().len());
    let hash = Sha256::of(&bytes(&values[..used]));
    format!("{} samples of shape {}, {hop} values apart, sha256 {hash}", samples.len(), samples.shape())
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
