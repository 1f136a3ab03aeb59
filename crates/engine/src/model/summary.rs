//! The table that Keras prints of a model.

use std::fmt;

use super::Sequential;

/// Prints as `model.summary()` of Keras does.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a> {
    model: &'a Sequential,
}

impl<'a> Summary<'a> {
    pub(super) fn new(model: &'a Sequential) -> Self {
        Self { model }
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.model.name())
    }
}
