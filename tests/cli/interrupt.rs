//! Ctrl-C, by real signals: the first lets the epoch end and keeps the run, the second ends the process at once.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::kit::{clean, first_rows, glassbox, home, succeed, twin};

/// As a terminal does on Ctrl-C.
fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(status.success(), "the process is still there");
}

fn spawn(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

/// Waits until standard output has this line; gives what is left of it to a thread, lest the pipe fill up.
fn wait_for_line(child: &mut Child, with: &str) {
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert!(lines.by_ref().any(|line| line.expect("text").contains(with)), "no line with {with:?}");
    std::thread::spawn(move || lines.count());
}

fn wait_for_file(file: &Path) {
    let started = Instant::now();
    while !file.exists() {
        assert!(started.elapsed() < Duration::from_secs(120), "{} does not come", file.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Ended by Ctrl-C in good order; gives the command that goes on: the last line of the message.
fn interrupted(child: Child) -> String {
    let Output { status, stderr, .. } = child.wait_with_output().expect("a child to wait for");
    let stderr = String::from_utf8(stderr).expect("text");
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("Ctrl-C again stops at once"), "{stderr}");
    assert!(stderr.contains("to continue:"), "{stderr}");
    stderr.lines().last().expect("a command").to_string()
}

/// As a user pastes it.
fn paste(home: &Path, command: &str) -> String {
    succeed(clean(Command::new("sh"), home).args(["-c", command]))
}

fn assert_same(a: &Path, b: &Path, files: &[&str]) {
    for file in files {
        let [a, b] = [a, b].map(|folder| fs::read(folder.join(file)).expect(file));
        assert!(a == b, "{file} differs");
    }
}

#[test]
fn an_interrupted_tutorial_goes_on_to_the_same_bits_by_the_command_it_prints() {
    let home = home();
    let tutorial = |out: &str| {
        let mut command = glassbox(home.path());
        command.args(["--epochs", "3", "--threads", "1", "--out", out]);
        command
    };
    succeed(&mut tutorial("whole"));

    // A folder that a shell would take apart.
    let mut child = spawn(&mut tutorial("it's here"));
    wait_for_line(&mut child, "Total params");
    interrupt(&child);
    let command = interrupted(child);
    let out = home.path().join("it's here");
    assert!(command.ends_with("--out 'it'\\''s here' --resume"), "{command}");
    assert!(out.join("checkpoint.safetensors").exists() && !out.join("result.json").exists());

    let told = paste(home.path(), &command);
    assert!(told.contains("Trained 3 epochs"), "{told}");
    let files = ["model.safetensors", "windows.csv", "anomalies.csv", "history.csv"];
    assert_same(&home.path().join("whole"), &out, &files);
    assert!(!out.join("checkpoint.safetensors").exists(), "what Ctrl-C left is gone once its run is done");
}

/// A name that is no text, and options that end with `--`.
#[cfg(target_os = "linux")]
#[test]
fn the_printed_command_goes_on_for_any_name_and_after_the_end_of_options() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = home();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9 'n\n7");
    let mut tutorial = glassbox(home.path());
    tutorial.args(["--epochs", "3", "--threads", "1", "--no-report", "--out"]).arg(name).arg("--");
    let mut child = spawn(&mut tutorial);
    wait_for_line(&mut child, "Total params");
    interrupt(&child);
    let command = interrupted(child);
    assert!(command.ends_with(r"--out $'caf\351 \'n\0127' --resume --"), "{command}");
    // `$'...'` is POSIX's since 2024, and not every `sh` has it yet.
    let told = succeed(clean(Command::new("bash"), home.path()).args(["-c", &command]));
    assert!(told.contains("Trained 3 epochs"), "{told}");
    assert!(home.path().join(name).join("result.json").exists());
}

#[test]
fn an_interrupted_training_goes_on_with_or_without_a_folder_for_checkpoints() {
    let home = home();
    let csv = first_rows(&twin(home.path()).0, 600);
    let train = |out: &str, more: &[&str]| {
        let mut command = glassbox(home.path());
        command.arg("train").arg(&csv).args(["--time-steps", "64", "--epochs", "40", "--no-early-stopping"]);
        command.args(["--threads", "1", "--out"]).arg(home.path().join(out).join("model.safetensors"));
        command.args(more);
        command
    };
    succeed(&mut train("whole", &[]));

    let mut kept = train("kept", &["--checkpoint-dir", "checkpoints"]);
    let child = spawn(&mut kept);
    wait_for_file(&home.path().join("checkpoints/checkpoint.safetensors"));
    interrupt(&child);
    paste(home.path(), &interrupted(child));
    assert_same(
        &home.path().join("whole"),
        &home.path().join("kept"),
        &["model.safetensors", "model.history.json"],
    );
    assert!(
        home.path().join("checkpoints/checkpoint.safetensors").exists(),
        "a folder that was asked for stays"
    );

    // What was trained lies in a file that a plain run does not write: it tells how far the run is by nothing. So
    // the same run as before, again and again, until a signal comes between its start and its end.
    let mut wait = Duration::from_millis(100);
    let command = loop {
        let child = spawn(&mut train("bare", &[]));
        std::thread::sleep(wait);
        let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        let Output { status, stderr, .. } = child.wait_with_output().expect("a child to wait for");
        let stderr = String::from_utf8(stderr).expect("text");
        match status.code() {
            Some(130) => break stderr.lines().last().expect("a command").to_string(),
            Some(0) => wait /= 2,
            // The signal came before anyone listened.
            None => wait *= 2,
            Some(code) => unreachable!("exit code {code}: {stderr}"),
        }
    };
    assert!(home.path().join("bare/model.checkpoint/checkpoint.safetensors").exists());
    paste(home.path(), &command);
    assert_same(
        &home.path().join("whole"),
        &home.path().join("bare"),
        &["model.safetensors", "model.history.json"],
    );
}

#[test]
fn an_interrupted_study_leaves_the_tutorials_results_and_says_so() {
    let home = home();
    let mut command = glassbox(home.path());
    command.args(["--epochs", "1", "--batch-size", "512", "--study", "--study-seeds", "500"]);
    let child = spawn(command.arg("--quiet"));
    let out = home.path().join("glassbox-out");
    wait_for_file(&out.join("result.json"));
    interrupt(&child);
    let output = child.wait_with_output().expect("a child to wait for");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("of which nothing is kept"), "{stderr}");
    assert!(
        stderr.lines().last().expect("a command").ends_with("--study --study-seeds 500 --quiet"),
        "{stderr}"
    );
    assert!(out.join("model.safetensors").exists() && !out.join("study.json").exists());
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let home = home();
    let csv = twin(home.path()).0;
    // Listening begins before training does, and nothing tells when; a signal too early just ends the process, and
    // then there is one more to try.
    let mut wait = Duration::from_millis(300);
    let (mut child, lines) = loop {
        // Windows of five days, one in a batch, on one thread: an epoch takes seconds.
        let mut command = glassbox(home.path());
        command.arg("train").arg(&csv).args(["--time-steps", "1440", "--batch-size", "1", "--threads", "1"]);
        let mut child = spawn(command.args(["--checkpoint-dir", "checkpoints"]));
        std::thread::sleep(wait);
        interrupt(&child);
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        if lines.any(|line| line.expect("text").contains("Ctrl-C again stops at once")) {
            break (child, lines);
        }
        assert_eq!(child.wait().expect("a child to wait for").code(), None, "ended by the signal");
        wait *= 2;
    };
    interrupt(&child);
    let status = child.wait().expect("a child to wait for");
    assert_eq!(status.code(), Some(130));
    assert_eq!(lines.map_while(Result::ok).collect::<Vec<_>>(), [""; 0], "no word of going on");
    assert!(!home.path().join("checkpoints/checkpoint.safetensors").exists(), "the epoch was not waited for");
}
