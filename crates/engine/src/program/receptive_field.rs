//! Receptive fields: the input steps that an output step depends on.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::{Instruction, Pooling, Program, Value};
use crate::geometry::Geometry;
use crate::index_map::Run;

impl Program {
    /// The receptive field of step `step` of `value`: the smallest range of input steps such that a change of the
    /// sample outside of it cannot change that step, for any weights. Empty if the step depends on no input step.
    ///
    /// The program is read backwards. A contraction maps a step to the steps that its geometry connects it with, a
    /// function of single elements maps a step to itself, and a user's operation may read all of its input. For
    /// convolutions of k taps with strides s only, the length is the well-known
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
        // Sets and not ranges: a stride longer than its kernel skips steps, and what those depend on must not count.
        let mut needed = HashMap::from([(value, BTreeSet::from([step]))]);
        for line in self.lines.iter().rev() {
            let stored = line.instruction.stores().and_then(|stored| needed.get(&stored).cloned());
            let Some(stored) = stored else { continue };
            for read in line.instruction.reads() {
                let steps = self.steps_read(&line.instruction, read, &stored);
                needed.entry(read).or_default().extend(steps);
            }
        }
        let steps = needed.remove(&self.input).unwrap_or_default();
        steps.first().zip(steps.last()).map_or(0..0, |(first, last)| *first..last + 1)
    }

    /// The steps of `read` that `instruction` needs to compute the steps `stored` of its result.
    fn steps_read(
        &self,
        instruction: &Instruction,
        read: Value,
        stored: &BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        match instruction {
            Instruction::Apply { geometry, x, .. } | Instruction::Pool { geometry, x, .. } if *x == read => {
                in_steps(geometry, stored)
            }
            Instruction::ApplyTransposed { geometry, x, .. } if *x == read => out_steps(geometry, stored),
            Instruction::IndexMap { map, inputs, y } => {
                let runs = map.runs().filter(|run| inputs[run.input] == read);
                let [from, to] = [read, *y].map(|value| self.values[value.0].channels);
                steps_met(runs.map(|Run { from, to, len, .. }| (to, from, len)), to, from, stored)
            }
            Instruction::IndexMapTransposed { map, input, dx, .. } => {
                let [from, to] = [*dx, read].map(|value| self.values[value.0].channels);
                let runs = map.runs_of(*input);
                steps_met(runs.map(|Run { from, to, len, .. }| (from, to, len)), from, to, stored)
            }
            Instruction::PoolGradient { geometry, dy, .. } if *dy == read => out_steps(geometry, stored),
            // Which input step of a window has the maximum depends on all of them.
            Instruction::PoolGradient { pooling: Pooling::Max, geometry, .. } => {
                in_steps(geometry, &out_steps(geometry, stored))
            }
            Instruction::Custom { .. } | Instruction::CustomGradient { .. } => {
                (0..self.values[read.0].steps).collect()
            }
            // Element by element, including the gate of a contraction's epilogue.
            _ => stored.clone(),
        }
    }
}

/// The steps of a signal of `there` channels whose elements are among the steps `stored` of a signal of `here` channels.
/// Runs are (element here, element there, length).
fn steps_met(
    runs: impl Iterator<Item = (usize, usize, usize)>,
    here: usize,
    there: usize,
    stored: &BTreeSet<usize>,
) -> BTreeSet<usize> {
    let of_run = |(at_here, at_there, len): (usize, usize, usize)| {
        let met = (0..len).filter(|n| stored.contains(&((at_here + n) / here)));
        met.map(|n| (at_there + n) / there).collect::<BTreeSet<usize>>()
    };
    runs.flat_map(of_run).collect()
}

/// The input steps of A that its output steps `out` read.
fn in_steps(geometry: &Geometry, out: &BTreeSet<usize>) -> BTreeSet<usize> {
    out.iter().flat_map(|t| (0..geometry.taps).filter_map(|tap| geometry.in_step(*t, tap))).collect()
}

/// The output steps of A that read one of its input steps `input`.
fn out_steps(geometry: &Geometry, input: &BTreeSet<usize>) -> BTreeSet<usize> {
    let reads = |t: &usize| {
        (0..geometry.taps).any(|tap| geometry.in_step(*t, tap).is_some_and(|step| input.contains(&step)))
    };
    (0..geometry.out_steps).filter(reads).collect()
}
