//! From the windows of a stretch, one after the other, to the terms of its rows.

use glassbox_engine::losses::Loss;

use super::Calibration;
use crate::error::{Error, Result};

/// The measures of a row by its windows and values, before they are compared with training.
#[derive(Debug, Clone, PartialEq, Default)]
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
    /// Number of windows so far.
    windows: usize,
    /// The settled terms of its first row, and the live terms of its last.
    terms: [Terms; 2],
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

    fn clear(&mut self) {
        self.sums.fill(0.0);
        (self.least, self.blamed) = (f64::INFINITY, 0.0);
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
            windows: 0,
            terms: Default::default(),
        }
    }

    /// Begins another stretch.
    pub fn restart(&mut self) {
        if self.windows > 0 {
            self.open.iter_mut().for_each(Open::clear);
            self.windows = 0;
        }
    }

    /// Takes the next window `x` and its reconstruction `y`, both `(steps, channels)`. Returns the settled terms of the
    /// window's first row, which is in no later window, and the live terms of its last row: those of this window. After the
    /// first window, nothing is allocated.
    ///
    /// # Errors
    /// [`Error::ErrorNotFinite`] if the reconstruction is not finite.
    pub fn push(&mut self, x: &[f32], y: &[f32]) -> Result<[&Terms; 2]> {
        let window = self.windows;
        let (steps, channels) = (self.open.len(), self.calibration.channels());
        let error = Loss::MeanAbsoluteError.sample(y, x);
        if !error.is_finite() {
            return Err(Error::ErrorNotFinite { window, error });
        }
        let (mut largest, mut worst) = (0.0, 0);
        for (at, (ratio, scale)) in self.ratios.iter_mut().zip(self.calibration.scales()).enumerate() {
            *ratio = f64::from((y[at] - x[at]).abs()) / scale;
            if *ratio > largest {
                (largest, worst) = (*ratio, at / channels);
            }
        }
        if window > 0 {
            self.open[(window - 1) % steps].clear();
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
        let [mut settled, mut live] = std::mem::take(&mut self.terms);
        self.find_terms(window, &mut settled);
        let newest = &self.open[(window + steps - 1) % steps];
        (live.windows, live.window) = (1, error);
        for (to, from) in
            [(&mut live.steps, &self.ratios[(steps - 1) * channels..]), (&mut live.still, &newest.still)]
        {
            to.clear();
            to.extend_from_slice(from);
        }
        self.terms = [settled, live];
        Ok(self.terms.each_ref())
    }

    /// The terms of the rows of the last window if no window follows, in order.
    pub fn open(&self) -> impl Iterator<Item = Terms> {
        let rows =
            if self.windows == 0 { 0..0 } else { self.windows - 1..self.windows + self.open.len() - 1 };
        rows.map(|row| {
            let mut terms = Terms::default();
            self.find_terms(row, &mut terms);
            terms
        })
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

    /// Writes the terms of `row`, one of the last window, from the windows so far.
    fn find_terms(&self, row: usize, terms: &mut Terms) {
        let (steps, windows) = (self.open.len(), self.windows_of(row));
        let open = &self.open[row % steps];
        let last = self.windows + steps - 2;
        let still = self.calibration.still().iter().enumerate().map(|(channel, still)| {
            // The runs that hold the row end at it, or later by their length at most.
            let ends = row..=still.as_ref().map_or(row, |still| (row + still.steps()).min(last));
            ends.map(|end| self.open[end % steps].still[channel]).fold(0.0, f64::max)
        });
        (terms.windows, terms.window) = (windows, open.least.max(open.blamed));
        terms.steps.clear();
        terms.steps.extend(open.sums.iter().map(|sum| sum / windows as f64));
        terms.still.clear();
        terms.still.extend(still);
    }
}
