//! Runs samples through a program, within one core's cache.
//!
//! A sample goes through the whole program before the next one. Only a program with a [recurrence](crate::recurrence)
//! takes several samples at a time, and only the recurrence runs for all of them at once: before it, between two, and
//! after the last, each sample goes through all lines there are.
//!
//! At a barrier the samples of a batch meet. The stretch before it runs for all of them, then [`Executable::meet`], then
//! the stretch after it; so each sample of the batch keeps its values, where otherwise each thread has those of one.
//!
//! Overlapping windows of a series may share what is inside of them ([`sliding`]).

pub(crate) mod sliding;
mod stretches;

use std::ops::Range;

use glassbox_engine::Result;
use glassbox_engine::activations::Activation;
use glassbox_engine::backend::Plan;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::model::WeightLayout;
use glassbox_engine::profile::{Clock, NoClock, Part};
use glassbox_engine::program::custom::{OperationIn, Saved};
use glassbox_engine::program::{Instruction, Meeting, Pointwise, Program, Statistics, Value, Weight};
use ndarray::{ArrayView2, ArrayViewMut2};
pub(crate) use sliding::LONGEST_PERIOD;
use sliding::Sliding;
pub(crate) use stretches::group;
use stretches::{Merged, Stretch, recurrences, stretches};

use crate::correlate::{self, Correlate};
use crate::kernels::epilogue::{Epilogue, mask_words};
use crate::kernels::{activations, loss, masks, normalize, pooling, standardize, sums};
use crate::layout::{Aligned, Slot, slots};
use crate::product::Products;
use crate::recurrence::{GROUP, Recurrence, Scratch, Stored};
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
    stretches: Vec<Stretch>,
    /// The part of the work that each window of a series has to itself, if they share any.
    sliding: Option<Sliding>,
    /// How often the kernels have been packed: which weights a value was computed with.
    packs: u64,
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
    /// A recurrence or its gradient.
    Recurrence(Recurrence),
}

/// The memory of a thread: the values of the samples that run at a time, unless they are kept from stretch to stretch; or
/// those of the last window of each phase, the newest first, if windows share values ([`sliding`]).
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) windows: Vec<Window>,
    pub(crate) scratch: Scratch,
}

