//! Model files: an architecture and its weights, and what belongs to them.
//!
//! | file | holds | read | written |
//! |---|---|---|---|
//! | safetensors (below) | all | yes | yes |
//! | `.keras` of Keras 3 ([`keras_archive`]) | all | yes | yes |
//! | `.weights.h5` of Keras 3 ([`keras_weights`]) | weights, the optimiser's state | yes | yes |
//! | `.h5` of Keras 2 and 3 ([`keras_h5`]) | weights, and in a whole model the architecture | yes | |
//! | JSON of `model.to_json()` | the architecture | yes | |
//!
//! A file is recognised by its content when it is read ([`ModelFile`]), and chosen by its name when it is written
//! ([`Format`]).
//!
//! # The safetensors file
//! | tensors | |
//! |---|---|
//! | `{layer}.kernel`, `{layer}.bias` | the weights, f32, in the shapes that Keras has |
//! | `optimizer/m/{layer}.kernel`, ... | the optimiser's state, in the file of a model that can be trained further |
//!
//! | metadata | |
//! |---|---|
//! | `keras_json` | the architecture, as `model.to_json()` of Keras 3 writes it |
//! | `glassbox.version` | the version of these entries, `1` |
//! | `glassbox.training` | the state of training besides the tensors, as JSON: see [`Training`] |
//! | `glassbox.*` | further data, such as a detector's [scaler and threshold] |
//! | `glassbox.sha256` | the checksum, below |
//!
//! Other entries are ignored.
//!
//! [scaler and threshold]: ../../glassbox_pipeline/detector/index.html
//!
//! ## The checksum
//! A weight with a flipped bit looks like any other weight, and so do the results of a model with it. So the file has a
//! checksum: the SHA-256 of the following, one after the other. Each entry above except the checksum, in the order of
//! their names, as `name=text` and a line feed; then the values of each tensor, in the order of their names, as
//! little-endian f32. It does not depend on the layout of the file. A file without a checksum (from another tool or an
//! older version) is read without this check. To change a file on purpose, remove the entry.
//!
//! The weights may also be in a file without an architecture (or with another one), next to one with it:
//! [`SavedModel::load_parts`].

mod native;

use std::collections::BTreeMap;
use std::path::Path;

use glassbox_engine::layers::Registry;
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Network;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::text::{excerpt, one_line};
use glassbox_engine::training::History;
use serde::{Deserialize, Serialize};

use crate::container::{Problem, UNPACKED, Unpacked};
use crate::tensor_file::{Entries, TensorFile, TensorFileError};
use crate::{atomic, hdf5, keras_archive, keras_h5, keras_weights, zip};

const VERSION_KEY: &str = "glassbox.version";
const VERSION: &str = "1";
/// The key of a [`Training`], as JSON.
const TRAINING: &str = "glassbox.training";
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
    /// The file cannot be read.
    #[error("cannot read {file}: {cause}; check the path, and that the file may be read")]
    Unreadable { file: String, cause: String },
    /// The file is in no format that is read here.
    #[error(
        "{file} is not a model: expected a .keras or .h5 file of Keras, JSON from its `model.to_json()`, or a \
         safetensors file, found {}",
        match start.as_str() { "" => "an empty file".into(), start => format!("text that starts with \"{start}\"") }
    )]
    NotAModel { file: String, start: String },
    /// The zip archive or HDF5 file is damaged, or has an unsupported feature.
    #[error("{file}: {problem}")]
    Container { file: String, problem: Problem },
    /// The file holds only one part of a model.
    #[error("{file} has no {missing}; {advice}")]
    Part { file: String, missing: &'static str, advice: &'static str },
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

/// The state that further training needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The optimiser.
    #[serde(flatten)]
    pub optimizer: Optimizer,
    /// The loss.
    pub loss: Loss,
    /// The seed of shuffles and dropout masks. 0 in a file that Keras wrote.
    pub seed: u64,
    /// The number of training steps done.
    pub step: u64,
    /// The losses so far. Empty in a file that Keras wrote.
    pub history: History,
    /// The slots of the optimiser, in the order of [`Optimizer::slots`], in flat vectors in the model's layout.
    #[serde(skip)]
    pub slots: Vec<Vec<f32>>,
}

/// A model, as a file holds it.
#[derive(Debug, Clone)]
pub struct SavedModel {
    /// The architecture.
    pub model: Network,
    /// Its weights, in one flat vector in the model's layout; all finite.
    pub weights: Vec<f32>,
    /// The state of training. `None` in a file for inference only.
    pub training: Option<Training>,
    /// Further texts, under keys that begin with `glassbox.`.
    pub metadata: BTreeMap<String, String>,
}

