//! `.keras` files: a model as Keras 3 saves it.
//!
//! | member of the zip archive | |
//! |---|---|
//! | `config.json` | the architecture, as `model.to_json()` has it, with the optimiser and the loss in `compile_config` |
//! | `metadata.json` | the version of Keras, which nothing reads |
//! | `model.weights.h5` | the [weights and the optimiser's state](crate::keras_weights) |
//! | `glassbox.json` | our own entries, the texts by key that a [model file](crate::model_file) has; Keras ignores it |
//!
//! A file that Keras wrote has no `glassbox.json`. Members are stored, not compressed, as Keras does; each has a checksum.

use std::collections::BTreeMap;

use glassbox_engine::model::Network;

use crate::container::{Problem, Unpacked};
use crate::hdf5::Group;
use crate::model_file::{ModelFileError, SavedModel, Training};
use crate::{hdf5, keras_weights, model_file, zip};

/// The member with the architecture.
pub const CONFIG: &str = "config.json";
const METADATA: &str = "metadata.json";
const WEIGHTS: &str = "model.weights.h5";
const OURS: &str = "glassbox.json";
/// The most numbers of a file: they leave a sixteenth of 4 GiB, beyond which zip archives have another form, for the rest.
pub(crate) const MOST_NUMBERS: usize = (1 << 30) / 16 * 15;

/// The content of a `.keras` file.
#[derive(Debug, Clone)]
pub struct Archive {
    /// The text of the architecture.
    pub config: String,
    /// The file of weights.
    pub weights: Group,
    /// Our own entries.
    pub metadata: BTreeMap<String, String>,
}

/// Reads the bytes of a file. What it unpacks to counts towards `unpacked`; `file` is for error messages.
///
/// # Errors
/// If the archive or its file of weights is damaged, or a member is missing.
pub fn read(bytes: &[u8], unpacked: &mut Unpacked, file: &str) -> Result<Archive, ModelFileError> {
    let container = |problem| ModelFileError::Container { file: file.into(), problem };
    let archive = zip::Archive::parse(bytes).map_err(container)?;
    let damaged = |what: String| container(Problem::Damaged { format: ".keras file", what });
    let mut member = |name: &str| archive.read(name, unpacked).map_err(container);
    let missing = |name: &str| damaged(format!("it has no member {name}"));
    let text = |name: &str, bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).map_err(|_| damaged(format!("{name} is not UTF-8 text")))
    };
    let config = text(CONFIG, &member(CONFIG)?.ok_or_else(|| missing(CONFIG))?)?;
    let metadata = match member(OURS)? {
        None => BTreeMap::new(),
        Some(texts) => serde_json::from_slice(&texts)
            .map_err(|problem| damaged(format!("{OURS} is not a JSON object of texts ({problem})")))?,
    };
    let weights = member(WEIGHTS)?.ok_or_else(|| missing(WEIGHTS))?;
    let weights = hdf5::read(&weights, unpacked)
        .map_err(|problem| ModelFileError::Container { file: format!("{file}, {WEIGHTS}"), problem })?;
    Ok(Archive { config, weights, metadata })
}

impl Archive {
    /// The whole model, of which `model` is the architecture. The state of training is read if the model is compiled
    /// with an optimiser and a loss that the engine has.
    pub(crate) fn into_model(mut self, mut model: Network, file: &str) -> Result<SavedModel, ModelFileError> {
        let place = format!("{file}, {WEIGHTS}");
        let weights = keras_weights::read_weights(&self.weights, &model, &place)?;
        model_file::retain_ours(&mut self.metadata, file)?;
        let own = model_file::take_training(&mut self.metadata, file)?;
        let mut training = None;
        if let Some(compilation) = model.compilation(None, None).ok().filter(|_| model.is_compiled()) {
            let (optimizer, step, slots) =
                keras_weights::read_optimizer(&self.weights, &model, &compilation.optimizer, &place)?;
            // The learning rate may be another one since, in Keras too.
            model = model.compiled_with(&optimizer, compilation.loss);
            // Keras keeps neither a seed nor the losses.
            let (seed, history) = own.map(|own| (own.seed, own.history)).unwrap_or_default();
            training = Some(Training { optimizer, loss: compilation.loss, seed, step, history, slots });
        }
        Ok(SavedModel { model, weights, training, metadata: self.metadata })
    }
}

/// Returns the bytes of a model's file. The same model gives the same bytes.
///
/// # Panics
/// If the number of weights is not that of the model, or the file would have 4 GiB or more, which
/// [`SavedModel::bytes_for`] refuses.
#[must_use]
pub fn write(saved: &SavedModel) -> Vec<u8> {
    let SavedModel { model, weights, training, metadata } = saved;
    let config = saved.compiled().to_json();
    let weights = hdf5::write(&keras_weights::write(model, weights, training.as_ref()));
    let entries = model_file::entries(metadata, training.as_ref());
    let entries = serde_json::to_string(&entries).expect("texts");
    let about = serde_json::json!({"keras_version": KERAS, "date_saved": "1980-01-01@00:00:00"});
    zip::write(&[
        (METADATA, about.to_string().as_bytes()),
        (CONFIG, config.as_bytes()),
        (WEIGHTS, &weights),
        (OURS, entries.as_bytes()),
    ])
}

/// The version of Keras whose files these are.
const KERAS: &str = "3.15.1";
