//! Layout of the values of a sample.
//!
//! A contraction reads its operand as if there were zeros before and after it, so the zeros are stored: every value has
//! a slot with as many zero rows on either side as its readers need. They are written once, when the slot is allocated,
//! and never overwritten.

use std::ops::{Deref, DerefMut};

use glassbox_engine::geometry::{Geometry, GeometrySpec};
use glassbox_engine::program::{Instruction, Program, Value};

/// The place of a value in memory: zero rows, the value's own rows, zero rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Steps of the value.
    pub(crate) steps: usize,
    /// Number of channels.
    pub(crate) channels: usize,
    /// Zero rows before the first step.
    pub(crate) left: usize,
    /// Zero rows after the last one.
    pub(crate) right: usize,
}

impl Slot {
    /// The number of values, with the zeros. The sum does not overflow, because each side of a [`Geometry`] is at most
    /// an eighth of the range of `usize`.
    pub(crate) fn len(&self) -> usize {
        (self.left + self.steps + self.right) * self.channels
    }

    /// The value without its margins.
    pub(crate) fn interior(&self) -> std::ops::Range<usize> {
        let start = self.left * self.channels;
        start..start + self.steps * self.channels
    }
}

/// The number of values in all slots of a program, or `None` if it overflows.
pub(crate) fn padded_len(program: &Program) -> Option<usize> {
    slots(program).iter().try_fold(0usize, |sum, slot| sum.checked_add(slot.len()))
}

/// The slots of all values of a program.
pub(crate) fn slots(program: &Program) -> Vec<Slot> {
    let mut slots: Vec<Slot> = program
        .values
        .iter()
        .map(|shape| Slot { steps: shape.steps, channels: shape.channels, left: 0, right: 0 })
        .collect();
    let mut ask = |value: Value, left: usize, right: usize| {
        let slot = &mut slots[value.index()];
        slot.left = slot.left.max(left);
        slot.right = slot.right.max(right);
    };
    for line in &program.lines {
        match &line.instruction {
            Instruction::Apply { geometry, x, .. } | Instruction::Correlate { geometry, x, .. } => {
                ask(*x, geometry.pad_left, geometry.pad_right());
            }
            Instruction::ApplyTransposed { geometry, x, .. } => {
                let (left, right) = transposed_margins(geometry);
                ask(*x, left, right);
            }
            _ => {}
        }
    }
    slots
}

/// A set of rows on A's input side that meet the same taps.
///
/// With `u = i + pad_left`, row i meets the taps k for which `k dilation = u - t stride` for some t. So all rows
/// with the same `u mod stride` meet the same taps, and among these rows A^T is an ordinary convolution with stride
/// 1: from one row to the next, `stride` rows further on, each tap meets the next t. The distance in t between two
/// neighbouring taps is constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phase {
    /// Its taps, starting with the one that meets the earliest t; empty if the kernel is too short to reach the rows.
    pub(crate) taps: Vec<usize>,
    /// The t that the first row meets at the first of these taps. There are zeros before t = 0 and past the end.
    pub(crate) start: isize,
    /// Distance in t between two neighbouring taps.
    pub(crate) apart: usize,
    /// Its first row i.
    pub(crate) row: usize,
    /// The number of its rows, `stride` apart.
    pub(crate) rows: usize,
}

/// The phases of a geometry that have any rows.
pub(crate) fn phases(geometry: &Geometry) -> Vec<Phase> {
    let GeometrySpec { in_steps, stride, dilation, pad_left, .. } = **geometry;
    let phase = |(row, taps): (usize, Vec<usize>)| {
        let u = row + pad_left;
        let t = |tap: usize| (u as isize - (tap * dilation) as isize) / stride as isize;
        let start = taps.first().map_or(0, |tap| t(*tap));
        let apart = if taps.len() < 2 { 1 } else { (t(taps[1]) - start) as usize };
        Phase { taps, start, apart, row, rows: (in_steps - row).div_ceil(stride) }
    };
    geometry.taps_by_phase().into_iter().enumerate().map(phase).collect()
}

/// Number of zero rows before and after x that `y = A^T x` reads.
pub(crate) fn transposed_margins(geometry: &Geometry) -> (usize, usize) {
    let phases = phases(geometry).into_iter().filter(|phase| !phase.taps.is_empty());
    phases.fold((0, 0), |(left, right), phase| {
        let last = phase.start + ((phase.taps.len() - 1) * phase.apart + phase.rows - 1) as isize;
        let after = last + 1 - geometry.out_steps as isize;
        (left.max((-phase.start).max(0) as usize), right.max(after.max(0) as usize))
    })
}

/// A contiguous buffer of values, initially zero, of which a given one starts a cache line. Whole vectors that are
/// loaded from there then take one access each instead of two. It is a view of a longer buffer, along which it can
/// slide.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    values: Vec<f32>,
    /// The first value at the start, and now.
    start: usize,
    first: usize,
    len: usize,
}

/// Values in a cache line.
const LINE: usize = 16;

impl Aligned {
    /// Allocates `len` zeros, of which number `at` starts a cache line.
    pub(crate) fn zeros(len: usize, at: usize) -> Self {
        Self::with_room(len, at, 0)
    }

    /// The same, with `room` values after the buffer to [slide](Aligned::slide) over.
    pub(crate) fn with_room(len: usize, at: usize, room: usize) -> Self {
        let values = vec![0.0; len + room + 2 * LINE];
        // Offset of value 0 within a line, such that `at` starts one.
        let wanted = (LINE - at % LINE) % LINE;
        let found = values.as_ptr() as usize / size_of::<f32>() % LINE;
        let start = (wanted + LINE - found) % LINE;
        Self { values, start, first: start, len }
    }

    /// Slides the view by `by` values, no more than its room: its first `by` values leave, and as many undefined ones
    /// follow its last. At the end of the room everything is moved back to the start.
    pub(crate) fn slide(&mut self, by: usize) {
        if self.first + by + self.len > self.values.len() {
            self.values.copy_within(self.first..self.first + self.len, self.start);
            self.first = self.start;
        }
        self.first += by;
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.first..][..self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.first..][..self.len]
    }
}
