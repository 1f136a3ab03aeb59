//! The driver's C interface: <https://docs.nvidia.com/cuda/cuda-driver-api/>. Each function reads its arguments,
//! and `machine` does what it says.
//!
//! Handles are numbers in the place of pointers. Errors are the driver's own.
#![allow(unsafe_code)]
#![allow(non_snake_case, reason = "the driver's names")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use crate::image::Image;
use crate::machine::{
    Answer, Destination, Machine, Work, count, in_context, of_device, plug, set_current, start, trace,
};
use crate::settings::Settings;
use cudarc::driver::sys::{
    CUdevice_attribute as Attribute, CUfunction_attribute as KernelAttribute, CUresult as Code,
};

type Handle = u64;

/// Gives a value to the caller.
///
/// # Safety
/// * `to` points to room for it, or is null.
unsafe fn give<T>(to: *mut T, value: T) -> Answer {
    if to.is_null() {
        return Err(Code::CUDA_ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's.
    unsafe { to.write(value) };
    Ok(())
}

/// Adds a GPU of these settings, JSON, and gives its number: for [`crate::plug`], by way of the library.
///
/// # Safety
/// * `settings` ends in NUL.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn standInPlug(settings: *const c_char) -> usize {
    // SAFETY: the caller's.
    let settings = unsafe { CStr::from_ptr(settings) };
    plug(serde_json::from_slice::<Settings>(settings.to_bytes()).expect("settings"))
}

/// Functions of the driver's: pointers are to what their names say, as its documentation has it. A panic must not unwind
/// into C: it aborts.
macro_rules! driver {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) = $answer:expr;)*) => {$(
        /// # Safety
        /// * as the driver's documentation asks for the function of that name.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($argument: $kind),*) -> Code {
            match $answer {
                Ok(()) => Code::CUDA_SUCCESS,
                Err(code) => code,
            }
        }
    )*};
}

