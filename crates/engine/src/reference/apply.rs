//! Contraction 1: a convolution's linear map A.

use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2};

use crate::float::Float;
use crate::geometry::Geometry;

/// `y = A x`:
///
/// ```text
/// y[t, o] = sum over tap, c of  x[t stride + tap dilation - pad_left, c] kernel[tap, c, o]
/// ```
///
/// # Shapes
/// * `x`: `(in_steps, in_channels)`
/// * `kernel`: `(taps, in_channels, out_channels)`
/// * `y`: `(out_steps, out_channels)`, overwritten
pub fn apply<F: Float>(
    geometry: &Geometry,
    x: ArrayView2<'_, F>,
    kernel: ArrayView3<'_, F>,
    mut y: ArrayViewMut2<'_, F>,
) {
    for t in 0..geometry.out_steps {
        for o in 0..geometry.out_channels {
            let mut sum = F::zero();
            for tap in 0..geometry.taps {
                let Some(i) = geometry.in_step(t, tap) else { continue };
                for c in 0..geometry.in_channels {
                    sum += x[[i, c]] * kernel[[tap, c, o]];
                }
            }
            y[[t, o]] = sum;
        }
    }
}
