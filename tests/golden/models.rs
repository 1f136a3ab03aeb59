//! Models as text: Keras's JSON read, refused and written, its summaries, its names; and its initialisers.

use glassbox_engine::initializers::{Initializer, glorot_limit};
use glassbox_engine::layers::Registry;
use glassbox_engine::layers::{
    Activation, AveragePooling1D, Conv1D, Conv1DTranspose, Dropout, ELU, Layer, LayerNormalization,
    LeakyReLU, MaxPooling1D, ReLU, SpatialDropout1D,
};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::random::{Purpose, Stream};
use glassbox_engine::shape::Shape;
use glassbox_tests::compare::{Tolerance, assert_close};
use glassbox_tests::fixtures::{self, array, integer, json, number, string, text};
use serde_json::Value as Json;
use std::sync::Arc;

/// For models whose input has any number of steps.
const ANY_STEPS: usize = 50;

fn read(text: &str, any_length: bool) -> Network {
    let model = if any_length {
        Network::from_json_with(text, Some(ANY_STEPS), &Registry::default())
    } else {
        Network::from_json(text)
    };
    model.unwrap_or_else(|error| panic!("{error}"))
}

/// `[null, steps, channels]` or `[null, units]`; the steps are null where any number will do.
fn shape(json: &Json) -> Shape {
    let axes = &array(json)[1..];
    fixtures::shape(
        &axes.iter().map(|axis| axis.as_u64().map_or(ANY_STEPS, |n| n as usize)).collect::<Vec<_>>(),
    )
}

/// Returns true if the steps of the input are left open.
fn is_any_length(entry: &Json) -> bool {
    entry["inputs"][0][1].is_null()
}

#[test]
fn architectures_are_read_as_keras_means_them() {
    let index = json("architectures/index.json");
    for entry in array(&index["files"]) {
        let file = string(&entry["file"]);
        let any_length = is_any_length(entry);
        let text = text(&format!("architectures/{file}"));
        if any_length {
            let error = Network::from_json(&text).expect_err("no number of steps").to_string();
            assert!(error.contains("steps"), "{file}: {error}");
        }
        let model = read(&text, any_length);
        assert_eq!(model.name(), string(&entry["name"]), "{file}");
        let inputs: Vec<Shape> = model.inputs().iter().map(|input| input.shape).collect();
        let shapes = |key: &str| array(&entry[key]).iter().map(shape).collect::<Vec<_>>();
        assert_eq!((inputs, model.outputs()), (shapes("inputs"), shapes("outputs")), "{file}");
        assert_eq!(model.layout().len(), integer(&entry["parameters"]), "{file}");
        let layers = array(&entry["layers"]);
        assert_eq!(model.layers().len(), layers.len(), "{file}");
        for (layer, expected) in model.layers().iter().zip(layers) {
            assert_eq!(layer.name, string(&expected[0]), "{file}");
            assert_eq!(layer.layer.class_name(), string(&expected[1]), "{file}");
            assert_eq!(layer.output, shape(&expected[2]), "{file}");
            assert_eq!(model.layout().range(layer.weights.clone()).len(), integer(&expected[3]), "{file}");
        }
    }
}

/// Written and read again, a model is the same; and it says what Keras's own file says, entry by entry.
#[test]
fn architectures_are_written_as_keras_writes_them() {
    let index = json("architectures/index.json");
    let trained =
        ["training_architecture.json", "fit_architecture.json"].map(|file| (file.to_string(), false));
    let files = array(&index["files"])
        .iter()
        .map(|entry| (format!("architectures/{}", string(&entry["file"])), is_any_length(entry)));
    for (file, any_length) in files.chain(trained) {
        let text = text(&file);
        let model = read(&text, any_length);
        let written = model.to_json();
        let again = Network::from_json(&written).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(again.to_json(), written, "{file}");
        assert_eq!(again.layout(), model.layout(), "{file}");

        let written: Json = serde_json::from_str(&written).expect("JSON");
        let keras: Json = serde_json::from_str(&text).expect("JSON");
        let mut differences = vec![];
        differ("", &written, &keras, &mut differences);
        // What `fixtures/README.md` says of this version of Keras, and an open length.
        differences.retain(|difference| {
            let place = difference.split(':').next().unwrap_or_default();
            let open_length = any_length && place.contains("shape");
            !(open_length || place.ends_with("input_axes") || place.ends_with("output_axes"))
        });
        assert!(differences.is_empty(), "{file}:\n{}", differences.join("\n"));
    }
}

