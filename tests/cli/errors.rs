//! Refusals: the message says what and where, the code says what kind, and what was there stays.

use std::fs;
use std::process::Command;

use glassbox_tests::fixtures;

use crate::kit::{clean, fail, first_rows, glassbox, glassbox_with, home, succeed, train, twin};

#[test]
fn a_command_line_that_makes_no_sense_is_code_2_and_suggests_the_right_word() {
    let home = home();
    let error = fail(glassbox(home.path()).arg("summry"), 2);
    assert!(error.contains("'summary'"), "{error}");
    let error = fail(glassbox(home.path()).args(["tutorial", "--epoch", "3"]), 2);
    assert!(error.contains("--epochs"), "{error}");
    fail(glassbox(home.path()).args(["fit-arrays", "--resume"]), 2);
    fail(glassbox(home.path()).args(["predict", "--input", "x.npy", "--output", "y.npy"]), 2);
}

#[test]
fn input_that_cannot_be_used_is_code_3_and_named() {
    let home = home();
    let csv = |name: &str, text: &str| fs::write(home.path().join(name), text).expect("room");
    csv("words.csv", "timestamp,value\n2014-04-01 00:00:00,1\n2014-04-01 00:05:00,many\n");
    csv("columns.csv", "time,reading\n2014-04-01 00:00:00,1\n");
    csv("empty.csv", "");
    csv("short.csv", "timestamp,value\n2014-04-01 00:00:00,1\n2014-04-01 00:05:00,2\n");
    let constant: String = (0..60).map(|i| format!("2014-04-01 00:{i:02}:00,45\n")).collect();
    csv("constant.csv", &format!("timestamp,value\n{constant}"));

    let train = |file: &str| fail(glassbox(home.path()).args(["train", file, "--time-steps", "16"]), 3);
    for (file, words) in [
        ("words.csv", &["words.csv", "line 3", "many"][..]),
        ("columns.csv", &["columns.csv", "timestamp", "reading"]),
        ("empty.csv", &["empty.csv"]),
        ("short.csv", &["2", "16"]),
        ("constant.csv", &["standard deviation"]),
        ("absent.csv", &["absent.csv"]),
    ] {
        let error = train(file);
        for word in words {
            assert!(error.contains(word), "{file}: no {word:?} in {error}");
        }
    }
    assert!(!home.path().join("model.safetensors").exists());
    assert!(!home.path().join("history.json").exists());

    let error = fail(glassbox(home.path()).args(["tutorial", "--data", "nowhere"]), 3);
    assert!(error.contains("nowhere") && error.contains("(--data, $GLASSBOX_NAB)"), "{error}");
    // It is found before the data is read, and nothing is written.
    let valid = glassbox_tests::fixtures::path("architectures/valid.json");
    let mut model: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(valid).expect("a fixture")).expect("JSON");
    model["config"]["layers"][0]["config"]["batch_shape"] = serde_json::json!([null, 288, 1]);
    fs::write(home.path().join("valid.json"), model.to_string()).expect("room");
    let tutorial = |model: &str| fail(glassbox(home.path()).args(["tutorial", "--model", model]), 3);
    let error = tutorial("valid.json");
    assert!(error.contains("it is no autoencoder") && error.contains("(288, 1)"), "{error}");
    let error = tutorial("lstn");
    assert!(error.contains("lstn"), "{error}");
    assert!(!home.path().join("glassbox-out").exists());
    let error = fail(glassbox(home.path()).args(["tutorial", "--model", "lstm", "--study"]), 2);
    assert!(error.contains("--study"), "{error}");
    let error = fail(glassbox(home.path()).args(["train", "short.csv", "--time-steps", "30"]), 3);
    assert!(error.contains("multiple of 4"), "{error}");
    let error = fail(glassbox(home.path()).args(["tutorial", "--threads", "0"]), 3);
    assert!(error.contains("threads"), "{error}");
}

/// Six million lines would take 780 MB, of which the shell grants 500.
#[test]
#[cfg(target_os = "linux")]
fn a_series_that_does_not_fit_into_memory_is_code_3() {
    let home = home();
    let text = format!("timestamp,value\n2014-04-01 00:00:00,1\n{}", "\n".repeat(6_000_000));
    fs::write(home.path().join("long.csv"), text).expect("room");
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 500000; exec \"$0\" train long.csv", env!("CARGO_BIN_EXE_glassbox")]);
    let error = fail(&mut clean(shell, home.path()), 3);
    assert!(
        error.contains("long.csv, a series of up to 6000003 rows") && error.contains("780.0 MB"),
        "{error}"
    );
}

