//! Windows of a series, one after the other, where each computes only what it does not share with those before.
//!
//! [`Overlap`] tells what windows share. The values of window w lie in memory as those of any sample. For window
//! w + period, each shared value slides along its buffer by as many steps as it shifts: what is inside of both windows is
//! then in its place. The lines of the program run for the first and the last steps only, and overwrite there what
//! belonged to window w. Last, the margins are zeros again, because other steps have slid into them:
//!
//! ```text
//!   window w            0 0 * o o o o o o o o * * 0         o  inside: depends on no padding
//!   slides by 2 steps       0 0 * o o o o o o * * * * 0     *  computed for this window
//! ```
//!
//! Each step is summed in the same order as in a window by itself, so the bits are the same. Lines whose rows cannot be
//! computed apart run for all steps. The windows of each phase, `start mod period`, are a chain of their own, and the
//! first window of a chain runs whole.
//!
//! A thread keeps the last window of each phase. So a live series, whose windows come one by one, costs its new ends only.
//! Nobody has to say that a window goes on from one before: its input tells.

use std::ops::Range;

use glassbox_engine::model::WeightLayout;
use glassbox_engine::profile::NoClock;
use glassbox_engine::program::{Instruction, Overlap, Pointwise};

use super::{Executable, Planned, Sample, Window, Workspace};
use crate::layout::Slot;

/// Slides between two moves of a value back to the start of its buffer.
const SLIDES: usize = 32;
/// The longest period: each thread keeps the values of so many windows.
pub(crate) const LONGEST_PERIOD: usize = 64;

/// The work that a window has to itself.
#[derive(Debug)]
pub(super) struct Sliding {
    period: usize,
    /// For each value, the number of steps that it slides; 0 if all of its steps are computed again.
    shifts: Vec<usize>,
    /// For each line, the rows that it computes, in two parts.
    rows: Vec<[Range<usize>; 2]>,
}

impl Sliding {
    /// The number of values after the slot of a value that it slides over: no more than the value has itself, unless a
    /// single slide is longer.
    pub(super) fn room(&self, value: usize, slot: &Slot) -> usize {
        let shift = self.shifts[value];
        let slides = SLIDES.min(slot.steps / shift.max(1)).max(1);
        slides * shift * slot.channels
    }
}

impl Executable {
    /// Lets the windows of a series share what they can, if that saves at least a quarter of the work.
    pub(crate) fn sharing_overlaps(mut self, layout: &WeightLayout) -> Self {
        let apart = self.group() == 1 && self.stretches() == 1;
        let steps = self.slots[self.program.input.index()].steps;
        let short = |overlap: &Overlap| overlap.period <= LONGEST_PERIOD.min(steps);
        let overlap = self.program.overlap().filter(|overlap| apart && short(overlap));
        self.sliding = overlap.and_then(|overlap| self.sliding(&overlap, layout));
        self
    }

    fn sliding(&self, overlap: &Overlap, layout: &WeightLayout) -> Option<Sliding> {
        let mut shifts = vec![0; self.slots.len()];
        let mut rows = vec![];
        let (mut own, mut whole) = (0.0, 0.0);
        for (index, (line, cost)) in
            self.program.lines.iter().zip(self.program.costs(layout, size_of::<f32>())).enumerate()
        {
            let y = line.instruction.stores()?;
            let steps = self.slots[y.index()].steps;
            let mut parts = [0..steps, steps..steps];
            if let (Some([start, end]), true) = (overlap.new_steps(y), computes_rows(&line.instruction)) {
                let closed = |rows: Range<usize>| match &self.contractions[index] {
                    Some(Planned::Products(products)) => products.whole_blocks(rows),
                    _ => rows,
                };
                let [first, last] = [closed(0..start), closed(end..steps)];
                if first.end < last.start {
                    shifts[y.index()] = overlap.values[y.index()].as_ref()?.shift;
                    parts = [first, last];
                }
            }
            if let Some(Planned::Products(products)) = &self.contractions[index]
                && overlap.values[y.index()].is_some()
                && !products.is_uniform()
            {
                return None;
            }
            let flops = cost.flops() as f64;
            whole += flops;
            own += flops * (parts[0].len() + parts[1].len()) as f64 / steps as f64;
            rows.push(parts);
        }
        (own <= 0.75 * whole).then_some(Sliding { period: overlap.period, shifts, rows })
    }

    /// The number of rows between two windows that share values; `None` if windows run one by one.
    pub(crate) fn period(&self) -> Option<usize> {
        self.sliding.as_ref().map(|sliding| sliding.period)
    }

