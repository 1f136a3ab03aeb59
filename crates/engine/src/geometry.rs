//! The linear map A of a 1-D convolution, on which the whole engine is built.
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
//! The arithmetic of bounds is in this module and nowhere else. See Dumoulin and Visin, *A guide
//! to convolution arithmetic for deep learning* (arXiv:1603.07285) for pictures of every case.

use std::ops::{Deref, Range};

use crate::error::{Error, Result};
use crate::shape::{LARGEST, Shape};

/// The numbers of a [`Geometry`], not checked yet.
///
/// "in" and "out" are the two sides of A. A transposed convolution applies A backwards, so its input is on the "out"
/// side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GeometrySpec {
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
    /// Input steps between two neighbouring output steps.
    pub stride: usize,
    /// Input steps between two neighbouring taps.
    pub dilation: usize,
    /// Zeros before the first input step.
    pub pad_left: usize,
}

/// The index set of a 1-D convolution: which input step meets which output step at which tap.
///
/// It dereferences to a [`GeometrySpec`]. The only constructor is [`Geometry::new`], which checks the numbers, so that
/// arithmetic with them cannot overflow:
///
/// * every number except `pad_left` is at least 1;
/// * steps times channels are at most `isize::MAX / 8`, the most `f64` in a slice. "Steps" here are the input steps
///   with the padding on both sides, a stride or a dilation; "channels" are those of either side;
/// * the number of multiply-adds has the same limit, and so have the lengths of the kernel and of the output.
///
/// ```
/// use glassbox_engine::geometry::{Geometry, GeometrySpec};
///
/// let spec = GeometrySpec {
///     in_steps: 3, in_channels: 1, out_steps: 2, out_channels: 1, taps: 2, stride: 1, dilation: 1, pad_left: 0,
/// };
/// assert_eq!(Geometry::new(spec)?.span(), 2);
/// assert!(Geometry::new(GeometrySpec { stride: 1 << 62, ..spec }).is_err());
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry(GeometrySpec);

impl Deref for Geometry {
    type Target = GeometrySpec;

    fn deref(&self) -> &GeometrySpec {
        &self.0
    }
}

impl GeometrySpec {
    /// Returns true if no index computed from these numbers overflows, as [`Geometry`] promises. Every number except
    /// `pad_left` must be at least 1.
    fn fits(&self) -> bool {
        let Self { in_steps, in_channels, out_steps, out_channels, taps, stride, dilation, pad_left } = *self;
        let product = |factors: &[usize]| {
            let product = factors.iter().try_fold(1usize, |product, factor| product.checked_mul(*factor));
            product.filter(|product| *product <= LARGEST)
        };
        let longest = || {
            let last = product(&[taps - 1, dilation])? + product(&[out_steps - 1, stride])?;
            let padded = pad_left.checked_add(in_steps)?.max(last + 1);
            let longest = padded.max(stride).max(dilation);
            product(&[longest, in_channels.max(out_channels)])
        };
        longest().is_some() && product(&[taps, out_steps, in_channels, out_channels]).is_some()
    }
}

impl Geometry {
    /// Checks the numbers of a geometry and builds it.
    ///
    /// # Errors
    /// If a number other than `pad_left` is 0, or a signal, the kernel or a sum would be larger than any memory.
    pub fn new(spec: GeometrySpec) -> Result<Self> {
        let GeometrySpec { in_steps, in_channels, out_steps, out_channels, taps, stride, dilation, .. } =
            spec;
        let refused = |expected: &str| Error::Mismatch {
            what: "the geometry of a convolution".into(),
            expected: expected.into(),
            found: format!("{spec:?}"),
        };
        if [in_steps, in_channels, out_steps, out_channels, taps, stride, dilation].contains(&0) {
            return Err(refused("at least one step, channel, tap, stride and dilation"));
        }
        if !spec.fits() {
            return Err(refused("signals, strides and a kernel that fit into memory"));
        }
        Ok(Self(spec))
    }

