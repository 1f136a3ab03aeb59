//! ONNX files: a model as a graph of standard operators, which other programs run.
//!
//! Operator set 20. The number of samples is open; the other axes have the lengths and the order that they have here.
//! Inputs, outputs and the outputs of layers have their names; those of layers in a model within the model are
//! `inner/conv1d`, and those of a second call `conv1d:1`. Weights are named as in a [model file](crate::model_file), in the
//! shapes of the operators. What a detector adds to a model is in the metadata of the file.
//!
//! The graph computes predictions: there is no dropout in it, and batch normalisation uses its moving statistics.

mod graph;
mod layers;
mod message;

use std::collections::BTreeMap;

use glassbox_engine::model::{Network, Source, WeightInfo};
use glassbox_engine::text::excerpt;

use graph::Graph;
use layers::Call;
use message::Message;

/// The version of the operators.
const OPERATORS: i64 = 20;
/// The version of the format that has them.
const FORMAT: i64 = 9;

/// Returns the bytes of a model's file, with these texts by key in its metadata.
///
/// # Errors
/// Names the layer that no operator computes.
///
/// # Panics
/// If the number of weights is not that of the model.
pub fn write(
    model: &Network,
    weights: &[f32],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, String> {
    let mut graph = Graph::default();
    let inputs: Vec<String> = model.inputs().iter().map(|input| graph.take_name(&input.name)).collect();
    let outputs = network(&mut graph, model, "", &inputs, model.layout().tensors(), weights)?;
    // An output has a name of its own, also where it is an input, or is an output twice.
    let mut named = vec![];
    for (index, (signal, shape)) in outputs.iter().zip(model.outputs()).enumerate() {
        let has_own = !inputs.contains(signal) && !outputs[..index].contains(signal);
        let name = if has_own { signal.clone() } else { graph.copy(signal, &format!("output_{index}")) };
        named.push(graph::signal(&name, &shape.axes()));
    }
    let inputs = model.inputs().iter().map(|input| graph::signal(&input.name, &input.shape.axes())).collect();
    let graph = graph.message(model.name(), inputs, named);
    let operators = Message::default().bytes(1, "").int(2, OPERATORS);
    let metadata = metadata.iter().map(|(key, text)| Message::default().bytes(1, key).bytes(2, text));
    let file = Message::default().int(1, FORMAT).bytes(2, "glassbox").bytes(3, env!("CARGO_PKG_VERSION"));
    Ok(file.bytes(7, graph).bytes(8, operators).all(14, metadata).0)
}

/// Adds the calls of a model, and returns its outputs. `prefix` is before the names of its layers; `tensors` are its own.
fn network(
    graph: &mut Graph,
    model: &Network,
    prefix: &str,
    inputs: &[String],
    tensors: &[WeightInfo],
    weights: &[f32],
) -> Result<Vec<String>, String> {
    let mut outputs: Vec<String> = vec![];
    let mut calls = vec![0usize; model.layers().len()];
    for node in model.nodes() {
        let layer = &model.layers()[node.layer];
        let again = calls[node.layer];
        calls[node.layer] += 1;
        let name = match again {
            0 => format!("{prefix}{}", layer.name),
            again => format!("{prefix}{}:{again}", layer.name),
        };
        let signal = |source: &Source| match *source {
            Source::Input(input) => inputs[input].clone(),
            Source::Node(node) => outputs[node].clone(),
        };
        let read: Vec<String> = node.inputs.iter().map(signal).collect();
        let tensors = &tensors[layer.weights.clone()];
        let output = match layer.layer.network() {
            Some(inner) => {
                network(graph, inner, &format!("{name}/"), &read, tensors, weights)?.swap_remove(0)
            }
            None => {
                let call =
                    Call { inputs: &read, shapes: &layer.inputs, output: node.output, tensors, weights };
                layers::add(graph, &*layer.layer, &call)
                    .map_err(|problem| format!("layer {}: {problem}", excerpt(&name)))?
            }
        };
        // A model within has named its output, and a layer may pass on what it reads.
        let has_name = layer.layer.network().is_some() || read.contains(&output);
        outputs.push(if has_name { graph.copy(&output, &name) } else { graph.name_last(&name) });
    }
    let output = |source: &Source| match *source {
        Source::Input(input) => inputs[input].clone(),
        Source::Node(node) => outputs[node].clone(),
    };
    Ok(model.output_sources().iter().map(output).collect())
}
