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
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::path::{Path, PathBuf};

use libloading::Library;

use super::Source;
use crate::error::{DeviceError, Result};

/// The environment variable that names NVRTC's library, by its path.
pub const VARIABLE: &str = "GLASSBOX_NVRTC";

/// The names of the library, newest first.
const NAMES: &[&str] = if cfg!(windows) {
    &["nvrtc64_130_0.dll", "nvrtc64_120_0.dll"]
} else {
    &["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"]
};

/// Options that every kernel is compiled with.
pub const OPTIONS: [&str; 2] = ["--std=c++17", "--fmad=false"];

type Program = *mut c_void;

/// The functions of nvrtc.h that are called, by their names.
macro_rules! functions {
    ($(fn $name:ident($($argument:ty),*) -> $gives:ty;)*) => {
        #[allow(non_snake_case, reason = "NVRTC's names")]
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> $gives,)*
        }

        impl Functions {
            /// # Safety
            /// * the library is NVRTC, and outlives the functions.
            unsafe fn of(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: the caller's; the types are those of nvrtc.h.
                unsafe { Ok(Self { $($name: *library.get(stringify!($name).as_bytes())?),* }) }
            }
        }
    };
}
functions! {
    fn nvrtcVersion(*mut c_int, *mut c_int) -> c_int;
    fn nvrtcGetNumSupportedArchs(*mut c_int) -> c_int;
    fn nvrtcGetSupportedArchs(*mut c_int) -> c_int;
    fn nvrtcCreateProgram(
        *mut Program, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char
    ) -> c_int;
    fn nvrtcDestroyProgram(*mut Program) -> c_int;
    fn nvrtcCompileProgram(Program, c_int, *const *const c_char) -> c_int;
    fn nvrtcGetProgramLogSize(Program, *mut usize) -> c_int;
    fn nvrtcGetProgramLog(Program, *mut u8) -> c_int;
    fn nvrtcGetCUBINSize(Program, *mut usize) -> c_int;
    fn nvrtcGetCUBIN(Program, *mut u8) -> c_int;
    fn nvrtcGetPTXSize(Program, *mut usize) -> c_int;
    fn nvrtcGetPTX(Program, *mut u8) -> c_int;
    fn nvrtcGetErrorString(c_int) -> *const c_char;
}

/// A function that gives something of a program, at a pointer.
type Get<T> = unsafe extern "C" fn(Program, *mut T) -> c_int;

