//! Events of a live detector: lines about rows, and notices.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use serde::Serialize;

use crate::error::Error;
use crate::rows::{Judged, Reason};
use crate::series::Clock;

/// Something that is said of the rows so far.
#[derive(Debug)]
pub enum Event<'a> {
    /// A line about a row.
    Line(Line<'a>),
    /// A report of something odd about the rows.
    Notice(Notice),
}

/// The moment at which a line is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// As soon as the row arrives.
    Live,
    /// When no window to come holds the row.
    Settled,
}

impl Kind {
    /// `live` or `settled`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Settled => "settled",
        }
    }
}

/// A line about a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line<'a> {
    /// When it is known.
    pub kind: Kind,
    /// The row's timestamp.
    pub timestamp: DateTime,
    /// The clock that it comes from.
    pub clock: Clock,
    /// The row's value in each column (raw), if it has one there.
    pub values: &'a [Option<f64>],
    /// Its scores and the verdict on it. A live line has no settled score; its shares and its verdict are those of the live score.
    pub judged: &'a Judged,
}

/// A report of something odd about the rows. Its `Display` says what was found, where, and how it is handled.
#[derive(Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages call them")]
pub enum Notice {
    /// A row cannot be used, and was left out.
    LeftOut { file: String, line: u64, reason: Reason },
    /// A row cannot be read, or a value is out of range. It was left out, and has no lines.
    Unreadable(Box<Error>),
    /// A gap before a row.
    Gap { file: String, line: u64, length: SignedDuration, step: SignedDuration },
    /// The latest rows have another sampling step than the training series, unlike those before.
    OtherStep { line: u64, problem: Box<Error> },
    /// The input goes on after the last row of the state: it does not repeat the rows before.
    GoesOn { file: String },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftOut { file, line, reason } => {
                write!(f, "{file}, line {line}: {}; row left out", reason.text())
            }
            Self::Unreadable(problem) => write!(f, "{problem}; row left out"),
            Self::Gap { file, line, length, step } => write!(
                f,
                "{file}, line {line}: a step of {length:#} at a sampling step of {step:#}; no window runs across, so rows \
                 are judged again after a whole window"
            ),
            Self::OtherStep { line, problem } => write!(f, "the rows before line {line}: {problem}"),
            Self::GoesOn { file } => {
                write!(f, "{file} begins after the last row of the state; all of its rows are new")
            }
        }
    }
}
