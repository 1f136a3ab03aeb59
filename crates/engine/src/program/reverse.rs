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
//! | hidden states of a recurrence | of z: its gradient; of the recurrent kernel: correlate(h one step earlier, dz) |
//! | a user's operation | as it says itself |
//! | `y = normalize(x)` | of x: its gradient |
//! | `y = standardize(x)` by the statistics of the batch | of x: its gradient, through the statistics too |
//! | in an epilogue: factors | of the factors: the sum of dy x over steps, with x what they multiply; `dy factors` goes on |
//! | bias | of the bias: the sum of dy over steps |
//! | activation | `dy activation'` goes on |
//! | dropout | dy where the element was kept, scaled as it was, goes on |

use std::ops::Range;
use std::sync::Arc;

use super::{Instruction, Pass, Pointwise, Tape, Value, Weight};
use crate::index_map::IndexMap;
use crate::layers::{Call, Layer};
use crate::recurrent::{Cell, Kind, Returned};
use crate::shape::Shape;

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
            Instruction::IndexMap { map, inputs, .. } if self.recurrence(&inputs).is_some() => {
                self.reverse_recurrence(&map, inputs[0], dy);
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
            Instruction::Standardize { x, .. } => {
                if self.needs_gradient(x) {
                    let dx = self.standardize_gradient(y, dy);
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
            // The index map that reads the hidden states out of a trace reverses the recurrence.
            Instruction::Recur { .. } => unreachable!("a trace has no gradient: {instruction:?}"),
            // The standardisation that reads the statistics reverses them too.
            Instruction::Moments { .. } | Instruction::Meet { .. } => {
                unreachable!("statistics have no gradient: {instruction:?}")
            }
            Instruction::RecurGradient { .. }
            | Instruction::IndexMapTransposed { .. }
            | Instruction::Draw { .. }
            | Instruction::Correlate { .. }
            | Instruction::SumSteps { .. }
            | Instruction::Loss { .. }
            | Instruction::NormalizeGradient { .. }
            | Instruction::GradientMeans { .. }
            | Instruction::StandardizeGradient { .. }
            | Instruction::PoolGradient { .. }
            | Instruction::CustomGradient { .. } => {
                unreachable!("stores no value of a forward pass: {instruction:?}")
            }
        }
    }

    /// The recurrence whose trace is the only one of `inputs`.
    fn recurrence(&self, inputs: &[Value]) -> Option<Instruction> {
        let [trace] = inputs else { return None };
        let line = self.lines[self.stored(*trace)?].instruction.clone();
        matches!(line, Instruction::Recur { .. }).then_some(line)
    }

    /// Records the gradient of a recurrence from `dh`, that of the hidden states which `map` takes out of its trace.
    /// With m = `h U`, dm is dz; only a GRU with `reset_after` has both apart. Its kernel meets h of one step with dm of
    /// the next: a correlation of one tap with one step of padding before h.
    ///
    /// # Panics
    /// If `map` takes anything but the hidden states of all steps or of the last: nothing else has a gradient.
    fn reverse_recurrence(&mut self, map: &IndexMap, trace: Value, dh: Value) {
        let Some(Instruction::Recur { cell, kernel, bias, z, .. }) = self.recurrence(&[trace]) else {
            unreachable!("the caller has found one")
        };
        let (steps, columns) = (self.shape(trace).steps, cell.columns());
        let returned = [Returned::All, Returned::Last].map(|returned| returned.of(&cell, steps));
        assert!(
            returned.contains(map),
            "only hidden states have a gradient, not {map:?} of a trace of {cell}"
        );
        let gradients = self.recur_gradient(cell, kernel, trace, dh);
        let part = |channels| IndexMap::part(Shape::new(steps, cell.gradient_channels()), 0..steps, channels);
        let (dz, dm) = match cell.reset_after() {
            true => {
                let dm = self.index_map(part(columns..2 * columns), vec![gradients]);
                (self.index_map(part(0..columns), vec![gradients]), dm)
            }
            false => (gradients, gradients),
        };
        let h = self.hidden_states(&cell, trace);
        let product = |pad_left| cell.product(cell.units, steps, pad_left).expect("the layer was built");
        match cell.kind {
            Kind::Lstm | Kind::Gru { reset_after: true } => self.correlate(product(1), h, dm, kernel),
            // The gates meet h of the step before, the candidate s of its own step.
            Kind::Gru { reset_after: false } => {
                let gates = 2 * cell.units;
                let s = IndexMap::part(self.shape(trace), 0..steps, cell.part(3));
                let s = self.index_map(s, vec![trace]);
                for (x, pad_left, channels) in [(h, 1, 0..gates), (s, 0, gates..columns)] {
                    let part = Arc::new(part(channels));
                    // The other columns are zero.
                    let own = self.index_map((*part).clone(), vec![dm]);
                    let own = self.index_map_transposed(part, 0, own);
                    self.correlate(product(pad_left), x, own, kernel);
                }
            }
        }
        if let Some(bias) = bias {
            self.sum_steps(gradients, bias);
        }
        let dz = match self.shape(z) {
            row if row.steps < steps => {
                self.index_map_transposed(Arc::new(IndexMap::repeated(row, steps)), 0, dz)
            }
            _ => dz,
        };
        self.add_gradient(z, dz);
    }

    /// The value that holds the hidden states of all steps.
    fn hidden_states(&mut self, cell: &Cell, trace: Value) -> Value {
        let all = Returned::All.of(cell, self.shape(trace).steps);
        let taken = self.lines.iter().find_map(|line| match &line.instruction {
            Instruction::IndexMap { map, inputs, y } if **map == all && inputs[..] == [trace] => Some(*y),
            _ => None,
        });
        taken.unwrap_or_else(|| self.index_map(all, vec![trace]))
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