/// The entries in which two documents differ.
fn differ(place: &str, ours: &Json, keras: &Json, differences: &mut Vec<String>) {
    match (ours, keras) {
        (Json::Object(a), Json::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let none = Json::String("(none)".into());
                let (a, b) = (a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none));
                differ(&format!("{place}/{key}"), a, b, differences);
            }
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differ(&format!("{place}/{index}"), a, b, differences);
            }
        }
        (a, b) if a == b => {}
        (a, b) => differences.push(format!("{place}: ours {a}, Keras's {b}")),
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let index = json("architectures/unsupported/index.json");
    assert!(!array(&index["files"]).is_empty());
    for entry in array(&index["files"]) {
        let file = string(&entry["file"]);
        let error = Network::from_json(&text(&format!("architectures/unsupported/{file}")));
        let error = error.expect_err(file).to_string();
        assert!(error.contains(string(&entry["word"])), "{file}: {error}");
    }
}

/// An argument that is absent, null or written in another way is read as Keras reads it, or refused where Keras refuses
/// it or reads what is not supported.
#[test]
fn arguments_are_read_as_keras_reads_them() {
    let table = json("arguments.json");
    let (mut read, mut refused) = (0, 0);
    for case in array(&table["cases"]) {
        let unchanged = &table["models"][string(&case["model"])];
        let mut document = unchanged.clone();
        change(&mut document, string(&case["pointer"]), case.get("value"));
        let found = Network::from_json(&document.to_string()).map(|model| model.to_json());
        let expected = case["keras"].as_object().and_then(|differences| {
            let mut document = unchanged.clone();
            for (pointer, value) in differences {
                change(&mut document, pointer, Some(value));
            }
            Network::from_json(&document.to_string()).ok().map(|model| model.to_json())
        });
        match (found, expected) {
            (Ok(found), expected) => {
                assert_eq!(Some(found), expected, "{case}");
                read += 1;
            }
            (Err(error), expected) => {
                assert!(expected.is_none(), "{case}: {error}");
                refused += 1;
            }
        }
    }
    assert!(read > 50 && refused > 20, "{read} read, {refused} refused");
}

/// Sets the entry at a JSON pointer, or removes it.
fn change(document: &mut Json, pointer: &str, value: Option<&Json>) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    match (document.pointer_mut(parent).expect("the parent"), value) {
        (Json::Array(items), Some(value)) => items[key.parse::<usize>().expect("an index")] = value.clone(),
        (Json::Object(entries), Some(value)) => drop(entries.insert(key.into(), value.clone())),
        (Json::Object(entries), None) => drop(entries.remove(key)),
        (other, _) => panic!("{other} has no entry {key}"),
    }
}

/// A bias whose initialiser is null starts at random values in Keras, and an argument that nobody knows may mean
/// anything, also if it is null.
#[test]
fn what_keras_would_read_otherwise_is_refused_and_named() {
    let table = json("arguments.json");
    let refusal = |pointer: &str, value: Json| {
        let mut document = table["models"]["conv1d"].clone();
        change(&mut document, pointer, Some(&value));
        Network::from_json(&document.to_string()).expect_err(pointer).to_string()
    };
    let config = "/config/layers/1/config";
    for (pointer, value, word) in [
        (format!("{config}/bias_initializer"), Json::Null, "bias_initializer null"),
        (format!("{config}/unknown"), Json::Null, "unknown null"),
        (format!("{config}/kernel_initializer/config/input_axes"), serde_json::json!([0]), "input_axes [0]"),
        (format!("{config}/kernel_initializer/config/unknown"), Json::Null, "unknown null"),
        (format!("{config}/dtype/registered_name"), "mine>DTypePolicy".into(), "mine>DTypePolicy"),
        ("/config/layers/0/config/sparse".into(), true.into(), "sparse true"),
        ("/config/layers/0/config/unknown".into(), Json::Null, "unknown null"),
        ("/config/layers/1/module".into(), "mine".into(), "class Conv1D of module \"mine\""),
    ] {
        let error = refusal(&pointer, value);
        assert!(error.contains(word), "{pointer}: {error}");
    }
}

