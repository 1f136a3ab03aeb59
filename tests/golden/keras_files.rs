//! Files that Keras wrote: read, they predict what Keras predicts and go on with its training; written again, they are
//! the same.

use glassbox::{Device, Model};
use glassbox_engine::layers::Registry;
use glassbox_engine::training::Fit;
use glassbox_formats::container::UNPACKED;
use glassbox_formats::model_file::{ModelFile, SavedModel, read_architecture};
use glassbox_tests::compare::{Tolerance, compare, compare_bits};
use glassbox_tests::fixtures::{self, Tensors, numbers, string};
use ndarray::Array3;
use serde_json::Value as Json;

fn file(name: &str) -> std::path::PathBuf {
    fixtures::path(&format!("keras_files/{name}"))
}

fn golden() -> Tensors {
    Tensors::read("keras_files/cases.safetensors")
}

/// The models, and the losses of their further training if they can be trained here.
fn cases(golden: &Tensors) -> Vec<(String, Json)> {
    let cases = golden.metadata_json("cases");
    fixtures::array(&cases)
        .iter()
        .map(|case| (string(&case["name"]).to_owned(), case["history"].clone()))
        .collect()
}

fn array(golden: &Tensors, name: &str) -> Array3<f32> {
    let tensor = golden.get(name);
    let shape = (tensor.shape[0], tensor.shape[1], tensor.shape[2]);
    Array3::from_shape_vec(shape, tensor.exactly()).expect("its shape")
}

fn cpu() -> Device {
    Device::cpu_with_threads(1).expect("a thread")
}

fn fit(golden: &Tensors) -> Fit {
    let options = golden.metadata_json("fit");
    Fit {
        epochs: fixtures::integer(&options["epochs"]),
        batch_size: fixtures::integer(&options["batch_size"]),
        validation_split: fixtures::number(&options["validation_split"]),
        shuffle: false,
        ..Fit::default()
    }
}

/// Values of a few dozen products of numbers near 1, in `f32` here and in Keras.
const ROUNDING: f64 = 2e-6;
/// The same after eight training steps, each of which amplifies the difference.
const AFTER_STEPS: f64 = 1e-5;

/// Holds values against Keras's, within this part of the largest.
fn compare_to(found: &[f64], expected: &[f64], part: f64, what: &str) {
    let compared = compare(found, expected, Tolerance::of_largest(part, expected));
    let room = compared.unwrap_or_else(|faults| panic!("{what}: {faults}"));
    println!("{what}: {room:.2} of the bound");
}

#[test]
fn a_model_of_keras_predicts_and_goes_on_as_in_keras() {
    let golden = golden();
    for (name, history) in cases(&golden) {
        let saved =
            SavedModel::load(&file(&format!("{name}.keras"))).unwrap_or_else(|error| panic!("{error}"));
        let [x, y] = ["x", "y"].map(|part| array(&golden, &format!("{name}/{part}")));
        let expected = |part: &str| golden.get(&format!("{name}/{part}")).values.clone();
        let predict = |model: &mut Model| {
            model.predict(&x).expect("a prediction").into_iter().map(f64::from).collect::<Vec<_>>()
        };
        let mut model =
            Model::with_weights(saved.model.clone(), saved.weights.clone(), cpu()).expect("a model");
        compare_to(&predict(&mut model), &expected("predict"), ROUNDING, &name);
        if history.is_null() {
            continue;
        }
        let mut model = Model::from_saved_model(saved, cpu()).expect("a model");
        let fitted = model.fit(&x, &y, fit(&golden)).expect("training");
        for (curve, found) in [("loss", &fitted.history.loss), ("val_loss", &fitted.history.val_loss)] {
            compare_to(found, &numbers(&history[curve]), AFTER_STEPS, &format!("{name}, {curve}"));
        }
        compare_to(&predict(&mut model), &expected("predict_final"), AFTER_STEPS, &format!("{name}, after"));
    }
}

/// Weights, optimiser and entries are the same to the bit, and so is the file once it is ours.
#[test]
fn what_was_read_is_what_is_written() {
    let golden = golden();
    for (name, _) in cases(&golden) {
        let saved = SavedModel::load(&file(&format!("{name}.keras"))).expect("a model");
        let written = saved.bytes_for("again.keras".as_ref()).expect("a file");
        let read = |bytes: &[u8]| {
            ModelFile::from_bytes(bytes, "again.keras", UNPACKED)?.into_model(None, &Registry::default())
        };
        let again = read(&written).unwrap_or_else(|error| panic!("{name}: {error}"));
        compare_bits(&again.weights, &saved.weights).unwrap_or_else(|faults| panic!("{name}: {faults}"));
        assert_eq!(again.training, saved.training, "{name}");
        assert_eq!(
            (again.model.to_json(), &again.metadata),
            (saved.model.to_json(), &saved.metadata),
            "{name}"
        );
        assert!(again.bytes_for("again.keras".as_ref()).expect("a file") == written, "{name}");
        // Our own format holds the same.
        let own = SavedModel::from_bytes(&saved.to_bytes(), "own").expect("a model");
        assert_eq!((&own.weights, &own.training), (&saved.weights, &saved.training), "{name}");
    }
}

