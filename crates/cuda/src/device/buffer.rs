//! Device memory that knows what it holds.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;
use cudarc::driver::{CudaStream, result, sys};

use super::Gpu;
use super::errors::done;
use crate::error::{DeviceError, Result};

/// A piece of device memory, freed at the end.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) address: sys::CUdeviceptr,
    /// The stream that keeps all work on it in order.
    pub(super) stream: Arc<CudaStream>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.stream.context().bind_to_thread().is_ok() {
            // SAFETY: allocated once, freed once; freeing waits for the work that uses it. A failure would
            // change nothing.
            let _ = unsafe { result::free_sync(self.address) };
        }
    }
}

/// Numbers in device memory. A clone, or a [part](Buffer::part), is the same memory.
#[derive(Debug, Clone)]
pub struct Buffer<T> {
    memory: Arc<Memory>,
    /// The place of the first number in the memory, in numbers, not bytes.
    offset: usize,
    len: usize,
    holds: PhantomData<T>,
}

/// Buffers are equal if they are the same memory, from the same number on.
impl<T> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.memory, &other.memory) && self.offset == other.offset
    }
}

impl<T: Pod> Buffer<T> {
    /// Room for `len` numbers, with undefined contents.
    ///
    /// # Errors
    /// If there is not as much memory left.
    pub fn undefined(device: &Gpu, len: usize) -> Result<Self> {
        // No device gives nothing at all.
        let memory = Arc::new(device.alloc(len.max(1) * size_of::<T>())?);
        Ok(Self { memory, offset: 0, len, holds: PhantomData })
    }

    /// A buffer of `len` zeros.
    ///
    /// # Errors
    /// As [`Buffer::undefined`], and if the device fails.
    pub fn zeros(device: &Gpu, len: usize) -> Result<Self> {
        let buffer = Self::undefined(device, len)?;
        let (address, stream) = (buffer.address(), buffer.stream()?);
        // SAFETY: all numbers of a buffer that is alive.
        let set =
            unsafe { result::memset_d8_async(address, 0, len.max(1) * size_of::<T>(), stream.cu_stream()) };
        done("cuMemsetD8Async", set)?;
        Ok(buffer)
    }

    /// A copy of `values`.
    ///
    /// # Errors
    /// As [`Buffer::undefined`], and if the device fails.
    pub fn of(device: &Gpu, values: &[T]) -> Result<Self> {
        let buffer = Self::undefined(device, values.len())?;
        buffer.write(values)?;
        Ok(buffer)
    }

    /// The number of numbers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Overwrites the first of them. `values` may change as soon as this returns.
    ///
    /// # Errors
    /// If there are fewer than `values`, or the device fails.
    pub fn write(&self, values: &[T]) -> Result<()> {
        self.require(values.len())?;
        if values.is_empty() {
            return Ok(());
        }
        let stream = self.stream()?;
        // SAFETY: the buffer has as many numbers. The values are in pageable memory, which the driver copies away
        // before it returns.
        let copied = unsafe {
            result::memcpy_htod_async::<u8>(self.address(), bytemuck::cast_slice(values), stream.cu_stream())
        };
        done("cuMemcpyHtoDAsync", copied)
    }

    /// Reads the first of them, when all work before is done.
    ///
    /// # Errors
    /// If there are fewer than `values`, or the device or any work before has failed.
    pub fn read(&self, values: &mut [T]) -> Result<()> {
        self.require(values.len())?;
        if values.is_empty() {
            return Ok(());
        }
        let stream = self.stream()?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(values);
        // SAFETY: the buffer has as many numbers, and `values` outlives the wait below.
        let copied = unsafe { result::memcpy_dtoh_async(bytes, self.address(), stream.cu_stream()) };
        done("cuMemcpyDtoHAsync", copied).and(done("cuStreamSynchronize", stream.synchronize()))
    }

    /// All of them, when all work before is done.
    ///
    /// # Errors
    /// If the device or any work before has failed.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        let mut values = vec![T::zeroed(); self.len];
        self.read(&mut values)?;
        Ok(values)
    }

    /// Some of them, as the same memory.
    ///
    /// # Panics
    /// If there are not as many.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} values", self.len);
        Self { offset: self.offset + range.start, len: range.len(), ..self.clone() }
    }

    /// The address of the first.
    pub(super) fn address(&self) -> sys::CUdeviceptr {
        self.memory.address + (self.offset * size_of::<T>()) as u64
    }

    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// The stream of the memory, whose context is then current in this thread.
    fn stream(&self) -> Result<&CudaStream> {
        let stream = &self.memory.stream;
        done("cuCtxSetCurrent", stream.context().bind_to_thread())?;
        Ok(stream)
    }

    fn require(&self, len: usize) -> Result<()> {
        if len > self.len {
            return Err(DeviceError::Refused {
                what: format!("a copy of {len} values"),
                problem: format!("the buffer has {}", self.len),
            });
        }
        Ok(())
    }
}
