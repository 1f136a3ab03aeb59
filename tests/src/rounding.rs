//! How far rounding may take a program from the truth.
//!
//! With its gates (ReLU), masks (dropout) and signs (mean absolute error) held still, and without curved activations,
//! every number that a program makes is a polynomial in the weights, the samples and the targets: a sum of products. Computed in
//! floating point, each of these products meets some number of roundings on its way into the result, each of
//! which multiplies it by 1 + d with |d| <= u. If none meets more than N, the result is off by at most
//!
//! ```text
//! gamma(N) * (the sum of the absolute values of the products),    gamma(N) = N u / (1 - N u)
//! ```
//!
//! (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, lemma 3.1). This holds for any order of
//! the sums, with fused multiply-adds and without. Both factors are easy to have: N is counted along the
//! program ([`Roundings`]), and the sum of absolute values is what the same program gives for the absolute
//! values of all weights and samples, and for targets that are minus their absolute values: no difference
//! then cancels, and every ReLU lets all through.
//!
//! **Activations.** An activation f whose slope is at most L takes a value that is off by `gamma(N) size` to one that is
//! off by `gamma(N) L size`, to which come its own roundings, relative to `|f(x)| <= L |x| + |f(0)|`. So the size of the
//! result is `L size + |f(0)|` ([`sizes`] puts it in the place of f). Its gradient is a product of dy and f', which has
//! the slope M where f' is seen as a function of the value that it is computed from: it is off by both errors, so its
//! size is `size of dy (L + M size of that value)`, and it meets the roundings of both.
//!
//! **Maxima.** The maximum of a window is off by no more than the most that any of its steps is off by. Where it is decided
//! which step that is, the gradient is a sum of the dy of windows; its size is that of all windows of a step.

use std::f64::consts::LN_2;
use std::sync::Arc;

use glassbox_engine::Float;
use glassbox_engine::activations::{Activation, SELU_SCALE_ALPHA};
use glassbox_engine::geometry::Geometry;
use glassbox_engine::index_map::{IndexMap, Run};
use glassbox_engine::program::custom::{Operation, Saved};
use glassbox_engine::program::{Instruction, Line, Pointwise, Pooling, Program, Value};
use ndarray::{ArrayView2, ArrayViewMut2, Zip};

/// The unit roundoff of `f32`.
pub const UNIT_F32: f64 = f32::EPSILON as f64 / 2.0;

/// What underflow may add: a product of two numbers of usual size never comes near it.
pub const UNDERFLOW: f64 = 1e-30;

/// `N u / (1 - N u)`.
///
/// # Panics
/// If there are so many roundings that nothing is known.
#[must_use]
pub fn gamma(roundings: usize, unit: f64) -> f64 {
    let sum = roundings as f64 * unit;
    assert!(sum < 0.5, "{roundings} roundings");
    sum / (1.0 - sum)
}

/// How an activation passes on what its operands are off by.
#[derive(Debug, Clone)]
pub struct Spread {
    /// The largest slope, L.
    slope: f64,
    /// The value at 0.
    at_zero: f64,
    /// The largest slope of the derivative as a function of its residual, M.
    bend: f64,
    /// The roundings of the function, and of its gradient.
    roundings: [usize; 2],
    /// True if the derivative jumps at 0.
    pub kink: bool,
}

impl Spread {
    /// Of an activation.
    #[must_use]
    pub fn of(activation: Activation) -> Self {
        // A function of n ulp is off by 2 n roundings, each product, sum and constant by one: of the function (`expm1`
        // 1.2 ulp, `tanh` 1.5, `sigmoid` 1.8, `softplus` 2, `normal` 8), and of its gradient.
        let (slope, at_zero, bend, roundings, kink) = match activation {
            Activation::Linear => (1.0, 0.0, 0.0, [0, 0], false),
            Activation::Relu => (1.0, 0.0, 0.0, [0, 0], true),
            Activation::LeakyRelu { negative_slope } => (negative_slope.max(1.0), 0.0, 0.0, [1, 1], true),
            Activation::Elu { alpha } => (alpha.max(1.0), 0.0, 1.0, [4, 2], true),
            Activation::Selu => (SELU_SCALE_ALPHA, 0.0, 1.0, [5, 3], true),
            Activation::Tanh => (1.0, 0.0, 2.0, [3, 3], false),
            Activation::Sigmoid => (0.25, 0.5, 1.0, [4, 3], false),
            Activation::Softplus => (1.0, LN_2, 1.0, [4, 4], false),
            Activation::Silu => (1.1, 0.0, 0.5, [5, 8], false),
            // The approximation takes the sigmoid of a number that is off by 5 roundings of itself, which take
            // 5 t S'(t) < 2 of the result.
            Activation::Gelu { .. } => (1.13, 0.0, 0.8, [17, 18], false),
        };
        Self { slope, at_zero, bend, roundings, kink }
    }
}

