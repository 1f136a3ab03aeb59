//! Tests of [`Model`] by the laws that training, saving and prediction must obey.

use glassbox::Error;
use glassbox::prelude::*;
use glassbox_engine::reference::Reference;

const STEPS: usize = 16;

fn layers() -> Network {
    let mut layers = Sequential::new((STEPS, 1));
    layers.add(Conv1D::new(4, 3).strides(2).padding(Same).activation(Relu)).unwrap();
    layers.add(Dropout::new(0.25)).unwrap();
    layers.add(Conv1DTranspose::new(1, 3).strides(2).padding(Same)).unwrap();
    layers.into()
}

fn model() -> Model {
    let model = layers().compile(Adam::new(1e-2), Loss::MeanSquaredError).unwrap().seed(3);
    model.on(Device::cpu_with_threads(2).unwrap()).unwrap()
}

fn series() -> Vec<f32> {
    (0..120).map(|t| (t as f32 / 3.0).sin() + 0.1 * (t as f32).cos()).collect()
}

fn fit(epochs: usize) -> Fit {
    Fit { epochs, batch_size: 16, validation_split: 0.2, ..Fit::default() }
}

/// The bits of all weights.
fn bits(model: &Model) -> Vec<u32> {
    model.weights().unwrap().values().flatten().map(|weight| weight.to_bits()).collect()
}

#[test]
fn three_epochs_and_then_two_are_five() {
    let series = series();
    let x = Samples::windows(&series, STEPS, 1).unwrap();
    let mut whole = model();
    let all = whole.fit(&x, &x, fit(5)).unwrap();
    let mut parts = model();
    let first = parts.fit(&x, &x, fit(3)).unwrap();
    let second = parts.fit(&x, &x, fit(2)).unwrap();
    assert_eq!([first.history.loss, second.history.loss].concat(), all.history.loss);
    assert_eq!([first.history.val_loss, second.history.val_loss].concat(), all.history.val_loss);
    assert_eq!(parts.history(), whole.history());
    assert_eq!(bits(&parts), bits(&whole));
    // Checks that the comparison can fail.
    parts.fit(&x, &x, fit(1)).unwrap();
    assert_ne!(bits(&parts), bits(&whole));
}

#[test]
fn a_saved_model_goes_on_as_if_it_had_never_stopped() {
    let series = series();
    let x = Samples::windows(&series, STEPS, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut whole = model();
    whole.fit(&x, &x, fit(2)).unwrap();
    whole.save(&path).unwrap();
    let mut loaded = Model::load(&path).unwrap().on(Device::cpu_with_threads(1).unwrap()).unwrap();
    assert_eq!(loaded.predict(&x).unwrap(), whole.predict(&x).unwrap());
    let (a, b) = (whole.fit(&x, &x, fit(3)).unwrap(), loaded.fit(&x, &x, fit(3)).unwrap());
    assert_eq!((a.history, bits(&whole)), (b.history, bits(&loaded)));
    assert_eq!(whole.history(), loaded.history());
}

#[test]
fn arrays_and_windows_are_the_same_samples() {
    let series = series();
    let windows = Samples::windows(&series, STEPS, 1).unwrap();
    let array = Array3::from_shape_fn((windows.len(), STEPS, 1), |(n, t, _)| windows.get(n)[t]);
    let (mut a, mut b) = (model(), model());
    a.fit(&windows, &windows, fit(2)).unwrap();
    b.fit(&array, &array.view(), fit(2)).unwrap();
    assert_eq!(bits(&a), bits(&b));
    assert_eq!(a.predict(&windows).unwrap(), b.predict(&array).unwrap());
    // An array in another order is refused and not misread.
    let transposed = Array3::<f32>::zeros((1, STEPS, 9)).reversed_axes();
    let error = a.predict(&transposed).unwrap_err().to_string();
    assert!(error.contains("contiguous in row-major order"), "{error}");
}

#[test]
fn activations_chain_to_the_prediction() {
    let series = series();
    let x = Samples::windows(&series, STEPS, 1).unwrap();
    let mut model = model();
    let y = model.predict(&x).unwrap();
    assert_eq!(model.activations(&x, "conv1d_transpose").unwrap(), y);
    let features = model.activations(&x, "conv1d").unwrap();
    assert_eq!(features.dim(), (x.len(), STEPS / 2, 4));
    assert!(features.iter().all(|v| *v >= 0.0) && features.iter().any(|v| *v > 0.0));
    // Dropout is the identity in inference.
    assert_eq!(model.activations(&x, "dropout").unwrap(), features);
    // The last layer alone, with its weights, gives the same prediction from these features.
    let mut last = Sequential::new((STEPS / 2, 4));
    last.add(Conv1DTranspose::new(1, 3).strides(2).padding(Same)).unwrap();
    let mut last = last.compile(Adam::default(), Loss::MeanSquaredError).unwrap();
    let mut weights = model.weights().unwrap();
    weights.retain(|name, _| name.starts_with("conv1d_transpose."));
    last.set_weights(&weights).unwrap();
    assert_eq!(last.predict(&features).unwrap(), y);
    let error = model.activations(&x, "conv2d").unwrap_err();
    assert!(matches!(error, Error::NoLayer { .. }));
    assert_eq!(
        error.to_string(),
        "there is no layer conv2d; the layers are conv1d, dropout, conv1d_transpose"
    );
}

#[test]
fn gradients_are_those_of_the_reference_in_f64_and_change_nothing() {
    let series = series();
    let x = Samples::windows(&series, STEPS, 1).unwrap().slice(0..40);
    let (mut fast, before) = (model(), bits(&model()));
    let found = fast.gradients(&x, &x).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), fast.weights().unwrap().keys().collect::<Vec<_>>());
    let mut reference = model().on(Device::new(Reference)).unwrap();
    for (name, expected) in reference.gradients(&x, &x).unwrap() {
        let scale = expected.iter().fold(0.0_f32, |largest, v| largest.max(v.abs()));
        for (found, expected) in found[&name].iter().zip(&expected) {
            // Sums of 40 x 8 products, rounded by 6e-8 each: a tolerance of 1e-5 of the largest suffices for all of
            // them.
            assert!((found - expected).abs() <= 1e-5 * scale, "{name}: {found}, {expected}");
        }
    }
    assert_eq!(bits(&fast), before);
}

