//! The stand-in is no judge that lets all pass: whoever breaks the driver's rules is told so, as the driver would.
//!
//! One test, for a process has one driver, and the order matters.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr::null;
use std::sync::LazyLock;

use cudarc::driver::sys::{CUfunction_attribute as KernelAttribute, CUresult as Code};
use glassbox_cuda::device::Source;
use glassbox_cuda::device::nvrtc::Nvrtc;
use glassbox_stand_in::Settings;
use libloading::Library;

/// Adds one to each of 64 words: the head of the kernels' dialect, a pointer, a number.
const KERNEL: &str = r#"
#include "dialect.cuh"
extern "C" __global__ void add(InOut<unsigned> words, unsigned count) {
    if (threadIdx.x < count) words[threadIdx.x] += 1;
}
"#;
const DIALECT: (&str, &str) = ("dialect.cuh", include_str!("../../dialect.cuh"));

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let path = glassbox_stand_in::library().expect("the library beside the test");
    // SAFETY: it is the stand-in, which has no initialisers.
    unsafe { Library::new(path) }.expect("a library")
});

/// A call of the driver's: its name, the types of its parameters, its arguments.
macro_rules! call {
    ($name:literal ($($kind:ty = $argument:expr),*)) => {{
        // SAFETY: the types are those of the driver's documentation, and pointers are to what lives on.
        unsafe {
            let function = LIBRARY.get::<unsafe extern "C" fn($($kind),*) -> Code>($name).expect("a function");
            function($($argument),*)
        }
    }};
}

fn synchronize(stream: u64) -> Code {
    call!("cuStreamSynchronize"(u64 = stream))
}

fn alloc(bytes: usize) -> Result<u64, Code> {
    let mut address = 0u64;
    match call!("cuMemAlloc_v2"(*mut u64 = &mut address, usize = bytes)) {
        Code::CUDA_SUCCESS => Ok(address),
        code => Err(code),
    }
}

fn upload(address: u64, words: &[u32], stream: u64) -> Code {
    call!("cuMemcpyHtoDAsync_v2"(u64 = address, *const u32 = words.as_ptr(), usize = 4 * words.len(), u64 = stream))
}

fn download(words: &mut [u32], address: u64, stream: u64) -> Code {
    call!("cuMemcpyDtoHAsync_v2"(*mut u32 = words.as_mut_ptr(), u64 = address, usize = 4 * words.len(), u64 = stream))
}

/// `add` on `count` words.
fn launch(kernel: u64, address: u64, count: u32, shared_bytes: u32, stream: u64) -> Code {
    let arguments: [*const c_void; 2] = [(&raw const address).cast(), (&raw const count).cast()];
    call!("cuLaunchKernel"(
        u64 = kernel,
        c_uint = 1, c_uint = 1, c_uint = 1,
        c_uint = 64, c_uint = 1, c_uint = 1,
        c_uint = shared_bytes, u64 = stream,
        *const *const c_void = arguments.as_ptr(), *const *const c_void = null()
    ))
}