impl SavedModel {
    /// A model with its weights and no further data.
    #[must_use]
    pub fn new(model: Network, weights: Vec<f32>) -> Self {
        Self { model, weights, training: None, metadata: BTreeMap::new() }
    }

    /// The architecture, compiled with what the model is trained with.
    #[must_use]
    pub fn compiled(&self) -> Network {
        match &self.training {
            None => self.model.clone(),
            Some(training) => self.model.clone().compiled_with(&training.optimizer, training.loss),
        }
    }

    /// Writes the file at `path` atomically, in the [`Format`] that its name says. The same model gives the same bytes.
    ///
    /// # Errors
    /// If the weights do not fit the model or are not finite, or the format cannot hold the model, or the file cannot be
    /// written.
    pub fn save(&self, path: &Path) -> Result<(), ModelFileError> {
        atomic::write(path, &self.bytes_for(path)?).map_err(TensorFileError::from)?;
        Ok(())
    }

    /// Checks the model and returns the bytes of its file, in the [`Format`] that the name of `path` says.
    ///
    /// # Errors
    /// If the weights do not fit the model or are not finite, or the format cannot hold the model.
    pub fn bytes_for(&self, path: &Path) -> Result<Vec<u8>, ModelFileError> {
        let file = path.display().to_string();
        let format = Format::of(path)?;
        let bad = |problem: String| ModelFileError::BadModel { file: file.clone(), problem };
        self.model.layout().require_finite(&self.weights).map_err(|problem| bad(problem.to_string()))?;
        let slots = self.training.as_ref().map_or(0, |training| training.slots.len());
        let numbers = self.weights.len().saturating_mul(1 + slots);
        if format == Format::Keras && numbers > keras_archive::MOST_NUMBERS {
            return Err(bad("a .keras file has less than 4 GiB; name it .safetensors or .weights.h5".into()));
        }
        Ok(match format {
            Format::Safetensors => self.to_bytes(),
            Format::Keras => keras_archive::write(self),
            Format::KerasWeights => {
                hdf5::write(&keras_weights::write(&self.model, &self.weights, self.training.as_ref()))
            }
        })
    }

    /// Returns the bytes of the safetensors file.
    ///
    /// # Panics
    /// If the number of weights is not that of the model.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        native::write(self)
    }

    /// Reads a file with an architecture and weights.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, does not match its checksum, lacks a part, or its tensors are not exactly
    /// those of the model. The error names the file, the tensor or the entry.
    pub fn load(path: &Path) -> Result<Self, ModelFileError> {
        Self::load_with(path, &Registry::default())
    }

    /// Reads a file whose layers are in `registry`, such as a user's own.
    ///
    /// # Errors
    /// As [`SavedModel::load`].
    pub fn load_with(path: &Path, registry: &Registry) -> Result<Self, ModelFileError> {
        ModelFile::read(path)?.into_model(None, registry)
    }

    /// Reads the architecture from one file and the weights from another. Further data of a detector in the latter is
    /// read too; an architecture and a state of training in it are ignored. `steps` is as in [`read_architecture`].
    ///
    /// # Errors
    /// As [`SavedModel::load`].
    pub fn load_parts(
        architecture: &Path,
        steps: Option<usize>,
        weights: &Path,
    ) -> Result<Self, ModelFileError> {
        let model = read_architecture(architecture, steps)?;
        ModelFile::read(weights)?.weights_of(model)
    }

    /// Reads the bytes of a safetensors file; `file` is for error messages.
    ///
    /// # Errors
    /// As [`SavedModel::load`].
    pub fn from_bytes(bytes: &[u8], file: &str) -> Result<Self, ModelFileError> {
        let content = Content::Tensors(TensorFile::from_bytes(bytes, file)?);
        ModelFile { file: file.into(), content }.into_model(None, &Registry::default())
    }
}

/// Reads an architecture from a file of any format that has one. If `steps` is given, it is the number of steps of a
/// sample, which the model's input must have or leave open.
///
/// # Errors
/// If the file cannot be read or has no architecture, or the model has an unsupported feature or takes samples of another
/// length.
pub fn read_architecture(path: &Path, steps: Option<usize>) -> Result<Network, ModelFileError> {
    ModelFile::read(path)?.architecture(steps, &Registry::default())
}

