//! The engine's gradient check has no false alarm, and finds every mistake of one part in a million.
//!
//! On random models of all layers, up to 4096 steps long: each passes as it is. Then a mistake is planted in its
//! backward pass, in one element of one weight tensor or in the gradient that flows through one place, and the check
//! must say which tensors are wrong, and that the others are right.
//!
//! `cargo test` takes 32 models. For 1000:
//!
//! ```sh
//! PROPTEST_CASES=8000 cargo test --release -p glassbox-tests --test gradient_check -- --nocapture
//! ```

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use glassbox_engine::gradient_check::{GradientCheck, TensorCheck};
use glassbox_engine::layers::{Call, Layer, WeightSpec};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::program::custom::{Operation, Saved};
use glassbox_engine::program::{Tape, Value};
use glassbox_engine::shape::Shape;
use glassbox_engine::{Float, Result};
use glassbox_pipeline::architecture;
use glassbox_tests::cases::{ModelCase, Sizes, cases, draws, models};
use ndarray::{ArrayView2, ArrayViewMut2};
use proptest::prelude::{Strategy, TestCaseError};
use proptest::test_runner::TestRunner;

/// Numbers of models, and the most steps that they have.
const SHARES: [(u32, usize); 5] = [(8, 16), (8, 64), (8, 256), (4, 1024), (4, 4096)];

/// Models of up to `steps` steps.
fn models_up_to(steps: usize) -> impl Strategy<Value = ModelCase> {
    models(Sizes { steps, longest: 4096, channels: &[1, 2, 3, 4, 6], layers: 5 })
}

/// Elements of each tensor that are checked.
const ELEMENTS: usize = 4;

/// The mistake: one part in a million.
const MISTAKE: f64 = 1.0 + 1e-6;

/// The terms of a gradient that is smaller have cancelled to the last digit, as signs do: none is left to be wrong.
const CANCELLED: f64 = 1e-15;

// ---------------------------------------------------------------------------------------------------------
// Mistakes

/// A layer whose gradient of one weight is off by one part in a million.
#[derive(Debug)]
struct WrongWeight {
    layer: Arc<dyn Layer>,
    mistake: Scale,
}

/// Scales one element of a layer's weight gradients.
#[derive(Debug, Clone)]
struct Scale {
    /// Its index in all weights of the layer.
    index: usize,
    /// Set if there was anything to scale: a ReLU may leave no gradient.
    planted: Arc<AtomicBool>,
}

impl Operation for Scale {
    fn forward<F: Float>(&self, _: ArrayView2<'_, F>, _: &[F], _: ArrayViewMut2<'_, F>) {
        unreachable!("only its gradient is recorded")
    }

    fn backward<F: Float>(&self, _: Saved<'_, F>, mut dx: ArrayViewMut2<'_, F>, dweights: &mut [F]) {
        dx.fill(F::zero());
        let something = dweights[self.index].wide().abs() > CANCELLED;
        dweights[self.index] *= F::of(MISTAKE);
        self.planted.fetch_or(something, Ordering::Relaxed);
    }
}

impl Layer for WrongWeight {
    fn class_name(&self) -> &'static str {
        self.layer.class_name()
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.layer.output_shape(inputs)
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        self.layer.weights(inputs)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        self.layer.forward(tape, call)
    }

    fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value) {
        self.layer.backward(tape, call, y, dy);
        tape.custom_gradient(self.mistake.clone(), call, y, dy);
    }
}

/// The identity, whose gradient is off by one part in a million.
#[derive(Debug, Clone)]
struct WrongFlow;

impl Operation for WrongFlow {
    fn forward<F: Float>(&self, x: ArrayView2<'_, F>, _: &[F], mut y: ArrayViewMut2<'_, F>) {
        y.assign(&x);
    }

    fn backward<F: Float>(&self, saved: Saved<'_, F>, mut dx: ArrayViewMut2<'_, F>, _: &mut [F]) {
        dx.assign(&saved.dy.mapv(|dy| dy * F::of(MISTAKE)));
    }
}

impl Layer for WrongFlow {
    fn class_name(&self) -> &'static str {
        "WrongFlow"
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let shape = tape.shape(call.x());
        tape.custom(Self, call, shape)
    }
}

// ---------------------------------------------------------------------------------------------------------
// Random models

/// Counts over all models.
#[derive(Debug, Default)]
struct Tally {
    models: usize,
    /// Of more than 1024 steps.
    long: usize,
    tensors: usize,
    asked: usize,
    checked: usize,
    /// The largest relative error of a gradient that is right.
    error: f64,
    mistakes_in_weights: usize,
    mistakes_in_flow: usize,
}

#[test]
fn no_false_alarm_and_every_mistake_of_a_millionth_found() {
    let tally = RefCell::new(Tally::default());
    for (number, steps) in SHARES {
        let outcome = TestRunner::new(cases(number)).run(&models_up_to(steps), |case| {
            let loss = Loss::ALL[(case.seed % 4) as usize];
            let check =
                GradientCheck { seed: case.seed, loss, elements: Some(ELEMENTS), batch: 2, threads: 1 };
            let tally = &mut tally.borrow_mut();
            is_right(&case, &check, tally).map_err(TestCaseError::fail)?;
            is_found_in_a_weight(&case, &check, tally).map_err(TestCaseError::fail)?;
            is_found_in_the_flow(&case, &check, tally).map_err(TestCaseError::fail)
        });
        if let Err(error) = outcome {
            panic!("{error}");
        }
    }
    println!("{:#?}", tally.borrow());
    let tally = tally.into_inner();
    assert!(1000 * (tally.asked - tally.checked) <= tally.asked, "{tally:?}");
    assert!(20 * tally.long > tally.models, "{tally:?}");
    assert!(2 * tally.mistakes_in_weights > tally.models, "{tally:?}");
}

