//! Files of named tensors: [safetensors](https://huggingface.co/docs/safetensors), as used by [`model_file`] and
//! [`checkpoint`].
//!
//! A file is a table of texts (the *metadata*) and f32 tensors with names and shapes. The same content gives the same
//! bytes: metadata and tensors are written in the order of their names. (The `safetensors` crate writes the metadata in
//! the order of a hash map, which differs each time. So the header is written here, and read with the crate.)
//!
//! Reading trusts nothing: each length is checked before it is used, and a file with any error is refused as a whole.
//! The error names the invalid tensor or key.
//!
//! [`model_file`]: crate::model_file
//! [`checkpoint`]: ../../glassbox/checkpoint/index.html

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use glassbox_engine::model::WeightLayout;
use glassbox_engine::text::{excerpt, listed, one_line};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

use crate::atomic;

/// An error of reading or writing a tensor file. `file` is its path as given, `key` a name in its metadata.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages call them")]
pub enum TensorFileError {
    /// The file cannot be opened or read.
    #[error("cannot read {file}: {cause}; check the path, and that the file may be read")]
    Unreadable { file: String, cause: String },
    /// The file is not a valid safetensors file.
    #[error(
        "{file} is not a valid safetensors file: {}; it is truncated, damaged, or has another format: write or copy \
         it again",
        one_line(problem).up_to(200)
    )]
    Damaged { file: String, problem: String },
    /// A tensor of the model is missing.
    #[error(
        "{file}: there is no tensor `{}`, expected one of shape {shape:?}; unused tensors of the file: {unused}; give \
         the file that belongs to this architecture, or name its tensors as the layers are named",
        excerpt(tensor)
    )]
    MissingTensor { file: String, tensor: String, shape: Vec<usize>, unused: String },
    /// The file has tensors that do not belong to any layer.
    #[error(
        "{file}: no layer of the model has {tensors}; give the file that belongs to this \
         architecture, or remove them"
    )]
    ExtraTensors { file: String, tensors: String },
    /// A tensor does not have the shape of the layer's.
    #[error(
        "{file}: tensor `{}` has shape {found:?}, expected {expected:?}; give the file that belongs to this \
         architecture",
        excerpt(tensor)
    )]
    WrongShape { file: String, tensor: String, found: Vec<usize>, expected: Vec<usize> },
    /// A tensor has an unsupported type.
    #[error(
        "{file}: tensor `{}` holds {found}, expected F32 (or F64, which is rounded to it); convert it",
        excerpt(tensor)
    )]
    WrongType { file: String, tensor: String, found: String },
    /// A value is NaN, infinite, or beyond the range of f32.
    #[error(
        "{file}: value {index} of tensor `{}` is {value}, which is not a finite 32-bit number; the model had diverged, \
         or the file is damaged",
        excerpt(tensor)
    )]
    NotFinite { file: String, tensor: String, index: usize, value: f64 },
    /// A required text is missing in the metadata.
    #[error("{file}: its metadata lacks `{key}`, expected {expected}; {advice}")]
    MissingKey { file: String, key: String, expected: String, advice: &'static str },
    /// A text of the metadata is invalid.
    #[error("{file}: `{key}` in its metadata is `{}`, expected {expected}; {advice}", excerpt(found))]
    BadKey { file: String, key: String, found: String, expected: String, advice: &'static str },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] atomic::WriteError),
}

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row by row.
    pub values: Vec<f32>,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TensorFile {
    /// The metadata: texts by key.
    pub metadata: BTreeMap<String, String>,
    /// Tensors by name. The name `__metadata__` is reserved by the format and cannot be read back.
    pub tensors: BTreeMap<String, Tensor>,
}

impl TensorFile {
    /// Inserts each tensor of a model, named as in `layout`, with `prefix` before the name.
    ///
    /// # Panics
    /// If the length of `flat` is not that of the layout.
    pub fn insert_flat(&mut self, prefix: &str, layout: &WeightLayout, flat: &[f32]) {
        assert_eq!(flat.len(), layout.len(), "a flat vector of the model's layout");
        for tensor in layout.tensors() {
            let values = flat[tensor.range.clone()].to_vec();
            let shape = tensor.shape.clone();
            self.tensors.insert(format!("{prefix}{}", tensor.name), Tensor { shape, values });
        }
    }

    /// Removes each tensor of a model, named as in `layout`, with `prefix` before the name, and returns them as one
    /// flat vector. `file` is for error messages.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn take_flat(
        &mut self,
        prefix: &str,
        layout: &WeightLayout,
        file: &str,
    ) -> Result<Vec<f32>, TensorFileError> {
        // Grows with the tensors that exist, because a layout may be larger than any memory.
        let mut flat = vec![];
        for wanted in layout.tensors() {
            let name = format!("{prefix}{}", wanted.name);
            let Some(found) = self.tensors.remove(&name) else {
                return Err(TensorFileError::MissingTensor {
                    file: file.into(),
                    tensor: name,
                    shape: wanted.shape.clone(),
                    unused: self.unused(layout, prefix),
                });
            };
            if found.shape != wanted.shape {
                return Err(TensorFileError::WrongShape {
                    file: file.into(),
                    tensor: name,
                    found: found.shape,
                    expected: wanted.shape.clone(),
                });
            }
            // Tensors are in the flat vector in order, without gaps.
            flat.extend_from_slice(&found.values);
        }
        debug_assert_eq!(flat.len(), layout.len(), "tensors of the layout's shapes");
        Ok(flat)
    }

    /// Checks that all tensors were removed.
    ///
    /// # Errors
    /// Names those that were not.
    pub fn require_empty(&self, file: &str) -> Result<(), TensorFileError> {
        if self.tensors.is_empty() {
            return Ok(());
        }
        let tensors = listed(self.tensors.keys());
        Err(TensorFileError::ExtraTensors { file: file.into(), tensors })
    }

    /// Checks that no tensor has a value that is NaN or infinite.
    ///
    /// # Errors
    /// Names the first such tensor and value.
    pub fn require_finite(&self, file: &str) -> Result<(), TensorFileError> {
        for (name, tensor) in &self.tensors {
            if let Some(index) = tensor.values.iter().position(|value| !value.is_finite()) {
                let value = tensor.values[index].into();
                return Err(TensorFileError::NotFinite {
                    file: file.into(),
                    tensor: name.clone(),
                    index,
                    value,
                });
            }
        }
        Ok(())
    }

    /// Returns the bytes of the file: a length, a JSON header, and the values in little-endian order.
    ///
    /// # Panics
    /// If the number of values of a tensor does not match its shape.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut header = Map::new();
        if !self.metadata.is_empty() {
            header.insert("__metadata__".into(), json!(self.metadata));
        }
        let mut data = Vec::new();
        for (name, Tensor { shape, values }) in &self.tensors {
            assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: shape {shape:?}");
            let start = data.len();
            data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            let info = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
            header.insert(name.clone(), info);
        }
        let mut header = Json::Object(header).to_string().into_bytes();
        // Spaces at the end of the header align the values to 8 bytes, as the format recommends.
        header.resize(header.len().next_multiple_of(LENGTH), b' ');
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.append(&mut header);
        bytes.append(&mut data);
        bytes
    }

    /// Reads the output of [`TensorFile::to_bytes`] or of any other writer of the format. F64 is rounded to f32. `file`
    /// is for error messages.
    ///
    /// # Errors
    /// If the bytes do not follow the format, or a tensor has a type other than F32 and F64.
    pub fn from_bytes(bytes: &[u8], file: &str) -> Result<Self, TensorFileError> {
        let (header, data) =
            split(bytes).map_err(|problem| TensorFileError::Damaged { file: file.into(), problem })?;
        let mut tensors = BTreeMap::new();
        for (name, info) in header.tensors() {
            // An empty tensor may have an axis of any length, which readers compute with.
            if let Some(axis) = info.shape.iter().find(|axis| **axis > isize::MAX as usize / 8) {
                let problem = format!("tensor `{name}` has an axis of {axis}, longer than any memory");
                return Err(TensorFileError::Damaged { file: file.into(), problem });
            }
            let (start, end) = info.data_offsets;
            let values = values(&name, info, &data[start..end], file)?;
            tensors.insert(name, Tensor { shape: info.shape.clone(), values });
        }
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        Ok(Self { metadata, tensors })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`TensorFile::from_bytes`], and if it cannot be read.
    pub fn read(path: &Path) -> Result<Self, TensorFileError> {
        let file = path.display().to_string();
        let bytes = std::fs::read(path)
            .map_err(|cause| TensorFileError::Unreadable { file: file.clone(), cause: cause.to_string() })?;
        Self::from_bytes(&bytes, &file)
    }

    fn unused(&self, layout: &WeightLayout, prefix: &str) -> String {
        let asked = |name: &&String| {
            layout.tensors().iter().all(|tensor| name.strip_prefix(prefix) != Some(&tensor.name))
        };
        listed(self.tensors.keys().filter(asked))
    }
}

