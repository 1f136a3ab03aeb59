//! Backpropagation is the derivative.
//!
//! Random small models of both layers, with every padding, strides, dilations, kernels shorter than the
//! stride and longer than the input, single steps, with and without bias, every activation in both forms, dropout, both
//! losses, several samples. Each gradient is held against central differences, twice over: by the engine's
//! own
//! `GradientCheck`, and by a check that is written here and shares nothing with it. Then what a user may
//! bring: an operation of their own, signals that are joined, and a graph recorded by hand.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;

use glassbox_engine::backend::{Backend, Dataset, Plan, State};
use glassbox_engine::geometry::Padding;
use glassbox_engine::gradient_check::GradientCheck;
use glassbox_engine::initializers::Initializer;
use glassbox_engine::layers::{
    Activation, Add, AveragePooling1D, BatchNormalization, Call, Concatenate, Conv1D, Conv1DTranspose, Dense,
    Dropout, Layer, LayerNormalization, MaxPooling1D, Multiply, ReLU, SpatialDropout1D, WeightSpec,
};
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::model::{Network, Sequential, WeightLayout};
use glassbox_engine::optimizers::{Adam, Optimizer};
use glassbox_engine::program::custom::{Operation, Saved};
use glassbox_engine::program::{Instruction, Pointwise, Pooling, Program, Tape, Value, Weight};
use glassbox_engine::reference::{Interpreter, Reference, Sample, argmax};
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::{Checkpoint, Fit, fit};
use glassbox_engine::{Float, Result};
use glassbox_tests::backends::{Setup, backends, launches_kernels, predict};
use glassbox_tests::cases::{LayerCase, ModelCase, SMALL, cases, draws, models, normals, weights};
use glassbox_tests::compare::{Tolerance, assert_close, compare};
use glassbox_tests::conformance::{TrainedBatch, prediction_conforms};
use ndarray::{ArrayView2, ArrayViewMut2};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

// ---------------------------------------------------------------------------------------------------------
// A check of our own

/// A program at a point: its weights, its samples and their targets, its masks held still.
struct Point {
    interpreter: Interpreter<f64>,
    program: Program,
    seed: u64,
    batch: usize,
    /// All weights, then all samples: what is varied.
    variables: Vec<f64>,
    weights: usize,
    target: Vec<f64>,
}

impl Point {
    fn new(program: &Program, layout: &WeightLayout, weights: &[f64], batch: usize, seed: u64) -> Self {
        let len = |value: Value| program.values[value.index()].len() * batch;
        let x: Vec<f64> = normals(seed, len(program.input));
        Self {
            interpreter: Interpreter::new(program.clone(), layout.clone()),
            program: program.clone(),
            seed,
            batch,
            variables: weights.iter().copied().chain(x).collect(),
            weights: weights.len(),
            target: normals(seed ^ 1, len(program.output)),
        }
    }

