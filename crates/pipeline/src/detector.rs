//! Detectors: an autoencoder that knows one kind of series, and the error beyond which a window is not of it.

mod file;

use std::ops::Range;

use glassbox_engine::memory;
use glassbox_engine::model::Network;
use glassbox_engine::samples::Samples;
use glassbox_engine::training::Callback;
use jiff::SignedDuration;

use crate::detection::{PointRule, Threshold, anomalous_points, anomalous_windows, indices};
use crate::error::{Error, Result};
use crate::reconstruction::{PREDICT_BATCH, reconstruct_each, window_errors};
use crate::rows::{Alarm, Calibration, Judged, Reason, RowDetection, Rows, Terms, ThresholdRule};
use crate::scaler::Scaler;
use crate::series::{Series, SeriesError};
use crate::training::{TrainOptions, Trained, require_autoencoder, train_autoencoder};
use glassbox::{Device, Model};

/// A trained autoencoder, and what it takes to judge a series with it.
#[derive(Debug, Clone)]
pub struct Detector {
    /// The autoencoder; reads and makes windows `(time_steps, channels)`.
    pub model: Network,
    /// Its weights, flat, in the model's layout.
    pub weights: Vec<f32>,
    /// The names of the columns of the training series, one for each channel; empty if they are not known, as in files
    /// of earlier versions.
    pub columns: Vec<String>,
    /// The units of these columns, an empty text for one without; empty if no column has one.
    pub units: Vec<String>,
    /// The moments of each column of the training series, one for each channel.
    pub scalers: Vec<Scaler>,
    /// The largest error of a training window.
    pub threshold: Threshold,
    /// The calibration of row scores; `None` in files of earlier versions.
    pub calibration: Option<Calibration>,
    /// The sampling step of the training series, if it has one; `None` in files of earlier versions too.
    pub sampling_step: Option<SignedDuration>,
}

/// The result of a detector on a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// The length of a window, in steps.
    pub time_steps: usize,
    /// Which windows must be anomalous for a point to be.
    pub rule: PointRule,
    /// The error above which a window is anomalous.
    pub threshold: Threshold,
    /// The error of each window: the mean over its steps of |input - reconstruction|, in standard deviations
    /// of the training series.
    pub errors: Vec<f64>,
    /// The anomalous windows, by their first row, ascending.
    pub windows: Vec<usize>,
    /// The anomalous rows, ascending.
    pub points: Vec<usize>,
}

impl Detection {
    /// Judges windows by their errors, and points by their windows.
    ///
    /// # Errors
    /// If an error is not finite, or windows are too short for the rule.
    pub fn new(errors: Vec<f64>, threshold: Threshold, time_steps: usize, rule: PointRule) -> Result<Self> {
        let anomalous = anomalous_windows(&errors, threshold)?;
        let points = anomalous_points(&anomalous, time_steps, rule)?;
        Ok(Self { time_steps, rule, threshold, errors, windows: indices(&anomalous), points })
    }
}

impl Detector {
    /// The length of a window, in steps.
    #[must_use]
    pub fn time_steps(&self) -> usize {
        self.model.input_shape().steps
    }

    /// Finds anomalies in `series`, each column of which is normalised by the moments of the training series.
    ///
    /// # Errors
    /// If the series is shorter than a window, or has values that cannot be normalised; if the model is no
    /// autoencoder of its columns; if an error is not finite.
    pub fn detect(&self, device: &Device, series: &Series, rule: PointRule) -> Result<Detection> {
        require_channels(&self.model, series.columns().len())?;
        let mut model = Model::with_weights(self.model.clone(), self.weights.clone(), device.clone())?;
        let values = normalise_columns(&self.scalers, series)?;
        series.require_window(self.time_steps())?;
        let windows = Samples::windows(&values, self.time_steps(), self.scalers.len())?;
        let errors = window_errors(model.session(PREDICT_BATCH)?, &windows, &mut |_, _| ())?;
        Detection::new(errors, self.threshold, self.time_steps(), rule)
    }

