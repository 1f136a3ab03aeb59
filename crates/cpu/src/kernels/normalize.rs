//! Normalisation of each step over its channels, and its gradient.
//!
//! ```text
//! y  = (x - mean) scale                           scale = 1 / sqrt(variance + epsilon)
//! dx = (dy - mean of dy - y (mean of dy y)) scale
//! ```
//!
//! A step is a row in memory. Its sums have an accumulator for each lane; the lanes after the last channel are zero. The
//! gradient computes mean and scale again, which costs less than to keep them.
//!
//! Reference: [`glassbox_engine::reference::normalize`].

use crate::simd::{Isa, Task, Vector};

/// Stores the normalised rows of `channels` values of `x` in `y`.
///
/// # Panics
/// If the lengths differ, or are not whole rows.
pub(crate) fn normalize(isa: Isa, epsilon: f64, channels: usize, x: &[f32], y: &mut [f32]) {
    assert!(x.len() == y.len() && x.len().is_multiple_of(channels), "rows of {channels} values");
    // SAFETY: both are the same whole rows.
    unsafe { isa.run(Normalize { epsilon: epsilon as f32, channels, x, y }) }
}

/// The gradient of [`normalize`].
///
/// # Panics
/// If the lengths differ, or are not whole rows.
pub(crate) fn gradient(isa: Isa, epsilon: f64, channels: usize, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let whole = x.len() == dy.len() && x.len() == dx.len() && x.len().is_multiple_of(channels);
    assert!(whole, "rows of {channels} values");
    // SAFETY: all three are the same whole rows.
    unsafe { isa.run(Gradient { epsilon: epsilon as f32, channels, x, dy, dx }) }
}

/// # Safety of running it
/// * `x` and `y` have the same length, a whole number of rows.
struct Normalize<'a> {
    epsilon: f32,
    channels: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Task for Normalize<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { epsilon, channels, x, y } = self;
        for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            // SAFETY: the caller guarantees the instruction set; each access stays within a row.
            unsafe {
                let (mean, scale) = moments::<V>(epsilon, x);
                let (mean, scale) = (V::splat(mean), V::splat(scale));
                for first in (0..channels).step_by(V::WIDTH) {
                    let count = (channels - first).min(V::WIDTH);
                    let v = V::load_first(x.as_ptr().add(first), count);
                    v.sub(mean).mul(scale).store_first(y.as_mut_ptr().add(first), count);
                }
            }
        }
    }
}

/// # Safety of running it
/// * `x`, `dy` and `dx` have the same length, a whole number of rows.
struct Gradient<'a> {
    epsilon: f32,
    channels: usize,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Task for Gradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { epsilon, channels, x, dy, dx } = self;
        let rows = x.chunks_exact(channels).zip(dy.chunks_exact(channels)).zip(dx.chunks_exact_mut(channels));
        for ((x, dy), dx) in rows {
            // SAFETY: the caller guarantees the instruction set; each access stays within a row.
            unsafe {
                let (mean, scale) = moments::<V>(epsilon, x);
                let (mean, factor) = (V::splat(mean), V::splat(scale));
                let (mut sum, mut product) = (V::splat(0.0), V::splat(0.0));
                for first in (0..channels).step_by(V::WIDTH) {
                    let count = (channels - first).min(V::WIDTH);
                    // Where there is no channel, dy is zero.
                    let dy = V::load_first(dy.as_ptr().add(first), count);
                    let y = V::load_first(x.as_ptr().add(first), count).sub(mean).mul(factor);
                    sum = sum.add(dy);
                    product = dy.mul_add(y, product);
                }
                let sum = V::splat(sum.sum() / channels as f32);
                let product = V::splat(product.sum() / channels as f32);
                for first in (0..channels).step_by(V::WIDTH) {
                    let count = (channels - first).min(V::WIDTH);
                    let dy = V::load_first(dy.as_ptr().add(first), count);
                    let y = V::load_first(x.as_ptr().add(first), count).sub(mean).mul(factor);
                    let v = dy.sub(sum).sub(y.mul(product)).mul(factor);
                    v.store_first(dx.as_mut_ptr().add(first), count);
                }
            }
        }
    }
}

/// The mean of a row, and `1 / sqrt(variance + epsilon)`.
///
/// # Safety
/// * the processor has the instruction set of `V`.
#[inline(always)]
unsafe fn moments<V: Vector>(epsilon: f32, x: &[f32]) -> (f32, f32) {
    let channels = x.len() as f32;
    // SAFETY: the caller guarantees the instruction set; each access stays within the row.
    unsafe {
        let mut sum = V::splat(0.0);
        for part in x.chunks(V::WIDTH) {
            sum = sum.add(V::load_first(part.as_ptr(), part.len()));
        }
        let mean = sum.sum() / channels;
        let mut squares = V::splat(0.0);
        for part in x.chunks(V::WIDTH) {
            let lanes = ((1u64 << part.len()) - 1) as u32;
            let off = V::load_first(part.as_ptr(), part.len()).sub(V::splat(mean)).keep(lanes);
            squares = off.mul_add(off, squares);
        }
        (mean, 1.0 / (squares.sum() / channels + epsilon).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use glassbox_engine::reference;
    use ndarray::{ArrayView2, ArrayViewMut2};

    use super::*;
    use crate::simd::Simd;

    /// Against the reference in `f64`. A row that is far from zero loses digits with its mean, the same in any order.
    #[test]
    fn rows_and_gradients_are_those_of_the_reference() {
        for isa in Simd::under_test().unwrap().into_iter().filter_map(Isa::new) {
            for channels in (1..20).chain([31, 32, 33, 100]) {
                let rows = 5;
                let value = |i: usize, factor: f32| (i as f32 * factor).sin();
                let x: Vec<f32> = (0..rows * channels).map(|i| 3.0 * value(i, 1.37) + 0.5).collect();
                let dy: Vec<f32> = (0..rows * channels).map(|i| value(i, 0.71)).collect();
                let (mut y, mut dx) = (vec![9.0; x.len()], vec![9.0; x.len()]);
                normalize(isa, 1e-3, channels, &x, &mut y);
                gradient(isa, 1e-3, channels, &x, &dy, &mut dx);
                let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
                let (x, dy) = (wide(&x), wide(&dy));
                let view = |values| ArrayView2::from_shape((rows, channels), values).unwrap();
                let (mut wanted_y, mut wanted_dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
                let y_view = ArrayViewMut2::from_shape((rows, channels), &mut wanted_y).unwrap();
                reference::normalize(1e-3, view(&x), y_view);
                let dx_view = ArrayViewMut2::from_shape((rows, channels), &mut wanted_dx).unwrap();
                reference::normalize_gradient(1e-3, view(&x), view(&dy), dx_view);
                // Up to 100 additions of numbers up to 4, scaled by at most 32 where a row has little variance.
                for (found, wanted) in y.iter().zip(&wanted_y).chain(dx.iter().zip(&wanted_dx)) {
                    let off = (f64::from(*found) - wanted).abs();
                    assert!(off <= 2e-4, "{found}, expected {wanted}, {channels} channels on {isa:?}");
                }
            }
        }
    }
}
