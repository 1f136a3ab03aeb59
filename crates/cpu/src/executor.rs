//! Runs one sample through a program, within one core's cache.

use glassbox_engine::Result;
use glassbox_engine::activations::Activation;
use glassbox_engine::backend::Plan;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::model::WeightLayout;
use glassbox_engine::profile::{Clock, NoClock, Part};
use glassbox_engine::program::custom::{OperationIn, Saved};
use glassbox_engine::program::{Instruction, Pointwise, Program, Value, Weight};
use ndarray::{ArrayView2, ArrayViewMut2};

use crate::correlate::{self, Correlate};
use crate::kernels::epilogue::{Epilogue, mask_words};
use crate::kernels::{activations, loss, masks, normalize, pooling, sums};
use crate::layout::{Aligned, Slot, slots};
use crate::product::Products;
use crate::simd::{Isa, Simd};
use crate::{apply, apply_transposed, index_map, passes};

/// A program with the slots of its values and its packed kernels. All threads share it.
#[derive(Debug)]
pub(crate) struct Executable {
    program: Program,
    layout: WeightLayout,
    slots: Vec<Slot>,
    /// For each line that is a contraction, its plan.
    contractions: Vec<Option<Planned>>,
    /// For each line, the number of functions of its epilogue that its contraction applies.
    fused: Vec<usize>,
    /// Instruction set of the lines that are not contractions.
    isa: Isa,
    /// Of the dropout masks.
    seed: u64,
}

/// The plan of a contraction.
#[derive(Debug)]
enum Planned {
    /// Apply, or apply transposed.
    Products(Products),
    Correlate(Correlate),
}

/// The values and masks of one sample. Each thread has one of its own.
#[derive(Debug)]
pub(crate) struct Workspace {
    values: Vec<Aligned>,
    masks: Vec<Vec<u32>>,
}

/// The input of a run: a sample, and its place in the batch.
pub(crate) struct Sample<'a> {
    /// The input, row by row.
    pub(crate) x: &'a [f32],
    /// The target; empty in inference.
    pub(crate) target: &'a [f32],
    /// Samples in the batch.
    pub(crate) batch: usize,
    /// Identifies the dropout masks: the step, and the position in the batch.
    pub(crate) at: MaskAt,
}

impl Executable {
    pub(crate) fn new(program: &Program, plan: &Plan, simd: Simd) -> Self {
        let slots = slots(program);
        let left = |x: &Value| slots[x.index()].left;
        let transposed = keep_transposed(program, simd, plan.layout.tensors().len());
        let contraction = |instruction: &Instruction| match instruction {
            Instruction::Apply { geometry, x, .. } => {
                Some(Planned::Products(apply::plan(simd, geometry, left(x))))
            }
            Instruction::ApplyTransposed { geometry, x, .. } => {
                Some(Planned::Products(apply_transposed::plan(simd, geometry, left(x))))
            }
            Instruction::Correlate { geometry, x, kernel, .. } => {
                let transposed = transposed[kernel.index()];
                Some(Planned::Correlate(Correlate::new(simd, geometry, left(x), transposed)))
            }
            _ => None,
        };
        let instructions = || program.lines.iter().map(|line| &line.instruction);
        Self {
            contractions: instructions().map(contraction).collect(),
            fused: instructions().map(|instruction| fused(instruction.epilogue())).collect(),
            isa: Isa::new(simd).unwrap_or(Isa::PORTABLE),
            seed: plan.seed,
            slots,
            program: program.clone(),
            layout: plan.layout.clone(),
        }
    }

    pub(crate) fn workspace(&self) -> Workspace {
        let value = |slot: &Slot| Aligned::zeros(slot.len(), slot.interior().start);
        Workspace {
            values: self.slots.iter().map(value).collect(),
            masks: self.program.masks.iter().map(|mask| vec![0; mask_words(mask.len)]).collect(),
        }
    }

