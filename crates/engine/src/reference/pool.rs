//! Pooling, and its gradient.

use ndarray::{ArrayView2, ArrayViewMut2};

use crate::float::Float;
use crate::geometry::Geometry;
use crate::program::Pooling;

/// `y[t, c]` = the maximum, or the mean, of `x[i, c]` over the input steps i that output step t meets. Padding is not
/// among them.
///
/// # Shapes
/// * `x`: `(in_steps, channels)`
/// * `y`: `(out_steps, channels)`, overwritten
pub fn pool<F: Float>(
    pooling: Pooling,
    geometry: &Geometry,
    x: ArrayView2<'_, F>,
    mut y: ArrayViewMut2<'_, F>,
) {
    for ((t, c), y) in y.indexed_iter_mut() {
        *y = match pooling {
            Pooling::Max => x[[argmax(geometry, x, t, c), c]],
            Pooling::Average => {
                let mut sum = F::zero();
                for i in window(geometry, t) {
                    sum += x[[i, c]];
                }
                sum / F::of(window(geometry, t).count() as f64)
            }
        };
    }
}

/// The gradient of [`pool`]: each `dy[t, c]` goes to the maximum of its window, or to all of it in equal parts.
///
/// # Shapes
/// * `x`, `dx`: `(in_steps, channels)`, `dx` overwritten
/// * `dy`: `(out_steps, channels)`
pub fn pool_gradient<F: Float>(
    pooling: Pooling,
    geometry: &Geometry,
    x: ArrayView2<'_, F>,
    dy: ArrayView2<'_, F>,
    mut dx: ArrayViewMut2<'_, F>,
) {
    dx.fill(F::zero());
    for ((t, c), dy) in dy.indexed_iter() {
        match pooling {
            Pooling::Max => dx[[argmax(geometry, x, t, c), c]] += *dy,
            Pooling::Average => {
                let share = *dy / F::of(window(geometry, t).count() as f64);
                for i in window(geometry, t) {
                    dx[[i, c]] += share;
                }
            }
        }
    }
}

/// The input step that has the maximum of the window of output step `t`: the first of several, as in TensorFlow. A NaN
/// counts as the maximum, so that its origin can be found; the last of several.
///
/// # Panics
/// If the window has no step, which no layer of pooling makes.
pub fn argmax<F: Float>(geometry: &Geometry, x: ArrayView2<'_, F>, t: usize, c: usize) -> usize {
    let larger = |best: usize, i: usize| {
        let (max, v) = (x[[best, c]], x[[i, c]]);
        if v > max || v.is_nan() { i } else { best }
    };
    window(geometry, t).reduce(larger).expect("a window of at least one step")
}

/// The input steps that output step `t` meets.
fn window(geometry: &Geometry, t: usize) -> impl Iterator<Item = usize> {
    (0..geometry.taps).filter_map(move |tap| geometry.in_step(t, tap))
}
