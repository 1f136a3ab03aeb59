//! Standardisation of the channels of a signal by the statistics of a batch, and its gradient.
//!
//! ```text
//! moments:   mean and variance of x[.., c]
//! y  = (x - mean) scale                                scale = 1 / sqrt(variance + epsilon)
//! means:     mean of dy[.., c], mean of (dy y)[.., c]
//! dx = (dy - mean of dy - y (mean of dy y)) scale
//! ```
//!
//! A vector has neighbouring channels, and goes through the rows; of a signal of one channel it has neighbouring steps,
//! and its lanes are added up in the end. Sums have four accumulators, as in [`sums`](super::sums).
//!
//! **Moments.** The variance is the mean of the squares of `x - m`, with m the mean as the first pass has summed it. The
//! second pass also sums `x - m`, whose mean is the error of m: it is added to m, and its square is taken off the variance
//! (Chan, Golub and LeVeque, *Algorithms for computing the sample variance*, 1983). So a signal that is far from zero
//! loses no more digits than its values have lost.
//!
//! Reference: [`glassbox_engine::reference::moments`] and its like.

use crate::simd::{Isa, Task, Vector};

/// Stores the mean and the variance of each channel of `x` in the two rows of `y`.
///
/// # Panics
/// If `x` is not whole rows, or `y` not two of them.
pub(crate) fn moments(isa: Isa, x: &[f32], y: &mut [f32]) {
    let channels = y.len() / 2;
    require(channels, &[x.len()], y.len());
    // SAFETY: `x` is whole rows, `y` two.
    unsafe { isa.run(Moments { channels, x, y }) }
}

/// Stores `(x - mean) / sqrt(variance + epsilon)` in `y`.
///
/// # Panics
/// If `x` and `y` are not as many whole rows, or there are not as many variances as means.
pub(crate) fn standardize(isa: Isa, epsilon: f64, [mean, variance]: [&[f32]; 2], x: &[f32], y: &mut [f32]) {
    let channels = mean.len();
    require(channels, &[x.len(), y.len()], channels + variance.len());
    assert_eq!(x.len(), y.len(), "as many results");
    // SAFETY: `x` and `y` are the same whole rows, and there are statistics of each channel.
    unsafe { isa.run(Standardize { epsilon: epsilon as f32, mean, variance, x, y }) }
}

/// Stores the means of `dy` and of `dy y` in the two rows of `means`.
///
/// # Panics
/// If `y` and `dy` are not as many whole rows, or `means` not two of them.
pub(crate) fn gradient_means(isa: Isa, y: &[f32], dy: &[f32], means: &mut [f32]) {
    let channels = means.len() / 2;
    require(channels, &[y.len(), dy.len()], means.len());
    assert_eq!(y.len(), dy.len(), "as many gradients");
    // SAFETY: `y` and `dy` are the same whole rows, `means` two.
    unsafe { isa.run(GradientMeans { channels, y, dy, means }) }
}

/// The gradient of [`standardize`] by the statistics of the batch: stores it in `dx`.
///
/// # Panics
/// If `y`, `dy` and `dx` are not as many whole rows, or `means` not two of them.
pub(crate) fn gradient(
    isa: Isa,
    epsilon: f64,
    (variance, means): (&[f32], &[f32]),
    [y, dy]: [&[f32]; 2],
    dx: &mut [f32],
) {
    require(variance.len(), &[y.len(), dy.len(), dx.len()], means.len());
    assert!(y.len() == dy.len() && y.len() == dx.len(), "as many gradients");
    // SAFETY: all three are the same whole rows, and there are a variance and two means of each channel.
    unsafe { isa.run(Gradient { epsilon: epsilon as f32, variance, means, y, dy, dx }) }
}

/// Panics unless signals are whole rows, and there are two numbers for each channel.
fn require(channels: usize, signals: &[usize], numbers: usize) {
    let whole = signals.iter().all(|len| channels > 0 && len.is_multiple_of(channels));
    assert!(whole && numbers == 2 * channels, "whole rows of {channels} values, and two of numbers");
}

