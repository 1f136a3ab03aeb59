//! Model files: the architecture and the weights in one safetensors file.
//!
//! | tensors | |
//! |---|---|
//! | `{layer}.kernel`, `{layer}.bias` | the weights, f32, in the shapes that Keras has |
//! | `optimizer/m/{layer}.kernel`, ... | the optimiser's state, in the file of a model that can be trained further |
//!
//! | metadata | |
//! |---|---|
//! | `keras_json` | the architecture, as `model.to_json()` of Keras 3 writes it |
//! | `glassbox.version` | the version of these entries, `1` |
//! | `glassbox.*` | further data, such as a detector's [scaler and threshold] |
//! | `glassbox.sha256` | the checksum, below |
//!
//! Other entries are ignored.
//!
//! [scaler and threshold]: ../../glassbox_pipeline/detector/index.html
//!
//! # The checksum
//! A weight with a flipped bit looks like any other weight, and so do the results of a model with it. So the file has a
//! checksum: the SHA-256 of the following, one after the other. Each entry above except the checksum, in the order of
//! their names, as `name=text` and a line feed; then the values of each tensor, in the order of their names, as
//! little-endian f32. It does not depend on the layout of the file. A file without a checksum (from another tool or an
//! older version) is read without this check. To change a file on purpose, remove the entry.
//!
//! The weights may also be in a file without `keras_json` (or with another one), next to an architecture in a JSON
//! file: [`SavedModel::load_parts`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use glassbox_engine::layers::Registry;
use glassbox_engine::model::Network;
use glassbox_engine::text::{excerpt, one_line};

use crate::atomic;
use crate::hash::Sha256;
use crate::tensor_file::{TensorFile, TensorFileError};

const ARCHITECTURE: &str = "keras_json";
const VERSION_KEY: &str = "glassbox.version";
const VERSION: &str = "1";
const CHECKSUM: &str = "glassbox.sha256";
/// Prefix of the names of our own entries.
const OURS: &str = "glassbox.";

/// An error of reading or writing a model file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages call them")]
pub enum ModelFileError {
    /// The tensors of the file are invalid, or the file cannot be read or written.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// The architecture file cannot be read.
    #[error("cannot read {file}: {cause}; check the path, and that it is the text of `model.to_json()`")]
    Unreadable { file: String, cause: String },
    /// The file does not hold a model.
    #[error(
        "{file} is not a model: expected JSON from Keras's `model.to_json()` or a safetensors file, found {}",
        match start.as_str() { "" => "an empty file".into(), start => format!("text that starts with \"{start}\"") }
    )]
    NotAModel { file: String, start: String },
    /// The architecture is invalid or not supported.
    #[error("{file}: the architecture cannot be used: {problem}")]
    Architecture { file: String, problem: String },
    /// The content does not match its checksum.
    #[error(
        "{file} is damaged: its entries and tensors have SHA-256 {found}, but {} was written (`glassbox.sha256`); \
         restore a good copy, or train again; if it was changed on purpose, remove that entry from its metadata",
        excerpt(expected)
    )]
    Checksum { file: String, found: String, expected: String },
    /// The weights of a model to save do not fit it, or are not finite.
    #[error("the model cannot be saved to {file}: {problem}")]
    BadModel { file: String, problem: String },
}

/// The content of a model file.
#[derive(Debug, Clone)]
pub struct SavedModel {
    /// The architecture.
    pub model: Network,
    /// Its weights, in one flat vector in the model's layout; all finite.
    pub weights: Vec<f32>,
    /// The optimiser's state by the name of the slot, in flat vectors in the model's layout. Empty in a file for
    /// inference only.
    pub slots: BTreeMap<String, Vec<f32>>,
    /// Further texts, under keys that begin with `glassbox.`.
    pub metadata: BTreeMap<String, String>,
}

impl SavedModel {
    /// A model with its weights and no further data.
    #[must_use]
    pub fn new(model: Network, weights: Vec<f32>) -> Self {
        Self { model, weights, slots: BTreeMap::new(), metadata: BTreeMap::new() }
    }

