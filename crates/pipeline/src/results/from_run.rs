//! From a run to its `result.json`.

use std::ops::Range;
use std::time::Duration;

use glassbox_engine::training::{EarlyStopping, Mode, Monitor};

use super::schema::{
    Anomalies, Config, Data, EarlyStoppingConfig, Errors, ModelInfo, Point, Points, RunResult, SCHEMA,
    SeriesInfo, Stretch, TimingsInfo, Training, Versions, WindowRange, Windows,
};
use crate::detection::stretches;
use crate::detector::Detection;
use crate::nab::{LoadedPart, Source, TEST, TRAIN, TutorialData};
use crate::scaler::Scaler;
use crate::series::Series;
use crate::statistics::Summary;
use crate::training::Split;
use crate::tutorial::{Timings, TutorialOptions, TutorialRun};

impl RunResult {
    /// The numbers of `run`.
    #[must_use]
    pub fn of(run: &TutorialRun) -> Self {
        let detector = &run.detector;
        let layers = detector.model.layers().iter().map(|layer| layer.name.clone()).collect();
        Self {
            schema: SCHEMA,
            versions: Versions::current(),
            data: Data::of(&run.data),
            config: Config::of(&run.options),
            model: ModelInfo {
                name: detector.model.name().into(),
                parameters: detector.model.layout().len(),
                layers,
            },
            training: Training::of(run, detector.scaler, run.split),
            threshold: detector.threshold.value(),
            errors: Errors {
                train: Summary::of(&run.training_errors),
                test: Summary::of(&run.detection.errors),
            },
            anomalies: Anomalies::of(&run.data.test.series, &run.detection),
            timings: TimingsInfo::of(&run.timings, &run.backend, run.fitted.resumed_from),
        }
    }
}

impl Versions {
    /// The versions of this build.
    #[must_use]
    pub fn current() -> Self {
        Self { glassbox: env!("CARGO_PKG_VERSION").into(), keras_semantics: "3".into() }
    }
}

impl Data {
    /// Describes `data`.
    #[must_use]
    pub fn of(data: &TutorialData) -> Self {
        let (source, folder, twin_seed) = match &data.source {
            Source::Directory(folder) => ("directory", Some(folder), None),
            Source::Cache(folder) => ("cache", Some(folder), None),
            Source::Twin { seed } => ("twin", None, Some(*seed)),
        };
        Self {
            source: source.into(),
            folder: folder.map(|folder| folder.display().to_string()),
            twin_seed,
            train: SeriesInfo::of(&data.train),
            test: SeriesInfo::of(&data.test),
        }
    }

    /// `true` if both series are the published files of the tutorial, as their checksums tell.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.train.sha256 == TRAIN.sha256.to_string() && self.test.sha256 == TEST.sha256.to_string()
    }

    /// `true` if both series are the built-in synthetic ones.
    #[must_use]
    pub fn is_twin(&self) -> bool {
        self.source == "twin"
    }
}

impl SeriesInfo {
    fn of(part: &LoadedPart) -> Self {
        let series = &part.series;
        let moments = Scaler::fit(series.values()).ok();
        Self {
            name: series.name().into(),
            sha256: part.sha256.to_string(),
            rows: series.len(),
            first_timestamp: series.timestamp_text(0),
            last_timestamp: series.timestamp_text(series.len() - 1),
            mean: moments.map(|moments| moments.mean()),
            std: moments.map(|moments| moments.std()),
            warnings: part.warnings.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Config {
    /// The options that were chosen.
    #[must_use]
    pub fn of(options: &TutorialOptions) -> Self {
        let train = &options.train;
        Self {
            seed: train.seed,
            time_steps: options.time_steps,
            epochs: train.epochs,
            batch_size: train.batch_size,
            validation_split: train.validation_split,
            shuffle: train.shuffle,
            loss: train.loss.name().into(),
            optimizer: train.optimizer.class_name().to_lowercase(),
            learning_rate: train.optimizer.learning_rate(),
            early_stopping: train.early_stopping.as_ref().map(EarlyStoppingConfig::of),
            point_rule: options.rule,
        }
    }
}

impl EarlyStoppingConfig {
    fn of(options: &EarlyStopping) -> Self {
        let monitor = match options.monitor {
            Monitor::Loss => "loss",
            Monitor::ValLoss => "val_loss",
        };
        let mode = match options.mode {
            Mode::Auto => "auto",
            Mode::Min => "min",
            Mode::Max => "max",
        };
        Self {
            monitor: monitor.into(),
            min_delta: options.min_delta,
            patience: options.patience,
            mode: mode.into(),
            baseline: options.baseline,
            start_from_epoch: options.start_from_epoch,
            restore_best_weights: options.restore_best_weights,
        }
    }
}

impl Training {
    fn of(run: &TutorialRun, scaler: Scaler, split: Split) -> Self {
        Self {
            mean: scaler.mean(),
            std: scaler.std(),
            shape: run.train_shape,
            training_windows: split.training,
            validation_windows: split.validation,
            steps_per_epoch: split.steps_per_epoch,
            epochs: run.fitted.history.loss.len(),
            stopped_epoch: run.fitted.stopped_epoch,
            restored_epoch: run.fitted.restored_epoch,
            history: run.fitted.history.clone(),
            predict_batches: run.predict_batches,
        }
    }
}

impl Anomalies {
    /// The anomalies that `detection` found in `series`.
    #[must_use]
    pub fn of(series: &Series, detection: &Detection) -> Self {
        let point = |index: usize| Point { index, timestamp: series.timestamp_text(index) };
        let range = |range: Range<usize>| WindowRange { first: range.start, last: range.end - 1 };
        let stretch = |range: Range<usize>| Stretch {
            first: point(range.start),
            last: point(range.end - 1),
            count: range.len(),
        };
        let Detection { windows, points, .. } = detection;
        Self {
            windows: Windows {
                shape: [detection.errors.len(), detection.time_steps, 1],
                count: windows.len(),
                ranges: stretches(windows).into_iter().map(range).collect(),
                indices: windows.clone(),
            },
            points: Points {
                count: points.len(),
                first: points.first().copied().map(point),
                last: points.last().copied().map(point),
                stretches: stretches(points).into_iter().map(stretch).collect(),
                indices: points.clone(),
            },
        }
    }
}

impl TimingsInfo {
    fn of(timings: &Timings, backend: &str, resumed_from: usize) -> Self {
        Self {
            backend: backend.into(),
            resumed_from,
            epochs: timings.epochs.iter().map(Duration::as_secs_f64).collect(),
            fit: timings.fit.as_secs_f64(),
            predict_train: timings.predict_train.as_secs_f64(),
            predict_test: timings.predict_test.as_secs_f64(),
            inside: timings.inside.as_secs_f64(),
            total: timings.total.as_secs_f64(),
        }
    }
}
