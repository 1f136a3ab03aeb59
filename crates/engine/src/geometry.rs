//! The linear map A that carries the engine, described once.
//!
//! A 1-D convolution is a linear map between two signals, fixed by a kernel of shape
//! `(taps, in_channels, out_channels)` and by the numbers in [`Geometry`]:
//!
//! ```text
//! y[t, o] = sum over tap, c of  x[t stride + tap dilation - pad_left, c] * kernel[tap, c, o]
//! ```
//!
//! where terms that fall outside of `x` are zero. Everything that the convolutional layers do, forward
//! and backward, is one of three sums over the same set of index quadruples (t, tap, c, o):
//!
//! 1. **apply** A: signal in, kernel -> signal out
//! 2. **apply A transposed**: signal out, kernel -> signal in
//! 3. **correlate**: signal in, signal out -> kernel
//!
//! The arithmetic of what is in bounds stands here and nowhere else. See Dumoulin and Visin, *A guide
//! to convolution arithmetic for deep learning* (arXiv:1603.07285) for pictures of every case.

use std::ops::Range;

use crate::shape::Shape;

/// The index set of a 1-D convolution: which input step meets which output step at which tap.
///
/// "in" and "out" are the two sides of A. A transposed convolution runs A backwards, so its input is
/// the "out" side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Steps of the signal that A reads.
    pub in_steps: usize,
    /// Channels of the signal that A reads.
    pub in_channels: usize,
    /// Steps of the signal that A writes.
    pub out_steps: usize,
    /// Channels of the signal that A writes.
    pub out_channels: usize,
    /// Length of the kernel.
    pub taps: usize,
    /// Input steps between two neighbouring output steps; at least 1.
    pub stride: usize,
    /// Input steps between two neighbouring taps; at least 1.
    pub dilation: usize,
    /// Zeros before the first input step.
    pub pad_left: usize,
}

impl Geometry {
    /// Input steps that one output step spans: `(taps - 1) dilation + 1`.
    #[must_use]
    pub fn span(&self) -> usize {
        (self.taps - 1) * self.dilation + 1
    }

    /// Zeros after the last input step that the last output step still reads.
    #[must_use]
    pub fn pad_right(&self) -> usize {
        match self.out_steps {
            0 => 0,
            steps => ((steps - 1) * self.stride + self.span()).saturating_sub(self.pad_left + self.in_steps),
        }
    }

    /// The input step that output step `t` reads at `tap`, or `None` where that is padding.
    #[must_use]
    pub fn in_step(&self, t: usize, tap: usize) -> Option<usize> {
        (t * self.stride + tap * self.dilation)
            .checked_sub(self.pad_left)
            .filter(|step| *step < self.in_steps)
    }

    /// The output steps for which `tap` reads a real input step, not padding.
    #[must_use]
    pub fn out_range(&self, tap: usize) -> Range<usize> {
        // 0 <= t stride + reach - pad_left < in_steps
        let reach = tap * self.dilation;
        let start = self.pad_left.saturating_sub(reach).div_ceil(self.stride);
        let end = (self.in_steps + self.pad_left).saturating_sub(reach).div_ceil(self.stride);
        start.min(self.out_steps)..end.min(self.out_steps).max(start.min(self.out_steps))
    }

    /// The shape of the signal that A reads.
    #[must_use]
    pub fn input(&self) -> Shape {
        Shape::new(self.in_steps, self.in_channels)
    }

    /// The shape of the signal that A writes.
    #[must_use]
    pub fn output(&self) -> Shape {
        Shape::new(self.out_steps, self.out_channels)
    }

    /// The shape of the kernel: `(taps, in_channels, out_channels)`.
    #[must_use]
    pub fn kernel(&self) -> [usize; 3] {
        [self.taps, self.in_channels, self.out_channels]
    }

    /// The number of values in the kernel.
    #[must_use]
    pub fn kernel_len(&self) -> usize {
        self.taps * self.in_channels * self.out_channels
    }