driver! {
    fn cuInit(_flags: c_uint) = start();

    fn cuDriverGetVersion(version: *mut c_int) = {
        // SAFETY: here and below the caller's, by the driver's documentation.
        unsafe { give(version, Settings::of_environment().driver) }
    };

    fn cuDeviceGetCount(gpus: *mut c_int) = count().and_then(|count| {
        // SAFETY: above.
        unsafe { give(gpus, count as c_int) }
    });

    fn cuDeviceGet(device: *mut c_int, ordinal: c_int) = of_device(ordinal, |_| {
        // SAFETY: above.
        unsafe { give(device, ordinal) }
    });

    fn cuDeviceGetName(name: *mut c_char, room: c_int, device: c_int) = of_device(device, |_| {
        let text = c"the host in a GPU's place".to_bytes_with_nul().iter();
        for (at, byte) in text.enumerate().take(room as usize) {
            // SAFETY: above; it is within the room.
            unsafe { name.add(at).write(*byte as c_char) };
        }
        Ok(())
    });

    fn cuDeviceTotalMem_v2(bytes: *mut usize, device: c_int) = of_device(device, |machine| {
        // SAFETY: above.
        unsafe { give(bytes, machine.settings.memory as usize) }
    });

    fn cuDeviceGetAttribute(value: *mut c_int, attribute: Attribute, device: c_int) = of_device(device, |machine| {
        let settings = &machine.settings;
        let found = match attribute {
            Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR => settings.capability.0 as usize,
            Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR => settings.capability.1 as usize,
            Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN => settings.shared_bytes,
            Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT => settings.multiprocessors,
            _ => return Err(Code::CUDA_ERROR_INVALID_VALUE),
        };
        // SAFETY: above.
        unsafe { give(value, found as c_int) }
    });

    fn cuDevicePrimaryCtxRetain(context: *mut Handle, device: c_int) = of_device(device, |machine| {
        machine.retain_context();
        // SAFETY: above.
        unsafe { give(context, device as Handle + 1) }
    });

    fn cuDevicePrimaryCtxRelease_v2(device: c_int) = of_device(device, Machine::release_context);

    fn cuCtxSetCurrent(context: Handle) = set_current(context);

    fn cuMemAlloc_v2(address: *mut u64, bytes: usize) = in_context(|machine| {
        let found = machine.alloc(bytes)?;
        // SAFETY: above.
        unsafe { give(address, found) }
    });

    fn cuMemFree_v2(address: u64) = in_context(|machine| machine.free(address));

    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) = in_context(|machine| {
        let found = machine.free_bytes();
        // SAFETY: above.
        unsafe {
            give(free, found)?;
            give(total, machine.settings.memory as usize)
        }
    });

    fn cuMemsetD8Async(address: u64, value: u8, bytes: usize, stream: Handle) = in_context(|machine| {
        trace(format_args!("cuMemsetD8Async {bytes} bytes"));
        let to = machine.range(address, bytes)?;
        machine.enqueue(stream, Work::Write { to, bytes: vec![value; bytes] })
    });

    fn cuMemcpyHtoDAsync_v2(address: u64, from: *const u8, bytes: usize, stream: Handle) = in_context(|machine| {
        trace(format_args!("cuMemcpyHtoDAsync {bytes} bytes"));
        let to = machine.range(address, bytes)?;
        // Memory that is not page-locked is copied away at once.
        // SAFETY: above.
        let bytes = unsafe { std::slice::from_raw_parts(from, bytes) }.to_vec();
        machine.enqueue(stream, Work::Write { to, bytes })
    });

    fn cuMemcpyDtoHAsync_v2(to: *mut u8, address: u64, bytes: usize, stream: Handle) = in_context(|machine| {
        trace(format_args!("cuMemcpyDtoHAsync {bytes} bytes"));
        let from = machine.range(address, bytes)?;
        // SAFETY: above; the driver's copy is not done before it was waited for either.
        let to = unsafe { Destination::new(to, bytes) };
        machine.enqueue(stream, Work::Read { from, to })
    });

    fn cuModuleLoadData(module: *mut Handle, image: *const u8) = in_context(|machine| {
        // SAFETY: above: an image knows its length.
        let image = unsafe { Image::at(image) };
        let found = machine.load(image.as_ref())?;
        // SAFETY: above.
        unsafe { give(module, found) }
    });

    fn cuModuleUnload(module: Handle) = in_context(|machine| machine.unload(module));

    fn cuModuleGetFunction(kernel: *mut Handle, module: Handle, name: *const c_char) = in_context(|machine| {
        // SAFETY: above.
        let name = unsafe { CStr::from_ptr(name) };
        let found = machine.get_kernel(module, &name.to_string_lossy())?;
        // SAFETY: above.
        unsafe { give(kernel, found) }
    });

    fn cuFuncGetAttribute(value: *mut c_int, attribute: KernelAttribute, kernel: Handle) = in_context(|machine| {
        machine.require_kernel(kernel)?;
        match attribute {
            // What a kernel declares itself is known when it runs: then the shim holds all of it against the limit.
            // SAFETY: above.
            KernelAttribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES => unsafe { give(value, 0) },
            _ => Err(Code::CUDA_ERROR_INVALID_VALUE),
        }
    });

    fn cuFuncSetAttribute(kernel: Handle, attribute: KernelAttribute, value: c_int) = in_context(|machine| match attribute {
        KernelAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES => machine.allow_shared_bytes(kernel, value),
        _ => Err(Code::CUDA_ERROR_INVALID_VALUE),
    });

    fn cuLaunchKernel(
        kernel: Handle,
        gx: c_uint,
        gy: c_uint,
        gz: c_uint,
        bx: c_uint,
        by: c_uint,
        bz: c_uint,
        shared_bytes: c_uint,
        stream: Handle,
        parameters: *const *const u8,
        extra: *const *const c_void
    ) = in_context(|machine| {
        if !extra.is_null() {
            return Err(Code::CUDA_ERROR_INVALID_VALUE);
        }
        let read = |position: usize, bytes: usize| {
            // SAFETY: above: a pointer for each parameter of the kernel, to as many bytes as it has.
            unsafe { std::slice::from_raw_parts(*parameters.add(position), bytes) }.to_vec()
        };
        let launch = machine.make_launch(kernel, [[gx, gy, gz], [bx, by, bz]], shared_bytes, read)?;
        machine.enqueue(stream, Work::Launch(launch))
    });

    fn cuStreamCreate(stream: *mut Handle, _flags: c_uint) = in_context(|machine| {
        let found = machine.create_stream()?;
        // SAFETY: above.
        unsafe { give(stream, found) }
    });

    fn cuStreamDestroy_v2(stream: Handle) = in_context(|machine| machine.destroy_stream(stream));

    fn cuStreamSynchronize(stream: Handle) = in_context(|machine| {
        trace(format_args!("cuStreamSynchronize"));
        machine.finish(stream)
    });

    fn cuStreamBeginCapture_v2(stream: Handle, _mode: c_uint) = in_context(|machine| machine.begin_capture(stream));

    fn cuStreamEndCapture(stream: Handle, graph: *mut Handle) = in_context(|machine| {
        let found = machine.end_capture(stream)?;
        // SAFETY: above.
        unsafe { give(graph, found) }
    });

    fn cuGraphInstantiateWithFlags(executable: *mut Handle, graph: Handle, _flags: u64) = in_context(|machine| {
        let found = machine.instantiate(graph)?;
        // SAFETY: above.
        unsafe { give(executable, found) }
    });

    fn cuGraphLaunch(executable: Handle, stream: Handle) = in_context(|machine| machine.launch_graph(executable, stream));

    fn cuGraphDestroy(graph: Handle) = in_context(|machine| machine.destroy_graph(graph));

    fn cuGraphExecDestroy(executable: Handle) = in_context(|machine| machine.destroy_executable(executable));

    fn cuEventCreate(event: *mut Handle, _flags: c_uint) = in_context(|machine| {
        let found = machine.create_event()?;
        // SAFETY: above.
        unsafe { give(event, found) }
    });

    fn cuEventDestroy_v2(event: Handle) = in_context(|machine| machine.destroy_event(event));

    fn cuEventRecord(event: Handle, stream: Handle) = in_context(|machine| machine.enqueue(stream, Work::Record { event }));

    fn cuEventSynchronize(event: Handle) = in_context(|machine| machine.finish_event(event));

    fn cuEventElapsedTime(milliseconds: *mut f32, start: Handle, end: Handle) = in_context(|machine| {
        let found = machine.elapsed([start, end])?;
        // SAFETY: above.
        unsafe { give(milliseconds, found) }
    });

    fn cuGetErrorString(_code: Code, text: *mut *const c_char) = {
        // Its callers name the code themselves.
        // SAFETY: above.
        unsafe { give(text, c"the stand-in says".as_ptr()) }
    };
}
