//! Fusion: merges element-by-element instructions into the kernel that stores their operand.
//!
//! There are two rules, applied until neither fits. `v` is a value stored by a kernel with an epilogue E:
//!
//! 1. **Append.** If `v` is read only by one `Map`, which stores `w`, then the kernel stores `w` itself, with
//!    the epilogue E followed by the map's.
//! 2. **Read the sign after dropout.** The backward pass of ReLU reads the sign of the output `v` of the forward pass,
//!    which would prevent rule 1 from removing it. If `v` ends in ReLU and `w = dropout(v)` with mask m, then where m
//!    keeps an element, `w > 0` exactly where `v > 0`. A gradient that comes after `Dropout(m)` in its own epilogue
//!    is zero at all other elements, so it may read `w` instead of `v`. The same holds for the leaky ReLU.
//!
//! Neither rule changes the arithmetic of any element, so results are the same to the bit.
//!
//! Maps are tried from the first line to the last, and again as long as a round has merged one. The tables of the lines
//! that store and read a value are kept up to date, and a merged line leaves a hole until the end. A round visits each
//! map and the readers of its operand, so it takes time in proportion to the program. Programs of layers take two
//! rounds.

use super::{Instruction, Line, Pointwise, Program, Statistics, Value};
use crate::activations::Residual;

pub(super) fn fuse(program: &Program) -> Program {
    let mut fusion = Fusion::new(program);
    while fusion.round() {}
    fusion.finish()
}

/// A program whose lines are being merged.
struct Fusion {
    program: Program,
    /// The lines; `None` where one was merged into another. A kernel keeps its index.
    lines: Vec<Option<Line>>,
    /// For each mask, the line that draws it, and the index of the line that it must precede.
    draws: Vec<Option<(usize, Line)>>,
    /// For each value, the line that stores it.
    stored: Vec<Option<usize>>,
    /// For each value, the lines that read it.
    readers: Vec<Vec<usize>>,
    /// Number of lines visited, for the test of the time that fusion takes.
    visits: usize,
}

impl Fusion {
    fn new(program: &Program) -> Self {
        let mut program = program.clone();
        let lines: Vec<_> = std::mem::take(&mut program.lines).into_iter().map(Some).collect();
        let mut fusion = Self {
            draws: vec![None; program.masks.len()],
            stored: vec![None; program.values.len()],
            readers: vec![vec![]; program.values.len()],
            visits: 0,
            program,
            lines,
        };
        for (index, slot) in fusion.lines.iter_mut().enumerate() {
            let Some(instruction) = slot.as_ref().map(|line| &line.instruction) else { continue };
            if let Some(value) = instruction.stores() {
                fusion.stored[value.0] = Some(index);
            }
            for value in instruction.reads() {
                // The reads of a line come together, so if it is in the table, it is the last entry.
                if fusion.readers[value.0].last() != Some(&index) {
                    fusion.readers[value.0].push(index);
                }
            }
            if let Instruction::Draw { mask } = *instruction {
                fusion.draws[mask.0] = slot.take().map(|line| (index, line));
            }
        }
        fusion
    }

    /// Merges all maps that it can, from the first line to the last. Returns true if it merged any.
    fn round(&mut self) -> bool {
        let mut merged = false;
        for map in 0..self.lines.len() {
            if let Some(kernel) = self.kernel_for(map) {
                self.append(kernel, map);
                merged = true;
            }
        }
        merged
    }

    /// The instruction of a line that was not merged.
    fn instruction(&self, line: usize) -> &Instruction {
        &self.lines[line].as_ref().expect("tables name lines that are there").instruction
    }

    /// The line that rule 1 merges line `map` into, or `None` if the rule does not apply.
    fn kernel_for(&mut self, map: usize) -> Option<usize> {
        self.visits += 1;
        let Instruction::Map { x, y, ref epilogue } = self.lines[map].as_ref()?.instruction else {
            return None;
        };
        let kernel = self.stored[x.0]?;
        // The values that the map's epilogue reads must exist when the kernel runs.
        let in_time =
            residuals(epilogue).all(|at| at != x && self.stored[at.0].is_none_or(|line| line < kernel));
        let fits = self.instruction(kernel).takes_epilogue()
            && in_time
            && x != self.program.output
            && Some(x) != self.program.input_gradient;
        (fits && self.only_reader(kernel, map, x, y)).then_some(kernel)
    }

