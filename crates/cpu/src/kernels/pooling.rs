//! Pooling over time, and its gradient.
//!
//! Channels are neighbours in memory, so the loops over channels are the vectorised ones. A window is a range of rows.
//! The gradient of a maximum finds it again, for [`BLOCK`] channels at a time: with its step in registers, no room is
//! needed for it. Sums have the order of the reference, so the results are the same to the bit.
//!
//! Reference: [`glassbox_engine::reference::pool`].

use std::ops::Range;

use glassbox_engine::geometry::Geometry;
use glassbox_engine::program::Pooling;

use crate::simd::{Isa, Task, Vector};

/// Channels whose maxima are found at a time: a few vectors of them.
const BLOCK: usize = 16;

/// `y[t, c]` = the maximum, or the mean, of window t of channel c.
///
/// # Panics
/// If a length is not that of the geometry.
pub(crate) fn pool(isa: Isa, pooling: Pooling, geometry: &Geometry, x: &[f32], y: &mut [f32]) {
    assert_eq!((x.len(), y.len()), (geometry.input().len(), geometry.output().len()), "pooling");
    // SAFETY: the task is plain code.
    unsafe { isa.run(Pool { pooling, geometry, x, y }) }
}

/// The gradient of [`pool`].
///
/// # Panics
/// If a length is not that of the geometry.
pub(crate) fn gradient(
    isa: Isa,
    pooling: Pooling,
    geometry: &Geometry,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    assert_eq!((x.len(), dx.len()), (geometry.input().len(), geometry.input().len()), "pooling");
    assert_eq!(dy.len(), geometry.output().len(), "pooling");
    dx.fill(0.0);
    match pooling {
        // SAFETY: the task is plain code.
        Pooling::Max => unsafe { isa.run(MaxGradient { geometry, x, dy, dx }) },
        // SAFETY: the task is plain code.
        Pooling::Average => unsafe { isa.run(AverageGradient { geometry, dy, dx }) },
    }
}

/// The input steps of a window.
fn window(geometry: &Geometry, t: usize) -> Range<usize> {
    let start = t * geometry.stride;
    let end = (start + geometry.taps).saturating_sub(geometry.pad_left);
    start.saturating_sub(geometry.pad_left)..end.min(geometry.in_steps)
}

/// # Safety of running it
/// * none: this is plain code that the compiler vectorises.
struct Pool<'a> {
    pooling: Pooling,
    geometry: &'a Geometry,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Task for Pool<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { pooling, geometry, x, y } = self;
        let channels = geometry.in_channels;
        for (t, y) in y.chunks_exact_mut(channels).enumerate() {
            let window = window(geometry, t);
            let mut rows = x[window.start * channels..window.end * channels].chunks_exact(channels);
            y.copy_from_slice(rows.next().expect("a window has a step"));
            match pooling {
                Pooling::Max => rows.for_each(|row| {
                    for (y, x) in y.iter_mut().zip(row) {
                        *y = if is_larger(*x, *y) { *x } else { *y };
                    }
                }),
                Pooling::Average => {
                    for row in rows {
                        for (y, x) in y.iter_mut().zip(row) {
                            *y += x;
                        }
                    }
                    let steps = window.len() as f32;
                    y.iter_mut().for_each(|y| *y /= steps);
                }
            }
        }
    }
}

/// # Safety of running it
/// * none: this is plain code that the compiler vectorises.
struct MaxGradient<'a> {
    geometry: &'a Geometry,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Task for MaxGradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { geometry, x, dy, dx } = self;
        let channels = geometry.in_channels;
        for (t, dy) in dy.chunks_exact(channels).enumerate() {
            let window = window(geometry, t);
            for first in (0..channels).step_by(BLOCK) {
                let count = (channels - first).min(BLOCK);
                let row = |i: usize| &x[i * channels + first..][..count];
                let (mut max, mut step) = ([0.0; BLOCK], [window.start as u32; BLOCK]);
                max[..count].copy_from_slice(row(window.start));
                for i in window.start + 1..window.end {
                    for ((max, step), x) in max.iter_mut().zip(&mut step).zip(row(i)) {
                        let larger = is_larger(*x, *max);
                        *max = if larger { *x } else { *max };
                        *step = if larger { i as u32 } else { *step };
                    }
                }
                for (c, step) in step[..count].iter().enumerate() {
                    dx[*step as usize * channels + first + c] += dy[first + c];
                }
            }
        }
    }
}

