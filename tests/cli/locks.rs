//! One run at a time for each output.

use std::fs;
use std::process::Command;

use glassbox_formats::arrays::write_npy;
use glassbox_formats::lock::Lock;
use glassbox_tests::fixtures;
use ndarray::Array3;

use crate::kit::{fail, glassbox_with, home, names, succeed, train, tutorial};

#[test]
fn a_place_takes_one_run_at_a_time_and_keeps_no_lock() {
    let home = home();
    train(home.path(), &[]);
    let array = Array3::<f32>::zeros((20, 16, 1));
    write_npy(&home.path().join("x.npy"), array.view()).expect("room");
    let architecture = fixtures::path("architectures/relu_layers.json");
    let architecture = architecture.to_str().expect("a path");
    let fit = ["fit-arrays", "--architecture", architecture, "--input", "x.npy"];
    let before = names(home.path());
    let file =
        |name: &str| Lock::file(&home.path().join(name)).expect("nobody else is there").expect("no pipe");
    for (place, is_folder, mut command) in [
        ("out", true, tutorial(home.path(), &["--out", "out"])),
        ("r", true, glassbox_with(home.path(), &["replicate", "--seeds", "1", "--out", "r"])),
        ("kept", true, train(home.path(), &["--checkpoint-dir", "kept"])),
        ("model.safetensors", false, train(home.path(), &[])),
        ("history.json", false, train(home.path(), &[])),
        // Where Ctrl-C would keep the run.
        ("a.checkpoint", true, train(home.path(), &["--out", "a.st"])),
        ("final.safetensors", false, glassbox_with(home.path(), &fit)),
        ("final.checkpoint", true, glassbox_with(home.path(), &fit)),
    ] {
        let lock = match is_folder {
            true => Lock::folder(&home.path().join(place)).expect("nobody else is there"),
            false => file(place),
        };
        let error = fail(&mut command, 5);
        assert!(error.contains(&format!("writing into {place}:")), "{error}");
        drop(lock);
        #[cfg(unix)]
        assert_eq!(names(home.path()), before, "{place}");
    }
    succeed(&mut tutorial(home.path(), &["--out", "out", "--checkpoint-dir", "out", "--quiet"]));
    succeed(&mut train(home.path(), &[]));
    assert!(!home.path().join("out/.lock").exists() || cfg!(not(unix)));
    let hidden = names(home.path()).into_iter().filter(|name| name.starts_with('.')).count();
    assert!(hidden == 0 || cfg!(not(unix)), "{:?}", names(home.path()));
    assert!(!home.path().join("model.checkpoint").exists());
    // Two models at once, in one folder.
    let _other = file("model.safetensors");
    succeed(&mut train(home.path(), &["--out", "b.st"]));
}

#[cfg(unix)]
#[test]
fn a_lock_that_is_no_plain_file_is_refused_and_not_waited_on() {
    let home = home();
    fs::create_dir(home.path().join("out")).expect("room");
    let lock = home.path().join("out/.lock");
    assert!(Command::new("mkfifo").arg(&lock).status().expect("mkfifo runs").success());
    let error = fail(&mut tutorial(home.path(), &["--out", "out"]), 5);
    assert!(error.contains("out/.lock") && error.contains("not the plain file"), "{error}");
    fs::remove_file(&lock).expect("it was there");
    std::os::unix::fs::symlink("../elsewhere", &lock).expect("room");
    fail(&mut tutorial(home.path(), &["--out", "out"]), 5);
    assert!(!home.path().join("elsewhere").exists());
    fs::create_dir(home.path().join(".model.safetensors.lock")).expect("room");
    let error = fail(&mut train(home.path(), &[]), 5);
    assert!(error.contains(".model.safetensors.lock"), "{error}");
}
