//! The score above which a row is anomalous.

use std::fmt;

use serde::Serialize;

use super::Calibration;
use super::adaptive::Running;
use super::distribution::Distribution;
use super::rule::ThresholdRule;
use crate::error::{Error, Result};
use crate::words::counted;

/// Windows that do not overlap, below which a threshold rests on too little.
const FEWEST_WINDOWS: usize = 10;

/// A threshold of scores. Its `Display` says how it came about, on what it rests, and what to expect.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Alarm {
    /// The rule that it is from.
    pub rule: ThresholdRule,
    /// The threshold of settled scores, relative to the training maximum; of an adaptive one, its beginning.
    pub settled: f64,
    /// The threshold of live scores, relative to the training maximum; of an adaptive one, its beginning.
    pub live: f64,
    /// Number of training windows that it rests on.
    pub windows: usize,
    /// The fraction of normal rows that is expected above it, by the training scores. A model reconstructs other data a
    /// little worse than those it was trained on, and scores of neighbouring rows rise together: expect some more.
    pub expected_rate: f64,
    /// The length of a window, in steps.
    #[serde(skip)]
    time_steps: usize,
}

impl Alarm {
    /// The threshold by `rule`.
    ///
    /// # Errors
    /// If the training scores are too few for the rule, or its number is out of range.
    pub fn new(rule: ThresholdRule, calibration: &Calibration) -> Result<Self> {
        let (settled, live) = (calibration.settled(), calibration.live());
        let beginning = match rule {
            ThresholdRule::Adaptive(adaptive) => adaptive.beginning(),
            fixed => fixed,
        };
        let (number, good, expected) = match beginning {
            ThresholdRule::Max | ThresholdRule::Adaptive(_) => (0.0, true, ""),
            ThresholdRule::Quantile(q) => (q, 0.0 < q && q < 1.0, "a quantile above 0 and below 1"),
            ThresholdRule::RobustZ(z) => {
                (z, z > 0.0 && z.is_finite(), "a number of standard deviations above 0")
            }
            ThresholdRule::Peaks(q) => (q, 0.0 < q && q < 1.0, "a rate above 0 and below 1"),
        };
        if !good {
            return Err(Error::BadThresholdRule { number, expected });
        }
        if let ThresholdRule::Adaptive(adaptive) = rule {
            adaptive.require_rows()?;
        }
        let threshold = settled.threshold(rule)?;
        let expected_rate = match beginning {
            ThresholdRule::Peaks(rate) => rate,
            _ => settled.fraction_above(threshold),
        };
        // A model without any error has no scores to set a threshold by.
        let some = |threshold: f64| threshold.max(f64::from(f32::EPSILON));
        Ok(Self {
            rule,
            settled: some(threshold),
            live: some(live.threshold(rule)?),
            // A live score is that of one window.
            windows: live.count(),
            expected_rate,
            time_steps: calibration.time_steps(),
        })
    }

    /// The thresholds of settled and of live scores while rows come.
    #[must_use]
    pub fn running(&self, calibration: &Calibration) -> [Running; 2] {
        let of = |threshold: f64, scores: &Distribution| Running::new(self.rule, threshold, scores);
        [of(self.settled, calibration.settled()), of(self.live, calibration.live())]
    }

    /// A warning if the training series was so short that the threshold means little.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let apart = self.windows.div_ceil(self.time_steps);
        (apart < FEWEST_WINDOWS).then(|| {
            format!(
                "the threshold rests on little training data: {}, of which only {apart} do not overlap; train on at \
                 least {} rows, or expect false alarms",
                counted(self.windows, "window", "windows"),
                FEWEST_WINDOWS * self.time_steps
            )
        })
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, from {}; at least {:.2} % of normal rows are expected above it",
            self.rule,
            counted(self.windows, "training window", "training windows"),
            100.0 * self.expected_rate
        )
    }
}
