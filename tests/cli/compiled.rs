//! How a model is trained: as it was compiled in Keras, unless the command line says otherwise; and when training ends.

use std::path::Path;

use glassbox_formats::arrays::write_npy;
use glassbox_tests::fixtures::{self, array, string};
use ndarray::Array3;
use serde_json::{Value as Json, json};

use crate::kit::{fail, first_rows, glassbox, home, succeed, twin};

/// Writes the architecture of a case of `compilations.json`, and an array that its model can be trained on.
fn write_case(home: &Path, name: &str) {
    let table = fixtures::json("compilations.json");
    let case = array(&table["cases"]).iter().find(|case| string(&case["name"]) == name).expect(name);
    std::fs::write(home.join("model.json"), case["architecture"].to_string()).expect("room");
    let x = Array3::from_shape_fn((10, 3, 1), |(sample, step, _)| (sample as f32 * 0.7 + step as f32).sin());
    write_npy(&home.join("x.npy"), x.view()).expect("room");
}

fn fit(home: &Path, more: &[&str]) -> std::process::Command {
    let mut command = glassbox(home);
    command.args(["fit-arrays", "--architecture", "model.json", "--input", "x.npy", "--epochs", "2"]);
    command.args(more);
    command
}

fn compiled(home: &Path, more: &[&str]) -> Json {
    let printed = succeed(fit(home, &["--json"]).args(more));
    serde_json::from_str::<Json>(&printed).expect("JSON")["compiled"].clone()
}

#[test]
fn a_model_is_trained_as_it_was_compiled_and_the_result_says_how() {
    let home = home();
    write_case(home.path(), "hyperparameters");
    let own = json!({
        "optimizer": {"class_name": "Adam", "learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.98, "epsilon": 1e-4, "amsgrad": false},
        "loss": "mean_absolute_error",
    });
    assert_eq!(compiled(home.path(), &[]), own);
    let weights = || std::fs::read(home.path().join("final.safetensors")).expect("weights");
    let trained = weights();

    let mut given = own.clone();
    given["loss"] = "mean_squared_error".into();
    assert_eq!(compiled(home.path(), &["--loss", "mse"]), given);
    assert!(weights() != trained, "the loss is what is minimised");
    let adam = json!({"class_name": "Adam", "learning_rate": 0.5, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": false});
    given["optimizer"] = adam;
    assert_eq!(compiled(home.path(), &["--loss", "mse", "--learning-rate", "0.5"]), given);

    let sgd = ["--loss", "mse", "--optimizer", "sgd", "--momentum", "0.5", "--nesterov"];
    given["optimizer"] =
        json!({"class_name": "SGD", "learning_rate": 0.01, "momentum": 0.5, "nesterov": true});
    assert_eq!(compiled(home.path(), &sgd), given);
    let error = fail(fit(home.path(), &sgd).args(["--beta-1", "0.5"]), 3);
    assert!(error.contains("--beta-1 is 0.5") && error.contains("SGD does not have it"), "{error}");

    let rmsprop =
        ["--loss", "huber", "--optimizer", "rmsprop", "--rho", "0.8", "--centered", "--weight-decay", "0.1"];
    given["optimizer"] = json!({
        "class_name": "RMSprop", "learning_rate": 0.001, "rho": 0.8, "momentum": 0.0, "epsilon": 1e-7,
        "centered": true, "weight_decay": 0.1,
    });
    given["loss"] = json!({"huber": {"delta": 1.0}});
    assert_eq!(compiled(home.path(), &rmsprop), given);

    let output = fit(home.path(), &[]).output().expect("the binary starts");
    let told = String::from_utf8(output.stderr).expect("text");
    let line = "optimizer: Adam (learning_rate 0.02, beta_1 0.8, beta_2 0.98, epsilon 0.0001, amsgrad false), as the model was \
                compiled; loss: mean_absolute_error, as the model was compiled";
    assert!(told.contains(line), "{told}");
}

#[test]
fn a_compilation_that_is_not_supported_is_refused_unless_the_command_line_says_otherwise() {
    let home = home();
    for (case, word, way_out) in [
        ("unknown_optimizer", "optimizer \"Lion\"", &["--optimizer", "sgd"]),
        ("polynomial", "PolynomialDecay", &["--learning-rate", "0.5"]),
        ("hinge", "Hinge", &["--loss", "mse"]),
        ("loss_weights", "loss_weights", &["--loss", "mse"]),
    ] {
        write_case(home.path(), case);
        let error = fail(&mut fit(home.path(), &[]), 3);
        assert!(error.contains(word) && error.contains("--optimizer") && error.contains("--loss"), "{error}");
        assert!(!home.path().join("final.safetensors").exists());
        succeed(&mut fit(home.path(), way_out));
        std::fs::remove_file(home.path().join("final.safetensors")).expect("the weights");
        // Who does not train it need not know.
        succeed(glassbox(home.path()).args(["summary", "--architecture", "model.json"]));
    }
}

/// As Keras's callback, which has no `val_loss` to watch then; and its history has no such key.
#[test]
fn without_validation_training_does_not_stop_early_and_the_history_has_no_val_loss() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 60);
    let train = |more: &[&str]| {
        let mut command = glassbox(home.path());
        command.arg("train").arg(&csv).args(["--time-steps", "16", "--epochs", "4", "--min-delta", "1e9"]);
        command.args(more).output().expect("the binary starts")
    };
    let note = "training does not stop early: --validation-split 0 leaves no val_loss to watch";
    // No improvement is large enough: with validation it stops as soon as it may.
    for (more, epochs, told) in
        [(&["--patience", "1"][..], 2, false), (&["--patience", "1", "--validation-split", "0"], 4, true)]
    {
        let output = train(more);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).contains(note), told, "{output:?}");
        let history = std::fs::read(home.path().join("history.json")).expect("a history");
        let history: Json = serde_json::from_slice(&history).expect("JSON");
        assert_eq!(history["loss"].as_array().expect("losses").len(), epochs);
        assert_eq!(history.get("val_loss").is_some(), !told, "{history}");
    }
}

