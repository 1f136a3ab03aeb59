//! Runs the real binary, in an environment of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The command, with nothing of the developer's environment that could change what it does.
pub(crate) fn glassbox(home: &Path) -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_glassbox")), home)
}

/// A command in `home`, with nothing of the developer's environment that could change what glassbox does.
pub(crate) fn clean(mut command: Command, home: &Path) -> Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GLASSBOX_")) {
        command.env_remove(name);
    }
    // A test that means colour says so.
    command.env_remove("CLICOLOR_FORCE").env("GLASSBOX_CACHE", home.join("cache")).current_dir(home);
    // The same numbers on every machine: its GPUs, if it has any, are not seen.
    command.env("CUDA_VISIBLE_DEVICES", "");
    command
}

/// A folder that goes away with the test.
pub(crate) fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Runs to the end, successfully, and gives standard output.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("the binary starts");
    assert!(output.status.success(), "{command:?}: {}", shown(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// Runs to the end, with this exit code, and gives standard error.
pub(crate) fn fail(command: &mut Command, code: i32) -> String {
    let output = command.output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(code), "{command:?}: {}", shown(&output));
    String::from_utf8(output.stderr).expect("text")
}

fn shown(output: &Output) -> String {
    format!(
        "{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Writes the twin of the tutorial's files into `home` and gives their paths: train, test.
pub(crate) fn twin(home: &Path) -> (PathBuf, PathBuf) {
    let paths = succeed(glassbox(home).args(["data", "twin", "nab"]));
    let mut paths = paths.lines().map(|path| home.join(path));
    (paths.next().expect("the training file"), paths.next().expect("the test file"))
}

/// The first `rows` rows of a CSV, in a file beside it.
pub(crate) fn first_rows(csv: &Path, rows: usize) -> PathBuf {
    let text = fs::read_to_string(csv).expect("a CSV");
    let kept: String = text.lines().take(rows + 1).map(|line| format!("{line}\n")).collect();
    let path = csv.with_file_name(format!("first-{rows}.csv"));
    fs::write(&path, kept).expect("room for a CSV");
    path
}

/// A short training on the first rows of the twin, which lie in `data.csv`.
pub(crate) fn train(home: &Path, more: &[&str]) -> Command {
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
pub(crate) fn tutorial(home: &Path, more: &[&str]) -> Command {
    let mut command = glassbox(home);
    command.args(["--epochs", "1", "--batch-size", "512"]).args(more);
    command
}

pub(crate) fn glassbox_with(home: &Path, arguments: &[&str]) -> Command {
    let mut command = glassbox(home);
    command.args(arguments);
    command
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

/// Everything in a folder, with its content; a link by what it leads to.
pub(crate) fn content(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut all = vec![];
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if let Ok(link) = fs::read_link(&path) {
            all.push((path, link.into_os_string().into_encoded_bytes()));
        } else if path.is_dir() {
            all.extend(content(&path));
        } else {
            all.push((path.clone(), fs::read(&path).expect("a file")));
        }
    }
    all.sort();
    all
}
