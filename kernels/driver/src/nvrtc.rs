//! NVRTC's C interface: <https://docs.nvidia.com/cuda/nvrtc/>. It compiles with the host's C++ compiler, by the shim:
//! what that refuses, it refuses with what was said.
#![allow(unsafe_code)]
#![allow(non_snake_case, reason = "NVRTC's names")]

use std::ffi::{CStr, c_char, c_int};

use glassbox_shim::{Source, compile};

use crate::image::Image;
use crate::interface::functions;
use crate::machine::trace;
use crate::settings::Settings;

const SUCCESS: c_int = 0;
const INVALID_INPUT: c_int = 3;
const INVALID_OPTION: c_int = 5;
const COMPILATION: c_int = 6;

/// Options that every kernel has to be compiled with: without them its arithmetic is another.
const REQUIRED: [&str; 2] = ["--std=c++17", "--fmad=false"];

/// A source, before and after its compilation.
pub(crate) struct Program {
    image: Image,
    log: Vec<u8>,
    compiled: bool,
}

/// # Safety
/// * `text` is a string that ends in NUL.
unsafe fn string(text: *const c_char) -> String {
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// # Safety
/// * there are `count` pointers to strings that end in NUL.
unsafe fn strings(texts: *const *const c_char, count: c_int) -> Vec<String> {
    // SAFETY: the caller's.
    (0..count as usize).map(|at| unsafe { string(*texts.add(at)) }).collect()
}

/// Gives a value to the caller.
///
/// # Safety
/// * `to` points to room for it.
unsafe fn give<T>(to: *mut T, value: T) -> Result<(), c_int> {
    // SAFETY: the caller's.
    unsafe { to.write(value) };
    Ok(())
}

functions! {
    c_int, SUCCESS;

    fn nvrtcVersion(minor: *mut c_int) -> c_int = {
        let (of_it, of_that) = Settings::of_environment().nvrtc;
        // SAFETY: here and below the caller's, by NVRTC's documentation.
        unsafe { give(minor, of_that) }.map(|()| of_it)
    };

    fn nvrtcGetNumSupportedArchs() -> c_int = Ok(Settings::of_environment().architectures.len() as c_int);

    fn nvrtcGetSupportedArchs(architectures: *mut c_int) = {
        for (at, architecture) in Settings::of_environment().architectures.iter().enumerate() {
            // SAFETY: above.
            unsafe { architectures.add(at).write(*architecture as c_int) };
        }
        Ok(())
    };

    fn nvrtcCreateProgram(
        text: *const c_char,
        name: *const c_char,
        count: c_int,
        headers: *const *const c_char,
        names: *const *const c_char
    ) -> *mut Program = {
        let (major, minor) = Settings::of_environment().nvrtc;
        // SAFETY: above.
        let source = unsafe {
            let headers = strings(names, count).into_iter().zip(strings(headers, count)).collect();
            Source { name: string(name), text: string(text), headers }
        };
        let image = Image { source, architecture: String::new(), version: 1000 * major + 10 * minor };
        Ok(Box::into_raw(Box::new(Program { image, log: vec![0], compiled: false })))
    };

    fn nvrtcDestroyProgram(program: *mut *mut Program) = {
        // SAFETY: above.
        drop(unsafe { Box::from_raw(program.read()) });
        Ok(())
    };

    fn nvrtcCompileProgram(program: *mut Program, count: c_int, options: *const *const c_char) = {
        // SAFETY: above.
        let (program, options) = unsafe { (&mut *program, strings(options, count)) };
        program.compile(&options)
    };
}

impl Program {
    fn compile(&mut self, options: &[String]) -> Result<(), c_int> {
        if REQUIRED.iter().any(|required| !options.iter().any(|option| option == required)) {
            return Err(INVALID_OPTION);
        }
        for option in options {
            match option.strip_prefix("--gpu-architecture=") {
                Some(architecture) => self.image.architecture = architecture.into(),
                None if REQUIRED.contains(&option.as_str()) => {}
                None => return Err(INVALID_OPTION),
            }
        }
        let Image { source, architecture, .. } = &self.image;
        let number = architecture.split_once('_').and_then(|(_, number)| number.parse().ok());
        if !number.is_some_and(|number: u32| Settings::of_environment().architectures.contains(&number)) {
            return Err(INVALID_OPTION);
        }
        trace(format_args!("nvrtcCompileProgram {} {architecture}", source.name));
        compile(source).map_err(|error| {
            self.log = format!("{error}\0").into_bytes();
            COMPILATION
        })?;
        self.compiled = true;
        Ok(())
    }

    fn log(&self) -> Result<Vec<u8>, c_int> {
        Ok(self.log.clone())
    }

    /// The image, if it was compiled for machine code (`sm_90`).
    fn machine_code(&self) -> Result<Vec<u8>, c_int> {
        self.image_for("sm_")
    }

    /// The image, if it was compiled for PTX (`compute_90`).
    fn ptx(&self) -> Result<Vec<u8>, c_int> {
        self.image_for("compute_")
    }

    fn image_for(&self, kind: &str) -> Result<Vec<u8>, c_int> {
        match self.image.architecture.starts_with(kind) {
            true if self.compiled => Ok(self.image.to_bytes()),
            true => Ok(vec![]),
            false => Err(INVALID_INPUT),
        }
    }
}

/// Defines for each output of a program the function for its size and the one for its bytes.
macro_rules! outputs {
    ($($size:ident, $get:ident: $output:expr;)*) => {
        functions! {
            c_int, SUCCESS;
            $(
                fn $size(program: *const Program, bytes: *mut usize) = {
                    // SAFETY: the caller's, by NVRTC's documentation.
                    unsafe { $output(&*program).and_then(|output| give(bytes, output.len())) }
                };

                fn $get(program: *const Program, to: *mut u8) = {
                    // SAFETY: the caller's; there is room for all bytes.
                    unsafe { $output(&*program).map(|output| output.as_ptr().copy_to(to, output.len())) }
                };
            )*
        }
    };
}
outputs! {
    nvrtcGetProgramLogSize, nvrtcGetProgramLog: Program::log;
    nvrtcGetCUBINSize, nvrtcGetCUBIN: Program::machine_code;
    nvrtcGetPTXSize, nvrtcGetPTX: Program::ptx;
}

/// Gives a static string.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn nvrtcGetErrorString(code: c_int) -> *const c_char {
    let text = match code {
        SUCCESS => c"NVRTC_SUCCESS",
        INVALID_INPUT => c"NVRTC_ERROR_INVALID_INPUT",
        INVALID_OPTION => c"NVRTC_ERROR_INVALID_OPTION",
        COMPILATION => c"NVRTC_ERROR_COMPILATION",
        _ => c"NVRTC_ERROR_INTERNAL_ERROR",
    };
    text.as_ptr()
}
