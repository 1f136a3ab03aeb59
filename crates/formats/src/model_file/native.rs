//! Our own model files: safetensors.

use crate::hash::Sha256;
use crate::tensor_file::{TensorFile, TensorFileError};
use glassbox_engine::model::Network;

use super::{ModelFileError, OURS, SavedModel, entries, retain_ours, take_training};

/// The key of the architecture.
pub(super) const ARCHITECTURE: &str = "keras_json";
const CHECKSUM: &str = "glassbox.sha256";

/// Prefix of the names of a slot's tensors.
fn slot_prefix(slot: &str) -> String {
    format!("optimizer/{slot}/")
}

pub(super) fn write(saved: &SavedModel) -> Vec<u8> {
    let layout = saved.model.layout();
    let metadata = entries(&saved.metadata, saved.training.as_ref());
    let mut file = TensorFile { metadata, ..TensorFile::default() };
    file.insert_flat("", layout, &saved.weights);
    if let Some(training) = &saved.training {
        for (name, values) in training.optimizer.slots().iter().zip(&training.slots) {
            file.insert_flat(&slot_prefix(name), layout, values);
        }
    }
    file.metadata.insert(ARCHITECTURE.into(), saved.model.to_json());
    file.metadata.insert(CHECKSUM.into(), checksum(&file));
    file.to_bytes()
}

/// The text of the architecture.
pub(super) fn architecture<'a>(content: &'a TensorFile, file: &str) -> Result<&'a String, TensorFileError> {
    content.metadata.get(ARCHITECTURE).ok_or_else(|| TensorFileError::MissingKey {
        file: file.into(),
        key: ARCHITECTURE.into(),
        expected: "the architecture as Keras's JSON".into(),
        advice: "give the architecture as a JSON file beside the weights",
    })
}

pub(super) fn read(
    mut content: TensorFile,
    file: &str,
    model: Network,
) -> Result<SavedModel, ModelFileError> {
    let found = checksum(&content);
    content.require_finite(file)?;
    let weights = content.take_flat("", model.layout(), file)?;
    let mut metadata = std::mem::take(&mut content.metadata);
    let expected = metadata.remove(CHECKSUM);
    retain_ours(&mut metadata, file)?;
    let mut training = take_training(&mut metadata, file)?;
    if let Some(training) = &mut training {
        for name in training.optimizer.slots() {
            training.slots.push(content.take_flat(&slot_prefix(name), model.layout(), file)?);
        }
    }
    content.require_empty(file)?;
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(ModelFileError::Checksum { file: file.into(), found, expected });
    }
    Ok(SavedModel { model, weights, training, metadata })
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
