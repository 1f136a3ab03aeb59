//! Activation functions and their gradients, in vectors and as passes over values in cache.
//!
//! The functions themselves, and their errors, are in [`functions`](crate::simd::functions).
//!
//! Reference: [`glassbox_engine::activations::Activation`].

use glassbox_engine::activations::{Activation, GELU_CUBIC, GELU_SCALE, SELU_SCALE, SELU_SCALE_ALPHA};

use crate::simd::functions::{expm1, normal, sigmoid, softplus, tanh};
use crate::simd::{Isa, Task, Vector};

/// Runs a macro with an activation function, in one arm for each kind: each has a loop of its own.
macro_rules! of_each_kind {
    ($activation:expr, $each:ident) => {
        match $activation {
            Activation::Linear => {}
            Activation::Relu => $each!(Activation::Relu),
            Activation::LeakyRelu { negative_slope } => $each!(Activation::LeakyRelu { negative_slope }),
            Activation::Elu { alpha } => $each!(Activation::Elu { alpha }),
            Activation::Selu => $each!(Activation::Selu),
            Activation::Tanh => $each!(Activation::Tanh),
            Activation::Sigmoid => $each!(Activation::Sigmoid),
            Activation::Softplus => $each!(Activation::Softplus),
            Activation::Silu => $each!(Activation::Silu),
            Activation::Gelu { approximate: false } => $each!(Activation::Gelu { approximate: false }),
            Activation::Gelu { approximate: true } => $each!(Activation::Gelu { approximate: true }),
        }
    };
}

/// Replaces each `y` by `activation(y)`.
pub(crate) fn apply(isa: Isa, activation: Activation, y: &mut [f32]) {
    // SAFETY: the task requires only the instruction set.
    unsafe { isa.run(Apply { activation, y }) }
}

/// Multiplies each `dy` by the derivative of the activation, which follows from its residual `at`.
///
/// # Panics
/// If the lengths differ.
pub(crate) fn gradient(isa: Isa, activation: Activation, at: &[f32], dy: &mut [f32]) {
    assert_eq!(at.len(), dy.len(), "a gradient has the shape of its value");
    // SAFETY: the lengths are equal.
    unsafe { isa.run(Gradient { activation, at, dy }) }
}

/// # Safety of running it
/// * none.
struct Apply<'a> {
    activation: Activation,
    y: &'a mut [f32],
}

impl Task for Apply<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { activation, y } = self;
        let (y, len) = (y.as_mut_ptr(), y.len());
        macro_rules! each {
            ($activation:expr) => {{
                let mut element = 0;
                while element + V::WIDTH <= len {
                    value($activation, V::load(y.add(element))).store(y.add(element));
                    element += V::WIDTH;
                }
                if element < len {
                    let x = V::load_first(y.add(element), len - element);
                    value($activation, x).store_first(y.add(element), len - element);
                }
            }};
        }
        // SAFETY: the caller guarantees the instruction set; all elements are below `len`.
        unsafe { of_each_kind!(activation, each) }
    }
}

/// # Safety of running it
/// * `at` is as long as `dy`.
struct Gradient<'a> {
    activation: Activation,
    at: &'a [f32],
    dy: &'a mut [f32],
}

impl Task for Gradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { activation, at, dy } = self;
        let (at, dy, len) = (at.as_ptr(), dy.as_mut_ptr(), dy.len());
        macro_rules! each {
            ($activation:expr) => {{
                let mut element = 0;
                while element + V::WIDTH <= len {
                    let (at, d) = (V::load(at.add(element)), V::load(dy.add(element)));
                    derivative($activation, at, d).store(dy.add(element));
                    element += V::WIDTH;
                }
                if element < len {
                    let rest = len - element;
                    let (at, d) =
                        (V::load_first(at.add(element), rest), V::load_first(dy.add(element), rest));
                    derivative($activation, at, d).store_first(dy.add(element), rest);
                }
            }};
        }
        // SAFETY: the caller guarantees the instruction set and the lengths; all elements are below `len`.
        unsafe { of_each_kind!(activation, each) }
    }
}