    /// Writes the file at `path` atomically. The same model gives the same bytes.
    ///
    /// # Errors
    /// If the weights do not fit the model or are not finite, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelFileError> {
        atomic::write(path, &self.bytes_for(path)?).map_err(TensorFileError::from)?;
        Ok(())
    }

    /// Checks the model and returns the bytes of its file. `path` is for error messages.
    ///
    /// # Errors
    /// If the weights do not fit the model or are not finite.
    pub fn bytes_for(&self, path: &Path) -> Result<Vec<u8>, ModelFileError> {
        let file = path.display().to_string();
        self.model
            .layout()
            .require_finite(&self.weights)
            .map_err(|problem| ModelFileError::BadModel { file, problem: problem.to_string() })?;
        Ok(self.to_bytes())
    }

    /// Returns the bytes of the file.
    ///
    /// # Panics
    /// If the number of weights is not that of the model.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut file = TensorFile { metadata: self.metadata.clone(), ..TensorFile::default() };
        file.insert_flat("", self.model.layout(), &self.weights);
        for (name, values) in &self.slots {
            file.insert_flat(&slot_prefix(name), self.model.layout(), values);
        }
        file.metadata.insert(ARCHITECTURE.into(), self.model.to_json());
        file.metadata.insert(VERSION_KEY.into(), VERSION.into());
        file.metadata.insert(CHECKSUM.into(), checksum(&file));
        file.to_bytes()
    }

    /// Reads a file that [`SavedModel::save`] wrote, or any other with the entries named above.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, does not match its checksum, has no architecture, or its tensors are not
    /// exactly those of the model. The error names the file, the tensor or the entry.
    pub fn load(path: &Path) -> Result<Self, ModelFileError> {
        Self::load_with(path, &Registry::default())
    }

    /// Reads a file whose layers are in `registry`, such as a user's own.
    ///
    /// # Errors
    /// As [`SavedModel::load`].
    pub fn load_with(path: &Path, registry: &Registry) -> Result<Self, ModelFileError> {
        let file = path.display().to_string();
        let content = TensorFile::read(path)?;
        let model = architecture_of(&content.metadata, &file, registry)?;
        Self::assemble(content, &file, model)
    }

    /// Reads the architecture from a JSON file and the weights from a safetensors file. Further data of a detector in
    /// the latter is read too; an architecture in it is ignored. `steps` is as in [`read_architecture`].
    ///
    /// # Errors
    /// As [`SavedModel::load`].
    pub fn load_parts(
        architecture: &Path,
        steps: Option<usize>,
        weights: &Path,
    ) -> Result<Self, ModelFileError> {
        let model = read_architecture(architecture, steps)?;
        let file = weights.display().to_string();
        Self::assemble(TensorFile::read(weights)?, &file, model)
    }

    /// Reads the bytes of a file; `file` is for error messages.
    ///
    /// # Errors
    /// As [`SavedModel::load`].
    pub fn from_bytes(bytes: &[u8], file: &str) -> Result<Self, ModelFileError> {
        let content = TensorFile::from_bytes(bytes, file)?;
        let model = architecture_of(&content.metadata, file, &Registry::default())?;
        Self::assemble(content, file, model)
    }

    fn assemble(mut content: TensorFile, file: &str, model: Network) -> Result<Self, ModelFileError> {
        let found = checksum(&content);
        content.require_finite(file)?;
        let weights = content.take_flat("", model.layout(), file)?;
        let mut slots = BTreeMap::new();
        for name in slots_of(&content) {
            let values = content.take_flat(&slot_prefix(&name), model.layout(), file)?;
            slots.insert(name, values);
        }
        content.require_empty(file)?;
        let mut metadata = content.metadata;
        let version = metadata.remove(VERSION_KEY).filter(|version| version != VERSION);
        if let Some(found) = version {
            return Err(TensorFileError::BadKey {
                file: file.into(),
                key: VERSION_KEY.into(),
                found,
                expected: format!("{VERSION}, which this version of glassbox reads"),
                advice: "update glassbox, or save the model again with this version",
            }
            .into());
        }
        if let Some(expected) = metadata.remove(CHECKSUM).filter(|expected| *expected != found) {
            return Err(ModelFileError::Checksum { file: file.into(), found, expected });
        }
        metadata.retain(|key, _| key.starts_with(OURS));
        Ok(Self { model, weights, slots, metadata })
    }
}

/// Prefix of the names of an optimiser's tensors.
const SLOTS: &str = "optimizer/";

fn slot_prefix(slot: &str) -> String {
    format!("{SLOTS}{slot}/")
}

/// The slots of an optimiser's tensors.
fn slots_of(content: &TensorFile) -> BTreeSet<String> {
    let names = content.tensors.keys().filter_map(|name| name.strip_prefix(SLOTS));
    names.filter_map(|name| name.split_once('/')).map(|(slot, _)| slot.to_owned()).collect()
}

/// The checksum of a file's content, as hexadecimal digits.
fn checksum(content: &TensorFile) -> String {
    let mut bytes = vec![];
    let covered = |key: &&String| *key == ARCHITECTURE || (key.starts_with(OURS) && *key != CHECKSUM);
    for key in content.metadata.keys().filter(covered) {
        bytes.extend([key, "=", &content.metadata[key], "\n"].into_iter().flat_map(str::bytes));
    }
    for tensor in content.tensors.values() {
        bytes.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
    }
    Sha256::of(&bytes).to_string()
}

/// Reads an architecture: a file with the output of `model.to_json()` of Keras 3. If `steps` is given, it is the number
/// of steps of a sample, which the model's input must have or leave open.
///
/// # Errors
/// If the file cannot be read or is not such a text, or the model has an unsupported feature or takes samples of
/// another length.
pub fn read_architecture(path: &Path, steps: Option<usize>) -> Result<Network, ModelFileError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|cause| ModelFileError::Unreadable { file: file.clone(), cause: cause.to_string() })?;
    if !text.trim_start().starts_with('{') {
        let start = one_line(text.lines().next().unwrap_or("")).up_to(40).to_string();
        return Err(ModelFileError::NotAModel { file, start });
    }
    parse_architecture(&text, steps, &Registry::default(), &file)
}

fn parse_architecture(
    text: &str,
    steps: Option<usize>,
    registry: &Registry,
    file: &str,
) -> Result<Network, ModelFileError> {
    let model = Network::from_json_with(text, steps, registry);
    model.map_err(|problem| ModelFileError::Architecture { file: file.into(), problem: problem.to_string() })
}

fn architecture_of(
    metadata: &BTreeMap<String, String>,
    file: &str,
    registry: &Registry,
) -> Result<Network, ModelFileError> {
    let Some(text) = metadata.get(ARCHITECTURE) else {
        let (key, expected) = (ARCHITECTURE.into(), "the architecture as Keras's JSON".into());
        let advice = "give the architecture as a JSON file beside the weights";
        return Err(TensorFileError::MissingKey { file: file.into(), key, expected, advice }.into());
    };
    parse_architecture(text, None, registry, &format!("{file}, `{ARCHITECTURE}` in its metadata"))
}
