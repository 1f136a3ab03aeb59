//! NVRTC, NVIDIA's run-time compiler for CUDA C++, loaded when it is needed.
//!
//! It needs no GPU and no driver: a machine without either can compile every kernel for every architecture. The
//! library is the one that `GLASSBOX_NVRTC` names, or else one that the system finds, or the CUDA toolkit has.
//!
//! **Arithmetic.** Kernels are compiled with `--fmad=false`: a multiply-add is fused where the source says
//! `fmaf`, and nowhere else. So the source says what is rounded when, and the same source compiled as C++ gives
//! the same bits.
#![allow(unsafe_code)]

use std::env;
use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;
use std::path::{Path, PathBuf};

use libloading::Library;

use super::Source;
use crate::error::{DeviceError, Result};

/// The environment variable that names NVRTC's library, by its path.
pub const VARIABLE: &str = "GLASSBOX_NVRTC";

/// What the library is called, newest first.
const NAMES: [&str; if cfg!(windows) { 2 } else { 3 }] = {
    #[cfg(windows)]
    {
        ["nvrtc64_130_0.dll", "nvrtc64_120_0.dll"]
    }
    #[cfg(not(windows))]
    {
        ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"]
    }
};

/// Options that every kernel is compiled with.
pub const OPTIONS: [&str; 2] = ["--std=c++17", "--fmad=false"];

type Program = *mut std::ffi::c_void;

/// NVRTC.
pub struct Nvrtc {
    library: Library,
    /// Held so that NVRTC finds it when it compiles.
    _builtins: Option<Library>,
    version: (u32, u32),
    architectures: Vec<u32>,
}

impl fmt::Debug for Nvrtc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NVRTC {}.{}", self.version.0, self.version.1)
    }
}

/// What NVRTC made of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// What the driver loads: machine code, or, for an architecture that this NVRTC does not know, PTX.
    pub image: Vec<u8>,
    /// Warnings.
    pub log: String,
}