#[test]
fn summaries_are_keras_to_the_character() {
    let table = json("summaries.json");
    for entry in array(&table["models"]) {
        let name = string(&entry["name"]);
        // A model of any length gets its length when it is read, and then prints it; and how many variables
        // an optimizer holds is not the model's to say. `any_length` and `tutorial_trained` are looked at
        // below.
        let any_length = name == "any_length";
        if any_length || !entry["optimizer_parameters"].is_null() {
            continue;
        }
        let model = read(&entry["architecture"].to_string(), false);
        for summary in array(&entry["summaries"]) {
            assert_eq!(print(&model, summary), string(&summary["text"]), "{name}, {summary:?}");
        }
    }
}

fn print(model: &Network, options: &Json) -> String {
    let summary = model.summary().columns(integer(&options["columns"]));
    match options["line_length"].as_u64() {
        None => format!("{summary}\n"),
        Some(length) => format!("{}\n", summary.line_length(length as usize)),
    }
}

/// The same table, but that the steps are a number where Keras has `None`.
#[test]
fn a_summary_of_any_length_has_the_length_it_was_read_with() {
    let table = json("summaries.json");
    let entry =
        array(&table["models"]).iter().find(|entry| entry["name"] == "any_length").expect("any_length");
    let model = read(&entry["architecture"].to_string(), true);
    for summary in array(&entry["summaries"]) {
        // As wide as "None, ", so that the columns stay.
        let keras = string(&summary["text"])
            .replace("(None, None, ", &format!("(None, {ANY_STEPS}, "))
            .replace("  │", " │");
        let ours = print(&model, summary).replace("  │", " │");
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeeze(&ours), squeeze(&keras), "{summary:?}");
    }
}

/// The table is the same; only the totals below it know of the optimizer.
#[test]
fn a_summary_after_training_differs_in_the_totals_only() {
    let table = json("summaries.json");
    let entry = array(&table["models"]).iter().find(|entry| entry["name"] == "tutorial_trained");
    let entry = entry.expect("tutorial_trained");
    let model = read(&entry["architecture"].to_string(), false);
    // Two moments for each weight, the step count and the learning rate.
    assert_eq!(integer(&entry["optimizer_parameters"]), 2 * model.layout().len() + 2);
    for summary in array(&entry["summaries"]) {
        let table = |text: &str| text.split(" Total params:").next().unwrap_or_default().to_string();
        assert_eq!(table(&print(&model, summary)), table(string(&summary["text"])), "{summary:?}");
    }
}

/// A layer of this class that takes any input.
fn layer(class: &str) -> Arc<dyn Layer> {
    match class {
        "Conv1D" => Arc::new(Conv1D::new(2, 1)),
        "Conv1DTranspose" => Arc::new(Conv1DTranspose::new(2, 1)),
        "Dropout" => Arc::new(Dropout::new(0.2)),
        "ReLU" => Arc::new(ReLU),
        "LeakyReLU" => Arc::new(LeakyReLU::default()),
        "ELU" => Arc::new(ELU::default()),
        "Activation" => Arc::new(Activation::Tanh),
        other => panic!("{other}"),
    }
}

/// Adds a layer without a name.
fn add(model: &mut Sequential, class: &str) {
    match class {
        "Conv1D" => model.add(Conv1D::new(2, 1)),
        "Conv1DTranspose" => model.add(Conv1DTranspose::new(2, 1)),
        "Dropout" => model.add(Dropout::new(0.2)),
        "ReLU" => model.add(ReLU),
        "LeakyReLU" => model.add(LeakyReLU::default()),
        "ELU" => model.add(ELU::default()),
        "Activation" => model.add(Activation::Tanh),
        "MaxPooling1D" => model.add(MaxPooling1D::new(1)),
        "AveragePooling1D" => model.add(AveragePooling1D::new(1)),
        "SpatialDropout1D" => model.add(SpatialDropout1D::new(0.2)),
        "LayerNormalization" => model.add(LayerNormalization::new()),
        other => panic!("{other}"),
    }
    .expect("a layer");
}

