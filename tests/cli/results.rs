//! What the commands leave behind: complete, consistent, and the same for any number of threads.

use std::fs;
use std::path::Path;

use glassbox_tests::{fixtures, real_data};
use serde_json::Value as Json;

use crate::kit::{first_rows, glassbox, home, succeed, twin};

fn json(path: &Path) -> Json {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// The number of rows of a CSV, its header aside, and the header.
fn csv(path: &Path) -> (usize, String) {
    let text = fs::read_to_string(path).expect("a CSV");
    let header = text.lines().next().expect("a header").to_string();
    (text.lines().count() - 1, header)
}

/// A model of four weights, from a file.
#[test]
fn the_tutorial_runs_with_a_model_from_a_file_and_its_report_is_rebuilt() {
    let home = home();
    let text = fs::read_to_string(fixtures::path("architectures/one_layer.json")).expect("a fixture");
    let mut model: Json = serde_json::from_str(&text).expect("JSON");
    model["config"]["layers"][0]["config"]["batch_shape"] = serde_json::json!([null, 288, 1]);
    fs::write(home.path().join("model.json"), model.to_string()).expect("room");
    let mut tutorial = glassbox(home.path());
    tutorial.args(["tutorial", "--model", "model.json", "--epochs", "1", "--batch-size", "512"]);
    let printed = succeed(&mut tutorial);
    assert!(
        printed.contains("Total params: 4 (16.00 B)") && printed.contains("Test input shape"),
        "{printed}"
    );

    let out = home.path().join("glassbox-out");
    assert_eq!(json(&out.join("result.json"))["model"]["layers"], serde_json::json!(["conv1d"]));
    let page = || fs::read_to_string(out.join("report.html")).expect("a page");
    let first = page();
    assert!(!first.contains("Seven layers"), "that is the tutorial's model");
    fs::remove_file(out.join("report.html")).expect("a page");
    succeed(glassbox(home.path()).arg("report"));
    assert!(page() == first, "another page");
}

#[test]
fn without_arguments_the_tutorial_runs_on_the_twin_and_says_so() {
    let home = home();
    // Two epochs, not to wait for all; the rest is the default.
    let printed = succeed(glassbox(home.path()).args(["--epochs", "2"]));
    for line in [
        "Data: the built-in synthetic copy",
        "glassbox data fetch",
        "Number of training samples: 4032",
        "Training input shape: (3745, 288, 1)",
        "3370 windows for training, in 27 batches per epoch; the last 375 for validation",
        "Total params: 9,505 (37.13 KB)",
        "predicted in 118 batches",
        "Reconstruction error threshold: ",
        "Test input shape: (3745, 288, 1)",
        "Number of anomalous windows: ",
    ] {
        assert!(printed.contains(line), "no {line:?} in {printed}");
    }

    let out = home.path().join("glassbox-out");
    let result = json(&out.join("result.json"));
    assert_eq!(result["training"]["history"]["loss"].as_array().expect("losses").len(), 2);
    assert_eq!(result["model"]["parameters"], 9505);
    let count = |at: &str| result.pointer(at).and_then(Json::as_u64).expect(at) as usize;
    assert_eq!(
        count("/anomalies/windows/count"),
        result["anomalies"]["windows"]["indices"].as_array().expect("indices").len()
    );

    assert_eq!(csv(&out.join("windows.csv")).0, 3745);
    assert_eq!(csv(&out.join("history.csv")), (2, "epoch,loss,val_loss".into()));
    let (points, header) = csv(&out.join("anomalies.csv"));
    assert_eq!((points, header.as_str()), (count("/anomalies/points/count"), "index,timestamp,value"));

    // The model file is a detector: on the same test series it finds the same.
    let (_, test) = twin(home.path());
    let mut detect = glassbox(home.path());
    detect.arg("detect").arg(&test).args(["--model", "glassbox-out/model.safetensors"]);
    let found = succeed(detect.args(["--rule", "published"]));
    assert_eq!(found, fs::read_to_string(out.join("anomalies.csv")).expect("the points"));
    // It has the calibration of row scores too: the jump of the test series is found by them.
    let mut detect = glassbox(home.path());
    detect.arg("detect").arg(&test).args(["--model", "glassbox-out/model.safetensors", "--only-anomalies"]);
    let rows = succeed(&mut detect);
    assert!(rows.lines().filter(|line| line.starts_with("2014-04-11 ")).count() > 60, "{rows}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 300);
    let model = |threads: &str, seed: &str| {
        let mut command = glassbox(home.path());
        command.arg("train").arg(&csv).args(["--time-steps", "64", "--epochs", "3", "--batch-size", "50"]);
        succeed(command.args(["--threads", threads, "--seed", seed]));
        fs::read(home.path().join("model.safetensors")).expect("a model")
    };
    let one = model("1", "7");
    for threads in ["2", "3", "8"] {
        assert!(model(threads, "7") == one, "{threads} threads");
    }
    assert!(model("1", "8") != one, "another seed");
}

#[test]
fn json_is_all_that_is_printed_where_a_script_asks_for_it() {
    let home = home();
    let (train, test) = twin(home.path());
    let (train, test) = (first_rows(&train, 300), first_rows(&test, 300));
    let mut command = glassbox(home.path());
    command.arg("train").arg(train).args(["--time-steps", "64", "--epochs", "2", "--json"]);
    let trained: Json = serde_json::from_str(&succeed(&mut command)).expect("JSON");
    assert_eq!(trained["epochs"], 2);
    let history = json(&home.path().join("history.json"));
    assert_eq!(trained["history"], history);
    assert_eq!(history["val_loss"].as_array().expect("val_loss").len(), 2);

    let mut detect = glassbox(home.path());
    detect.arg("detect").arg(test).args([
        "--model",
        "model.safetensors",
        "--rule",
        "inclusive",
        "--format",
        "json",
        "--threshold",
        "0",
    ]);
    let detected: Json = serde_json::from_str(&succeed(&mut detect)).expect("JSON");
    // With a threshold of zero every window is anomalous.
    assert_eq!(detected["anomalies"]["windows"]["count"], 300 - 64 + 1);
    assert_eq!(detected["errors"].as_array().expect("errors").len(), 300 - 64 + 1);

    let mut gradcheck = glassbox(home.path());
    gradcheck.args(["gradcheck", "--json", "--elements", "20", "--architecture"]);
    gradcheck.arg(fixtures::path("architectures/relu_layers.json"));
    let checked: Json = serde_json::from_str(&succeed(&mut gradcheck)).expect("JSON");
    assert_eq!(checked["passed"], true);
    assert_eq!(checked["coverage"], 1.0);
    assert_eq!(checked["tensors"][0]["coverage"], 1.0);

    let summary: Json =
        serde_json::from_str(&succeed(glassbox(home.path()).args(["summary", "--json"]))).expect("JSON");
    assert_eq!((&summary["parameters"], &summary["non_trainable_parameters"]), (&9505.into(), &0.into()));
}

#[test]
fn training_can_start_from_a_model_and_read_columns_of_other_names() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 300);
    let renamed = fs::read_to_string(&csv).expect("a CSV").replacen("timestamp,value", "when,reading", 1);
    fs::write(&csv, renamed).expect("room");
    let train = |extra: &[&str]| {
        let mut command = glassbox(home.path());
        command.arg("train").arg(&csv).args(["--timestamp-column", "when", "--value-column", "reading"]);
        command.args(["--epochs", "1", "--json"]).args(extra);
        serde_json::from_str::<Json>(&succeed(&mut command)).expect("JSON")
    };
    let loss = |trained: &Json| trained["history"]["loss"][0].as_f64().expect("a loss");
    let first = train(&["--time-steps", "64", "--out", "first.safetensors"]);
    let second = train(&["--model", "first.safetensors", "--out", "second.safetensors"]);
    assert!(loss(&second) < loss(&first), "an epoch from trained weights starts lower");
    let keras = fixtures::path("architectures/named.json");
    let named = train(&["--model", keras.to_str().expect("a path"), "--no-early-stopping", "--no-shuffle"]);
    assert_eq!(named["time_steps"], 96);
}

/// The numbers of the tutorial that depend on no seed, on the real files.
#[test]
fn the_real_files_give_the_tutorials_numbers() {
    let Some(nab) = real_data("GLASSBOX_NAB") else { return };
    let home = home();
    let mut command = glassbox(home.path());
    let result: Json = serde_json::from_str(&succeed(
        command.args(["tutorial", "--json", "--epochs", "1", "--data"]).arg(nab),
    ))
    .expect("JSON");
    let number = |at: &str| result.pointer(at).and_then(Json::as_f64).expect(at);
    assert_eq!(number("/data/train/rows"), 4032.0);
    // 1e-12 relative: the published numbers have 16 digits, and a sum of 4032 values loses a few at the most.
    for (at, published) in [("/training/mean", 42.43835333580657), ("/training/std", 28.07712228126252)] {
        assert!((number(at) - published).abs() <= 1e-12 * published, "{at}: {}", number(at));
    }
    assert_eq!(result["training"]["shape"], serde_json::json!([3745, 288, 1]));
    assert_eq!(number("/model/parameters"), 9505.0);
    assert_eq!(number("/training/steps_per_epoch"), 27.0);
    assert_eq!(number("/training/predict_batches"), 118.0);
}