    /// The batch's loss, the gradient of every variable, and the piece of the function that this point is in:
    /// on which side of its kink each activation is, and each absolute value, and which step has each maximum.
    fn evaluate(&mut self) -> (f64, Vec<f64>, Vec<bool>) {
        let (weights, xs) = self.variables.split_at(self.weights);
        let mut gradient = vec![0.0; weights.len()];
        let (mut loss, mut dx, mut piece) = (0.0, vec![], vec![]);
        let samples =
            xs.chunks(xs.len() / self.batch).zip(self.target.chunks(self.target.len() / self.batch));
        for (position, (x, target)) in samples.enumerate() {
            self.interpreter.draw_masks(self.seed, MaskAt { mask: 0, step: 0, position });
            loss += self.interpreter.run(Sample { x, target, batch: self.batch }, weights, &mut gradient);
            match self.program.input_gradient {
                Some(value) => dx.extend_from_slice(self.interpreter.value(value)),
                None => dx.resize(dx.len() + x.len(), 0.0),
            }
            for line in &self.program.lines {
                for op in line.instruction.epilogue() {
                    if let Pointwise::ActivationGradient(_, at) = op {
                        piece.extend(self.interpreter.value(*at).iter().map(|y| *y > 0.0));
                    }
                }
                if let Instruction::Pool { pooling: Pooling::Max, geometry, x, y } = line.instruction {
                    let shape = (geometry.in_steps, geometry.in_channels);
                    let x = ArrayView2::from_shape(shape, self.interpreter.value(x)).expect("a signal");
                    for element in 0..self.interpreter.value(y).len() {
                        let max = argmax(&geometry, x, element / shape.1, element % shape.1);
                        piece.extend((0..shape.0).map(|step| step == max));
                    }
                }
                if let Instruction::Loss { loss: Loss::MeanAbsoluteError, y, .. } = line.instruction {
                    piece.extend(self.interpreter.value(y).iter().zip(target).map(|(y, target)| y > target));
                }
                if let Instruction::Loss { loss: Loss::Huber { delta }, y, .. } = line.instruction {
                    let differences = self.interpreter.value(y).iter().zip(target).map(|(y, t)| y - t);
                    piece.extend(differences.flat_map(|d| [d > delta.get(), d < -delta.get()]));
                }
            }
        }
        gradient.extend(dx);
        (loss / self.batch as f64, gradient, piece)
    }

    /// In one variable each piece of the function is smooth: where nothing is curved, a polynomial of degree two,
    /// or four where a layer is called twice. A central difference, extrapolated twice from three steps (Richardson
    /// 1911), is exact for these, and off by the sixth power of the step for others; so the step may be large, as
    /// long as neither end lies in another piece. `None` if a kink is so near that no step stays within: there the
    /// derivative cannot be seen from outside.
    fn difference(&mut self, variable: usize, piece: &[bool]) -> Option<f64> {
        [1e-2, 1e-3, 1e-4, 1e-5].into_iter().find_map(|step| {
            let [whole, half, quarter] = [1.0, 2.0, 4.0].map(|part| self.slope(variable, piece, step / part));
            let (whole, half, quarter) = (whole?, half?, quarter?);
            let [coarse, fine] = [(4.0 * half - whole) / 3.0, (4.0 * quarter - half) / 3.0];
            Some((16.0 * fine - coarse) / 15.0)
        })
    }

    fn slope(&mut self, variable: usize, piece: &[bool], step: f64) -> Option<f64> {
        let here = self.variables[variable];
        let (up, down) = (here + step, here - step);
        let mut at = |value| {
            self.variables[variable] = value;
            let (loss, _, there) = self.evaluate();
            (there == piece).then_some(loss)
        };
        let losses = at(up).zip(at(down));
        self.variables[variable] = here;
        losses.map(|(above, below)| (above - below) / (up - down))
    }

    /// Holds each gradient against its central difference. Gives the numbers of those held and of those
    /// passed over for a kink.
    fn check(&mut self) -> Result<(usize, usize), String> {
        let (loss, gradient, piece) = self.evaluate();
        let seen: Vec<(f64, f64)> = (0..self.variables.len())
            .filter_map(|variable| Some((gradient[variable], self.difference(variable, &piece)?)))
            .collect();
        let (gradient, differences): (Vec<f64>, Vec<f64>) = seen.into_iter().unzip();
        // A loss is off by 1e-16 of itself, a step is 2.5e-6 at the least: 1e-10 of the loss. The rest is the
        // promised 1e-7, in parts of the largest gradient.
        let largest = differences.iter().fold(0.0f64, |largest, d| largest.max(d.abs()));
        let tolerance = Tolerance::new(1e-7 * largest + 1e-10 * loss, 0.0);
        match compare(&gradient, &differences, tolerance) {
            Ok(_) => Ok((gradient.len(), self.variables.len() - gradient.len())),
            Err(faults) => Err(faults.to_string()),
        }
    }
}

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

// ---------------------------------------------------------------------------------------------------------
// The engine's check

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

// ---------------------------------------------------------------------------------------------------------
// An operation of a user