    /// Returns true if `x`, stored by line `kernel` and read by line `map` to compute `y`, has no other reader, or only
    /// readers that rule 2 can redirect to `y`.
    fn only_reader(&mut self, kernel: usize, map: usize, x: Value, y: Value) -> bool {
        if self.readers[x.0] == [map] {
            return true;
        }
        let [Pointwise::Dropout(mask)] = *self.instruction(map).epilogue() else { return false };
        let Some(Pointwise::Activation(activation)) = self.instruction(kernel).epilogue().last() else {
            return false;
        };
        if activation.residual() != Residual::Sign || x == y {
            return false;
        }
        let gradient = Pointwise::ActivationGradient(*activation, x);
        self.visits += self.readers[x.0].len();
        self.readers[x.0].iter().filter(|reader| **reader != map).all(|reader| {
            let instruction = self.instruction(*reader);
            let epilogue = instruction.epilogue();
            let reads_sign = instruction.operands().iter().all(|operand| *operand != x)
                && epilogue.iter().all(|op| *op == gradient || residuals(&[*op]).all(|at| at != x));
            // The mask may be in this epilogue, or in an earlier one that this one's operand went through.
            let before = epilogue.iter().take_while(|op| **op != gradient);
            let masked = before.into_iter().any(|op| *op == Pointwise::Dropout(mask))
                || self.operand_ends_in(instruction, Pointwise::Dropout(mask));
            reads_sign && masked
        })
    }

    /// Returns true if the operand of a map is stored with an epilogue that ends in `op`.
    fn operand_ends_in(&self, instruction: &Instruction, op: Pointwise) -> bool {
        let Instruction::Map { x, .. } = instruction else { return false };
        self.stored[x.0].is_some_and(|line| self.instruction(line).epilogue().last() == Some(&op))
    }

    fn append(&mut self, kernel: usize, map: usize) {
        let Some(Line { instruction: Instruction::Map { x, y, epilogue }, .. }) = self.lines[map].take()
        else {
            unreachable!("rule 1 merges maps only")
        };
        for at in residuals(&epilogue) {
            let readers = &mut self.readers[at.0];
            readers.retain(|reader| *reader != map && *reader != kernel);
            readers.push(kernel);
        }
        // Masks that the kernel's epilogue now needs are drawn before it.
        for op in &epilogue {
            if let Pointwise::Dropout(mask) = op
                && let Some((place, _)) = &mut self.draws[mask.0]
            {
                *place = kernel.min(*place);
            }
        }
        for reader in std::mem::take(&mut self.readers[x.0]) {
            if reader != map {
                let line = self.lines[reader].as_mut().expect("a reader is there");
                for op in line.instruction.epilogue_mut().into_iter().flatten() {
                    if let Pointwise::ActivationGradient(_, at) = op
                        && *at == x
                    {
                        *at = y;
                    }
                }
                if !self.readers[y.0].contains(&reader) {
                    self.readers[y.0].push(reader);
                }
            }
        }
        let line = self.lines[kernel].as_mut().expect("a kernel is there");
        line.instruction
            .epilogue_mut()
            .expect("rule 1 merges into kernels with an epilogue")
            .extend(epilogue);
        match &mut line.instruction {
            Instruction::Apply { y: stored, .. }
            | Instruction::ApplyTransposed { y: stored, .. }
            | Instruction::Map { y: stored, .. } => *stored = y,
            _ => unreachable!("only these have an epilogue"),
        }
        (self.stored[x.0], self.stored[y.0]) = (None, Some(kernel));
    }

    /// The fused program. Values that no line stores any more get no memory.
    fn finish(self) -> Program {
        let Self { mut program, lines, draws, stored, .. } = self;
        let mut before = vec![vec![]; lines.len()];
        for (place, draw) in draws.into_iter().flatten() {
            before[place].push(draw);
        }
        program.lines =
            before.into_iter().zip(lines).flat_map(|(draws, line)| draws.into_iter().chain(line)).collect();
        let mut new_index = vec![None; program.values.len()];
        let mut values = vec![];
        for (index, shape) in program.values.iter().enumerate() {
            if index == program.input.0 || stored[index].is_some() {
                new_index[index] = Some(Value(values.len()));
                values.push(*shape);
            }
        }
        program.values = values;
        for output in &mut program.layer_outputs {
            *output = output.filter(|value| new_index[value.0].is_some());
        }
        rename(&mut program, |value| *value = new_index[value.0].expect("what is read is stored"));
        program
    }
}

