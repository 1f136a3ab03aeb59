//! The shape of one sample.

use std::fmt;

/// The shape of one sample of a signal, channels last as Keras has it. A batch of them is
/// `(batch, steps, channels)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Time steps.
    pub steps: usize,
    /// Values at each step.
    pub channels: usize,
}

impl Shape {
    /// `steps` time steps of `channels` values each.
    #[must_use]
    pub fn new(steps: usize, channels: usize) -> Self {
        Self { steps, channels }
    }

    /// The number of values in a sample.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps * self.channels
    }

    /// Whether a sample has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.steps, self.channels)
    }
}
