//! `fit-arrays` and `predict` against Keras: its architecture, its start weights, its array, its results.

use std::path::Path;

use crate::kit::{fail, glassbox, home, succeed};
use glassbox_engine::model::Network;
use glassbox_formats::arrays::{read_npy, write_npy};
use glassbox_formats::model_file::SavedModel;
use glassbox_tests::fixtures::{self, Tensors, exactly};
use ndarray::Array3;

const ARCHITECTURE: &str = "fit_architecture.json";

/// Writes what Keras started from: `x.npy` and `start.safetensors`.
fn keras_start(folder: &Path) -> (Tensors, Network) {
    let golden = Tensors::read("fit.safetensors");
    let x = golden.get("x");
    let shape = (x.shape[0], x.shape[1], x.shape[2]);
    let x = Array3::from_shape_vec(shape, x.exactly()).expect("its shape");
    write_npy(&folder.join("x.npy"), x.view()).expect("room");
    let model = Network::from_json(&fixtures::text(ARCHITECTURE)).expect("a model");
    let weights = exactly(&golden.flat("start/", model.layout()));
    let start = SavedModel::new(model.clone(), weights);
    start.save(&folder.join("start.safetensors")).expect("room");
    (golden, model)
}

#[test]
fn fit_arrays_follows_keras() {
    let home = home();
    let (golden, model) = keras_start(home.path());
    let mut command = glassbox(home.path());
    command.args(["fit-arrays", "--architecture"]).arg(fixtures::path(ARCHITECTURE));
    command.args([
        "--weights",
        "start.safetensors",
        "--input",
        "x.npy",
        "--epochs",
        "8",
        "--batch-size",
        "32",
    ]);
    command.args([
        "--validation-split",
        "0.1",
        "--no-shuffle",
        "--history",
        "history.json",
        "--out",
        "final.safetensors",
    ]);
    succeed(&mut command);

    let read = |path: &Path| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
    };
    let (ours, keras) = (read(&home.path().join("history.json")), read(&fixtures::path("fit_history.json")));
    for curve in ["loss", "val_loss"] {
        let values = |json: &serde_json::Value| -> Vec<f64> {
            json[curve].as_array().expect(curve).iter().map(|v| v.as_f64().expect("a number")).collect()
        };
        let (ours, keras) = (values(&ours), values(&keras));
        assert_eq!(ours.len(), keras.len());
        for (epoch, (a, b)) in ours.iter().zip(&keras).enumerate() {
            // Keras's own curves in f32 and f64 differ by 2e-5 after these epochs: rounding is amplified from
            // step to step. 1e-4 is five times that.
            assert!((a - b).abs() <= 1e-4 * b.abs(), "{curve}, epoch {epoch}: {a}, Keras {b}");
        }
    }

    let trained = SavedModel::load(&home.path().join("final.safetensors")).expect("the trained weights");
    for (a, b) in trained.weights.iter().zip(golden.flat("final/", model.layout())) {
        // Keras in f32 against Keras in f64: up to 2e-5 after 56 steps; five times that.
        assert!((f64::from(*a) - b).abs() <= 1e-4, "{a}, Keras {b}");
    }

    // The same model, as two files and as one, reconstructs as Keras's does.
    succeed(
        glassbox(home.path()).args(["predict", "--architecture"]).arg(fixtures::path(ARCHITECTURE)).args([
            "--weights",
            "final.safetensors",
            "--input",
            "x.npy",
            "--output",
            "two.npy",
        ]),
    );
    for (more, told) in [(&[][..], Some("wrote one.npy")), (&["--quiet"], None)] {
        let mut predict = glassbox(home.path());
        predict.args(["predict", "--model", "final.safetensors", "--input", "x.npy", "--output", "one.npy"]);
        let output = predict.args(more).output().expect("the binary starts");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8(output.stderr).expect("text").lines().last(), told);
    }
    let [one, two]: [ndarray::ArrayD<f32>; 2] =
        ["one.npy", "two.npy"].map(|file| read_npy(&home.path().join(file)).expect("an array"));
    assert_eq!(one, two);
    for (a, b) in one.iter().zip(&golden.get("predict/y").values) {
        // As the weights above, summed over a few hundred products of numbers near 1.
        assert!((f64::from(*a) - b).abs() <= 1e-3, "prediction {a}, Keras {b}");
    }
}

#[test]
fn arrays_that_make_no_sense_are_refused_and_nothing_is_written() {
    let home = home();
    keras_start(home.path());
    let run = |input: &str| {
        let mut command = glassbox(home.path());
        command.args(["fit-arrays", "--architecture"]).arg(fixtures::path(ARCHITECTURE));
        command.args(["--weights", "start.safetensors", "--input", input, "--epochs", "1"]);
        command
    };
    let mut x = read_npy(&home.path().join("x.npy")).expect("the array");
    x[[3, 2, 0]] = f32::NAN;
    write_npy(&home.path().join("nan.npy"), x.view()).expect("room");
    let error = fail(&mut run("nan.npy"), 3);
    assert!(error.contains("nan.npy") && error.contains("NaN"), "{error}");

    std::fs::write(home.path().join("text.npy"), "not an array").expect("room");
    fail(&mut run("text.npy"), 3);

    let error = fail(run("x.npy").args(["--learning-rate", "1e30"]), 4);
    assert!(error.contains("epoch 1, batch"), "{error}");
    assert!(!home.path().join("final.safetensors").exists());
}
