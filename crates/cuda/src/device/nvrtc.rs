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

/// The functions of nvrtc.h that are called and give a status, as methods that give an error with their names.
macro_rules! functions {
    ($(fn $name:ident($($argument:ident: $kind:ty),*);)*) => {
        #[allow(non_snake_case, reason = "NVRTC's names")]
        struct Functions {
            $($name: unsafe extern "C" fn($($kind),*) -> c_int,)*
            nvrtcGetErrorString: unsafe extern "C" fn(c_int) -> *const c_char,
        }

        #[allow(non_snake_case, reason = "NVRTC's names")]
        impl Functions {
            /// # Safety
            /// * the library is NVRTC, and outlives the functions.
            unsafe fn of(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: the caller's; the types are those of nvrtc.h.
                unsafe {
                    Ok(Self {
                        $($name: *library.get(stringify!($name))?,)*
                        nvrtcGetErrorString: *library.get("nvrtcGetErrorString")?,
                    })
                }
            }

            $(
                /// # Safety
                /// * as NVRTC's documentation asks for.
                unsafe fn $name(&self, $($argument: $kind),*) -> Result<()> {
                    // SAFETY: the caller's.
                    let status = unsafe { (self.$name)($($argument),*) };
                    self.done(stringify!($name), status)
                }
            )*
        }
    };
}
functions! {
    fn nvrtcVersion(major: *mut c_int, minor: *mut c_int);
    fn nvrtcGetNumSupportedArchs(count: *mut c_int);
    fn nvrtcGetSupportedArchs(architectures: *mut c_int);
    fn nvrtcCreateProgram(
        program: *mut Program, text: *const c_char, name: *const c_char, count: c_int,
        headers: *const *const c_char, names: *const *const c_char
    );
    fn nvrtcDestroyProgram(program: *mut Program);
    fn nvrtcCompileProgram(program: Program, count: c_int, options: *const *const c_char);
    fn nvrtcGetProgramLogSize(program: Program, size: *mut usize);
    fn nvrtcGetProgramLog(program: Program, log: *mut u8);
    fn nvrtcGetCUBINSize(program: Program, size: *mut usize);
    fn nvrtcGetCUBIN(program: Program, image: *mut u8);
    fn nvrtcGetPTXSize(program: Program, size: *mut usize);
    fn nvrtcGetPTX(program: Program, image: *mut u8);
}

impl Functions {
    /// An error that names the call, unless its status is that of success.
    fn done(&self, call: &'static str, status: c_int) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: it gives a static string for any number.
        let problem = unsafe { CStr::from_ptr((self.nvrtcGetErrorString)(status)) };
        Err(DeviceError::Call { call, problem: problem.to_string_lossy().into_owned() })
    }
}

/// A method that writes something of a program to a pointer.
type Get<T> = unsafe fn(&Functions, Program, *mut T) -> Result<()>;

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
        let (mut major, mut minor, mut count) = (0, 0, 0);
        // SAFETY: pointers are to numbers that outlive the calls, and to room for as many as there are.
        let architectures = unsafe {
            functions.nvrtcVersion(&mut major, &mut minor)?;
            functions.nvrtcGetNumSupportedArchs(&mut count)?;
            let mut architectures: Vec<c_int> = vec![0; count as usize];
            functions.nvrtcGetSupportedArchs(architectures.as_mut_ptr())?;
            architectures.into_iter().map(|arch| arch as u32).collect()
        };
        let version = (major as u32, minor as u32);
        Ok(Self { functions, _library: library, _builtins: builtins, version, architectures })
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
        // Strings, and the pointers to them.
        let c_strings = |texts: Vec<&str>| -> Result<(Vec<CString>, Vec<*const c_char>)> {
            let strings = texts.into_iter().map(CString::new).collect::<std::result::Result<Vec<_>, _>>();
            let strings = strings.map_err(|error| DeviceError::Refused {
                what: format!("the source {}", source.name),
                problem: error.to_string(),
            })?;
            let pointers = strings.iter().map(|string| string.as_ptr()).collect();
            Ok((strings, pointers))
        };
        let (names, headers) = source.headers.iter().copied().unzip();
        let options = Self::options(architecture);
        let (_own, own) = c_strings(vec![source.text, source.name])?;
        let (_names, names) = c_strings(names)?;
        let (_headers, headers) = c_strings(headers)?;
        let (_options, options) = c_strings(options.iter().map(String::as_str).collect())?;
        let functions = &self.functions;
        let mut program = std::ptr::null_mut();
        // SAFETY: all strings end in NUL and live until the program is destroyed, at the end of this function.
        unsafe {
            let (count, headers, names) = (headers.len() as c_int, headers.as_ptr(), names.as_ptr());
            functions.nvrtcCreateProgram(&mut program, own[0], own[1], count, headers, names)?;
        }
        let program = Owned { functions, program };
        let count = options.len() as c_int;
        // SAFETY: as above, with a program that was created.
        let done = unsafe { functions.nvrtcCompileProgram(program.program, count, options.as_ptr()) };
        let log = program.output(Functions::nvrtcGetProgramLogSize, Functions::nvrtcGetProgramLog)?;
        let log = String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_string();
        if let Err(error) = done {
            let log = if log.is_empty() { error.to_string() } else { log };
            return Err(DeviceError::Compile { name: source.name.into(), arch: architecture.into(), log });
        }
        let image = match architecture.starts_with("sm_") {
            true => program.output(Functions::nvrtcGetCUBINSize, Functions::nvrtcGetCUBIN)?,
            false => program.output(Functions::nvrtcGetPTXSize, Functions::nvrtcGetPTX)?,
        };
        Ok(Compiled { image, log })
    }
}

/// The places of NVRTC: wherever the system looks for libraries, and in the toolkit.
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
    functions: &'a Functions,
    program: Program,
}

impl Owned<'_> {
    /// An output, by the method for its size and the one for its bytes.
    fn output(&self, size: Get<usize>, get: Get<u8>) -> Result<Vec<u8>> {
        let mut len = 0;
        // SAFETY: the program was created; the pointers are to a number, and to room for as many bytes as it says.
        unsafe {
            size(self.functions, self.program, &mut len)?;
            let mut bytes = vec![0; len];
            get(self.functions, self.program, bytes.as_mut_ptr())?;
            Ok(bytes)
        }
    }
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        // SAFETY: the program was created, and nobody uses it any more. A failure would change nothing.
        let _ = unsafe { self.functions.nvrtcDestroyProgram(&mut self.program) };
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
