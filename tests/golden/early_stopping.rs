//! When training stops and which weights it leaves.
//!
//! Each history is told twice: to `EarlyStopping` alone, and by a real `fit` on a backend that trains nothing
//! but gives these losses and, as its only weight, the number of the epoch.

use glassbox_engine::backend::{Backend, Dataset};
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::{Checkpoint, EarlyStopping, EarlyStoppingState, Fit, Mode, Monitor, fit};
use glassbox_tests::compare::assert_same_bits;
use glassbox_tests::fixtures::{array, integer, json, number, numbers, string};
use serde_json::Value as Json;

use crate::told::{Told, plan};

fn options(defaults: &Json, case: &Json) -> EarlyStopping {
    let option = |name: &str| case["options"].get(name).unwrap_or(&defaults[name]).clone();
    EarlyStopping {
        monitor: match string(&option("monitor")) {
            "loss" => Monitor::Loss,
            "val_loss" => Monitor::ValLoss,
            other => panic!("{other}"),
        },
        min_delta: number(&option("min_delta")),
        patience: integer(&option("patience")),
        mode: match string(&option("mode")) {
            "auto" => Mode::Auto,
            "min" => Mode::Min,
            "max" => Mode::Max,
            other => panic!("{other}"),
        },
        baseline: Some(option("baseline")).filter(|baseline| !baseline.is_null()).map(|b| number(&b)),
        start_from_epoch: integer(&option("start_from_epoch")),
        restore_best_weights: option("restore_best_weights").as_bool().expect("a flag"),
    }
}

#[test]
fn keras_defaults_are_the_defaults() {
    let table = json("early_stopping.json");
    assert_eq!(options(&table["defaults"], &Json::Null), EarlyStopping::default());
}

#[test]
fn it_stops_and_restores_as_keras_does() {
    let table = json("early_stopping.json");
    for case in array(&table["cases"]) {
        let name = string(&case["name"]);
        let early_stopping = options(&table["defaults"], case);
        let values = numbers(&case["values"]);
        let mut state = EarlyStoppingState::<f64>::default();
        let mut last = 0;
        for (epoch, value) in values.iter().enumerate() {
            last = epoch;
            early_stopping.on_epoch_end(&mut state, epoch, *value, &[epoch as f64]);
            if state.stopped_epoch.is_some() {
                break;
            }
        }
        assert_eq!(state.stopped_epoch, case["stops_after"].as_u64().map(|epoch| epoch as usize), "{name}");
        assert_eq!(state.wait, integer(&case["wait"]), "{name}: wait");
        assert_eq!(state.best_epoch, integer(&case["best_epoch"]), "{name}: best_epoch");
        match &case["best"] {
            Json::Null => assert_eq!(state.best, None, "{name}: best"),
            best => assert_same_bits(name, &[state.best.expect("a best value")], &[number(best)]),
        }
        let left = state.best_weights.map_or(last as f64, |weights| weights[0]);
        assert_eq!(left, integer(&case["weights_of"]) as f64, "{name}: the epoch whose weights are left");
    }
}

/// The same through `fit`. NaN and infinite losses end it with an error before early stopping sees them, on
/// purpose.
#[test]
fn fit_stops_and_restores_as_keras_does() {
    let table = json("early_stopping.json");
    let mut fitted_cases = 0;
    for case in array(&table["cases"]) {
        let name = string(&case["name"]);
        let values = numbers(&case["values"]);
        let early_stopping = options(&table["defaults"], case);
        let epochs = values.len();
        let mut session = Told::new(values.clone()).session(plan(Optimizer::default())).expect("a session");
        let x = [0.0; 4];
        let data = Dataset::autoencoder(Samples::dense(&x, Shape::new(1, 1)).expect("samples"));
        let restores = early_stopping.restore_best_weights;
        let options =
            Fit { epochs, validation_split: 0.5, early_stopping: Some(early_stopping), ..Fit::default() };
        let checkpoint = Checkpoint::start(session.state().expect("a state"));
        let fitted = fit(&mut *session, &data, &options, checkpoint, &mut []);
        // The last epoch that is run.
        let last = case["stops_after"].as_u64().map_or(epochs - 1, |epoch| epoch as usize);
        if values[..=last].iter().any(|value| !value.is_finite()) {
            fitted.expect_err(name);
            continue;
        }
        fitted_cases += 1;
        let fitted = fitted.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(fitted.stopped_epoch, case["stops_after"].as_u64().map(|epoch| epoch as usize), "{name}");
        assert_eq!(fitted.history.loss, values[..=last], "{name}");
        assert_eq!(fitted.history.val_loss, values[..=last], "{name}");
        let weights_of = integer(&case["weights_of"]);
        assert_eq!(session.state().expect("a state").weights, [weights_of as f64], "{name}");
        let looked = !case["best"].is_null();
        assert_eq!(fitted.restored_epoch, (restores && looked).then_some(weights_of), "{name}");
    }
    assert_eq!(fitted_cases, 41, "cases without NaN and infinity");
}
