//! The backward pass: what was recorded, in reverse order.
//!
//! The gradient of an instruction is again a few instructions: each has one *reverse rule*, written here. A layer whose
//! forward pass is made of instructions has its backward pass *derived* from these rules (reverse-mode automatic
//! differentiation: Griewank and Walther, *Evaluating Derivatives*, 2nd ed., 2008, section 3.2), so only a new operation
//! needs one that is written by hand. With dy the gradient of what an instruction stores:
//!
//! | instruction | adds to gradients |
//! |---|---|
//! | `y = A x` | of the kernel: correlate(x, dy); of x: `A^T dy` |
//! | `y = A^T x` | of the kernel: correlate(dy, x); of x: `A dy` |
//! | `y = a + b` | of a and of b: dy |
//! | y consists of elements of x, and of others | of x: each element of dy goes to the element of x that it was |
//! | `y = a b` | of a: dy b; of b: dy a |
//! | `y = pool(x)` | of x: its gradient, which finds the maxima again |
//! | a user's operation | as it says itself |
//! | `y = normalize(x)` | of x: its gradient |
//! | in an epilogue: factors | of the factors: the sum of dy x over steps, with x what they multiply; `dy factors` goes on |
//! | bias | of the bias: the sum of dy over steps |
//! | activation | `dy activation'` goes on |
//! | dropout | dy where the element was kept, scaled as it was, goes on |

use std::ops::Range;
use std::sync::Arc;

use super::{Instruction, Pass, Pointwise, Tape, Value, Weight};
use crate::layers::{Call, Layer};

/// A call of a layer.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) layer: Arc<dyn Layer>,
    pub(super) call: Call,
    /// Its output.
    pub(super) y: Value,
    /// The layer of the model that its instructions belong to.
    pub(super) label: usize,
    /// The lines of its forward pass.
    pub(super) lines: Range<usize>,
    /// The calls that its forward pass made, directly or not.
    pub(super) calls: Range<usize>,
}

impl Tape {
    /// Records the backward pass of everything recorded before the loss, the last first: of each call of a layer by
    /// [`Layer::backward`], of other lines by their reverse rules.
    pub fn backward(&mut self) {
        let forward = self.lines.iter().position(|line| line.pass != Pass::Forward);
        let (lines, calls) = (0..forward.unwrap_or(self.lines.len()), 0..self.calls.len());
        self.reverse(lines, calls);
    }

    /// Records the backward pass of the layer whose turn it is by the reverse rules of its instructions: the default of
    /// [`Layer::backward`].
    ///
    /// # Panics
    /// If the layer was not called with [`Tape::call`].
    pub fn derive(&mut self) {
        let call = self.reversed.expect("within Tape::backward, the backward pass of a recorded call");
        let Recorded { lines, calls, .. } = self.calls[call].clone();
        self.reverse(lines, calls);
    }

    /// Reverses lines, and the calls that were made among them.
    fn reverse(&mut self, lines: Range<usize>, calls: Range<usize>) {
        let (mut line, mut call) = (lines.end, calls.end);
        while call > calls.start {
            let recorded = self.calls[call - 1].clone();
            self.reverse_lines(recorded.lines.end..line);
            self.enter(recorded.label, Pass::Backward);
            if let Some(dy) = self.gradient(recorded.y) {
                let outer = self.reversed.replace(call - 1);
                recorded.layer.backward(self, &recorded.call, recorded.y, dy);
                self.reversed = outer;
            }
            (line, call) = (recorded.lines.start, recorded.calls.start);
        }
        self.reverse_lines(lines.start..line);
    }

    fn reverse_lines(&mut self, lines: Range<usize>) {
        for line in lines.rev() {
            let line = self.lines[line].clone();
            self.enter(line.layer, Pass::Backward);
            if let Some(y) = line.instruction.stores()
                && self.needs_gradient(y)
                && let Some(dy) = self.gradient(y)
            {
                self.rule(line.instruction, y, dy);
            }
        }
    }

