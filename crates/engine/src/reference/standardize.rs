//! Standardisation of the channels of a signal by the statistics of a batch, and its gradient.

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2, Zip};

use crate::float::Float;
use crate::program::Meeting;

/// The mean and the variance of each channel over the steps of a sample.
///
/// # Shapes
/// * `x`: `(steps, channels)`
/// * `y`: `(2, channels)`, overwritten: means, variances
pub fn moments<F: Float>(x: ArrayView2<'_, F>, mut y: ArrayViewMut2<'_, F>) {
    for (x, mut y) in x.columns().into_iter().zip(y.columns_mut()) {
        let mean = mean_of(x, |x| x);
        (y[0], y[1]) = (mean, mean_of(x, |x| (x - mean) * (x - mean)));
    }
}

/// Computes the result of a barrier: see [`Meeting`]. All samples have the same number of steps, so the mean over all
/// steps is the mean of the means.
///
/// # Shapes
/// * `samples`: `(2, channels)` each
/// * result `(2, channels)`
pub fn meet<F: Float>(meeting: &Meeting, samples: &[ArrayView2<'_, F>]) -> Array2<F> {
    let count = F::of(samples.len() as f64);
    let mut means = Array2::zeros(samples[0].dim());
    for sample in samples {
        means += sample;
    }
    means.mapv_inplace(|sum| sum / count);
    if let Meeting::Moments { .. } = meeting {
        for c in 0..means.ncols() {
            let mut squares = F::zero();
            for sample in samples {
                let off = sample[[0, c]] - means[[0, c]];
                squares += off * off;
            }
            means[[1, c]] += squares / count;
        }
    }
    means
}

/// The change of a moving statistic of which the part `momentum` stays, added to that of earlier calls:
/// `dw += (1 - momentum) (s - (w + dw))`.
pub fn follow<F: Float>(momentum: f64, statistic: ArrayView1<'_, F>, moving: &[F], change: &mut [F]) {
    let rest = F::of(1.0 - momentum);
    for ((s, w), dw) in statistic.iter().zip(moving).zip(change) {
        *dw += rest * (*s - (*w + *dw));
    }
}

/// `y[t, c] = (x[t, c] - mean[c]) / sqrt(variance[c] + epsilon)`
///
/// # Shapes
/// * `mean`, `variance`: `(channels)`
/// * `x`: `(steps, channels)`
/// * `y`: `(steps, channels)`, overwritten
pub fn standardize<F: Float>(
    epsilon: f64,
    [mean, variance]: [ArrayView1<'_, F>; 2],
    x: ArrayView2<'_, F>,
    mut y: ArrayViewMut2<'_, F>,
) {
    Zip::indexed(&mut y).and(x).for_each(|(_, c), y, x| *y = (*x - mean[c]) * scale(variance[c], epsilon));
}

/// The means over steps of `dy[t, c]` and of `dy[t, c] y[t, c]`.
///
/// # Shapes
/// * `y`, `dy`: `(steps, channels)`
/// * `means`: `(2, channels)`, overwritten
pub fn gradient_means<F: Float>(
    y: ArrayView2<'_, F>,
    dy: ArrayView2<'_, F>,
    mut means: ArrayViewMut2<'_, F>,
) {
    let products = &dy * &y;
    for c in 0..y.ncols() {
        means[[0, c]] = mean_of(dy.column(c), |dy| dy);
        means[[1, c]] = mean_of(products.column(c), |product| product);
    }
}

/// The gradient of [`standardize`] with respect to `x`, of which mean and variance are the moments over the batch:
///
/// ```text
/// dx[t, c] = (dy[t, c] - mean of dy - y[t, c] (mean of dy y)) / sqrt(variance[c] + epsilon)
/// ```
///
/// # Shapes
/// * `variance`: `(channels)`
/// * `means`: `(2, channels)`, the [`gradient_means`] of the batch
/// * `y`, `dy`: `(steps, channels)`
/// * `dx`: `(steps, channels)`, overwritten
pub fn standardize_gradient<F: Float>(
    epsilon: f64,
    variance: ArrayView1<'_, F>,
    means: ArrayView2<'_, F>,
    y: ArrayView2<'_, F>,
    dy: ArrayView2<'_, F>,
    mut dx: ArrayViewMut2<'_, F>,
) {
    Zip::indexed(&mut dx).and(y).and(dy).for_each(|(_, c), dx, y, dy| {
        *dx = (*dy - means[[0, c]] - *y * means[[1, c]]) * scale(variance[c], epsilon);
    });
}

fn scale<F: Float>(variance: F, epsilon: f64) -> F {
    F::one() / (variance + F::of(epsilon)).sqrt()
}

fn mean_of<F: Float>(values: ArrayView1<'_, F>, term: impl Fn(F) -> F) -> F {
    let mut sum = F::zero();
    for value in values {
        sum += term(*value);
    }
    sum / F::of(values.len() as f64)
}
