//! Writes a model as Keras's JSON, with the entries in Keras's order.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};

use crate::layers::{FromConfig, KERAS, Layer, SpatialDropout1D};
use crate::model::NamedLayer;
use crate::model::network::{Input, Kind, Network, Node, Part, Source};
use crate::shape::Shape;

/// The layers without weights for which Keras writes the shape that they were built with.
const BUILT: [&str; 8] = [
    "Add",
    "Multiply",
    "Concatenate",
    "Cropping1D",
    "Flatten",
    "RepeatVector",
    "UpSampling1D",
    "ZeroPadding1D",
];

pub(in crate::model) fn write(model: &Network) -> String {
    write_model(model).to_string()
}

fn write_model(model: &Network) -> Json {
    let (module, registered_name, config, build_config) = match model.kind {
        Kind::Sequential => {
            let layers = model.inputs.iter().map(write_input).chain(model.layers.iter().map(write_named));
            let shape = shape(model.input_shape());
            let config = json!({
                "name": model.name,
                "trainable": true,
                "dtype": dtype(),
                "layers": layers.collect::<Vec<_>>(),
                "build_input_shape": shape,
            });
            ("keras", Json::Null, config, shape)
        }
        Kind::Functional => {
            let history = History::new(model);
            let inputs = model.inputs.iter().map(|input| json!((&input.name, 0, 0))).collect();
            let outputs = model.outputs.iter().map(|output| json!(history.of_output(*output))).collect();
            let config = json!({
                "name": model.name,
                "trainable": true,
                "layers": write_graph(model, &history),
                "input_layers": one_or_list(inputs),
                "output_layers": one_or_list(outputs),
            });
            ("keras.src.models.functional", json!("Functional"), config, Json::Null)
        }
    };
    json!({
        "module": module,
        "class_name": model.class_name(),
        "config": config,
        "registered_name": registered_name,
        "build_config": {"input_shape": build_config},
        "compile_config": model.compile_config,
    })
}

/// The inputs and layers of a functional model, with the calls of each.
fn write_graph(model: &Network, history: &History<'_>) -> Vec<Json> {
    let tensor = |source: &Source| {
        json!({
            "class_name": "__keras_tensor__",
            "config": {
                "shape": shape(model.shape(*source)),
                "dtype": "float32",
                "keras_history": history.of(*source),
            },
        })
    };
    let call = |node: &Node| {
        let tensors: Vec<Json> = node.inputs.iter().map(tensor).collect();
        let options = options(model.layers[node.layer].layer.class_name(), tensors.len());
        json!({"args": [one_or_list(tensors)], "kwargs": options})
    };
    let mut calls = vec![vec![]; model.layers.len()];
    for node in &model.nodes {
        calls[node.layer].push(call(node));
    }
    let mut part = |part: &Part| {
        let (mut document, name, calls) = match *part {
            Part::Input(input) => (write_input(&model.inputs[input]), &model.inputs[input].name, vec![]),
            Part::Layer(layer) => {
                let own = &model.layers[layer];
                (write_named(own), &own.name, std::mem::take(&mut calls[layer]))
            }
        };
        document["name"] = json!(name);
        document["inbound_nodes"] = Json::Array(calls);
        document
    };
    model.order.iter().map(&mut part).collect()
}

/// The arguments that Keras records of a call besides its inputs.
fn options(class_name: &str, inputs: usize) -> Json {
    match class_name {
        "Dropout" | "SpatialDropout1D" => json!({"training": false}),
        "LSTM" | "GRU" => json!({"training": false, "mask": null}),
        "BatchNormalization" | "Bidirectional" | "TimeDistributed" => json!({"mask": null}),
        "Sequential" | "Functional" if inputs > 1 => json!({"mask": vec![Json::Null; inputs]}),
        "Sequential" | "Functional" => json!({"mask": null}),
        _ => json!({}),
    }
}

/// The names of signals in JSON: the layer, the number of the call, and 0 for the only output of a call.
struct History<'a> {
    model: &'a Network,
    /// For each call, its number among those of its layer.
    numbers: Vec<usize>,
}

