//! Where the values of a sample lie.
//!
//! A contraction reads its operand as if zeros stood before and after it. So they do: every value has a
//! slot with as many zero rows on either side as its readers ask for. They are written once, when the
//! slot is made, and never again.

use glassbox_engine::geometry::Geometry;
use glassbox_engine::program::{Instruction, Program, Value};

/// A value's place: zero rows, the value's own rows, zero rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Steps of the value.
    pub(crate) steps: usize,
    /// Values in a step.
    pub(crate) channels: usize,
    /// Zero rows before the first step.
    pub(crate) left: usize,
    /// Zero rows after the last one.
    pub(crate) right: usize,
}

impl Slot {
    /// The number of values, zeros included.
    pub(crate) fn len(&self) -> usize {
        (self.left + self.steps + self.right) * self.channels
    }

    /// The value without its margins.
    pub(crate) fn interior(&self) -> std::ops::Range<usize> {
        let start = self.left * self.channels;
        start..start + self.steps * self.channels
    }
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
            Instruction::ApplyTransposed { geometry, x, .. } if geometry.dilation == 1 => {
                for phase in phases(geometry) {
                    ask(*x, phase.zeros_before(), phase.zeros_after(geometry));
                }
            }
            _ => {}
        }
    }
    slots
}

/// The rows of A's input side that meet the same taps.
///
/// With `u = i + pad_left` and dilation 1, row i is the sum over the taps k with `k = u - t stride`. So all
/// rows with the same `u mod stride` meet the same taps `first, first + stride, ...`, and among them the
/// j-th tap meets `t = u / stride - j`: a plain convolution with a stride of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phase {
    /// `u mod stride`, which is also its first tap.
    pub(crate) first: usize,
    /// Its number of taps; 0 if the kernel is too short to reach it.
    pub(crate) taps: usize,
    /// `u / stride` of its first row.
    pub(crate) quotient: usize,
    /// Its first row i.
    pub(crate) row: usize,
    /// The number of its rows.
    pub(crate) rows: usize,
}

impl Phase {
    /// Zero rows before x that the first row reads.
    pub(crate) fn zeros_before(&self) -> usize {
        self.taps.saturating_sub(1 + self.quotient)
    }

    /// Zero rows after x that the last row reads.
    fn zeros_after(&self, geometry: &Geometry) -> usize {
        if self.taps == 0 { 0 } else { (self.quotient + self.rows).saturating_sub(geometry.out_steps) }
    }
}

/// The phases of a geometry without dilation that have any rows.
pub(crate) fn phases(geometry: &Geometry) -> impl Iterator<Item = Phase> + '_ {
    let Geometry { in_steps, taps, stride, pad_left, .. } = *geometry;
    (0..stride).filter_map(move |first| {
        let quotient = pad_left.saturating_sub(first).div_ceil(stride);
        let row = quotient * stride + first - pad_left;
        let rows = in_steps.saturating_sub(row).div_ceil(stride);
        let phase = Phase { first, taps: taps.saturating_sub(first).div_ceil(stride), quotient, row, rows };
        (rows > 0).then_some(phase)
    })
}
