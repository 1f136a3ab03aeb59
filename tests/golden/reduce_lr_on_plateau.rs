//! When the learning rate is reduced, and to what.
//!
//! Each history is told twice: to `ReduceLROnPlateau` alone, in both precisions, and by a real `fit` on a backend that trains
//! nothing but gives these losses.

use std::error::Error as StdError;

use glassbox_engine::Float;
use glassbox_engine::backend::{Backend, Dataset};
use glassbox_engine::optimizers::{ExponentialDecay, LearningRate, Optimizer, SGD};
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::{
    Callback, Checkpoint, EpochEnd, Fit, Flow, Mode, Monitor, ReduceLROnPlateau, ReduceLROnPlateauState, fit,
};
use glassbox_tests::compare::assert_same_bits;
use glassbox_tests::fixtures::{array, integer, json, number, numbers, string};
use serde_json::Value as Json;

use crate::told::{Told, plan};

fn options(defaults: &Json, case: &Json) -> ReduceLROnPlateau {
    let option = |name: &str| case["options"].get(name).unwrap_or(&defaults[name]).clone();
    ReduceLROnPlateau {
        monitor: serde_json::from_value::<Monitor>(option("monitor")).expect("a monitor"),
        mode: serde_json::from_value::<Mode>(option("mode")).expect("a mode"),
        factor: number(&option("factor")),
        patience: integer(&option("patience")),
        min_delta: number(&option("min_delta")),
        cooldown: integer(&option("cooldown")),
        min_lr: number(&option("min_lr")),
    }
}

#[test]
fn keras_defaults_are_the_defaults() {
    let table = json("reduce_lr_on_plateau.json");
    assert_eq!(options(&table["defaults"], &Json::Null), ReduceLROnPlateau::default());
}

fn reduces<F: Float>(dtype: &str) {
    let table = json("reduce_lr_on_plateau.json");
    for case in array(&table["cases"]) {
        let name = format!("{} in {dtype}", string(&case["name"]));
        let reduce = options(&table["defaults"], case);
        let mut state = ReduceLROnPlateauState::default();
        let mut rate = F::of(number(&table["learning_rate"]));
        let mut rates = vec![];
        for value in numbers(&case["values"]) {
            if let Some(reduced) = reduce.on_epoch_end(&mut state, value, rate.wide()) {
                assert_eq!(state.learning_rate, Some(reduced));
                rate = F::of(reduced);
            }
            rates.push(rate.wide());
        }
        assert_same_bits(&name, &rates, &numbers(&case[dtype]));
        assert_same_bits(
            &name,
            &[state.best.expect("a value")],
            &numbers(&serde_json::json!([case["best"]])),
        );
        assert_eq!(state.wait, integer(&case["wait"]), "{name}: wait");
        assert_eq!(state.cooldown_counter, integer(&case["cooldown_counter"]), "{name}: cooldown");
    }
}

#[test]
fn it_reduces_as_keras_does() {
    reduces::<f64>("f64");
    reduces::<f32>("f32");
}

/// Keeps the learning rate after each epoch.
#[derive(Default)]
struct Rates(Vec<f64>);

impl Callback<f64> for Rates {
    fn on_epoch_end(&mut self, end: &EpochEnd<'_, f64>) -> Result<Flow, Box<dyn StdError + Send + Sync>> {
        self.0.push(end.session.plan().optimizer.learning_rate().at(1));
        Ok(Flow::Continue)
    }
}

/// The same through `fit`, also if the run is taken up after each of its epochs.
#[test]
fn fit_reduces_as_keras_does() {
    let table = json("reduce_lr_on_plateau.json");
    let optimizer = || Optimizer::from(SGD::new(number(&table["learning_rate"])));
    let x = [0.0; 4];
    let data = Dataset::autoencoder(Samples::dense(&x, Shape::new(1, 1)).expect("samples"));
    let mut fitted_cases = 0;
    for case in array(&table["cases"]) {
        let (name, values) = (string(&case["name"]), numbers(&case["values"]));
        if values.iter().any(|value| !value.is_finite()) {
            continue;
        }
        fitted_cases += 1;
        let reduce = options(&table["defaults"], case);
        let options = Fit { epochs: values.len(), validation_split: 0.5, ..Fit::default() };
        let options = options.reduce_lr_on_plateau(reduce);
        let told = Told::new(values.clone());
        let mut session = told.session(plan(optimizer())).expect("a session");
        let mut kept = Kept::default();
        let mut rates = Rates::default();
        let start = Checkpoint::start(session.state().expect("a state"));
        let fitted = fit(&mut *session, &data, &options, start, &mut [&mut rates, &mut kept]).expect(name);
        assert_same_bits(name, &rates.0, &numbers(&case["f64"]));
        // Keras's history has the rates with which the steps were taken: those before the reductions.
        let logged = [&[number(&table["learning_rate"])], &rates.0[..rates.0.len() - 1]].concat();
        assert_same_bits(name, &fitted.history.learning_rate, &logged);
        for checkpoint in kept.0 {
            let mut session = told.session(plan(optimizer())).expect("a session");
            let mut rest = Rates::default();
            let epochs = checkpoint.epochs;
            let resumed = fit(&mut *session, &data, &options, checkpoint, &mut [&mut rest]).expect(name);
            assert_same_bits(name, &rest.0, &rates.0[epochs..]);
            assert_eq!(resumed.history, fitted.history, "{name}");
        }
    }
    assert_eq!(fitted_cases, 31, "cases without NaN and infinity");
}

/// Keeps every checkpoint.
#[derive(Default)]
struct Kept(Vec<Checkpoint<f64>>);

impl Callback<f64> for Kept {
    fn on_epoch_end(&mut self, end: &EpochEnd<'_, f64>) -> Result<Flow, Box<dyn StdError + Send + Sync>> {
        self.0.push(end.checkpoint.clone());
        Ok(Flow::Continue)
    }
}

#[test]
fn options_that_make_no_sense_are_named() {
    let optimizer = Optimizer::from(SGD::new(0.1));
    let reduce = ReduceLROnPlateau::default;
    for (options, validation, expected) in [
        (reduce(), false, "monitor is val_loss without validation samples, expected loss"),
        (ReduceLROnPlateau { factor: 1.0, ..reduce() }, true, "factor is 1, expected a number in (0, 1)"),
        (ReduceLROnPlateau { factor: 0.0, ..reduce() }, true, "factor is 0, expected a number in (0, 1)"),
        (ReduceLROnPlateau { min_delta: f64::NAN, ..reduce() }, true, "min_delta is NaN"),
        (
            ReduceLROnPlateau { min_lr: -0.1, ..reduce() },
            true,
            "min_lr is -0.1, expected a number of at least 0",
        ),
    ] {
        let error = options.validate(validation, &optimizer).expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    // Keras refuses it when it is to reduce for the first time.
    let schedule = LearningRate::from(ExponentialDecay::new(0.1, 10, 0.5));
    let error = reduce().validate(true, &SGD::new(schedule).into()).expect_err("a schedule").to_string();
    assert!(
        error.contains("learning_rate is ExponentialDecay") && error.contains("expected a number"),
        "{error}"
    );
}
