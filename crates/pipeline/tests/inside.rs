//! What is captured of the inside of a model is what the model has, and capturing leaves a run as it is.

use std::path::Path;

use glassbox::{Device, Model};
use glassbox_engine::layers::{Bidirectional, Dense, GRU, LSTM, RepeatVector, TimeDistributed};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::reference::Reference;
use glassbox_engine::shape::Shape;
use glassbox_formats::hash::Sha256;
use glassbox_formats::output_folder::OutputFolder;
use glassbox_formats::tensor_file::{Tensor, TensorFile};
use glassbox_pipeline::inside::{Inside, Recurrence};
use glassbox_pipeline::nab::{LoadedPart, Source, TutorialData};
use glassbox_pipeline::results;
use glassbox_pipeline::series::Series;
use glassbox_pipeline::synthetic::{self, Subset};
use glassbox_pipeline::training::TrainOptions;
use glassbox_pipeline::tutorial::{Quiet, TutorialOptions, TutorialRun, run};

use glassbox_engine::samples::Samples;
use glassbox_engine::training::Fit;

const STEPS: usize = 24;

/// Half a day of the twin's training series, and a day of its test series from the jump on.
fn tutorial(inside: bool) -> TutorialRun {
    run_with(None, inside)
}

fn run_with(model: Option<Network>, inside: bool) -> TutorialRun {
    let part = |part, rows: std::ops::Range<usize>| {
        let twin = synthetic::series(part, 1);
        let (times, values) = (&twin.timestamps()[rows.clone()], &twin.values()[rows]);
        let series = Series::new(twin.name(), twin.clock(), times.to_vec(), values.to_vec()).unwrap();
        LoadedPart { series, sha256: Sha256::of(b"a test"), warnings: vec![] }
    };
    let data = TutorialData {
        train: part(Subset::Train, 0..144),
        test: part(Subset::Test, 10 * 288..11 * 288),
        source: Source::Twin { seed: 1 },
    };
    let defaults = TrainOptions::default();
    let fit = Fit { epochs: 3, batch_size: 32, ..defaults.fit };
    let train = TrainOptions { fit, seed: 1, ..defaults };
    let options = TutorialOptions { time_steps: STEPS, model, train, inside, ..TutorialOptions::default() };
    run(data, &Device::new(Reference), &options, &mut Quiet).unwrap()
}

#[test]
fn capturing_changes_no_number_of_the_run() {
    let (plain, captured) = (tutorial(false), tutorial(true));
    assert!(plain.inside.is_none() && captured.inside.is_some());
    assert_eq!(plain.detector.weights, captured.detector.weights);
    assert_eq!(plain.fitted.history, captured.fitted.history);
    assert_eq!(plain.fitted.stopped_epoch, captured.fitted.stopped_epoch);
    assert_eq!(plain.detection, captured.detection);
}

#[test]
fn what_is_captured_is_what_the_model_has() {
    let done = tutorial(true);
    let inside = done.inside.as_ref().unwrap();
    let model = &done.detector.model;

    // Norms: one row more of weights than of epochs; the last is of the final weights.
    let norms = &inside.norms;
    assert_eq!((norms.epochs(), norms.gradients.len(), norms.weights.len()), (3, 3, 4));
    for (index, tensor) in model.layout().tensors().iter().enumerate() {
        assert_eq!(norms.tensors[index], tensor.name);
        let weights = &done.detector.weights[tensor.range.clone()];
        let norm = weights.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>().sqrt();
        assert_eq!(norms.weights[3][index], norm as f32, "{}", tensor.name);
        for epoch in 0..3 {
            // The triangle inequality, up to the rounding of three norms to f32.
            let (before, after) = (norms.weights[epoch][index], norms.weights[epoch + 1][index]);
            assert!((after - before).abs() <= norms.updates[epoch][index] + 1e-6 * after, "{}", tensor.name);
            assert!(norms.gradients[epoch][index] > 0.0, "{}", tensor.name);
        }
    }

    // Windows: the first of the training series, then some of the test series, those of most interest too.
    let weights = done.detector.weights.clone();
    let mut again = Model::with_weights(model.clone(), weights, Device::new(Reference)).unwrap();
    assert_eq!((inside.windows[0].id.series, inside.windows[0].id.window), (Subset::Train, 0));
    assert_eq!(inside.windows[0].outputs.last(), Some(&done.first_reconstruction));
    let worst = (0..done.detection.errors.len())
        .max_by(|a, b| done.detection.errors[*a].total_cmp(&done.detection.errors[*b]))
        .unwrap();
    assert!(inside.windows.iter().any(|window| window.id.window == worst));
    for window in &inside.windows {
        let sample = Samples::windows(&window.input, STEPS, 1).unwrap();
        let predicted = again.predict(&sample).unwrap();
        assert_eq!(window.outputs.last().unwrap()[..], *predicted.as_slice().unwrap());
        for (layer, output) in model.layers().iter().zip(&window.outputs) {
            assert_eq!(output.len(), layer.output.len(), "{}", layer.name);
        }
    }

    // Rows: the errors of all windows and of all rows are the same absolute differences, summed otherwise.
    let rows = &inside.rows;
    let held = |row: usize| (row + 1).min(rows.error.len() - row).min(STEPS) as f64;
    let by_rows: f64 = rows.error.iter().enumerate().map(|(row, error)| f64::from(*error) * held(row)).sum();
    let by_windows: f64 = done.detection.errors.iter().map(|error| error * STEPS as f64).sum();
    // Each row's mean is rounded to f32 once, each term is an f32 difference: a few units of 2^-24.
    assert!((by_rows - by_windows).abs() <= 1e-6 * by_windows, "{by_rows} {by_windows}");

    // Activity: fractions, of the four layers with a ReLU; a unit is dead if it is never active.
    let layers: Vec<usize> = inside.activity.iter().map(|(layer, _)| *layer).collect();
    assert_eq!(layers, [0, 2, 3, 5]);
    for (layer, activity) in &inside.activity {
        assert_eq!(activity.active.len(), model.layers()[*layer].output.channels);
        assert!(activity.active.iter().all(|active| (0.0..=1.0).contains(active)));
        for (unit, (active, mean)) in activity.active.iter().zip(&activity.mean).enumerate() {
            assert_eq!(*active == 0.0, *mean == 0.0, "unit {unit}");
            assert_eq!(activity.dead().contains(&unit), *active == 0.0, "unit {unit}");
        }
    }
}