    /// Scores each row of `series` and judges it by the threshold of `rule`. No window runs across a gap, by the sampling
    /// step of the training series. [`LiveDetector`](crate::live::LiveDetector) gives the same scores, to the bit, row by
    /// row.
    ///
    /// # Errors
    /// If the detector has no calibration, or too few training scores for the rule; if the series has another sampling
    /// step than the training series, or no stretch as long as a window, or values that cannot be normalised; if an error
    /// is not finite.
    pub fn judge(&self, device: &Device, series: &Series, rule: ThresholdRule) -> Result<RowDetection> {
        let calibration = self.calibration.as_ref().ok_or(Error::NoCalibration)?;
        let alarm = Alarm::new(rule, calibration)?;
        let channels = self.scalers.len();
        require_channels(&self.model, series.columns().len())?;
        self.require_step(series)?;
        let values = normalise_columns(&self.scalers, series)?;
        let steps = self.time_steps();
        let stretches = stretches(series, self.sampling_step);
        require_stretch(series, &stretches, steps)?;
        let mut model = Model::with_weights(self.model.clone(), self.weights.clone(), device.clone())?;
        let session = model.session(PREDICT_BATCH)?;
        let [mut settled_threshold, mut live_threshold] = alarm.running(calibration);
        let mut detection = RowDetection { time_steps: steps, alarm, windows: 0, rows: vec![] };
        let mut judged = |terms: &Terms| {
            let mut judged = Judged::unjudged(Reason::ShortStretch);
            judged.judge_settled(terms, None, calibration, &mut settled_threshold);
            judged
        };
        for stretch in stretches {
            if stretch.len() < steps {
                detection.rows.extend(stretch.map(|_| Judged::unjudged(Reason::ShortStretch)));
                continue;
            }
            let windows =
                Samples::windows(&values[stretch.start * channels..stretch.end * channels], steps, channels)?;
            let first = detection.rows.len();
            let mut rows = Rows::new(calibration);
            let mut live = vec![];
            reconstruct_each(session, &windows, |x, y| {
                let [settled, newest] = rows.push(x, y)?;
                let mut at_once = Judged::unjudged(Reason::ShortStretch);
                at_once.judge_live(newest, calibration, &mut live_threshold);
                live.push(at_once.live);
                detection.rows.push(judged(settled));
                Ok::<(), Error>(())
            })?;
            // The first of them is judged already.
            detection.rows.extend(rows.open().skip(1).map(|terms| judged(&terms)));
            detection.windows += windows.len();
            for (row, live) in detection.rows[first + steps - 1..].iter_mut().zip(live) {
                row.live = live;
            }
        }
        Ok(detection)
    }

    /// Checks that the columns of a series have the units of the training series. `units` has one for each column, an empty
    /// text where it is not known.
    ///
    /// # Errors
    /// [`Error::OtherUnit`].
    pub fn require_units(&self, units: &[String]) -> Result<()> {
        for (column, found) in units.iter().enumerate().filter(|(_, unit)| !unit.is_empty()) {
            let expected = self.units.get(column).cloned().unwrap_or_default();
            if *found != expected {
                let column = self.columns.get(column).cloned().unwrap_or_default();
                return Err(Error::OtherUnit { column, found: found.clone(), expected });
            }
        }
        Ok(())
    }

    /// Checks that `series` has the sampling step of the training series, up to a tenth.
    ///
    /// # Errors
    /// [`Error::OtherStep`].
    pub fn require_step(&self, series: &Series) -> Result<()> {
        let steps = self.sampling_step.zip(series.sampling().step);
        steps.map_or(Ok(()), |(expected, found)| require_step(expected, found, series.name()))
    }
}

/// Checks that the sampling step of a series is that of the training series, up to a tenth.
pub(crate) fn require_step(expected: SignedDuration, found: SignedDuration, series: &str) -> Result<()> {
    if 10 * (expected - found).abs().as_nanos() > expected.as_nanos() {
        return Err(Error::OtherStep { series: series.into(), found, expected });
    }
    Ok(())
}

/// The rows between gaps, by `step`, else by the series' own sampling step; each row if it has none.
pub(crate) fn stretches(series: &Series, step: Option<SignedDuration>) -> Vec<Range<usize>> {
    match step.or_else(|| series.sampling().step) {
        Some(step) => series.stretches(step),
        None => (0..series.len()).map(|row| row..row + 1).collect(),
    }
}

/// Checks that a stretch is as long as a window.
fn require_stretch(series: &Series, stretches: &[Range<usize>], steps: usize) -> Result<()> {
    series.require_window(steps)?;
    let longest = stretches.iter().map(Range::len).max().unwrap_or(0);
    if longest >= steps {
        return Ok(());
    }
    let name = series.name().into();
    Err(SeriesError::NoWholeWindow { name, stretches: stretches.len(), longest, steps }.into())
}

/// A detector after its training.
#[derive(Debug)]
pub struct TrainedDetector {
    /// The detector.
    pub detector: Detector,
    /// How training went, and the session that has the weights.
    pub trained: Trained,
    /// The error of each training window, those of the validation part too; the largest is the threshold.
    pub training_errors: Vec<f64>,
}