/// Our counters are a model's own, and a layer is made when it is added: so a model does not depend on what
/// was made before it. Keras's count all layers of a process in the order of their making, hence two of its
/// cases are not ours: the second of `two_models`, and `order_of_making`.
#[test]
fn layers_without_a_name_get_keras_name() {
    let table = json("default_names.json");
    for case in array(&table["cases"]) {
        let name = string(&case["case"]);
        if let Some(error) = case["error"].as_str() {
            assert_eq!(name, "given_name_taken", "{error}");
            let mut model = Sequential::new(Shape::new(4, 1));
            add(&mut model, "Conv1D");
            let error = model.add_named("conv1d", layer("Conv1D")).expect_err(name).to_string();
            assert!(error.contains("\"conv1d\"") && error.contains("no other layer"), "{error}");
            continue;
        }
        if name == "order_of_making" {
            continue;
        }
        let expected = &array(&case["models"])[0];
        let mut model = Sequential::new(Shape::new(4, 1));
        assert_eq!(model.name(), string(&expected["model"]), "{name}");
        for entry in array(&expected["layers"]) {
            match string(&entry[1]) {
                given @ ("mine" | "re_lu_7") => {
                    model.add_named(given, layer(string(&entry[0]))).expect("a layer");
                }
                _ => add(&mut model, string(&entry[0])),
            }
        }
        let names: Vec<&str> = model.layers().iter().map(|layer| layer.name.as_str()).collect();
        let expected: Vec<&str> = array(&expected["layers"]).iter().map(|entry| string(&entry[1])).collect();
        assert_eq!(names, expected, "{name}");
    }
}

#[test]
fn kernels_start_as_keras_starts_them() {
    let table = json("initializers.json");
    for (index, row) in array(&table["rows"]).iter().enumerate() {
        let what = row.to_string();
        let shape: Vec<usize> = array(&row[1]).iter().map(integer).collect();
        let limit = number(&row[4]);
        // Keras computes the limit in f64, as we do: a division and a root.
        assert_close(&what, &[glorot_limit(&shape)], &[limit], Tolerance::new(0.0, 2.0 * f64::EPSILON));

        let size: usize = shape.iter().product();
        let draws = integer(&row[5]).div_ceil(size) * size;
        let mut values = vec![0f64; draws];
        for (turn, kernel) in values.chunks_mut(size).enumerate() {
            let stream = Stream::new(index as u64, Purpose::Weights, turn as u32, 0);
            Initializer::GlorotUniform.fill(kernel, &shape, stream);
        }
        assert!(values.iter().all(|w| w.abs() <= limit), "{what}");
        let n = draws as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / n;
        // Uniform on [-l, l]: variance l^2 / 3, fourth moment l^4 / 5. So the mean of n draws has a standard
        // deviation of l / sqrt(3 n), their variance one of l^2 sqrt((1/5 - 1/9) / n). Five of each; Keras's
        // own draws must pass as well.
        for (mean, variance, n) in [(mean, variance, n), (number(&row[8]), number(&row[9]), number(&row[5]))]
        {
            let within =
                |value: f64, expected: f64, deviation: f64| (value - expected).abs() <= 5.0 * deviation;
            assert!(within(mean, 0.0, limit / (3.0 * n).sqrt()), "{what}: mean {mean}");
            let deviation = limit * limit * (4.0f64 / 45.0 / n).sqrt();
            assert!(within(variance, limit * limit / 3.0, deviation), "{what}: variance {variance}");
        }
        // Of n draws, the largest is beyond (1 - 20 / n) of the limit but for once in exp(10) times, the
        // smallest too.
        let largest = values.iter().fold(f64::MIN, |a, b| a.max(*b));
        let smallest = values.iter().fold(f64::MAX, |a, b| a.min(*b));
        assert!(
            largest > limit * (1.0 - 20.0 / n) && smallest < -limit * (1.0 - 20.0 / n),
            "{what}: {smallest} to {largest}"
        );
    }
}

#[test]
fn biases_start_at_zero() {
    let mut bias = [f32::NAN; 5];
    Initializer::Zeros.fill(&mut bias, &[5], Stream::new(0, Purpose::Weights, 0, 0));
    assert_eq!(bias, [0.0; 5]);
}
