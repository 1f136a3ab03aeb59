//! Normalisation of the steps of a signal, and its gradient.

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2};

use crate::float::Float;

/// `y[t, c] = (x[t, c] - mean) / sqrt(variance + epsilon)`, with the mean and the variance of step t over its channels.
///
/// # Shapes
/// * `x`: `(steps, channels)`
/// * `y`: `(steps, channels)`, overwritten
pub fn normalize<F: Float>(epsilon: f64, x: ArrayView2<'_, F>, mut y: ArrayViewMut2<'_, F>) {
    for (x, mut y) in x.rows().into_iter().zip(y.rows_mut()) {
        let (mean, scale) = moments(epsilon, x);
        y.zip_mut_with(&x, |y, x| *y = (*x - mean) * scale);
    }
}

/// The gradient of [`normalize`]:
///
/// ```text
/// dx[t, c] = (dy[t, c] - mean of dy - y[t, c] (mean of dy y)) / sqrt(variance + epsilon)
/// ```
///
/// # Shapes
/// * `x`, `dy`: `(steps, channels)`
/// * `dx`: `(steps, channels)`, overwritten
pub fn normalize_gradient<F: Float>(
    epsilon: f64,
    x: ArrayView2<'_, F>,
    dy: ArrayView2<'_, F>,
    mut dx: ArrayViewMut2<'_, F>,
) {
    let channels = F::of(x.ncols() as f64);
    for ((x, dy), mut dx) in x.rows().into_iter().zip(dy.rows()).zip(dx.rows_mut()) {
        let (mean, scale) = moments(epsilon, x);
        let y = |c: usize| (x[c] - mean) * scale;
        let (mut sum, mut product) = (F::zero(), F::zero());
        for (c, dy) in dy.iter().enumerate() {
            sum += *dy;
            product += *dy * y(c);
        }
        for (c, dx) in dx.iter_mut().enumerate() {
            *dx = (dy[c] - sum / channels - y(c) * (product / channels)) * scale;
        }
    }
}

/// The mean of a step, and `1 / sqrt(variance + epsilon)`.
fn moments<F: Float>(epsilon: f64, x: ArrayView1<'_, F>) -> (F, F) {
    let channels = F::of(x.len() as f64);
    let (mut sum, mut squares) = (F::zero(), F::zero());
    for x in x {
        sum += *x;
    }
    let mean = sum / channels;
    for x in x {
        squares += (*x - mean) * (*x - mean);
    }
    (mean, F::one() / (squares / channels + F::of(epsilon)).sqrt())
}
