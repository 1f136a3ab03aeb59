//! The tutorial from its first line to its last: every step in order, with its numbers.
//!
//! [`run`] takes the data and a backend and gives a [`TutorialRun`]; on the way it tells an [`Observer`] of
//! each [`Stage`] as it is done, so that a command can print while the run goes on.

use std::time::{Duration, Instant};

use glassbox_engine::model::Network;
use glassbox_engine::training::{Callback, Fitted};
use serde::{Deserialize, Serialize};

use crate::architecture::tutorial_model;
use crate::detection::{PointRule, Threshold};
use crate::detector::{Detection, Detector, fit_scaler, normalise, require_series_model, windows};
use crate::error::Result;
use crate::inside::{Inside, NormsProbe};
use crate::nab::TutorialData;
use crate::reconstruction::{PREDICT_BATCH, window_errors};
use crate::rows::Calibration;
use crate::scaler::Scaler;
use crate::series::Columns;
use crate::training::{Split, TrainOptions, Trained, train_autoencoder};
use glassbox::Device;

/// The tutorial's window: a day of five-minute steps.
pub const TIME_STEPS: usize = 288;
/// The rows that `head()` shows.
pub const HEAD: usize = 5;

/// The options of the tutorial; the defaults are the tutorial's. They serialise as `config` of `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TutorialOptions {
    /// The length of a window, in steps, which must suit the model: for the tutorial's, a multiple of 4. Default: 288.
    pub time_steps: usize,
    /// An autoencoder of windows of one channel, in the place of the tutorial's. Default: none.
    #[serde(skip)]
    pub model: Option<Network>,
    /// How the model is trained.
    #[serde(flatten)]
    pub train: TrainOptions,
    /// Which windows must be anomalous for a point to be. Default: as published.
    pub point_rule: PointRule,
    /// Capture the internals of the model, which changes no other result. Default: no.
    #[serde(skip)]
    pub inside: bool,
}

impl Default for TutorialOptions {
    fn default() -> Self {
        Self {
            time_steps: TIME_STEPS,
            model: None,
            train: TrainOptions::default(),
            point_rule: PointRule::default(),
            inside: false,
        }
    }
}

/// A stage of the tutorial, when it is done. In order, once each.
#[derive(Debug, Clone, Copy)]
pub enum Stage<'a> {
    /// Both series are there.
    Loaded {
        /// The series, and where they come from; the tutorial prints the `head` of each, [`HEAD`] rows.
        data: &'a TutorialData,
    },
    /// The training series is normalised.
    Normalised {
        /// By these moments.
        scaler: Scaler,
        /// Its rows, "Number of training samples".
        samples: usize,
    },
    /// The training windows are there.
    Windowed {
        /// (windows, steps, channels).
        shape: [usize; 3],
        /// How many are trained on.
        split: Split,
    },
    /// The model is built.
    Built {
        /// The model; its `summary()` prints.
        model: &'a Network,
    },
    /// `fit` is done.
    Trained {
        /// How it went.
        trained: &'a Trained,
    },
    /// The training windows are predicted.
    Threshold {
        /// Their errors, in standard deviations of the training series.
        errors: &'a [f64],
        /// The largest error.
        threshold: Threshold,
    },
    /// The first training window is reconstructed.
    Reconstructed {
        /// The window, in standard deviations of the training series.
        window: &'a [f32],
        /// Its reconstruction.
        reconstruction: &'a [f32],
    },
    /// The test series is normalised and its windows are there.
    TestWindowed {
        /// (windows, steps, channels).
        shape: [usize; 3],
    },
    /// Anomalies are found.
    Detected {
        /// Errors, windows and points of the test series.
        detection: &'a Detection,
    },
}

/// Follows a run of the tutorial.
pub trait Observer {
    /// The callbacks of training, told of each epoch and batch.
    fn callbacks(&mut self) -> Vec<&mut dyn Callback<f32>> {
        vec![]
    }

    /// A stage is done.
    fn on_stage(&mut self, stage: Stage<'_>) {
        let _ = stage;
    }

    /// `done` of `batches` are predicted, for the training windows first and then for the test windows.
    fn on_predict_batch(&mut self, done: usize, batches: usize) {
        let _ = (done, batches);
    }
}

/// An observer that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Observer for Quiet {}

/// How long a run took, in seconds, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// The backend's name.
    pub backend: String,
    /// Epochs that were done by an earlier run, from whose checkpoint this one went on.
    pub resumed_from: usize,
    /// Each epoch, with its validation.
    pub epochs: Vec<f64>,
    /// All of `fit`.
    pub fit: f64,
    /// Predicting the training windows.
    pub predict_train: f64,
    /// Normalising and predicting the test series.
    pub predict_test: f64,
    /// Capturing the internals of the model, during `fit` and after; 0 if that is off.
    #[serde(default)]
    pub inside: f64,
    /// The whole run, without loading the data.
    pub total: f64,
}

/// Everything that a run gave.
#[derive(Debug, Clone)]
pub struct TutorialRun {
    /// The two series.
    pub data: TutorialData,
    /// The options.
    pub options: TutorialOptions,
    /// How many training windows are trained on, and in how many steps an epoch.
    pub split: Split,
    /// The losses, and how training ended.
    pub fitted: Fitted,
    /// The error of each training window, in standard deviations of the training series.
    pub training_errors: Vec<f64>,
    /// The first training window, in standard deviations of the training series.
    pub first_window: Vec<f32>,
    /// Its reconstruction.
    pub first_reconstruction: Vec<f32>,
    /// Model, weights, moments and threshold.
    pub detector: Detector,
    /// The anomalies in the test series.
    pub detection: Detection,
    /// The internals of the model, if they were captured.
    pub inside: Option<Inside>,
    /// How long it took, and where.
    pub timings: Timings,
}

