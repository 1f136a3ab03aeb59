//! A detector on a series of one's own: the reconstruction of its rows, and windows to look at.

use glassbox::{Device, Model};
use glassbox_engine::losses::Loss;
use glassbox_engine::samples::Samples;

use super::{Observed, WindowId, observe, recurrence};
use crate::detector::{Detector, normalise_columns, stretches};
use crate::error::{Error, Result};
use crate::reconstruction::{PREDICT_BATCH, reconstruct_each};
use crate::series::Series;
use crate::synthetic::Subset;

/// The most windows to look at.
const MOST_WINDOWS: usize = 24;
/// The most values of all layers in all of these windows together.
const MOST_VALUES: usize = 1 << 20;

/// The internals of a detector on a series.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesInside {
    /// Windows to look at, in the order of their first rows.
    pub windows: Vec<Observed>,
    /// For each column, the mean of the reconstructions of each row (raw); `None` for rows in no window.
    pub reconstruction: Vec<Vec<Option<f64>>>,
}

impl SeriesInside {
    /// Reconstructs `series` and observes at most 24 windows of it, fewer if the model is large: the one with the largest
    /// error; for each of `rows`, the most interesting first, the worst of the windows that hold it; those with the
    /// median and the least error.
    ///
    /// # Errors
    /// As [`Detector::judge`].
    pub fn capture(detector: &Detector, device: &Device, series: &Series, rows: &[usize]) -> Result<Self> {
        let (steps, channels) = (detector.time_steps(), detector.scalers.len());
        let values = normalise_columns(&detector.scalers, series)?;
        let mut model =
            Model::with_weights(detector.model.clone(), detector.weights.clone(), device.clone())?;
        let session = model.session(PREDICT_BATCH)?;
        let (mut sums, mut held) = (vec![0.0_f64; values.len()], vec![0_u32; series.len()]);
        // Each window by its first row, with its error.
        let mut errors: Vec<(usize, f64)> = vec![];
        for stretch in
            stretches(series, detector.sampling_step).into_iter().filter(|stretch| stretch.len() >= steps)
        {
            let windows =
                Samples::windows(&values[stretch.start * channels..stretch.end * channels], steps, channels)?;
            let mut first = stretch.start;
            reconstruct_each(session, &windows, |x, y| {
                errors.push((first, Loss::MeanAbsoluteError.sample(y, x)));
                sums[first * channels..].iter_mut().zip(y).for_each(|(sum, y)| *sum += f64::from(*y));
                held[first..first + steps].iter_mut().for_each(|windows| *windows += 1);
                first += 1;
                Ok::<(), Error>(())
            })?;
        }
        let raw = |channel: usize| {
            let (mean, std) = (detector.scalers[channel].mean(), detector.scalers[channel].std());
            let sums = sums.iter().skip(channel).step_by(channels);
            sums.zip(&held).map(move |(sum, n)| (*n > 0).then(|| sum / f64::from(*n) * std + mean)).collect()
        };
        let reconstruction = (0..channels).map(raw).collect();
        let size: usize = detector.model.layers().iter().map(|layer| layer.output.len()).sum();
        let most = (MOST_VALUES / size.max(1)).clamp(1, MOST_WINDOWS);
        let mut windows = vec![];
        for first in windows_of_interest(&errors, steps, rows, most) {
            // There is one series only.
            let id = WindowId { series: Subset::Test, window: first };
            windows.push(observe(session, id, &values[first * channels..(first + steps) * channels])?);
        }
        recurrence::trace(&detector.model, &detector.weights, &mut windows);
        Ok(Self { windows, reconstruction })
    }
}

/// The first rows of the windows to observe, ascending.
fn windows_of_interest(errors: &[(usize, f64)], steps: usize, rows: &[usize], most: usize) -> Vec<usize> {
    let worst = |windows: &[(usize, f64)]| windows.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|w| w.0);
    let holding = |row: &usize| {
        let from = errors.partition_point(|(first, _)| first + steps <= *row);
        let to = errors.partition_point(|(first, _)| first <= row);
        worst(&errors[from..to])
    };
    let mut by_error = errors.to_vec();
    by_error.sort_by(|a, b| a.1.total_cmp(&b.1));
    let typical = [by_error.get(by_error.len() / 2), by_error.first()];
    let typical = typical.into_iter().flatten().map(|window| window.0);
    let mut windows: Vec<usize> = vec![];
    // Room is left for those of the normal kind.
    for first in worst(errors).into_iter().chain(rows.iter().filter_map(holding)) {
        if windows.len() + 2 < most.max(3) && !windows.contains(&first) {
            windows.push(first);
        }
    }
    windows.extend(typical);
    windows.truncate(most);
    windows.sort_unstable();
    windows.dedup();
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_interest_are_the_worst_and_two_normal_ones() {
        // Windows of 4 rows, and a gap before row 10. The error grows with the row, but for window 4.
        let error = |first: usize| if first == 4 { 9.0 } else { first as f64 / 10.0 };
        let errors: Vec<(usize, f64)> = (0..7).chain(10..17).map(|first| (first, error(first))).collect();
        // The worst, the median and the least.
        assert_eq!(windows_of_interest(&errors, 4, &[], 24), [0, 4, 11]);
        // Row 5 is in windows 2 to 5, row 12 in 10 to 12, row 9 in 6.
        assert_eq!(windows_of_interest(&errors, 4, &[5, 12, 9], 24), [0, 4, 6, 11, 12]);
        assert_eq!(windows_of_interest(&errors, 4, &[12, 5, 9], 4), [0, 4, 11, 12]);
        assert_eq!(windows_of_interest(&errors, 4, &[12], 1), [4]);
        assert_eq!(windows_of_interest(&[], 4, &[1], 24), [0; 0]);
    }
}
