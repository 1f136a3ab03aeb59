//! Scores and verdicts for rows: the rule for series of one's own.
//!
//! The tutorial's rules ask whether *all* windows that hold a point are anomalous. That misses a spike, whose windows
//! are mostly normal, and never judges the first and the last rows. Here every row gets a score. Three terms go into
//! it, each relative to training, such that no training row is above 1:
//!
//! | term | what it measures | what it finds |
//! |---|---|---|
//! | [`Cause::Steps`] | the mean of the row's own errors, over the windows that hold it | spikes, level shifts, edges |
//! | [`Cause::Window`] | the errors of the windows that hold it | long changes of shape |
//! | [`Cause::Still`] | how little the values change around the row | flat lines, which an autoencoder reconstructs well |
//!
//! The score is the largest term. Two scores differ in the windows that they use:
//!
//! - the **settled** score of a row uses all windows that hold it, so it is known `time_steps - 1` rows later;
//! - the **live** score uses only the window that ends at the row, so it is known at once.
//!
//! # The terms
//! - *Steps.* The error of step k of a window is divided by its mean over the training windows, because the ends of a
//!   window are reconstructed worse than its middle. The settled term is the mean over the n windows that hold the row,
//!   divided by the largest training mean over n windows. The first and the last rows are in fewer windows, whose means
//!   scatter more, so each n has its own limit. It is taken from all training rows, as if the series ended after each of
//!   its windows.
//! - *Window.* The largest of two: the least error of the windows that hold the row, since a change that is longer than a
//!   window makes all of them anomalous; and the error of each window whose worst step is this row, so that every
//!   anomalous window has at least one anomalous row. Live: the error of the window that ends at the row.
//! - *Still.* See [`Still`].
//!
//! # Stretches
//! A gap splits a series into stretches ([`Series::stretches`](crate::series::Series::stretches)). No window runs across
//! a gap. A row in a stretch that is shorter than a window is [`Verdict::Unjudged`].

use serde::{Deserialize, Serialize};

mod adaptive;
mod calibration;
mod distribution;
mod ring;
mod rule;
#[cfg(test)]
mod tests;
mod threshold;

pub use adaptive::Running;
pub use calibration::{Calibration, Still};
pub use distribution::Distribution;
pub use ring::{Rows, Terms};
pub use rule::{Adaptive, ThresholdRule};
pub use threshold::Alarm;

/// The term that makes up a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The row's own errors.
    Steps,
    /// The errors of the windows that hold the row.
    Window,
    /// Values that hardly change.
    Still,
}

/// The score of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The largest term; above 1 the row is anomalous.
    pub value: f64,
    /// The term that it is.
    pub cause: Cause,
}

/// The reason why a row is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is in a stretch between gaps that is shorter than a window.
    ShortStretch,
    /// No window ends at it, because it is among the first `time_steps - 1` rows of a stretch. Only of a live score.
    BeforeWindow,
    /// It has no value.
    MissingValue,
    /// It repeats the timestamp of the row above.
    RepeatedTime,
    /// Its timestamp is before that of the row above.
    BackInTime,
}

impl Reason {
    /// The reason in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::ShortStretch => "stretch shorter than a window",
            Self::BeforeWindow => "before the first whole window",
            Self::MissingValue => "missing value",
            Self::RepeatedTime => "repeated timestamp",
            Self::BackInTime => "timestamp out of order",
        }
    }
}

/// The verdict on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Its settled score is at most 1.
    Normal,
    /// Its settled score is above 1.
    Anomalous(Cause),
    /// It has no score.
    Unjudged(Reason),
}

impl Verdict {
    /// `normal`, `anomalous` or `unjudged`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Anomalous(_) => "anomalous",
            Self::Unjudged(_) => "unjudged",
        }
    }

    /// The reason for it in words; empty for a normal row.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::Anomalous(Cause::Steps) => "steps",
            Self::Anomalous(Cause::Window) => "window",
            Self::Anomalous(Cause::Still) => "still",
            Self::Unjudged(reason) => reason.text(),
        }
    }
}

/// The scores of a row, and the verdict on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The settled score, relative to the threshold, which is 1. `None` if the row is not judged.
    pub score: Option<f64>,
    /// The live score, relative to its threshold, which is 1. `None` if no window ends at the row.
    pub live: Option<f64>,
    /// The part of each channel in the settled score, from 0 to 1; empty if the row is not judged.
    pub shares: Vec<f64>,
    /// The verdict by the settled score.
    pub verdict: Verdict,
}

impl Judged {
    /// A row without a score.
    #[must_use]
    pub fn unjudged(reason: Reason) -> Self {
        Self { score: None, live: None, shares: vec![], verdict: Verdict::Unjudged(reason) }
    }

    /// Judges a row by its settled terms, from which the threshold learns. Its live score is that of `live`.
    pub(crate) fn judge_settled(
        &mut self,
        terms: &Terms,
        live: Option<f64>,
        calibration: &Calibration,
        threshold: &mut Running,
    ) {
        (self.score, self.live) = (Some(self.judge(terms, calibration, threshold)), live);
    }

    /// Judges a row by its live terms, from which the threshold learns.
    pub(crate) fn judge_live(&mut self, terms: &Terms, calibration: &Calibration, threshold: &mut Running) {
        (self.score, self.live) = (None, Some(self.judge(terms, calibration, threshold)));
    }

    /// The verdict and the shares by these terms. Returns the score, relative to `threshold`.
    fn judge(&mut self, terms: &Terms, calibration: &Calibration, threshold: &mut Running) -> f64 {
        let score = calibration.score(terms);
        let value = score.value / threshold.threshold();
        threshold.learn(score.value);
        self.verdict = if value > 1.0 { Verdict::Anomalous(score.cause) } else { Verdict::Normal };
        self.shares.clear();
        self.shares.extend(calibration.shares(terms));
        value
    }
}

/// The verdicts on all rows of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct RowDetection {
    /// The length of a window, in steps.
    pub time_steps: usize,
    /// The threshold.
    pub alarm: Alarm,
    /// Number of windows.
    pub windows: usize,
    /// A verdict for each row.
    pub rows: Vec<Judged>,
}
