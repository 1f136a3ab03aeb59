//! What a command may write over, what it must not, and what is there when it could not write.

use std::fs;
use std::path::Path;
use std::process::Command;

use glassbox_formats::arrays::write_npy;
use glassbox_formats::lock::FolderLock;
use glassbox_tests::fixtures;
use ndarray::Array3;

use crate::kit::{fail, first_rows, glassbox, home, succeed, twin};

/// A short training on the first rows of the twin, which lie in `data.csv`.
fn train(home: &Path, more: &[&str]) -> Command {
    let csv = home.join("data.csv");
    if !csv.exists() {
        fs::rename(first_rows(&twin(home).0, 200), &csv).expect("a CSV");
    }
    let mut command = glassbox(home);
    command.args(["train", "data.csv"]).args(more);
    for (option, value) in [("--time-steps", "16"), ("--epochs", "1")] {
        if !more.contains(&option) {
            command.args([option, value]);
        }
    }
    command
}

/// The shortest tutorial.
fn tutorial(home: &Path, more: &[&str]) -> Command {
    let mut command = glassbox(home);
    command.args(["--epochs", "1", "--batch-size", "512"]).args(more);
    command
}

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
fn a_folder_takes_one_run_at_a_time() {
    let home = home();
    for (folder, mut command) in [
        ("out", tutorial(home.path(), &["--out", "out"])),
        ("r", glassbox_with(home.path(), &["replicate", "--seeds", "1", "--out", "r"])),
        ("kept", train(home.path(), &["--checkpoint-dir", "kept"])),
    ] {
        let lock = FolderLock::take(&home.path().join(folder)).expect("nobody else is there");
        let error = fail(&mut command, 5);
        assert!(error.contains(&format!("writing into {folder}:")), "{error}");
        drop(lock);
        let mut entries = fs::read_dir(home.path().join(folder)).expect("a folder");
        assert!(entries.all(|entry| entry.expect("an entry").file_name() == ".lock"), "{folder}");
    }
    succeed(&mut tutorial(home.path(), &["--out", "out", "--checkpoint-dir", "out", "--quiet"]));
}

fn glassbox_with(home: &Path, arguments: &[&str]) -> Command {
    let mut command = glassbox(home);
    command.args(arguments);
    command
}

#[test]
fn a_used_folder_has_nothing_of_the_run_before() {
    let home = home();
    let out = home.path().join("glassbox-out");
    succeed(&mut tutorial(home.path(), &["--quiet"]));
    for stale in ["study.json", "study.csv", "plots/old.svg", "notes.txt"] {
        fs::write(out.join(stale), "another run's").expect("room");
    }
    succeed(&mut tutorial(home.path(), &["--quiet", "--no-report", "--seed", "2"]));
    for gone in ["report.html", "plots", "inside.safetensors", "study.json", "study.csv"] {
        assert!(!out.join(gone).exists(), "{gone}");
    }
    assert!(out.join("result.json").exists() && out.join("notes.txt").exists());
}

/// A checkpoint for whoever looks for one: made by a run that is asked for a folder.
fn keep(home: &Path, folder: &str) {
    succeed(&mut train(home, &["--checkpoint-dir", "kept", "--quiet"]));
    fs::create_dir_all(home.join(folder)).expect("a folder");
    let name = "checkpoint.safetensors";
    fs::rename(home.join("kept").join(name), home.join(folder).join(name)).expect("a checkpoint");
}

#[test]
fn what_ctrl_c_left_goes_when_a_run_is_done_resumed_or_not() {
    let home = home();
    for more in [&[][..], &["--resume"], &["--seed", "9"]] {
        keep(home.path(), "model.checkpoint");
        let told = train(home.path(), more).output().expect("the binary starts");
        let told = String::from_utf8(told.stderr).expect("text");
        assert_eq!(told.contains("keeps an earlier run"), !more.contains(&"--resume"), "{told}");
        assert!(!home.path().join("model.checkpoint").exists(), "{more:?}");
    }
    let told = train(home.path(), &["--resume"]).output().expect("the binary starts");
    let told = String::from_utf8(told.stderr).expect("text");
    assert!(told.contains("there is no checkpoint model.checkpoint"), "{told}");
}

#[test]
fn a_folder_for_checkpoints_keeps_that_of_another_run() {
    let home = home();
    keep(home.path(), "safe");
    let checkpoint = home.path().join("safe/checkpoint.safetensors");
    let before = fs::read(&checkpoint).expect("a checkpoint");
    let error = fail(&mut train(home.path(), &["--checkpoint-dir", "safe", "--seed", "9"]), 3);
    assert!(error.contains("another run") && error.contains("seed"), "{error}");
    assert!(!error.contains("keeps an earlier run"), "{error}");
    let error = fail(&mut train(home.path(), &["--checkpoint-dir", "safe", "--batch-size", "9"]), 3);
    assert!(error.contains("another run: --batch-size is 128 in it and 9 in this run"), "{error}");
    assert!(fs::read(&checkpoint).expect("a checkpoint") == before);
    succeed(&mut train(home.path(), &["--checkpoint-dir", "safe", "--epochs", "2"]));
    assert!(fs::read(&checkpoint).expect("a checkpoint") != before, "the same run from its start");
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

#[test]
fn a_negative_number_is_told_what_is_expected_instead() {
    let home = home();
    for (option, expected) in
        [("--learning-rate", "--learning-rate is -1"), ("--min-delta", "at least 0"), ("--epochs", "'-1'")]
    {
        let code = if option == "--learning-rate" { 3 } else { 2 };
        let error = fail(&mut train(home.path(), &[option, "-1"]), code);
        assert!(error.contains(expected) && !error.contains("-- -1"), "{error}");
    }
    succeed(&mut train(home.path(), &[]));
    let mut detect = glassbox(home.path());
    detect.args(["detect", "data.csv", "--model", "model.safetensors", "--threshold", "-1"]);
    let told = detect.output().expect("the binary starts");
    assert!(!String::from_utf8_lossy(&told.stderr).contains("unexpected argument"), "{told:?}");
}
