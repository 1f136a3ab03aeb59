//! Output files: checked before any work, written as a whole, and never in the place of another file of the command.

use std::fs;

use glassbox_formats::arrays::write_npy;
use glassbox_tests::fixtures;
use ndarray::Array3;

use crate::kit::{fail, glassbox, glassbox_with, home, succeed, train, tutorial, twin};

/// JSON is UTF-8 and a path need not be: what it cannot hold is replaced in it, and the file has its own name.
#[test]
#[cfg(unix)]
fn an_output_whose_name_is_not_utf_8_is_written_and_told() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let home = home();
    let name = OsStr::from_bytes(b"m\xFF.safetensors");
    let told = succeed(train(home.path(), &["--json", "--quiet"]).arg("--out").arg(name));
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["model"], "m\u{FFFD}.safetensors");
    assert!(home.path().join(name).exists());
}

#[test]
fn an_output_is_no_input_and_no_other_output() {
    let home = home();
    succeed(&mut train(home.path(), &[]));
    let read = |name: &str| fs::read(home.path().join(name)).expect(name);
    let (csv, model) = (read("data.csv"), read("model.safetensors"));
    let x = Array3::<f32>::zeros((4, 16, 1));
    write_npy(&home.path().join("x.npy"), x.view()).expect("room");
    let array = read("x.npy");
    let architecture = fixtures::path("architectures/relu_layers.json");
    let architecture = architecture.to_str().expect("a path");

    let detect = ["detect", "data.csv", "--model", "model.safetensors", "--output"];
    let predict = ["predict", "--model", "model.safetensors", "--input", "x.npy", "--output"];
    let fit = ["fit-arrays", "--architecture", architecture, "--input", "x.npy", "--out"];
    let command = |first: &[&str], more: &[&str]| {
        let mut command = glassbox(home.path());
        command.args(first).args(more);
        command
    };
    for (mut command, names) in [
        (train(home.path(), &["--out", "data.csv"]), ["--out", "the training series"]),
        (train(home.path(), &["--out", "./data.csv"]), ["--out", "the training series"]),
        (train(home.path(), &["--history", "data.csv"]), ["--history", "the training series"]),
        (train(home.path(), &["--out", "z.st", "--history", "z.st"]), ["--history", "--out"]),
        (train(home.path(), &["--model", "model.safetensors"]), ["--out", "--model"]),
        (command(&detect, &["data.csv"]), ["--output", "the series"]),
        (command(&detect, &["model.safetensors"]), ["--output", "--model"]),
        (command(&predict, &["x.npy"]), ["--output", "--input"]),
        (command(&predict, &["model.safetensors"]), ["--output", "--model"]),
        (command(&fit, &["x.npy"]), ["--out", "--input"]),
        (command(&fit, &["y.st", "--history", "y.st"]), ["--history", "--out"]),
    ] {
        let error = fail(&mut command, 3);
        assert!(names.iter().all(|name| error.contains(name)) && error.contains("one file"), "{error}");
    }
    for (name, before) in [("data.csv", csv), ("model.safetensors", model), ("x.npy", array)] {
        assert!(read(name) == before, "{name} has changed");
    }
    assert!(!home.path().join("z.st").exists() && !home.path().join("y.st").exists());
}