/// More memory than any machine has is refused before any of it is taken: an allocation that fails would end the
/// process.
#[test]
fn what_is_too_large_is_code_3_and_says_what_to_lower() {
    let home = home();
    let refused = |arguments: &[&str], words: &[&str]| {
        let error = fail(glassbox(home.path()).args(arguments), 3);
        for word in words {
            assert!(error.contains(word), "{arguments:?}: no {word:?} in {error}");
        }
    };
    for batch in ["18446744073709551615", "1000000000000"] {
        refused(&["profile", "--batch-size", batch], &["--batch-size", batch, "1 to 65536"]);
        refused(&["gradcheck", "--batch-size", batch], &["batch", batch, "1 to 65536"]);
    }
    refused(&["profile", "--steps", "18446744073709551615"], &["steps", "1 to 65536"]);
    for threads in ["1025", "1000000"] {
        refused(&["tutorial", "--threads", threads], &["threads", threads, "1 to 1024"]);
        refused(&["gradcheck", "--threads", threads], &["threads", threads, "1 to 1024"]);
    }
    // 2^40 steps: some hundreds of terabytes.
    for command in ["profile", "gradcheck"] {
        refused(&[command, "--time-steps", "1099511627776"], &["1099511627776", "memory", "lower the steps"]);
    }

    let text = fs::read_to_string(glassbox_tests::fixtures::path("architectures/any_length.json"));
    let any_length: serde_json::Value = serde_json::from_str(&text.expect("a fixture")).expect("JSON");
    let changed = |name: &str, changes: &[(&str, u64)]| {
        let mut json = any_length.clone();
        for (at, value) in changes {
            *json.pointer_mut(at).expect("an entry") = (*value).into();
        }
        fs::write(home.path().join(name), json.to_string()).expect("room");
    };
    changed("long.json", &[("/config/layers/0/config/batch_shape/1", 1_000_000_000_000_000)]);
    // Tens of petabytes.
    let wide = [("kernel_size/0", 4_000_000_000), ("filters", 400_000)];
    let wide = wide.map(|(argument, value)| (format!("/config/layers/1/config/{argument}"), value));
    changed("wide.json", &[(&wide[0].0, wide[0].1), (&wide[1].0, wide[1].1)]);
    refused(&["gradcheck", "--architecture", "long.json"], &["1000000000000000", "memory"]);
    refused(&["profile", "--model", "long.json"], &["1000000000000000", "memory"]);
    let csv = first_rows(&twin(home.path()).0, 100);
    let csv = csv.to_str().expect("text");
    refused(
        &["train", csv, "--model", "wide.json", "--time-steps", "16"],
        &["weights", "memory", "kernel sizes"],
    );
}

#[test]
fn a_threshold_below_0_is_refused() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 100);
    succeed(glassbox(home.path()).arg("train").arg(&csv).args(["--time-steps", "16", "--epochs", "1"]));
    let mut detect = glassbox(home.path());
    let error = fail(
        detect.arg("detect").arg(&csv).args([
            "--rule",
            "published",
            "--model",
            "model.safetensors",
            "--threshold=-1",
        ]),
        3,
    );
    assert!(error.contains("-1") && error.contains("not below 0"), "{error}");
}

#[test]
fn a_training_value_that_decides_the_scale_is_told() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 300);
    let text = fs::read_to_string(&csv).expect("a CSV");
    let mut lines: Vec<String> = text.lines().map(Into::into).collect();
    lines[151] = lines[151].split_once(',').expect("two columns").0.to_string() + ",1e38";
    fs::write(&csv, lines.join("\n")).expect("room");
    let mut train = glassbox(home.path());
    let output = train.arg("train").arg(&csv).args(["--time-steps", "16", "--epochs", "1"]).output();
    let error = String::from_utf8(output.expect("the binary starts").stderr).expect("text");
    assert!(error.contains("warning: ") && error.contains("row 150") && error.contains("1e38"), "{error}");
}

#[test]
fn training_for_no_epoch_is_refused() {
    let home = home();
    for command in ["tutorial", "replicate"] {
        let error = fail(glassbox(home.path()).args([command, "--epochs", "0"]), 2);
        assert!(error.contains("at least 1"), "{error}");
    }
    let csv = first_rows(&twin(home.path()).0, 100);
    let mut train = glassbox(home.path());
    let error = fail(train.arg("train").arg(&csv).args(["--time-steps", "16", "--epochs", "0"]), 3);
    assert!(error.contains("epochs is 0"), "{error}");
    assert!(!home.path().join("model.safetensors").exists());
}

