//! Messages for invalid command lines where clap's own words mislead.

use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use glassbox_engine::text::excerpt;

/// The error as it is shown: what was typed is escaped, and suggestions that cannot be meant are left out.
pub(super) fn explain(mut error: clap::Error, command: &mut clap::Command) -> clap::Error {
    for kind in [ContextKind::InvalidSubcommand, ContextKind::InvalidArg, ContextKind::InvalidValue] {
        if let Some(ContextValue::String(typed)) = error.get(kind) {
            let shown = excerpt(typed).to_string();
            error.insert(kind, ContextValue::String(shown));
        }
    }
    match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) if is_file(word) => {
            let message = format!(
                "unknown command '{word}'; to train a detector on a file: glassbox train {word}; to find anomalies in \
                 it: glassbox detect {word} --model model.safetensors"
            );
            command.error(ErrorKind::InvalidSubcommand, message)
        }
        (ErrorKind::UnknownArgument, _) => {
            // "to pass '--plot' as a value, use '-- --plot'": no value here begins with a dash.
            error.remove(ContextKind::Suggested);
            error
        }
        _ => error,
    }
}

/// Returns whether a word is rather a file than a misspelt command.
fn is_file(word: &str) -> bool {
    let path = Path::new(word);
    path.extension().is_some() || path.components().count() > 1 || path.is_file()
}