    /// Runs inference for a window of a series, whose values the first of `windows` then has: whole, or only what is its own
    /// if it starts one period after one of them.
    ///
    /// # Panics
    /// If windows share nothing.
    pub(crate) fn follow(&self, workspace: &mut Workspace, x: &[f32], weights: &[f32]) {
        let Workspace { windows, scratch } = workspace;
        let (input, sliding) = (self.program.input.index(), self.sliding.as_ref().expect("shared values"));
        let (interior, hop) = (self.slots[input].interior(), sliding.period * self.slots[input].channels);
        let before = windows.iter().position(|window| {
            window.packs == self.packs && window.values[input][interior.clone()][hop..] == x[..x.len() - hop]
        });
        windows[..=before.unwrap_or(sliding.period - 1)].rotate_right(1);
        if before.is_some() {
            self.slide(&mut windows[0], x, weights);
        } else {
            let run = (&mut windows[..1], scratch);
            self.run(0, run, |_| Sample::inference(x), weights, &mut [], &mut NoClock);
            windows[0].packs = self.packs;
        }
    }

    /// Runs inference for the window that starts one period after the one that `window` has the values of.
    fn slide(&self, window: &mut Window, x: &[f32], weights: &[f32]) {
        let Some(Sliding { shifts, rows, .. }) = &self.sliding else { return };
        let slides = window.values.iter_mut().zip(shifts).zip(&self.slots);
        for ((values, shift), slot) in slides.filter(|((_, shift), _)| **shift > 0) {
            values.slide(shift * slot.channels);
            let interior = slot.interior();
            values[..interior.start].fill(0.0);
            values[interior.end..].fill(0.0);
        }
        let input = self.program.input.index();
        window.values[input][self.slots[input].interior()].copy_from_slice(x);
        for (line, parts) in rows.iter().enumerate() {
            for rows in parts.iter().filter(|rows| !rows.is_empty()) {
                self.line(line, Some(rows.clone()), window, &Sample::inference(x), weights, &mut []);
            }
        }
    }
}

/// Returns true if an instruction can compute some rows and leave the others: there is no function among its epilogue
/// that needs to know the place of an element.
fn computes_rows(instruction: &Instruction) -> bool {
    let of_rows = matches!(
        instruction,
        Instruction::Apply { .. }
            | Instruction::ApplyTransposed { .. }
            | Instruction::Map { .. }
            | Instruction::Add { .. }
            | Instruction::Multiply { .. }
    );
    let of_elements =
        |op: &Pointwise| matches!(op, Pointwise::Scale(_) | Pointwise::AddBias(_) | Pointwise::Activation(_));
    of_rows && instruction.epilogue().iter().all(of_elements)
}

#[cfg(test)]
mod tests {
    use glassbox_engine::activations::Activation;
    use glassbox_engine::geometry::Padding;
    use glassbox_engine::layers::{Conv1D, Conv1DTranspose};
    use glassbox_engine::losses::Loss;
    use glassbox_engine::model::Sequential;
    use glassbox_engine::optimizers::Optimizer;

    use super::*;
    use crate::simd::Simd;

    /// Tests elsewhere show that sharing changes no bit. This one shows that they are about something.
    #[test]
    fn windows_of_the_tutorial_compute_a_seventh_of_their_rows() {
        let mut model = Sequential::new((288, 1));
        let conv = |n| Conv1D::new(n, 7).strides(2).padding(Padding::Same).activation(Activation::Relu);
        let back =
            |n| Conv1DTranspose::new(n, 7).strides(2).padding(Padding::Same).activation(Activation::Relu);
        model.add(conv(32)).unwrap().add(conv(16)).unwrap().add(back(16)).unwrap().add(back(32)).unwrap();
        model.add(Conv1DTranspose::new(1, 7).padding(Padding::Same)).unwrap();
        let plan = model.plan(Loss::MeanSquaredError, Optimizer::default(), 1, 32).unwrap();
        for simd in Simd::under_test().unwrap() {
            let executable = Executable::new(&plan.inference, &plan, simd).sharing_overlaps(&plan.layout);
            let Some(sliding) = &executable.sliding else {
                assert_eq!(simd, Simd::MatrixMultiply, "its sums have an order of their own");
                continue;
            };
            let rows: usize = sliding.rows.iter().flatten().map(Range::len).sum();
            let all: usize = [144, 72, 144, 288, 288].iter().sum();
            assert!(7 * rows < all && sliding.period == 4, "{simd}: {rows} of {all} rows");
        }
    }
}
