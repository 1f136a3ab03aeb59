//! Numerical derivatives by extrapolated differences, with an error estimate.

/// Number of step sizes. The smallest is 4^-10, about 1e-6: below it, the rounding of a prediction is larger than the
/// differences.
const STEPS: i32 = 11;
/// The step stops shrinking once the error is below this fraction of the magnitude.
const ENOUGH: f64 = 1e-12;

/// A difference quotient, as a sum over the elements of a batch's predictions.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slope {
    /// The sum, without what its roundings have lost.
    sum: f64,
    /// The sum of the rounding errors of `sum`.
    lost: f64,
    /// The sum of the terms' magnitudes.
    magnitude: f64,
    /// Bound on how far the roundings of the predictions may have moved the sum.
    rounding: f64,
    /// Bound on the sum that the roundings of unchanged predictions may hide.
    hidden: f64,
}

impl Slope {
    /// Adds the contribution of one element of the predictions: its `change` times `factor`. `size` is the element's
    /// magnitude, which bounds its rounding.
    pub(super) fn add(&mut self, change: f64, factor: f64, size: f64) {
        let term = change * factor;
        // Neumaier's sum: its error does not grow with the number of terms.
        let sum = self.sum + term;
        let (large, small) = if self.sum.abs() >= term.abs() { (self.sum, term) } else { (term, self.sum) };
        self.lost += (large - sum) + small;
        self.sum = sum;
        self.magnitude += term.abs();
        // An element that is unchanged to the last bit does not depend on the variable.
        if change != 0.0 {
            self.rounding += f64::EPSILON * size * factor.abs();
        } else {
            self.hidden += f64::EPSILON * size * factor.abs();
        }
    }

    /// Divides by the distance between both ends, and by the number of elements.
    pub(super) fn over(self, divisor: f64) -> Self {
        Self {
            sum: self.sum / divisor,
            lost: self.lost / divisor,
            magnitude: self.magnitude / divisor,
            rounding: self.rounding / divisor,
            hidden: self.hidden / divisor,
        }
    }

    pub(super) fn value(self) -> f64 {
        self.sum + self.lost
    }
}

/// A derivative with its error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) derivative: f64,
    /// Estimated error of `derivative`.
    pub(super) error: f64,
    /// The derivative is a sum over the elements of the predictions; this is the sum of their magnitudes.
    pub(super) magnitude: f64,
    /// The part of the magnitude that one rounding of each prediction may make.
    pub(super) rounding: f64,
    /// The derivative that rounding may hide if no prediction changes at all.
    pub(super) hidden: f64,
}

/// Computes a derivative by Ridders' method (1982), from the slope over a step on either side.
///
/// The step shrinks by 4. Each slope is extrapolated to a step of zero together with those before it (Richardson 1911):
/// each extrapolation removes one more even power of the step. The error estimate is the change that an extrapolation
/// makes, plus the rounding of the slope. The estimate with the least error is kept. `None` if no slope is finite.
///
/// Along the variables of convolutions with ReLUs the function is a polynomial of the second degree, and the first two
/// slopes agree up to rounding. Other activations are curved, and a user's operation may have a kink: these take more
/// slopes.
pub(super) fn differentiate(mut slope: impl FnMut(f64) -> Slope) -> Option<Estimate> {
    let mut best: Option<Estimate> = None;
    let mut before: Vec<f64> = vec![];
    for power in 0..STEPS {
        let slope = slope(0.25f64.powi(power));
        let Slope { magnitude, rounding, hidden, .. } = slope;
        let mut row = vec![slope.value()];
        for (order, before) in (1..).zip(&before) {
            let last = row[row.len() - 1];
            let derivative = last + (last - before) / (16f64.powi(order) - 1.0);
            let error = (derivative - last).abs().max((derivative - before).abs()) + rounding;
            // False for NaN.
            if error < best.map_or(f64::INFINITY, |best| best.error) {
                best = Some(Estimate { derivative, error, magnitude, rounding, hidden });
            }
            row.push(derivative);
        }
        if best.is_some_and(|best| best.error <= ENOUGH * magnitude + 2.0 * rounding) {
            break;
        }
        before = row;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The derivative of a function of one number, as a batch with one element, and the number of slopes used.
    fn at(here: f64, function: impl Fn(f64) -> f64) -> (Option<Estimate>, usize) {
        let mut slopes = 0;
        let estimate = differentiate(|step| {
            slopes += 1;
            let (above, below) = (function(here + step), function(here - step));
            let mut slope = Slope::default();
            slope.add(above - below, 1.0, above.abs().max(below.abs()));
            slope.over(2.0 * step)
        });
        (estimate, slopes)
    }

    fn assert_finds(expected: f64, estimate: Option<Estimate>, precision: f64) {
        let estimate = estimate.expect("an estimate");
        let off = (estimate.derivative - expected).abs();
        assert!(off <= estimate.error, "off by {off:e}: {estimate:?}");
        assert!(estimate.error <= precision * estimate.magnitude, "{estimate:?}");
    }

    #[test]
    fn a_polynomial_of_the_second_degree_takes_two_slopes() {
        let (estimate, slopes) = at(0.7, |x| 3.0 * x * x - 2.0 * x + 0.5);
        assert_finds(6.0 * 0.7 - 2.0, estimate, 1e-14);
        assert_eq!(slopes, 2);
    }

    #[test]
    fn a_curved_function_is_extrapolated() {
        for here in [-2.0, -0.1, 0.0, 0.3, 4.0] {
            assert_finds(1.0 - f64::tanh(here).powi(2), at(here, f64::tanh).0, 1e-10);
        }
        assert_finds(f64::exp(3.0), at(3.0, f64::exp).0, 1e-11);
    }

    #[test]
    fn a_step_is_smaller_than_the_way_to_a_kink() {
        for here in [0.3f64, 1e-2, 1e-4, -1e-5] {
            assert_finds(here.signum(), at(here, f64::abs).0, 1e-9);
            let curved = |x: f64| if x < 0.0 { 0.0 } else { x.sin() };
            assert_finds(if here < 0.0 { 0.0 } else { here.cos() }, at(here, curved).0, 1e-8);
        }
    }

    #[test]
    fn what_lies_outside_of_the_domain_is_left_out() {
        assert_finds(1.0 / 0.01, at(0.01, f64::ln).0, 1e-10);
        assert_eq!(at(-1.0, f64::ln).0, None);
    }

    #[test]
    fn a_constant_has_no_slope_and_no_error() {
        let (estimate, slopes) = at(2.0, |_| 5.0);
        assert_eq!(
            estimate,
            Some(Estimate {
                derivative: 0.0,
                error: 0.0,
                magnitude: 0.0,
                rounding: 0.0,
                hidden: 10.0 * f64::EPSILON
            })
        );
        assert_eq!(slopes, 2);
    }

    /// A million terms that cancel except for one: a plain sum would be off by 1e-9 from the tenths alone.
    #[test]
    fn the_sum_does_not_lose_what_its_length_would_cost() {
        let mut slope = Slope::default();
        for _ in 0..500_000 {
            slope.add(0.1, 1.0, 0.0);
        }
        slope.add(1e-9, 1.0, 0.0);
        for _ in 0..500_000 {
            slope.add(-0.1, 1.0, 0.0);
        }
        let slope = slope.over(1.0);
        assert!((slope.value() - 1e-9).abs() < 1e-20, "{slope:?}");
    }
}
