//! An autoencoder that learns as it goes: a convolutional one, or one of LSTMs.
//!
//! The model first learns the windows of [`STEPS`] rows of the probation, for [`FIRST_UPDATES`] steps of Adam. Then, in turn, it
//! scores [`TURN`] rows and learns for [`UPDATES`] steps. The error of a row is the mean absolute error over the last [`JUDGED`]
//! rows of the window that ends with it. Half of each batch are windows of the last turn, half are drawn from the last [`MEMORY`]
//! rows. No row is learnt before it is scored.
//!
//! Between encoder and decoder, a window is [`CODE`] numbers: enough for what comes again, and too few for what does not.
//! Values are normalised by the moments of all rows so far, taken anew in each turn, and compressed, so that one extreme
//! value does not decide everything. The settings are described, and how they were chosen, in `docs/nab.md`.

use glassbox::Device;
use glassbox_engine::When;
use glassbox_engine::backend::{Dataset, Session, State, locate_non_finite};
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{
    Activation, Conv1D, Conv1DTranspose, Dense, Flatten, LSTM, RepeatVector, Reshape, TimeDistributed,
};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::Sequential;
use glassbox_engine::optimizers::{Adam, Optimizer};
use glassbox_engine::random::{Draws, Purpose, Stream};
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;

use super::Moments;
use crate::Result;

/// The rows of a window.
const STEPS: usize = 64;
/// The numbers that a window is reduced to.
const CODE: usize = 4;
/// The channels of the outer and the inner layers.
const FILTERS: [usize; 2] = [16, 8];
/// The units of an LSTM.
const UNITS: usize = 16;
/// The rows that a kernel covers.
const TAPS: usize = 7;
/// Adam's learning rate.
const LEARNING_RATE: f64 = 2e-3;
/// Windows in a batch.
const BATCH: usize = 32;
/// Steps of training on the probation.
const FIRST_UPDATES: usize = 300;
/// Steps of training after each turn.
const UPDATES: usize = 4;
/// The rows of a turn.
const TURN: usize = 50;
/// The rows that are trained on, the last ones.
const MEMORY: usize = 4000;
/// The magnitude, in standard deviations, from which values are compressed.
const COMPRESSED: f64 = 10.0;
/// The largest magnitude before that.
const FARTHEST: f64 = 1e6;
/// The rows at the end of a window whose error counts.
const JUDGED: usize = 32;

/// The layers of an autoencoder.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Two strided convolutions, a narrow code, and the way back. With ReLU in place of tanh, the mean score of several
    /// seeds is a point lower.
    Convolutional,
    /// An LSTM, as narrow a code, and an LSTM that unfolds it.
    Recurrent,
}

/// The error of each row; 0 for rows before the first whole window.
///
/// # Errors
/// If the device fails, or the loss becomes NaN or infinite.
pub(super) fn errors(
    kind: Kind,
    values: &[f64],
    probation: usize,
    seed: u64,
    device: &Device,
) -> Result<Vec<f64>> {
    let mut online = Online::new(&kind.model()?, seed, device)?;
    let mut errors = Vec::with_capacity(values.len());
    // What is learnt before the first turn is scored with it: nobody judges these scores.
    let mut seen = probation.min(values.len());
    while errors.len() < values.len() {
        online.moments.extend(&values[online.moments.count()..seen]);
        let (from, end) = (seen.saturating_sub(MEMORY), values.len().min(seen + TURN));
        let x: Vec<f32> = values[from..end].iter().map(|value| online.normalised(*value)).collect();
        online.learn(&x[..seen - from])?;
        online.score(&x, from, &mut errors)?;
        seen = end;
    }
    Ok(errors)
}

/// A model in the middle of a series.
struct Online {
    session: Box<dyn Session<f32>>,
    /// Draws the windows of the batches.
    draws: Draws,
    /// Those of the rows that were learnt from.
    moments: Moments,
    /// Steps of training taken.
    updates: usize,
}

impl Online {
    fn new(model: &Sequential, seed: u64, device: &Device) -> Result<Self, glassbox::Error> {
        let optimizer = Optimizer::Adam(Adam::new(LEARNING_RATE));
        let plan = model.plan(Loss::MeanAbsoluteError, optimizer.clone(), seed, BATCH)?;
        let mut session = device.backend().session(plan)?;
        session.set_state(&State::new(model.layout().initial(seed), &optimizer))?;
        let draws = Stream::new(seed, Purpose::Shuffle, 0, 0).draws();
        Ok(Self { session, draws, moments: Moments::default(), updates: 0 })
    }