/// `y[t, c] = tanh(scale[c] x[t, c])`.
#[derive(Debug, Clone)]
struct ScaleTanh {
    /// For the test of the test: leaves `scale` out of `dx`.
    wrong: bool,
}

impl Operation for ScaleTanh {
    fn forward<F: Float>(&self, x: ArrayView2<'_, F>, scale: &[F], mut y: ArrayViewMut2<'_, F>) {
        for ((t, c), y) in y.indexed_iter_mut() {
            *y = (scale[c] * x[[t, c]]).tanh();
        }
    }

    /// ```text
    /// dz        = dy (1 - y^2)
    /// dscale[c] = sum over t of dz[t, c] x[t, c]
    /// dx        = dz scale
    /// ```
    fn backward<F: Float>(&self, saved: Saved<'_, F>, mut dx: ArrayViewMut2<'_, F>, dscale: &mut [F]) {
        let Saved { x, y, weights: scale, dy } = saved;
        for ((t, c), dx) in dx.indexed_iter_mut() {
            let dz = dy[[t, c]] * (F::one() - y[[t, c]] * y[[t, c]]);
            dscale[c] += dz * x[[t, c]];
            *dx = if self.wrong { dz } else { dz * scale[c] };
        }
    }
}

/// The layer around it.
impl Layer for ScaleTanh {
    fn class_name(&self) -> &'static str {
        "ScaleTanh"
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let shape = vec![inputs[0].channels];
        vec![WeightSpec::new("scale", shape, Initializer::GlorotUniform)]
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let shape = tape.shape(call.x());
        tape.custom(self.clone(), call, shape)
    }
}

fn with_a_users_layer(wrong: bool) -> Network {
    let mut model = Sequential::new(Shape::new(10, 2));
    let encoder = Conv1D::new(4, 5).strides(2).padding(Padding::Same).activation(Activation::Relu);
    model.add(encoder).expect("a layer");
    model.add(ScaleTanh { wrong }).expect("the user's layer");
    model.add(Dropout::new(0.2)).expect("a layer");
    model.add(Conv1DTranspose::new(3, 4).strides(2).padding(Padding::Same)).expect("a layer");
    model.add(ScaleTanh { wrong }).expect("the user's layer");
    model.add(Conv1D::new(2, 1)).expect("a layer");
    model.into()
}

#[test]
fn a_users_layer_has_its_place_in_a_model() {
    let model = with_a_users_layer(false);
    let names: Vec<&str> = model.layers().iter().map(|layer| layer.name.as_str()).collect();
    let own = ["conv1d", "scale_tanh", "dropout", "conv1d_transpose", "scale_tanh_1", "conv1d_1"];
    assert_eq!(names, own);
    assert!(model.layout().tensors().iter().any(|tensor| tensor.name == "scale_tanh_1.scale"));
    assert!(model.summary().to_string().contains("scale_tanh_1 (ScaleTanh)"));
}

#[test]
fn a_users_layer_passes_the_gradient_check_and_a_wrong_one_does_not() {
    for seed in 0..5 {
        for loss in Loss::ALL {
            let check = GradientCheck { seed, loss, ..GradientCheck::default() };
            for tensor in check.run(&with_a_users_layer(false)).expect("a check") {
                assert!(tensor.passes(), "seed {seed}, {}: {tensor:?}", loss.name());
            }
        }
    }
    let wrong = GradientCheck::default().run(&with_a_users_layer(true)).expect("a check");
    let failed: Vec<&str> = wrong.iter().filter(|t| !t.passes()).map(|t| t.name.as_str()).collect();
    assert!(failed.contains(&"conv1d.kernel") && failed.contains(&"input"), "{failed:?}");
    assert!(!failed.contains(&"conv1d_1.kernel"), "what comes after the wrong layer is right: {failed:?}");
}