/// NVRTC.
pub struct Nvrtc {
    functions: Functions,
    /// Held because the functions are its own.
    _library: Library,
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

/// The outcome of a compilation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The code that the driver loads: machine code, or, for an architecture that this NVRTC does not know, PTX.
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
        let failed = |error: libloading::Error| missing(format!("{}: {error}", path.display()));
        // SAFETY: the user's system, or the user by name, says that this is NVRTC; its initialisers have no
        // conditions. The same holds for its companion beside it.
        let (library, functions, builtins) = unsafe {
            let library = Library::new(path).map_err(failed)?;
            let functions = Functions::of(&library).map_err(failed)?;
            (library, functions, builtins_beside(path).and_then(|path| Library::new(path).ok()))
        };
        let mut nvrtc = Self {
            functions,
            _library: library,
            _builtins: builtins,
            version: (0, 0),
            architectures: vec![],
        };
        let (mut major, mut minor, mut count) = (0, 0, 0);
        // SAFETY: here and below, pointers are to numbers that outlive the call, and strings end in NUL.
        nvrtc.done("nvrtcVersion", unsafe { (nvrtc.functions.nvrtcVersion)(&mut major, &mut minor) })?;
        // SAFETY: as above.
        let counted = unsafe { (nvrtc.functions.nvrtcGetNumSupportedArchs)(&mut count) };
        nvrtc.done("nvrtcGetNumSupportedArchs", counted)?;
        let mut architectures: Vec<c_int> = vec![0; count as usize];
        // SAFETY: as above; there is room for as many as it said.
        let listed = unsafe { (nvrtc.functions.nvrtcGetSupportedArchs)(architectures.as_mut_ptr()) };
        nvrtc.done("nvrtcGetSupportedArchs", listed)?;
        nvrtc.version = (major as u32, minor as u32);
        nvrtc.architectures = architectures.into_iter().map(|arch| arch as u32).collect();
        Ok(nvrtc)
    }

    /// Its version: (13, 0).
    #[must_use]
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// The architecture to compile for, given a compute capability: that very one, for machine code, or, if this
    /// NVRTC is older than the GPU, the newest that it knows, for PTX, which the driver then compiles.
    #[must_use]
    pub fn architecture(&self, capability: (u32, u32)) -> String {
        let wanted = capability.0 * 10 + capability.1;
        if self.architectures.contains(&wanted) {
            return format!("sm_{wanted}");
        }
        let newest = self.architectures.iter().filter(|arch| **arch < wanted).max();
        format!("compute_{}", newest.unwrap_or(&wanted))
    }

    /// All options for an architecture, `sm_90` or `compute_90`.
    #[must_use]
    pub fn options(architecture: &str) -> Vec<String> {
        OPTIONS.map(Into::into).into_iter().chain([format!("--gpu-architecture={architecture}")]).collect()
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
        let c_strings = |texts: &[&str]| texts.iter().map(|text| c_string(text)).collect::<Result<Vec<_>>>();
        let pointers = |strings: &[CString]| strings.iter().map(|s| s.as_ptr()).collect::<Vec<_>>();
        let (text, name) = (c_string(source.text)?, c_string(source.name)?);
        let (names, headers): (Vec<&str>, Vec<&str>) = source.headers.iter().copied().unzip();
        let (names, headers) = (c_strings(&names)?, c_strings(&headers)?);
        let options = Self::options(architecture);
        let options = c_strings(&options.iter().map(String::as_str).collect::<Vec<_>>())?;

        let (headers_at, names_at, options_at) = (pointers(&headers), pointers(&names), pointers(&options));
        let api = &self.functions;
        let mut program = std::ptr::null_mut();
        // SAFETY: all strings end in NUL and live until the program is destroyed, at the end of this function.
        self.done("nvrtcCreateProgram", unsafe {
            let (text, name, count) = (text.as_ptr(), name.as_ptr(), headers.len() as c_int);
            (api.nvrtcCreateProgram)(&mut program, text, name, count, headers_at.as_ptr(), names_at.as_ptr())
        })?;
        let program = Owned { api, program };
        let count = options.len() as c_int;
        // SAFETY: as above, with a program that was created.
        let compiled = unsafe { (api.nvrtcCompileProgram)(program.program, count, options_at.as_ptr()) };
        let log = self.output(
            &program,
            "nvrtcGetProgramLog",
            (api.nvrtcGetProgramLogSize, api.nvrtcGetProgramLog),
        )?;
        let log = String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_string();
        if let Err(error) = self.done("nvrtcCompileProgram", compiled) {
            let log = if log.is_empty() { error.to_string() } else { log };
            return Err(DeviceError::Compile { name: source.name.into(), arch: architecture.into(), log });
        }
        let (name, functions) = match architecture.starts_with("sm_") {
            true => ("nvrtcGetCUBIN", (api.nvrtcGetCUBINSize, api.nvrtcGetCUBIN)),
            false => ("nvrtcGetPTX", (api.nvrtcGetPTXSize, api.nvrtcGetPTX)),
        };
        Ok(Compiled { image: self.output(&program, name, functions)?, log })
    }

    /// An output of a program, by a function for its size and one for its bytes.
    fn output(
        &self,
        program: &Owned<'_>,
        name: &'static str,
        (size, get): (Get<usize>, Get<u8>),
    ) -> Result<Vec<u8>> {
        let mut len = 0usize;
        // SAFETY: the program was created, and the pointer is to a number that outlives the call.
        self.done(name, unsafe { size(program.program, &mut len) })?;
        let mut bytes = vec![0u8; len];
        // SAFETY: as above; there is room for as many bytes as it said.
        self.done(name, unsafe { get(program.program, bytes.as_mut_ptr()) })?;
        Ok(bytes)
    }

    /// An error that names the call, unless its status is that of success.
    fn done(&self, call: &'static str, status: c_int) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: it gives a static string for any number.
        let problem = unsafe { CStr::from_ptr((self.functions.nvrtcGetErrorString)(status)) };
        Err(DeviceError::Call { call, problem: problem.to_string_lossy().into_owned() })
    }
}

/// Where NVRTC may be: wherever the system looks for libraries, or in the toolkit.
fn places() -> Vec<PathBuf> {
    let toolkits = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let toolkits: Vec<PathBuf> = toolkits.chain([PathBuf::from("/usr/local/cuda")]).collect();
    let folder = if cfg!(windows) { "bin" } else { "lib64" };
    let in_toolkits =
        toolkits.iter().flat_map(|toolkit| NAMES.iter().map(move |name| toolkit.join(folder).join(name)));
    NAMES.iter().map(PathBuf::from).chain(in_toolkits).collect()
}

/// The library that NVRTC itself loads by its name when it compiles. Where the system does not look beside NVRTC,
/// as in a Python package, it must be loaded before.
fn builtins_beside(path: &Path) -> Option<PathBuf> {
    let is_it = |name: &str| name.starts_with("libnvrtc-builtins.so") || name.starts_with("nvrtc-builtins64");
    let files = path.parent()?.read_dir().ok()?.filter_map(|file| Some(file.ok()?.path()));
    files.into_iter().find(|file| file.file_name().and_then(|name| name.to_str()).is_some_and(is_it))
}

/// A program that is destroyed at the end.
struct Owned<'a> {
    api: &'a Functions,
    program: Program,
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        // SAFETY: the program was created, and nobody uses it any more. A failure would change nothing.
        let _ = unsafe { (self.api.nvrtcDestroyProgram)(&mut self.program) };
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
