//! The sampling step of rows as they arrive.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::series::commonest;

/// Steps that a sampling step is found from: their commonest, as of a whole series. Few, so that another step is found
/// soon; enough that some gaps among them do not matter.
const ENOUGH: usize = 32;

/// The latest steps forward, and whether the first of them were as expected.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct StepCheck {
    latest: Vec<SignedDuration>,
    passed: bool,
}

impl StepCheck {
    /// Returns false if no rows can have been like this, for example in a damaged file.
    pub(super) fn is_sound(&self) -> bool {
        self.latest.len() < ENOUGH && self.latest.iter().all(SignedDuration::is_positive)
    }

    /// Takes the step to the next row. Returns the sampling step of the last rows, each time there are enough of them.
    pub(super) fn take(&mut self, step: SignedDuration) -> Option<SignedDuration> {
        if step.is_positive() {
            self.latest.push(step);
        }
        if self.latest.len() < ENOUGH {
            return None;
        }
        let found = commonest(&self.latest).0;
        self.latest.clear();
        found
    }

    /// Decides what to do about a sampling step: another one is an error of the first rows, and later a notice.
    pub(super) fn judge(&mut self, found: Result<()>) -> Result<Option<Error>> {
        match found {
            Err(other) if self.passed => Ok(Some(other)),
            Err(other) => Err(other),
            Ok(()) => {
                self.passed = true;
                Ok(None)
            }
        }
    }

    /// The sampling step of all rows, if they were too few until the end.
    pub(super) fn finish(&self) -> Option<SignedDuration> {
        if self.passed { None } else { commonest(&self.latest).0 }
    }
}