/// The formats that models are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Our own: an architecture, weights, a state of training, the data of a detector.
    Safetensors,
    /// Keras's `.keras`, which holds the same.
    Keras,
    /// Keras's `.weights.h5`, with the weights and the optimiser's state only.
    KerasWeights,
}

impl Format {
    /// The format of a file to write, by its name: [`Format::Safetensors`] unless it ends with `.keras` or `.weights.h5`.
    ///
    /// # Errors
    /// If the name is that of a format in which no model is written.
    pub fn of(path: &Path) -> Result<Self, ModelFileError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends(&[".weights.h5"]) {
            Ok(Self::KerasWeights)
        } else if ends(&[".keras"]) {
            Ok(Self::Keras)
        } else if ends(&[".h5", ".hdf5", ".onnx", ".json", ".npz", ".pt", ".tflite"]) {
            let problem = "no model is written in the format of this name; name it .safetensors or .keras, or \
                           .weights.h5 for weights only";
            Err(ModelFileError::BadModel { file: path.display().to_string(), problem: problem.into() })
        } else {
            Ok(Self::Safetensors)
        }
    }
}

/// The content of a model file of any format, which may have an architecture, weights, or both.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// Its path as given.
    file: String,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    /// The text of `model.to_json()`.
    Json(String),
    Tensors(TensorFile),
    Keras(keras_archive::Archive),
    KerasWeights(hdf5::Group),
    KerasH5(hdf5::Group),
}

impl ModelFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or is in no format of these.
    pub fn read(path: &Path) -> Result<Self, ModelFileError> {
        Self::read_with(path, UNPACKED)
    }

    /// Reads a file whose compressed content may unpack to `unpacked` bytes.
    ///
    /// # Errors
    /// As [`ModelFile::read`].
    pub fn read_with(path: &Path, unpacked: usize) -> Result<Self, ModelFileError> {
        let file = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => Self::from_bytes(&bytes, &file, unpacked),
            Err(cause) => Err(ModelFileError::Unreadable { file, cause: cause.to_string() }),
        }
    }

    /// Reads the bytes of a file, whose compressed content may unpack to `unpacked` bytes; `file` is for error messages.
    ///
    /// # Errors
    /// As [`ModelFile::read`].
    pub fn from_bytes(bytes: &[u8], file: &str, unpacked: usize) -> Result<Self, ModelFileError> {
        let container = |problem| ModelFileError::Container { file: file.into(), problem };
        let mut unpacked = Unpacked::at_most(unpacked);
        let content = if bytes.starts_with(zip::SIGNATURE) {
            Content::Keras(keras_archive::read(bytes, &mut unpacked, file)?)
        } else if bytes.starts_with(hdf5::SIGNATURE) {
            let root = hdf5::read(bytes, &mut unpacked).map_err(container)?;
            if keras_h5::is_legacy(&root) { Content::KerasH5(root) } else { Content::KerasWeights(root) }
        } else if is_text(bytes) {
            let text = String::from_utf8_lossy(bytes);
            if !text.trim_start().starts_with('{') {
                let start = one_line(text.lines().next().unwrap_or("")).up_to(40).to_string();
                return Err(ModelFileError::NotAModel { file: file.into(), start });
            }
            Content::Json(text.into_owned())
        } else {
            Content::Tensors(TensorFile::from_bytes(bytes, file)?)
        };
        Ok(Self { file: file.into(), content })
    }

    /// The architecture. `steps` is as in [`read_architecture`].
    ///
    /// # Errors
    /// If there is none, or it has an unsupported feature or takes samples of another length.
    pub fn architecture(&self, steps: Option<usize>, registry: &Registry) -> Result<Network, ModelFileError> {
        let file = &self.file;
        let missing = || {
            let advice = "give the architecture as another file beside it: a .keras file, or JSON of \
                          `model.to_json()`";
            ModelFileError::Part { file: file.clone(), missing: "architecture", advice }
        };
        let rewritten;
        let (text, place) = match &self.content {
            Content::Json(text) => (text, file.clone()),
            Content::Tensors(content) => (
                native::architecture(content, file)?,
                format!("{file}, `{}` in its metadata", native::ARCHITECTURE),
            ),
            Content::Keras(archive) => (&archive.config, format!("{file}, {}", keras_archive::CONFIG)),
            Content::KerasH5(root) => {
                rewritten = keras_h5::config(root).ok_or_else(missing)?;
                (&rewritten, format!("{file}, its model_config"))
            }
            Content::KerasWeights(_) => return Err(missing()),
        };
        Network::from_json_with(text, steps, registry)
            .map_err(|problem| ModelFileError::Architecture { file: place, problem: problem.to_string() })
    }

    /// Returns true if the file has weights.
    #[must_use]
    pub fn has_weights(&self) -> bool {
        !matches!(self.content, Content::Json(_))
    }

    /// The whole model. `steps` is as in [`read_architecture`].
    ///
    /// # Errors
    /// As [`SavedModel::load`].
    pub fn into_model(self, steps: Option<usize>, registry: &Registry) -> Result<SavedModel, ModelFileError> {
        let model = self.architecture(steps, registry)?;
        self.into_model_of(model)
    }

    /// The whole model, of which `model` is the file's [architecture](ModelFile::architecture).
    ///
    /// # Errors
    /// As [`SavedModel::load`].
    pub fn into_model_of(self, model: Network) -> Result<SavedModel, ModelFileError> {
        match self.content {
            Content::Keras(archive) => archive.into_model(model, &self.file),
            Content::Tensors(content) => native::read(content, &self.file, model),
            Content::Json(_) | Content::KerasWeights(_) | Content::KerasH5(_) => self.weights_of(model),
        }
    }

    /// The weights of a model whose architecture is in another file, and further data of a detector. A state of training
    /// is left out.
    ///
    /// # Errors
    /// If there are no weights, or they are not those of this model.
    pub fn weights_of(self, model: Network) -> Result<SavedModel, ModelFileError> {
        let file = self.file;
        let root = match self.content {
            Content::Json(_) => {
                let advice = "give them as another file: safetensors, .weights.h5 or .keras";
                return Err(ModelFileError::Part { file, missing: "weights", advice });
            }
            Content::Tensors(content) => {
                let saved = native::read(content, &file, model)?;
                return Ok(SavedModel { training: None, ..saved });
            }
            Content::Keras(mut archive) => {
                retain_ours(&mut archive.metadata, &file)?;
                archive.metadata.remove(TRAINING);
                let weights = keras_weights::read_weights(&archive.weights, &model, &file)?;
                return Ok(SavedModel { metadata: archive.metadata, ..SavedModel::new(model, weights) });
            }
            Content::KerasWeights(root) => root,
            Content::KerasH5(root) => {
                let weights = keras_h5::read_weights(&root, &model, &file)?;
                return Ok(SavedModel::new(model, weights));
            }
        };
        let weights = keras_weights::read_weights(&root, &model, &file)?;
        Ok(SavedModel::new(model, weights))
    }
}

