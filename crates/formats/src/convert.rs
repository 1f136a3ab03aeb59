//! Models from one format to another, with what each can hold.

use std::path::Path;

use crate::model_file::{Format, ModelFileError, SavedModel, Training};

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

/// The file of a model at `path`: JSON of the architecture if the name ends with `.json`, else in the [`Format`] that the
/// name says.
///
/// # Errors
/// If no model is written in this format, or the weights are not finite.
pub fn convert(saved: &SavedModel, path: &Path) -> Result<Converted, ModelFileError> {
    let SavedModel { model, weights, training, metadata } = saved;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let format = if is_json { None } else { Some(Format::of(path)?) };
    let bytes = match format {
        Some(_) => saved.bytes_for(path)?,
        None => with_training(saved).to_json().into_bytes(),
    };
    let has_architecture = format != Some(Format::KerasWeights);
    let whole = has_architecture && format.is_some();
    let mut parts = vec![];
    let mut part = |name, content: String, kept| parts.push(Part { name, content, kept });
    let (class, layers) = (model.class_name(), model.layers().len());
    part("architecture", format!("{class} {}, {layers} layers", model.name()), has_architecture);
    let tensors = model.layout().tensors().len();
    part("weights", format!("{} numbers in {tensors} tensors", weights.len()), format.is_some());
    match (training, model.compilation(None, None)) {
        (Some(Training { optimizer, loss, step, history, .. }), _) => {
            part("compilation", format!("{optimizer}; loss {loss}"), has_architecture);
            part(
                "optimizer state",
                format!("{} after {step} steps", optimizer.class_name()),
                format.is_some(),
            );
            if !history.loss.is_empty() {
                part("history", format!("the losses of {} epochs, and the seed", history.loss.len()), whole);
            }
        }
        (None, Ok(compilation)) if model.is_compiled() => {
            part(
                "compilation",
                format!("{}; loss {}", compilation.optimizer, compilation.loss),
                has_architecture,
            );
        }
        (None, Err(problem)) => {
            part("compilation", problem.to_string(), has_architecture);
            part("optimizer state", "that of an unsupported optimizer".into(), false);
        }
        (None, Ok(_)) => {}
    }
    if !metadata.is_empty() {
        let keys: Vec<&str> = metadata.keys().map(String::as_str).collect();
        part("entries", keys.join(", "), whole);
    }
    Ok(Converted { bytes, parts })
}

/// The model, compiled with what it is trained with.
fn with_training(saved: &SavedModel) -> glassbox_engine::model::Network {
    let model = saved.model.clone();
    match &saved.training {
        Some(training) => model.compiled_with(&training.optimizer, training.loss),
        None => model,
    }
}
