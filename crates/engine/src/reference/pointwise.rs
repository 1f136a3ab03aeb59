//! Element-by-element functions, and the gradient of a bias.

use ndarray::ArrayView2;

use crate::activations::Activation;
use crate::float::Float;
use crate::masks::keeps;

/// An element-by-element function with its operands. See [`Pointwise`](crate::program::Pointwise).
#[derive(Debug, Clone, Copy)]
pub enum Operand<'a, F> {
    /// `v factors[c]`
    Scale(&'a [F]),
    /// `v + bias[c]`
    AddBias(&'a [F]),
    /// `activation(v)`
    Activation(Activation),
    /// `v / (1 - rate)` where kept, else 0
    Dropout {
        /// The fraction of elements that are dropped.
        rate: f64,
        /// One bit per element, set if it is kept.
        mask: &'a [u32],
    },
    /// `v activation'`, from the residual of the activation
    ActivationGradient(Activation, ArrayView2<'a, F>),
}

/// Applies one function to the element at step `t` and channel `c` of a signal with `channels` channels.
pub fn pointwise<F: Float>(op: &Operand<'_, F>, v: F, t: usize, c: usize, channels: usize) -> F {
    match op {
        Operand::Scale(factors) => v * factors[c],
        Operand::AddBias(bias) => v + bias[c],
        Operand::Activation(activation) => activation.apply(v),
        Operand::Dropout { rate, mask } if keeps(mask, t * channels + c) => v * F::of(1.0 / (1.0 - rate)),
        Operand::Dropout { .. } => F::zero(),
        Operand::ActivationGradient(activation, at) => activation.gradient(at[[t, c]], v),
    }
}

/// `dbias[c] += sum over t of x[t, c]`.
///
/// # Shapes
/// * `x`: `(steps, channels)`
/// * `dbias`: `(channels)`, added to
pub fn sum_steps<F: Float>(x: ArrayView2<'_, F>, dbias: &mut [F]) {
    for (c, dbias) in dbias.iter_mut().enumerate() {
        *dbias += x.column(c).sum();
    }
}
