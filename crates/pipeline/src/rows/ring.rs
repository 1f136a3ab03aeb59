//! From the windows of a stretch, one after the other, to the terms of its rows.

use glassbox_engine::losses::Loss;

use super::Calibration;
use crate::error::{Error, Result};

/// The measures of a row by its windows and values, before they are compared with training.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Number of windows that say it.
    pub windows: usize,
    /// For each channel, the mean over the windows of the row's error divided by its scale.
    pub steps: Vec<f64>,
    /// The error of the windows, a mean absolute error in standard deviations of the training series.
    pub window: f64,
    /// For each channel, how still the values around the row are, from 0 to 2; see [`Still`](super::Still).
    pub still: Vec<f64>,
}

/// The windows of a stretch as they arrive. It keeps one record for each row of a window, so its memory does not depend on
/// the length of the stretch.
#[derive(Debug)]
pub struct Rows<'a> {
    calibration: &'a Calibration,
    /// The rows of the last window; row r is at `r % steps`.
    open: Vec<Open>,
    /// The scaled errors of the last window, for each value.
    ratios: Vec<f64>,
    /// Its error.
    error: f64,
    /// Number of windows so far.
    windows: usize,
}

/// A row that later windows may hold too.
#[derive(Debug, Clone)]
struct Open {
    /// For each channel, the sum of its scaled errors, the oldest window first.
    sums: Vec<f64>,
    /// The least error of its windows.
    least: f64,
    /// The largest error of those windows whose worst step it is.
    blamed: f64,
    /// For each channel, the stillness of the run that ends at the row.
    still: Vec<f64>,
}

impl Open {
    fn new(channels: usize) -> Self {
        Self { sums: vec![0.0; channels], least: f64::INFINITY, blamed: 0.0, still: vec![0.0; channels] }
    }
}

impl<'a> Rows<'a> {
    /// The beginning of a stretch.
    #[must_use]
    pub fn new(calibration: &'a Calibration) -> Self {
        let (steps, channels) = (calibration.time_steps(), calibration.channels());
        Self {
            calibration,
            open: vec![Open::new(channels); steps],
            ratios: vec![0.0; steps * channels],
            error: 0.0,
            windows: 0,
        }
    }

    /// Takes the next window `x` and its reconstruction `y`, both `(steps, channels)`. Returns the settled terms of the
    /// window's first row, which is in no later window.
    ///
    /// # Errors
    /// [`Error::ErrorNotFinite`] if the reconstruction is not finite.
    pub fn push(&mut self, x: &[f32], y: &[f32]) -> Result<Terms> {
        let window = self.windows;
        let (steps, channels) = (self.open.len(), self.calibration.channels());
        let error = Loss::MeanAbsoluteError.sample(y, x);
        if !error.is_finite() {
            return Err(Error::ErrorNotFinite { window, error });
        }
        self.error = error;
        let (mut largest, mut worst) = (0.0, 0);
        for (at, (ratio, scale)) in self.ratios.iter_mut().zip(self.calibration.scales()).enumerate() {
            *ratio = f64::from((y[at] - x[at]).abs()) / scale;
            if *ratio > largest {
                (largest, worst) = (*ratio, at / channels);
            }
        }
        if window > 0 {
            self.open[(window - 1) % steps] = Open::new(channels);
        }
        for (step, ratios) in self.ratios.chunks_exact(channels).enumerate() {
            let row = &mut self.open[(window + step) % steps];
            row.sums.iter_mut().zip(ratios).for_each(|(sum, ratio)| *sum += ratio);
            row.least = row.least.min(error);
            if step == worst {
                row.blamed = row.blamed.max(error);
            }
            // Rows of earlier windows have theirs.
            if window == 0 || step == steps - 1 {
                for (channel, (still, of)) in row.still.iter_mut().zip(self.calibration.still()).enumerate() {
                    *still = of.as_ref().map_or(0.0, |of| of.stillness(x, channels, channel, step));
                }
            }
        }
        self.windows += 1;
        Ok(self.terms(window))
    }

    /// The live terms of the last row: those of the window that ends at it.
    ///
    /// # Panics
    /// If there is no window yet.
    #[must_use]
    pub fn live(&self) -> Terms {
        let row = &self.open[(self.windows + self.open.len() - 2) % self.open.len()];
        let last = self.ratios.len() - row.sums.len();
        Terms {
            windows: 1,
            steps: self.ratios[last..].to_vec(),
            window: self.error,
            still: row.still.clone(),
        }
    }

    /// The terms of the rows of the last window if no window follows, in order.
    pub fn open(&self) -> impl Iterator<Item = Terms> {
        let rows =
            if self.windows == 0 { 0..0 } else { self.windows - 1..self.windows + self.open.len() - 1 };
        rows.map(|row| self.terms(row))
    }

    /// Raises the limits of means over n windows, `(n - 1, channels)`, to those of the rows of the last window, as if no
    /// window followed.
    pub(super) fn raise(&self, limits: &mut [f64]) {
        for row in self.windows - 1..self.windows + self.open.len() - 1 {
            let (windows, open) = (self.windows_of(row), &self.open[row % self.open.len()]);
            let limits = &mut limits[(windows - 1) * open.sums.len()..];
            let means = open.sums.iter().map(|sum| sum / windows as f64);
            limits.iter_mut().zip(means).for_each(|(limit, mean)| *limit = limit.max(mean));
        }
    }

    /// Number of windows so far that hold `row`, one of the last window.
    fn windows_of(&self, row: usize) -> usize {
        row.min(self.windows - 1) + 1 - (row + 1).saturating_sub(self.open.len())
    }

    /// The terms of `row`, one of the last window, from the windows so far.
    fn terms(&self, row: usize) -> Terms {
        let (steps, windows) = (self.open.len(), self.windows_of(row));
        let open = &self.open[row % steps];
        let last = self.windows + steps - 2;
        let still = self.calibration.still().iter().enumerate().map(|(channel, still)| {
            // The runs that hold the row end at it, or later by their length at most.
            let ends = row..=still.as_ref().map_or(row, |still| (row + still.steps()).min(last));
            ends.map(|end| self.open[end % steps].still[channel]).fold(0.0, f64::max)
        });
        Terms {
            windows,
            steps: open.sums.iter().map(|sum| sum / windows as f64).collect(),
            window: open.least.max(open.blamed),
            still: still.collect(),
        }
    }
}