/// Its values and gradients are those of the reference on every backend, and it learns.
#[test]
fn a_users_layer_trains_on_every_backend() {
    let model = with_a_users_layer(false);
    let series: Vec<f32> = (0..160).map(|i| (i as f32 * 0.3).sin()).collect();
    let windows = Samples::windows(&series, 10, 2).expect("windows");
    let setup = Setup { optimizer: Optimizer::Adam(Adam::new(0.01)), ..Setup::new(&model) };
    let wide: Vec<f64> = series.iter().map(|v| f64::from(*v)).collect();
    let wide = Samples::windows(&wide, 10, 2).expect("windows");
    let mut reference = setup.session::<f64>(&Reference, weights(&model, 5));
    let batch: Vec<u32> = (0..20).collect();
    reference.compute_gradient(&Dataset::autoencoder(wide), &batch).expect("a loss");
    let expected = reference.gradient().expect("a gradient");
    for backend in backends() {
        if launches_kernels(&*backend) {
            // A GPU cannot run what a user has written in Rust, and says so by the layer's name, at once.
            let plan = model.plan(setup.loss, setup.optimizer.clone(), setup.seed, setup.batch_size);
            let error = backend.session(plan.expect("a plan")).err().expect("refused").to_string();
            for word in ["scale_tanh", "ScaleTanh", "on the CPU"] {
                assert!(error.contains(word), "{error}");
            }
            continue;
        }
        let mut session = setup.session::<f32>(&*backend, weights(&model, 5));
        session.compute_gradient(&Dataset::autoencoder(windows), &batch).expect("a loss");
        // Sums of some hundred products of numbers near 1, each rounded by 6e-8.
        let tolerance = Tolerance::of_largest(1e-5, &expected);
        assert_close(&backend.name(), &session.gradient().expect("a gradient"), &expected, tolerance);
        let options = Fit { epochs: 40, ..Fit::default() };
        let start = Checkpoint::start(session.state().expect("a state"));
        let data = Dataset::autoencoder(windows);
        let fitted = fit(&mut *session, &data, &options, start, &mut []).expect("a fit");
        let (first, last) = (fitted.history.loss[0], fitted.history.loss[39]);
        assert!(last < 0.2 * first, "{}: from {first} to {last}", backend.name());
    }
}

// ---------------------------------------------------------------------------------------------------------
// Derived backward passes

/// A layer without the backward pass that it has written by hand.
#[derive(Debug)]
struct Derived(Arc<dyn Layer>);

impl Layer for Derived {
    fn class_name(&self) -> &'static str {
        self.0.class_name()
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.0.output_shape(inputs)
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        self.0.weights(inputs)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        self.0.forward(tape, call)
    }
}

proptest! {
    #![proptest_config(cases(100))]

    /// Deriving the backward pass from the forward pass gives the program that the layers write by hand.
    #[test]
    fn a_derived_backward_pass_is_the_one_written_by_hand(case in models(SMALL)) {
        let mut derived = Sequential::new(case.input);
        for layer in &case.layers {
            let layer = Derived(layer.layer());
            derived.add(layer).expect("a layer that fits");
        }
        for loss in [Loss::MeanSquaredError, Loss::MeanAbsoluteError] {
            let of = |model: &Network| model.training_program_with_input_gradient(loss).to_string();
            prop_assert_eq!(of(&derived), of(&case.build()));
            let of = |model: &Network| model.training_program(loss).fused().to_string();
            prop_assert_eq!(of(&derived), of(&case.build()));
        }
    }
}

/// Of a batch normalisation too, with an input whose gradient is wanted and without.
#[test]
fn a_derived_normalisation_is_the_one_written_by_hand() {
    for (center, scale) in [(true, true), (true, false), (false, true), (false, false)] {
        let layer = BatchNormalization::new().center(center).scale(scale);
        let of = |derived: bool| {
            let mut model = Sequential::new(Shape::new(9, 3));
            for name in ["first", "second"] {
                let layer: Arc<dyn Layer> = Arc::new(layer.clone());
                let layer = if derived { Arc::new(Derived(layer)) } else { layer };
                model.add_named(name, layer).expect("a layer that fits");
                model.add(Dense::new(2)).expect("a layer that fits").add(ReLU).expect("a layer that fits");
            }
            let programs = [
                model.training_program(Loss::MeanSquaredError),
                model.training_program_with_input_gradient(Loss::MeanSquaredError),
            ];
            programs.map(|program| (program.to_string(), program.fused().to_string()))
        };
        assert_eq!(of(true), of(false));
    }
}

