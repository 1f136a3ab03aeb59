//! One sample on its way through a program, all of it in one core's cache.

use glassbox_engine::Result;
use glassbox_engine::backend::Plan;
use glassbox_engine::masks::{MaskAt, Masks, WORD};
use glassbox_engine::model::WeightLayout;
use glassbox_engine::program::custom::{Dispatch, Saved};
use glassbox_engine::program::{Instruction, Pointwise, Program, Value, Weight};
use ndarray::{ArrayView2, ArrayViewMut2};

use crate::layout::{Slot, slots};
use crate::{apply, apply_transposed, correlate, epilogue};

/// A program with the places of its values, and its kernels as the contractions read them. Shared by all
/// threads.
#[derive(Debug)]
pub(crate) struct Executable {
    program: Program,
    layout: WeightLayout,
    slots: Vec<Slot>,
    /// For each line, its kernel packed for [`apply_transposed`]; empty for other lines.
    packed: Vec<Vec<f32>>,
}

/// The values and masks of one sample. Each thread has one of its own.
#[derive(Debug)]
pub(crate) struct Workspace {
    values: Vec<Vec<f32>>,
    masks: Vec<Vec<u32>>,
}

/// What a sample is run with.
pub(crate) struct Sample<'a> {
    /// The input, row by row.
    pub(crate) x: &'a [f32],
    /// The target; empty in inference.
    pub(crate) target: &'a [f32],
    /// Samples in the batch.
    pub(crate) batch: usize,
    /// Which dropout masks: the step, and the position in the batch.
    pub(crate) at: MaskAt,
}

impl Executable {
    pub(crate) fn new(program: &Program, plan: &Plan) -> Self {
        let packed = program.lines.iter().map(|line| match &line.instruction {
            Instruction::ApplyTransposed { geometry, .. } => vec![0.0; geometry.kernel_len()],
            _ => vec![],
        });
        Self {
            slots: slots(program),
            packed: packed.collect(),
            program: program.clone(),
            layout: plan.layout.clone(),
        }
    }

    pub(crate) fn workspace(&self) -> Workspace {
        Workspace {
            values: self.slots.iter().map(|slot| vec![0.0; slot.len()]).collect(),
            masks: self.program.masks.iter().map(|mask| vec![0; mask.len.div_ceil(WORD)]).collect(),
        }
    }

    /// Packs the kernels anew: to be called whenever the weights have changed.
    pub(crate) fn pack(&mut self, weights: &[f32]) {
        for (line, packed) in self.program.lines.iter().zip(&mut self.packed) {
            if let Instruction::ApplyTransposed { geometry, kernel, .. } = &line.instruction {
                let kernel = &weights[self.layout.tensors()[kernel.index()].range.clone()];
                apply_transposed::pack(geometry, kernel, packed);
            }
        }
    }

    /// The model's prediction for the sample that went through last.
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

    /// Runs the program. Adds to `gradient`, and gives the sample's loss, 0 in inference.
    pub(crate) fn run(
        &self,
        workspace: &mut Workspace,
        sample: &Sample<'_>,
        masks: &Masks,
        weights: &[f32],
        gradient: &mut [f32],
    ) -> f64 {
        let input = self.program.input.index();
        workspace.values[input][self.slots[input].interior()].copy_from_slice(sample.x);
        let mut loss = 0.0;
        for (line, packed) in self.program.lines.iter().zip(&self.packed) {
            let instruction = &line.instruction;
            // The stored value is taken out while the others are read: it is never among them.
            let stored = instruction.stores();
            let mut y = match stored {
                Some(y) => std::mem::take(&mut workspace.values[y.index()]),
                None => vec![],
            };
            if let Instruction::Draw { mask } = instruction {
                let spec = self.program.masks[mask.index()];
                let at = MaskAt { mask: mask.index(), ..sample.at };
                masks.fill(at, spec.rate, spec.len, &mut workspace.masks[mask.index()]);
            }
            loss += self.instruction(instruction, packed, workspace, sample, weights, gradient, &mut y);
            if let Some(stored) = stored {
                let interior = self.slots[stored.index()].interior();
                self.epilogue(instruction.epilogue(), workspace, weights, &mut y[interior]);
                workspace.values[stored.index()] = y;
            }
        }
        loss
    }