/// Reads the metadata of a file. An error names the file and the key, and ends with `advice`.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'a> {
    /// The path of the file as given.
    pub file: &'a str,
    /// Texts by key.
    pub metadata: &'a BTreeMap<String, String>,
    /// Advice about an invalid entry.
    pub advice: &'static str,
}

impl<'a> Entries<'a> {
    /// The text of `key`.
    ///
    /// # Errors
    /// [`TensorFileError::MissingKey`].
    pub fn text(&self, key: &str, expected: &str) -> Result<&'a str, TensorFileError> {
        let missing = || TensorFileError::MissingKey {
            file: self.file.into(),
            key: key.into(),
            expected: expected.into(),
            advice: self.advice,
        };
        self.metadata.get(key).map(String::as_str).ok_or_else(missing)
    }

    /// The value that the text of `key` holds as JSON.
    ///
    /// # Errors
    /// If the key is missing, or the text is another value: the error names the field.
    pub fn json<T: DeserializeOwned>(&self, key: &str, expected: &str) -> Result<T, TensorFileError> {
        let text = self.text(key, expected)?;
        let mut json = serde_json::Deserializer::from_str(text);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|problem| {
            self.bad(key, text, &format!("{expected}; `{}`: {}", problem.path(), problem.inner()))
        })?;
        json.end().map_err(|problem| self.bad(key, text, &format!("{expected}; {problem}")))?;
        Ok(value)
    }

    /// The error for a text of `key` that is not as expected.
    #[must_use]
    pub fn bad(&self, key: &str, found: impl Display, expected: &str) -> TensorFileError {
        TensorFileError::BadKey {
            file: self.file.into(),
            key: key.into(),
            found: found.to_string(),
            expected: expected.into(),
            advice: self.advice,
        }
    }
}

