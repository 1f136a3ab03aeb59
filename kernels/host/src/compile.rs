//! Compiles a CUDA source with the host's C++ compiler, and loads the library.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use libloading::Library;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::scan::{includes, kernels};
use crate::{Error, Result};

/// The shim's own headers.
const SHIM: [(&str, &str); 5] = [
    ("shim.hpp", include_str!("../include/shim.hpp")),
    ("builtins.hpp", include_str!("../include/builtins.hpp")),
    ("fibers.hpp", include_str!("../include/fibers.hpp")),
    ("checked.hpp", include_str!("../include/checked.hpp")),
    ("launch.hpp", include_str!("../include/launch.hpp")),
];

/// CUDA C++ that makes one module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The name of the text, for messages.
    pub name: String,
    /// The text.
    pub text: String,
    /// The headers that it may include: names and texts.
    pub headers: Vec<(String, String)>,
}

/// A compiled source. Its library stays loaded until the process ends: kernels of it may be held anywhere.
#[derive(Debug)]
pub struct Module {
    pub(crate) name: String,
    pub(crate) library: Library,
}

impl Source {
    /// All names and texts.
    fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.headers.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        headers.chain([(self.name.as_str(), self.text.as_str())])
    }
}

/// A module, once it has been compiled.
type Place = Arc<Mutex<Option<Arc<Module>>>>;

/// All modules of this process, by the hash of what they were made of.
static MODULES: LazyLock<Mutex<HashMap<String, Place>>> = LazyLock::new(Mutex::default);

/// Compiles and loads a source, or finds it compiled.
///
/// # Errors
/// If there is no compiler, or it refuses the source: then with what it said.
pub fn compile(source: &Source) -> Result<Arc<Module>> {
    let unit = unit(source);
    let key = key(source, &unit);
    let place = {
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(modules.entry(key.clone()).or_default())
    };
    // Who asks for a module that is being compiled waits for it; others compile theirs meanwhile.
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = &*place {
        return Ok(Arc::clone(module));
    }
    let folder = workspace().join("target/shim").join(&key);
    let library = folder.join("kernels.so");
    if !library.exists() {
        build(source, &unit, &folder, &library)?;
    }
    // SAFETY: loading runs the constructors of the library; a source here has static data of plain types only,
    // and those of the C++ runtime are fit to be run at any time.
    let loaded = unsafe { Library::new(&library) };
    let library = loaded.map_err(|error| refused(format!("loading {}", library.display()), error))?;
    let module = Arc::new(Module { name: source.name.clone(), library });
    *place = Some(Arc::clone(&module));
    Ok(module)
}

/// The translation unit: the source, and an entry for each kernel.
fn unit(source: &Source) -> String {
    let exports =
        included(source).into_iter().flat_map(kernels).map(|kernel| format!("SHIM_EXPORT({kernel})\n"));
    format!("#include \"shim.hpp\"\n#include \"{}\"\n", source.name) + &exports.collect::<String>()
}

/// The texts of a source and of all that it includes, each once.
fn included(source: &Source) -> Vec<&str> {
    let (mut seen, mut texts, mut open) = (vec![source.name.as_str()], vec![], vec![source.text.as_str()]);
    while let Some(text) = open.pop() {
        texts.push(text);
        for name in includes(text) {
            if let Some((name, text)) = source.headers.iter().find(|(header, _)| header == name)
                && !seen.contains(&name.as_str())
            {
                seen.push(name);
                open.push(text);
            }
        }
    }
    texts
}

fn build(source: &Source, unit: &str, folder: &Path, library: &Path) -> Result<()> {
    let writing = |error| refused(format!("writing in {}", folder.display()), error);
    // Where a text is that of a file in the repository, that file is compiled: a debugger shows it.
    let kernels = workspace().join("kernels");
    let own = kernels.join("host/include");
    let texts = source.texts().map(|header| (header, &kernels));
    for ((name, text), place) in texts.chain(SHIM.map(|header| (header, &own))) {
        if fs::read_to_string(place.join(name)).is_ok_and(|found| found == text) {
            continue;
        }
        write(&folder.join(name), text).map_err(writing)?;
    }
    let main = folder.join("unit.cpp");
    write(&main, unit).map_err(writing)?;
    // In one move below: another process may be making the same.
    let made =
        tempfile::Builder::new().prefix("kernels").suffix(".so").tempfile_in(folder).map_err(writing)?;
    let mut command = Command::new(compiler());
    command.args(flags()).arg("-iquote").arg(folder).arg("-iquote").arg(kernels).arg("-iquote").arg(own);
    let output = command.arg("-o").arg(made.path()).arg(&main).output();
    let output =
        output.map_err(|error| refused(format!("running the C++ compiler {}", compiler()), error))?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error(format!("{} does not compile for the host:\n{log}", source.name)));
    }
    made.into_temp_path().persist(library).map_err(|error| writing(error.error))
}

/// Writes a file, in one move.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().expect("a file in a folder");
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

pub(crate) fn refused(what: String, problem: impl std::fmt::Display) -> Error {
    Error(format!("{what}: {problem}"))
}

/// Returns true if there is a C++ compiler: `$CXX`, or else g++.
#[must_use]
pub fn has_compiler() -> bool {
    Command::new(compiler()).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn compiler() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "g++".into())
}

fn flags() -> Vec<&'static str> {
    let mut flags = vec!["-std=c++17", "-shared", "-fPIC", "-fno-exceptions", "-U_FORTIFY_SOURCE"];
    // A kernel that has the name of a function of the C library is still the kernel: glibc has an `advance`.
    flags.push("-fvisibility=hidden");
    // No product and sum are fused that the source does not fuse, as on the GPU.
    flags.push("-ffp-contract=off");
    flags.extend(["-DGLASSBOX_HOST", "-Wall", "-Wextra", "-Werror"]);
    // Of CUDA's: pragmas for its compiler, functions that a file does not use. Of the shim's: fibers. And what is
    // written and read under one condition, twice, is no fault.
    flags.extend([
        "-Wno-unknown-pragmas",
        "-Wno-unused-function",
        "-Wno-clobbered",
        "-Wno-maybe-uninitialized",
    ]);
    let debug = std::env::var_os("GLASSBOX_SHIM_DEBUG").is_some_and(|value| !value.is_empty());
    // A few are run often, most a few times: more optimisation would take longer than it saves.
    flags.extend(if debug { ["-O0", "-g"] } else { ["-O1", "-g1"] });
    // So that `fmaf` is an instruction, not a call.
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("fma") {
        flags.push("-mfma");
    }
    flags
}

fn key(source: &Source, unit: &str) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    add(&compiler());
    flags().into_iter().for_each(&mut add);
    add(unit);
    for (name, text) in source.texts().chain(SHIM) {
        add(name);
        add(text);
    }
    hash.finalize().iter().take(16).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate is in kernels/host").to_path_buf()
}
