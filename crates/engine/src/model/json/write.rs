//! Writes a model as Keras's JSON, with the entries in Keras's order.

use serde_json::{Map, Value as Json, json};

use crate::layers::{FromConfig, KERAS, SpatialDropout1D};
use crate::model::{NamedLayer, Sequential};
use crate::shape::Shape;

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
    let layers: Vec<Json> = std::iter::once(input).chain(model.layers().iter().map(write_layer)).collect();
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

fn write_layer(layer: &NamedLayer) -> Json {
    let mut config = Map::from_iter([
        ("name".to_string(), json!(layer.name)),
        ("trainable".to_string(), json!(true)),
        ("dtype".to_string(), dtype()),
    ]);
    config.extend(layer.layer.config().entries);
    let (class, package) = (layer.layer.class_name(), layer.layer.package());
    if (class, package) == (SpatialDropout1D::CLASS_NAME, KERAS) {
        // Keras's class takes no `trainable`.
        config.remove("trainable");
        config["dtype"] = json!("float32");
    }
    let (module, registered_name) = match package {
        KERAS => (json!(KERAS), Json::Null),
        own => (Json::Null, json!(format!("{own}>{class}"))),
    };
    let mut document = json!({
        "module": module,
        "class_name": class,
        "config": config,
        "registered_name": registered_name,
    });
    if !layer.weights.is_empty() {
        document["build_config"] = json!({"input_shape": shape(layer.input)});
    }
    document
}

/// A shape with the batch in front.
fn shape(shape: Shape) -> Json {
    std::iter::once(Json::Null).chain(shape.axes().into_iter().map(Json::from)).collect()
}

fn dtype() -> Json {
    json!({"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": null})
}