#[test]
fn what_cannot_be_written_is_found_before_training() {
    let home = home();
    // A batch of the first epoch would fail: that it does not come so far is what is asked.
    let mut diverging = train(home.path(), &["--learning-rate", "1e30", "--epochs", "3", "--out", "."]);
    let error = fail(&mut diverging, 5);
    assert!(error.contains("cannot write ."), "{error}");
    fs::write(home.path().join("file"), "kept").expect("room");
    for mut command in [
        train(home.path(), &["--learning-rate", "1e30", "--history", "file/history.json"]),
        train(home.path(), &["--learning-rate", "1e30", "--checkpoint-dir", "file"]),
        tutorial(home.path(), &["--learning-rate", "1e30", "--out", "file"]),
    ] {
        let error = fail(&mut command, 5);
        assert!(error.contains("cannot write file/"), "{error}");
    }
    assert_eq!(fs::read_to_string(home.path().join("file")).expect("the file"), "kept");
    // An option that makes no sense is found by then as well.
    let error = fail(&mut tutorial(home.path(), &["--study", "--study-seeds", "0"]), 2);
    assert!(error.contains("--study-seeds"), "{error}");
    assert!(!home.path().join("glassbox-out").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_costs_no_results() {
    let home = home();
    // As a shell redirects to it: opened, never replaced.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let error = fail(tutorial(home.path(), &[]).stdout(full), 5);
    assert!(error.contains("standard output") && error.contains("glassbox-out"), "{error}");
    for file in ["result.json", "model.safetensors", "report.html"] {
        assert!(home.path().join("glassbox-out").join(file).exists(), "{file}");
    }
}

#[test]
fn an_output_is_not_where_an_interrupted_run_is_kept() {
    let home = home();
    let array = Array3::<f32>::zeros((20, 16, 1));
    write_npy(&home.path().join("x.npy"), array.view()).expect("room");
    let architecture = fixtures::path("architectures/relu_layers.json");
    let architecture = architecture.to_str().expect("a path");
    let fit = ["fit-arrays", "--architecture", architecture, "--input", "x.npy", "--out"];
    for (mut command, named) in [
        (train(home.path(), &["--out", "m.checkpoint"]), "--out is m.checkpoint"),
        (train(home.path(), &["--out", "x.st", "--history", "x.checkpoint"]), "--history is x.checkpoint"),
        (glassbox_with(home.path(), &[&fit[..], &["m.checkpoint"]].concat()), "--out is m.checkpoint"),
    ] {
        let error = fail(&mut command, 3);
        assert!(error.contains(named) && error.contains("the folder of the checkpoint"), "{error}");
    }
    assert!(!home.path().join("m.checkpoint").exists() && !home.path().join("x.checkpoint").exists());
    // Kept elsewhere, it is a name like others.
    succeed(&mut train(home.path(), &["--out", "m.checkpoint", "--checkpoint-dir", "kept"]));
}

#[test]
fn a_model_that_is_replaced_is_named() {
    let home = home();
    let told = |more: &[&str]| {
        let output = train(home.path(), more).output().expect("the binary starts");
        String::from_utf8(output.stderr).expect("text")
    };
    assert!(!told(&[]).contains("is replaced"));
    let again = told(&[]);
    for name in ["--out: model.safetensors is there already", "--history: history.json is there already"] {
        assert!(again.contains(name), "{again}");
    }
    assert_eq!(told(&["--quiet"]), "");
}

/// On the published files, which the twin's have the names of.
#[test]
fn the_twin_takes_no_published_files_place() {
    let Some(nab) = glassbox_tests::real_data("GLASSBOX_NAB") else { return };
    let home = home();
    let (train, test) = twin(home.path());
    succeed(glassbox(home.path()).args(["data", "twin", "nab", "--seed", "2"]));
    let name = test.strip_prefix(home.path().join("nab")).expect("below it");
    fs::copy(nab.join(name), &test).expect("the published file");
    let before = [fs::read(&train).expect("a file"), fs::read(&test).expect("a file")];
    let error = fail(glassbox(home.path()).args(["data", "twin", "nab"]), 3);
    assert!(error.contains("is the published file"), "{error}");
    assert!(before == [fs::read(&train).expect("a file"), fs::read(&test).expect("a file")]);
}

#[test]
fn models_in_one_folder_have_a_history_each() {
    let home = home();
    for name in ["a", "b"] {
        succeed(&mut train(home.path(), &["--out", &format!("models/{name}.safetensors")]));
        assert!(home.path().join(format!("models/{name}.history.json")).exists());
    }
    succeed(&mut train(home.path(), &[]));
    assert!(home.path().join("history.json").exists());
}
