//! The identity of a training run: a checkpoint continues the run that wrote it and no other.

use glassbox_engine::backend::{Dataset, Plan};
use glassbox_engine::model::Network;
use glassbox_engine::samples::Samples;
use glassbox_engine::training::Fit;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use glassbox_formats::hash::Sha256;

/// All that decides the numbers of a run, by name, in the order in which two runs are compared: the model, the loss and
/// the optimiser, `fit`'s options, the data, the initial weights.
///
/// The number of epochs is no part of it: a run may be resumed with more. Nor is the backend, whose name has
/// the number of its threads; a run that is resumed on another *kind* of backend goes on from the same
/// numbers, and is no longer equal to the bit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Map<String, Json>);

/// The first thing in which two runs differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub what: String,
    /// Its value in this run, as text.
    pub here: String,
    /// Its value in the other run, as text.
    pub there: String,
}

impl Fingerprint {
    /// The fingerprint of training `model` from `start` (its weights, flat) under `plan` and `options`.
    #[must_use]
    pub fn of(model: &Network, plan: &Plan, options: &Fit, data: &Dataset<'_, f32>, start: &[f32]) -> Self {
        let mut entries = Self::default();
        entries.model(model);
        entries.add("loss", plan.loss);
        entries.add_fields(&plan.optimizer, "");
        entries.add("seed", plan.seed);
        entries.add("masks", format!("drawn with seed {}", plan.seed));
        entries.add_fields(options, "epochs");
        entries.add("data", dataset(data));
        entries.add("initial weights", format!("sha256 {}", Sha256::of(&bytes(start))));
        entries
    }

    /// The first entry that `other` lacks or has with another value, or the first that only `other` has.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        difference_in(&self.0, &other.0)
    }

    /// Adds an entry.
    ///
    /// # Panics
    /// If the value is not one of numbers and texts.
    pub fn add(&mut self, name: &str, value: impl Serialize) {
        self.0.insert(name.into(), serde_json::to_value(value).expect("numbers and texts"));
    }

    /// Adds all fields of a struct except the one called `except`.
    ///
    /// # Panics
    /// If a value is not one of numbers and texts.
    pub fn add_fields(&mut self, fields: &impl Serialize, except: &str) {
        if let Json::Object(fields) = serde_json::to_value(fields).expect("numbers and texts") {
            self.0.extend(fields.into_iter().filter(|(name, _)| name != except));
        }
    }

    /// Adds the shape of the input and the layers, with their arguments.
    pub fn model(&mut self, model: &Network) {
        self.add("input", model.input_shape().to_string());
        for (index, named) in model.layers().iter().enumerate() {
            let (class, config) = (named.layer.class_name(), named.layer.config());
            self.add(&format!("layer {index}"), format!("{} ({class}) {config}", named.name));
        }
    }
}

fn difference_in(here: &Map<String, Json>, there: &Map<String, Json>) -> Option<Difference> {
    let only_there = there.keys().filter(|name| !here.contains_key(*name));
    here.keys().chain(only_there).find_map(|name| match (here.get(name), there.get(name)) {
        (Some(Json::Object(here)), Some(Json::Object(there))) => difference_in(here, there),
        (here, there) if here == there => None,
        (here, there) => Some(Difference { what: name.clone(), here: text(here), there: text(there) }),
    })
}

/// A value in a message.
fn text(value: Option<&Json>) -> String {
    match value {
        None => "absent".into(),
        Some(Json::Null) => "off".into(),
        Some(Json::Object(_)) => "on".into(),
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
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
