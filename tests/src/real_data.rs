//! Data that is not in the repository.

use std::io::Write as _;
use std::path::PathBuf;

/// The path in an environment variable: `GLASSBOX_NAB`, the `data` folder of NAB, or
/// `GLASSBOX_KERAS_RUNS`, recorded runs of Keras. `None`, with a word on standard error, if it is not set:
/// the test that asked skips.
///
/// # Panics
/// In CI, where `CI` is set, nothing may skip; and if the path does not exist.
#[must_use]
pub fn real_data(variable: &str) -> Option<PathBuf> {
    match std::env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => {
            // Tests run in the folder of their package; a relative path is meant from the workspace's.
            let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
            let path = workspace.join(path);
            assert!(path.exists(), "{variable} names {}, which does not exist", path.display());
            Some(path)
        }
        None => {
            skip(&format!("set {variable}"));
            None
        }
    }
}

/// Says that the test that runs skips, and what to do for it not to.
///
/// # Panics
/// In CI, where nothing may skip.
pub(crate) fn skip(remedy: &str) {
    assert!(std::env::var_os("CI").is_none(), "{remedy}: in CI nothing may skip");
    // Not `eprintln!`: what a passing test prints by it is never shown.
    let test = std::thread::current().name().unwrap_or("a test").to_string();
    let _ = writeln!(std::io::stderr(), "skipped {test}: {remedy} to run it");
}