#[test]
fn options_are_named_as_they_are_typed_and_places_once() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 20);
    let train = |more: &[&str]| {
        let mut command = glassbox(home.path());
        fail(command.arg("train").arg(&csv).args(["--time-steps", "16"]).args(more), 3)
    };
    let error = train(&["--batch-size", "0"]);
    assert!(error.contains("--batch-size is 0, expected"), "{error}");
    let error = train(&["--min-delta", "NaN"]);
    assert!(error.contains("--min-delta is NaN, expected a finite number"), "{error}");
    // Five windows, of which a hundredth is none.
    let error = train(&["--validation-split", "0.9"]);
    assert!(
        error.contains("--validation-split is 0.9 of 5") && error.contains("--validation-split 0 "),
        "{error}"
    );
    let error = train(&["--value-column", "reading"]);
    assert!(error.contains("--timestamp-column") && error.contains("--value-column"), "{error}");

    fs::write(home.path().join("broken.json"), "{\"class_name\": Sequential}").expect("room");
    let error = fail(glassbox(home.path()).args(["summary", "--model", "broken.json"]), 3);
    assert_eq!(error.matches("line 1").count(), 1, "{error}");
    assert_eq!(error.matches("column").count(), 1, "{error}");
}

#[test]
fn training_that_diverges_is_code_4_says_where_and_leaves_what_was_there() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 200);
    fs::write(home.path().join("model.safetensors"), "what was there").expect("room");
    let mut command = glassbox(home.path());
    command.arg("train").arg(&csv).args(["--time-steps", "16", "--learning-rate", "1e30"]);
    let error = fail(&mut command, 4);
    assert!(error.contains("epoch 1, batch 2"), "{error}");
    assert_eq!(fs::read(home.path().join("model.safetensors")).expect("the file"), b"what was there");
}

#[test]
fn results_that_cannot_be_written_are_code_5() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 100);
    fs::write(home.path().join("file"), "").expect("room");
    let mut command = glassbox(home.path());
    command.arg("train").arg(&csv).args([
        "--time-steps",
        "16",
        "--epochs",
        "1",
        "--out",
        "file/model.safetensors",
    ]);
    let error = fail(&mut command, 5);
    assert!(error.contains("file"), "{error}");
}

#[test]
fn a_model_of_another_kind_is_no_detector() {
    let home = home();
    let (train, _) = twin(home.path());
    fs::write(home.path().join("broken.safetensors"), [0; 100]).expect("room");
    let mut detect = glassbox(home.path());
    let error = fail(detect.arg("detect").arg(&train).args(["--model", "broken.safetensors"]), 3);
    assert!(error.contains("broken.safetensors"), "{error}");
}

#[test]
fn gradcheck_names_what_keras_has_and_we_do_not() {
    let home = home();
    let architecture = glassbox_tests::fixtures::path("architectures/unsupported/prelu.json");
    let error = fail(glassbox(home.path()).arg("gradcheck").arg("--architecture").arg(architecture), 3);
    assert!(error.contains("PReLU") && error.contains("not supported"), "{error}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = home();
    let mut child = glassbox(home.path())
        .args(["summary", "--program"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    assert!(child.wait().expect("a child").success());
    succeed(glassbox(home.path()).arg("--version"));
}

#[test]
fn a_model_is_known_by_its_content_and_its_steps_are_its_own() {
    let home = home();
    succeed(&mut train(home.path(), &["--out", "m.st"]));
    succeed(&mut train(home.path(), &["--model", "m.st", "--out", "again.st"]));
    let keras = home.path().join("keras.safetensors");
    fs::copy(fixtures::path("architectures/relu_layers.json"), keras).expect("room");
    for model in ["m.st", "keras.safetensors"] {
        succeed(glassbox(home.path()).args(["summary", "--architecture", model]));
    }
    let expected = "m.st: the model has windows of 16 steps, but --time-steps is 32";
    for command in ["summary", "gradcheck", "profile"] {
        let mut command = glassbox_with(home.path(), &[command, "--model", "m.st", "--time-steps", "32"]);
        let error = fail(&mut command, 3);
        assert!(error.contains(expected), "{error}");
    }
    let mut again = train(home.path(), &["--model", "m.st", "--out", "n.st", "--time-steps", "32"]);
    let error = fail(&mut again, 3);
    assert!(error.contains(expected), "{error}");
}