    /// A value in standard deviations, compressed.
    fn normalised(&self, value: f64) -> f32 {
        let distance = value - self.moments.mean();
        // Of constant values there is no scale. One that differs is as far away as can be.
        let z = match self.moments.std() {
            0.0 => distance.signum() * if distance == 0.0 { 0.0 } else { FARTHEST },
            std => (distance / std).clamp(-FARTHEST, FARTHEST),
        };
        (COMPRESSED * (z / COMPRESSED).asinh()) as f32
    }

    /// Trains on the windows of `x`, the last rows that were scored.
    fn learn(&mut self, x: &[f32]) -> Result<(), glassbox::Error> {
        if x.len() < STEPS {
            return Ok(());
        }
        let data = Dataset::autoencoder(Samples::windows(x, STEPS, 1)?);
        let windows = data.len() as u64;
        let (updates, recent) = if self.updates == 0 { (FIRST_UPDATES, 0) } else { (UPDATES, BATCH / 2) };
        for _ in 0..updates {
            let newest = windows.min(TURN as u64);
            let batch: [u32; BATCH] = std::array::from_fn(|index| match index < recent {
                true => (windows - 1 - self.draws.below(newest)) as u32,
                false => self.draws.below(windows) as u32,
            });
            let loss = self.session.compute_gradient(&data, &batch)?;
            self.updates += 1;
            if !loss.is_finite() {
                let when = When { epoch: 1, batch: Some(self.updates) };
                return Err(locate_non_finite(&mut *self.session, &data, &batch, loss, when).into());
            }
            self.session.update()?;
        }
        Ok(())
    }

    /// Adds the errors of those rows of `x` that have none yet. The first row of `x` is row `from` of the series.
    fn score(&mut self, x: &[f32], from: usize, errors: &mut Vec<f64>) -> Result<(), glassbox::Error> {
        let without_window = (from + STEPS - 1).min(from + x.len());
        errors.resize(errors.len().max(without_window), 0.0);
        if errors.len() == from + x.len() {
            return Ok(());
        }
        let first = errors.len() + 1 - STEPS - from;
        let windows = Samples::windows(&x[first..], STEPS, 1)?;
        let mut y = vec![0.0; windows.len() * STEPS];
        self.session.predict(&windows, &mut y)?;
        let error = |(index, y): (usize, &[f32])| {
            let pairs = windows.get(index).iter().zip(y).skip(STEPS - JUDGED);
            pairs.map(|(x, y)| f64::from((x - y).abs())).sum::<f64>() / JUDGED as f64
        };
        errors.extend(y.chunks_exact(STEPS).enumerate().map(error));
        Ok(())
    }
}

impl Kind {
    fn model(self) -> Result<Sequential, glassbox::Error> {
        let mut model = Sequential::new(Shape::new(STEPS, 1));
        match self {
            Self::Convolutional => {
                let [outer, inner] = FILTERS;
                let down = |filters| {
                    Conv1D::new(filters, TAPS).padding(Padding::Same).strides(2).activation(Activation::Tanh)
                };
                let up = |filters| {
                    let layer = Conv1DTranspose::new(filters, TAPS).padding(Padding::Same);
                    layer.strides(2).activation(Activation::Tanh)
                };
                let narrow = Shape::new(STEPS / 4, inner);
                model.add(down(outer))?.add(down(inner))?;
                model.add(Flatten)?.add(Dense::new(CODE))?;
                model
                    .add(Dense::new(narrow.len()).activation(Activation::Tanh))?
                    .add(Reshape::new(narrow))?;
                model.add(up(inner))?.add(up(outer))?;
                model.add(Conv1DTranspose::new(1, TAPS).padding(Padding::Same))?;
            }
            Self::Recurrent => {
                model.add(LSTM::new(UNITS))?.add(Dense::new(CODE))?.add(RepeatVector::new(STEPS))?;
                model
                    .add(LSTM::new(UNITS).return_sequences(true))?
                    .add(TimeDistributed::new(Dense::new(1)))?;
            }
        }
        Ok(model)
    }
}