/// # Safety of running it
/// * `x` is whole rows of `channels` values, `y` two.
struct Moments<'a> {
    channels: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Task for Moments<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { channels, x, y } = self;
        let (means, variances) = y.split_at_mut(channels);
        // SAFETY: the caller guarantees the instruction set; each access stays within whole rows.
        unsafe {
            let steps = V::splat((x.len() / channels) as f32);
            for columns in Columns::all::<V>(x.len(), channels) {
                let [sum] = columns.sums::<V, 1>(|at, count| [V::load_first(x.as_ptr().add(at), count)]);
                let mean = sum.div(steps);
                let [sum, squares] = columns.sums::<V, 2>(|at, count| {
                    let off = V::load_first(x.as_ptr().add(at), count).sub(mean);
                    [off, off.mul(off)]
                });
                let off = sum.div(steps);
                // Where all values are equal, rounding may leave less than nothing.
                let variance = squares.div(steps).sub(off.mul(off)).relu();
                columns.store(mean.add(off), means);
                columns.store(variance, variances);
            }
        }
    }
}

/// # Safety of running it
/// * `x` and `y` have the same length, a whole number of rows;
/// * `mean` and `variance` have a value for each channel.
struct Standardize<'a> {
    epsilon: f32,
    mean: &'a [f32],
    variance: &'a [f32],
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Task for Standardize<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { epsilon, mean, variance, x, y } = self;
        // SAFETY: the caller guarantees the instruction set; each access stays within whole rows.
        unsafe {
            for columns in Columns::all::<V>(x.len(), mean.len()) {
                let mean = columns.lanes::<V>(|c| mean[c]);
                let scale = columns.lanes::<V>(|c| 1.0 / (variance[c] + epsilon).sqrt());
                columns.each::<V>(|at, count| {
                    let v = V::load_first(x.as_ptr().add(at), count).sub(mean).mul(scale);
                    v.store_first(y.as_mut_ptr().add(at), count);
                });
            }
        }
    }
}

/// # Safety of running it
/// * `y` and `dy` have the same length, a whole number of rows of `channels` values; `means` is two rows.
struct GradientMeans<'a> {
    channels: usize,
    y: &'a [f32],
    dy: &'a [f32],
    means: &'a mut [f32],
}

impl Task for GradientMeans<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { channels, y, dy, means } = self;
        let (of_dy, of_products) = means.split_at_mut(channels);
        // SAFETY: the caller guarantees the instruction set; each access stays within whole rows.
        unsafe {
            let steps = V::splat((y.len() / channels) as f32);
            for columns in Columns::all::<V>(y.len(), channels) {
                let [sum, products] = columns.sums::<V, 2>(|at, count| {
                    let dy = V::load_first(dy.as_ptr().add(at), count);
                    [dy, dy.mul(V::load_first(y.as_ptr().add(at), count))]
                });
                columns.store(sum.div(steps), of_dy);
                columns.store(products.div(steps), of_products);
            }
        }
    }
}

/// # Safety of running it
/// * `y`, `dy` and `dx` have the same length, a whole number of rows;
/// * `variance` has a value for each channel, `means` two.
struct Gradient<'a> {
    epsilon: f32,
    variance: &'a [f32],
    means: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Task for Gradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { epsilon, variance, means, y, dy, dx } = self;
        let (of_dy, of_products) = means.split_at(variance.len());
        // SAFETY: the caller guarantees the instruction set; each access stays within whole rows.
        unsafe {
            for columns in Columns::all::<V>(y.len(), variance.len()) {
                let scale = columns.lanes::<V>(|c| 1.0 / (variance[c] + epsilon).sqrt());
                let (mean, product) =
                    (columns.lanes::<V>(|c| of_dy[c]), columns.lanes::<V>(|c| of_products[c]));
                columns.each::<V>(|at, count| {
                    let y = V::load_first(y.as_ptr().add(at), count);
                    let dy = V::load_first(dy.as_ptr().add(at), count);
                    let v = dy.sub(mean).sub(y.mul(product)).mul(scale);
                    v.store_first(dx.as_mut_ptr().add(at), count);
                });
            }
        }
    }
}

