//! Checkpoints in folders that are used again.

use std::fs;
use std::path::Path;

use crate::kit::{fail, home, succeed, train};

/// A checkpoint for whoever looks for one: made by a run that is asked for a folder.
fn keep(home: &Path, folder: &str) {
    succeed(&mut train(home, &["--checkpoint-dir", "kept", "--quiet"]));
    fs::create_dir_all(home.join(folder)).expect("a folder");
    let name = "checkpoint.safetensors";
    fs::rename(home.join("kept").join(name), home.join(folder).join(name)).expect("a checkpoint");
}

#[test]
fn a_file_that_is_no_checkpoint_is_not_taken_for_one() {
    let home = home();
    fs::create_dir_all(home.path().join("kept")).expect("room");
    fs::create_dir_all(home.path().join("model.checkpoint")).expect("room");
    succeed(&mut train(home.path(), &["--out", "other.st"]));
    for more in [&["--checkpoint-dir", "kept"][..], &[]] {
        let folder = more.last().unwrap_or(&"model.checkpoint");
        let path = home.path().join(folder).join("checkpoint.safetensors");
        // Of safetensors' format, as other tools name theirs.
        fs::copy(home.path().join("other.st"), &path).expect("room");
        let before = fs::read(&path).expect("a file");
        let error = fail(&mut train(home.path(), more), 3);
        assert!(error.contains("checkpoint.safetensors") && error.contains("move it away"), "{error}");
        assert!(fs::read(&path).expect("a file") == before);
    }
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
