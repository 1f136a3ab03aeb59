//! The interpreter, which runs a program line by line.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayView3, ArrayViewMut3, aview1};

use super::{
    Operand, apply, apply_transposed, correlate, follow, gradient_means, index_map, index_map_transposed,
    meet, moments, normalize, normalize_gradient, pointwise, pool, pool_gradient, recur, recur_gradient,
    standardize, standardize_gradient, sum_steps,
};
use crate::float::Float;
use crate::geometry::Geometry;
use crate::masks::{self, MaskAt, WORD};
use crate::model::WeightLayout;
use crate::profile::{Clock, NoClock, Part};
use crate::program::custom::{self, Saved};
use crate::program::{Instruction, Meeting, Pointwise, Program, Statistics, Value, Weight};

/// Runs a program for one sample at a time and keeps every value for inspection. Clones share the program. The samples of
/// a batch that meet at a barrier each need one ([`Interpreter::run_batch`]).
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

    /// Runs the program for a sample that is a batch by itself, or where no samples meet. Adds to `gradient`, and returns
    /// the sample's loss, or 0 if the program has none.
    ///
    /// # Panics
    /// If a length does not fit the program.
    pub fn run(&mut self, sample: Sample<'_, F>, weights: &[F], gradient: &mut [F]) -> f64 {
        Self::run_batch(std::slice::from_mut(self), &[sample], weights, gradient)
    }

    /// Runs the program for all samples of a batch, each in an interpreter of its own, which are clones of one. Adds to
    /// `gradient`, and returns the sum of the samples' losses, or 0 if the program has none.
    ///
    /// # Panics
    /// If a length does not fit the program, or there are not as many samples as interpreters.
    pub fn run_batch(
        batch: &mut [Self],
        samples: &[Sample<'_, F>],
        weights: &[F],
        gradient: &mut [F],
    ) -> f64 {
        Self::run_clocked(batch, samples, weights, gradient, &mut NoClock)
    }

    /// As [`Interpreter::run_batch`], with a clock.
    pub(super) fn run_clocked(
        batch: &mut [Self],
        samples: &[Sample<'_, F>],
        weights: &[F],
        gradient: &mut [F],
        clock: &mut impl Clock,
    ) -> f64 {
        assert_eq!(batch.len(), samples.len(), "an interpreter for each sample");
        for (interpreter, sample) in batch.iter_mut().zip(samples) {
            let input = interpreter.program.input;
            interpreter.value_mut(input).copy_from_slice(sample.x);
            clock.lap(Part::Gather);
        }
        Self::run_from(0, batch, samples, weights, gradient, clock)
    }

    /// Runs the lines of a forward pass again from `first` on, with the values that the lines before it have stored.
    pub(crate) fn rerun(batch: &mut [Self], first: usize, weights: &[F]) {
        let samples = vec![Sample { x: &[], target: &[], batch: 1 }; batch.len()];
        Self::run_from(first, batch, &samples, weights, &mut [], &mut NoClock);
    }

    /// Runs the lines from `first` on: each stretch for one sample after the other, then the barrier for all of them.
    fn run_from(
        first: usize,
        batch: &mut [Self],
        samples: &[Sample<'_, F>],
        weights: &[F],
        gradient: &mut [F],
        clock: &mut impl Clock,
    ) -> f64 {
        let Some(program) = batch.first().map(|interpreter| Arc::clone(&interpreter.program)) else {
            return 0.0;
        };
        let mut loss = 0.0;
        for stretch in program.stretches() {
            let lines = first.max(stretch.start)..stretch.end;
            for (interpreter, sample) in batch.iter_mut().zip(samples) {
                loss += interpreter.run_lines(lines.clone(), *sample, weights, gradient, clock);
            }
            if first <= stretch.end && stretch.end < program.lines.len() {
                Self::meet(&program.lines[stretch.end].instruction, batch, weights, gradient);
                clock.lap(Part::Line(stretch.end));
            }
        }
        loss
    }

    /// Runs a barrier.
    fn meet(barrier: &Instruction, batch: &mut [Self], weights: &[F], gradient: &mut [F]) {
        let Instruction::Meet { meeting, x, y } = barrier else { unreachable!("no barrier: {barrier:?}") };
        let samples: Vec<_> = batch.iter().map(|interpreter| interpreter.values[x.index()].view()).collect();
        let met = meet(meeting, &samples);
        if let Meeting::Moments { momentum, moving } = meeting {
            for (statistic, moving) in met.rows().into_iter().zip(moving) {
                let range = batch[0].layout.tensors()[moving.index()].range.clone();
                // Where only a forward pass is run again, no change is asked for.
                if let Some(change) = gradient.get_mut(range.clone()) {
                    follow(*momentum, statistic, &weights[range], change);
                }
            }
        }
        for interpreter in batch {
            interpreter.values[y.index()].assign(&met);
        }
    }

    fn run_lines(
        &mut self,
        lines: Range<usize>,
        sample: Sample<'_, F>,
        weights: &[F],
        gradient: &mut [F],
        clock: &mut impl Clock,
    ) -> f64 {
        let mut loss = 0.0;
        for index in lines {
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
            Instruction::Moments { x, .. } => moments(values[x.index()].view(), stored.view_mut()),
            Instruction::Standardize { epsilon, statistics, x, .. } => {
                let statistics = match statistics {
                    Statistics::Batch(value) => [0, 1].map(|row| values[value.index()].row(row)),
                    Statistics::Moving(moving) => moving.map(|weight| aview1(&weights[tensor(weight)])),
                };
                standardize(*epsilon, statistics, values[x.index()].view(), stored.view_mut());
            }
            Instruction::GradientMeans { y, dy, .. } => {
                gradient_means(values[y.index()].view(), values[dy.index()].view(), stored.view_mut());
            }
            Instruction::StandardizeGradient { epsilon, statistics, means, y, dy, .. } => {
                let variance = values[statistics.index()].row(1);
                let [means, y, dy] = [means, y, dy].map(|value| values[value.index()].view());
                standardize_gradient(*epsilon, variance, means, y, dy, stored.view_mut());
            }
            Instruction::Meet { .. } => unreachable!("a stretch has no barrier"),
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