/// Neighbouring channels of a signal, as many as a vector has lanes or fewer. Of a signal of one channel, the lanes have
/// neighbouring steps.
#[derive(Clone, Copy)]
struct Columns {
    /// Values of the signal.
    len: usize,
    channels: usize,
    first: usize,
    count: usize,
}

impl Columns {
    fn all<V: Vector>(len: usize, channels: usize) -> impl Iterator<Item = Self> {
        let columns = move |first| Self { len, channels, first, count: (channels - first).min(V::WIDTH) };
        (0..channels).step_by(V::WIDTH).map(columns)
    }

    /// Calls `each` with the place and the number of the values of each vector.
    #[inline(always)]
    fn each<V: Vector>(self, mut each: impl FnMut(usize, usize)) {
        if self.channels > 1 {
            (0..self.len / self.channels).for_each(|t| each(t * self.channels + self.first, self.count));
        } else {
            (0..self.len).step_by(V::WIDTH).for_each(|at| each(at, (self.len - at).min(V::WIDTH)));
        }
    }

    /// The sums over all steps of what `terms` gives for the values of a vector, each in the lanes of its channel.
    ///
    /// # Safety
    /// * the processor has the instruction set of `V`.
    #[inline(always)]
    unsafe fn sums<V: Vector, const N: usize>(self, terms: impl Fn(usize, usize) -> [V; N]) -> [V; N] {
        // SAFETY: the caller guarantees the instruction set.
        unsafe {
            let mut acc = [[V::splat(0.0); N]; 4];
            let add = |acc: &mut [V; N], at: usize, count: usize| {
                let terms = terms(at, count);
                for (acc, term) in acc.iter_mut().zip(terms) {
                    *acc = acc.add(term);
                }
            };
            let one = self.channels == 1;
            let (row, count) = if one { (V::WIDTH, V::WIDTH) } else { (self.channels, self.count) };
            let rows = self.len / row;
            for t in (0..rows / 4 * 4).step_by(4) {
                for (i, acc) in acc.iter_mut().enumerate() {
                    add(acc, (t + i) * row + self.first, count);
                }
            }
            for t in rows / 4 * 4..rows {
                add(&mut acc[0], t * row + self.first, count);
            }
            let mut rest = [V::splat(0.0); N];
            if one && !self.len.is_multiple_of(row) {
                add(&mut rest, rows * row, self.len - rows * row);
            }
            let lanes = (1u32 << (self.len - rows * row)) - 1;
            std::array::from_fn(|n| {
                let sum = acc[0][n].add(acc[1][n]).add(acc[2][n].add(acc[3][n]));
                if one { V::splat(sum.add(rest[n].keep(lanes)).sum()) } else { sum }
            })
        }
    }

    /// The number of each channel, in its lanes.
    ///
    /// # Safety
    /// * the processor has the instruction set of `V`.
    #[inline(always)]
    unsafe fn lanes<V: Vector>(self, of: impl Fn(usize) -> f32) -> V {
        let mut values = [0.0; 16];
        for (lane, value) in values[..self.count].iter_mut().enumerate() {
            *value = of(self.first + lane);
        }
        // SAFETY: the caller guarantees the instruction set; no vector has more lanes than these.
        unsafe { if self.channels == 1 { V::splat(values[0]) } else { V::load(values.as_ptr()) } }
    }

    /// Stores the number of each channel.
    ///
    /// # Safety
    /// * the processor has the instruction set of `V`;
    /// * `to` has a value for each channel.
    #[inline(always)]
    unsafe fn store<V: Vector>(self, numbers: V, to: &mut [f32]) {
        // SAFETY: guaranteed by the caller.
        unsafe { numbers.store_first(to.as_mut_ptr().add(self.first), self.count) }
    }
}

