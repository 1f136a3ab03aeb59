//! From a run to its `result.json`.

use std::ops::Range;

use glassbox_engine::model::Network;

use super::schema::{
    Anomalies, DataInfo, Errors, ModelInfo, Point, Points, RunResult, SCHEMA, SeriesInfo, Stretch, Training,
    Versions, WindowRange, Windows,
};
use crate::detection::stretches;
use crate::detector::Detection;
use crate::nab::{LoadedPart, Source, TEST, TRAIN, TutorialData};
use crate::reconstruction::predict_batches;
use crate::scaler::Scaler;
use crate::series::Series;
use crate::statistics::Summary;
use crate::tutorial::TutorialRun;

impl RunResult {
    /// The numbers of `run`.
    #[must_use]
    pub fn of(run: &TutorialRun) -> Self {
        let detector = &run.detector;
        let windows = run.training_errors.len();
        Self {
            schema: SCHEMA,
            versions: Versions::current(),
            data: DataInfo::of(&run.data),
            config: run.options.clone(),
            model: ModelInfo::of(&detector.model),
            training: Training {
                mean: detector.scalers[0].mean(),
                std: detector.scalers[0].std(),
                shape: [windows, run.options.time_steps, 1],
                training_windows: run.split.training,
                validation_windows: run.split.validation,
                steps_per_epoch: run.split.steps_per_epoch,
                epochs: run.fitted.history.loss.len(),
                stopped_epoch: run.fitted.stopped_epoch,
                restored_epoch: run.fitted.restored_epoch,
                history: run.fitted.history.clone(),
                predict_batches: predict_batches(windows),
            },
            threshold: detector.threshold.value(),
            errors: Errors {
                train: Summary::of(&run.training_errors),
                test: Summary::of(&run.detection.errors),
            },
            anomalies: Anomalies::of(&run.data.test.series, &run.detection),
            timings: run.timings.clone(),
        }
    }
}

impl ModelInfo {
    /// Describes `model`.
    #[must_use]
    pub fn of(model: &Network) -> Self {
        Self {
            name: model.name().into(),
            parameters: model.layout().len(),
            layers: model.layers().iter().map(|layer| layer.name.clone()).collect(),
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

impl DataInfo {
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