/// No improvement is large enough: after each epoch but the first the learning rate is reduced. An epoch has one batch, whose
/// loss is computed before its update: the fourth is the first that shows it. The history has the rates in `f32`, as Keras's.
#[test]
fn the_learning_rate_is_reduced_on_a_plateau() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 60);
    let train = |more: &[&str]| {
        let mut command = glassbox(home.path());
        command.arg("train").arg(&csv).args(["--time-steps", "16", "--epochs", "4", "--no-early-stopping"]);
        command.args(more);
        command
    };
    let history = |more: &[&str]| -> Json {
        succeed(&mut train(more));
        let history = std::fs::read(home.path().join("history.json")).expect("a history");
        serde_json::from_slice(&history).expect("JSON")
    };
    let losses = |more: &[&str]| history(more)["loss"].as_array().expect("losses").clone();
    let reduce =
        ["--reduce-lr-on-plateau", "--lr-factor", "0.5", "--lr-patience", "1", "--lr-min-delta", "1e9"];
    let (plain, reduced) = (losses(&[]), losses(&reduce));
    assert_eq!(plain[..3], reduced[..3]);
    assert_ne!(plain[3], reduced[3]);
    assert_eq!(history(&[]).get("learning_rate"), None);
    let rates = |factors: [f64; 4]| json!(factors.map(|factor| factor * f64::from(0.001f32)));
    assert_eq!(history(&reduce)["learning_rate"], rates([1.0, 1.0, 0.5, 0.25]));
    // The training loss can be watched without validation.
    let unvalidated = [&reduce[..], &["--validation-split", "0", "--lr-monitor", "loss"]].concat();
    assert_eq!(history(&unvalidated)["learning_rate"], rates([1.0, 1.0, 0.5, 0.25]));
    let floor = [&reduce[..], &["--min-lr", "0.001"]].concat();
    assert_eq!(losses(&floor), plain, "the learning rate is at its smallest");

    let output =
        train(&[&reduce[..], &["--validation-split", "0"]].concat()).output().expect("the binary starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("the learning rate is not reduced: --validation-split 0"), "{told}");
    assert!(told.contains("--lr-monitor loss"), "{told}");
    for alone in [["--lr-factor", "0.5"], ["--lr-monitor", "loss"]] {
        let error = fail(&mut train(&alone), 2);
        assert!(error.contains("--reduce-lr-on-plateau"), "{error}");
    }
    let error = fail(&mut train(&["--reduce-lr-on-plateau", "--lr-factor", "1"]), 2);
    assert!(error.contains("between 0 and 1"), "{error}");
}

/// A schedule comes from the model's JSON only, and has no learning rate that could be reduced.
#[test]
fn a_compiled_schedule_is_followed_and_not_reduced() {
    let home = home();
    write_case(home.path(), "exponential");
    let schedule = json!({
        "class_name": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5,
        "staircase": false,
    });
    assert_eq!(compiled(home.path(), &[])["optimizer"]["learning_rate"], schedule);
    let output = fit(home.path(), &[]).output().expect("the binary starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("learning_rate ExponentialDecay (initial_learning_rate 0.1, decay_steps 10"),
        "{told}"
    );
    let error = fail(&mut fit(home.path(), &["--reduce-lr-on-plateau"]), 3);
    assert!(
        error.contains("--learning-rate is ExponentialDecay") && error.contains("expected a number"),
        "{error}"
    );
}

#[test]
fn a_series_that_is_too_short_is_told_which_windows_would_do() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 15);
    let error = fail(glassbox(home.path()).arg("train").arg(&csv).args(["--time-steps", "16"]), 3);
    assert!(error.contains("at most 15 steps") && error.contains("a multiple of 4"), "{error}");
    let error = fail(glassbox(home.path()).arg("train").arg(&csv).args(["--time-steps", "15"]), 3);
    assert!(error.contains("choose a multiple of 4, at least 4, such as 16"), "{error}");
}
