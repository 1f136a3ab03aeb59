//! How far rounding may take a program from the truth.
//!
//! With its gates (ReLU), masks (dropout) and signs (mean absolute error) held still, every number that a
//! program makes is a polynomial in the weights, the samples and the targets: a sum of products. Computed in
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

use glassbox_engine::program::{Instruction, Pointwise, Program, Value};

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
            };
            let epilogue: usize = instruction
                .epilogue()
                .iter()
                .map(|op| match op {
                    Pointwise::AddBias(_) => 1,
                    // The factor 1 / (1 - rate), and the product.
                    Pointwise::Dropout(_) => 2,
                    Pointwise::Relu | Pointwise::ReluGate(_) => 0,
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
