//! The reconstruction of each row of a series, over all windows that hold it.

use glassbox_engine::Result;
use glassbox_engine::backend::Session;
use glassbox_engine::samples::Samples;

/// A row lies in as many windows as a window has steps, fewer at the ends of the series. All numbers are in
/// standard deviations of the training series.
#[derive(Debug, Clone, PartialEq)]
pub struct RowMeans {
    /// For each row the mean of its reconstructions.
    pub reconstruction: Vec<f32>,
    /// For each row the mean of |value - reconstruction|.
    pub error: Vec<f32>,
}

/// Windows that are predicted at a time.
const BATCH: usize = 128;

/// Predicts all `windows`, one step apart and of one channel.
pub(super) fn of(session: &mut dyn Session<f32>, windows: &Samples<'_, f32>) -> Result<RowMeans> {
    let steps = windows.shape().len();
    let rows = windows.len() + steps - 1;
    let (mut reconstruction, mut error, mut held) =
        (vec![0.0f64; rows], vec![0.0f64; rows], vec![0u32; rows]);
    let mut buffer = vec![0.0; BATCH.min(windows.len()) * steps];
    for first in (0..windows.len()).step_by(BATCH) {
        let x = windows.slice(first..windows.len().min(first + BATCH));
        let y = &mut buffer[..x.len() * steps];
        session.predict(&x, y)?;
        for (window, y) in y.chunks_exact(steps).enumerate() {
            for (step, (x, y)) in x.get(window).iter().zip(y).enumerate() {
                let row = first + window + step;
                reconstruction[row] += f64::from(*y);
                error[row] += f64::from((x - y).abs());
                held[row] += 1;
            }
        }
    }
    let mean = |sums: &[f64]| sums.iter().zip(&held).map(|(sum, n)| (sum / f64::from(*n)) as f32).collect();
    Ok(RowMeans { reconstruction: mean(&reconstruction), error: mean(&error) })
}