    /// Packs the kernels. To be called whenever the weights have changed.
    pub(crate) fn pack(&mut self, weights: &[f32]) {
        for (line, contraction) in self.program.lines.iter().zip(&mut self.contractions) {
            if let (
                Instruction::Apply { kernel, .. } | Instruction::ApplyTransposed { kernel, .. },
                Some(Planned::Products(products)),
            ) = (&line.instruction, contraction)
            {
                products.pack(&weights[self.layout.tensors()[kernel.index()].range.clone()]);
            }
        }
    }

    /// Converts a gradient that [`Executable::run`] has added to into the layout of the weights.
    pub(crate) fn finish_gradient(&self, sums: &[f32], gradient: &mut [f32]) {
        gradient.copy_from_slice(sums);
        for (line, contraction) in self.program.lines.iter().zip(&self.contractions) {
            if let (Instruction::Correlate { kernel, .. }, Some(Planned::Correlate(correlate))) =
                (&line.instruction, contraction)
            {
                let range = self.layout.tensors()[kernel.index()].range.clone();
                correlate.untranspose(&sums[range.clone()], &mut gradient[range]);
            }
        }
    }

    /// The model's prediction for the last sample that was run.
    pub(crate) fn prediction<'a>(&self, workspace: &'a Workspace) -> &'a [f32] {
        self.value(workspace, self.program.output)
    }

    /// A value without its margins.
    pub(crate) fn value<'a>(&self, workspace: &'a Workspace, value: Value) -> &'a [f32] {
        &workspace.values[value.index()][self.slots[value.index()].interior()]
    }

    /// The outputs of the layers, in order.
    pub(crate) fn layer_outputs(&self) -> &[Option<Value>] {
        &self.program.layer_outputs
    }

    /// Runs the program. Adds to `gradient`, in a layout of its own ([`Executable::finish_gradient`]), and returns the
    /// sample's loss, or 0 in inference. Calls `clock` after each part.
    pub(crate) fn run(
        &self,
        workspace: &mut Workspace,
        sample: &Sample<'_>,
        weights: &[f32],
        gradient: &mut [f32],
        clock: &mut impl Clock,
    ) -> f64 {
        let input = self.program.input.index();
        workspace.values[input][self.slots[input].interior()].copy_from_slice(sample.x);
        clock.lap(Part::Gather);
        let mut loss = 0.0;
        for index in 0..self.program.lines.len() {
            let instruction = &self.program.lines[index].instruction;
            if let Instruction::Draw { mask } = instruction {
                let spec = self.program.masks[mask.index()];
                let at = MaskAt { mask: mask.index(), ..sample.at };
                let words = &mut workspace.masks[mask.index()];
                masks::draw(self.isa, self.seed, at, spec.rate, spec.drawn, words);
                masks::repeat(spec.drawn, spec.len, words);
                clock.lap(Part::Line(index));
                continue;
            }
            // The stored value is taken out while the others are read, because it is never among them.
            let stored = instruction.stores();
            let mut values = stored.map(|y| std::mem::take(&mut workspace.values[y.index()]));
            let y = match (stored, &mut values) {
                (Some(y), Some(values)) => &mut values[self.slots[y.index()].interior()],
                _ => &mut [],
            };
            loss += self.instruction(index, workspace, sample, weights, gradient, y);
            if let (Some(stored), Some(values)) = (stored, values) {
                workspace.values[stored.index()] = values;
            }
            clock.lap(Part::Line(index));
        }
        loss
    }

    /// Runs one line. `stored` is the value that it stores, without margins.
    fn instruction(
        &self,
        index: usize,
        workspace: &Workspace,
        sample: &Sample<'_>,
        weights: &[f32],
        gradient: &mut [f32],
        stored: &mut [f32],
    ) -> f64 {
        let padded = |value: &Value| &workspace.values[value.index()][..];
        let interior = |value: &Value| self.value(workspace, *value);
        let matrix = |value: &Value| {
            let slot = self.slots[value.index()];
            ArrayView2::from_shape((slot.steps, slot.channels), interior(value))
                .expect("a slot has its shape")
        };
        let instruction = &self.program.lines[index].instruction;
        match (instruction, &self.contractions[index]) {
            (
                Instruction::Apply { x, epilogue, .. } | Instruction::ApplyTransposed { x, epilogue, .. },
                Some(Planned::Products(products)),
            ) => {
                let (fused, rest) = epilogue.split_at(self.fused[index]);
                products.run(padded(x), stored, &self.fuse(fused, workspace, weights));
                self.passes(rest, workspace, weights, stored);
            }
            (Instruction::Correlate { x, y, kernel, .. }, Some(Planned::Correlate(correlate))) => {
                let sums = &mut gradient[self.layout.tensors()[kernel.index()].range.clone()];
                correlate.run(padded(x), interior(y), sums);
            }
            (Instruction::SumSteps { x, bias }, _) => {
                let dbias = &mut gradient[self.layout.tensors()[bias.index()].range.clone()];
                sums::sum_steps(self.isa, interior(x), dbias);
            }
            (Instruction::Map { x, epilogue, .. }, _) => {
                stored.copy_from_slice(interior(x));
                self.passes(epilogue, workspace, weights, stored);
            }
            (Instruction::Add { a, b, .. }, _) => {
                for ((y, a), b) in stored.iter_mut().zip(interior(a)).zip(interior(b)) {
                    *y = a + b;
                }
            }
            (Instruction::IndexMap { map, inputs, .. }, _) => {
                index_map::run(map, |input| interior(&inputs[input]), stored);
            }
            (Instruction::IndexMapTransposed { map, input, dy, .. }, _) => {
                index_map::run_transposed(self.isa, map, *input, interior(dy), stored);
            }
            (Instruction::Multiply { a, b, .. }, _) => {
                for ((y, a), b) in stored.iter_mut().zip(interior(a)).zip(interior(b)) {
                    *y = a * b;
                }
            }
            (Instruction::Normalize { epsilon, x, .. }, _) => {
                let channels = self.slots[x.index()].channels;
                normalize::normalize(self.isa, *epsilon, channels, interior(x), stored);
            }
            (Instruction::NormalizeGradient { epsilon, x, dy, .. }, _) => {
                let channels = self.slots[x.index()].channels;
                normalize::gradient(self.isa, *epsilon, channels, interior(x), interior(dy), stored);
            }
            (Instruction::Pool { pooling, geometry, x, .. }, _) => {
                pooling::pool(self.isa, *pooling, geometry, interior(x), stored);
            }
            (Instruction::PoolGradient { pooling, geometry, x, dy, .. }, _) => {
                pooling::gradient(self.isa, *pooling, geometry, interior(x), interior(dy), stored);
            }
            (Instruction::Loss { loss, y, target, .. }, _) => {
                let target = &sample.target[*target..][..stored.len()];
                return loss::gradient(self.isa, *loss, interior(y), target, sample.batch, stored);
            }
            (Instruction::Custom { op, x, y, weights: range }, _) => {
                let weights = &weights[self.layout.range(range.clone())];
                let op: &dyn OperationIn<f32> = &**op;
                op.forward(matrix(x), weights, self.matrix_mut(*y, stored));
            }
            (Instruction::CustomGradient { op, x, y, dy, dx, weights: range }, _) => {
                let range = self.layout.range(range.clone());
                let saved =
                    Saved { x: matrix(x), y: matrix(y), dy: matrix(dy), weights: &weights[range.clone()] };
                let op: &dyn OperationIn<f32> = &**op;
                op.backward(saved, self.matrix_mut(*dx, stored), &mut gradient[range]);
            }
            (
                Instruction::Draw { .. }
                | Instruction::Apply { .. }
                | Instruction::ApplyTransposed { .. }
                | Instruction::Correlate { .. },
                _,
            ) => unreachable!("drawn before, or planned as the contraction that it is"),
        }
        0.0
    }

    /// The part of an epilogue that the contraction applies.
    fn fuse<'a>(&self, ops: &[Pointwise], workspace: &'a Workspace, weights: &'a [f32]) -> Epilogue<'a> {
        let mut epilogue = Epilogue::default();
        for op in ops {
            match op {
                Pointwise::AddBias(bias) => epilogue.bias = Some(self.tensor(*bias, weights)),
                Pointwise::Scale(_) => unreachable!("no part of it: see `fused`"),
                Pointwise::Activation(_) => epilogue.relu = true,
                Pointwise::Dropout(mask) => {
                    let rate = self.program.masks[mask.index()].rate;
                    let scale = (1.0 / (1.0 - rate)) as f32;
                    epilogue.dropout = Some((&workspace.masks[mask.index()], scale));
                }
                Pointwise::ActivationGradient(_, gate) => {
                    epilogue.gate = Some(self.value(workspace, *gate));
                }
            }
        }
        epilogue
    }

    fn passes(&self, ops: &[Pointwise], workspace: &Workspace, weights: &[f32], y: &mut [f32]) {
        for op in ops {
            match op {
                Pointwise::Scale(factors) => passes::scale(y, self.tensor(*factors, weights)),
                Pointwise::AddBias(bias) => passes::add_bias(y, self.tensor(*bias, weights)),
                Pointwise::Activation(activation) => activations::apply(self.isa, *activation, y),
                Pointwise::Dropout(mask) => {
                    let rate = self.program.masks[mask.index()].rate;
                    passes::dropout(y, &workspace.masks[mask.index()], rate);
                }
                Pointwise::ActivationGradient(activation, at) => {
                    activations::gradient(self.isa, *activation, self.value(workspace, *at), y);
                }
            }
        }
    }

    fn tensor<'a>(&self, weight: Weight, weights: &'a [f32]) -> &'a [f32] {
        &weights[self.layout.tensors()[weight.index()].range.clone()]
    }

    fn matrix_mut<'a>(&self, value: Value, stored: &'a mut [f32]) -> ArrayViewMut2<'a, f32> {
        let slot = self.slots[value.index()];
        ArrayViewMut2::from_shape((slot.steps, slot.channels), stored).expect("a slot has its shape")
    }

    /// Runs inference on one sample and calls `visit` with each layer's output.
    pub(crate) fn observe(
        &self,
        workspace: &mut Workspace,
        sample: &[f32],
        weights: &[f32],
        visit: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<()> {
        self.run(workspace, &Sample::inference(sample), weights, &mut [], &mut NoClock);
        for (layer, value) in self.layer_outputs().iter().enumerate() {
            if let Some(value) = value {
                visit(layer, self.value(workspace, *value));
            }
        }
        Ok(())
    }
}