// ---------------------------------------------------------------------------------------------------------
// Layers of several inputs

/// A layer that joins its input, what a dense layer makes of it, and its input again.
#[derive(Debug)]
struct Joined {
    axis: i64,
}

impl Layer for Joined {
    fn class_name(&self) -> &'static str {
        "Joined"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        Concatenate::new(self.axis).output_shape(&[inputs[0]; 3])
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        Dense::new(inputs[0].channels).weights(inputs)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let x = call.x();
        let dense = Dense::new(tape.shape(x).channels).forward(tape, call);
        let join = Call { inputs: vec![x, dense, x], weights: vec![] };
        Concatenate::new(self.axis).forward(tape, &join)
    }
}

#[test]
fn gradients_of_joined_signals_are_derivatives() {
    for (input, axes) in [(Shape::new(5, 3), vec![1, 2, -1, -2]), (Shape::units(4), vec![1, -1])] {
        for axis in axes {
            let mut model = Sequential::new(input);
            model.add(Dense::new(3)).expect("a layer").add(Joined { axis }).expect("a layer that joins");
            model.add(Dense::new(2)).expect("a layer").add(ReLU).expect("a layer");
            for tensor in GradientCheck::default().run(&model).expect("a check") {
                assert!(tensor.passes(), "axis {axis} of {input}: {tensor:?}");
            }
            let batch =
                TrainedBatch { model: &model, apart: &model, seed: 3, loss: Loss::default(), samples: 3 };
            assert_eq!(batch.gradient_conforms(&backends(), |w| w), Ok(true), "axis {axis} of {input}");
        }
    }
}

// ---------------------------------------------------------------------------------------------------------
// A graph

/// A residual network with a shared layer, recorded by hand:
///
/// ```text
/// h = shared(x)    r = h + x    z = shared(r)    s = z + h    y = head(dropout(s))
/// ```
///
/// x is read twice, h twice, and `shared` is called twice: gradients of values and of weights both add up.
struct Graph {
    shared: Arc<dyn Layer>,
    dropout: Arc<dyn Layer>,
    head: Arc<dyn Layer>,
    layout: WeightLayout,
    weights: [Vec<Weight>; 2],
}

const GRAPH_INPUT: Shape = Shape::new(9, 3);

impl Graph {
    fn new() -> Self {
        let shared = Conv1D::new(3, 4).padding(Padding::Same).activation(Activation::Relu);
        let head = Conv1DTranspose::new(2, 3).strides(2).padding(Padding::Valid);
        let mut layout = WeightLayout::default();
        let mut push = |name: &str, layer: &dyn Layer| {
            let specs = layer.weights(&[GRAPH_INPUT]).into_iter();
            specs
                .map(|spec| layout.push(WeightSpec { name: format!("{name}.{}", spec.name).into(), ..spec }))
                .collect()
        };
        let weights = [push("shared", &shared), push("head", &head)];
        let dropout = Arc::new(Dropout::new(0.25));
        Self { shared: Arc::new(shared), dropout, head: Arc::new(head), layout, weights }
    }

    fn record(&self, mut tape: Tape, loss: Option<Loss>) -> Program {
        let [shared, head] = &self.weights;
        let call = |x: Value, weights: &[Weight]| Call { inputs: vec![x], weights: weights.to_vec() };
        let x = tape.input();
        let h = tape.call(&self.shared, call(x, shared));
        let r = tape.add(h, x);
        let z = tape.call(&self.shared, call(r, shared));
        let s = tape.add(z, h);
        let d = tape.call(&self.dropout, call(s, &[]));
        let y = tape.call(&self.head, call(d, head));
        if let Some(loss) = loss {
            tape.loss(loss, y);
            tape.backward();
        }
        tape.finish(y)
    }

