//! Gradient clipping, before an optimiser's step.

use super::{Common, check};
use crate::error::{Error, Result};
use crate::float::Float;

/// How a gradient is clipped, with its limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clipping {
    /// Each element to `[-limit, limit]`: Keras's `clipvalue`.
    Value(f64),
    /// Each tensor by itself to a Euclidean norm of at most the limit: Keras's `clipnorm`.
    Norm(f64),
    /// All tensors together to a Euclidean norm of at most the limit, by one factor: Keras's `global_clipnorm`.
    GlobalNorm(f64),
}

impl Common {
    /// The kind of clipping that is asked for.
    #[must_use]
    pub fn clipping(&self) -> Option<Clipping> {
        let norm = self.clipnorm.map(Clipping::Norm);
        norm.or(self.global_clipnorm.map(Clipping::GlobalNorm)).or(self.clipvalue.map(Clipping::Value))
    }

    pub(super) fn validate_clipping(&self) -> Result<()> {
        let limits = [
            ("clipnorm", self.clipnorm),
            ("clipvalue", self.clipvalue),
            ("global_clipnorm", self.global_clipnorm),
        ];
        let mut given = limits.into_iter().filter_map(|(name, limit)| Some((name, limit?)));
        let Some((first, limit)) = given.next() else { return Ok(()) };
        if let Some((second, limit)) = given.next() {
            let expected = format!("no value beside {first}: a gradient is clipped in one way");
            return Err(Error::Option { option: second, found: limit.to_string(), expected });
        }
        // In `f32` as well, so that no division is by zero.
        let narrow = limit as f32;
        check(first, limit, narrow.is_normal() && narrow > 0.0, "a positive number in the range of f32")
    }
}

/// An element clipped by value. NaN stays NaN.
pub(super) fn by_value<F: Float>(limit: F) -> impl Fn(F) -> F + Copy {
    move |g| {
        if g < -limit {
            -limit
        } else if g > limit {
            limit
        } else {
            g
        }
    }
}

/// An element of a tensor that is clipped by its norm.
pub(super) fn by_norm<F: Float>(limit: F, tensor: &[F]) -> impl Fn(F) -> F + Copy {
    let norm = F::of(sum_of_squares(tensor).sqrt());
    // A norm that is NaN makes the gradient so.
    let divisor = if norm < limit { limit } else { norm };
    move |g| g * limit / divisor
}

/// An element of tensors that are clipped by the norm of all of them.
pub(super) fn by_global_norm<'a, F: Float>(
    limit: f64,
    tensors: impl Iterator<Item = &'a [F]>,
) -> impl Fn(F) -> F + Copy {
    let norm = F::of(tensors.map(sum_of_squares).sum::<f64>().sqrt());
    let (inverse, most) = (F::one() / norm, F::of(1.0 / limit));
    let factor = F::of(limit) * if inverse < most { inverse } else { most };
    // As in Keras.
    let factor = if norm.is_finite() { factor } else { F::nan() };
    move |g| g * factor
}

/// The numbers that are summed beside each other, as threads of `kernels/block_sum.cuh`.
const LANES: usize = 256;

/// The sum of squares in `f64`, in an order that depends on the length alone: each lane takes every 256th value, then the
/// lanes are added up by halves. The CUDA kernels take the same order, and squares of `f32` are exact: the same bits.
fn sum_of_squares<F: Float>(values: &[F]) -> f64 {
    let mut lanes = [0.0; LANES];
    for values in values.chunks(LANES) {
        for (lane, value) in lanes.iter_mut().zip(values) {
            let value = value.wide();
            *lane += value * value;
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_squares_is_exact_where_it_can_be() {
        for n in [0, 1, 2, 255, 256, 257, 1000, 10_000] {
            let values: Vec<f32> = (0..n).map(|i| (i % 17) as f32 - 8.0).collect();
            let expected: i64 = (0..n).map(|i| (i % 17 - 8) * (i % 17 - 8)).sum();
            assert_eq!(sum_of_squares(&values), expected as f64, "{n} values");
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_not_hidden() {
        let bad = [1.0f32, f32::NAN];
        assert!(bad.map(by_value(1.0)).iter().any(|g| g.is_nan()));
        assert!(bad.map(by_norm(1.0, &bad)).iter().all(|g| g.is_nan()));
        assert!(bad.map(by_global_norm(1.0, [&bad[..]].into_iter())).iter().all(|g| g.is_nan()));
        let bad = [1.0f32, f32::INFINITY];
        assert!(bad.map(by_norm(1.0, &bad)).iter().any(|g| g.is_nan()));
        assert!(bad.map(by_global_norm(1.0, [&bad[..]].into_iter())).iter().all(|g| g.is_nan()));
    }
}
