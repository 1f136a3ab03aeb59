//! The interpreter, which runs a program line by line.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayView3, ArrayViewMut3};

use super::{
    Operand, apply, apply_transposed, correlate, index_map, index_map_transposed, normalize,
    normalize_gradient, pointwise, pool, pool_gradient, recur, recur_gradient, sum_steps,
};
use crate::float::Float;
use crate::geometry::Geometry;
use crate::masks::{self, MaskAt, WORD};
use crate::model::WeightLayout;
use crate::profile::{Clock, NoClock, Part};
use crate::program::custom::{self, Saved};
use crate::program::{Instruction, Pointwise, Program, Value, Weight};

/// Runs a program for one sample at a time and keeps every value for inspection. Clones share the program.
#[derive(Debug, Clone)]
pub struct Interpreter<F> {
    program: Arc<Program>,
    layout: Arc<WeightLayout>,
    values: Vec<Array2<F>>,
    masks: Vec<Vec<u32>>,
}

/// The data of one sample.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a, F> {
    /// The input, row by row.
    pub x: &'a [F],
    /// The target; empty if the program has no loss.
    pub target: &'a [F],
    /// Number of samples in the batch; the gradient is that of the batch's mean loss.
    pub batch: usize,
}

impl<F: Float> Interpreter<F> {
    /// Allocates the values and masks of one sample. Masks keep nothing until they are drawn.
    #[must_use]
    pub fn new(program: Program, layout: WeightLayout) -> Self {
        let values =
            program.values.iter().map(|shape| Array2::zeros((shape.steps, shape.channels))).collect();
        let masks = program.masks.iter().map(|mask| vec![0; mask.len.div_ceil(WORD)]).collect();
        Self { program: Arc::new(program), layout: Arc::new(layout), values, masks }
    }

    /// Draws all masks of a run with a seed, for the step and the position in the batch of `at`.
    pub fn draw_masks(&mut self, seed: u64, at: MaskAt) {
        self.draw_masks_clocked(seed, at, &mut NoClock);
    }

    /// As [`Interpreter::draw_masks`], with a clock.
    pub(super) fn draw_masks_clocked(&mut self, seed: u64, at: MaskAt, clock: &mut impl Clock) {
        for (index, line) in self.program.lines.iter().enumerate() {
            if let Instruction::Draw { mask } = line.instruction {
                let spec = self.program.masks[mask.index()];
                let at = MaskAt { mask: mask.index(), ..at };
                let words = &mut self.masks[mask.index()];
                masks::draw(seed, at, spec.rate, spec.drawn, words);
                masks::repeat(spec.drawn, spec.len, words);
                clock.lap(Part::Line(index));
            }
        }
    }

    /// Runs the program. Adds to `gradient`, and returns the sample's loss, or 0 if the program has none.
    ///
    /// # Panics
    /// If a length does not fit the program.
    pub fn run(&mut self, sample: Sample<'_, F>, weights: &[F], gradient: &mut [F]) -> f64 {
        self.run_clocked(sample, weights, gradient, &mut NoClock)
    }

    /// As [`Interpreter::run`], with a clock.
    pub(super) fn run_clocked(
        &mut self,
        sample: Sample<'_, F>,
        weights: &[F],
        gradient: &mut [F],
        clock: &mut impl Clock,
    ) -> f64 {
        slice_mut(&mut self.values[self.program.input.index()]).copy_from_slice(sample.x);
        clock.lap(Part::Gather);
        self.run_lines(0, sample, weights, gradient, clock)
    }

    /// Runs the lines of a forward pass again from `first` on, with the values that the lines before it have stored.
    pub(crate) fn rerun(&mut self, first: usize, weights: &[F]) {
        let sample = Sample { x: &[], target: &[], batch: 1 };
        self.run_lines(first, sample, weights, &mut [], &mut NoClock);
    }

    fn run_lines(
        &mut self,
        first: usize,
        sample: Sample<'_, F>,
        weights: &[F],
        gradient: &mut [F],
        clock: &mut impl Clock,
    ) -> f64 {
        let mut loss = 0.0;
        for index in first..self.program.lines.len() {
            // The stored value is taken out while the others are read, because it is never among them.
            let stored = self.program.lines[index].instruction.stores();
            let mut y = stored.map(|y| std::mem::take(&mut self.values[y.index()])).unwrap_or_default();
            let instruction = &self.program.lines[index].instruction;
            loss += self.instruction(instruction, &sample, weights, gradient, &mut y);
            if let Some(stored) = stored {
                self.epilogue(instruction.epilogue(), weights, &mut y);
                self.values[stored.index()] = y;
            }
            clock.lap(Part::Line(index));
        }
        loss
    }

    /// A value of the last sample, row by row.
    #[must_use]
    pub fn value(&self, value: Value) -> &[F] {
        slice(&self.values[value.index()])
    }

    /// A value for writing. A value that no line stores keeps what is written to it.
    pub(crate) fn value_mut(&mut self, value: Value) -> &mut [F] {
        slice_mut(&mut self.values[value.index()])
    }

