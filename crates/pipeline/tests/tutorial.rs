//! The tutorial's steps and results, on a few days of the twin with short windows.

use std::path::Path;

use glassbox::Device;
use glassbox_engine::layers::{Dense, Dropout, GRU, LSTM, RepeatVector, TimeDistributed};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::reference::Reference;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::{Callback, Fit};
use glassbox_formats::hash::Sha256;
use glassbox_formats::output_folder::OutputFolder;
use glassbox_pipeline::architecture::lstm_model;
use glassbox_pipeline::detector::Detector;
use glassbox_pipeline::nab::{LoadedPart, Source, TutorialData};
use glassbox_pipeline::results::{self, RunResult};
use glassbox_pipeline::series::Series;
use glassbox_pipeline::synthetic::{self, Subset};
use glassbox_pipeline::training::TrainOptions;
use glassbox_pipeline::tutorial::{Observer, Quiet, Stage, TutorialOptions, TutorialRun, run};

/// A day and a half of the twin; the second half of it has the jump in the test series.
fn data() -> TutorialData {
    let part = |part| {
        let twin = synthetic::series(part, 1);
        let rows = 9 * 288 + 144..11 * 288;
        let (times, values) = (&twin.timestamps()[rows.clone()], &twin.values()[rows]);
        let series = Series::new(twin.name(), twin.clock(), times.to_vec(), values.to_vec()).unwrap();
        LoadedPart { series, sha256: Sha256::of(b"a test"), warnings: vec![] }
    };
    TutorialData { train: part(Subset::Train), test: part(Subset::Test), source: Source::Twin { seed: 1 } }
}

fn options() -> TutorialOptions {
    let defaults = TrainOptions::default();
    let train = TrainOptions { fit: Fit { epochs: 2, ..defaults.fit }, seed: 1, ..defaults };
    TutorialOptions { time_steps: 24, train, ..TutorialOptions::default() }
}

fn tutorial() -> TutorialRun {
    run(data(), &Device::new(Reference), &options(), &mut Quiet).unwrap()
}

#[derive(Default)]
struct Recorder {
    steps: Vec<String>,
    batches: Vec<(usize, usize)>,
    epochs: usize,
}

impl Callback<f32> for Recorder {
    fn on_epoch_begin(&mut self, _: usize, _: usize) {
        self.epochs += 1;
    }
}

impl Observer for Recorder {
    fn callbacks(&mut self) -> Vec<&mut dyn Callback<f32>> {
        vec![self]
    }

    fn on_stage(&mut self, stage: Stage<'_>) {
        self.steps.push(match stage {
            Stage::Loaded { data } => format!("loaded {}", data.train.series.len()),
            Stage::Normalised { samples, .. } => format!("normalised {samples}"),
            Stage::Windowed { shape, split } => format!("windowed {shape:?} {}", split.steps_per_epoch),
            Stage::Built { model } => format!("built {}", model.layout().len()),
            Stage::Trained { trained } => format!("trained {}", trained.fitted.history.val_loss.len()),
            Stage::Threshold { errors, .. } => format!("threshold {}", errors.len()),
            Stage::Reconstructed { window, reconstruction } => {
                format!("reconstructed {} {}", window.len(), reconstruction.len())
            }
            Stage::TestWindowed { shape } => format!("test {shape:?}"),
            Stage::Detected { detection } => format!("detected {}", detection.errors.len()),
        });
    }

    fn on_predict_batch(&mut self, done: usize, batches: usize) {
        self.batches.push((done, batches));
    }
}

#[test]
fn every_step_is_told_in_order() {
    let mut recorder = Recorder::default();
    run(data(), &Device::new(Reference), &options(), &mut recorder).unwrap();
    assert_eq!(
        recorder.steps,
        [
            "loaded 432",
            "normalised 432",
            "windowed [409, 24, 1] 3",
            "built 9505",
            "trained 2",
            "threshold 409",
            "reconstructed 24 24",
            "test [409, 24, 1]",
            "detected 409",
        ]
    );
    assert_eq!(recorder.epochs, 2);
    let once: Vec<_> = (1..=13).map(|done| (done, 13)).collect();
    assert_eq!(recorder.batches, [once.clone(), once].concat());
}

