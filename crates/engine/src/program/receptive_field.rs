//! Receptive fields: the input steps that an output step depends on.

use std::collections::HashMap;
use std::ops::Range;

use super::{Instruction, Pooling, Program, Statistics, Value};
use crate::geometry::Geometry;
use crate::index_map::Run;
use crate::shape::Shape;

impl Program {
    /// The receptive field of step `step` of `value`: the smallest range of input steps such that a change of the
    /// sample outside of it cannot change that step, for any weights. Empty if the step depends on no input step.
    ///
    /// The program is read backwards. A contraction maps a step to the steps that its geometry connects it with, a
    /// function of single elements or an index map maps an element to elements, and a user's operation may read all of
    /// its input. For convolutions of k taps with strides s only, the length is the well-known
    /// `1 + sum over layers of (k - 1) (product of the strides before)` (Araujo, Norris and Sim, *Computing
    /// receptive fields of convolutional neural networks*, Distill 2019). A transposed convolution widens it by less,
    /// and the ends of the signal cut it off.
    ///
    /// ```
    /// # use glassbox_engine::{geometry::Padding, layers::Conv1D, model::Sequential, shape::Shape};
    /// let mut model = Sequential::new(Shape::new(20, 1));
    /// model.add(Conv1D::new(1, 3).padding(Padding::Same))?;
    /// model.add(Conv1D::new(1, 3).padding(Padding::Same))?;
    /// let program = model.inference_program();
    /// assert_eq!(program.receptive_field(program.output, 10), 8..13);
    /// assert_eq!(program.receptive_field(program.output, 0), 0..3);
    /// # Ok::<(), glassbox_engine::Error>(())
    /// ```
    ///
    /// # Panics
    /// If `value` has no such step.
    #[must_use]
    pub fn receptive_field(&self, value: Value, step: usize) -> Range<usize> {
        assert!(step < self.values[value.0].steps, "step {step} of {}", self.values[value.0]);
        // Elements and not ranges of steps: a stride longer than its kernel skips steps, and a signal may be reshaped. What
        // those depend on must not count.
        let shape = self.values[value.0];
        let start = (0..shape.len()).map(|element| element / shape.channels == step).collect::<Vec<bool>>();
        let mut needed = HashMap::from([(value, start)]);
        for line in self.lines.iter().rev() {
            let stored = line.instruction.stores().and_then(|stored| needed.get(&stored).cloned());
            let Some(stored) = stored else { continue };
            for read in line.instruction.reads() {
                let elements = self.elements_read(&line.instruction, read, &stored);
                let before = needed.entry(read).or_insert_with(|| vec![false; elements.len()]);
                before.iter_mut().zip(elements).for_each(|(before, element)| *before |= element);
            }
        }
        let input = needed.remove(&self.input).unwrap_or_default();
        let channels = self.values[self.input.0].channels;
        let bounds = input.iter().position(|needed| *needed).zip(input.iter().rposition(|needed| *needed));
        bounds.map_or(0..0, |(first, last)| first / channels..last / channels + 1)
    }