    fn instruction(
        &self,
        instruction: &Instruction,
        sample: &Sample<'_, F>,
        weights: &[F],
        gradient: &mut [F],
        stored: &mut Array2<F>,
    ) -> f64 {
        let values = &self.values;
        let tensor = |weight: Weight| self.layout.tensors()[weight.index()].range.clone();
        match instruction {
            Instruction::Apply { geometry, kernel, x, .. } => {
                apply(
                    geometry,
                    values[x.index()].view(),
                    as_kernel(geometry, &weights[tensor(*kernel)]),
                    stored.view_mut(),
                );
            }
            Instruction::ApplyTransposed { geometry, kernel, x, .. } => {
                let kernel = as_kernel(geometry, &weights[tensor(*kernel)]);
                apply_transposed(geometry, values[x.index()].view(), kernel, stored.view_mut());
            }
            Instruction::Correlate { geometry, x, y, kernel } => {
                let dkernel = &mut gradient[tensor(*kernel)];
                let dkernel =
                    ArrayViewMut3::from_shape(geometry.kernel(), dkernel).expect("a kernel's gradient");
                correlate(geometry, values[x.index()].view(), values[y.index()].view(), dkernel);
            }
            Instruction::SumSteps { x, bias } => {
                let dbias = &mut gradient[tensor(*bias)];
                sum_steps(values[x.index()].view(), dbias);
            }
            Instruction::Map { x, .. } => stored.assign(&values[x.index()]),
            Instruction::Add { a, b, .. } => {
                stored.assign(&values[a.index()]);
                *stored += &values[b.index()];
            }
            Instruction::Recur { cell, kernel, bias, z, .. } => {
                let kernel = as_matrix(cell.columns(), &weights[tensor(*kernel)]);
                let bias = bias.map(|bias| as_matrix(cell.columns(), &weights[tensor(bias)]));
                recur(cell, kernel, bias, values[z.index()].view(), stored.view_mut());
            }
            Instruction::RecurGradient { cell, kernel, trace, dh, .. } => {
                let kernel = as_matrix(cell.columns(), &weights[tensor(*kernel)]);
                let (trace, dh) = (values[trace.index()].view(), values[dh.index()].view());
                recur_gradient(cell, kernel, trace, dh, stored.view_mut());
            }
            Instruction::IndexMap { map, inputs, .. } => {
                let xs: Vec<&[F]> = inputs.iter().map(|x| slice(&values[x.index()])).collect();
                index_map(map, &xs, slice_mut(stored));
            }
            Instruction::IndexMapTransposed { map, input, dy, .. } => {
                index_map_transposed(map, *input, slice(&values[dy.index()]), slice_mut(stored));
            }
            Instruction::Multiply { a, b, .. } => {
                stored.assign(&values[a.index()]);
                *stored *= &values[b.index()];
            }
            Instruction::Normalize { epsilon, x, .. } => {
                normalize(*epsilon, values[x.index()].view(), stored.view_mut());
            }
            Instruction::NormalizeGradient { epsilon, x, dy, .. } => {
                let (x, dy) = (values[x.index()].view(), values[dy.index()].view());
                normalize_gradient(*epsilon, x, dy, stored.view_mut());
            }
            Instruction::Pool { pooling, geometry, x, .. } => {
                pool(*pooling, geometry, values[x.index()].view(), stored.view_mut());
            }
            Instruction::PoolGradient { pooling, geometry, x, dy, .. } => {
                let (x, dy) = (values[x.index()].view(), values[dy.index()].view());
                pool_gradient(*pooling, geometry, x, dy, stored.view_mut());
            }
            // Masks are drawn before the sample runs, because they depend on no computed value.
            Instruction::Draw { .. } => {}
            Instruction::Loss { loss, y, target, .. } => {
                let y = slice(&values[y.index()]);
                let target = &sample.target[*target..][..y.len()];
                return loss.gradient(y, target, sample.batch, slice_mut(stored));
            }
            Instruction::Custom { op, x, weights: range, .. } => {
                let range = self.layout.range(range.clone());
                custom::in_type::<F>(op).forward(
                    values[x.index()].view(),
                    &weights[range],
                    stored.view_mut(),
                );
            }
            Instruction::CustomGradient { op, x, y, dy, weights: range, .. } => {
                let range = self.layout.range(range.clone());
                let saved = Saved {
                    x: values[x.index()].view(),
                    y: values[y.index()].view(),
                    dy: values[dy.index()].view(),
                    weights: &weights[range.clone()],
                };
                // Of a forward pass that holds kinks, no gradient of weights is asked for.
                let gradient = gradient.get_mut(range).unwrap_or_default();
                custom::in_type::<F>(op).backward(saved, stored.view_mut(), gradient);
            }
        }
        0.0
    }

    fn epilogue(&self, epilogue: &[Pointwise], weights: &[F], y: &mut Array2<F>) {
        let channels = y.ncols();
        let tensor = |weight: &Weight| &weights[self.layout.tensors()[weight.index()].range.clone()];
        for op in epilogue {
            let operand = match op {
                Pointwise::Scale(factors) => Operand::Scale(tensor(factors)),
                Pointwise::AddBias(bias) => Operand::AddBias(tensor(bias)),
                Pointwise::Activation(activation) => Operand::Activation(*activation),
                Pointwise::Dropout(mask) => Operand::Dropout {
                    rate: self.program.masks[mask.index()].rate,
                    mask: &self.masks[mask.index()],
                },
                Pointwise::ActivationGradient(activation, at) => {
                    Operand::ActivationGradient(*activation, self.values[at.index()].view())
                }
            };
            for ((t, c), v) in y.indexed_iter_mut() {
                *v = pointwise(&operand, *v, t, c, channels);
            }
        }
    }
}

fn as_kernel<'a, F>(geometry: &Geometry, weights: &'a [F]) -> ArrayView3<'a, F> {
    ArrayView3::from_shape(geometry.kernel(), weights).expect("a kernel has its geometry's shape")
}

fn as_matrix<F>(columns: usize, weights: &[F]) -> ArrayView2<'_, F> {
    ArrayView2::from_shape((weights.len() / columns, columns), weights).expect("whole rows")
}

fn slice<F>(array: &Array2<F>) -> &[F] {
    array.as_slice().expect("buffers are contiguous")
}

fn slice_mut<F>(array: &mut Array2<F>) -> &mut [F] {
    array.as_slice_mut().expect("buffers are contiguous")
}