    /// What a backend needs, as `Sequential` makes it of a row of layers.
    fn plan(&self, loss: Loss) -> Plan {
        Plan {
            training: self.record(Tape::new(GRAPH_INPUT, true), Some(loss)).fused(),
            inference: self.record(Tape::new(GRAPH_INPUT, false), None).fused(),
            layout: self.layout.clone(),
            layer_names: vec!["shared".into(), "head".into()],
            loss,
            optimizer: Optimizer::Adam(Adam::new(0.01)),
            seed: 4,
            batch_size: 16,
        }
    }
}

#[test]
fn gradients_of_a_graph_are_derivatives() {
    let graph = Graph::new();
    for loss in [Loss::MeanSquaredError, Loss::MeanAbsoluteError] {
        let program = graph.record(Tape::new(GRAPH_INPUT, true).with_input_gradient(), Some(loss));
        for program in [program.clone(), program.fused()] {
            for seed in 0..5 {
                let weights: Vec<f64> = normals(seed, graph.layout.len());
                let counts = Point::new(&program, &graph.layout, &weights, 3, seed).check();
                let (held, passed_over) = counts.unwrap_or_else(|faults| panic!("seed {seed}: {faults}"));
                assert!(held > 30 * passed_over, "{held} held, {passed_over} passed over");
            }
        }
    }
}

/// A check that cannot fail proves nothing: a backward pass that forgets one of the two branches is found.
#[test]
fn a_forgotten_branch_is_found() {
    let graph = Graph::new();
    let mut program = graph.record(Tape::new(GRAPH_INPUT, true).with_input_gradient(), Some(Loss::default()));
    // The last sum is that of the gradients of h or x: it gets one of its two parts twice.
    let sum = program.lines.iter_mut().rev().find_map(|line| match &mut line.instruction {
        Instruction::Add { a, b, .. } => Some((a, b)),
        _ => None,
    });
    let (a, b) = sum.expect("gradients that add up");
    *b = *a;
    let weights: Vec<f64> = normals(1, graph.layout.len());
    Point::new(&program, &graph.layout, &weights, 3, 1).check().expect_err("half of a gradient is missing");
}

#[test]
fn a_graph_trains_on_every_backend_as_on_the_reference() {
    let graph = Graph::new();
    let samples = 16;
    let mut draws = draws(8);
    let x: Vec<f64> = (0..samples * GRAPH_INPUT.len()).map(|_| f64::from(draws.normal() as f32)).collect();
    let program = graph.record(Tape::new(GRAPH_INPUT, false), None);
    let output = program.values[program.output.index()];
    let target: Vec<f64> = (0..samples * output.len()).map(|i| f64::from((i as f32).sin())).collect();
    let weights: Vec<f64> = graph.layout.initial::<f32>(3).into_iter().map(f64::from).collect();
    let (losses, expected) = train_graph::<f64>(&Reference, &graph, &weights, &x, &target, output);
    assert!(losses[39] < 0.8 * losses[0], "{losses:?}");
    for backend in backends() {
        let (found, prediction) = train_graph::<f32>(&*backend, &graph, &weights, &x, &target, output);
        // Forty steps of Adam, whose roundings add up: as the golden fit.
        assert_close(&backend.name(), &found, &losses, Tolerance::new(0.0, 1e-4));
        assert_close(&backend.name(), &prediction, &expected, Tolerance::of_largest(1e-3, &expected));
    }
}