#[test]
fn a_step_against_the_gradient_lowers_the_loss() {
    let mut layers = Sequential::new((STEPS, 1));
    layers.add(Conv1D::new(1, 3).padding(Same)).unwrap();
    let mut model = layers.compile(Adam::default(), Loss::MeanSquaredError).unwrap().seed(1);
    let series = series();
    let x = Samples::windows(&series, STEPS, 1).unwrap();
    let before = model.evaluate(&x, &x).unwrap();
    let gradients = model.gradients(&x, &x).unwrap();
    let mut weights = model.weights().unwrap();
    for (name, weight) in &mut weights {
        weight.scaled_add(-1e-2, &gradients[name]);
    }
    model.set_weights(&weights).unwrap();
    let squared: f32 = gradients.values().flatten().map(|g| g * g).sum();
    // To first order the loss falls by 1e-2 |gradient|^2; the test requires a quarter of it, to allow for curvature.
    let fallen = before - model.evaluate(&x, &x).unwrap();
    assert!(fallen > 0.25e-2 * f64::from(squared), "{fallen}, {squared}");
}

#[test]
fn weights_that_do_not_fit_are_refused_and_change_nothing() {
    let mut model = model();
    let before = bits(&model);
    let good = model.weights().unwrap();
    let refusal = |change: fn(&mut Tensors)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad
    };
    for (text, bad) in [
        (
            "tensor conv1d.bias: expected shape [4], found none",
            refusal(|w| drop(w.shift_remove("conv1d.bias"))),
        ),
        ("found a tensor more too", refusal(|w| drop(w.insert("more".into(), w["conv1d.bias"].clone())))),
        (
            "found shape [1]",
            refusal(|w| drop(w.insert("conv1d.bias".into(), w["conv1d_transpose.bias"].clone()))),
        ),
        ("conv1d.kernel", refusal(|w| w["conv1d.kernel"].fill(f32::NAN))),
    ] {
        let error = model.set_weights(&bad).unwrap_err().to_string();
        assert!(error.contains(text), "{text}\n{error}");
        assert_eq!(bits(&model), before);
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let mut model = model();
    let series = series();
    let x = Samples::windows(&series, STEPS, 1).unwrap();
    let other = Samples::windows(&series, STEPS + 1, 1).unwrap();
    for (text, fit) in [
        ("batch_size", Fit { batch_size: 0, ..Fit::default() }),
        ("validation_split", Fit { validation_split: 1.0, ..Fit::default() }),
    ] {
        let error = model.fit(&x, &x, fit).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    for error in [
        model.predict(&other).unwrap_err(),
        model.evaluate(&other, &other).unwrap_err(),
        model.gradients(&other, &other).unwrap_err(),
        model.activations(&other, "conv1d").unwrap_err(),
        model.fit(&other, &other, fit(1)).unwrap_err(),
    ] {
        assert!(error.to_string().contains("(17, 1)"), "{error}");
    }
    assert!(model.gradients(&x.slice(0..0), &x.slice(0..0)).is_err());
    let mut spoilt = series.clone();
    spoilt[50] = f32::NAN;
    let spoilt = Samples::windows(&spoilt, STEPS, 1).unwrap();
    for error in [model.predict(&spoilt).unwrap_err(), model.fit(&spoilt, &spoilt, fit(1)).unwrap_err()] {
        assert!(error.to_string().contains("sample 35, step 15, channel 0 is NaN"), "{error}");
    }
    assert!(Sequential::new((STEPS, 1)).compile(Adam::default(), Loss::default()).is_err());
    let error = layers().compile(Adam::new(-1.0), Loss::default()).unwrap_err().to_string();
    assert!(error.contains("learning_rate"), "{error}");
}

#[test]
fn callbacks_hear_of_every_epoch_and_an_interrupt_ends_the_run() {
    struct Counter(usize, Interrupt);
    impl Callback<f32> for Counter {
        fn on_epoch_begin(&mut self, _: usize, _: usize) {
            self.0 += 1;
            if self.0 == 2 {
                self.1.request();
            }
        }
    }
    let series = series();
    let x = Samples::windows(&series, STEPS, 1).unwrap();
    let interrupt = Interrupt::default();
    let mut counter = Counter(0, interrupt.clone());
    let hooks = Hooks { callbacks: vec![&mut counter], interrupt: Some(&interrupt), ..Hooks::default() };
    let error = model().fit_with(&x, &x, &fit(9), hooks).unwrap_err();
    assert!(matches!(error, Error::Interrupted { epochs: 2, of: 9, checkpoint: None }), "{error}");
    assert_eq!(counter.0, 2);
}

/// Inputs and outputs side by side, and apart again.
#[test]
fn a_model_of_several_inputs_and_outputs_trains_and_predicts() {
    let mut graph = Functional::new();
    let (left, right) = (graph.input((8, 1)), graph.input((8, 2)));
    let a = graph.call(Conv1D::new(2, 3).padding(Same).activation(Tanh), &[left]).unwrap();
    let b = graph.call(Conv1D::new(2, 3).padding(Same), &[right]).unwrap();
    let c = graph.call(Conv1D::new(1, 8), &[b]).unwrap();
    let mut model = graph.outputs(&[a, c]).unwrap().compile(Adam::new(1e-2), Loss::MeanSquaredError).unwrap();
    let values = |shape: (usize, usize, usize)| {
        Array3::from_shape_fn(shape, |(n, t, c)| ((7 * n + 3 * t + c) as f32 / 5.0).sin())
    };
    let (left, right, target) = (values((20, 8, 1)), values((20, 8, 2)), values((20, 1, 1)));
    let x = glassbox::side_by_side(&[&left, &right]).unwrap();
    let y = glassbox::side_by_side(&[&right, &target]).unwrap();
    let history = model.fit(&x, &y, Fit { epochs: 30, ..Fit::default() }).unwrap().history;
    assert!(history.loss[29] < 0.7 * history.loss[0], "{:?}", history.loss);
    let outputs = model.predict_each(&x).unwrap();
    assert_eq!((outputs[0].shape(), outputs[1].shape()), (&[20, 8, 2][..], &[20, 1, 1][..]));
    let mean = |y: &ndarray::ArrayD<f32>, target: &Array3<f32>| {
        let squares = y.iter().zip(target).map(|(y, target)| f64::from(y - target).powi(2));
        squares.sum::<f64>() / y.len() as f64
    };
    let expected = mean(&outputs[0], &right) + mean(&outputs[1], &target);
    // Sums of a few hundred squares in f64 of predictions in f32.
    assert!((model.evaluate(&x, &y).unwrap() - expected).abs() < 1e-6);
    assert!(glassbox::side_by_side(&[&left, &values((19, 8, 2))]).is_err());
}

/// The later run has its own part of each list, also where the lists do not begin with the same run.
#[test]
fn the_history_of_a_run_begins_with_the_run() {
    let series = series();
    let x = Samples::windows(&series, STEPS, 1).unwrap();
    let mut model = model();
    let before = model.fit(&x, &x, Fit { validation_split: 0.0, ..fit(3) }).unwrap().history;
    assert_eq!((before.loss.len(), before.val_loss.len(), before.learning_rate.len()), (3, 0, 0));
    let reduce = ReduceLROnPlateau { patience: 1, min_delta: 1e9, ..ReduceLROnPlateau::default() };
    let after = model.fit(&x, &x, fit(2).reduce_lr_on_plateau(reduce)).unwrap().history;
    assert_eq!((after.loss.len(), after.val_loss.len()), (2, 2));
    assert_eq!(after.learning_rate, [f64::from(1e-2f32); 2]);
    let all = model.history();
    assert_eq!(
        (all.loss.len(), &all.val_loss, &all.learning_rate),
        (5, &after.val_loss, &after.learning_rate)
    );
}
