//! What the tests of this crate share.

use std::io::Write as _;
use std::path::PathBuf;

/// The `data` folder of NAB, from `$GLASSBOX_NAB`. Without it the test that asks says so and has nothing to
/// check, except where `$CI` is set: there the files must be, and their absence is a failure.
///
/// ```text
/// let Some(nab) = common::nab_data() else { return };
/// ```
pub(crate) fn nab_data() -> Option<PathBuf> {
    match std::env::var_os("GLASSBOX_NAB").filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(folder.into()),
        None if std::env::var_os("CI").is_some_and(|ci| !ci.is_empty()) => {
            panic!("CI is set, so GLASSBOX_NAB must name the data folder of a checkout of numenta/NAB")
        }
        None => {
            // Not `println!`: what a passing test prints by it is never shown.
            let test = std::thread::current().name().unwrap_or("a test").to_string();
            let how = "set GLASSBOX_NAB to the data folder of a checkout of numenta/NAB";
            let _ = writeln!(std::io::stderr(), "skipped {test}: {how}");
            None
        }
    }
}
