//! The cache folder, for files that can be created or downloaded again: compiled kernels, downloads.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The environment variable that names the folder.
pub const VARIABLE: &str = "GLASSBOX_CACHE";

/// The cache folder: the one that [`VARIABLE`] names, or `glassbox` in the user's cache folder. `None` if the system
/// has no user's cache folder.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    folder_from(env::var_os(VARIABLE))
}

/// The cache folder for a given value of the variable; an empty value counts as unset.
#[must_use]
pub fn folder_from(variable: Option<OsString>) -> Option<PathBuf> {
    let users = || etcetera::choose_base_strategy().ok();
    let users = || {
        use etcetera::BaseStrategy as _;
        users().map(|user| user.cache_dir().join("glassbox"))
    };
    variable.filter(|value| !value.is_empty()).map(PathBuf::from).or_else(users)
}