impl<'a> Sample<'a> {
    pub(crate) fn inference(x: &'a [f32]) -> Self {
        Self { x, target: &[], batch: 1, at: MaskAt { mask: 0, step: 0, position: 0 } }
    }
}

/// The number of functions, from the start of an epilogue, that [`Epilogue`] has, in its order. Its only activation is
/// ReLU.
fn fused(ops: &[Pointwise]) -> usize {
    let place = |op: &Pointwise| match op {
        Pointwise::AddBias(_) => 1,
        Pointwise::Activation(Activation::Relu) => 2,
        Pointwise::Dropout(_) => 3,
        Pointwise::ActivationGradient(Activation::Relu, _) => 4,
        // Above no place: it ends the part.
        Pointwise::Scale(_) | Pointwise::Activation(_) | Pointwise::ActivationGradient(..) => 0,
    };
    let mut before = 0;
    let in_order = |op: &&Pointwise| std::mem::replace(&mut before, place(op)) < place(op);
    ops.iter().take_while(in_order).count()
}

/// For each of the first `tensors` tensors, tells whether its gradient is summed transposed: if only correlations add
/// to it, and all of them prefer it.
fn keep_transposed(program: &Program, simd: Simd, tensors: usize) -> Vec<bool> {
    let mut transposed = vec![true; tensors];
    for line in &program.lines {
        match &line.instruction {
            Instruction::Correlate { geometry, kernel, .. } => {
                transposed[kernel.index()] &= correlate::prefers_transposed(simd, geometry);
            }
            Instruction::CustomGradient { weights, .. } => transposed[weights.clone()].fill(false),
            _ => {}
        }
    }
    transposed
}