#[test]
fn the_results_say_what_the_run_found_and_are_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let done = tutorial();
    let (a, b) = (folder.path().join("a"), folder.path().join("b/c"));
    let folder = |dir| OutputFolder::open(dir, &results::FILES, &[]).unwrap();
    results::write(&mut folder(&a), &done).unwrap();
    results::write(&mut folder(&b), &tutorial()).unwrap();
    let read = |folder: &Path, name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    for name in ["windows.csv", "anomalies.csv", "history.csv"] {
        assert_eq!(read(&a, name), read(&b, name), "{name}");
    }
    let model = |folder: &Path| std::fs::read(folder.join("model.safetensors")).unwrap();
    assert_eq!(model(&a), model(&b));
    let json = |folder: &Path| serde_json::from_str::<RunResult>(&read(folder, "result.json")).unwrap();
    let result = json(&a);
    assert_eq!(result, RunResult::of(&done), "to the last bit");
    let mut other = json(&b);
    other.timings = result.timings.clone();
    assert_eq!(result, other);

    assert_eq!((result.schema, result.model.parameters), (1, 9505));
    assert_eq!((result.data.source.as_str(), result.data.twin_seed), ("twin", Some(1)));
    assert_eq!(result.training.history, done.fitted.history);
    assert_eq!(result.threshold, result.errors.train.as_ref().unwrap().max);
    assert_eq!(result.anomalies.windows.indices, done.detection.windows);
    let points = &result.anomalies.points;
    assert!(points.count > 0, "the jump is found");
    assert_eq!(points.stretches.iter().map(|stretch| stretch.count).sum::<usize>(), points.count);
    assert!(points.first.as_ref().unwrap().timestamp.starts_with("2014-04-11 "), "{points:?}");

    let windows = read(&a, "windows.csv");
    assert_eq!(windows.lines().count(), 410);
    assert!(windows.starts_with(
        "window,first_timestamp,last_timestamp,mae,anomalous\n0,2014-04-10 12:00:00,2014-04-10 13:55:00,"
    ));
    assert_eq!(windows.matches(",true\n").count(), done.detection.windows.len());
    let mae: f64 = windows.lines().nth(1).unwrap().split(',').nth(3).unwrap().parse().unwrap();
    assert_eq!(mae.to_bits(), done.detection.errors[0].to_bits());
    let anomalies = read(&a, "anomalies.csv");
    assert_eq!(anomalies.lines().count(), 1 + points.count);
    assert_eq!(read(&a, "history.csv").lines().count(), 3);

    // The file is the detector that the run used.
    let detector = Detector::load(&a.join("model.safetensors")).unwrap();
    let again =
        detector.detect(&Device::new(Reference), &done.data.test.series, options().point_rule).unwrap();
    assert_eq!(again, done.detection);
}

/// A small recurrent autoencoder of windows of 24 steps.
fn recurrent() -> Network {
    let mut model = Sequential::new(Shape::new(24, 1));
    let mut build = || {
        model.add(LSTM::new(4))?.add(Dropout::new(0.2))?.add(RepeatVector::new(24))?;
        model.add(GRU::new(3).return_sequences(true))?.add(TimeDistributed::new(Dense::new(1))).map(|_| ())
    };
    build().unwrap();
    model.into()
}

#[test]
fn another_model_takes_every_step_too() {
    let options = TutorialOptions { model: Some(recurrent()), ..options() };
    let mut recorder = Recorder::default();
    let done = run(data(), &Device::new(Reference), &options, &mut recorder).unwrap();
    // LSTM: 4 gates of 4 units, from 1 channel; GRU: 3 of 3, from 4, with biases of two rows; Dense: 3 and a bias.
    let parameters = 4 * 4 * (1 + 4 + 1) + 3 * 3 * (4 + 3 + 2) + 4;
    assert_eq!(recorder.steps[3], format!("built {parameters}"));
    assert_eq!((recorder.steps.len(), recorder.epochs), (9, 2));
    assert!(done.fitted.history.loss[1] < done.fitted.history.loss[0], "{:?}", done.fitted.history);

    let folder = tempfile::tempdir().unwrap();
    results::write(&mut OutputFolder::open(folder.path(), &results::FILES, &[]).unwrap(), &done).unwrap();
    let text = std::fs::read_to_string(folder.path().join("result.json")).unwrap();
    let result: RunResult = serde_json::from_str(&text).unwrap();
    assert_eq!(result.model, RunResult::of(&done).model);
    assert_eq!(result.model.parameters, parameters);
    assert_eq!(result.model.layers, ["lstm", "dropout", "repeat_vector", "gru", "time_distributed"]);

    // The file is the detector that the run used.
    let detector = Detector::load(&folder.path().join("model.safetensors")).unwrap();
    let again = detector.detect(&Device::new(Reference), &done.data.test.series, options.point_rule).unwrap();
    assert_eq!(again, done.detection);
}

#[test]
fn history_is_kerass_dictionary() {
    let history = glassbox_engine::training::History {
        loss: vec![0.1, 1e-300],
        val_loss: vec![0.1 + 0.2, 2.0],
        learning_rate: vec![],
    };
    let text = String::from_utf8(results::history_json(&history)).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["loss", "val_loss"]);
    assert_eq!(serde_json::from_str::<glassbox_engine::training::History>(&text).unwrap(), history);
}

#[test]
fn what_cannot_work_is_refused_before_training() {
    let refusal = |options: TutorialOptions| {
        run(data(), &Device::new(Reference), &options, &mut Quiet).unwrap_err().to_string()
    };
    let error = refusal(TutorialOptions { time_steps: 90, ..options() });
    assert!(error.contains("windows of 90 steps"), "{error}");
    let error = refusal(TutorialOptions { model: Some(lstm_model(25).unwrap()), ..options() });
    assert!(error.contains("model sequential: expected 25 steps") && error.contains("found 24"), "{error}");
    let mut channels = Sequential::new(Shape::new(24, 2));
    channels.add(TimeDistributed::new(Dense::new(2))).unwrap();
    let error = refusal(TutorialOptions { model: Some(channels.into()), ..options() });
    assert!(error.contains("sequential") && error.contains('2'), "{error}");
    let error = refusal(TutorialOptions { time_steps: 1000, ..options() });
    assert!(error.contains("has 432 rows, fewer than one window of 1000 steps"), "{error}");
    let mut short = data();
    let rows = 20;
    let test = &short.test.series;
    short.test.series = Series::new(
        "short",
        test.clock(),
        test.timestamps()[..rows].to_vec(),
        test.values()[..rows].to_vec(),
    )
    .unwrap();
    let mut recorder = Recorder::default();
    let error = run(short, &Device::new(Reference), &options(), &mut recorder).unwrap_err().to_string();
    assert!(error.contains("series `short` has 20 rows") && recorder.epochs == 0, "{error}");
}