    /// Number of input steps that one output step spans: `(taps - 1) dilation + 1`.
    #[must_use]
    pub fn span(&self) -> usize {
        (self.taps - 1) * self.dilation + 1
    }

    /// Number of zeros after the last input step that the last output step reads.
    #[must_use]
    pub fn pad_right(&self) -> usize {
        ((self.out_steps - 1) * self.stride + self.span()).saturating_sub(self.pad_left + self.in_steps)
    }

    /// The input step that output step `t` reads at `tap`, or `None` if it is in the padding.
    #[must_use]
    pub fn in_step(&self, t: usize, tap: usize) -> Option<usize> {
        (t * self.stride + tap * self.dilation)
            .checked_sub(self.pad_left)
            .filter(|step| *step < self.in_steps)
    }

    /// The output steps for which `tap` reads an input step and not padding.
    #[must_use]
    pub fn out_range(&self, tap: usize) -> Range<usize> {
        // 0 <= t stride + reach - pad_left < in_steps
        let reach = tap * self.dilation;
        let start = self.pad_left.saturating_sub(reach).div_ceil(self.stride);
        let end = (self.in_steps + self.pad_left).saturating_sub(reach).div_ceil(self.stride);
        start.min(self.out_steps)..end.min(self.out_steps).max(start.min(self.out_steps))
    }

    /// The taps that meet each of the first `stride` input steps, the last tap first: those with
    /// `tap dilation = step + pad_left` modulo the stride. Steps that are a stride apart meet the same taps.
    #[must_use]
    pub fn taps_by_phase(&self) -> Vec<Vec<usize>> {
        let GeometrySpec { in_steps, taps, stride, dilation, pad_left, .. } = **self;
        let mut phases = vec![vec![]; stride.min(in_steps)];
        for tap in (0..taps).rev() {
            let step = (tap * dilation % stride + stride - pad_left % stride) % stride;
            if let Some(phase) = phases.get_mut(step) {
                phase.push(tap);
            }
        }
        phases
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

    /// Multiply-adds of one sample in each of the three sums, without those on padding.
    #[must_use]
    pub fn multiply_adds(&self) -> usize {
        (0..self.taps).map(|tap| self.out_range(tap).len()).sum::<usize>()
            * self.in_channels
            * self.out_channels
    }
}

/// Treatment of the ends of a signal; Keras's `padding`.
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

