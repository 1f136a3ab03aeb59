//! Ctrl-C: the first asks the run to stop in good order, the second ends the process at once.

use std::ffi::OsString;
use std::io::Write as _;

use glassbox::interrupt::Interrupt;

use crate::failure::{Failure, Kind, OrFail as _};

/// Listens to Ctrl-C from now on; `good_order` says what the first one waits for.
pub(crate) fn listen(quiet: bool, good_order: &'static str) -> Result<Interrupt, Failure> {
    let interrupt = Interrupt::default();
    let requested = interrupt.clone();
    ctrlc::set_handler(move || {
        if requested.is_requested() {
            std::process::exit(Kind::Interrupted as i32);
        }
        requested.request();
        if !quiet {
            // A line of its own, whatever stands in the terminal; if standard error is gone, nobody reads it.
            let _ = writeln!(std::io::stderr(), "\nstopping {good_order}; Ctrl-C again stops at once");
        }
    })
    .or_fail(Kind::Input)?;
    Ok(interrupt)
}

/// The command that goes on with a run: this one, and `--resume` if it has not said so.
pub(crate) fn resume_command() -> String {
    with_resume(std::env::args_os())
}

/// This very command.
pub(crate) fn same_command() -> String {
    shown(std::env::args_os())
}

fn with_resume(arguments: impl Iterator<Item = OsString>) -> String {
    let mut arguments: Vec<OsString> = arguments.collect();
    if !arguments.iter().any(|argument| argument == "--resume") {
        arguments.push("--resume".into());
    }
    shown(arguments.into_iter())
}

fn shown(arguments: impl Iterator<Item = OsString>) -> String {
    arguments.map(|argument| quoted(&argument.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// As a shell reads it back: in single quotes, where a character could mean something else.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    match !argument.is_empty() && argument.chars().all(plain) {
        true => argument.into(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_command_back() {
        let command = |words: &[&str]| with_resume(words.iter().map(OsString::from));
        assert_eq!(command(&["glassbox"]), "glassbox --resume");
        assert_eq!(command(&["glassbox", "--resume", "-q"]), "glassbox --resume -q");
        assert_eq!(
            command(&["/a b/glassbox", "train", "it's $x.csv", ""]),
            r"'/a b/glassbox' train 'it'\''s $x.csv' '' --resume"
        );
    }
}