/// The loss of each of forty steps, and the prediction after them.
fn train_graph<F: Float>(
    backend: &dyn Backend<F>,
    graph: &Graph,
    weights: &[f64],
    x: &[f64],
    target: &[f64],
    output: Shape,
) -> (Vec<f64>, Vec<F>) {
    let narrow = |values: &[f64]| values.iter().map(|v| F::of(*v)).collect::<Vec<F>>();
    let plan = graph.plan(Loss::MeanSquaredError);
    let state = State::new(narrow(weights), &plan.optimizer);
    let mut session = backend.session(plan).expect("a session");
    session.set_state(&state).expect("a state");
    let (x, target) = (narrow(x), narrow(target));
    let x = Samples::dense(&x, GRAPH_INPUT).expect("samples");
    let data = Dataset { x, y: Samples::dense(&target, output).expect("targets") };
    let batch: Vec<u32> = (0..x.len() as u32).collect();
    let losses = (0..40)
        .map(|_| {
            let loss = session.compute_gradient(&data, &batch).expect("a loss");
            session.update().expect("an update");
            loss
        })
        .collect();
    (losses, predict(&mut *session, &x))
}

// ---------------------------------------------------------------------------------------------------------
// Branches that meet

/// `y = layer(x, tanh(x), x)`: one value is read twice, and by another line.
#[derive(Debug)]
struct Met(Arc<dyn Layer>);

impl Layer for Met {
    fn class_name(&self) -> &'static str {
        "Met"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.0.output_shape(&[inputs[0]; 3])
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let x = call.x();
        let curved = tape.activation(x, Activation::Tanh);
        tape.call(&self.0, Call { inputs: vec![x, curved, x], weights: vec![] })
    }
}

fn with_branches() -> Sequential {
    let mut model = Sequential::new(Shape::new(9, 3));
    let conv = |filters| Conv1D::new(filters, 3).padding(Padding::Same);
    model.add(conv(5)).expect("a layer that fits").add(Met(Arc::new(Multiply))).expect("a layer that fits");
    model.add(conv(17)).expect("a layer that fits").add(Met(Arc::new(Add))).expect("a layer that fits");
    model.add(conv(2)).expect("a layer that fits");
    model
}

#[test]
fn sums_and_products_of_branches_pass_both_checks() {
    let model = with_branches();
    for tensor in GradientCheck::default().run(&model).expect("a check") {
        assert!(tensor.passes(), "{tensor:?}");
    }
    let program = model.training_program_with_input_gradient(Loss::MeanSquaredError);
    // A product that reads a value twice is read off both ways.
    let products =
        program.lines.iter().filter(|line| matches!(line.instruction, Instruction::Multiply { .. }));
    assert_eq!(products.count(), 2 + 4, "{program}");
    let (checked, passed_over) =
        Point::new(&program, model.layout(), &weights(&model, 1), 3, 1).check().expect("derivatives");
    assert!(checked > 0 && passed_over == 0, "{checked}, {passed_over}");
}

#[test]
fn sums_and_products_of_branches_conform() {
    let model = with_branches();
    for loss in Loss::ALL {
        let batch = TrainedBatch { model: &model, apart: &model, seed: 3, loss, samples: 9 };
        assert!(batch.gradient_conforms(&backends(), |w| w).expect("within the bound"), "{loss}");
    }
    prediction_conforms(&model, &model, 3, 9, &backends()).expect("within the bound");
}

#[test]
fn inputs_of_other_shapes_are_refused_and_named() {
    let (shape, narrow) = (Shape::new(9, 3), Shape::new(9, 1));
    let layers: [Arc<dyn Layer>; 2] = [Arc::new(Add), Arc::new(Multiply)];
    for layer in layers {
        assert_eq!(layer.output_shape(&[shape; 4]).expect("a shape"), shape);
        for (inputs, words) in [
            (vec![shape, shape, narrow], ["(batch, 9, 1)", "its first input has shape (9, 3)"]),
            (vec![Shape::new(1, 3), Shape::units(3)], ["(batch, 3)", "its first input has shape (1, 3)"]),
            (vec![shape], ["the number of inputs", "at least 2"]),
            (vec![], ["the number of inputs", "at least 2"]),
        ] {
            let error = layer.output_shape(&inputs).expect_err("no common shape").to_string();
            assert!(words.iter().chain([&layer.class_name()]).all(|word| error.contains(word)), "{error}");
        }
    }
}
