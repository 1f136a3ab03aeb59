//! The calibration of scores by training: the scale of each error, and the largest value of each term.

use glassbox_engine::backend::Session;
use glassbox_engine::samples::Samples;
use serde::{Deserialize, Serialize};

use super::{Cause, Distribution, Rows, Score, Terms};
use crate::error::{Error, Result};
use crate::reconstruction::reconstruct_each;

/// An error below this, in standard deviations of the training series, is rounding: values are f32.
const ROUNDING: f64 = f32::EPSILON as f64;
/// The length of the shortest run that is tried for [`Still`], in changes.
const SHORTEST_RUN: usize = 4;

/// The quietest run of one channel in training.
///
/// An autoencoder that reconstructs a noisy series well reconstructs a constant one even better, so the errors of a
/// flat line are no larger than others. Therefore the values themselves are measured: the mean of |change from row to
/// row| over a run of `steps` changes. The stillness of a run is `2 - mean / limit`, but at least 0: it is 2 for a
/// constant run, and above 1 if the values change less than `limit`, half of the mean of the quietest training run.
///
/// The length is twice the shortest of 4, 8, 16, ... for which no training run is constant. So a series that stands
/// still for a while in training must do so for longer. If that is not shorter than a window, there is no such measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Still {
    steps: usize,
    limit: f64,
}

impl Still {
    /// The quietest run of `channel` in the stretches of normalised training values, if a window of `time_steps` is
    /// long enough for it.
    fn fit(stretches: &[&[f32]], channels: usize, channel: usize, time_steps: usize) -> Option<Self> {
        let quietest = |steps: usize| {
            let rows = |values: &&[f32]| steps..(values.len() / channels).max(steps);
            let all = stretches.iter().flat_map(|values| {
                rows(values).map(|row| mean_change(values, channels, channel, row, steps))
            });
            all.fold(f64::INFINITY, f64::min)
        };
        let mut steps = SHORTEST_RUN;
        while 2 * steps < time_steps {
            if quietest(steps) > ROUNDING {
                let (steps, limit) = (2 * steps, quietest(2 * steps) / 2.0);
                return limit.is_finite().then_some(Self { steps, limit });
            }
            steps *= 2;
        }
        None
    }

    /// The length of a run, in changes.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The stillness of the run of `channel` that ends at row `end` of `values`, from 0 to 2. 0 if the run would begin
    /// before `values`.
    pub(super) fn stillness(&self, values: &[f32], channels: usize, channel: usize, end: usize) -> f64 {
        if end < self.steps {
            return 0.0;
        }
        (2.0 - mean_change(values, channels, channel, end, self.steps) / self.limit).max(0.0)
    }
}

/// The mean of |change from row to row| of a channel, over the `steps` changes up to row `end`.
fn mean_change(values: &[f32], channels: usize, channel: usize, end: usize, steps: usize) -> f64 {
    let value = |row: usize| f64::from(values[row * channels + channel]);
    (end - steps..end).map(|row| (value(row + 1) - value(row)).abs()).sum::<f64>() / steps as f64
}

/// The knowledge from training: scales and limits of the terms of a score, and the distribution of scores.
///
/// It serialises as the entry `glassbox.rows` of a detector's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The mean error of each value of a window, `(steps, channels)`, above 0.
    scales: Vec<f64>,
    /// The largest mean of n scaled errors, `(n - 1, channels)`, at least 1.
    limits: Vec<f64>,
    /// The largest error of a window, above 0.
    window: f64,
    /// The quietest run of each channel.
    still: Vec<Option<Still>>,
    /// The settled scores of training rows.
    settled: Distribution,
    /// Their live scores.
    live: Distribution,
}

