//! Writes a model as Keras's JSON, with the entries in Keras's order.

use serde_json::{Map, Value as Json, json};

use crate::layers::{KERAS, Layer};
use crate::model::{NamedLayer, Sequential};
use crate::shape::Shape;

/// The layers without weights for which Keras writes the shape that they were built with.
const BUILT: [&str; 6] =
    ["Concatenate", "Cropping1D", "Flatten", "RepeatVector", "UpSampling1D", "ZeroPadding1D"];

pub(in crate::model) fn write(model: &Sequential) -> String {
    let input = json!({
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {
            "batch_shape": shape(model.input_shape()),
            "dtype": "float32",
            "sparse": false,
            "ragged": false,
            "name": "input_layer",
            "optional": false,
        },
        "registered_name": null,
    });
    let layers: Vec<Json> = std::iter::once(input).chain(model.layers().iter().map(write_named)).collect();
    let document = json!({
        "module": "keras",
        "class_name": "Sequential",
        "config": {
            "name": model.name(),
            "trainable": true,
            "dtype": dtype(),
            "layers": layers,
            "build_input_shape": shape(model.input_shape()),
        },
        "registered_name": null,
        "build_config": {"input_shape": shape(model.input_shape())},
        "compile_config": model.compile_config(),
    });
    document.to_string()
}

fn write_named(layer: &NamedLayer) -> Json {
    let mut document = write_layer(&layer.name, &*layer.layer);
    write_build(&mut document, layer.input, !layer.weights.is_empty());
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
/// of a `TimeDistributed` was built with one step.
fn write_build(layer: &mut Json, input: Shape, weighted: bool) {
    let class = layer["class_name"].as_str().unwrap_or_default();
    let distributes = class == "TimeDistributed";
    if weighted || distributes || BUILT.contains(&class) {
        layer["build_config"] = json!({"input_shape": shape(input)});
    }
    if let Some(inner) = layer.pointer_mut("/config/layer").filter(|_| distributes) {
        write_build(inner, Shape::units(input.channels), weighted);
    }
}

/// A shape with the batch in front.
fn shape(shape: Shape) -> Json {
    std::iter::once(Json::Null).chain(shape.axes().into_iter().map(Json::from)).collect()
}

fn dtype() -> Json {
    json!({"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": null})
}