#[test]
fn gates_and_states_obey_the_equations_and_are_kept() {
    let mut model = Sequential::new(Shape::new(STEPS, 1));
    let mut build = || {
        model.add(LSTM::new(3))?.add(RepeatVector::new(STEPS))?;
        model.add(Bidirectional::new(GRU::new(2).return_sequences(true)))?;
        model.add(Bidirectional::new(GRU::new(1).return_sequences(true)))?;
        model.add(TimeDistributed::new(Dense::new(1))).map(|_| ())
    };
    build().unwrap();
    let done = run_with(Some(model.into()), true);
    let (model, inside) = (&done.detector.model, done.inside.as_ref().unwrap());
    let recurrences = Recurrence::all(model);
    let named: Vec<_> = recurrences.iter().map(|r| (r.layer, r.name.as_str(), r.backwards)).collect();
    // The first bidirectional layer reads the same at all steps: its direction is seen behind it.
    assert_eq!(
        named,
        [
            (0, "lstm", false),
            (2, "bidirectional/1", false),
            (2, "bidirectional/2", true),
            (3, "bidirectional_1/1", false),
            (3, "bidirectional_1/2", true),
        ]
    );
    for window in &inside.windows {
        // Parts i, f, c~, o, c and h, 3 units each; before the first step, c is 0.
        let mut before = [0.0; 3];
        for step in window.traces[0].chunks_exact(18) {
            for unit in 0..3 {
                let [i, f, candidate, o, c, h] = [0, 1, 2, 3, 4, 5].map(|part| step[3 * part + unit]);
                assert_eq!(c, f * before[unit] + i * candidate);
                assert_eq!(h, o * recurrences[0].cell.activation.apply(c));
                before[unit] = c;
            }
        }
        let last = window.traces[0].len() - 18;
        assert_eq!(window.traces[0][last + 15..], window.outputs[0], "the last hidden state is the output");
        // Both hidden states are side by side in the output, by the steps of the input.
        for (trace, unit, backwards) in [(1, 0, false), (2, 2, true)] {
            let steps = recurrences[trace].trace.channels;
            for (step, states) in window.traces[trace].chunks_exact(steps).enumerate() {
                let step = if backwards { STEPS - 1 - step } else { step };
                let hidden = &states[recurrences[trace].cell.hidden()];
                assert_eq!(*hidden, window.outputs[2][4 * step + unit..][..2]);
            }
        }
    }
    let parts =
        |index: usize| recurrences[index].parts().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(
        parts(0),
        ["input gate", "forget gate", "candidate", "output gate", "cell state", "hidden state"]
    );
    assert_eq!(parts(1), ["update gate", "reset gate", "candidate", "hidden state"]);

    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &done).unwrap();
    assert_eq!(Inside::read(folder.path(), model).unwrap(), done.inside);
}

fn write(dir: &Path, run: &TutorialRun) -> glassbox_pipeline::Result<()> {
    results::write(&mut OutputFolder::open(dir, &results::FILES, &[])?, run)
}

#[test]
fn the_file_gives_back_what_was_captured_and_refuses_what_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let done = tutorial(true);
    let model = &done.detector.model;
    write(folder.path(), &done).unwrap();
    assert_eq!(Inside::read(folder.path(), model).unwrap(), done.inside);

    // Another model beside it: said, not misread.
    let other = glassbox_pipeline::architecture::tutorial_model(STEPS + 4).unwrap();
    let error = Inside::read(folder.path(), &other).unwrap_err().to_string();
    assert!(error.contains("inside.safetensors") && error.contains(", 28, 1]"), "{error}");

    // Cut short.
    let path = folder.path().join("inside.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(Inside::read(folder.path(), model).is_err());

    // Numbers that a reader would compute with.
    let wrong = |change: &dyn Fn(&mut TensorFile)| {
        let mut file = TensorFile::from_bytes(&bytes, "inside").unwrap();
        change(&mut file);
        std::fs::write(&path, file.to_bytes()).unwrap();
        Inside::read(folder.path(), model).unwrap_err().to_string()
    };
    let error =
        wrong(&|file| drop(file.metadata.insert("glassbox.epochs_before".into(), usize::MAX.to_string())));
    assert!(error.contains("glassbox.epochs_before") && error.contains(&usize::MAX.to_string()), "{error}");
    let endless = Tensor { shape: vec![usize::MAX, 0], values: vec![] };
    let error = wrong(&|file| drop(file.tensors.insert("norms.updates".into(), endless.clone())));
    assert!(error.contains("`norms.updates`") && error.contains("longer than any memory"), "{error}");

    // A run that captured nothing leaves nothing of another's, and takes away nothing but what that wrote.
    let error = write(folder.path(), &tutorial(false)).unwrap_err().to_string();
    assert!(error.contains("inside.safetensors") && error.contains("changed"), "{error}");
    std::fs::write(&path, bytes).unwrap();
    write(folder.path(), &tutorial(false)).unwrap();
    assert_eq!(Inside::read(folder.path(), model).unwrap(), None);
}
