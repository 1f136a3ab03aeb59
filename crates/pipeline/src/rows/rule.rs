//! The rules for a threshold: fixed by the training scores, or following the scores as they come.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The most rows that a threshold looks back over.
const MOST_ROWS: usize = 100_000;
/// The fewest of them.
const FEWEST_ROWS: usize = 10;

/// The rule for the threshold of scores.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdRule {
    /// The largest score of a training row.
    #[default]
    Max,
    /// This quantile of the scores of training rows, above 0 and below 1.
    Quantile(f64),
    /// Their median plus this many standard deviations, estimated by the median absolute deviation.
    RobustZ(f64),
    /// The score that is exceeded with this probability, by a fit of the largest training scores (peaks over threshold;
    /// Siffer et al., *Anomaly detection in streams with extreme value theory*, 2017).
    Peaks(f64),
    /// A threshold that follows the scores.
    Adaptive(Adaptive),
}

impl From<Adaptive> for ThresholdRule {
    fn from(rule: Adaptive) -> Self {
        Self::Adaptive(rule)
    }
}

impl fmt::Display for ThresholdRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("the training maximum"),
            Self::Quantile(quantile) => write!(f, "the quantile {quantile} of the training scores"),
            Self::RobustZ(z) => write!(f, "{z} robust standard deviations above the median training score"),
            Self::Peaks(rate) => {
                write!(
                    f,
                    "the score that a fit of the largest training scores exceeds with probability {rate}"
                )
            }
            Self::Adaptive(rule) => write!(f, "{rule}"),
        }
    }
}

/// The rule for a threshold that follows the scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adaptive {
    /// Peaks over threshold (SPOT), for this rate of false alarms.
    Peaks {
        /// The rate, above 0 and below 1.
        rate: f64,
    },
    /// The same relative to a running median (DSPOT).
    Drift {
        /// The rate, above 0 and below 1.
        rate: f64,
        /// Rows without an alarm that the median is of.
        rows: usize,
    },
    /// A quantile of the last scores.
    Quantile {
        /// The quantile, above 0 and below 1.
        quantile: f64,
        /// Number of scores.
        rows: usize,
    },
    /// The median of the last scores plus a number of standard deviations, estimated by the median absolute deviation.
    RobustZ {
        /// The number of standard deviations, above 0.
        z: f64,
        /// Number of scores.
        rows: usize,
    },
}

impl Adaptive {
    /// The rule for the threshold that it begins with.
    #[must_use]
    pub fn beginning(self) -> ThresholdRule {
        match self {
            Self::Peaks { rate } | Self::Drift { rate, .. } => ThresholdRule::Peaks(rate),
            Self::Quantile { quantile, .. } => ThresholdRule::Quantile(quantile),
            Self::RobustZ { z, .. } => ThresholdRule::RobustZ(z),
        }
    }

    /// Checks the number of rows that it looks back over.
    pub(super) fn require_rows(self) -> Result<()> {
        let (rows, fewest) = match self {
            Self::Peaks { .. } => return Ok(()),
            Self::Drift { rows, .. } | Self::RobustZ { rows, .. } => (rows, FEWEST_ROWS),
            // At least one score above it.
            Self::Quantile { quantile, rows } => (rows, (1.0 / (1.0 - quantile)).round() as usize),
        };
        if (fewest..=MOST_ROWS).contains(&rows) {
            return Ok(());
        }
        Err(Error::BadAdaptiveRows { rows, fewest, most: MOST_ROWS })
    }
}

impl fmt::Display for Adaptive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peaks { rate } => {
                write!(f, "adaptive, by a fit of the largest scores so far, for a rate of {rate}")
            }
            Self::Drift { rate, rows } => write!(
                f,
                "adaptive, by a fit of the largest scores so far relative to the median of the last {rows}, for a rate of {rate}"
            ),
            Self::Quantile { quantile, rows } => {
                write!(f, "adaptive, the quantile {quantile} of the last {rows} scores")
            }
            Self::RobustZ { z, rows } => {
                write!(
                    f,
                    "adaptive, {z} robust standard deviations above the median of the last {rows} scores"
                )
            }
        }
    }
}