/// Returns true for text, empty or not. A safetensors file begins with the length of its header in eight bytes, of which
/// some are zero, as no byte of a text is.
fn is_text(bytes: &[u8]) -> bool {
    !bytes[..bytes.len().min(8)].contains(&0)
}

/// Takes the version out of the entries, checks it, and leaves those that are ours.
pub(crate) fn retain_ours(
    metadata: &mut BTreeMap<String, String>,
    file: &str,
) -> Result<(), TensorFileError> {
    if let Some(found) = metadata.remove(VERSION_KEY).filter(|version| version != VERSION) {
        return Err(TensorFileError::BadKey {
            file: file.into(),
            key: VERSION_KEY.into(),
            found,
            expected: format!("{VERSION}, which this version of glassbox reads"),
            advice: "update glassbox, or save the model again with this version",
        });
    }
    metadata.retain(|key, _| key.starts_with(OURS));
    Ok(())
}

/// The entries of a model: its further texts, the state of training, and their version.
pub(crate) fn entries(
    metadata: &BTreeMap<String, String>,
    training: Option<&Training>,
) -> BTreeMap<String, String> {
    let mut entries = metadata.clone();
    if let Some(training) = training {
        entries.insert(TRAINING.into(), serde_json::to_string(training).expect("numbers and names"));
    }
    entries.insert(VERSION_KEY.into(), VERSION.into());
    entries
}

/// Takes the state of training out of the entries, without its slots.
pub(crate) fn take_training(
    metadata: &mut BTreeMap<String, String>,
    file: &str,
) -> Result<Option<Training>, TensorFileError> {
    let advice =
        "remove it, and the tensors that begin with `optimizer/`, to get a model that starts training";
    let found = match metadata.contains_key(TRAINING) {
        true => Some(Entries { file, metadata, advice }.json(TRAINING, "the state of training")?),
        false => None,
    };
    metadata.remove(TRAINING);
    Ok(found)
}
