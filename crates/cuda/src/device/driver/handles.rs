//! What a GPU lends and gets back: the context, modules, kernels, memory, graphs, events. Each frees itself.

use std::fmt;
use std::sync::Arc;

use cudarc::driver::{result, sys};

use super::super::Launch;
use super::done;
use crate::error::{DeviceError, Result};

/// A device's primary context, released at the end.
pub(super) struct Context {
    pub(super) device: sys::CUdevice,
    pub(super) handle: sys::CUcontext,
}

// SAFETY: the handles are only passed to the driver, which any thread may call.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "context of device {}", self.device)
    }
}

impl Context {
    pub(super) fn retain(ordinal: usize) -> Result<Self> {
        let device = done("cuDeviceGet", result::device::get(ordinal as i32))?;
        // SAFETY: the device is one of the driver's.
        let handle = done("cuDevicePrimaryCtxRetain", unsafe { result::primary_ctx::retain(device) })?;
        Ok(Self { device, handle })
    }

    /// Makes it current in this thread.
    pub(super) fn enter(&self) -> Result<()> {
        // SAFETY: the context is retained as long as `self` is alive.
        done("cuCtxSetCurrent", unsafe { result::ctx::set_current(self.handle) })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once, released once. That it could not be released would change nothing.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// A module on a GPU.
#[derive(Debug)]
pub struct Module {
    pub(super) handle: sys::CUmodule,
    pub(super) name: String,
    pub(super) context: Arc<Context>,
}

// SAFETY: the handle is only passed to the driver, which any thread may call.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Drop for Module {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: whoever has a function of it holds it as well. A failure would change nothing.
            let _ = unsafe { result::module::unload(self.handle) };
        }
    }
}

/// A kernel on a GPU.
#[derive(Clone)]
pub struct Function {
    pub(super) handle: sys::CUfunction,
    pub(super) name: String,
    pub(super) module: Arc<Module>,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.module.name)
    }
}

// SAFETY: the handle is only passed to the driver, which any thread may call.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// Memory on a GPU.
#[derive(Debug)]
pub struct Memory {
    pub(super) address: sys::CUdeviceptr,
    pub(super) bytes: usize,
    pub(super) context: Arc<Context>,
}

impl Memory {
    /// The address of `len` bytes from `offset` on.
    pub(super) fn at(&self, offset: usize, len: usize, what: &str) -> Result<sys::CUdeviceptr> {
        match offset.checked_add(len) {
            Some(end) if end <= self.bytes => Ok(self.address + offset as u64),
            _ => Err(DeviceError::Refused {
                what: what.into(),
                problem: format!("{len} bytes at {offset} of {}", self.bytes),
            }),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: allocated once, freed once; freeing waits for the work that uses it. A failure would
            // change nothing.
            let _ = unsafe { result::free_sync(self.address) };
        }
    }
}

/// A graph that was made ready, with the memory that it uses.
pub struct Recording {
    pub(super) instance: sys::CUgraphExec,
    pub(super) _launches: Vec<Launch>,
    pub(super) context: Arc<Context>,
}

// SAFETY: the handle is only passed to the driver, which any thread may call.
unsafe impl Send for Recording {}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: nobody else has it; the driver keeps what is still under way. A failure would change
            // nothing.
            let _ = unsafe { result::graph::exec_destroy(self.instance) };
        }
    }
}

/// An event.
pub struct Mark {
    pub(super) event: sys::CUevent,
    pub(super) context: Arc<Context>,
}

// SAFETY: the handle is only passed to the driver, which any thread may call.
unsafe impl Send for Mark {}

impl Drop for Mark {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: nobody else has it. A failure would change nothing.
            let _ = unsafe { result::event::destroy(self.event) };
        }
    }
}