impl Calibration {
    /// Scores the training windows of each stretch with the trained model.
    ///
    /// # Errors
    /// If there is no window, or an error is not finite, or the device fails.
    pub fn fit(session: &mut dyn Session<f32>, stretches: &[Samples<'_, f32>]) -> Result<Self> {
        let Some(first) = stretches.first() else { return Err(Error::NoTrainingErrors) };
        let shape = first.shape();
        let mut scales = vec![0.0; shape.len()];
        let mut count = 0_u32;
        for windows in stretches {
            reconstruct_each(session, windows, |x, y| {
                for (sum, (x, y)) in scales.iter_mut().zip(x.iter().zip(y)) {
                    *sum += f64::from((y - x).abs());
                }
                count += 1;
                Ok::<(), Error>(())
            })?;
        }
        scales.iter_mut().for_each(|scale| *scale = (*scale / f64::from(count)).max(ROUNDING));
        let values: Vec<&[f32]> = stretches.iter().map(|windows| windows.raw().0).collect();
        let still = (0..shape.channels)
            .map(|channel| Still::fit(&values, shape.channels, channel, shape.steps))
            .collect();
        let mut calibration = Self {
            scales,
            limits: vec![],
            window: 0.0,
            still,
            settled: Distribution::default(),
            live: Distribution::default(),
        };

        let mut limits = vec![1.0; shape.len()];
        let (mut settled, mut live) = (vec![], vec![]);
        for windows in stretches {
            let mut rows = Rows::new(&calibration);
            reconstruct_each(session, windows, |x, y| {
                let [of_first, of_last] = rows.push(x, y)?;
                settled.push(of_first.clone());
                live.push(of_last.clone());
                rows.raise(&mut limits);
                Ok::<(), Error>(())
            })?;
            settled.extend(rows.open().skip(1));
        }
        calibration.limits = limits;
        calibration.window = live.iter().map(|terms| terms.window).fold(ROUNDING, f64::max);
        let scores = |terms: &[Terms]| terms.iter().map(|terms| calibration.score(terms).value).collect();
        (calibration.settled, calibration.live) =
            (Distribution::of(scores(&settled)), Distribution::of(scores(&live)));
        Ok(calibration)
    }

    /// The score of a row. With the threshold at the training maximum, the row is anomalous if it is above 1.
    #[must_use]
    pub fn score(&self, terms: &Terms) -> Score {
        let window = (terms.window / self.window, Cause::Window);
        let all =
            self.of_channels(terms).flat_map(|(step, still)| [(step, Cause::Steps), (still, Cause::Still)]);
        let (value, cause) =
            all.fold(window, |largest, term| if term.0 >= largest.0 { term } else { largest });
        Score { value, cause }
    }

    /// The part of each channel in the score of a row, from 0 to 1; together 1.
    pub fn shares(&self, terms: &Terms) -> impl Iterator<Item = f64> {
        let largest = || self.of_channels(terms).map(|(step, still)| step.max(still));
        let sum: f64 = largest().sum();
        let channels = terms.steps.len() as f64;
        largest().map(move |part| if sum == 0.0 { 1.0 / channels } else { part / sum })
    }

    /// The terms of each channel, relative to training: steps and still.
    fn of_channels(&self, terms: &Terms) -> impl Iterator<Item = (f64, f64)> {
        let limits = &self.limits[(terms.windows - 1) * self.channels()..];
        let relative = |((step, limit), still): ((&f64, &f64), &f64)| (step / limit, *still);
        terms.steps.iter().zip(limits).zip(&terms.still).map(relative)
    }

    /// The length of a window, in steps.
    #[must_use]
    pub fn time_steps(&self) -> usize {
        self.scales.len() / self.channels()
    }

    /// The values in a row.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.still.len()
    }

    /// Returns true if flat lines are found in a channel: there is a [`Still`] for it.
    #[must_use]
    pub fn finds_flat_lines(&self, channel: usize) -> bool {
        self.still.get(channel).is_some_and(Option::is_some)
    }

    /// The distribution of the settled scores in training.
    #[must_use]
    pub fn settled(&self) -> &Distribution {
        &self.settled
    }

    /// The distribution of the live scores in training.
    #[must_use]
    pub fn live(&self) -> &Distribution {
        &self.live
    }

    pub(super) fn scales(&self) -> &[f64] {
        &self.scales
    }

    pub(super) fn still(&self) -> &[Option<Still>] {
        &self.still
    }

    /// Returns the part that no training can give for a model with input `(steps, channels)`, for example in a damaged
    /// file.
    pub(crate) fn problem(&self, steps: usize, channels: usize) -> Option<&'static str> {
        let positive = |value: &f64| value.is_finite() && *value > 0.0;
        let still = |still: &Option<Still>| {
            still.as_ref().is_none_or(|s| 0 < s.steps && s.steps < steps && positive(&s.limit))
        };
        let len = steps * channels;
        [
            ("scales", self.scales.len() == len && self.scales.iter().all(positive)),
            ("limits", self.limits.len() == len && self.limits.iter().all(positive)),
            ("window", positive(&self.window)),
            ("still", self.still.len() == channels && self.still.iter().all(still)),
            ("settled", self.settled.is_valid()),
            ("live", self.live.is_valid()),
        ]
        .into_iter()
        .find_map(|(part, good)| (!good).then_some(part))
    }
}