/// `activation(x)`. Where the function is known to the compiler, nothing of the others is left.
///
/// # Safety
/// * the processor has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn value<V: Vector>(activation: Activation, x: V) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let zero = V::splat(0.0);
        match activation {
            Activation::Linear => x,
            Activation::Relu => x.relu(),
            Activation::LeakyRelu { negative_slope } => {
                x.less(zero, x.mul(V::splat(negative_slope as f32)), x)
            }
            Activation::Elu { alpha } => x.less(zero, V::splat(alpha as f32).mul(expm1(x)), x),
            Activation::Selu => {
                let (scale, scale_alpha) = (V::splat(SELU_SCALE as f32), V::splat(SELU_SCALE_ALPHA as f32));
                x.less(zero, scale_alpha.mul(expm1(x)), scale.mul(x))
            }
            Activation::Tanh => tanh(x),
            Activation::Sigmoid => sigmoid(x),
            Activation::Softplus => softplus(x),
            Activation::Silu => x.mul(sigmoid(x)),
            Activation::Gelu { approximate: false } => x.mul(normal(x).0),
            Activation::Gelu { approximate: true } => x.mul(sigmoid(twice_u(x))),
        }
    }
}

/// `dy` times the derivative of the activation, which follows from its residual `at`.
///
/// # Safety
/// * the processor has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn derivative<V: Vector>(activation: Activation, at: V, dy: V) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let (zero, one) = (V::splat(0.0), V::splat(1.0));
        match activation {
            Activation::Linear => dy,
            Activation::Relu => dy.keep_positive(at),
            Activation::LeakyRelu { negative_slope } => {
                zero.less(at, dy, dy.mul(V::splat(negative_slope as f32)))
            }
            Activation::Elu { alpha } => zero.less(at, dy, dy.mul(at.add(V::splat(alpha as f32)))),
            Activation::Selu => {
                let (scale, scale_alpha) = (V::splat(SELU_SCALE as f32), V::splat(SELU_SCALE_ALPHA as f32));
                at.less(zero, dy.mul(at.add(scale_alpha)), dy.mul(scale))
            }
            Activation::Tanh => dy.mul(one.sub(at.mul(at))),
            Activation::Sigmoid => dy.mul(at.mul(one.sub(at))),
            Activation::Softplus => dy.mul(zero.sub(expm1(zero.sub(at)))),
            Activation::Silu => {
                let s = sigmoid(at);
                dy.mul(s.mul(at.mul_add(one.sub(s), one)))
            }
            Activation::Gelu { approximate: false } => {
                let (below, density) = normal(at);
                let factor = V::splat((0.5 * GELU_SCALE) as f32);
                dy.mul(at.mul_add(density.mul(factor), below))
            }
            Activation::Gelu { approximate: true } => {
                let (scale, cubic) =
                    (V::splat((2.0 * GELU_SCALE) as f32), V::splat((3.0 * GELU_CUBIC) as f32));
                let s = sigmoid(twice_u(at));
                let slope = scale.mul(at.mul(at).mul_add(cubic, one));
                dy.mul(at.mul(s.mul(one.sub(s))).mul_add(slope, s))
            }
        }
    }
}

/// `2 u` of the approximate GELU.
///
/// # Safety
/// * the processor has the instruction set of `V`.
#[inline(always)]
unsafe fn twice_u<V: Vector>(x: V) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let (scale, cubic) = (V::splat((2.0 * GELU_SCALE) as f32), V::splat(GELU_CUBIC as f32));
        scale.mul(x.mul(x).mul(x).mul_add(cubic, x))
    }
}

#[cfg(test)]
mod tests {
    use glassbox_engine::activations::Residual;

    use super::*;
    use crate::simd::Simd;

    /// All functions, with other arguments too.
    fn all() -> Vec<Activation> {
        let others = [
            Activation::LeakyRelu { negative_slope: 0.0 },
            Activation::LeakyRelu { negative_slope: 0.3 },
            Activation::Elu { alpha: 0.25 },
            Activation::Gelu { approximate: true },
        ];
        Activation::ALL.into_iter().chain(others).collect()
    }