/// Forward and backward, an operation on sizes.
impl Operation for Spread {
    fn forward<F: Float>(&self, x: ArrayView2<'_, F>, _: &[F], mut y: ArrayViewMut2<'_, F>) {
        Zip::from(&mut y).and(x).for_each(|y, x| *y = F::of(self.slope) * *x + F::of(self.at_zero));
    }

    fn backward<F: Float>(&self, saved: Saved<'_, F>, mut dx: ArrayViewMut2<'_, F>, _: &mut [F]) {
        Zip::from(&mut dx)
            .and(saved.x)
            .and(saved.dy)
            .for_each(|dx, at, dy| *dx = *dy * (F::of(self.slope) + F::of(self.bend) * at.abs()));
    }
}

/// The gradient of a maximum, an operation on sizes: that of the windows that a step is in.
#[derive(Debug, Clone)]
struct OfAllWindows(Geometry);

impl Operation for OfAllWindows {
    fn forward<F: Float>(&self, dy: ArrayView2<'_, F>, _: &[F], mut dx: ArrayViewMut2<'_, F>) {
        dx.fill(F::zero());
        for ((t, c), dy) in dy.indexed_iter() {
            for i in (0..self.0.taps).filter_map(|tap| self.0.in_step(t, tap)) {
                dx[[i, c]] += *dy;
            }
        }
    }

    fn backward<F: Float>(&self, _: Saved<'_, F>, _: ArrayViewMut2<'_, F>, _: &mut [F]) {
        unreachable!("it is a gradient")
    }
}

/// A normalisation of steps, an operation on sizes. With s the sizes of a step, S their sum, and r the root of 1 / epsilon,
/// which no scale exceeds: a step that is off by d has a result that is off by r (d + 2 sum of d) at most, because it is
/// at most the root of the number of channels.
#[derive(Debug, Clone)]
struct Normalization {
    epsilon: f64,
}

impl Operation for Normalization {
    fn forward<F: Float>(&self, x: ArrayView2<'_, F>, _: &[F], mut y: ArrayViewMut2<'_, F>) {
        let r = F::of(self.epsilon.recip().sqrt());
        for (x, mut y) in x.rows().into_iter().zip(y.rows_mut()) {
            let sum = x.sum();
            y.zip_mut_with(&x, |y, x| *y = r * (*x + sum + sum));
        }
    }

    /// The gradient is linear in dy, with the same bound. Where x is off by d, the scale is off by r sum of d of itself, and
    /// the result of the normalisation, which the gradient has twice, by 3 r sum of d.
    fn backward<F: Float>(&self, saved: Saved<'_, F>, mut dx: ArrayViewMut2<'_, F>, _: &mut [F]) {
        let r = F::of(self.epsilon.recip().sqrt());
        for ((x, dy), mut dx) in saved.x.rows().into_iter().zip(saved.dy.rows()).zip(dx.rows_mut()) {
            let (x, sum) = (r * x.sum(), dy.sum());
            let of_result = F::of(6.0) * r * x * sum;
            dx.zip_mut_with(&dy, |dx, dy| *dx = r * (*dy + sum + sum) * (F::one() + x) + of_result);
        }
    }
}

/// The program that computes the sizes of what a program computes, if all of its operands are sizes. Each activation,
/// and each gradient of one, must be alone in its line.
///
/// # Panics
/// If one is not.
#[must_use]
pub fn sizes(program: &Program) -> Program {
    let lines = program.lines.iter().map(|line| {
        let instruction = match &line.instruction {
            Instruction::Map { x, y, epilogue } => match epilogue[..] {
                [Pointwise::Activation(activation)] => {
                    let op = Arc::new(Spread::of(activation));
                    Instruction::Custom { op, x: *x, y: *y, weights: 0..0 }
                }
                [Pointwise::ActivationGradient(activation, at)] => {
                    let op = Arc::new(Spread::of(activation));
                    Instruction::CustomGradient { op, x: at, y: at, dy: *x, dx: *y, weights: 0..0 }
                }
                _ => line.instruction.clone(),
            },
            Instruction::PoolGradient { pooling: Pooling::Max, geometry, dy, dx, .. } => {
                Instruction::Custom { op: Arc::new(OfAllWindows(*geometry)), x: *dy, y: *dx, weights: 0..0 }
            }
            Instruction::Normalize { epsilon, x, y } => {
                let op = Arc::new(Normalization { epsilon: *epsilon });
                Instruction::Custom { op, x: *x, y: *y, weights: 0..0 }
            }
            Instruction::NormalizeGradient { epsilon, x, dy, dx } => {
                let op = Arc::new(Normalization { epsilon: *epsilon });
                Instruction::CustomGradient { op, x: *x, y: *x, dy: *dy, dx: *dx, weights: 0..0 }
            }
            other => {
                let curved = |op: &Pointwise| {
                    matches!(op, Pointwise::Activation(_) | Pointwise::ActivationGradient(..))
                };
                assert!(!other.epilogue().iter().any(curved), "{line}");
                other.clone()
            }
        };
        Line { instruction, ..line.clone() }
    });
    Program { lines: lines.collect(), ..program.clone() }
}

