//! Overlapping windows share most of their inner values.
//!
//! Let window w of a series start at row w. A convolution with stride s maps a signal whose steps are h rows apart to
//! one whose steps are h s rows apart. So step t of a value stands at row `w + t h`, with the h of that value, and a
//! window that starts later by a multiple of every h has the same steps at other indices:
//!
//! ```text
//!   stride 2                  t:  0   1   2   3   4   5
//!   window w        rows w ..     *   o   o   o   *   *      o  depends on rows of the window only
//!   window w + 2    rows w + 2 ..     *   o   o   o   *   *  *  depends on padding too, at an end of the window
//! ```
//!
//! The **period** is the least such multiple: 4 for the tutorial, whose two strides are 2. From window w to window
//! w + period, each value shifts by a number of steps. Its **inside** are the steps that depend on no padding. What is
//! inside of both windows is equal, to the bit if each step is summed in the same order. So window w + period needs only
//! its first steps, which now are at its left end, and those after the inside of window w.

use std::ops::Range;

use super::{Instruction, Program, Statistics, Value};
use crate::geometry::{Geometry, GeometrySpec};

/// The steps of a value that overlapping windows share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Step t of a window is step `t - shift` of the window that starts one period later.
    pub shift: usize,
    /// The steps that depend on no padding.
    pub inside: Range<usize>,
}

/// The values that the overlapping windows of a series share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Two windows share values if they start a multiple of so many rows apart.
    pub period: usize,
    /// The shared part of each value; `None` if there is none.
    pub values: Vec<Option<Shared>>,
}

impl Overlap {
    /// The steps of `value` that a window does not share with the window one period before: its first steps, and its
    /// last ones. `None` if it shares none.
    #[must_use]
    pub fn new_steps(&self, value: Value) -> Option<[usize; 2]> {
        let Shared { shift, inside } = self.values[value.0].as_ref()?;
        let end = inside.end.saturating_sub(*shift);
        (inside.start < end).then_some([inside.start, end])
    }
}

impl Program {
    /// The values that overlapping windows share, if there are any. Windows share the results of convolutions, of
    /// pooling, and of functions of single steps. They share nothing after a dense layer, a recurrence, an index map or
    /// a user's operation, whose results depend on the place of a step in its window.
    ///
    /// ```
    /// # use glassbox_engine::{geometry::Padding, layers::Conv1D, model::Sequential};
    /// let mut model = Sequential::new((20, 1));
    /// model.add(Conv1D::new(4, 3).strides(2).padding(Padding::Same))?;
    /// let program = model.inference_program();
    /// let overlap = program.overlap().unwrap();
    /// assert_eq!(overlap.period, 2);
    /// // Of 10 steps, only the last meets padding. Window w + 2 has new values at its last two steps.
    /// assert_eq!(overlap.new_steps(program.output), Some([0, 8]));
    /// # Ok::<(), glassbox_engine::Error>(())
    /// ```
    #[must_use]
    pub fn overlap(&self) -> Option<Overlap> {
        let mut inner: Vec<Option<Inner>> = vec![None; self.values.len()];
        inner[self.input.0] = Some(Inner { rate: Rate(1, 1), inside: 0..self.values[self.input.0].steps });
        for line in &self.lines {
            if let Some(y) = line.instruction.stores() {
                inner[y.0] = stored(&line.instruction, |value| inner[value.0].clone());
            }
        }
        let period = inner.iter().flatten().try_fold(1, |period, inner| lcm(period, inner.rate.1))?;
        let shared = |inner: Inner| {
            Some(Shared { shift: (period / inner.rate.1).checked_mul(inner.rate.0)?, inside: inner.inside })
        };
        let values = inner.into_iter().map(|inner| inner.and_then(shared)).collect();
        let overlap = Overlap { period, values };
        let stores = self.lines.iter().filter_map(|line| line.instruction.stores());
        let mut shares = stores.map(|y| overlap.new_steps(y).is_some());
        shares.any(|shares| shares).then_some(overlap)
    }
}

/// A value whose step t stands at the same distance from the start of every window.
#[derive(Debug, Clone)]
struct Inner {
    rate: Rate,
    inside: Range<usize>,
}

/// Steps per row of the series: a fraction in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate(usize, usize);

impl Rate {
    fn over(self, stride: usize) -> Option<Self> {
        let common = gcd(self.0, stride);
        Some(Self(self.0 / common, self.1.checked_mul(stride / common)?))
    }

    fn times(self, stride: usize) -> Option<Self> {
        let common = gcd(self.1, stride);
        Some(Self(self.0.checked_mul(stride / common)?, self.1 / common))
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The least common multiple, unless it overflows.
fn lcm(a: usize, b: usize) -> Option<usize> {
    (a / gcd(a, b)).checked_mul(b)
}

/// The value that an instruction stores, where it is shared, from those that it reads.
fn stored(instruction: &Instruction, inner: impl Fn(Value) -> Option<Inner>) -> Option<Inner> {
    match instruction {
        Instruction::Apply { geometry, x, .. } | Instruction::Pool { geometry, x, .. } => {
            applied(geometry, inner(*x)?)
        }
        Instruction::ApplyTransposed { geometry, x, .. } => transposed(geometry, inner(*x)?),
        Instruction::Map { x, .. }
        | Instruction::Normalize { x, .. }
        | Instruction::Standardize { x, statistics: Statistics::Moving(_), .. } => inner(*x),
        Instruction::Add { a, b, .. } | Instruction::Multiply { a, b, .. } => {
            let (a, b) = (inner(*a)?, inner(*b)?);
            let inside = a.inside.start.max(b.inside.start)..a.inside.end.min(b.inside.end);
            (a.rate == b.rate).then_some(Inner { rate: a.rate, inside })
        }
        _ => None,
    }
}

/// Step t reads `t stride - pad_left ..= t stride - pad_left + (taps - 1) dilation`.
fn applied(geometry: &Geometry, x: Inner) -> Option<Inner> {
    let GeometrySpec { out_steps, taps, stride, dilation, pad_left, .. } = **geometry;
    let start = (x.inside.start + pad_left).div_ceil(stride);
    let end = match (x.inside.end + pad_left).checked_sub((taps - 1) * dilation + 1) {
        Some(last) => last / stride + 1,
        None => 0,
    };
    let end = end.min(out_steps);
    Some(Inner { rate: x.rate.over(stride)?, inside: start.min(end)..end })
}

/// With `u = i + pad_left`, step i reads steps t with `u - (taps - 1) dilation <= t stride <= u`.
fn transposed(geometry: &Geometry, x: Inner) -> Option<Inner> {
    let GeometrySpec { in_steps, taps, stride, dilation, pad_left, .. } = **geometry;
    // Step i must not reach t = inside.start - 1, which may be -1, nor t = inside.end.
    let start = (x.inside.start * stride + 1 + (taps - 1) * dilation).saturating_sub(stride + pad_left);
    let end = (x.inside.end * stride).saturating_sub(pad_left).min(in_steps);
    Some(Inner { rate: x.rate.times(stride)?, inside: start.min(end)..end })
}
