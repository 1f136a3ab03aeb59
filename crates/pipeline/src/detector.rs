//! Detectors: an autoencoder that knows one kind of series, and the error beyond which a window is not of it.

mod file;

use glassbox_engine::model::Network;
use glassbox_engine::samples::Samples;
use glassbox_engine::training::Callback;

use crate::detection::{PointRule, Threshold, anomalous_points, anomalous_windows, indices};
use crate::error::{Error, Result};
use crate::reconstruction::{PREDICT_BATCH, window_errors};
use crate::scaler::Scaler;
use crate::series::Series;
use crate::training::{TrainOptions, Trained, require_autoencoder, train_autoencoder};
use glassbox::{Device, Model};

/// A trained autoencoder, and what it takes to judge a series with it.
#[derive(Debug, Clone)]
pub struct Detector {
    /// The autoencoder; reads and makes windows `(time_steps, 1)`.
    pub model: Network,
    /// Its weights, flat, in the model's layout.
    pub weights: Vec<f32>,
    /// The moments of the training series.
    pub scaler: Scaler,
    /// The largest error of a training window.
    pub threshold: Threshold,
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

    /// Finds anomalies in `series`, which is normalised by the moments of the training series.
    ///
    /// # Errors
    /// If the series is shorter than a window, or has values that cannot be normalised; if the model is no
    /// autoencoder of one channel; if an error is not finite.
    pub fn detect(&self, device: &Device, series: &Series, rule: PointRule) -> Result<Detection> {
        require_series_model(&self.model)?;
        let mut model = Model::with_weights(self.model.clone(), self.weights.clone(), device.clone())?;
        let values = normalise(&self.scaler, series)?;
        let windows = windows(&values, series, self.time_steps())?;
        let errors = window_errors(model.session(PREDICT_BATCH)?, &windows, &mut |_, _| ())?;
        Detection::new(errors, self.threshold, self.time_steps(), rule)
    }
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

/// Trains `model` on all windows of `series`, one step apart, normalised by the series' own moments; the
/// windows are a view and never written out. `start` and `callbacks` as in
/// [`train_autoencoder`].
///
/// # Errors
/// If the model is no autoencoder of one channel, the series is too short or constant, or training fails.
pub fn train_detector<'a>(
    device: &Device,
    model: &Network,
    start: Option<&[f32]>,
    series: &Series,
    options: &'a TrainOptions,
    callbacks: Vec<&'a mut dyn Callback<f32>>,
) -> Result<TrainedDetector> {
    require_series_model(model)?;
    series.require_window(model.input_shape().steps)?;
    let scaler = fit_scaler(series)?;
    let values = normalise(&scaler, series)?;
    let windows = windows(&values, series, model.input_shape().steps)?;
    let mut trained = train_autoencoder(device, model, start, windows, options, callbacks)?;
    let training_errors = window_errors(trained.model.session(PREDICT_BATCH)?, &windows, &mut |_, _| ())?;
    let threshold = Threshold::from_training_errors(&training_errors)?;
    let (model, weights) = (model.clone(), trained.model.flat_weights()?);
    let detector = Detector { model, weights, scaler, threshold };
    Ok(TrainedDetector { detector, trained, training_errors })
}

/// Checks that a model reconstructs windows of one channel.
///
/// # Errors
/// If it reads several channels, or gives back another shape.
pub fn require_series_model(model: &Network) -> Result<()> {
    require_autoencoder(model)?;
    match model.input_shape().channels {
        1 => Ok(()),
        channels => Err(Error::Channels { model: model.name().into(), channels }),
    }
}

/// The moments of a training series.
///
/// # Errors
/// If it has none; the series is named.
pub fn fit_scaler(series: &Series) -> Result<Scaler> {
    Scaler::fit(series.values()).map_err(|problem| named(series, problem))
}

/// The values of a series in standard deviations of the training series.
///
/// # Errors
/// If one is too far out; the series is named.
pub fn normalise(scaler: &Scaler, series: &Series) -> Result<Vec<f32>> {
    scaler.normalise(series.values()).map_err(|problem| named(series, problem))
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
