//! The state of a watch as a file, from which another process goes on without a lost, doubled or changed line.
//!
//! ```json
//! { "glassbox.watch": 1, "sha256": "...", "state": { "run": {}, "ended": false, "place": {}, ... } }
//! ```
//!
//! | in `state` | |
//! |---|---|
//! | `run` | the [`Fingerprint`] of the watch: the model and the options that decide the lines |
//! | `ended` | the end of the input was reached |
//! | `place` | bytes and lines of the input up to the last row that was read, with a checksum of these bytes |
//! | `memory` | the last rows, up to two windows of them, and what was seen of the order and the sampling step |
//! | `tally` | counts of rows by what was said of them |
//! | `output` | bytes of the output up to the last line of that row |
//!
//! No scores are stored: the last rows are scored again, which gives the same bits. `sha256` is the checksum of `state`.

use std::path::Path;

use glassbox::fingerprint::{Difference, Fingerprint};
use glassbox_engine::text::excerpt;
use glassbox_formats::atomic::{self, WriteError};
use glassbox_formats::hash::Sha256;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Memory, Tally};
use crate::series::Place;

const VERSION_KEY: &str = "glassbox.watch";
const VERSION: u64 = 1;

/// The reason why a watch cannot go on from a state. The file is never changed by reading it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the messages call them")]
pub enum StateError {
    /// The file cannot be read.
    #[error("cannot read the state {file}: {cause}; check that the file may be read")]
    Unreadable { file: String, cause: std::io::Error },
    /// The file is not what was written.
    #[error(
        "the state {file} is damaged or none: {}; put back a good copy, or remove it and the output to start anew",
        excerpt(problem)
    )]
    Damaged { file: String, problem: String },
    /// The file is of another version of this format.
    #[error(
        "the state {file} has version {}, and this program reads version {VERSION}; go on with the program that wrote it, \
         or remove it and the output to start anew",
        excerpt(found)
    )]
    Version { file: String, found: String },
    /// The state is that of another run.
    #[error(
        "the state {file} is of another run: {} is {} here and {} there; give the same model and options, or another file \
         for the state",
        excerpt(&difference.what), excerpt(&difference.here), excerpt(&difference.there)
    )]
    OtherRun { file: String, difference: Difference },
    /// The end of the input was reached before, and rows have come since.
    #[error(
        "{input} has grown since its end was reached, and its last rows were judged as the last ones; start anew, and \
         follow an input that grows"
    )]
    Ended { input: String },
}

/// A state to go on from.
#[derive(Debug, Clone, PartialEq)]
pub struct State(pub(super) Parts);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    pub(super) run: Fingerprint,
    pub(super) ended: bool,
    pub(super) place: Option<Place>,
    pub(super) memory: Memory,
    pub(super) tally: Tally,
    pub(super) output: Option<u64>,
}

impl State {
    /// Number of bytes of the output that the state covers, if it is one that can be cut.
    #[must_use]
    pub fn output(&self) -> Option<u64> {
        self.0.output
    }

    /// Writes the file, whole or not at all. When this returns, it is on the disk.
    ///
    /// # Errors
    /// If the file cannot be written; the old one is then as it was.
    pub fn save(&self, path: &Path) -> Result<(), WriteError> {
        atomic::write(path, &self.to_bytes())
    }

    /// Reads the file; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub fn load(path: &Path) -> Result<Option<Self>, StateError> {
        let file = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => Self::from_bytes(&bytes, &file).map(Some),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(StateError::Unreadable { file, cause }),
        }
    }

    /// The content of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let state = serde_json::to_value(&self.0).expect("numbers and texts");
        let sha256 = Sha256::of(state.to_string().as_bytes()).to_string();
        let mut bytes =
            json!({ VERSION_KEY: VERSION, "sha256": sha256, "state": state }).to_string().into_bytes();
        bytes.push(b'\n');
        bytes
    }

    /// Reads the content of a file; `file` is for messages.
    ///
    /// # Errors
    /// If it is damaged, or of another version.
    pub fn from_bytes(bytes: &[u8], file: &str) -> Result<Self, StateError> {
        let damaged = |problem: String| StateError::Damaged { file: file.into(), problem };
        let document: Json = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        match &document[VERSION_KEY] {
            Json::Null => return Err(damaged(format!("it has no `{VERSION_KEY}`"))),
            version if *version == json!(VERSION) => {}
            other => return Err(StateError::Version { file: file.into(), found: other.to_string() }),
        }
        let state = &document["state"];
        if document["sha256"] != json!(Sha256::of(state.to_string().as_bytes()).to_string()) {
            return Err(damaged("its content does not match its checksum".into()));
        }
        Parts::deserialize(state).map(Self).map_err(|error| damaged(error.to_string()))
    }
}
