//! Reads functional models: layers, and the calls that connect them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{batch_shape, input_shape, read_layer};
use crate::error::{Error, Result};
use crate::layers::config::abridged;
use crate::layers::{Config, Layer, Registry};
use crate::model::functional::{Functional, Tensor};
use crate::model::network::{Kind, Network};
use crate::text::excerpt;

/// A tensor as JSON names it: the layer that gives it, and which call of the layer.
type History = (String, usize);

/// A call of a layer that waits for its inputs.
struct Pending {
    layer: usize,
    /// The number of this call among those of the layer.
    index: usize,
    inputs: Vec<History>,
}

pub(super) fn read(
    mut config: Config,
    entries: Vec<Json>,
    steps: Option<usize>,
    registry: &Registry,
) -> Result<Network> {
    let (inputs, outputs) = (tensors(&mut config, "input_layers")?, tensors(&mut config, "output_layers")?);
    let mut shapes = HashMap::new();
    let (mut layers, mut pending) = (vec![], vec![]);
    for (index, entry) in entries.into_iter().enumerate() {
        let mut entry = Config::new(&format!("layer {index}"), entry)?;
        let class = entry.class()?;
        let own = entry.object("config")?;
        if class.is_built_in("InputLayer") {
            let (name, shape) = batch_shape(own)?;
            let name = name.ok_or_else(|| entry.missing("name"))?;
            shapes.insert(name, shape);
            continue;
        }
        let (name, layer) = read_layer(&class, own, registry)?;
        let name = name.ok_or_else(|| entry.missing("name"))?;
        let Json::Array(nodes) = entry.take("inbound_nodes")? else {
            return Err(entry.wrong("inbound_nodes", "an array of calls", "something else"));
        };
        entry.place = format!("{} ({})", excerpt(&name), layer.class_name());
        for (index, node) in nodes.into_iter().enumerate() {
            let inputs = call(&entry, node)?;
            pending.push(Pending { layer: layers.len(), index, inputs });
        }
        layers.push((name, layer));
    }

    let mut model = Functional::new();
    let mut known: HashMap<History, Tensor> = HashMap::new();
    for (name, index) in inputs {
        let place = format!("input {}", excerpt(&name));
        let shape = shapes.remove(&name).ok_or_else(|| unknown(&place, &name))?;
        let shape = input_shape(&place, Some(&shape), steps)?;
        known.insert((name.clone(), index), model.input_named(name, shape)?);
    }
    if let Some(name) = shapes.into_keys().next() {
        let place = format!("input {}", excerpt(&name));
        return Err(Error::Architecture {
            place,
            expected: "an entry of input_layers".into(),
            found: "none".into(),
        });
    }
    connect(&mut model, &layers, pending, &mut known)?;
    let functional: HashSet<&str> = layers
        .iter()
        .filter(|(_, layer)| layer.network().is_some_and(|model| model.kind == Kind::Functional))
        .map(|(name, _)| name.as_str())
        .collect();
    let output = |(name, call): &History| {
        // Here, but not among the inputs of a call, Keras counts the calls of a functional model from 1.
        let first = usize::from(functional.contains(name.as_str()));
        let tensor = call.checked_sub(first).and_then(|call| known.get(&(name.clone(), call)));
        tensor.copied().ok_or_else(|| unknown("the model, output_layers", name))
    };
    let outputs = outputs.iter().map(output).collect::<Result<Vec<_>>>()?;
    model.outputs(&outputs)
}

