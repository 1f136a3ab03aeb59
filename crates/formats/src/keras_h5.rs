//! The older files of Keras, `.h5`: whole models and weights of Keras 2, and of Keras 3 where it writes that format.
//!
//! | attribute or dataset | |
//! |---|---|
//! | `model_config` | the architecture as JSON; a file of weights has none |
//! | `model_weights`: `layer_names` | the names of the layers; in a file of weights, of the root |
//! | `model_weights/dense`: `weight_names` | the names of a layer's weights, those that are trained first |
//! | `model_weights/dense/dense/kernel:0` | a weight, at its name below the group of its layer |
//!
//! The optimiser and the loss (`training_config`, `optimizer_weights`) are not read: such a file gives a model that starts
//! training.
//!
//! The JSON of Keras 2 is that of Keras 3 but for some arguments that Keras 3 dropped, and the calls of a functional model.
//! It is rewritten ([`config`]); an argument with a value that Keras 3 does not have is refused by name later.

use std::collections::BTreeMap;

use glassbox_engine::model::{Network, WeightInfo};
use glassbox_engine::text::listed;
use serde_json::{Value as Json, json};

use crate::hdf5::Group;
use crate::keras_weights::values;
use crate::tensor_file::TensorFileError;

const CONFIG: &str = "model_config";
const LAYERS: &str = "layer_names";
const WEIGHTS: &str = "weight_names";

/// Returns true if a file has this format.
#[must_use]
pub fn is_legacy(root: &Group) -> bool {
    root.attributes.contains_key(CONFIG) || !names(weights(root), LAYERS).is_empty()
}

/// The architecture, as Keras 3 writes it; `None` if there is none. A text that is not JSON is returned as it is.
#[must_use]
pub fn config(root: &Group) -> Option<String> {
    let text = root.attributes.get(CONFIG)?.first()?;
    let Ok(mut model) = serde_json::from_str::<Json>(text) else { return Some(text.clone()) };
    update(&mut model);
    Some(model.to_string())
}

/// The group of the layers.
fn weights(root: &Group) -> &Group {
    root.group("model_weights").unwrap_or(root)
}

/// A list of names, which Keras divides if it is long: `layer_names0`, `layer_names1`, ...
fn names(group: &Group, attribute: &str) -> Vec<String> {
    let parts = (0..).map(|part| group.attributes.get(&format!("{attribute}{part}")));
    let parts = parts.take_while(Option::is_some).flatten().flatten();
    group.attributes.get(attribute).into_iter().flatten().chain(parts).cloned().collect()
}

/// Reads the weights of a model, flat in its layout. `file` is for error messages.
///
/// # Errors
/// If a layer is missing, or has other weights than the model's, or the file has layers with weights that the model does
/// not have.
pub fn read_weights(root: &Group, model: &Network, file: &str) -> Result<Vec<f32>, TensorFileError> {
    let root = weights(root);
    let layout = model.layout();
    let missing = |tensor: String, shape: &[usize], unused: &[String]| TensorFileError::MissingTensor {
        file: file.into(),
        tensor,
        shape: shape.to_vec(),
        unused: listed(unused),
    };
    let mut left: BTreeMap<String, Vec<String>> = names(root, LAYERS)
        .into_iter()
        .map(|layer| (layer.clone(), root.group(&layer).map_or_else(Vec::new, |group| names(group, WEIGHTS))))
        .filter(|(_, weights)| !weights.is_empty())
        .collect();
    let mut parts: Vec<(&WeightInfo, Vec<f32>)> = vec![];
    for layer in model.layers().iter().filter(|layer| !layer.weights.is_empty()) {
        let mut tensors: Vec<&WeightInfo> = layout.tensors()[layer.weights.clone()].iter().collect();
        tensors.sort_by_key(|tensor| !tensor.trained);
        let names = left.remove(&layer.name).unwrap_or_default();
        for (index, tensor) in tensors.iter().enumerate() {
            let path = names.get(index).map(|name| format!("{}/{name}", layer.name));
            let found = path.as_deref().and_then(|path| Some((path, root.object(path)?)));
            let (path, found) = found.ok_or_else(|| missing(tensor.name.clone(), &tensor.shape, &names))?;
            parts.push((tensor, values(found, path, &tensor.shape, file)?));
        }
        if names.len() > tensors.len() {
            let tensors = listed(&names[tensors.len()..]);
            return Err(TensorFileError::ExtraTensors { file: file.into(), tensors });
        }
    }
    if !left.is_empty() {
        return Err(TensorFileError::ExtraTensors {
            file: file.into(),
            tensors: listed(left.values().flatten()),
        });
    }
    parts.sort_by_key(|(tensor, _)| tensor.range.start);
    Ok(parts.into_iter().flat_map(|(_, values)| values).collect())
}

