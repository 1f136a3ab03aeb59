//! Gradients of random models, by both checks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use glassbox_engine::Result;
use glassbox_engine::gradient_check::GradientCheck;
use glassbox_engine::layers::{
    Activation, AveragePooling1D, Dropout, LayerNormalization, MaxPooling1D, SpatialDropout1D,
};
use glassbox_engine::losses::Loss;
use glassbox_tests::cases::{LayerCase, ModelCase, SMALL, cases, models, weights};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::point::Point;

fn check_model(case: &ModelCase, loss: Loss) -> Result<(usize, usize), String> {
    let model = case.build();
    let program = model.training_program_with_input_gradient(loss);
    Point::new(&program, model.layout(), &weights(&model, case.seed), 3, case.seed).check()
}

/// Every case of a strategy, counting how many variables could be held against a difference.
fn check_models(number: u32, loss: Loss) {
    let counts = Cell::new((0, 0));
    let outcome = TestRunner::new(cases(number)).run(&models(SMALL), |case| {
        let (held, passed_over) = check_model(&case, loss).map_err(TestCaseError::fail)?;
        let (all_held, all_passed_over) = counts.get();
        counts.set((all_held + held, all_passed_over + passed_over));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{}: {error}", loss.name());
    }
    let (held, passed_over) = counts.get();
    assert!(held > 100 * passed_over, "{held} gradients held, {passed_over} passed over");
}

#[test]
fn gradients_of_random_models_are_derivatives_of_the_squared_error() {
    check_models(100, Loss::MeanSquaredError);
}

#[test]
fn gradients_of_random_models_are_derivatives_of_the_absolute_error() {
    check_models(60, Loss::MeanAbsoluteError);
}

#[test]
fn gradients_of_random_models_are_derivatives_of_hubers_loss() {
    check_models(60, Loss::huber(1.0).expect("a delta"));
}

proptest! {
    #![proptest_config(cases(80))]

    #[test]
    fn the_engines_check_passes_random_models(case in models(SMALL)) {
        let check = GradientCheck { seed: case.seed, ..GradientCheck::default() };
        for tensor in check.run(&case.build()).expect("a check") {
            prop_assert!(tensor.passes(), "{tensor:?}");
        }
    }
}

/// The random models must be those that are promised above.
#[test]
fn random_models_cover_what_matters() {
    let seen = RefCell::new(BTreeSet::new());
    let outcome = TestRunner::new(cases(24_000)).run(&models(SMALL), |case| {
        let mut seen = seen.borrow_mut();
        for (layer, named) in case.layers.iter().zip(case.build().layers()) {
            let mut note = |what: &str, yes: bool| {
                if yes {
                    seen.insert(format!("{}, {what}", named.layer.class_name()));
                }
            };
            note("one step", named.inputs[0].steps == 1);
            match layer {
                LayerCase::Conv1D(layer) => {
                    note(layer.padding.name(), true);
                    note("stride", layer.strides > 1);
                    note("dilation", layer.dilation_rate > 1);
                    note("short kernel", layer.kernel_size < layer.strides);
                    note("long kernel", layer.kernel_size > named.inputs[0].steps);
                    note("no bias", !layer.use_bias);
                    note(layer.activation.name(), true);
                }
                LayerCase::Conv1DTranspose(layer) => {
                    note(layer.padding.name(), true);
                    note("stride", layer.strides > 1);
                    note("short kernel", layer.kernel_size < layer.strides);
                    note("long kernel", layer.kernel_size > named.inputs[0].steps);
                    note("no bias", !layer.use_bias);
                    note(layer.activation.name(), true);
                }
                LayerCase::Dense(layer) | LayerCase::TimeDistributed(layer) => {
                    note("no bias", !layer.use_bias);
                    note(layer.activation.name(), true);
                    note("rank 1", named.inputs[0].rank() == 1);
                }
                LayerCase::RepeatVector(layer) => note("layer", layer.n > 1),
                LayerCase::Flatten => note("layer", named.inputs[0].steps > 1),
                LayerCase::Reshape(_) => note("layer", named.inputs[0] != named.output),
                LayerCase::UpSampling1D(layer) => note("layer", layer.size > 1),
                LayerCase::ZeroPadding1D(layer) => note("layer", layer.padding.0 != layer.padding.1),
                LayerCase::Cropping1D(layer) => note("layer", layer.cropping.0 != layer.cropping.1),
                LayerCase::Dropout(Dropout { rate })
                | LayerCase::SpatialDropout1D(SpatialDropout1D { rate }) => {
                    note("active", *rate > 0.0);
                }
                LayerCase::ReLU | LayerCase::LeakyReLU(_) | LayerCase::ELU(_) => note("layer", true),
                LayerCase::Activation(activation) => note(activation.name(), true),
                LayerCase::LayerNormalization(LayerNormalization { center, scale, .. }) => {
                    note("center", *center);
                    note("scale", *scale);
                    note("neither", !(center | scale));
                }
                LayerCase::MaxPooling1D(MaxPooling1D { pool_size, strides, padding })
                | LayerCase::AveragePooling1D(AveragePooling1D { pool_size, strides, padding }) => {
                    note(padding.name(), true);
                    note("overlap", strides < pool_size);
                    note("gap", strides > pool_size);
                    note("long window", *pool_size > named.inputs[0].steps);
                }
            }
        }
        Ok(())
    });
    outcome.expect("nothing fails here");
    let seen = seen.into_inner();
    let both = ["one step", "valid", "same", "stride", "short kernel", "long kernel", "no bias", "relu"];
    let wanted =
        both.iter().flat_map(|what| ["Conv1D", "Conv1DTranspose"].map(|class| format!("{class}, {what}")));
    let rearranging = ["RepeatVector", "Flatten", "Reshape", "UpSampling1D", "ZeroPadding1D", "Cropping1D"];
    let layers = ["ReLU", "LeakyReLU", "ELU"].into_iter().chain(rearranging);
    let layers = layers.map(|class| format!("{class}, layer"));
    let dense = ["Dense, rank 1", "Dense, no bias", "TimeDistributed, no bias"].map(String::from);
    let others = ["Conv1D, causal", "Conv1D, dilation", "Dropout, active", "SpatialDropout1D, active"]
        .map(String::from);
    let poolings = ["one step", "valid", "same", "overlap", "gap", "long window"].into_iter();
    let poolings = poolings
        .flat_map(|what| ["MaxPooling1D", "AveragePooling1D"].map(|class| format!("{class}, {what}")));
    let normalizations = ["center", "scale", "neither"].map(|what| format!("LayerNormalization, {what}"));
    let activations = Activation::ALL.into_iter().flat_map(|activation| {
        ["Conv1D", "Conv1DTranspose", "Dense", "TimeDistributed", "Activation"]
            .map(|class| format!("{class}, {}", activation.name()))
    });
    let layers = layers.chain(dense).chain(normalizations);
    for what in wanted.chain(others).chain(poolings).chain(layers).chain(activations) {
        assert!(seen.contains(&what), "{what} is not among {seen:?}");
    }
}
