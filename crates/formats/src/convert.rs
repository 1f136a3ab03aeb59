//! Models from one format to another, with what each can hold.

use std::path::Path;

use crate::model_file::{Format, ModelFileError, SavedModel, Training};
use crate::onnx;

/// A part of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// A description of its content.
    pub content: String,
    /// True if the target holds it.
    pub kept: bool,
}

/// A file of a model, and its parts.
#[derive(Debug, Clone)]
pub struct Converted {
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// The parts that the model has.
    pub parts: Vec<Part>,
}

/// The form in which a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Model(Format),
    /// JSON of the architecture.
    Json,
    Onnx,
}

impl Target {
    fn of(path: &Path) -> Result<Self, ModelFileError> {
        let extension = path.extension().map(std::ffi::OsStr::to_ascii_lowercase);
        match extension.as_ref().and_then(|extension| extension.to_str()) {
            Some("json") => Ok(Self::Json),
            Some("onnx") => Ok(Self::Onnx),
            _ => Format::of(path).map(Self::Model),
        }
    }
}

/// The file of a model at `path`: JSON of the architecture if the name ends with `.json`, [ONNX](onnx) if it ends with
/// `.onnx`, else in the [`Format`] that the name says.
///
/// # Errors
/// If no model is written in this format, a layer cannot be expressed in it, or the weights are not finite.
pub fn convert(saved: &SavedModel, path: &Path) -> Result<Converted, ModelFileError> {
    let SavedModel { model, weights, training, metadata } = saved;
    let target = Target::of(path)?;
    let bytes = match target {
        Target::Model(_) => saved.bytes_for(path)?,
        Target::Json => saved.compiled().to_json().into_bytes(),
        Target::Onnx => onnx::write(model, weights, metadata)
            .map_err(|problem| ModelFileError::BadModel { file: path.display().to_string(), problem })?,
    };
    let is_whole = matches!(target, Target::Model(Format::Safetensors | Format::Keras));
    let has_architecture = target != Target::Model(Format::KerasWeights);
    let is_compiled = is_whole || target == Target::Json;
    let has_state = matches!(target, Target::Model(_));
    let mut parts = vec![];
    let mut part = |name, content: String, kept| parts.push(Part { name, content, kept });
    let (class, layers) = (model.class_name(), model.layers().len());
    part("architecture", format!("{class} {}, {layers} layers", model.name()), has_architecture);
    let tensors = model.layout().tensors().len();
    part("weights", format!("{} numbers in {tensors} tensors", weights.len()), target != Target::Json);
    match (training, model.compilation(None, None)) {
        (Some(Training { optimizer, loss, step, history, .. }), _) => {
            part("compilation", format!("{optimizer}; loss {loss}"), is_compiled);
            part("optimizer state", format!("{} after {step} steps", optimizer.class_name()), has_state);
            if !history.loss.is_empty() {
                part(
                    "history",
                    format!("the losses of {} epochs, and the seed", history.loss.len()),
                    is_whole,
                );
            }
        }
        (None, Ok(compilation)) if model.is_compiled() => {
            part("compilation", format!("{}; loss {}", compilation.optimizer, compilation.loss), is_compiled);
        }
        (None, Err(problem)) => {
            part("compilation", problem.to_string(), is_compiled);
            part("optimizer state", "that of an unsupported optimizer".into(), false);
        }
        (None, Ok(_)) => {}
    }
    if !metadata.is_empty() {
        let keys: Vec<&str> = metadata.keys().map(String::as_str).collect();
        part("entries", keys.join(", "), is_whole || target == Target::Onnx);
    }
    Ok(Converted { bytes, parts })
}