/// The values of the forward pass that the gradients of an epilogue read.
pub(super) fn residuals(epilogue: &[Pointwise]) -> impl Iterator<Item = Value> {
    epilogue.iter().filter_map(|op| match op {
        Pointwise::ActivationGradient(_, value) => Some(*value),
        _ => None,
    })
}

/// Renames every value in a program.
fn rename(program: &mut Program, rename: impl Fn(&mut Value)) {
    for line in &mut program.lines {
        for op in line.instruction.epilogue_mut().into_iter().flatten() {
            if let Pointwise::ActivationGradient(_, at) = op {
                rename(at);
            }
        }
        match &mut line.instruction {
            Instruction::Apply { x, y, .. }
            | Instruction::ApplyTransposed { x, y, .. }
            | Instruction::Correlate { x, y, .. }
            | Instruction::Map { x, y, .. }
            | Instruction::Normalize { x, y, .. }
            | Instruction::Moments { x, y }
            | Instruction::Meet { x, y, .. }
            | Instruction::Pool { x, y, .. }
            | Instruction::Custom { x, y, .. } => {
                rename(x);
                rename(y);
            }
            Instruction::Standardize { statistics, x, y, .. } => {
                if let Statistics::Batch(statistics) = statistics {
                    rename(statistics);
                }
                rename(x);
                rename(y);
            }
            Instruction::GradientMeans { y, dy, means } => {
                for value in [y, dy, means] {
                    rename(value);
                }
            }
            Instruction::StandardizeGradient { statistics, means, y, dy, dx, .. } => {
                for value in [statistics, means, y, dy, dx] {
                    rename(value);
                }
            }
            Instruction::SumSteps { x, .. } => rename(x),
            Instruction::Add { a, b, y } | Instruction::Multiply { a, b, y } => {
                rename(a);
                rename(b);
                rename(y);
            }
            Instruction::IndexMap { inputs, y, .. } => {
                inputs.iter_mut().for_each(&rename);
                rename(y);
            }
            Instruction::IndexMapTransposed { dy, dx, .. } => {
                rename(dy);
                rename(dx);
            }
            Instruction::NormalizeGradient { x, dy, dx, .. }
            | Instruction::PoolGradient { x, dy, dx, .. } => {
                for value in [x, dy, dx] {
                    rename(value);
                }
            }
            Instruction::Loss { y, dy, .. } => {
                rename(y);
                rename(dy);
            }
            Instruction::CustomGradient { x, y, dy, dx, .. } => {
                for value in [x, y, dy, dx] {
                    rename(value);
                }
            }
            Instruction::Recur { z, trace, .. } => {
                rename(z);
                rename(trace);
            }
            Instruction::RecurGradient { trace, dh, dz, .. } => {
                for value in [trace, dh, dz] {
                    rename(value);
                }
            }
            Instruction::Draw { .. } => {}
        }
    }
    rename(&mut program.input);
    rename(&mut program.output);
    for value in program.layer_outputs.iter_mut().chain([&mut program.input_gradient]).flatten() {
        rename(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Activation, Conv1D, Dropout, ReLU};
    use crate::losses::Loss;
    use crate::model::Sequential;
    use crate::shape::Shape;

    /// Twice the layers take twice the visits: fusion searches neither the lines nor the readers of a value.
    #[test]
    fn fusion_takes_time_in_proportion_to_the_program() {
        type Add = fn(&mut Sequential);
        let relu: Add = |model| _ = model.add(ReLU).unwrap();
        let dropped: Add = |model| _ = model.add(ReLU).unwrap().add(Dropout::new(0.5)).unwrap();
        let convolution: Add = |model| {
            let layer = Conv1D::new(1, 1).activation(Activation::Relu);
            _ = model.add(layer).unwrap().add(Dropout::new(0.5)).unwrap();
        };
        for add in [relu, dropped, convolution] {
            let [few, many] = [200, 400].map(|layers| {
                let mut model = Sequential::new(Shape::new(2, 1));
                model.add(Conv1D::new(1, 1)).unwrap();
                (0..layers).for_each(|_| add(&mut model));
                let mut fusion = Fusion::new(&model.training_program(Loss::MeanSquaredError));
                while fusion.round() {}
                fusion.visits
            });
            assert!(many <= 2 * few, "{few} visits, and {many} for twice the layers");
        }
    }
}