/// Rewrites an object of a class, a layer or a model, and those within it.
fn update(object: &mut Json) {
    let class = object["class_name"].as_str().unwrap_or_default().to_owned();
    if class == "Model" {
        object["class_name"] = json!("Functional");
    }
    let Some(config) = object.get_mut("config").and_then(Json::as_object_mut) else { return };
    // What Keras 3 has no argument for, if it says what is so in Keras 3.
    for (argument, value) in [("time_major", json!(false)), ("output_padding", Json::Null)] {
        if config.get(argument) == Some(&value) {
            config.remove(argument);
        }
    }
    if class != "InputLayer" {
        config.remove("batch_input_shape");
    }
    // How Keras 2 computes, not what.
    config.remove("implementation");
    // The axis of the channels of a signal of steps; of one without, the number 1 could also be the steps of another.
    if config.get("axis") == Some(&json!([2])) {
        config["axis"] = json!(-1);
    }
    for inner in ["layer", "backward_layer"] {
        config.get_mut(inner).into_iter().for_each(update);
    }
    config.get_mut("layers").and_then(Json::as_array_mut).into_iter().flatten().for_each(update);
    if config.contains_key("output_layers") {
        update_calls(object);
    }
}

/// Rewrites the calls of a functional model: from `[["dense", 0, 0, {}]]` to Keras 3's objects.
fn update_calls(model: &mut Json) {
    let config = &mut model["config"];
    // Keras 2 counts the call with which a model was built.
    let mut first: BTreeMap<String, u64> = BTreeMap::new();
    let mut functional = vec![];
    for layer in config["layers"].as_array().into_iter().flatten() {
        let name = layer["name"].as_str().unwrap_or_default();
        match layer["class_name"].as_str() {
            Some("Functional") => functional.push(name.to_owned()),
            Some("Sequential") => {}
            _ => continue,
        }
        first.insert(name.to_owned(), u64::MAX);
    }
    let mut is_old = false;
    for call in config["layers"].as_array().into_iter().flatten().flat_map(calls) {
        is_old |= call.is_array();
        for [name, number] in call.as_array().into_iter().flatten().filter_map(reference) {
            let number = number.as_u64().unwrap_or(0);
            name.as_str()
                .and_then(|name| first.get_mut(name))
                .into_iter()
                .for_each(|first| *first = number.min(*first));
        }
    }
    if !is_old {
        return;
    }
    let number = |name: &Json, number: &Json| {
        let first = name.as_str().and_then(|name| first.get(name)).filter(|first| **first == 1);
        number.as_u64().map(|number| number.saturating_sub(u64::from(first.is_some())))
    };
    for layer in config["layers"].as_array_mut().into_iter().flatten() {
        for call in layer.get_mut("inbound_nodes").and_then(Json::as_array_mut).into_iter().flatten() {
            let mut tensors: Vec<Json> = vec![];
            for input in call.as_array().into_iter().flatten() {
                let Some([name, call]) = reference(input) else { continue };
                let history = json!([name, number(name, call), input[2]]);
                tensors.push(json!({"class_name": "__keras_tensor__", "config": {"keras_history": history}}));
            }
            let options = call.get(0).and_then(|input| input.get(3)).cloned().unwrap_or(json!({}));
            let inputs = if tensors.len() == 1 { tensors.remove(0) } else { tensors.into() };
            *call = json!({"args": [inputs], "kwargs": options});
        }
    }
    for output in config["output_layers"].as_array_mut().into_iter().flatten() {
        if let Some([name, call]) = reference(output) {
            // Keras 3 counts those of a functional model from 1, here only.
            let from = u64::from(functional.iter().any(|functional| name == functional));
            output[1] = json!(number(name, call).map(|number| number + from));
        }
    }
}

fn calls(layer: &Json) -> impl Iterator<Item = &Json> {
    layer["inbound_nodes"].as_array().into_iter().flatten()
}

/// The layer and the call that an input or an output names: `["dense", 0, 0]`.
fn reference(input: &Json) -> Option<[&Json; 2]> {
    match input.as_array().map(Vec::as_slice) {
        Some([name, call, _, ..]) if name.is_string() => Some([name, call]),
        _ => None,
    }
}
