//! NVRTC's C interface: <https://docs.nvidia.com/cuda/nvrtc/>. It compiles with the host's C++ compiler, by the shim:
//! what that refuses, it refuses with what was said.
#![allow(unsafe_code)]
#![allow(non_snake_case, reason = "NVRTC's names")]

use std::ffi::{CStr, c_char, c_int};

use glassbox_shim::{Source, compile};

use crate::image::Image;
use crate::machine::trace;
use crate::settings::Settings;

const SUCCESS: c_int = 0;
const INVALID_INPUT: c_int = 3;
const INVALID_OPTION: c_int = 5;
const COMPILATION: c_int = 6;

/// Options that every kernel has to be compiled with: without them its arithmetic is another.
const REQUIRED: [&str; 2] = ["--std=c++17", "--fmad=false"];

/// A program.
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

/// # Safety
/// * both point to room for a number.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrtcVersion(major: *mut c_int, minor: *mut c_int) -> c_int {
    let (of_it, of_that) = Settings::of_environment().nvrtc;
    // SAFETY: the caller's.
    unsafe {
        major.write(of_it);
        minor.write(of_that);
    }
    SUCCESS
}

/// # Safety
/// * `count` points to room for a number.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrtcGetNumSupportedArchs(count: *mut c_int) -> c_int {
    // SAFETY: the caller's.
    unsafe { count.write(Settings::of_environment().architectures.len() as c_int) };
    SUCCESS
}

/// # Safety
/// * `architectures` points to room for as many as [`nvrtcGetNumSupportedArchs`] says.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrtcGetSupportedArchs(architectures: *mut c_int) -> c_int {
    for (at, architecture) in Settings::of_environment().architectures.iter().enumerate() {
        // SAFETY: the caller's.
        unsafe { architectures.add(at).write(*architecture as c_int) };
    }
    SUCCESS
}

/// # Safety
/// * strings end in NUL; there are `count` headers, each a text and a name; `program` points to room for a pointer.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrtcCreateProgram(
    program: *mut *mut Program,
    text: *const c_char,
    name: *const c_char,
    count: c_int,
    headers: *const *const c_char,
    names: *const *const c_char,
) -> c_int {
    let (major, minor) = Settings::of_environment().nvrtc;
    // SAFETY: the caller's.
    unsafe {
        let source = Source {
            name: string(name),
            text: string(text),
            headers: strings(names, count).into_iter().zip(strings(headers, count)).collect(),
            defines: vec![],
        };
        let image = Image { source, architecture: String::new(), version: 1000 * major + 10 * minor };
        program.write(Box::into_raw(Box::new(Program { image, log: vec![0], compiled: false })));
    }
    SUCCESS
}

/// # Safety
/// * `program` points to a pointer of [`nvrtcCreateProgram`]'s that was not destroyed.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrtcDestroyProgram(program: *mut *mut Program) -> c_int {
    // SAFETY: the caller's.
    drop(unsafe { Box::from_raw(program.read()) });
    SUCCESS
}

/// # Safety
/// * `program` is one of [`nvrtcCreateProgram`]'s; there are `count` options that end in NUL.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrtcCompileProgram(
    program: *mut Program,
    count: c_int,
    options: *const *const c_char,
) -> c_int {
    // SAFETY: the caller's.
    let (program, options) = unsafe { (&mut *program, strings(options, count)) };
    if REQUIRED.iter().any(|required| !options.iter().any(|option| option == required)) {
        return INVALID_OPTION;
    }
    for option in &options {
        match option.split_once('=') {
            Some(("--define-macro", define)) => {
                let (name, value) = define.split_once('=').unwrap_or((define, "1"));
                program.image.source.defines.push((name.into(), value.into()));
            }
            Some(("--gpu-architecture", architecture)) => program.image.architecture = architecture.into(),
            _ if REQUIRED.contains(&option.as_str()) => {}
            _ => return INVALID_OPTION,
        }
    }
    let number = program.image.architecture.split_once('_').and_then(|(_, number)| number.parse().ok());
    if !number.is_some_and(|number: u32| Settings::of_environment().architectures.contains(&number)) {
        return INVALID_OPTION;
    }
    let Image { source, architecture, .. } = &program.image;
    trace(format_args!("nvrtcCompileProgram {} {architecture}", source.name));
    match compile(source) {
        Ok(_) => {
            program.compiled = true;
            SUCCESS
        }
        Err(error) => {
            program.log = format!("{error}\0").into_bytes();
            COMPILATION
        }
    }
}

/// What a program gives: its bytes.
type Output = fn(&Program) -> Vec<u8>;

/// # Safety
/// * `program` is one of [`nvrtcCreateProgram`]'s; `size` points to room for a number.
unsafe fn size(program: *const Program, size: *mut usize, output: Output) -> c_int {
    // SAFETY: the caller's.
    unsafe { size.write(output(&*program).len()) };
    SUCCESS
}

/// # Safety
/// * `program` is one of [`nvrtcCreateProgram`]'s; `to` points to room for as many bytes as [`size`] says.
unsafe fn get(program: *const Program, to: *mut u8, output: Output) -> c_int {
    // SAFETY: the caller's.
    let bytes = output(unsafe { &*program });
    // SAFETY: the caller's.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    SUCCESS
}

fn log(program: &Program) -> Vec<u8> {
    program.log.clone()
}

fn image(program: &Program) -> Vec<u8> {
    if program.compiled { program.image.to_bytes() } else { vec![] }
}

/// Whether the program was compiled for machine code (`sm_90`), not for PTX (`compute_90`).
fn is_machine_code(program: &Program) -> bool {
    program.image.architecture.starts_with("sm_")
}

macro_rules! outputs {
    ($($size:ident, $get:ident: $output:expr, $condition:expr;)*) => {$(
        /// # Safety
        /// * `program` is one of [`nvrtcCreateProgram`]'s; `bytes` points to room for a number.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $size(program: *const Program, bytes: *mut usize) -> c_int {
            // SAFETY: the caller's.
            unsafe { if $condition(&*program) { size(program, bytes, $output) } else { INVALID_INPUT } }
        }

        /// # Safety
        /// * `program` is one of [`nvrtcCreateProgram`]'s; `to` points to room for all bytes.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $get(program: *const Program, to: *mut u8) -> c_int {
            // SAFETY: the caller's.
            unsafe { if $condition(&*program) { get(program, to, $output) } else { INVALID_INPUT } }
        }
    )*};
}

outputs! {
    nvrtcGetProgramLogSize, nvrtcGetProgramLog: log, |_: &Program| true;
    nvrtcGetCUBINSize, nvrtcGetCUBIN: image, is_machine_code;
    nvrtcGetPTXSize, nvrtcGetPTX: image, |program: &Program| !is_machine_code(program);
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