/// Trains `model` on all windows of `series` that do not run across a gap, one step apart, normalised by the series' own
/// moments, and calibrates its row scores. The detector does not know the names of its columns. `start` and `callbacks` as in [`train_autoencoder`].
///
/// The windows of a series without gaps are a view and never written out; those of a series with gaps are.
///
/// # Errors
/// If the model is no autoencoder of the columns, no stretch of the series is as long as a window, the series is
/// constant, or training fails.
pub fn train_detector<'a>(
    device: &Device,
    model: &Network,
    start: Option<&[f32]>,
    series: &Series,
    options: &'a TrainOptions,
    callbacks: Vec<&'a mut dyn Callback<f32>>,
) -> Result<TrainedDetector> {
    let channels = series.columns().len();
    require_channels(model, channels)?;
    let shape = model.input_shape();
    let stretches = stretches(series, None);
    require_stretch(series, &stretches, shape.steps)?;
    let fit = |values: &Vec<f64>| Scaler::fit(values).map_err(|problem| named(series, problem));
    let scalers: Vec<Scaler> = series.columns().iter().map(fit).collect::<Result<_>>()?;
    let values = normalise_columns(&scalers, series)?;
    let long = stretches.into_iter().filter(|stretch| stretch.len() >= shape.steps);
    let stretches: Vec<Samples<'_, f32>> = long
        .map(|rows| {
            Samples::windows(&values[rows.start * channels..rows.end * channels], shape.steps, channels)
        })
        .collect::<Result<_, _>>()?;
    let written_out;
    let windows = match &stretches[..] {
        [whole] => *whole,
        several => {
            written_out = write_out(several)?;
            Samples::dense(&written_out, shape)?
        }
    };
    let mut trained = train_autoencoder(device, model, start, windows, options, callbacks)?;
    let session = trained.model.session(PREDICT_BATCH)?;
    let training_errors = window_errors(session, &windows, &mut |_, _| ())?;
    let threshold = Threshold::from_training_errors(&training_errors)?;
    let calibration = Some(Calibration::fit(session, &stretches)?);
    let (model, weights) = (model.clone(), trained.model.flat_weights()?);
    let sampling_step = series.sampling().step;
    let detector = Detector {
        model,
        weights,
        columns: vec![],
        units: vec![],
        scalers,
        threshold,
        calibration,
        sampling_step,
    };
    Ok(TrainedDetector { detector, trained, training_errors })
}

/// The values of all windows of several stretches, one window after the other.
fn write_out(stretches: &[Samples<'_, f32>]) -> Result<Vec<f32>> {
    let count = stretches.iter().map(Samples::len).sum();
    let len = stretches[0].shape().len();
    let bytes = memory::product(&[count, len, size_of::<f32>()]);
    memory::require("the windows of a series with gaps", bytes, "train on a part of it, or fill its gaps")?;
    let windows = stretches.iter().flat_map(|windows| (0..windows.len()).map(|window| windows.get(window)));
    Ok(windows.flatten().copied().collect())
}

/// Checks that a model reconstructs windows of one channel.
///
/// # Errors
/// If it reads several channels, or gives back another shape.
pub fn require_series_model(model: &Network) -> Result<()> {
    require_channels(model, 1)
}

/// Checks that a model reconstructs windows of a series with so many columns.
pub(crate) fn require_channels(model: &Network, columns: usize) -> Result<()> {
    require_autoencoder(model)?;
    match model.input_shape().channels {
        channels if channels == columns => Ok(()),
        channels => Err(Error::Channels { model: model.name().into(), channels, columns }),
    }
}

/// The moments of a training series of one column.
///
/// # Errors
/// If it has none; the series is named.
pub fn fit_scaler(series: &Series) -> Result<Scaler> {
    Scaler::fit(series.values()).map_err(|problem| named(series, problem))
}

/// The values of a series of one column in standard deviations of the training series.
///
/// # Errors
/// If one is too far out; the series is named.
pub fn normalise(scaler: &Scaler, series: &Series) -> Result<Vec<f32>> {
    scaler.normalise(series.values()).map_err(|problem| named(series, problem))
}

/// The values of a series, row by row, each column in standard deviations of its training series.
pub(crate) fn normalise_columns(scalers: &[Scaler], series: &Series) -> Result<Vec<f32>> {
    let mut rows = vec![0.0; series.len() * scalers.len()];
    for (channel, (scaler, values)) in scalers.iter().zip(series.columns()).enumerate() {
        let values = scaler.normalise(values).map_err(|problem| named(series, problem))?;
        rows.iter_mut().skip(channel).step_by(scalers.len()).zip(values).for_each(|(to, value)| *to = value);
    }
    Ok(rows)
}

/// All windows of `steps` rows of the normalised `values` of `series`, as a view.
///
/// # Errors
/// If the series is shorter than one.
pub fn windows<'a>(values: &'a [f32], series: &Series, steps: usize) -> Result<Samples<'a, f32>> {
    series.require_window(steps)?;
    Ok(Samples::windows(values, steps, 1)?)
}

fn named(series: &Series, problem: Error) -> Error {
    Error::Values { series: series.name().into(), problem: problem.into() }
}