#[cfg(test)]
mod tests {
    use glassbox_engine::reference;
    use ndarray::{Array2, ArrayView1, ArrayView2};

    use super::*;
    use crate::simd::Simd;

    /// Against the reference in `f64`, near zero and far from it.
    #[test]
    fn signals_and_gradients_are_those_of_the_reference() {
        let isas: Vec<Isa> = Simd::under_test().unwrap().into_iter().filter_map(Isa::new).collect();
        for (isa, far) in isas.into_iter().flat_map(|isa| [(isa, 0.0), (isa, 1000.0)]) {
            for channels in (1..20).chain([31, 32, 33, 100]) {
                for steps in [1, 2, 5, 7, 8, 16, 37] {
                    let value = |i: usize, factor: f32| (i as f32 * factor).sin();
                    let x: Vec<f32> = (0..steps * channels).map(|i| far + value(i, 1.37)).collect();
                    let dy: Vec<f32> = (0..steps * channels).map(|i| value(i, 0.71)).collect();
                    let wide = |values: &[f32]| {
                        let rows = (values.len() / channels, channels);
                        Array2::from_shape_vec(rows, values.iter().map(|v| f64::from(*v)).collect()).unwrap()
                    };
                    let hold = |what: &str, found: &[f32], wanted: ArrayView2<'_, f64>, most: f64| {
                        for (found, wanted) in found.iter().zip(wanted) {
                            let off = (f64::from(*found) - wanted).abs();
                            let place = format!("{what}, {channels} channels, {steps} steps, {isa:?}");
                            assert!(off <= most, "{place}: {found}, expected {wanted}");
                        }
                    };
                    let (wide_x, wide_dy) = (wide(&x), wide(&dy));
                    let (mut found, mut wanted) = (vec![9.0; 2 * channels], Array2::zeros((2, channels)));
                    moments(isa, &x, &mut found);
                    reference::moments(wide_x.view(), wanted.view_mut());
                    // Half a unit in the last place of a mean of 1000, and roundings of numbers up to 2.
                    hold("moments", &found, wanted.view(), 1e-6 + f64::from(far) * 1e-7);

                    // From here on with the same numbers.
                    let (mean, variance) = found.split_at(channels);
                    let statistics = wide(&found);
                    let rows: [ArrayView1<'_, f64>; 2] = [statistics.row(0), statistics.row(1)];
                    let (mut y, mut wanted) = (vec![9.0; x.len()], Array2::zeros(wide_x.dim()));
                    standardize(isa, 0.125, [mean, variance], &x, &mut y);
                    reference::standardize(0.125, rows, wide_x.view(), wanted.view_mut());
                    // Three roundings of numbers up to 2, scaled by at most 3.
                    hold("standardize", &y, wanted.view(), 2e-6);

                    let y: Vec<f32> = y.iter().map(|y| y.clamp(-2.0, 2.0)).collect();
                    let (mut means, mut wanted) = (vec![9.0; 2 * channels], Array2::zeros((2, channels)));
                    gradient_means(isa, &y, &dy, &mut means);
                    reference::gradient_means(wide(&y).view(), wide_dy.view(), wanted.view_mut());
                    hold("gradient means", &means, wanted.view(), 1e-6);

                    let (mut dx, mut wanted) = (vec![9.0; x.len()], Array2::zeros(wide_x.dim()));
                    gradient(isa, 0.125, (variance, &means), [&y, &dy], &mut dx);
                    let (wide_y, wide_means) = (wide(&y), wide(&means));
                    let (y, dy) = (wide_y.view(), wide_dy.view());
                    reference::standardize_gradient(
                        0.125,
                        rows[1],
                        wide_means.view(),
                        y,
                        dy,
                        wanted.view_mut(),
                    );
                    // Four roundings of numbers up to 6, scaled by at most 3.
                    hold("gradient", &dx, wanted.view(), 8e-6);
                }
            }
        }
    }
}
