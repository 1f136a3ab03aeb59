//! `--device` and `glassbox devices` where no GPU can be used: what is said, and what is done instead.

use std::fs;
use std::process::Command;

use crate::kit::{fail, first_rows, glassbox, home, succeed, twin};

/// Standard error of a command that succeeds.
fn told(command: &mut Command) -> String {
    let output = command.output().expect("the binary starts");
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{command:?}: {told}");
    told
}

#[test]
fn a_gpu_that_was_asked_for_and_is_not_there_is_code_7_and_nothing_is_written() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 100);
    fs::write(home.path().join("model.safetensors"), "what was there").expect("room");
    for device in ["cuda", "cuda:0", "cuda:3"] {
        let mut command = glassbox(home.path());
        command.arg("train").arg(&csv).args(["--time-steps", "16", "--epochs", "1", "--device", device]);
        let error = fail(&mut command, 7);
        // No driver, or one that sees no GPU: either way the way out is named.
        assert!(error.contains("--device cuda:"), "{error}");
        assert!(error.contains("NVIDIA driver") || error.contains("no GPU"), "{error}");
        assert!(error.contains("--device cpu") || error.contains("glassbox devices"), "{error}");
    }
    assert_eq!(fs::read(home.path().join("model.safetensors")).expect("the file"), b"what was there");
    assert!(!home.path().join("history.json").exists());
    fail(glassbox(home.path()).args(["tutorial", "--epochs", "1", "--device", "cuda"]), 7);
    assert!(!home.path().join("glassbox-out").exists());
}

#[test]
fn auto_takes_the_cpu_and_says_so_and_why() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 100);
    let train = |more: &[&str]| {
        let mut command = glassbox(home.path());
        command
            .arg("train")
            .arg(&csv)
            .args(["--time-steps", "16", "--epochs", "1", "--threads", "1"])
            .args(more);
        command
    };
    let says = told(&mut train(&[]));
    assert!(says.contains("Computing on cpu, ") && says.contains("1 thread"), "{says}");
    assert!(!says.contains("no GPU is used"), "{says}");
    let by_itself = fs::read(home.path().join("model.safetensors")).expect("a model");

    let says = told(&mut train(&["--device", "auto", "--verbose"]));
    assert!(says.contains("no GPU is used: ") && says.contains("Computing on cpu, "), "{says}");
    assert_eq!(told(&mut train(&["--device", "auto", "--quiet", "--verbose"])), "");

    // Asked for by name it is the same, and there is nothing to say.
    assert!(!told(&mut train(&["--device", "cpu"])).contains("Computing on"));
    assert_eq!(fs::read(home.path().join("model.safetensors")).expect("a model"), by_itself);
}

#[test]
fn devices_are_listed_with_what_is_missing() {
    let home = home();
    let table = succeed(glassbox(home.path()).arg("devices"));
    assert!(table.starts_with("cpu "), "{table}");
    assert!(table.contains("NVIDIA driver") || table.contains("no GPU"), "{table}");
    assert!(table.lines().last().is_some_and(|line| line.ends_with("selects cpu")), "{table}");

    // NVRTC where it is not: named by its path, and by the variable.
    let mut command = glassbox(home.path());
    let table = succeed(command.arg("devices").env("GLASSBOX_NVRTC", "nowhere/libnvrtc.so"));
    assert!(table.contains("nowhere/libnvrtc.so") && table.contains("GLASSBOX_NVRTC"), "{table}");

    let json = succeed(glassbox(home.path()).args(["devices", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["auto"], "cpu");
    assert_eq!(json["devices"][0]["device"], "cpu");
    assert!(json["no_gpu"].is_string(), "{json}");
}

#[test]
fn what_is_no_device_is_code_2_and_the_devices_are_named() {
    let home = home();
    for device in ["gpu", "cuda:x", ""] {
        let error = fail(glassbox(home.path()).args(["tutorial", "--device", device]), 2);
        assert!(error.contains("auto, cpu, cuda, or cuda:N"), "{error}");
    }
    let error = fail(glassbox(home.path()).args(["profile", "--simd", "portable", "--device", "cuda"]), 3);
    assert!(error.contains("--simd") && error.contains("cuda:0"), "{error}");
}
