//! The way to the terminal. Whatever comes from outside (cells, names, paths) passes here: it is escaped, so that it
//! cannot steer the terminal, and an error is one line of a sensible length.

use std::fmt::Display;
use std::io::{self, Write as _};

use clap::builder::styling::{AnsiColor, Style, Styles};
use glassbox_engine::text::{is_plain, one_line};
use serde::Serialize;

use crate::failure::{Failure, Kind, OrFail as _, message};

/// Prints an error as clap prints its own; `lines` are escaped here.
pub(crate) fn error(lines: &str) {
    write_labelled("error", *Styles::styled().get_error(), &escaped(lines));
}

/// Prints a warning on standard error.
pub(crate) fn warn(quiet: bool, text: impl Display) {
    if !quiet {
        write_labelled("warning", AnsiColor::Yellow.on_default().bold(), &message(text));
    }
}

/// Prints on standard error what is not the result, such as where things are.
pub(crate) fn note(quiet: bool, text: impl Display) {
    if !quiet {
        // If standard error is gone there is nobody left to tell.
        let _ = writeln!(io::stderr(), "{}", message(text));
    }
}

/// `error: ...`, the label in colour if standard error is a terminal and `NO_COLOR` and `CLICOLOR` allow it.
fn write_labelled(label: &str, style: Style, text: &str) {
    // If standard error is gone there is nobody left to tell.
    let _ = writeln!(anstream::stderr(), "{style}{label}:{style:#} {text}");
}

/// Prints text for people, such as tables, on standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_data(escaped(text).as_bytes())
}

/// Prints a JSON object. Its texts are escaped further than JSON requires, since a terminal obeys C1 controls too.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut json = String::new();
    for c in serde_json::to_string_pretty(value).or_fail(Kind::Output)?.chars() {
        match c == '\n' || is_plain(c) {
            true => json.push(c),
            // All of them have four digits.
            false => json.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    print_data((json + "\n").as_bytes())
}

/// Writes to standard output as it is. A reader that has gone away (`glassbox ... | head`) is no failure of ours, but
/// there is nothing more to say then.
pub(crate) fn print_data(data: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(data).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done
            .map_err(|error| Failure::new(Kind::Output, format!("cannot write to standard output: {error}"))),
    }
}

/// Lines with everything escaped but the ends of the lines.
fn escaped(lines: &str) -> String {
    lines.split('\n').map(|line| one_line(line).to_string()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::LONGEST;

    #[test]
    fn a_message_is_one_line_of_a_sensible_length() {
        assert_eq!(message("a\nb\u{1b}[2J"), r"a\nb\u{1b}[2J");
        let long = message("x".repeat(10_000_000));
        assert_eq!(long.chars().count(), LONGEST + 1);
    }

    #[test]
    fn tables_keep_their_lines() {
        assert_eq!(escaped("Größe \u{1b}[31m\n│ 温度\n"), "Größe \\u{1b}[31m\n│ 温度\n");
    }
}
