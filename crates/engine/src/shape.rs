//! The shape of one sample.

use std::fmt;

/// The most `f64` that one slice can hold.
pub(crate) const LARGEST: usize = isize::MAX as usize / size_of::<f64>();

/// The shape of one sample of a signal, channels last as in Keras. A batch of samples has shape
/// `(batch, steps, channels)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Time steps.
    pub steps: usize,
    /// Values at each step.
    pub channels: usize,
}

impl Shape {
    /// The shape of `steps` time steps with `channels` values each.
    #[must_use]
    pub fn new(steps: usize, channels: usize) -> Self {
        Self { steps, channels }
    }

    /// The number of values in a sample.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps * self.channels
    }

    /// Returns true if a sample has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps == 0 || self.channels == 0
    }

    /// Returns true if a sample could fit into some memory. Larger shapes are refused before the arithmetic of lengths
    /// could overflow.
    pub(crate) fn is_possible(&self) -> bool {
        self.steps.checked_mul(self.channels).is_some_and(|len| len <= LARGEST)
    }
}

/// `(steps, channels)`.
impl From<(usize, usize)> for Shape {
    fn from((steps, channels): (usize, usize)) -> Self {
        Self { steps, channels }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.steps, self.channels)
    }
}