#[test]
fn whoever_breaks_the_drivers_rules_is_told_so() {
    if !glassbox_stand_in::has_compiler() {
        assert!(std::env::var_os("CI").is_none(), "no C++ compiler: in CI nothing may skip");
        return;
    }

    // Nothing before it is started, nothing without a context, no other GPU than there is.
    assert_eq!(alloc(4), Err(Code::CUDA_ERROR_NOT_INITIALIZED));
    assert_eq!(call!("cuInit"(c_uint = 0)), Code::CUDA_SUCCESS);
    assert_eq!(alloc(4), Err(Code::CUDA_ERROR_INVALID_CONTEXT));
    let retain = |device| {
        let mut context = 0u64;
        (call!("cuDevicePrimaryCtxRetain"(*mut u64 = &mut context, c_int = device)), context)
    };
    let enter = |context| call!("cuCtxSetCurrent"(u64 = context));
    assert_eq!(retain(1).0, Code::CUDA_ERROR_INVALID_DEVICE);
    let (code, context) = retain(0);
    assert_eq!(code, Code::CUDA_SUCCESS);
    assert_eq!(alloc(4), Err(Code::CUDA_ERROR_INVALID_CONTEXT));
    assert_eq!(enter(context + 1), Code::CUDA_ERROR_INVALID_CONTEXT);
    assert_eq!(enter(context), Code::CUDA_SUCCESS);
    // In this thread only.
    let elsewhere = std::thread::spawn(|| alloc(4)).join().expect("a thread");
    assert_eq!(elsewhere, Err(Code::CUDA_ERROR_INVALID_CONTEXT));

    let mut stream = 0u64;
    assert_eq!(call!("cuStreamCreate"(*mut u64 = &mut stream, c_uint = 1)), Code::CUDA_SUCCESS);
    assert_eq!(synchronize(stream + 1), Code::CUDA_ERROR_INVALID_HANDLE);

    // Copies lie within memory; a copy back is there when it was waited for, and not before.
    let words = alloc(4 * 64).expect("memory");
    assert_eq!(alloc(2 << 30), Err(Code::CUDA_ERROR_OUT_OF_MEMORY));
    assert_eq!(upload(words + 4, &[0; 64], stream), Code::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(upload(words, &[5; 64], stream), Code::CUDA_SUCCESS);
    let mut found = [0; 64];
    assert_eq!(download(&mut found, words, stream), Code::CUDA_SUCCESS);
    assert_eq!(found, [0; 64]);
    assert_eq!(synchronize(stream), Code::CUDA_SUCCESS);
    assert_eq!(found, [5; 64]);

    // A module of this architecture, and a kernel that is in it.
    let nvrtc =
        Nvrtc::load_from(&glassbox_stand_in::library().expect("a library")).expect("NVRTC's functions");
    let source = Source { name: "add.cu", text: KERNEL, headers: &[DIALECT] };
    let load = |architecture| {
        let image = nvrtc.compile(&source, architecture).expect("a kernel that compiles").image;
        let mut module = 0u64;
        let code = call!("cuModuleLoadData"(*mut u64 = &mut module, *const u8 = image.as_ptr()));
        (code, module)
    };
    assert_eq!(load("sm_80").0, Code::CUDA_ERROR_NO_BINARY_FOR_GPU);
    assert_eq!(load("compute_80").0, Code::CUDA_SUCCESS);
    let (code, module) = load("sm_90");
    assert_eq!(code, Code::CUDA_SUCCESS);
    let broken = Source { text: "no C++", ..source.clone() };
    let error = nvrtc.compile(&broken, "sm_90").expect_err("no C++").to_string();
    assert!(error.contains("add.cu does not compile for sm_90"), "{error}");
    let get = |name: &CStr| {
        let mut kernel = 0u64;
        let code = call!("cuModuleGetFunction"(*mut u64 = &mut kernel, u64 = module, *const i8 = name.as_ptr().cast()));
        (code, kernel)
    };
    assert_eq!(get(c"subtract").0, Code::CUDA_ERROR_NOT_FOUND);
    let (_, kernel) = get(c"add");

    // Shared memory beyond 48 KiB has to be allowed, and no more than there is.
    let allow = |bytes| {
        let attribute = KernelAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        call!("cuFuncSetAttribute"(u64 = kernel, KernelAttribute = attribute, c_int = bytes))
    };
    assert_eq!(launch(kernel, words, 64, 49_153, stream), Code::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(allow((227 << 10) + 1), Code::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(allow(227 << 10), Code::CUDA_SUCCESS);
    assert_eq!(launch(kernel, words, 64, 49_153, stream), Code::CUDA_SUCCESS);

    // What is captured is not done; to wait meanwhile, or to allocate, voids the capture.
    let begin = || call!("cuStreamBeginCapture_v2"(u64 = stream, c_uint = 1));
    let end = || {
        let mut graph = 0u64;
        (call!("cuStreamEndCapture"(u64 = stream, *mut u64 = &mut graph)), graph)
    };
    for disturb in [|stream| synchronize(stream), |_| alloc(4).expect_err("a capture")] {
        assert_eq!(begin(), Code::CUDA_SUCCESS);
        assert_eq!(disturb(stream), Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        assert_eq!(end().0, Code::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    }
    assert_eq!(begin(), Code::CUDA_SUCCESS);
    assert_eq!(launch(kernel, words, 64, 0, stream), Code::CUDA_SUCCESS);
    assert_eq!(launch(kernel, words, 32, 0, stream), Code::CUDA_SUCCESS);
    let (code, graph) = end();
    assert_eq!(code, Code::CUDA_SUCCESS);
    let mut executable = 0u64;
    let flags = 0u64;
    let code = call!("cuGraphInstantiateWithFlags"(*mut u64 = &mut executable, u64 = graph, u64 = flags));
    assert_eq!(code, Code::CUDA_SUCCESS);
    let replay = || call!("cuGraphLaunch"(u64 = executable, u64 = stream));
    assert_eq!((replay(), replay()), (Code::CUDA_SUCCESS, Code::CUDA_SUCCESS));
    assert_eq!(download(&mut found, words, stream), Code::CUDA_SUCCESS);
    assert_eq!(synchronize(stream), Code::CUDA_SUCCESS);
    // 5, one launch before the capture, two replays.
    assert_eq!((found[0], found[63]), (5 + 1 + 4, 5 + 1 + 2));

    // An event has a time when the work before it was waited for.
    let mut events = [0u64; 2];
    for event in &mut events {
        assert_eq!(call!("cuEventCreate"(*mut u64 = event, c_uint = 0)), Code::CUDA_SUCCESS);
        assert_eq!(call!("cuEventRecord"(u64 = *event, u64 = stream)), Code::CUDA_SUCCESS);
    }
    let elapsed = || {
        let mut milliseconds = -1.0f32;
        let code =
            call!("cuEventElapsedTime"(*mut f32 = &mut milliseconds, u64 = events[0], u64 = events[1]));
        (code, milliseconds >= 0.0)
    };
    assert_eq!(elapsed(), (Code::CUDA_ERROR_NOT_READY, false));
    assert_eq!(call!("cuEventSynchronize"(u64 = events[1])), Code::CUDA_SUCCESS);
    assert_eq!(elapsed(), (Code::CUDA_SUCCESS, true));

    // Another GPU is of its own size, and knows nothing of the first one's memory and streams.
    let small = Settings { memory: 1 << 10, ..Settings::default() };
    let number = glassbox_stand_in::plug(&small).expect("a second GPU");
    assert_eq!(number, 1);
    let (code, of_other) = retain(number as c_int);
    assert_eq!((code, enter(of_other)), (Code::CUDA_SUCCESS, Code::CUDA_SUCCESS));
    assert_eq!(alloc(2 << 10), Err(Code::CUDA_ERROR_OUT_OF_MEMORY));
    assert_eq!(call!("cuMemFree_v2"(u64 = words)), Code::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(synchronize(stream), Code::CUDA_ERROR_INVALID_HANDLE);
    assert_eq!(enter(context), Code::CUDA_SUCCESS);

    // A graph that is replayed when its memory is gone ends the context, for good.
    assert_eq!(call!("cuMemFree_v2"(u64 = words)), Code::CUDA_SUCCESS);
    assert_eq!(call!("cuMemFree_v2"(u64 = words)), Code::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(replay(), Code::CUDA_SUCCESS);
    assert_eq!(synchronize(stream), Code::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_eq!(alloc(4), Err(Code::CUDA_ERROR_ILLEGAL_ADDRESS));
    // That of this GPU.
    assert_eq!(enter(of_other), Code::CUDA_SUCCESS);
    alloc(4).expect("the other one goes on");
}
