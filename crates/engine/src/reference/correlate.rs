//! Contraction 3: the gradient of a convolution's kernel.

use ndarray::{ArrayView2, ArrayViewMut3};

use crate::float::Float;
use crate::geometry::Geometry;

/// The correlation of a signal on A's input side with one on its output side:
///
/// ```text
/// dkernel[tap, c, o] += sum over t of  x[t stride + tap dilation - pad_left, c] y[t, o]
/// ```
///
/// # Shapes
/// * `x`: `(in_steps, in_channels)`
/// * `y`: `(out_steps, out_channels)`
/// * `dkernel`: `(taps, in_channels, out_channels)`, added to
pub fn correlate<F: Float>(
    geometry: &Geometry,
    x: ArrayView2<'_, F>,
    y: ArrayView2<'_, F>,
    mut dkernel: ArrayViewMut3<'_, F>,
) {
    for tap in 0..geometry.taps {
        for c in 0..geometry.in_channels {
            for o in 0..geometry.out_channels {
                let mut sum = F::zero();
                for t in 0..geometry.out_steps {
                    let Some(i) = geometry.in_step(t, tap) else { continue };
                    sum += x[[i, c]] * y[[t, o]];
                }
                dkernel[[tap, c, o]] += sum;
            }
        }
    }
}
