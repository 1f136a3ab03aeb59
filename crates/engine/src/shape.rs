//! The shape of one sample.

use std::fmt;

/// The most `f64` that one slice can hold.
pub(crate) const LARGEST: usize = isize::MAX as usize / size_of::<f64>();

/// The shape of one sample of a signal, channels last as in Keras: of rank 2, `(steps, channels)`, or of rank 1,
/// `(units)`. In memory, a signal of rank 1 is one step with a channel for each unit.
///
/// ```
/// use glassbox_engine::shape::Shape;
///
/// let (series, code) = (Shape::new(288, 1), Shape::units(32));
/// assert_eq!((series.rank(), code.rank()), (2, 1));
/// assert_eq!(code.batch("None").to_string(), "(None, 32)");
/// assert_eq!((code.steps, code.channels), (1, 32));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Time steps; 1 in a signal of rank 1.
    pub steps: usize,
    /// Values at each step.
    pub channels: usize,
    /// True for rank 1.
    flat: bool,
}

impl Shape {
    /// The shape of `steps` time steps with `channels` values each.
    #[must_use]
    pub const fn new(steps: usize, channels: usize) -> Self {
        Self { steps, channels, flat: false }
    }

    /// The shape of `units` values without steps: rank 1.
    #[must_use]
    pub const fn units(units: usize) -> Self {
        Self { steps: 1, channels: units, flat: true }
    }

    /// The number of axes, without the batch: 1 or 2.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.axes().len()
    }

    /// The length of each axis.
    #[must_use]
    pub fn axes(&self) -> Vec<usize> {
        if self.flat { vec![self.channels] } else { vec![self.steps, self.channels] }
    }

    /// The shape of a batch, with `batch` for the number of samples. Keras prints `(None, 288, 1)`.
    pub fn batch(&self, batch: &str) -> impl fmt::Display {
        let axes = self.axes().iter().map(|axis| format!(", {axis}")).collect::<String>();
        format!("({batch}{axes})")
    }

    /// Returns true if signals of both shapes have the same steps and channels, and so the same layout in memory.
    #[must_use]
    pub fn is_laid_out_as(&self, other: Self) -> bool {
        (self.steps, self.channels) == (other.steps, other.channels)
    }

    /// This shape with the rank of `other`, as far as it has no more than one step.
    #[must_use]
    pub(crate) fn ranked_as(self, other: Self) -> Self {
        Self { flat: other.flat && self.steps == 1, ..self }
    }

    /// The same shape with another number of channels.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
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
        Self::new(steps, channels)
    }
}

/// `(units)`.
impl From<usize> for Shape {
    fn from(units: usize) -> Self {
        Self::units(units)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.flat {
            true => write!(f, "({})", self.channels),
            false => write!(f, "({}, {})", self.steps, self.channels),
        }
    }
}