impl<'a> History<'a> {
    fn new(model: &'a Network) -> Self {
        let mut next = HashMap::new();
        let number = |node: &Node| {
            let next = next.entry(node.layer).or_insert(0);
            std::mem::replace(next, *next + 1)
        };
        Self { model, numbers: model.nodes.iter().map(number).collect() }
    }

    /// The name of an output of the model.
    fn of_output(&self, source: Source) -> (&'a str, usize, usize) {
        let (name, number, tensor) = self.of(source);
        let functional = match source {
            Source::Input(_) => false,
            Source::Node(node) => {
                let layer = &self.model.layers[self.model.nodes[node].layer].layer;
                layer.network().is_some_and(|model| model.kind == Kind::Functional)
            }
        };
        // Here, but not among the inputs of a call, Keras counts the calls of a functional model from 1.
        (name, number + usize::from(functional), tensor)
    }

    fn of(&self, source: Source) -> (&'a str, usize, usize) {
        let number = match source {
            Source::Input(_) => 0,
            Source::Node(node) => self.numbers[node],
        };
        (self.model.source_name(source), number, 0)
    }
}

fn one_or_list(mut values: Vec<Json>) -> Json {
    if values.len() == 1 { values.remove(0) } else { Json::Array(values) }
}

fn write_input(input: &Input) -> Json {
    json!({
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {
            "batch_shape": shape(input.shape),
            "dtype": "float32",
            "sparse": false,
            "ragged": false,
            "name": input.name,
            "optional": false,
        },
        "registered_name": null,
    })
}

fn write_named(layer: &NamedLayer) -> Json {
    if let Some(model) = layer.layer.network() {
        let mut document = write_model(model);
        document["config"]["name"] = json!(layer.name);
        return document;
    }
    let mut document = write_layer(&layer.name, &*layer.layer);
    write_build(&mut document, &layer.inputs, !layer.weights.is_empty());
    document
}

/// A layer of this name, without the shape that it was built with.
pub(crate) fn write_layer(name: &str, layer: &dyn Layer) -> Json {
    let mut config = Map::from_iter([
        ("name".to_string(), json!(name)),
        ("trainable".to_string(), json!(true)),
        ("dtype".to_string(), dtype()),
    ]);
    config.extend(layer.config().entries);
    let (class, package) = (layer.class_name(), layer.package());
    if (class, package) == (SpatialDropout1D::CLASS_NAME, KERAS) {
        // Keras's class takes no `trainable`.
        config.remove("trainable");
        config["dtype"] = json!("float32");
    }
    let (module, registered_name) = match package {
        KERAS => (json!(KERAS), Json::Null),
        own => (Json::Null, json!(format!("{own}>{class}"))),
    };
    json!({
        "module": module,
        "class_name": class,
        "config": config,
        "registered_name": registered_name,
    })
}

/// Adds the input shape that Keras built a layer with, if it writes one; `weighted` if the layer has weights. The layer
/// of a `TimeDistributed` was built with one step, those of a `Bidirectional` with the same shape.
fn write_build(layer: &mut Json, inputs: &[Shape], weighted: bool) {
    let class = layer["class_name"].as_str().unwrap_or_default();
    let (distributes, both_ways) = (class == "TimeDistributed", class == "Bidirectional");
    if weighted || distributes || BUILT.contains(&class) {
        layer["build_config"] =
            json!({"input_shape": one_or_list(inputs.iter().map(|input| shape(*input)).collect())});
    }
    if let Some(inner) = layer.pointer_mut("/config/layer").filter(|_| distributes) {
        write_build(inner, &[Shape::units(inputs[0].channels)], weighted);
    }
    for inner in ["/config/layer", "/config/backward_layer"].into_iter().filter(|_| both_ways) {
        if let Some(inner) = layer.pointer_mut(inner) {
            write_build(inner, inputs, weighted);
        }
    }
}

/// A shape with the batch in front.
fn shape(shape: Shape) -> Json {
    std::iter::once(Json::Null).chain(shape.axes().into_iter().map(Json::from)).collect()
}

fn dtype() -> Json {
    json!({"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": null})
}