/// Makes each call as soon as its inputs are known, and those of a layer in their order.
fn connect(
    model: &mut Functional,
    layers: &[(String, Arc<dyn Layer>)],
    mut pending: Vec<Pending>,
    known: &mut HashMap<History, Tensor>,
) -> Result<()> {
    // For each signal that is not there yet, the calls that wait for it, and for each call how many it waits for.
    let mut readers: HashMap<History, Vec<usize>> = HashMap::new();
    let mut waiting = vec![0usize; pending.len()];
    let mut called: Vec<Option<Tensor>> = vec![None; layers.len()];
    for (at, call) in pending.iter().enumerate() {
        let before = at.checked_sub(1).filter(|before| pending[*before].layer == call.layer);
        let before = before.map(|before| (layers[call.layer].0.clone(), pending[before].index));
        for signal in call.inputs.iter().cloned().chain(before) {
            if !known.contains_key(&signal) {
                readers.entry(signal).or_default().push(at);
                waiting[at] += 1;
            }
        }
    }
    let mut ready: Vec<usize> = (0..pending.len()).rev().filter(|at| waiting[*at] == 0).collect();
    let mut left = pending.len();
    while let Some(at) = ready.pop() {
        let Pending { layer, index, ref mut inputs } = pending[at];
        let (name, own) = &layers[layer];
        let inputs: Vec<Tensor> = inputs.drain(..).map(|input| known[&input]).collect();
        let output = match called[layer] {
            None => model.call_named(name.clone(), Arc::clone(own), &inputs)?,
            Some(first) => model.call_again(first, &inputs)?,
        };
        called[layer] = called[layer].or(Some(output));
        let signal = (name.clone(), index);
        for reader in readers.remove(&signal).unwrap_or_default() {
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                ready.push(reader);
            }
        }
        known.insert(signal, output);
        left -= 1;
    }
    match pending.iter().zip(&waiting).find(|(_, waiting)| **waiting > 0) {
        Some((call, _)) if left > 0 => {
            let missing = call.inputs.iter().find(|input| !known.contains_key(*input));
            let source = missing.map_or("", |input| input.0.as_str());
            Err(unknown(&format!("{}, inbound_nodes", excerpt(&layers[call.layer].0)), source))
        }
        _ => Ok(()),
    }
}

fn unknown(place: &str, layer: &str) -> Error {
    Error::Architecture {
        place: place.into(),
        expected:
            "the name of a layer, and the number of one of its calls, that can be computed from the inputs"
                .into(),
        found: format!("{}", excerpt(layer)),
    }
}

/// Takes `input_layers` or `output_layers`: `["name", 0, 0]`, or a list of such.
fn tensors(config: &mut Config, key: &str) -> Result<Vec<History>> {
    let value = config.take(key)?;
    match &value {
        Json::Array(list) if list.first().is_some_and(Json::is_string) => {
            Ok(vec![history(config, key, &value)?])
        }
        Json::Array(list) if !list.is_empty() => {
            list.iter().map(|entry| history(config, key, entry)).collect()
        }
        Json::Object(_) => {
            Err(config.unsupported(key, &value, "a list is: give inputs and outputs in order"))
        }
        _ => Err(config.wrong(key, "[\"name\", 0, 0], or a list of such", "something else")),
    }
}

/// Reads `["name", call, tensor]`; no layer here has several tensors.
fn history(config: &Config, key: &str, value: &Json) -> Result<History> {
    match value.as_array().map(Vec::as_slice) {
        Some([Json::String(name), node, tensor]) if *tensor == json!(0) => {
            let node = node.as_u64().and_then(|node| usize::try_from(node).ok());
            node.map(|node| (name.clone(), node))
                .ok_or_else(|| config.wrong(key, "the number of a call", "something else"))
        }
        _ => Err(config.wrong(key, "[\"name\", 0, 0]", &abridged(value))),
    }
}

/// Reads a call: its only argument is a tensor or a list of tensors.
fn call(layer: &Config, node: Json) -> Result<Vec<History>> {
    let mut node = Config::new(&format!("{}, inbound_nodes", layer.place), node)?;
    let arguments = node.take("args")?;
    let Some([argument]) = arguments.as_array().map(Vec::as_slice) else {
        return Err(node.unsupported("args", &arguments, "one tensor, or one list of tensors, is"));
    };
    if let Some(Json::Object(options)) = node.find_some("kwargs") {
        for (option, value) in options {
            // `fit` and `predict` say themselves whether they train; a mask is unsupported unless there is none.
            let unmasked =
                value.is_null() || value.as_array().is_some_and(|masks| masks.iter().all(Json::is_null));
            if !(option == "training" && (value.is_null() || value.is_boolean())
                || option == "mask" && unmasked)
            {
                return Err(node.unsupported(&option, &value, "leaving it out is"));
            }
        }
    }
    let list = match argument {
        Json::Array(list) => list.as_slice(),
        tensor => std::slice::from_ref(tensor),
    };
    list.iter()
        .map(|tensor| {
            let mut tensor = Config::new(&node.place, tensor.clone())?;
            let class = tensor.text("class_name")?;
            if class != "__keras_tensor__" {
                return Err(tensor.wrong("class_name", "__keras_tensor__", &excerpt(&class).to_string()));
            }
            let mut tensor = tensor.object("config")?;
            let history_value = tensor.take("keras_history")?;
            history(&tensor, "keras_history", &history_value)
        })
        .collect()
}