/// Runs the tutorial on `data`.
///
/// # Errors
/// If the window's length does not suit the model or the data, an option makes no sense, a number is not
/// finite, or the observer ends the training with an error.
pub fn run(
    data: TutorialData,
    device: &Device,
    options: &TutorialOptions,
    observer: &mut dyn Observer,
) -> Result<TutorialRun> {
    let began = Instant::now();
    let (train, test) = (&data.train.series, &data.test.series);
    let time_steps = options.time_steps;

    // 1. Both series.
    observer.on_stage(Stage::Loaded { data: &data });

    // 2. Mean 0 and standard deviation 1.
    let scaler = fit_scaler(train)?;
    let values = normalise(&scaler, train)?;
    observer.on_stage(Stage::Normalised { scaler, samples: values.len() });

    // 3. Windows, as a view. The model is built first: it says whether it can take their length.
    let model = match &options.model {
        None => tutorial_model(time_steps)?,
        Some(model) => model.clone(),
    };
    require_windows(&model, time_steps)?;
    let train_windows = windows(&values, train, time_steps)?;
    // Not first found out once all is trained.
    test.require_window(time_steps)?;
    let split = Split::of(train_windows.len(), &options.train.fit)?;
    observer.on_stage(Stage::Windowed { shape: [train_windows.len(), time_steps, 1], split });

    // 4. The model.
    observer.on_stage(Stage::Built { model: &model });

    // 5. Fit.
    let mut probe = options.inside.then(|| NormsProbe::new(model.layout()));
    let mut callbacks = observer.callbacks();
    if let Some(probe) = &mut probe {
        callbacks.push(probe);
    }
    let mut trained = train_autoencoder(device, &model, None, train_windows, &options.train, callbacks)?;
    observer.on_stage(Stage::Trained { trained: &trained });

    // 6. The errors of the training windows; the largest is the threshold.
    let predicting = Instant::now();
    let session = trained.model.session(PREDICT_BATCH)?;
    let training_errors =
        window_errors(session, &train_windows, &mut |done, of| observer.on_predict_batch(done, of))?;
    let predict_train = predicting.elapsed();
    let threshold = Threshold::from_training_errors(&training_errors)?;
    observer.on_stage(Stage::Threshold { errors: &training_errors, threshold });

    // 7. The first window and its reconstruction.
    let first_window = train_windows.get(0).to_vec();
    let mut first_reconstruction = vec![0.0; first_window.len()];
    session.predict(&train_windows.slice(0..1), &mut first_reconstruction)?;
    observer.on_stage(Stage::Reconstructed { window: &first_window, reconstruction: &first_reconstruction });

    // 8. The test series, normalised by the moments of the training series.
    observer.on_stage(Stage::TestWindowed { shape: [test.len() - time_steps + 1, time_steps, 1] });
    let predicting = Instant::now();
    let test_values = normalise(&scaler, test)?;
    let test_windows = windows(&test_values, test, time_steps)?;
    let errors = window_errors(session, &test_windows, &mut |done, of| observer.on_predict_batch(done, of))?;
    let detection = Detection::new(errors, threshold, time_steps, options.point_rule)?;
    let predict_test = predicting.elapsed();

    // 9. Anomalous windows and points.
    observer.on_stage(Stage::Detected { detection: &detection });

    // Not a part of the tutorial: a detector that can judge rows.
    let detector = Detector {
        weights: session.state()?.weights,
        units: vec![],
        columns: Columns::default().values,
        scalers: vec![scaler],
        threshold,
        calibration: Some(Calibration::fit(session, &[train_windows])?),
        sampling_step: train.sampling().step,
        model,
    };

    // Nor is a look inside.
    let looking = Instant::now();
    let mut inside_took = Duration::ZERO;
    let inside = match probe {
        None => None,
        Some(probe) => {
            let (norms, took) = probe.finish();
            let both = (&train_windows, &test_windows);
            let inside = Inside::capture(session, &detector.model, both, &detection, norms)?;
            inside_took = took + looking.elapsed();
            Some(inside)
        }
    };
    let timings = Timings {
        backend: device.to_string(),
        resumed_from: trained.fitted.resumed_from,
        epochs: trained.fitted.epoch_durations.iter().map(Duration::as_secs_f64).collect(),
        fit: trained.fitted.duration.as_secs_f64(),
        predict_train: predict_train.as_secs_f64(),
        predict_test: predict_test.as_secs_f64(),
        inside: inside_took.as_secs_f64(),
        total: began.elapsed().as_secs_f64(),
    };
    Ok(TutorialRun {
        options: options.clone(),
        split,
        fitted: trained.fitted,
        training_errors,
        first_window,
        first_reconstruction,
        detector,
        detection,
        inside,
        timings,
        data,
    })
}

/// Checks that a model reconstructs windows of this length.
fn require_windows(model: &Network, time_steps: usize) -> Result<()> {
    require_series_model(model)?;
    match model.input_shape().steps {
        steps if steps == time_steps => Ok(()),
        steps => Err(glassbox_engine::Error::Mismatch {
            what: format!("the windows of model {}", model.name()),
            expected: format!("{steps} steps, as its input has"),
            found: format!("{time_steps}"),
        }
        .into()),
    }
}