    /// Multiplications and additions of one sample for each of the three sums, those on padding
    /// left out.
    #[must_use]
    pub fn multiply_adds(&self) -> usize {
        (0..self.taps).map(|tap| self.out_range(tap).len()).sum::<usize>()
            * self.in_channels
            * self.out_channels
    }
}

/// What Keras calls `padding`: how the ends of a signal are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Padding {
    /// No padding: the kernel stays within the signal.
    #[default]
    Valid,
    /// Zeros on both sides so that `out_steps = ceil(in_steps / stride)`; where their number is odd,
    /// the extra one goes to the right.
    Same,
    /// Zeros on the left only: an output step sees no later input step.
    Causal,
}

impl Padding {
    /// Keras's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Same => "same",
            Self::Causal => "causal",
        }
    }

    /// The steps that a convolution makes of `in_steps`, and the zeros to the left, or `None` if the
    /// kernel's `span` does not fit.
    #[must_use]
    pub fn resolve(self, in_steps: usize, span: usize, stride: usize) -> Option<(usize, usize)> {
        match self {
            Self::Valid => {
                let out_steps = in_steps.checked_sub(span)? / stride + 1;
                Some((out_steps, 0))
            }
            Self::Same => {
                let out_steps = in_steps.div_ceil(stride);
                let padding = (out_steps.checked_sub(1)? * stride + span).saturating_sub(in_steps);
                Some((out_steps, padding / 2))
            }
            Self::Causal => {
                in_steps.checked_sub(1)?;
                Some((in_steps.div_ceil(stride), span - 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn same_padding_of_the_tutorial_is_uneven() {
        // 7 taps, stride 2, 288 steps: two zeros before and three after.
        let (out_steps, pad_left) = Padding::Same.resolve(288, 7, 2).unwrap();
        let geometry = Geometry {
            in_steps: 288,
            in_channels: 1,
            out_steps,
            out_channels: 32,
            taps: 7,
            stride: 2,
            dilation: 1,
            pad_left,
        };
        assert_eq!((out_steps, pad_left, geometry.pad_right()), (144, 2, 3));
    }

    #[test]
    fn a_kernel_longer_than_its_input_does_not_resolve() {
        assert_eq!(Padding::Valid.resolve(3, 4, 1), None);
        assert_eq!(Padding::Valid.resolve(4, 4, 1), Some((1, 0)));
    }

    proptest! {
        /// Against the definition: lay the padded signal out and try every placement of the kernel.
        #[test]
        fn padding_agrees_with_brute_force(
            n in 1usize..30, taps in 1usize..9, stride in 1usize..5, dilation in 1usize..4,
        ) {
            let span = (taps - 1) * dilation + 1;
            let placements = |padded: usize| (0..padded).step_by(stride).filter(|start| start + span <= padded).count();
            prop_assert_eq!(Padding::Valid.resolve(n, span, stride).map_or(0, |r| r.0), placements(n));
            prop_assert_eq!(Padding::Causal.resolve(n, span, stride), Some((placements(n + span - 1), span - 1)));
            // "same": the least padding that gives ceil(n / stride) placements.
            let wanted = n.div_ceil(stride);
            let padding = (0..).find(|p| placements(n + p) >= wanted).unwrap();
            prop_assert_eq!(Padding::Same.resolve(n, span, stride), Some((wanted, padding / 2)));
        }

        #[test]
        fn out_range_is_where_in_step_is_some(
            in_steps in 1usize..20, out_steps in 1usize..20, taps in 1usize..6,
            stride in 1usize..4, dilation in 1usize..4, pad_left in 0usize..8,
        ) {
            let g = Geometry { in_steps, in_channels: 1, out_steps, out_channels: 1, taps, stride, dilation, pad_left };
            let mut total = 0;
            for tap in 0..taps {
                let inside: Vec<usize> = (0..out_steps).filter(|t| g.in_step(*t, tap).is_some()).collect();
                total += inside.len();
                prop_assert_eq!(g.out_range(tap).collect::<Vec<_>>(), inside);
            }
            prop_assert_eq!(g.multiply_adds(), total);
            let last = (out_steps - 1) * stride + g.span();
            prop_assert!(last <= pad_left + in_steps + g.pad_right());
        }
    }
}
