//! Ctrl-C and SIGTERM: the first asks the run to stop in good order, the second ends the process at once.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;

use glassbox::interrupt::Interrupt;

use crate::failure::{Failure, INTERRUPTED, Kind, OrFail as _};

/// Listens to Ctrl-C and SIGTERM from now on; `good_order` says what the first one waits for.
pub(crate) fn listen(quiet: bool, good_order: &'static str) -> Result<Interrupt, Failure> {
    listen_and(quiet, good_order, || ())
}

/// The same; the first one also does `then`.
pub(crate) fn listen_and(
    quiet: bool,
    good_order: &'static str,
    then: impl Fn() + Send + 'static,
) -> Result<Interrupt, Failure> {
    let interrupt = Interrupt::default();
    let requested = interrupt.clone();
    ctrlc::set_handler(move || {
        if requested.is_requested() {
            std::process::exit(INTERRUPTED.into());
        }
        requested.request();
        then();
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
    // What follows `--` are no options.
    let options = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    if !arguments[..options].iter().any(|argument| argument == "--resume") {
        arguments.insert(options, "--resume".into());
    }
    shown(arguments.into_iter())
}

fn shown(arguments: impl Iterator<Item = OsString>) -> String {
    arguments.map(|argument| quoted(&argument)).collect::<Vec<_>>().join(" ")
}

/// As a shell reads it back: in single quotes, where a character could mean something else; in `$'...'`, where it is no
/// text or would not show.
fn quoted(argument: &OsStr) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    match argument.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.into(),
        Some(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let byte = |byte: &u8| match byte {
                b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
                b' '..=b'~' => char::from(*byte).to_string(),
                // Always three digits: a digit that follows is none of them.
                other => format!("\\{other:03o}"),
            };
            format!("$'{}'", argument.as_encoded_bytes().iter().map(byte).collect::<String>())
        }
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
        assert_eq!(command(&["glassbox", "train", "--", "-x.csv"]), "glassbox train --resume -- -x.csv");
        assert_eq!(command(&["glassbox", "train", "--", "--resume"]), "glassbox train --resume -- --resume");
        assert_eq!(command(&["glassbox", "a\n'b\\"]), r"glassbox $'a\012\'b\\' --resume");
    }
}
