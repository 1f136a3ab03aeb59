//! The driver's C interface: <https://docs.nvidia.com/cuda/cuda-driver-api/>. Each function reads its arguments,
//! and `machine` does what it says.
//!
//! Handles are numbers in the place of pointers. Errors are the driver's own.
#![allow(unsafe_code)]
#![allow(non_snake_case, reason = "the driver's names")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use crate::image::Image;
use crate::interface::functions;
use crate::machine::{
    Answer, Destination, Machine, Operation, count, current, in_context, of_device, plug, set_current, start,
    trace,
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

functions! {
    Code, Code::CUDA_SUCCESS;

    fn cuInit(_flags: c_uint) = start();
    fn cuDriverGetVersion() -> c_int = Ok(Settings::of_environment().driver);

    fn cuDeviceGetCount() -> c_int = count().map(|count| count as c_int);
    fn cuDeviceGet(ordinal: c_int) -> c_int = of_device(ordinal, |_| Ok(ordinal));
    fn cuDeviceTotalMem_v2(device: c_int) -> usize = of_device(device, |machine| Ok(machine.settings.memory as usize));

    fn cuDeviceGetName(name: *mut c_char, room: c_int, device: c_int) = of_device(device, |_| {
        let text = c"the host in a GPU's place".to_bytes_with_nul().iter();
        for (at, byte) in text.enumerate().take(room as usize) {
            // SAFETY: here and below the caller's, by the driver's documentation; it is within the room.
            unsafe { name.add(at).write(*byte as c_char) };
        }
        Ok(())
    });

    fn cuDeviceGetAttribute(attribute: Attribute, device: c_int) -> c_int = of_device(device, |machine| {
        let settings = &machine.settings;
        let found = match attribute {
            Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR => settings.capability.0 as usize,
            Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR => settings.capability.1 as usize,
            Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN => settings.shared_bytes,
            Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT => settings.multiprocessors,
            Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED => 0,
            _ => return Err(Code::CUDA_ERROR_INVALID_VALUE),
        };
        Ok(found as c_int)
    });

    fn cuDevicePrimaryCtxRetain(device: c_int) -> Handle = of_device(device, |machine| {
        machine.retain_context();
        Ok(device as Handle + 1)
    });
    fn cuDevicePrimaryCtxRelease_v2(device: c_int) = of_device(device, Machine::release_context);
    fn cuCtxGetCurrent() -> Handle = current();
    fn cuCtxSetCurrent(context: Handle) = set_current(context);
    fn cuCtxSynchronize() = in_context(Machine::finish_all);

    fn cuMemAlloc_v2(bytes: usize) -> u64 = in_context(|machine| machine.alloc(bytes));
    fn cuMemFree_v2(address: u64) = in_context(|machine| machine.free(address));

    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) = in_context(|machine| {
        // SAFETY: above.
        unsafe { give(free, machine.free_bytes()).and(give(total, machine.settings.memory as usize)) }
    });

    fn cuMemsetD8Async(address: u64, value: u8, bytes: usize, stream: Handle) = in_context(|machine| {
        trace(format_args!("cuMemsetD8Async {bytes} bytes"));
        machine.require_memory(address, bytes)?;
        machine.enqueue(stream, Operation::Write { to: address, bytes: vec![value; bytes] })
    });

    fn cuMemcpyHtoDAsync_v2(address: u64, from: *const u8, bytes: usize, stream: Handle) = in_context(|machine| {
        trace(format_args!("cuMemcpyHtoDAsync {bytes} bytes"));
        machine.require_memory(address, bytes)?;
        // Memory that is not page-locked is copied away at once.
        // SAFETY: above.
        let bytes = unsafe { std::slice::from_raw_parts(from, bytes) }.to_vec();
        machine.enqueue(stream, Operation::Write { to: address, bytes })
    });

    fn cuMemcpyDtoHAsync_v2(to: *mut u8, address: u64, bytes: usize, stream: Handle) = in_context(|machine| {
        trace(format_args!("cuMemcpyDtoHAsync {bytes} bytes"));
        machine.require_memory(address, bytes)?;
        // SAFETY: above; the driver's copy is not done before it was waited for either.
        let to = unsafe { Destination::new(to, bytes) };
        machine.enqueue(stream, Operation::Read { from: address, to })
    });

    fn cuModuleLoadData(image: *const u8) -> Handle = in_context(|machine| {
        // SAFETY: above: an image ends in NUL.
        let image = unsafe { Image::at(image) };
        machine.load(image.as_ref())
    });
    fn cuModuleUnload(module: Handle) = in_context(|machine| machine.unload(module));

    fn cuModuleGetFunction(module: Handle, name: *const c_char) -> Handle = in_context(|machine| {
        // SAFETY: above.
        let name = unsafe { CStr::from_ptr(name) };
        machine.get_kernel(module, &name.to_string_lossy())
    });

    fn cuFuncGetAttribute(attribute: KernelAttribute, kernel: Handle) -> c_int = in_context(|machine| {
        machine.kernel(kernel)?;
        match attribute {
            // What a kernel declares itself is known when it runs: then the shim holds all of it against the limit.
            KernelAttribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES => Ok(0),
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
        machine.enqueue(stream, Operation::Launch(launch))
    });

    fn cuStreamCreate(_flags: c_uint) -> Handle = in_context(Machine::create_stream);
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
    fn cuGraphInstantiateWithFlags(graph: Handle, _flags: u64) -> Handle = in_context(|machine| machine.instantiate(graph));
    fn cuGraphLaunch(executable: Handle, stream: Handle) = in_context(|machine| machine.launch_graph(executable, stream));
    fn cuGraphDestroy(graph: Handle) = in_context(|machine| machine.destroy(graph, Machine::graph));
    fn cuGraphExecDestroy(executable: Handle) = in_context(|machine| machine.destroy(executable, Machine::executable));

    fn cuEventCreate(_flags: c_uint) -> Handle = in_context(Machine::create_event);
    fn cuEventDestroy_v2(event: Handle) = in_context(|machine| machine.destroy(event, Machine::event));
    fn cuEventRecord(event: Handle, stream: Handle) = in_context(|machine| machine.enqueue(stream, Operation::Record { event }));
    fn cuEventSynchronize(event: Handle) = in_context(|machine| machine.finish_event(event));
    fn cuEventElapsedTime(start: Handle, end: Handle) -> f32 = in_context(|machine| machine.elapsed([start, end]));

    fn cuGetErrorString(_code: Code, text: *mut *const c_char) = {
        // Its callers name the code themselves.
        // SAFETY: above.
        unsafe { give(text, c"the stand-in says".as_ptr()) }
    };
}
