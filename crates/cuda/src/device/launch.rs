//! Launches: a kernel, its grid and its arguments as the driver reads them.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::Arc;

use bytemuck::Pod;
use cudarc::driver::{CudaStream, result};

use super::buffer::Memory;
use super::errors::done;
use super::{Buffer, Function};
use crate::error::Result;

/// An argument of a kernel: a number, a struct of numbers, or a pointer to device memory.
///
/// The driver reads as many bytes as the parameter has from the start of `value`.
#[derive(Debug, Clone)]
pub struct Arg {
    value: [u64; 4],
    /// The memory that it points to, which lives as long as the launch.
    _memory: Option<Arc<Memory>>,
}

impl Arg {
    /// Up to 32 bytes of plain numbers, by value.
    fn of(numbers: &[impl Pod]) -> Self {
        let (mut value, bytes) = ([0u64; 4], bytemuck::cast_slice(numbers));
        bytemuck::cast_slice_mut::<u64, u8>(&mut value)[..bytes.len()].copy_from_slice(bytes);
        Self { value, _memory: None }
    }
}

/// An argument of a kernel, or several that belong together.
pub(crate) trait Operand {
    /// Adds the arguments, in the order of the kernel's parameters.
    fn push(&self, args: &mut Vec<Arg>);
}

/// The arguments of a launch, in the order of the kernel's parameters.
macro_rules! args {
    ($($operand:expr),* $(,)?) => {{
        use $crate::device::Operand as _;
        let mut args = vec![];
        $($operand.push(&mut args);)*
        args
    }};
}
pub(crate) use args;

/// Numbers, as the kernels have them.
macro_rules! numbers {
    ($($kind:ty: $as_passed:expr;)*) => {$(
        impl Operand for $kind {
            fn push(&self, args: &mut Vec<Arg>) {
                [$as_passed(*self)].push(args);
            }
        }
    )*};
}
numbers! {
    u32: u32::from;
    f32: f32::from;
    bool: u32::from;
    usize: word;
}

/// A struct of numbers, by value.
impl<T: Pod, const N: usize> Operand for [T; N] {
    fn push(&self, args: &mut Vec<Arg>) {
        args.push(Arg::of(self));
    }
}

impl<T: Pod> Operand for Buffer<T> {
    fn push(&self, args: &mut Vec<Arg>) {
        args.push(Arg { _memory: Some(Arc::clone(self.memory())), ..Arg::of(&[self.address()]) });
    }
}

/// A null pointer, if it is `None`.
impl<T: Pod> Operand for Option<&Buffer<T>> {
    fn push(&self, args: &mut Vec<Arg>) {
        match self {
            Some(buffer) => buffer.push(args),
            None => args.push(Arg::of(&[0u64])),
        }
    }
}

/// A size as kernels read it. Sizes are checked when a session is made.
pub(crate) fn word(n: usize) -> u32 {
    u32::try_from(n).unwrap_or_else(|_| panic!("{n} does not fit into 32 bits"))
}

/// A kernel, its grid and its arguments.
#[derive(Debug, Clone)]
#[must_use = "a launch does nothing until a device launches it"]
pub struct Launch {
    function: Function,
    grid: [u32; 2],
    block: [u32; 2],
    shared_bytes: u32,
    args: Vec<Arg>,
}

impl Launch {
    /// A launch of `grid` blocks of `block` threads, each block with `shared_bytes` of dynamic shared memory.
    ///
    /// # Safety
    /// * the arguments are the kernel's parameters, in their order and of their types;
    /// * with these arguments, and whatever the memory holds, the kernel stays within the memory that it is
    ///   given, reads none that was never written, and no two threads race.
    pub unsafe fn new(
        function: &Function,
        grid: [u32; 2],
        block: [u32; 2],
        shared_bytes: u32,
        args: Vec<Arg>,
    ) -> Self {
        Self { function: function.clone(), grid, block, shared_bytes, args }
    }

    /// Puts it at the end of a stream, whose context is current.
    pub(super) fn enqueue(&self, stream: &CudaStream) -> Result<()> {
        let Self { function, grid: [gx, gy], block: [bx, by], shared_bytes, args } = self;
        let mut pointers: Vec<*mut c_void> =
            args.iter().map(|arg| arg.value.as_ptr().cast_mut().cast()).collect();
        // SAFETY: the caller of `new` vouches for the arguments and for what the kernel does with them; the driver
        // copies the values before it returns. The memory outlives the launch: freeing waits for all work.
        done("cuLaunchKernel", unsafe {
            let (grid, block) = ((*gx, *gy, 1), (*bx, *by, 1));
            result::launch_kernel(
                function.cu_function(),
                grid,
                block,
                *shared_bytes,
                stream.cu_stream(),
                &mut pointers,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_laid_out_as_the_kernel_reads_them() {
        let args = args![[0x0403_0201u32, 0x0807_0605, 0x0C0B_0A09], 1.0f32, 7usize, None::<&Buffer<f32>>];
        let words = [[0x0807_0605_0403_0201, 0x0C0B_0A09], [0x3F80_0000, 0], [7, 0], [0, 0]];
        assert!(
            args.iter().zip(words).all(|(arg, words)| arg.value[..2] == words && arg.value[2..] == [0; 2])
        );
    }
}