fn is_right(case: &ModelCase, check: &GradientCheck, tally: &mut Tally) -> Result<(), String> {
    tally.models += 1;
    tally.long += usize::from(case.input.steps > 1024);
    for tensor in run(check, &case.build()) {
        tally.tensors += 1;
        tally.asked += tensor.asked;
        tally.checked += tensor.checked;
        tally.error = tally.error.max(tensor.error);
        if !tensor.passes() {
            return Err(format!("a false alarm: {tensor:?}"));
        }
    }
    Ok(())
}

/// In one element of the weights, among those that are checked.
fn is_found_in_a_weight(case: &ModelCase, check: &GradientCheck, tally: &mut Tally) -> Result<(), String> {
    let model = case.build();
    let tensors = model.layout().tensors();
    if tensors.is_empty() {
        return Ok(());
    }
    let mut draws = draws(case.seed);
    let tensor = draws.below(tensors.len() as u64) as usize;
    let place = model.layers().iter().position(|layer| layer.weights.contains(&tensor)).expect("its layer");
    let start = tensors[model.layers()[place].weights.start].range.start;
    let len = tensors[tensor].range.len();
    let every = len.div_ceil(ELEMENTS);
    let element = every * draws.below(len.div_ceil(every) as u64) as usize;
    let index = tensors[tensor].range.start - start + element;
    let mistake = Scale { index, planted: Arc::default() };
    let wrong = build(case, |at, layer| {
        let mistake = mistake.clone();
        if at == place { vec![Arc::new(WrongWeight { layer, mistake })] } else { vec![layer] }
    });
    // Of one sample, whose gradient is all of the gradient.
    let checks = run(&GradientCheck { batch: 1, ..check.clone() }, &wrong);
    if !mistake.planted.load(Ordering::Relaxed) {
        return Ok(());
    }
    tally.mistakes_in_weights += 1;
    only_these_fail(&checks, |name| name == tensors[tensor].name, &format!("element {element}"))
}

/// In the gradient that flows out of one place: all tensors before it are wrong.
fn is_found_in_the_flow(case: &ModelCase, check: &GradientCheck, tally: &mut Tally) -> Result<(), String> {
    let place = draws(case.seed ^ 1).below(case.layers.len() as u64) as usize;
    let wrong = build(
        case,
        |at, layer| {
            if at == place { vec![Arc::new(WrongFlow) as _, layer] } else { vec![layer] }
        },
    );
    let before: BTreeSet<String> = (0..place).map(|at| format!("layer_{at}")).collect();
    let is_before = |name: &str| name == "input" || before.contains(name.split('.').next().expect("a layer"));
    tally.mistakes_in_flow += 1;
    let checks = run(&GradientCheck { batch: 1, ..check.clone() }, &wrong);
    only_these_fail(&checks, is_before, &format!("before layer {place}"))
}

/// In a tensor of zeros nothing can be wrong.
fn only_these_fail(
    checks: &[TensorCheck],
    wrong: impl Fn(&str) -> bool,
    planted: &str,
) -> Result<(), String> {
    for tensor in checks {
        let nothing = tensor.gradient.abs() <= CANCELLED && tensor.difference.abs() <= CANCELLED;
        match (wrong(&tensor.name), tensor.passes()) {
            (true, true) if !nothing => return Err(format!("a mistake in {planted} is missed: {tensor:?}")),
            (false, false) => return Err(format!("a false alarm beside a mistake in {planted}: {tensor:?}")),
            _ => {}
        }
    }
    Ok(())
}

/// A case's model with each of its layers replaced by others.
fn build(case: &ModelCase, layers: impl Fn(usize, Arc<dyn Layer>) -> Vec<Arc<dyn Layer>>) -> Network {
    let mut model = Sequential::new(case.input);
    for (at, layer) in case.layers.iter().enumerate() {
        let layers = layers(at, layer.layer());
        let last = layers.len() - 1;
        for (position, layer) in layers.into_iter().enumerate() {
            let name = if position == last { format!("layer_{at}") } else { format!("before_{at}") };
            model.add_named(name, layer).expect("a layer that fits");
        }
    }
    model.into()
}

fn run(check: &GradientCheck, model: &Network) -> Vec<TensorCheck> {
    check.run(model).expect("a check")
}

// ---------------------------------------------------------------------------------------------------------
// The tutorial's model

#[test]
fn the_tutorials_model_passes_at_1152_steps() {
    let check = GradientCheck { elements: Some(2), batch: 2, threads: 2, ..GradientCheck::default() };
    for tensor in run(&check, &architecture::tutorial_model(1152).expect("a model")) {
        assert!(tensor.passes() && tensor.checked == tensor.asked, "{tensor:?}");
    }
}
