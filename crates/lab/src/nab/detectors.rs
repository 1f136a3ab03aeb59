//! Detectors that score a series row by row, without a look ahead.
//!
//! All but the first two have the same last stage, [`likelihood`]: NAB's own. They differ in the number that it judges.

mod autoencoder;
mod gaussian;
mod likelihood;
mod moments;

use glassbox::Device;

use crate::Result;
use autoencoder::Kind;
use likelihood::{Likelihood, Range, Rest};
use moments::Moments;

/// The number of alarms that [`Detector::Blind`] raises in a file: one for each mean width of a file's windows.
const BLIND_ALARMS: usize = 10;

/// The largest deviation, in standard deviations: that of the first value that differs from all before it.
const LARGEST_DEVIATION: f64 = 50.0;

/// The rows over which [`Detector::WindowedDeviation`] takes the mean.
const DEVIATION_ROWS: usize = 32;

/// The largest magnitude of a value, whose square is a finite number.
const LARGEST_VALUE: f64 = 1e150;

/// A detector with its settings, which are the same for all files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detector {
    /// Ten alarms at even distances, whatever the data.
    Blind,
    /// NAB's windowed Gaussian.
    WindowedGaussian,
    /// The deviation of a value from the mean of those before it, in their standard deviations.
    Deviation,
    /// The mean of [`Detector::Deviation`] over 32 rows.
    WindowedDeviation,
    /// The error of a convolutional autoencoder that learns as it goes.
    Autoencoder,
    /// The error of an autoencoder of LSTMs that learns in the same way.
    LstmAutoencoder,
    /// The least likely of [`Detector::WindowedDeviation`] and [`Detector::Autoencoder`].
    Ensemble,
}

impl Detector {
    /// All detectors, the baselines first.
    pub const ALL: [Self; 7] = [
        Self::Blind,
        Self::WindowedGaussian,
        Self::Deviation,
        Self::WindowedDeviation,
        Self::Autoencoder,
        Self::LstmAutoencoder,
        Self::Ensemble,
    ];

    /// The name, which is also that of the folder of its results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::WindowedGaussian => "windowedGaussian",
            Self::Deviation => "deviation",
            Self::WindowedDeviation => "windowedDeviation",
            Self::Autoencoder => "autoencoder",
            Self::LstmAutoencoder => "lstmAutoencoder",
            Self::Ensemble => "ensemble",
        }
    }

    /// Its description, in a line.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Blind => "Ten alarms at even distances, whatever the data",
            Self::WindowedGaussian => {
                "NAB's own baseline: the tail probability under a Gaussian of the last 6400 values"
            }
            Self::Deviation => {
                "Distance from the running mean in standard deviations, then NAB's likelihood and range term"
            }
            Self::WindowedDeviation => "The same, with the mean distance of 32 rows",
            Self::Autoencoder => {
                "Reconstruction error of a convolutional autoencoder that learns online, then the same last stage"
            }
            Self::LstmAutoencoder => "The same with LSTMs in place of convolutions",
            Self::Ensemble => {
                "windowedDeviation and autoencoder together: an alarm where either error is unlikely"
            }
        }
    }

    /// A score in [0, 1] for each of `values`; those of the first `probation` rows are 0, or not meant to be used. A score
    /// depends on its row and those before it. Equal to the bit for equal arguments, whatever the device's number of
    /// threads.
    ///
    /// # Errors
    /// If a value is too large for its square to be a number, training diverges, or the device fails.
    pub fn scores(self, values: &[f64], probation: usize, seed: u64, device: &Device) -> Result<Vec<f64>> {
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        if largest > LARGEST_VALUE {
            return Err(glassbox_pipeline::Error::MomentOverflow { largest }.into());
        }
        let autoencoder = |kind| autoencoder::errors(kind, values, probation, seed, device);
        Ok(match self {
            Self::Blind => blind(values.len(), probation),
            Self::WindowedGaussian => gaussian::scores(values),
            Self::Deviation => judged(values, probation, &[deviations(values, 1)]),
            Self::WindowedDeviation => judged(values, probation, &[deviations(values, DEVIATION_ROWS)]),
            Self::Autoencoder => judged(values, probation, &[autoencoder(Kind::Convolutional)?]),
            Self::LstmAutoencoder => judged(values, probation, &[autoencoder(Kind::Recurrent)?]),
            Self::Ensemble => {
                let errors = [deviations(values, DEVIATION_ROWS), autoencoder(Kind::Convolutional)?];
                judged(values, probation, &errors)
            }
        })
    }
}

/// Alarms in the middle of each tenth of the rows after the probation.
fn blind(rows: usize, probation: usize) -> Vec<f64> {
    let distance = ((rows - probation) / BLIND_ALARMS).max(1);
    let alarm = |row: usize| row >= probation && (row - probation) % distance == distance / 2;
    (0..rows).map(|row| f64::from(u8::from(alarm(row)))).collect()
}

/// The mean deviation of each value and the `rows - 1` before it, each from the moments of all values before.
fn deviations(values: &[f64], rows: usize) -> Vec<f64> {
    let mut moments = Moments::default();
    let single: Vec<f64> = values
        .iter()
        .map(|value| {
            let distance = (value - moments.mean()).abs();
            let deviation =
                if distance > 0.0 && moments.count() > 0 { distance / moments.std() } else { 0.0 };
            moments.add(*value);
            deviation.min(LARGEST_DEVIATION)
        })
        .collect();
    let mean = |row: usize| {
        let of = &single[(row + 1).saturating_sub(rows)..=row];
        of.iter().sum::<f64>() / of.len() as f64
    };
    (0..single.len()).map(mean).collect()
}

/// The last stage: how unlikely the least likely of the `errors` of each row is, or 1 where the value leaves the range seen
/// so far.
fn judged(values: &[f64], probation: usize, errors: &[Vec<f64>]) -> Vec<f64> {
    let mut likelihoods: Vec<Likelihood> = errors.iter().map(|_| Likelihood::new(probation)).collect();
    let (mut rest, mut range) = (Rest::default(), Range::default());
    let score = |(row, value): (usize, &f64)| {
        let tails =
            likelihoods.iter_mut().zip(errors).map(|(likelihood, errors)| likelihood.next(errors[row]));
        let score = rest.next(tails.fold(1.0, f64::min));
        if range.leaves(*value) { 1.0 } else { score }
    };
    values.iter().enumerate().map(score).collect()
}

/// The probability that a standard normal variable is above `z`.
fn tail(z: f64) -> f64 {
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}
