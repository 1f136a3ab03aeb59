//! Reconstruction errors: how far a model's output is from its input.

use glassbox_engine::backend::{Dataset, Session};
use glassbox_engine::losses::Loss;
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_engine::{Error, Result};
use serde::{Deserialize, Serialize};

/// Samples in a batch of `model.predict` of Keras.
pub const PREDICT_BATCH: usize = 32;

/// Batches that a device is given at a time: enough to keep it busy, and few enough to hear of progress.
const GROUP: usize = 512;

/// The batches in which so many samples are predicted: 118 for the tutorial's 3745.
#[must_use]
pub fn predict_batches(samples: usize) -> usize {
    samples.div_ceil(PREDICT_BATCH)
}

/// The part of a window that counts as its error; in the unit of the window (standard deviations of the training series).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorMeasure {
    /// The mean over its values of |x - reconstruction|, as in the tutorial.
    #[default]
    Mean,
    /// The same over the values of its last step only: how far off the newest row is.
    LastStep,
}

impl ErrorMeasure {
    /// The error of a window `x` of `shape` and its reconstruction `y`.
    fn of(self, x: &[f32], y: &[f32], shape: Shape) -> f64 {
        let from = match self {
            Self::Mean => 0,
            Self::LastStep => shape.len() - shape.channels,
        };
        Loss::MeanAbsoluteError.sample(&y[from..], &x[from..])
    }
}

/// The error of each window: the mean over its values of |x - reconstruction|, in the unit of `x` (standard
/// deviations of the training series). A device that has the windows gives nothing but these; others predict in
/// batches of [`PREDICT_BATCH`]. `on_batch` is told how many batches are done and how many there are.
///
/// # Errors
/// If the windows do not fit the model, or its output has another shape than they, or the device fails.
pub fn window_errors(
    session: &mut dyn Session<f32>,
    windows: &Samples<'_, f32>,
    on_batch: &mut dyn FnMut(usize, usize),
) -> Result<Vec<f64>> {
    require_reconstructions(session, windows)?;
    let mut errors = vec![0.0; windows.len()];
    let batches = predict_batches(windows.len());
    for (group, errors) in errors.chunks_mut(GROUP * PREDICT_BATCH).enumerate() {
        let start = group * GROUP * PREDICT_BATCH;
        let group_windows = Dataset::autoencoder(windows.slice(start..start + errors.len()));
        session.sample_losses(&group_windows, Loss::MeanAbsoluteError, errors)?;
        let done = group * GROUP;
        (done..batches.min(done + GROUP)).for_each(|batch| on_batch(batch + 1, batches));
    }
    Ok(errors)
}

/// Checks that the model's output has the shape of a window.
fn require_reconstructions(session: &dyn Session<f32>, windows: &Samples<'_, f32>) -> Result<Shape> {
    let program = &session.plan().inference;
    let output = program.values[program.output.index()];
    if output != windows.shape() {
        return Err(Error::Mismatch {
            what: "the model's output".into(),
            expected: format!("the shape of a window, {}", windows.shape()),
            found: output.to_string(),
        });
    }
    Ok(output)
}

/// Most values that are reconstructed at a time, and most windows. Neighbouring windows share most of their work, so
/// more at a time take less; but all of them would take memory for no gain.
const MOST_VALUES: usize = 1 << 20;
const MOST_WINDOWS: usize = 64 * PREDICT_BATCH;

/// Calls `visit` with each window and its reconstruction, in order.
///
/// # Errors
/// If the windows do not fit the model, or its output has another shape than they, or the device fails; and those of
/// `visit`.
pub fn reconstruct_each<E: From<Error>>(
    session: &mut dyn Session<f32>,
    windows: &Samples<'_, f32>,
    mut visit: impl FnMut(&[f32], &[f32]) -> Result<(), E>,
) -> Result<(), E> {
    let size = require_reconstructions(session, windows)?.len();
    let at_a_time = (MOST_VALUES / size.max(1)).clamp(PREDICT_BATCH, MOST_WINDOWS);
    let mut buffer = vec![0.0; at_a_time.min(windows.len()) * size];
    for start in (0..windows.len()).step_by(at_a_time) {
        let x = windows.slice(start..windows.len().min(start + at_a_time));
        let y = &mut buffer[..x.len() * size];
        session.predict(&x, y)?;
        for (index, y) in y.chunks_exact(size).enumerate() {
            visit(x.get(index), y)?;
        }
    }
    Ok(())
}

/// The errors of each window by several measures, which share its prediction; else as [`window_errors`].
///
/// # Errors
/// As there.
pub fn measured_errors<const N: usize>(
    session: &mut dyn Session<f32>,
    windows: &Samples<'_, f32>,
    measures: [ErrorMeasure; N],
    on_batch: &mut dyn FnMut(usize, usize),
) -> Result<[Vec<f64>; N]> {
    let mut errors = measures.map(|_| Vec::with_capacity(windows.len()));
    let (shape, batches) = (windows.shape(), predict_batches(windows.len()));
    let mut done = 0;
    reconstruct_each(session, windows, |x, y| -> Result<()> {
        for (errors, measure) in errors.iter_mut().zip(measures) {
            errors.push(measure.of(x, y, shape));
        }
        done += 1;
        if done % PREDICT_BATCH == 0 || done == windows.len() {
            on_batch(done.div_ceil(PREDICT_BATCH), batches);
        }
        Ok(())
    })?;
    Ok(errors)
}