impl Nvrtc {
    /// Loads the library that `GLASSBOX_NVRTC` names, or else one that the system finds or the CUDA toolkit has: the
    /// newest that is no newer than the CUDA version of the driver, if that is given. A driver takes machine code of
    /// its own major version and of older ones
    /// (<https://docs.nvidia.com/deploy/cuda-compatibility/>).
    ///
    /// # Errors
    /// If there is none, it is no NVRTC, or it is newer than the driver.
    pub fn load(driver: Option<(u32, u32)>) -> Result<Self> {
        if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
            let path = Path::new(&path);
            return Self::load_from(path)?.for_driver(driver, path);
        }
        // That one is there and too new says more than that others are not.
        let mut too_new = None;
        for place in places() {
            let Ok(nvrtc) = Self::load_from(&place) else { continue };
            match nvrtc.for_driver(driver, &place) {
                Ok(nvrtc) => return Ok(nvrtc),
                Err(error) => too_new = Some(error),
            }
        }
        Err(too_new.unwrap_or_else(|| {
            let names = NAMES.join(", ");
            missing(format!("neither the system nor the CUDA toolkit has one of {names}"))
        }))
    }

    /// Itself, if a driver of that CUDA version takes what it makes.
    fn for_driver(self, driver: Option<(u32, u32)>, path: &Path) -> Result<Self> {
        match (self.version, driver) {
            ((major, minor), Some((most, of_driver))) if major > most => Err(missing(format!(
                "{}: NVRTC {major}.{minor} is too new for the driver, which is for CUDA {most}.{of_driver}",
                path.display()
            ))),
            _ => Ok(self),
        }
    }

    /// Loads a library by its path, or by a name that the system looks for.
    ///
    /// # Errors
    /// If it cannot be loaded, or is no NVRTC.
    pub fn load_from(path: &Path) -> Result<Self> {
        let failed = |error: &dyn fmt::Display| missing(format!("{}: {error}", path.display()));
        // SAFETY: the user's system, or the user by name, says that this is NVRTC; its initialisers have no
        // conditions. The same holds for its companion beside it.
        let (library, builtins) = unsafe {
            let library = Library::new(path).map_err(|error| failed(&error))?;
            (library, builtins_beside(path).and_then(|path| Library::new(path).ok()))
        };
        let mut nvrtc = Self { library, _builtins: builtins, version: (0, 0), architectures: vec![] };
        let (mut major, mut minor, mut count) = (0, 0, 0);
        // SAFETY: the signature is that of nvrtc.h; both pointers are to integers that outlive the call.
        nvrtc.call("nvrtcVersion", |symbol| unsafe {
            symbol.cast::<unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int>()(&mut major, &mut minor)
        })?;
        // SAFETY: as above.
        nvrtc.call("nvrtcGetNumSupportedArchs", |symbol| unsafe {
            symbol.cast::<unsafe extern "C" fn(*mut c_int) -> c_int>()(&mut count)
        })?;
        let mut architectures: Vec<c_int> = vec![0; count as usize];
        // SAFETY: as above; there is room for as many as it said.
        nvrtc.call("nvrtcGetSupportedArchs", |symbol| unsafe {
            symbol.cast::<unsafe extern "C" fn(*mut c_int) -> c_int>()(architectures.as_mut_ptr())
        })?;
        nvrtc.version = (major as u32, minor as u32);
        nvrtc.architectures = architectures.into_iter().map(|arch| arch as u32).collect();
        Ok(nvrtc)
    }

    /// Its version: (13, 0).
    #[must_use]
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// What to compile for, given a compute capability: the machine code of that very architecture, or, if this
    /// NVRTC is older than the GPU, the PTX of the newest that it knows, which the driver then compiles.
    #[must_use]
    pub fn architecture(&self, capability: (u32, u32)) -> String {
        let wanted = capability.0 * 10 + capability.1;
        if self.architectures.contains(&wanted) {
            return format!("sm_{wanted}");
        }
        let newest = self.architectures.iter().filter(|arch| **arch < wanted).max();
        format!("compute_{}", newest.unwrap_or(&wanted))
    }

    /// All options for a source and an architecture, `sm_90` or `compute_90`.
    #[must_use]
    pub fn options(source: &Source<'_>, architecture: &str) -> Vec<String> {
        let mut options: Vec<String> = OPTIONS.map(Into::into).into();
        options.push(format!("--gpu-architecture={architecture}"));
        options.extend(source.defines.iter().map(|(name, value)| format!("--define-macro={name}={value}")));
        options
    }

    /// Compiles.
    ///
    /// # Errors
    /// If the compiler refuses the source.
    pub fn compile(&self, source: &Source<'_>, architecture: &str) -> Result<Compiled> {
        let c_string = |text: &str| {
            CString::new(text).map_err(|_| DeviceError::Refused {
                what: format!("the source {}", source.name),
                problem: "it has a NUL character".into(),
            })
        };
        let c_strings =
            |texts: &mut dyn Iterator<Item = &str>| texts.map(c_string).collect::<Result<Vec<_>>>();
        let (text, name) = (c_string(source.text)?, c_string(source.name)?);
        let headers = c_strings(&mut source.headers.iter().map(|(_, text)| *text))?;
        let names = c_strings(&mut source.headers.iter().map(|(name, _)| *name))?;
        let options = Self::options(source, architecture);
        let options = c_strings(&mut options.iter().map(String::as_str))?;
        let pointers =
            |strings: &[CString]| strings.iter().map(|s| s.as_ptr()).collect::<Vec<*const c_char>>();
        let (header_texts, header_names, options) =
            (pointers(&headers), pointers(&names), pointers(&options));

        type Create = unsafe extern "C" fn(
            *mut Program,
            *const c_char,
            *const c_char,
            c_int,
            *const *const c_char,
            *const *const c_char,
        ) -> c_int;
        let mut program: Program = std::ptr::null_mut();
        // SAFETY: the signature is that of nvrtc.h; all strings end in NUL and live until the program is
        // destroyed, at the end of this function.
        self.call("nvrtcCreateProgram", |symbol| unsafe {
            symbol.cast::<Create>()(
                &mut program,
                text.as_ptr(),
                name.as_ptr(),
                header_texts.len() as c_int,
                header_texts.as_ptr(),
                header_names.as_ptr(),
            )
        })?;
        let program = Owned { nvrtc: self, program };
        // SAFETY: as above, with a program that was created.
        let done = self.call("nvrtcCompileProgram", |symbol| unsafe {
            symbol.cast::<unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int>()(
                program.program,
                options.len() as c_int,
                options.as_ptr(),
            )
        });
        let log = self.output(&program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog")?;
        let log = String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_string();
        if let Err(error) = done {
            let log = if log.is_empty() { error.to_string() } else { log };
            return Err(DeviceError::Compile { name: source.name.into(), arch: architecture.into(), log });
        }
        let image = match architecture.starts_with("sm_") {
            true => self.output(&program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")?,
            false => self.output(&program, "nvrtcGetPTXSize", "nvrtcGetPTX")?,
        };
        Ok(Compiled { image, log })
    }

    /// What a pair of functions gives: one for the size, one for the bytes.
    fn output(&self, program: &Owned<'_>, size: &'static str, get: &'static str) -> Result<Vec<u8>> {
        let mut len = 0usize;
        // SAFETY: the signature is that of nvrtc.h for both sizes; the program was created.
        self.call(size, |symbol| unsafe {
            symbol.cast::<unsafe extern "C" fn(Program, *mut usize) -> c_int>()(program.program, &mut len)
        })?;
        let mut bytes = vec![0u8; len];
        // SAFETY: as above; there is room for as many bytes as it said.
        self.call(get, |symbol| unsafe {
            symbol.cast::<unsafe extern "C" fn(Program, *mut c_char) -> c_int>()(
                program.program,
                bytes.as_mut_ptr().cast(),
            )
        })?;
        Ok(bytes)
    }

    /// Calls a function of the library, by its name.
    fn call(&self, name: &'static str, call: impl FnOnce(Symbol) -> c_int) -> Result<()> {
        // SAFETY: the symbol is not called here, and not kept beyond the library.
        let symbol = unsafe { self.library.get::<*const ()>(name.as_bytes()) };
        let symbol = symbol.map_err(|error| missing(error.to_string()))?;
        match call(Symbol(*symbol)) {
            0 => Ok(()),
            code => Err(DeviceError::Call { call: name, problem: self.message(code) }),
        }
    }

    fn message(&self, code: c_int) -> String {
        // SAFETY: the signature is that of nvrtc.h; it gives a static string for any number.
        unsafe {
            match self.library.get::<unsafe extern "C" fn(c_int) -> *const c_char>(b"nvrtcGetErrorString") {
                Ok(text) => CStr::from_ptr(text(code)).to_string_lossy().into_owned(),
                Err(_) => format!("error {code}"),
            }
        }
    }
}

/// Where NVRTC may be: wherever the system looks for libraries, or in the toolkit.
fn places() -> Vec<PathBuf> {
    let toolkits = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let toolkits: Vec<PathBuf> = toolkits.chain([PathBuf::from("/usr/local/cuda")]).collect();
    let folder = if cfg!(windows) { "bin" } else { "lib64" };
    let in_toolkits = toolkits.iter().flat_map(|toolkit| NAMES.map(|name| toolkit.join(folder).join(name)));
    NAMES.iter().map(PathBuf::from).chain(in_toolkits).collect()
}

/// The library that NVRTC itself loads by its name when it compiles. Where the system does not look beside NVRTC,
/// as in a Python package, it must be loaded before.
fn builtins_beside(path: &Path) -> Option<PathBuf> {
    let is_it = |name: &str| name.starts_with("libnvrtc-builtins.so") || name.starts_with("nvrtc-builtins64");
    let files = path.parent()?.read_dir().ok()?.filter_map(|file| Some(file.ok()?.path()));
    files.into_iter().find(|file| file.file_name().and_then(|name| name.to_str()).is_some_and(is_it))
}

/// A function of the library, before it is known which.
#[derive(Clone, Copy)]
struct Symbol(*const ());

impl Symbol {
    /// # Safety
    /// * `F` is the function's own type, a pointer to a function.
    unsafe fn cast<F: Copy>(self) -> F {
        assert_eq!(size_of::<F>(), size_of::<*const ()>(), "a pointer to a function");
        // SAFETY: the caller's; a pointer to a function has the size of any other.
        unsafe { std::mem::transmute_copy(&self.0) }
    }
}

/// A program that is destroyed at the end.
struct Owned<'a> {
    nvrtc: &'a Nvrtc,
    program: Program,
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        let Self { nvrtc, program } = self;
        // SAFETY: the signature is that of nvrtc.h; the program was created, and nobody uses it any more. That
        // it could not be destroyed would change nothing.
        let _ = nvrtc.call("nvrtcDestroyProgram", |symbol| unsafe {
            symbol.cast::<unsafe extern "C" fn(*mut Program) -> c_int>()(program)
        });
    }
}

fn missing(problem: String) -> DeviceError {
    DeviceError::NoCompiler { problem, variable: VARIABLE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_named_with_the_variable() {
        let error = Nvrtc::load_from(Path::new("/nowhere/libnvrtc.so")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/libnvrtc.so") && error.contains(VARIABLE), "{error}");
    }
}