/// # Safety of running it
/// * none: this is plain code that the compiler vectorises.
struct AverageGradient<'a> {
    geometry: &'a Geometry,
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Task for AverageGradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { geometry, dy, dx } = self;
        let channels = geometry.in_channels;
        for (t, dy) in dy.chunks_exact(channels).enumerate() {
            let window = window(geometry, t);
            let steps = window.len() as f32;
            for dx in dx[window.start * channels..window.end * channels].chunks_exact_mut(channels) {
                for (dx, dy) in dx.iter_mut().zip(dy) {
                    *dx += dy / steps;
                }
            }
        }
    }
}

/// Returns true if `x` takes the place of the maximum so far: NaN does, always.
#[inline(always)]
fn is_larger(x: f32, max: f32) -> bool {
    x > max || x.is_nan()
}

#[cfg(test)]
mod tests {
    use glassbox_engine::geometry::{GeometrySpec, Padding};
    use glassbox_engine::reference;
    use ndarray::{ArrayView2, ArrayViewMut2};

    use super::*;
    use crate::simd::Simd;

    fn geometries() -> Vec<Geometry> {
        let mut all = vec![];
        for padding in [Padding::Valid, Padding::Same] {
            for (in_steps, taps, stride) in
                [(12, 2, 2), (13, 3, 2), (9, 4, 1), (7, 1, 3), (5, 5, 5), (3, 7, 2)]
            {
                let Some((out_steps, pad_left)) = padding.resolve(in_steps, taps, stride) else { continue };
                for channels in [1, 3, 16, 17, 33] {
                    let spec = GeometrySpec {
                        in_steps,
                        in_channels: channels,
                        out_steps,
                        out_channels: channels,
                        taps,
                        stride,
                        dilation: 1,
                        pad_left,
                    };
                    all.push(Geometry::new(spec).unwrap());
                }
            }
        }
        all
    }

    /// Few different numbers, so that maxima are not alone, and a NaN.
    #[test]
    fn the_bits_are_those_of_the_reference() {
        for isa in Simd::under_test().unwrap().into_iter().filter_map(Isa::new) {
            for geometry in geometries() {
                let (input, output) = (geometry.input(), geometry.output());
                let mut x: Vec<f32> = (0..input.len()).map(|i| ((i * 7919) % 5) as f32 * 0.3 - 0.7).collect();
                x[input.len() / 2] = f32::NAN;
                let dy: Vec<f32> = (0..output.len()).map(|i| (i as f32 * 0.77).sin()).collect();
                for pooling in [Pooling::Max, Pooling::Average] {
                    let (mut y, mut dx) = (vec![9.0; output.len()], vec![9.0; input.len()]);
                    pool(isa, pooling, &geometry, &x, &mut y);
                    gradient(isa, pooling, &geometry, &x, &dy, &mut dx);
                    let (mut wanted_y, mut wanted_dx) = (y.clone(), dx.clone());
                    let input = (input.steps, input.channels);
                    let output = (output.steps, output.channels);
                    let view = ArrayView2::from_shape(input, &x).unwrap();
                    let y_view = ArrayViewMut2::from_shape(output, &mut wanted_y).unwrap();
                    reference::pool(pooling, &geometry, view, y_view);
                    let dy_view = ArrayView2::from_shape(output, &dy).unwrap();
                    let dx_view = ArrayViewMut2::from_shape(input, &mut wanted_dx).unwrap();
                    reference::pool_gradient(pooling, &geometry, view, dy_view, dx_view);
                    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&y), bits(&wanted_y), "{isa:?}, {pooling:?}, {geometry:?}");
                    assert_eq!(bits(&dx), bits(&wanted_dx), "{isa:?}, {pooling:?}, {geometry:?}");
                }
            }
        }
    }
}
