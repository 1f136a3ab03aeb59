//! Runs the real binary, in an environment of its own.

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
    let text = std::fs::read_to_string(csv).expect("a CSV");
    let kept: String = text.lines().take(rows + 1).map(|line| format!("{line}\n")).collect();
    let path = csv.with_file_name(format!("first-{rows}.csv"));
    std::fs::write(&path, kept).expect("room for a CSV");
    path
}
