//! Contraction 2: the transpose of a convolution's linear map A.

use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2};

use crate::float::Float;
use crate::geometry::Geometry;

/// `y = A^T x`, written as A with source and destination exchanged: adds each element of `x` to the steps that A reads
/// it from.
///
/// ```text
/// y[i, c] = sum over t, tap with t stride + tap dilation - pad_left = i, and o, of
///           x[t, o] kernel[tap, c, o]
/// ```
///
/// # Shapes
/// * `x`: `(out_steps, out_channels)`
/// * `kernel`: `(taps, in_channels, out_channels)`
/// * `y`: `(in_steps, in_channels)`, overwritten
pub fn apply_transposed<F: Float>(
    geometry: &Geometry,
    x: ArrayView2<'_, F>,
    kernel: ArrayView3<'_, F>,
    mut y: ArrayViewMut2<'_, F>,
) {
    y.fill(F::zero());
    for t in 0..geometry.out_steps {
        for tap in 0..geometry.taps {
            let Some(i) = geometry.in_step(t, tap) else { continue };
            for c in 0..geometry.in_channels {
                for o in 0..geometry.out_channels {
                    y[[i, c]] += x[[t, o]] * kernel[[tap, c, o]];
                }
            }
        }
    }
}