/// A trained model is saved for Keras: loaded again, it trains to the same bits.
#[test]
fn training_goes_on_from_a_file_for_keras_as_if_it_had_not_stopped() {
    let golden = golden();
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["autoencoder", "layers", "graph", "fresh"] {
        let [x, y] = ["x", "y"].map(|part| array(&golden, &format!("{name}/{part}")));
        let mut model =
            Model::load(file(&format!("{name}.keras"))).expect("a model").on(cpu()).expect("a device");
        model.fit(&x, &y, fit(&golden)).expect("training");
        let path = folder.path().join("model.keras");
        model.save(&path).expect("room");
        let mut loaded = Model::load(&path).expect("a model").on(cpu()).expect("a device");
        let histories =
            [&mut model, &mut loaded].map(|model| model.fit(&x, &y, fit(&golden)).expect("training").history);
        assert_eq!(histories[0], histories[1], "{name}");
        assert_eq!(model.flat_weights().expect("weights"), loaded.flat_weights().expect("weights"), "{name}");
        assert_eq!(model.history(), loaded.history(), "{name}");
    }
}

/// Files of weights, as Keras writes them and compressed in chunks, beside an architecture of any format.
#[test]
fn weights_are_read_beside_an_architecture() {
    let whole = SavedModel::load(&file("autoencoder.keras")).expect("a model");
    for weights in ["autoencoder.weights.h5", "packed.weights.h5", "autoencoder.keras"] {
        let saved = SavedModel::load_parts(&file("autoencoder.keras"), Some(12), &file(weights));
        let saved = saved.unwrap_or_else(|error| panic!("{error}"));
        compare_bits(&saved.weights, &whole.weights).unwrap_or_else(|faults| panic!("{weights}: {faults}"));
    }
    assert_eq!(read_architecture(&file("autoencoder.keras"), None).expect("a model"), whole.model);
    let written = whole.bytes_for("m.weights.h5".as_ref()).expect("a file");
    let again = ModelFile::from_bytes(&written, "m.weights.h5", UNPACKED).expect("a file");
    assert_eq!(again.weights_of(whole.model).expect("weights").weights, whole.weights);
}

/// Whole models in the older format, written by Keras 3 and by Keras 2.
#[test]
fn older_files_are_read() {
    let golden = golden();
    for name in ["layers", "graph", "keras2_layers", "keras2_graph", "keras2_dense"] {
        let saved = SavedModel::load(&file(&format!("{name}.h5"))).unwrap_or_else(|error| panic!("{error}"));
        let x = array(&golden, &format!("{name}/x"));
        let expected = &golden.get(&format!("{name}/predict")).values;
        let mut model = Model::with_weights(saved.model, saved.weights, cpu()).expect("a model");
        let found: Vec<f64> = model.predict(&x).expect("a prediction").into_iter().map(f64::from).collect();
        compare_to(&found, expected, ROUNDING, name);
    }
    let weights = file("keras2_layers.weights.h5");
    let error = SavedModel::load(&weights).expect_err("weights only").to_string();
    assert!(error.contains("has no architecture"), "{error}");
    let parts = SavedModel::load_parts(&file("keras2_layers.h5"), None, &weights).expect("a model");
    assert_eq!(parts.weights, SavedModel::load(&file("keras2_layers.h5")).expect("a model").weights);
    let error =
        SavedModel::load_parts(&file("layers.h5"), None, &file("graph.h5")).expect_err("others").to_string();
    assert!(error.contains("batch_normalization.gamma"), "{error}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let load = |name: &str| SavedModel::load(&file(name)).map(|_| ()).expect_err(name).to_string();
    let refusals = [
        ("lambda.keras", vec!["lambda.keras, config.json", "class Lambda", "is not supported"]),
        ("autoencoder.weights.h5", vec!["has no architecture", "beside it"]),
    ];
    for (name, words) in refusals {
        let error = load(name);
        for word in words {
            assert!(error.contains(word), "{name}: no {word:?} in {error}");
        }
    }
    let error = Model::load(file("unsupported.keras")).expect_err("Adagrad").to_string();
    assert!(error.contains("Adagrad") && error.contains("SGD"), "{error}");
    let dropout = read_architecture(&file("dropout.keras"), None).expect("a model");
    let weights = ModelFile::read(&file("autoencoder.weights.h5")).expect("a file");
    let error = weights.weights_of(dropout).expect_err("other layers").to_string();
    assert!(error.contains("layers/conv1d/vars/0") && error.contains("[3, 2, 3]"), "{error}");
    let packed = std::fs::read(file("packed.weights.h5")).expect("a fixture");
    let error = ModelFile::from_bytes(&packed, "packed.weights.h5", 100).expect_err("a limit").to_string();
    assert!(error.contains("unpacks to more than 100 bytes"), "{error}");
}