    #[allow(clippy::too_many_arguments)] // one caller, which holds just these
    fn instruction(
        &self,
        instruction: &Instruction,
        packed: &[f32],
        workspace: &Workspace,
        sample: &Sample<'_>,
        weights: &[f32],
        gradient: &mut [f32],
        stored: &mut [f32],
    ) -> f64 {
        let operand = |value: &Value| (&workspace.values[value.index()][..], self.slots[value.index()]);
        let interior = |value: &Value| self.value(workspace, *value);
        let matrix = |value: &Value| {
            let slot = self.slots[value.index()];
            ArrayView2::from_shape((slot.steps, slot.channels), interior(value))
                .expect("a slot has its shape")
        };
        match instruction {
            Instruction::Apply { geometry, kernel, x, y, .. } => {
                let y_slot = self.slots[y.index()];
                apply::apply(geometry, operand(x), self.tensor(*kernel, weights), (stored, y_slot));
            }
            Instruction::ApplyTransposed { geometry, x, y, .. } => {
                let y_slot = self.slots[y.index()];
                apply_transposed::apply_transposed(geometry, operand(x), packed, (stored, y_slot));
            }
            Instruction::Correlate { geometry, x, y, kernel } => {
                let dkernel = &mut gradient[self.layout.tensors()[kernel.index()].range.clone()];
                correlate::correlate(geometry, operand(x), operand(y), dkernel);
            }
            Instruction::SumSteps { x, bias } => {
                let dbias = &mut gradient[self.layout.tensors()[bias.index()].range.clone()];
                epilogue::sum_steps(interior(x), dbias);
            }
            Instruction::Map { x, y, .. } => {
                stored[self.slots[y.index()].interior()].copy_from_slice(interior(x));
            }
            Instruction::Add { a, b, y } => {
                let stored = &mut stored[self.slots[y.index()].interior()];
                for ((y, a), b) in stored.iter_mut().zip(interior(a)).zip(interior(b)) {
                    *y = a + b;
                }
            }
            Instruction::Draw { .. } => {}
            Instruction::Loss { loss, y, dy } => {
                let stored = &mut stored[self.slots[dy.index()].interior()];
                return loss.gradient(interior(y), sample.target, sample.batch, stored);
            }
            Instruction::Custom { op, x, y, weights: range } => {
                let weights = &weights[self.layout.range(range.clone())];
                f32::forward(op, matrix(x), weights, self.matrix_mut(*y, stored));
            }
            Instruction::CustomGradient { op, x, y, dy, dx, weights: range } => {
                let range = self.layout.range(range.clone());
                let saved =
                    Saved { x: matrix(x), y: matrix(y), dy: matrix(dy), weights: &weights[range.clone()] };
                f32::backward(op, saved, self.matrix_mut(*dx, stored), &mut gradient[range]);
            }
        }
        0.0
    }

    fn epilogue(&self, ops: &[Pointwise], workspace: &Workspace, weights: &[f32], y: &mut [f32]) {
        for op in ops {
            match op {
                Pointwise::AddBias(bias) => epilogue::add_bias(y, self.tensor(*bias, weights)),
                Pointwise::Relu => epilogue::relu(y),
                Pointwise::Dropout(mask) => {
                    let rate = self.program.masks[mask.index()].rate;
                    epilogue::dropout(y, &workspace.masks[mask.index()], rate);
                }
                Pointwise::ReluGate(gate) => epilogue::relu_gate(y, self.value(workspace, *gate)),
            }
        }
    }

    fn tensor<'a>(&self, weight: Weight, weights: &'a [f32]) -> &'a [f32] {
        &weights[self.layout.tensors()[weight.index()].range.clone()]
    }

    fn matrix_mut<'a>(&self, value: Value, stored: &'a mut [f32]) -> ArrayViewMut2<'a, f32> {
        let slot = self.slots[value.index()];
        ArrayViewMut2::from_shape((slot.steps, slot.channels), &mut stored[slot.interior()])
            .expect("a slot has its shape")
    }

    /// Runs inference on one sample and shows each layer's output.
    pub(crate) fn observe(
        &self,
        workspace: &mut Workspace,
        sample: &[f32],
        masks: &Masks,
        weights: &[f32],
        visit: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<()> {
        self.run(workspace, &Sample::inference(sample), masks, weights, &mut []);
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
