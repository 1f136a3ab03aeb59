//! Puts this library where the driver and NVRTC are looked for.
#![allow(unsafe_code)]

use std::env;
use std::ffi::{CString, OsString, c_char};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::Library;

use crate::settings::{SETTINGS, Settings};

/// The library, under the names of the driver and of NVRTC.
#[derive(Debug, Clone)]
pub struct Installed {
    folder: PathBuf,
}

/// Links the library into a folder.
///
/// # Errors
/// If it was not built, which building any test that depends on this crate does, or the folder cannot be written.
pub fn install(folder: &Path) -> io::Result<Installed> {
    let library = library()?;
    fs::create_dir_all(folder)?;
    for name in ["libcuda.so", "libcuda.so.1", "libnvrtc.so.13"] {
        let link = folder.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(&library, link)?;
        }
    }
    Ok(Installed { folder: folder.to_path_buf() })
}

impl Installed {
    /// The environment in which a command finds it, in the place of any other driver.
    ///
    /// # Panics
    /// Never: settings are JSON.
    #[must_use]
    pub fn environment(&self, settings: &Settings) -> Vec<(&'static str, OsString)> {
        let mut folders = vec![self.folder.clone()];
        folders.extend(env::var_os("LD_LIBRARY_PATH").iter().flat_map(env::split_paths));
        vec![
            ("LD_LIBRARY_PATH", env::join_paths(folders).expect("folders that were in such a list")),
            ("GLASSBOX_NVRTC", self.folder.join("libnvrtc.so.13").into()),
            (SETTINGS, serde_json::to_string(settings).expect("numbers are JSON").into()),
        ]
    }
}

/// Adds a GPU of these settings to those that the driver has in this process, and gives its number.
///
/// The driver is the stand-in from here on, if none was asked for before: the library is loaded under the name that the
/// driver's is looked for by (`build.rs`), and the system loads no second one of a name.
///
/// # Errors
/// If the library was not built or cannot be loaded.
///
/// # Panics
/// Never: settings are JSON.
pub fn plug(settings: &Settings) -> io::Result<usize> {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    if LIBRARY.get().is_none() {
        // SAFETY: it is the stand-in, which has no initialisers.
        let loaded = unsafe { Library::new(library()?) }.map_err(io::Error::other)?;
        // Another thread's is the same.
        let _ = LIBRARY.set(loaded);
    }
    let settings = serde_json::to_string(settings).expect("numbers are JSON");
    let settings = CString::new(settings).expect("JSON has no NUL");
    // SAFETY: the type is that of the function in `cuda.rs`; the text ends in NUL and outlives the call.
    unsafe {
        let library = LIBRARY.get().expect("loaded above");
        let plug = library.get::<unsafe extern "C" fn(*const c_char) -> usize>("standInPlug");
        Ok(plug.map_err(io::Error::other)?(settings.as_ptr()))
    }
}

/// The library itself: cargo puts it beside the test that asks, or above it.
///
/// # Errors
/// If it is not there.
pub fn library() -> io::Result<PathBuf> {
    let name = "libglassbox_stand_in.so";
    let test = env::current_exe()?;
    let places = test
        .ancestors()
        .skip(1)
        .take(2)
        .flat_map(|folder| [folder.join(name), folder.join("deps").join(name)]);
    places
        .into_iter()
        .find(|place| place.is_file())
        .ok_or_else(|| io::Error::other(format!("{name} is not beside {}", test.display())))
}