    fn isas() -> Vec<Isa> {
        Simd::under_test().unwrap().into_iter().filter_map(Isa::new).collect()
    }

    /// Values across all magnitudes and signs that matter, zeros and denormals among them.
    fn values() -> Vec<f32> {
        let magnitudes = (0..4000).map(|i| 1e-44 * 1.0235f32.powi(i)).take_while(|x| *x < 80.0);
        let dense = (0..20_000).map(|i| i as f32 * 7e-4);
        let positive: Vec<f32> = magnitudes.chain(dense).collect();
        positive.iter().flat_map(|x| [*x, -*x]).collect()
    }

    /// Each value against the reference in `f64`. A function of 2 ulp is off by 4 u of its value, u = 2^-24, and each
    /// product and each constant by u more. `gelu` loses more in its tail, see [`functions`](crate::simd::functions);
    /// its approximation takes the sigmoid of a number of up to 104 that is off by 5 u of itself.
    #[test]
    fn values_and_gradients_are_those_of_the_reference() {
        let u = f64::from(f32::EPSILON) / 2.0;
        for isa in isas() {
            for activation in all() {
                let roundings = match activation {
                    Activation::Gelu { approximate: true } => 530.0,
                    Activation::Gelu { approximate: false } => 18.0,
                    _ => 7.0,
                };
                let x = values();
                let mut y = x.clone();
                apply(isa, activation, &mut y);
                for (x, y) in x.iter().zip(&y) {
                    let expected = activation.apply(f64::from(*x));
                    // A denormal factor of x has lost digits.
                    let denormal = f64::from(f32::from_bits(1)) * (2.0 + f64::from(x.abs()));
                    let bound = roundings * u * expected.abs() + denormal;
                    let off = (f64::from(*y) - expected).abs();
                    assert!(off <= bound, "{activation}({x:e}) = {y:e}, expected {expected:e}, on {isa:?}");
                }
                let kept = if activation.residual() == Residual::Input { &x } else { &y };
                let mut dy = vec![1.5; x.len()];
                gradient(isa, activation, kept, &mut dy);
                for (at, dy) in kept.iter().zip(&dy) {
                    let expected = activation.gradient(f64::from(*at), 1.5);
                    // Here terms cancel, so the bound is absolute: relative to the largest derivative, below 2.
                    let off = (f64::from(*dy) - expected).abs();
                    assert!(
                        off <= 20.0 * u * 3.0,
                        "{activation}'({at:e}): {dy:e}, expected {expected:e}, on {isa:?}"
                    );
                }
            }
        }
    }

    /// An element does not depend on its place, and what is beyond the end stays.
    #[test]
    fn every_length_gives_the_same_elements() {
        for isa in isas() {
            for activation in all() {
                let x: Vec<f32> = (0..70).map(|i| (i as f32 - 35.0) * 0.17).collect();
                let (mut y, mut dx) = (x.clone(), x.clone());
                apply(isa, activation, &mut y);
                gradient(isa, activation, &x, &mut dx);
                for start in 0..17 {
                    for end in start..x.len() {
                        let (mut part, mut dpart) = (x.clone(), x.clone());
                        apply(isa, activation, &mut part[start..end]);
                        gradient(isa, activation, &x[start..end], &mut dpart[start..end]);
                        for (part, whole) in [(&part, &y), (&dpart, &dx)] {
                            assert_eq!(part[start..end], whole[start..end], "{activation}, {isa:?}");
                            assert_eq!(
                                (&part[..start], &part[end..]),
                                (&x[..start], &x[end..]),
                                "{activation}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nan_stays_nan() {
        for isa in isas() {
            for activation in all() {
                let mut y = [f32::NAN; 3];
                apply(isa, activation, &mut y);
                assert!(y.iter().all(|y| y.is_nan()), "{activation} on {isa:?}");
            }
        }
    }
}
