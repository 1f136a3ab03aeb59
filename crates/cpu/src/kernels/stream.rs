//! The bandwidth ceiling: bytes that stream through the vector units.
//!
//! ```text
//! read    sum += x[i]           one stream in
//! update  y[i] = x[i] + y[i]    two streams in, one of them out again
//! ```
//!
//! The caller chooses the length of the vectors, and so the memory that holds them: a core's first or second cache, or
//! main memory. There is so little arithmetic that the loads decide the time.

use crate::simd::{Isa, Task, Vector};

/// Number of sums that run at the same time: enough to hide an addition's latency behind two loads per cycle.
const ACCUMULATORS: usize = 8;

/// The sum of `x` in an unspecified order. Reads 4 bytes per value.
pub(crate) fn read(isa: Isa, x: &[f32]) -> f32 {
    let mut sum = 0.0;
    // SAFETY: the task reads whole vectors within `x`.
    unsafe { isa.run(Read { x, sum: &mut sum }) }
    sum
}

/// # Safety of running it
/// * none: it stays within its slice.
struct Read<'a> {
    x: &'a [f32],
    sum: &'a mut f32,
}

impl Task for Read<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: each block is ACCUMULATORS whole vectors long; the caller guarantees the instruction set.
        unsafe {
            let mut acc = [V::splat(0.0); ACCUMULATORS];
            let blocks = self.x.chunks_exact(ACCUMULATORS * V::WIDTH);
            let rest: f32 = blocks.remainder().iter().sum();
            for block in blocks {
                for (i, acc) in acc.iter_mut().enumerate() {
                    *acc = acc.add(V::load(block.as_ptr().add(i * V::WIDTH)));
                }
            }
            *self.sum = acc.into_iter().fold(rest, |sum, acc| sum + acc.sum());
        }
    }
}

/// `y[i] += x[i]`. Reads 8 bytes per value and writes 4.
///
/// # Panics
/// If the lengths differ.
pub(crate) fn update(isa: Isa, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "as many values to add as sums");
    // SAFETY: the lengths are the same.
    unsafe { isa.run(Update { x, y }) }
}

/// # Safety of running it
/// * `x` and `y` have the same length.
struct Update<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Task for Update<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let whole = self.x.len() / V::WIDTH * V::WIDTH;
        // SAFETY: `first + WIDTH <= whole`, which is within both slices; the caller guarantees the instruction set.
        unsafe {
            for first in (0..whole).step_by(V::WIDTH) {
                let y = self.y.as_mut_ptr().add(first);
                V::load(self.x.as_ptr().add(first)).add(V::load(y)).store(y);
            }
        }
        for (y, x) in self.y[whole..].iter_mut().zip(&self.x[whole..]) {
            *y += x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Simd;

    /// Whole numbers, so that every order of summation gives the same result.
    #[test]
    fn every_value_is_read_and_written_once() {
        for isa in Simd::available().into_iter().filter_map(Isa::new) {
            for len in [0, 1, 15, 16, 127, 128, 129, 1000] {
                let x: Vec<f32> = (0..len).map(|i| i as f32).collect();
                assert_eq!(read(isa, &x), (0..len).sum::<usize>() as f32, "{isa:?}, {len}");
                let mut y = vec![1.0; len];
                update(isa, &x, &mut y);
                assert!(y.iter().zip(&x).all(|(y, x)| *y == x + 1.0), "{isa:?}, {len}");
            }
        }
    }
}