/// The values and masks of one sample.
#[derive(Debug)]
pub(crate) struct Window {
    values: Vec<Aligned>,
    masks: Vec<Vec<u32>>,
    /// The packing of the kernels that inference computed the values with; 0 before the first.
    packs: u64,
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
            Instruction::RecurGradient { cell, trace, .. } => {
                let steps = program.values[trace.index()].steps;
                Some(Planned::Recurrence(Recurrence::gradient(simd, *cell, steps)))
            }
            _ => None,
        };
        let instructions = || program.lines.iter().map(|line| &line.instruction);
        let stretches = stretches(program);
        let mut contractions: Vec<_> = instructions().map(contraction).collect();
        for Merged { line, product, .. } in recurrences(&stretches) {
            if let Instruction::Recur { cell, trace, .. } = &program.lines[line].instruction {
                let inputs = product.map_or(0, |product| match &program.lines[product].instruction {
                    Instruction::Apply { geometry, .. } => geometry.in_channels,
                    other => unreachable!("no product: {other:?}"),
                });
                let steps = program.values[trace.index()].steps;
                contractions[line] =
                    Some(Planned::Recurrence(Recurrence::forward(simd, *cell, steps, inputs)));
            }
        }
        Self {
            contractions,
            fused: instructions().map(|instruction| fused(instruction.epilogue())).collect(),
            stretches,
            sliding: None,
            packs: 0,
            isa: Isa::new(simd).unwrap_or(Isa::PORTABLE),
            seed: plan.seed,
            slots,
            program: program.clone(),
            layout: plan.layout.clone(),
        }
    }

    /// The number of samples that run at a time, at most.
    pub(crate) fn group(&self) -> usize {
        group(&self.program)
    }

    /// The number of stretches: one more than there are barriers.
    pub(crate) fn stretches(&self) -> usize {
        self.stretches.len()
    }

    /// Room for the values of so many samples.
    pub(crate) fn windows(&self, samples: usize) -> Vec<Window> {
        let value = |(index, slot): (usize, &Slot)| {
            let room = self.sliding.as_ref().map_or(0, |sliding| sliding.room(index, slot));
            Aligned::with_room(slot.len(), slot.interior().start, room)
        };
        let window = |_| Window {
            values: self.slots.iter().enumerate().map(value).collect(),
            masks: self.program.masks.iter().map(|mask| vec![0; mask_words(mask.len)]).collect(),
            packs: 0,
        };
        (0..samples).map(window).collect()
    }

    pub(crate) fn workspace(&self) -> Workspace {
        let recurrences = self.contractions.iter().filter_map(|planned| match planned {
            Some(Planned::Recurrence(recurrence)) => Some(recurrence),
            _ => None,
        });
        let kept = self.stretches() > 1;
        let samples = self.period().unwrap_or(self.group());
        let windows = self.windows(if kept { 0 } else { samples });
        Workspace { windows, scratch: Scratch::new(recurrences) }
    }

    /// Packs the kernels. To be called whenever the weights have changed.
    pub(crate) fn pack(&mut self, weights: &[f32]) {
        self.packs += 1;
        let tensor = |kernel: &Weight| &weights[self.layout.tensors()[kernel.index()].range.clone()];
        for (line, contraction) in self.program.lines.iter().zip(&mut self.contractions) {
            match (&line.instruction, contraction) {
                (
                    Instruction::Apply { kernel, .. } | Instruction::ApplyTransposed { kernel, .. },
                    Some(Planned::Products(products)),
                ) => products.pack(tensor(kernel)),
                (Instruction::RecurGradient { kernel, .. }, Some(Planned::Recurrence(recurrence))) => {
                    recurrence.pack(tensor(kernel), &[]);
                }
                _ => {}
            }
        }
        for merged in recurrences(&self.stretches) {
            let (Instruction::Recur { kernel, .. }, Some(Planned::Recurrence(recurrence))) =
                (&self.program.lines[merged.line].instruction, &mut self.contractions[merged.line])
            else {
                continue;
            };
            let product = merged.product.map(|line| &self.program.lines[line].instruction);
            let input = match product {
                Some(Instruction::Apply { kernel, .. }) => tensor(kernel),
                _ => &[],
            };
            recurrence.pack(tensor(kernel), input);
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

    /// The model's prediction for a sample of the last run, by its index in the run.
    pub(crate) fn prediction<'a>(&self, workspace: &'a Workspace, sample: usize) -> &'a [f32] {
        self.value(&workspace.windows[sample], self.program.output)
    }

    /// A value without its margins.
    fn value<'a>(&self, window: &'a Window, value: Value) -> &'a [f32] {
        &window.values[value.index()][self.slots[value.index()].interior()]
    }

    /// The outputs of the layers, in order.
    pub(crate) fn layer_outputs(&self) -> &[Option<Value>] {
        &self.program.layer_outputs
    }

    /// Runs a stretch for samples that each have a window: at most [`group`](Executable::group) of them, of which `sample`
    /// gives each by its index. Adds to `gradient`, in a layout of its own ([`Executable::finish_gradient`]), and returns
    /// the sum of the samples' losses, or 0 in inference. Calls `clock` after each part.
    pub(crate) fn run<'a>(
        &self,
        stretch: usize,
        (windows, scratch): (&mut [Window], &mut Scratch),
        sample: impl Fn(usize) -> Sample<'a>,
        weights: &[f32],
        gradient: &mut [f32],
        clock: &mut impl Clock,
    ) -> f64 {
        let input = self.program.input.index();
        let mut loss = 0.0;
        for (number, segment) in self.stretches[stretch].segments.iter().enumerate() {
            for (index, window) in windows.iter_mut().enumerate() {
                let sample = sample(index);
                if (stretch, number) == (0, 0) {
                    window.values[input][self.slots[input].interior()].copy_from_slice(sample.x);
                    clock.lap(Part::Gather);
                }
                for line in &segment.lines {
                    loss += self.line(*line, None, window, &sample, weights, gradient);
                    clock.lap(Part::Line(*line));
                }
            }
            if let Some(recurrence) = segment.recurrence {
                self.recurrence(recurrence, windows, weights, scratch);
                clock.lap(Part::Line(recurrence.line));
            }
        }
        loss
    }

    /// The line of the barrier after a stretch; `None` after the last.
    pub(crate) fn barrier(&self, stretch: usize) -> Option<usize> {
        self.stretches[stretch].barrier
    }

    /// The longest value that samples meet with.
    pub(crate) fn longest_met(&self) -> usize {
        let met = self.program.lines.iter().filter(|line| line.instruction.is_barrier());
        let lengths =
            met.filter_map(|line| Some(self.program.values[line.instruction.stores()?.index()].len()));
        lengths.max().unwrap_or(0)
    }

    /// Runs a barrier for a batch, of whose samples `each` visits the windows in order; `sums` has room for the longest
    /// value that they meet with. Adds the changes of moving statistics to `changes`.
    ///
    /// Each sample brings two numbers for each channel, so this is short. It runs on one thread: the result does not depend
    /// on how the samples are divided among threads. Reference: [`glassbox_engine::reference::meet`].
    pub(crate) fn meet(
        &self,
        barrier: usize,
        mut each: impl FnMut(&mut dyn FnMut(&mut Window)),
        sums: &mut [f64],
        weights: &[f32],
        changes: &mut [f32],
    ) {
        let Instruction::Meet { meeting, x, y } = &self.program.lines[barrier].instruction else {
            unreachable!("a stretch ends with a barrier: {}", self.program.lines[barrier])
        };
        let channels = self.slots[x.index()].channels;
        let sums = &mut sums[..2 * channels];
        sums.fill(0.0);
        let mut count = 0.0;
        each(&mut |window| {
            count += 1.0;
            sums.iter_mut().zip(self.value(window, *x)).for_each(|(sum, x)| *sum += f64::from(*x));
        });
        sums.iter_mut().for_each(|sum| *sum /= count);
        if let Meeting::Moments { momentum, moving } = meeting {
            let (means, variances) = sums.split_at_mut(channels);
            each(&mut |window| {
                for ((variance, mean), x) in variances.iter_mut().zip(&*means).zip(self.value(window, *x)) {
                    let off = f64::from(*x) - mean;
                    *variance += off * off / count;
                }
            });
            let rest = (1.0 - momentum) as f32;
            for (statistic, moving) in sums.chunks(channels).zip(moving) {
                let (moving, change) = (self.tensor(*moving, weights), self.tensor_mut(*moving, changes));
                for ((s, w), dw) in statistic.iter().zip(moving).zip(change) {
                    *dw += rest * (*s as f32 - (w + *dw));
                }
            }
        }
        each(&mut |window| {
            let met = &mut window.values[y.index()][self.slots[y.index()].interior()];
            met.iter_mut().zip(&*sums).for_each(|(met, sum)| *met = *sum as f32);
        });
    }

    /// Runs one line for one sample, for some rows of what it stores or for all.
    fn line(
        &self,
        index: usize,
        rows: Option<Range<usize>>,
        window: &mut Window,
        sample: &Sample<'_>,
        weights: &[f32],
        gradient: &mut [f32],
    ) -> f64 {
        let instruction = &self.program.lines[index].instruction;
        if let Instruction::Draw { mask } = instruction {
            let spec = self.program.masks[mask.index()];
            let at = MaskAt { mask: mask.index(), ..sample.at };
            let words = &mut window.masks[mask.index()];
            masks::draw(self.isa, self.seed, at, spec.rate, spec.drawn, words);
            masks::repeat(spec.drawn, spec.len, words);
            return 0.0;
        }
        // The stored value is taken out while the others are read, because it is never among them.
        let stored = instruction.stores();
        let mut values = stored.map(|y| std::mem::take(&mut window.values[y.index()]));
        let y = match (stored, &mut values) {
            (Some(y), Some(values)) => &mut values[self.slots[y.index()].interior()],
            _ => &mut [],
        };
        let loss = self.instruction(index, window, sample, weights, gradient, (rows, y));
        if let (Some(stored), Some(values)) = (stored, values) {
            window.values[stored.index()] = values;
        }
        loss
    }

    /// Runs a recurrence, or its gradient, for all samples at a time.
    fn recurrence(&self, merged: Merged, windows: &mut [Window], weights: &[f32], scratch: &mut Scratch) {
        let instruction = |line: usize| &self.program.lines[line].instruction;
        let last = instruction(merged.hidden.unwrap_or(merged.line));
        let (Some(y), Some(Planned::Recurrence(recurrence))) =
            (last.stores(), &self.contractions[merged.line])
        else {
            unreachable!("segments end with recurrences: {last:?}")
        };
        let (y, samples) = (y.index(), windows.len());
        let mut stored: [Aligned; GROUP] = Default::default();
        for (stored, window) in stored.iter_mut().zip(windows.iter_mut()) {
            *stored = std::mem::take(&mut window.values[y]);
        }
        let mut rows: [&mut [f32]; GROUP] = Default::default();
        for (rows, stored) in rows.iter_mut().zip(&mut stored[..samples]) {
            *rows = &mut stored[self.slots[y].interior()];
        }
        let rows = &mut rows[..samples];
        let read = |value: &Value| {
            let mut read: [&[f32]; GROUP] = Default::default();
            for (read, window) in read.iter_mut().zip(windows.iter()) {
                *read = self.value(window, *value);
            }
            read
        };
        match instruction(merged.line) {
            Instruction::Recur { bias, z, .. } => {
                let (z, bias) = match merged.product.map(instruction) {
                    Some(Instruction::Apply { x, epilogue, .. }) => match epilogue[..] {
                        [Pointwise::AddBias(bias)] => (x, Some(bias)),
                        _ => (x, None),
                    },
                    _ => (z, *bias),
                };
                let bias = bias.map_or(&[][..], |bias| self.tensor(bias, weights));
                let stored = match merged.hidden {
                    Some(_) => Stored::Hidden(rows),
                    None => Stored::Traces(rows),
                };
                recurrence.run(bias, &read(z)[..samples], stored, scratch);
            }
            Instruction::RecurGradient { trace, dh, .. } => {
                let (traces, dh) = (read(trace), read(dh));
                recurrence.run_gradient(&traces[..samples], &dh[..samples], rows, scratch);
            }
            other => unreachable!("planned as a recurrence: {other:?}"),
        }
        for (stored, window) in stored.into_iter().zip(windows) {
            window.values[y] = stored;
        }
    }

    /// Runs one instruction. `stored` is the value that it stores, without margins. `rows` are those to compute, of an
    /// instruction that computes each row on its own ([`sliding`]); else all.
    fn instruction(
        &self,
        index: usize,
        window: &Window,
        sample: &Sample<'_>,
        weights: &[f32],
        gradient: &mut [f32],
        (rows, stored): (Option<Range<usize>>, &mut [f32]),
    ) -> f64 {
        let padded = |value: &Value| &window.values[value.index()][..];
        let interior = |value: &Value| self.value(window, *value);
        let matrix = |value: &Value| {
            let slot = self.slots[value.index()];
            ArrayView2::from_shape((slot.steps, slot.channels), interior(value))
                .expect("a slot has its shape")
        };
        let instruction = &self.program.lines[index].instruction;
        let part = match (&rows, instruction.stores()) {
            (Some(rows), Some(y)) => {
                let channels = self.slots[y.index()].channels;
                rows.start * channels..rows.end * channels
            }
            _ => 0..stored.len(),
        };
        match (instruction, &self.contractions[index]) {
            (
                Instruction::Apply { x, epilogue, .. } | Instruction::ApplyTransposed { x, epilogue, .. },
                Some(Planned::Products(products)),
            ) => {
                let (fused, rest) = epilogue.split_at(self.fused[index]);
                products.run(rows, padded(x), stored, &self.fuse(fused, window, weights));
                self.passes(rest, window, weights, &mut stored[part]);
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
                let stored = &mut stored[part.clone()];
                stored.copy_from_slice(&interior(x)[part]);
                self.passes(epilogue, window, weights, stored);
            }
            (Instruction::Add { a, b, .. }, _) => {
                let (a, b) = (&interior(a)[part.clone()], &interior(b)[part.clone()]);
                for ((y, a), b) in stored[part].iter_mut().zip(a).zip(b) {
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
                let (a, b) = (&interior(a)[part.clone()], &interior(b)[part.clone()]);
                for ((y, a), b) in stored[part].iter_mut().zip(a).zip(b) {
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
            (Instruction::Moments { x, .. }, _) => standardize::moments(self.isa, interior(x), stored),
            (Instruction::Standardize { epsilon, statistics, x, .. }, _) => {
                let statistics = match statistics {
                    Statistics::Batch(value) => {
                        let (mean, variance) = interior(value).split_at(self.slots[x.index()].channels);
                        [mean, variance]
                    }
                    Statistics::Moving(moving) => moving.map(|weight| self.tensor(weight, weights)),
                };
                standardize::standardize(self.isa, *epsilon, statistics, interior(x), stored);
            }
            (Instruction::GradientMeans { y, dy, .. }, _) => {
                standardize::gradient_means(self.isa, interior(y), interior(dy), stored);
            }
            (Instruction::StandardizeGradient { epsilon, statistics, means, y, dy, .. }, _) => {
                let (_, variance) = interior(statistics).split_at(self.slots[y.index()].channels);
                let (statistics, values) = ((variance, interior(means)), [interior(y), interior(dy)]);
                standardize::gradient(self.isa, *epsilon, statistics, values, stored);
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
                | Instruction::Correlate { .. }
                | Instruction::Recur { .. }
                | Instruction::RecurGradient { .. }
                | Instruction::Meet { .. },
                _,
            ) => unreachable!("has a path of its own, or was planned as the contraction that it is"),
        }
        0.0
    }

    /// The part of an epilogue that the contraction applies.
    fn fuse<'a>(&self, ops: &[Pointwise], window: &'a Window, weights: &'a [f32]) -> Epilogue<'a> {
        let mut epilogue = Epilogue::default();
        for op in ops {
            match op {
                Pointwise::AddBias(bias) => epilogue.bias = Some(self.tensor(*bias, weights)),
                Pointwise::Scale(_) => unreachable!("no part of it: see `fused`"),
                Pointwise::Activation(_) => epilogue.relu = true,
                Pointwise::Dropout(mask) => {
                    let rate = self.program.masks[mask.index()].rate;
                    let scale = (1.0 / (1.0 - rate)) as f32;
                    epilogue.dropout = Some((&window.masks[mask.index()], scale));
                }
                Pointwise::ActivationGradient(_, gate) => {
                    epilogue.gate = Some(self.value(window, *gate));
                }
            }
        }
        epilogue
    }

    fn passes(&self, ops: &[Pointwise], window: &Window, weights: &[f32], y: &mut [f32]) {
        for op in ops {
            match op {
                Pointwise::Scale(factors) => passes::scale(y, self.tensor(*factors, weights)),
                Pointwise::AddBias(bias) => passes::add_bias(y, self.tensor(*bias, weights)),
                Pointwise::Activation(activation) => activations::apply(self.isa, *activation, y),
                Pointwise::Dropout(mask) => {
                    let rate = self.program.masks[mask.index()].rate;
                    passes::dropout(y, &window.masks[mask.index()], rate);
                }
                Pointwise::ActivationGradient(activation, at) => {
                    activations::gradient(self.isa, *activation, self.value(window, *at), y);
                }
            }
        }
    }

    fn tensor<'a>(&self, weight: Weight, weights: &'a [f32]) -> &'a [f32] {
        &weights[self.layout.tensors()[weight.index()].range.clone()]
    }

    fn tensor_mut<'a>(&self, weight: Weight, weights: &'a mut [f32]) -> &'a mut [f32] {
        &mut weights[self.layout.tensors()[weight.index()].range.clone()]
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
        let run = (&mut workspace.windows[..1], &mut workspace.scratch);
        self.run(0, run, |_| Sample::inference(sample), weights, &mut [], &mut NoClock);
        for (layer, value) in self.layer_outputs().iter().enumerate() {
            if let Some(value) = value {
                visit(layer, self.value(&workspace.windows[0], *value));
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