    /// The reverse rule of an instruction that stores `y`.
    fn rule(&mut self, instruction: Instruction, y: Value, dy: Value) {
        let (dy, sums) = self.through_epilogue(&instruction, y, dy);
        match instruction {
            Instruction::Apply { geometry, kernel, x, .. } => {
                self.correlate(geometry, x, dy, kernel);
                self.sum_over_steps(sums);
                if self.needs_gradient(x) {
                    let dx = self.apply_transposed(geometry, kernel, dy, vec![]);
                    self.add_gradient(x, dx);
                }
            }
            Instruction::ApplyTransposed { geometry, kernel, x, .. } => {
                self.correlate(geometry, dy, x, kernel);
                self.sum_over_steps(sums);
                if self.needs_gradient(x) {
                    let dx = self.apply(geometry, kernel, dy, vec![]);
                    self.add_gradient(x, dx);
                }
            }
            Instruction::Map { x, .. } => {
                self.sum_over_steps(sums);
                if self.needs_gradient(x) {
                    self.add_gradient(x, dy);
                }
            }
            Instruction::Add { a, b, .. } => {
                for operand in [a, b] {
                    if self.needs_gradient(operand) {
                        self.add_gradient(operand, dy);
                    }
                }
            }
            Instruction::IndexMap { map, inputs, .. } => {
                for (input, x) in inputs.into_iter().enumerate() {
                    if self.needs_gradient(x) {
                        let dx = self.index_map_transposed(Arc::clone(&map), input, dy);
                        self.add_gradient(x, dx);
                    }
                }
            }
            Instruction::Multiply { a, b, .. } => {
                for (operand, other) in [(a, b), (b, a)] {
                    if self.needs_gradient(operand) {
                        let gradient = self.multiply(dy, other);
                        self.add_gradient(operand, gradient);
                    }
                }
            }
            Instruction::Normalize { epsilon, x, .. } => {
                if self.needs_gradient(x) {
                    let dx = self.normalize_gradient(epsilon, x, dy);
                    self.add_gradient(x, dx);
                }
            }
            Instruction::Pool { pooling, geometry, x, .. } => {
                if self.needs_gradient(x) {
                    let dx = self.pool_gradient(pooling, geometry, x, dy);
                    self.add_gradient(x, dx);
                }
            }
            Instruction::Custom { op, x, weights, .. } => self.reverse_custom(op, x, weights, [y, dy]),
            Instruction::IndexMapTransposed { .. }
            | Instruction::Draw { .. }
            | Instruction::Correlate { .. }
            | Instruction::SumSteps { .. }
            | Instruction::Loss { .. }
            | Instruction::NormalizeGradient { .. }
            | Instruction::PoolGradient { .. }
            | Instruction::CustomGradient { .. } => {
                unreachable!("stores no value of a forward pass: {instruction:?}")
            }
        }
    }

    /// The gradient of what a line computes before its epilogue, and for each weight of the epilogue the value whose sum
    /// over steps is its gradient.
    fn through_epilogue(
        &mut self,
        instruction: &Instruction,
        y: Value,
        dy: Value,
    ) -> (Value, Vec<(Weight, Value)>) {
        let (mut dy, mut sums) = (dy, vec![]);
        for op in instruction.epilogue().iter().rev() {
            match *op {
                Pointwise::Scale(factors) => {
                    // A line begins with its factors (see `Tape::map`), so they multiply what it reads.
                    let Instruction::Map { x, .. } = *instruction else {
                        unreachable!("no map of its own: {instruction:?}")
                    };
                    sums.push((factors, self.multiply(dy, x)));
                    if self.needs_gradient(x) {
                        dy = self.map(dy, vec![*op]);
                    }
                }
                Pointwise::AddBias(bias) => sums.push((bias, dy)),
                // A line ends with its activation (see `Tape::map`), so y is the output of this one.
                Pointwise::Activation(activation) => dy = self.activation_gradient(activation, y, dy),
                Pointwise::Dropout(_) => dy = self.map(dy, vec![*op]),
                Pointwise::ActivationGradient(..) => unreachable!("a forward pass has no gradients: {op:?}"),
            }
        }
        (dy, sums)
    }

    fn sum_over_steps(&mut self, sums: Vec<(Weight, Value)>) {
        for (weight, value) in sums {
            self.sum_steps(value, weight);
        }
    }
}
