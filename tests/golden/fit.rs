//! A whole `model.fit`.

use glassbox_engine::Float;
use glassbox_engine::backend::{Backend, Dataset};
use glassbox_engine::model::Network;
use glassbox_engine::reference::Reference;
use glassbox_engine::samples::Samples;
use glassbox_engine::training::{Checkpoint, Fit, fit};
use glassbox_tests::backends::{Setup, backends_and_fused, predict};
use glassbox_tests::compare::{Tolerance, assert_close};
use glassbox_tests::fixtures::{Tensors, exactly, integer, number, numbers, text};

/// How near, and to which of the two runs of Keras.
struct Yardstick {
    adam: &'static str,
    suffix: &'static str,
    losses: Tolerance,
    values: Tolerance,
}

fn check<F: Float>(backend: &dyn Backend<F>, yardstick: &Yardstick) {
    let tensors = Tensors::read("fit.safetensors");
    let options = tensors.metadata_json("fit");
    assert_eq!(tensors.metadata("loss"), "mse");
    assert_eq!(options["shuffle"], false);
    let model = Network::from_json(&text("fit_architecture.json")).expect("a narrow network");
    let series: Vec<F> = tensors.get("series").exactly();
    let windows = Samples::windows(&series, integer(&options["window"]), 1).expect("windows");
    let x: Vec<F> = tensors.get("x").exactly();
    assert!((0..windows.len()).flat_map(|i| windows.get(i)).eq(&x), "the windows of the series are x");

    let setup = Setup { optimizer: tensors.adam(yardstick.adam), ..Setup::new(&model) };
    let mut session = setup.session(backend, exactly(&tensors.flat("start/", model.layout())));
    let options = Fit {
        epochs: integer(&options["epochs"]),
        batch_size: integer(&options["batch_size"]),
        validation_split: number(&options["validation_split"]),
        shuffle: false,
        ..Fit::default()
    };
    let checkpoint = Checkpoint::start(session.state().expect("a state"));
    let data = Dataset::autoencoder(windows);
    let fitted = fit(&mut *session, &data, &options, checkpoint, &mut []).expect("a fit");

    let suffix = yardstick.suffix;
    let hold = |what: &str, found: &[f64], expected: &[f64], tolerance| {
        assert_close(&format!("{}: {what}{suffix}", backend.name()), found, expected, tolerance);
    };
    let history: serde_json::Value = serde_json::from_str(&text("fit_history.json")).expect("JSON");
    for (name, found) in [("loss", &fitted.history.loss), ("val_loss", &fitted.history.val_loss)] {
        hold(name, found, &numbers(&history[format!("{name}{suffix}")]), yardstick.losses);
    }
    let wide = |values: &[F]| values.iter().map(|v| v.wide()).collect::<Vec<f64>>();
    let weights = wide(&session.state().expect("a state").weights);
    for tensor in model.layout().tensors() {
        let expected = &tensors.get(&format!("final{suffix}/{}", tensor.name)).values;
        hold(&tensor.name, &weights[tensor.range.clone()], expected, yardstick.values);
    }
    let expected = tensors.get(&format!("predict{suffix}/y"));
    let y = predict(&mut *session, &windows.slice(0..expected.shape[0]));
    hold("prediction", &wide(&y), &expected.values, yardstick.values);
}

/// 56 steps, each of which divides by the root of squared gradients and so magnifies the rounding of small
/// ones.
#[test]
fn a_fit_is_keras_in_f64() {
    let yardstick = Yardstick {
        adam: "adam_f64",
        suffix: "_f64",
        losses: Tolerance::new(0.0, 1e-11),
        values: Tolerance::new(1e-12, 1e-10),
    };
    check::<f64>(&Reference, &yardstick);
}

/// Losses within 1e-4, as promised; weights and predictions within the bound for parameters in `f32`.
#[test]
fn a_fit_is_keras_in_f32_on_every_backend() {
    let yardstick = Yardstick {
        adam: "adam",
        suffix: "",
        losses: Tolerance::new(0.0, 1e-4),
        values: Tolerance::new(1e-5, 1e-4),
    };
    for backend in backends_and_fused() {
        check::<f32>(&*backend, &yardstick);
    }
}
