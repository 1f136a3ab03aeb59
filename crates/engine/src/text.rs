//! Text from outside (cells, names, paths) for messages: on one line, and harmless to a terminal.

use std::fmt::{self, Write as _};

/// Displays a text on one line. Control characters, line breaks, and the invisible characters that reorder text are
/// escaped as in Rust (`\n`, `\u{1b}`); all other characters stay readable, in any script.
///
/// ```
/// use glassbox_engine::text::{excerpt, one_line};
///
/// assert_eq!(one_line("Größe, 温度\n\u{1b}[2J").to_string(), r"Größe, 温度\n\u{1b}[2J");
/// assert_eq!(excerpt(&"long ".repeat(1000)).to_string().chars().count(), 81);
/// ```
#[must_use]
pub fn one_line(text: &str) -> OneLine<'_> {
    OneLine { text, most: usize::MAX }
}

/// Displays the first 80 characters of a text on one line; an ellipsis replaces the rest.
#[must_use]
pub fn excerpt(text: &str) -> OneLine<'_> {
    one_line(text).up_to(80)
}

/// Lists the first eight names, each cut to an excerpt: `` `a`, `b` and 3 more``.
///
/// ```
/// use glassbox_engine::text::listed;
///
/// assert_eq!(listed(["a", "b\u{7}"]), r"`a`, `b\u{7}`");
/// assert_eq!(listed(["x"; 10]), "`x`, `x`, `x`, `x`, `x`, `x`, `x`, `x` and 2 more");
/// assert_eq!(listed([""; 0]), "none");
/// ```
#[must_use]
pub fn listed<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    const SHOWN: usize = 8;
    let mut names = names.into_iter();
    let shown: Vec<String> =
        names.by_ref().take(SHOWN).map(|name| format!("`{}`", excerpt(name.as_ref()))).collect();
    match (shown.as_slice(), names.count()) {
        ([], _) => "none".into(),
        (shown, 0) => shown.join(", "),
        (shown, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Displays a text on one line: see [`one_line`].
#[derive(Debug, Clone, Copy)]
pub struct OneLine<'a> {
    text: &'a str,
    most: usize,
}

impl OneLine<'_> {
    /// Limits the display to this many characters of the text, and an ellipsis for the rest.
    #[must_use]
    pub fn up_to(self, characters: usize) -> Self {
        Self { most: characters, ..self }
    }
}

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.text.chars();
        for c in characters.by_ref().take(self.most) {
            match is_plain(c) {
                true => f.write_char(c)?,
                false => write!(f, "{}", c.escape_default())?,
            }
        }
        if characters.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

/// Returns true if a character is shown unchanged: all except control characters (C0, C1, DEL), line separators, and
/// the marks that hide or reorder text. The joiners U+200C and U+200D are shown: words of several scripts need them.
#[must_use]
pub fn is_plain(c: char) -> bool {
    let reorders =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let hides = matches!(c, '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
    !(c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || reorders || hides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_words_are_not() {
        for (text, shown) in [
            ("a\tb\r\n", r"a\tb\r\n"),
            ("\u{1b}]0;title\u{7}\u{7f}", r"\u{1b}]0;title\u{7}\u{7f}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("\u{202e}txt.exe\u{2066}\u{2028}\u{feff}", r"\u{202e}txt.exe\u{2066}\u{2028}\u{feff}"),
            // Decomposed characters, as in file names on macOS; a joiner; quotes and backslashes of paths.
            ("Gro\u{308}ße 温度 می\u{200c}خواهم", "Gro\u{308}ße 温度 می\u{200c}خواهم"),
            (r#"C:\data "new" it's"#, r#"C:\data "new" it's"#),
        ] {
            assert_eq!(one_line(text).to_string(), shown);
        }
    }

    #[test]
    fn an_excerpt_counts_characters() {
        let exact = "ä".repeat(80);
        assert_eq!(excerpt(&exact).to_string(), exact);
        assert_eq!(excerpt(&format!("{exact}b")).to_string(), format!("{exact}…"));
        assert_eq!(one_line("abc").up_to(0).to_string(), "…");
    }
}