    /// The elements of `read` that `instruction` needs to compute the elements `stored` of its result.
    fn elements_read(&self, instruction: &Instruction, read: Value, stored: &[bool]) -> Vec<bool> {
        let mut elements = vec![false; self.values[read.0].len()];
        match instruction {
            Instruction::Apply { geometry, x, .. } if *x == read => {
                let steps = in_steps(geometry, &any_of_step(stored, geometry.out_channels));
                all_of_step(&steps, geometry.in_channels)
            }
            Instruction::ApplyTransposed { geometry, x, .. } if *x == read => {
                let steps = out_steps(geometry, &any_of_step(stored, geometry.in_channels));
                all_of_step(&steps, geometry.out_channels)
            }
            Instruction::IndexMap { map, inputs, .. } => {
                for Run { from, to, len, .. } in map.runs().filter(|run| inputs[run.input] == read) {
                    (0..len).for_each(|n| elements[from + n] |= stored[to + n]);
                }
                elements
            }
            Instruction::IndexMapTransposed { map, input, .. } => {
                for Run { from, to, len, .. } in map.runs_of(*input) {
                    (0..len).for_each(|n| elements[to + n] |= stored[from + n]);
                }
                elements
            }
            Instruction::Pool { geometry, x, .. } if *x == read => {
                each_channel(stored, geometry.in_channels, |stored| in_steps(geometry, stored))
            }
            Instruction::PoolGradient { geometry, dy, .. } if *dy == read => {
                each_channel(stored, geometry.in_channels, |stored| out_steps(geometry, stored))
            }
            // Which input step of a window has the maximum depends on all of them.
            Instruction::PoolGradient { pooling: Pooling::Max, geometry, .. } => {
                let window = |stored: &[bool]| in_steps(geometry, &out_steps(geometry, stored));
                each_channel(stored, geometry.in_channels, window)
            }
            // The moments are those of the channels of a step.
            Instruction::Normalize { .. } | Instruction::NormalizeGradient { .. } => {
                let channels = self.values[read.0].channels;
                all_of_step(&any_of_step(stored, channels), channels)
            }
            // The statistics are those of a channel at all steps. Those of the batch depend on other samples too.
            Instruction::Standardize { statistics: Statistics::Batch(statistics), .. }
            | Instruction::StandardizeGradient { statistics, .. }
                if *statistics == read =>
            {
                of_channels(stored, self.values[read.0])
            }
            Instruction::StandardizeGradient { means, .. } if *means == read => {
                of_channels(stored, self.values[read.0])
            }
            Instruction::Moments { .. } | Instruction::Meet { .. } | Instruction::GradientMeans { .. } => {
                of_channels(stored, self.values[read.0])
            }
            // A state depends on all steps before it.
            Instruction::Recur { cell, .. } => {
                let steps = stored
                    .iter()
                    .rposition(|stored| *stored)
                    .map_or(0, |last| last / cell.trace_channels() + 1);
                let len = elements.len().min(steps * cell.columns());
                elements[..len].fill(true);
                elements
            }
            Instruction::RecurGradient { .. }
            | Instruction::Custom { .. }
            | Instruction::CustomGradient { .. } => {
                elements.fill(true);
                elements
            }
            // Element by element, including the gate of a contraction's epilogue.
            _ => stored.to_vec(),
        }
    }
}

/// The steps of which any element is among `elements`.
fn any_of_step(elements: &[bool], channels: usize) -> Vec<bool> {
    elements.chunks(channels).map(|step| step.contains(&true)).collect()
}

/// All elements of a signal whose channels are among `elements`.
fn of_channels(elements: &[bool], shape: Shape) -> Vec<bool> {
    let channel = |c: usize| elements.iter().skip(c).step_by(shape.channels).any(|needed| *needed);
    let channels: Vec<bool> = (0..shape.channels).map(channel).collect();
    channels.repeat(shape.steps)
}

/// All elements of `steps`.
fn all_of_step(steps: &[bool], channels: usize) -> Vec<bool> {
    steps.iter().flat_map(|step| std::iter::repeat_n(*step, channels)).collect()
}

/// The elements that a function of the steps of one channel gives for each channel.
fn each_channel(elements: &[bool], channels: usize, steps: impl Fn(&[bool]) -> Vec<bool>) -> Vec<bool> {
    let column = |c: usize| elements.iter().skip(c).step_by(channels).copied().collect::<Vec<bool>>();
    let columns: Vec<Vec<bool>> = (0..channels).map(|c| steps(&column(c))).collect();
    (0..columns[0].len()).flat_map(|t| columns.iter().map(move |column| column[t])).collect()
}

/// The input steps of A that its output steps `out` read.
fn in_steps(geometry: &Geometry, out: &[bool]) -> Vec<bool> {
    let mut steps = vec![false; geometry.in_steps];
    for t in (0..geometry.out_steps).filter(|t| out[*t]) {
        (0..geometry.taps).filter_map(|tap| geometry.in_step(t, tap)).for_each(|i| steps[i] = true);
    }
    steps
}

/// The output steps of A that read one of its input steps `input`.
fn out_steps(geometry: &Geometry, input: &[bool]) -> Vec<bool> {
    let reads = |t| (0..geometry.taps).any(|tap| geometry.in_step(t, tap).is_some_and(|step| input[step]));
    (0..geometry.out_steps).map(reads).collect()
}