/// The largest number of roundings that any product meets on its way into each value and each weight's
/// gradient.
#[derive(Debug, Clone)]
pub struct Roundings {
    values: Vec<usize>,
    weights: Vec<usize>,
}

impl Roundings {
    /// Counts along a program for batches of `batch` samples and `weights` weight tensors.
    ///
    /// # Panics
    /// If the program has a user's operation, of which nothing is known.
    #[must_use]
    pub fn count(program: &Program, weights: usize, batch: usize) -> Self {
        let mut counts = Self { values: vec![0; program.values.len()], weights: vec![0; weights] };
        for line in &program.lines {
            let of = |value: &Value| counts.values[value.index()];
            let instruction = &line.instruction;
            let made = match instruction {
                // A sum of n products: one rounding a product, n - 1 sums.
                Instruction::Apply { geometry, x, .. } => of(x) + geometry.taps * geometry.in_channels,
                Instruction::ApplyTransposed { geometry, x, .. } => {
                    of(x) + geometry.taps * geometry.out_channels
                }
                Instruction::Map { x, .. } => of(x),
                Instruction::Add { a, b, .. } => of(a).max(of(b)) + 1,
                Instruction::IndexMap { inputs, .. } => inputs.iter().map(of).max().unwrap_or(0),
                Instruction::IndexMapTransposed { map, input, dy, .. } => of(dy) + most_images(map, *input),
                Instruction::Pool { pooling: Pooling::Max, x, .. } => of(x),
                // The mean and the difference, whose errors the variance sees again; the variance, its root, two quotients
                // and a product.
                Instruction::Normalize { x, .. } => of(x) + 3 * program.values[x.index()].channels + 8,
                // The same, two means, and their differences.
                Instruction::NormalizeGradient { x, dy, .. } => {
                    of(x) + of(dy) + 5 * program.values[x.index()].channels + 16
                }
                Instruction::Multiply { a, b, .. } => of(a) + of(b) + 1,
                // A sum and a quotient.
                Instruction::Pool { geometry, x, .. } => of(x) + geometry.taps,
                Instruction::PoolGradient { geometry, dy, .. } => {
                    of(dy) + geometry.taps.div_ceil(geometry.stride)
                }
                // The difference, the factor 2 / (n batch), and their product.
                Instruction::Loss { y, .. } => of(y) + 3,
                Instruction::Correlate { geometry, x, y, kernel } => {
                    let path = of(x) + of(y) + geometry.out_steps * batch;
                    counts.weights[kernel.index()] += path;
                    continue;
                }
                Instruction::SumSteps { x, bias } => {
                    let path = of(x) + program.values[x.index()].steps * batch;
                    counts.weights[bias.index()] += path;
                    continue;
                }
                Instruction::Draw { .. } => continue,
                Instruction::Custom { op, .. } | Instruction::CustomGradient { op, .. } => {
                    panic!("nothing is known of the roundings of {op:?}")
                }
                Instruction::Moments { .. }
                | Instruction::Meet { .. }
                | Instruction::Standardize { .. }
                | Instruction::GradientMeans { .. }
                | Instruction::StandardizeGradient { .. } => {
                    panic!("samples depend on each other; tests/batch_normalization.rs has the conformance")
                }
                Instruction::Recur { cell, .. } | Instruction::RecurGradient { cell, .. } => {
                    panic!(
                        "the roundings of {cell} grow with its steps; tests/recurrent.rs has its conformance"
                    )
                }
            };
            let epilogue: usize = instruction
                .epilogue()
                .iter()
                .map(|op| match op {
                    Pointwise::Scale(_) | Pointwise::AddBias(_) => 1,
                    // The factor 1 / (1 - rate), and the product.
                    Pointwise::Dropout(_) => 2,
                    Pointwise::Activation(activation) => Spread::of(*activation).roundings[0],
                    Pointwise::ActivationGradient(activation, at) => {
                        let spread = Spread::of(*activation);
                        // Where f' is constant between its kinks, what it is computed from brings no error.
                        let of_residual = if spread.bend == 0.0 { 0 } else { counts.values[at.index()] };
                        spread.roundings[1] + of_residual
                    }
                })
                .sum();
            let stored = instruction.stores().expect("every other instruction stores a value");
            counts.values[stored.index()] = made + epilogue;
        }
        counts
    }

    /// On the way into a value.
    #[must_use]
    pub fn value(&self, value: Value) -> usize {
        self.values[value.index()]
    }

    /// On the way into the gradient of the weight tensor of this index.
    #[must_use]
    pub fn weight(&self, tensor: usize) -> usize {
        self.weights[tensor]
    }
}

/// The largest number of elements of the output that one element of an input has become.
fn most_images(map: &IndexMap, input: usize) -> usize {
    let mut images = vec![0; map.inputs()[input].len()];
    for Run { from, len, .. } in map.runs_of(input) {
        images[from..from + len].iter_mut().for_each(|n| *n += 1);
    }
    images.into_iter().max().unwrap_or(0)
}
