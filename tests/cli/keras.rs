//! Keras's files on the command line: taken wherever a model is taken, written where the name says so, converted.

use std::fs;
use std::path::Path;

use glassbox_formats::arrays::write_npy;
use glassbox_tests::fixtures;
use ndarray::Array3;

use crate::kit::{fail, glassbox_with, home, succeed, train};

fn fixture(name: &str) -> String {
    fixtures::path(&format!("keras_files/{name}")).to_str().expect("a path").into()
}

/// Runs a command, successfully, and gives standard output.
fn run(home: &Path, arguments: &[&str]) -> String {
    succeed(&mut glassbox_with(home, arguments))
}

#[test]
fn a_detector_is_the_same_in_either_format() {
    let home = home();
    let home = home.path();
    succeed(&mut train(home, &["--out", "m.safetensors"]));
    succeed(&mut train(home, &["--out", "m.keras"]));
    let detect = |model| run(home, &["detect", "data.csv", "--quiet", "--model", model]);
    assert_eq!(detect("m.keras"), detect("m.safetensors"));
    run(home, &["convert", "m.keras", "again.safetensors"]);
    run(home, &["convert", "m.safetensors", "again.keras"]);
    for (again, first) in [("again.safetensors", "m.safetensors"), ("again.keras", "m.keras")] {
        assert!(
            fs::read(home.join(again)).expect(again) == fs::read(home.join(first)).expect(first),
            "{again}"
        );
    }
    // Its architecture and its weights are a start.
    succeed(&mut train(home, &["--architecture", "m.keras", "--out", "n.keras"]));
}

/// One epoch, and another from the file of the first, are two epochs to the bit.
#[test]
fn training_goes_on_from_a_file() {
    let home = home();
    let home = home.path();
    let x = Array3::from_shape_fn((20, 12, 2), |(n, t, c)| ((7 * n + 3 * t + c) as f32 / 5.0).sin());
    write_npy(&home.join("x.npy"), x.view()).expect("room");
    let start = fixture("autoencoder.keras");
    let fit = |model: &str, epochs: &str, out: &str| {
        run(home, &["fit-arrays", "--model", model, "--input", "x.npy", "--epochs", epochs, "--out", out]);
        fs::read(home.join(out)).expect(out)
    };
    for end in ["keras", "safetensors"] {
        let name = |stem: &str| format!("{stem}.{end}");
        fit(&start, "1", &name("one"));
        assert!(fit(&name("one"), "1", &name("two")) == fit(&start, "2", &name("both")), "{end}");
    }
    // Another optimizer starts with a state of its own.
    let mut other =
        glassbox_with(home, &["fit-arrays", "--model", &start, "--input", "x.npy", "--epochs", "1"]);
    let output =
        other.args(["--optimizer", "sgd", "--out", "sgd.keras"]).output().expect("the binary starts");
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success() && told.contains("that of another optimizer"), "{told}");
}

#[test]
fn a_model_of_keras_is_shown_and_predicts() {
    let home = home();
    let home = home.path();
    let model = fixture("layers.keras");
    assert!(run(home, &["summary", "--model", &model]).contains("bidirectional (Bidirectional)"));
    let x = Array3::<f32>::ones((3, 6, 2));
    write_npy(&home.join("x.npy"), x.view()).expect("room");
    run(home, &["predict", "--model", &model, "--input", "x.npy", "--output", "one.npy"]);
    run(home, &["convert", &model, "w.weights.h5"]);
    run(home, &["convert", &model, "a.json"]);
    let parts =
        ["predict", "--architecture", "a.json", "--weights", "w.weights.h5", "--input", "x.npy", "--output"];
    run(home, &[&parts[..], &["two.npy"]].concat());
    assert!(fs::read(home.join("one.npy")).expect("y") == fs::read(home.join("two.npy")).expect("y"));
    run(home, &["convert", "a.json", "--weights", "w.weights.h5", "again.safetensors"]);
    assert!(fail(&mut glassbox_with(home, &["convert", "a.json", "b.keras"]), 3).contains("has no weights"));
}

#[test]
fn a_conversion_says_what_has_no_place_in_the_file() {
    let home = home();
    let home = home.path();
    let model = fixture("graph.keras");
    let told = run(home, &["convert", &model, "w.weights.h5"]);
    for line in [
        "left out  architecture: Functional functional_1",
        "kept      weights: ",
        "left out  compilation: SGD",
    ] {
        assert!(told.contains(line), "no {line:?} in {told}");
    }
    assert!(told.contains("kept      optimizer state: SGD after 6 steps"), "{told}");
    let told = run(home, &["convert", &model, "m.onnx"]);
    assert!(told.contains("kept      weights") && told.contains("left out  optimizer state"), "{told}");
    let told = run(home, &["convert", &fixture("unsupported.keras"), "m.keras", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let part = |name: &str| {
        told["parts"].as_array().expect("parts").iter().find(|part| part["name"] == name).cloned()
    };
    assert!(
        part("compilation").expect("it is compiled")["content"].to_string().contains("Adagrad"),
        "{told}"
    );
    assert_eq!(part("optimizer state").expect("it has a state")["kept"], false);
}

#[test]
fn a_format_that_cannot_hold_a_model_is_refused_before_the_work() {
    let home = home();
    let home = home.path();
    for out in ["m.h5", "m.onnx", "m.json"] {
        let error = fail(&mut train(home, &["--out", out]), 3);
        assert!(error.contains(out) && error.contains(".keras"), "{error}");
    }
    let error = fail(&mut train(home, &["--out", "m.weights.h5"]), 3);
    assert!(error.contains("no detector") && !home.join("m.weights.h5").exists(), "{error}");
    let error = fail(&mut glassbox_with(home, &["summary", "--model", &fixture("lambda.keras")]), 3);
    assert!(error.contains("class Lambda") && error.contains("lambda.keras, config.json"), "{error}");
}

/// The weights of a small model take a few hundred bytes; the limit of 0 MiB allows none.
#[test]
fn compressed_content_has_a_limit_that_an_option_raises() {
    let home = home();
    let home = home.path();
    let (architecture, weights) = (fixture("autoencoder.keras"), fixture("packed.weights.h5"));
    let convert = ["convert", &architecture, "m.keras", "--weights", &weights];
    run(home, &convert);
    let error = fail(&mut glassbox_with(home, &[&convert[..], &["--max-unpacked", "0"]].concat()), 3);
    assert!(error.contains("packed.weights.h5") && error.contains("more than 0 bytes"), "{error}");
}