    /// The number of output steps for `in_steps` input steps, and the zeros to the left. `None` if the kernel's
    /// `span` does not fit, or `span` or `stride` is 0.
    #[must_use]
    pub fn resolve(self, in_steps: usize, span: usize, stride: usize) -> Option<(usize, usize)> {
        if in_steps == 0 || span == 0 || stride == 0 {
            return None;
        }
        match self {
            Self::Valid => Some((in_steps.checked_sub(span)? / stride + 1, 0)),
            Self::Same => {
                let out_steps = in_steps.div_ceil(stride);
                let reached = ((out_steps - 1) * stride).checked_add(span)?;
                Some((out_steps, reached.saturating_sub(in_steps) / 2))
            }
            Self::Causal => Some((in_steps.div_ceil(stride), span - 1)),
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
        let geometry = Geometry::new(GeometrySpec {
            in_steps: 288,
            in_channels: 1,
            out_steps,
            out_channels: 32,
            taps: 7,
            stride: 2,
            dilation: 1,
            pad_left,
        })
        .unwrap();
        assert_eq!((out_steps, pad_left, geometry.pad_right()), (144, 2, 3));
    }

    #[test]
    fn a_kernel_longer_than_its_input_does_not_resolve() {
        assert_eq!(Padding::Valid.resolve(3, 4, 1), None);
        assert_eq!(Padding::Valid.resolve(4, 4, 1), Some((1, 0)));
    }

    #[test]
    fn numbers_that_make_no_geometry_are_refused() {
        let spec = GeometrySpec {
            in_steps: 5,
            in_channels: 2,
            out_steps: 3,
            out_channels: 2,
            taps: 3,
            stride: 1,
            dilation: 1,
            pad_left: 0,
        };
        let error = |spec| Geometry::new(spec).unwrap_err().to_string();
        assert!(Geometry::new(spec).is_ok());
        assert!(error(GeometrySpec { taps: 0, ..spec }).contains("at least one step"));
        for too_large in [
            GeometrySpec { stride: 1 << 62, ..spec },
            GeometrySpec { stride: 1 << 60, out_steps: 1, ..spec },
            GeometrySpec { dilation: 1 << 60, taps: 1, ..spec },
            GeometrySpec { pad_left: usize::MAX - 1, ..spec },
            GeometrySpec { in_channels: 1 << 59, ..spec },
            GeometrySpec { out_channels: 1 << 30, in_channels: 1 << 30, ..spec },
        ] {
            assert!(error(too_large).contains("fit into memory"), "{too_large:?}");
        }
    }

    /// Numbers from 0 to the largest, most of them around a power of two.
    fn any_number() -> impl Strategy<Value = usize> {
        (0u32..64, -2isize..3).prop_map(|(power, near)| (1usize << power).wrapping_add_signed(near))
    }

    proptest! {
        /// Tests are built with overflow checks.
        #[test]
        fn no_index_overflows_in_what_is_not_refused(numbers in prop::array::uniform8(any_number()), small in 0u8..=255) {
            // Some are made small, because otherwise hardly any geometry would be accepted.
            let number = |place: usize| if small >> place & 1 == 1 { numbers[place] % 8 } else { numbers[place] };
            let spec = GeometrySpec {
                in_steps: number(0),
                in_channels: number(1),
                out_steps: number(2),
                out_channels: number(3),
                taps: number(4),
                stride: number(5),
                dilation: number(6),
                pad_left: number(7),
            };
            if let Ok(g) = Geometry::new(spec) {
                let (last, tap) = (g.out_steps - 1, g.taps - 1);
                let _ = (g.in_step(last, tap), g.out_range(tap), g.out_range(0), g.input().len());
                let padded = g.pad_left + g.in_steps + g.pad_right();
                prop_assert!(padded * g.in_channels.max(g.out_channels) <= LARGEST);
                prop_assert!(last * g.stride + g.span() <= padded);
                // The distances that kernels step by, up to twelve rows at a time.
                prop_assert!(g.stride.max(g.dilation) * g.in_channels.max(g.out_channels) <= LARGEST);
                prop_assert!(g.kernel_len() * g.out_steps <= LARGEST && g.output().len() <= LARGEST);
            }
            for padding in [Padding::Valid, Padding::Same, Padding::Causal] {
                let _ = padding.resolve(spec.in_steps, spec.taps, spec.stride);
            }
        }

        /// Compares with the definition: lay out the padded signal and try every placement of the kernel.
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
            let (in_channels, out_channels) = (1, 1);
            let spec = GeometrySpec { in_steps, in_channels, out_steps, out_channels, taps, stride, dilation, pad_left };
            let g = Geometry::new(spec).unwrap();
            let mut total = 0;
            for tap in 0..taps {
                let inside: Vec<usize> = (0..out_steps).filter(|t| g.in_step(*t, tap).is_some()).collect();
                total += inside.len();
                prop_assert_eq!(g.out_range(tap).collect::<Vec<_>>(), inside);
            }
            prop_assert_eq!(g.multiply_adds(), total);
            for (step, taps) in g.taps_by_phase().into_iter().enumerate() {
                let meets = |tap: &usize| (step + pad_left) % stride == tap * dilation % stride;
                prop_assert_eq!(taps, (0..g.taps).rev().filter(meets).collect::<Vec<_>>());
            }
            let last = (out_steps - 1) * stride + g.span();
            prop_assert!(last <= pad_left + in_steps + g.pad_right());
        }
    }
}
