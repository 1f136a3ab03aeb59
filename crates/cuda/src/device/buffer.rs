//! Device memory that knows what it holds.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;

use super::{Arg, Gpu, Memory};
use crate::error::{DeviceError, Result};

/// Numbers in device memory. A clone, or a [part](Buffer::part), is the same memory.
#[derive(Debug, Clone)]
pub struct Buffer<T> {
    device: Arc<Gpu>,
    memory: Arc<Memory>,
    /// In numbers, not bytes.
    offset: usize,
    len: usize,
    holds: PhantomData<T>,
}

impl<T: Pod> Buffer<T> {
    /// Room for `len` numbers, with undefined contents.
    ///
    /// # Errors
    /// If there is not as much memory left.
    pub fn undefined(device: &Arc<Gpu>, len: usize) -> Result<Self> {
        // No device gives nothing at all.
        let memory = device.alloc(len.max(1) * size_of::<T>())?;
        Ok(Self { device: Arc::clone(device), memory: Arc::new(memory), offset: 0, len, holds: PhantomData })
    }

    /// So many zeros.
    ///
    /// # Errors
    /// As [`Buffer::undefined`], and if the device fails.
    pub fn zeros(device: &Arc<Gpu>, len: usize) -> Result<Self> {
        let buffer = Self::undefined(device, len)?;
        device.zero(&buffer.memory)?;
        Ok(buffer)
    }

    /// A copy of `values`.
    ///
    /// # Errors
    /// As [`Buffer::undefined`], and if the device fails.
    pub fn of(device: &Arc<Gpu>, values: &[T]) -> Result<Self> {
        let buffer = Self::undefined(device, values.len())?;
        buffer.write(values)?;
        Ok(buffer)
    }

    /// The number of numbers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Overwrites the first of them.
    ///
    /// # Errors
    /// If there are fewer than `values`, or the device fails.
    pub fn write(&self, values: &[T]) -> Result<()> {
        self.require(values.len())?;
        match values {
            [] => Ok(()),
            values => self.device.upload(bytemuck::cast_slice(values), &self.memory, self.bytes()),
        }
    }

    /// Reads the first of them, when all work before is done.
    ///
    /// # Errors
    /// If there are fewer than `values`, or the device or any work before has failed.
    pub fn read(&self, values: &mut [T]) -> Result<()> {
        self.require(values.len())?;
        match values {
            [] => Ok(()),
            values => self.device.download(&self.memory, self.bytes(), bytemuck::cast_slice_mut(values)),
        }
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

    /// As an argument of a kernel: a pointer to the first.
    #[must_use]
    pub fn arg(&self) -> Arg {
        Arg::Memory(Arc::clone(&self.memory), self.bytes())
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

    /// Whether this is the same memory, from the same number on.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.memory, &other.memory) && self.offset == other.offset
    }

    fn bytes(&self) -> usize {
        self.offset * size_of::<T>()
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