/// Number of bytes of the header's length.
const LENGTH: usize = size_of::<u64>();

/// Splits a file into its header and the values after it, or describes the error. The crate's own reader adds lengths
/// of the header without an overflow check, so they are compared here.
fn split(bytes: &[u8]) -> Result<(Metadata, &[u8]), String> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        return Err(format!("it has {} bytes, fewer than the {LENGTH} of its header's length", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let Some((header, data)) = split else {
        return Err(format!("its header should have {length} bytes, but {} follow", rest.len()));
    };
    let header: Metadata =
        serde_json::from_slice(header).map_err(|problem| format!("its header cannot be read ({problem})"))?;
    if header.data_len() != data.len() {
        return Err(format!(
            "its tensors should have {} bytes, but {} follow",
            header.data_len(),
            data.len()
        ));
    }
    Ok((header, data))
}

fn values(name: &str, info: &TensorInfo, data: &[u8], file: &str) -> Result<Vec<f32>, TensorFileError> {
    match info.dtype {
        Dtype::F32 => {
            let (chunks, _) = data.as_chunks();
            Ok(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        }
        Dtype::F64 => {
            let (chunks, _) = data.as_chunks();
            let rounded = |(index, bytes): (usize, &[u8; 8])| {
                let value = f64::from_le_bytes(*bytes);
                let rounded = value as f32;
                if value.is_finite() && !rounded.is_finite() {
                    let (file, tensor) = (file.into(), name.into());
                    return Err(TensorFileError::NotFinite { file, tensor, index, value });
                }
                Ok(rounded)
            };
            chunks.iter().enumerate().map(rounded).collect()
        }
        other => Err(TensorFileError::WrongType {
            file: file.into(),
            tensor: name.into(),
            found: other.to_string(),
        }),
    }
}
