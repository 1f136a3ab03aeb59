//! Batch normalisation: every backend computes what the reference computes in `f64`, gradients are derivatives through the
//! statistics of the batch, moving statistics are Keras's and no optimiser's, and none of it depends on how the samples are
//! divided among threads. Its samples depend on each other, so these models are not among the others.

use std::sync::Arc;

use glassbox::{Compile, Device, Model};
use glassbox_cuda::Cuda;
use glassbox_engine::Float;
use glassbox_engine::backend::{Backend, Epoch};
use glassbox_engine::geometry::Padding;
use glassbox_engine::gradient_check::GradientCheck;
use glassbox_engine::layers::{
    Activation, Add, AveragePooling1D, BatchNormalization, Call, Conv1D, Conv1DTranspose, Dense, Dropout,
    LSTM, Layer, MaxPooling1D, ReLU, TimeDistributed, WeightSpec,
};
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::model::{Functional, Network, Sequential};
use glassbox_engine::optimizers::{Adam, Optimizer, SGD};
use glassbox_engine::program::{Program, Tape, Value};
use glassbox_engine::reference::{Interpreter, Reference, Sample};
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::{EarlyStopping, Fit};
use glassbox_lab::profile::{self, ProfileOptions};
use glassbox_tests::backends::{
    Setup, backends, backends_by_threads, can_run_cuda, cuda_on, dataset, hopper, launches_kernels, predict,
};
use glassbox_tests::cases::{cases, normals, optimizers, weights};
use glassbox_tests::compare::{compare_bits, compare_within};
use proptest::prelude::*;
use proptest::sample::select;

/// A model of layers that fit any signal of their rank.
#[derive(Debug)]
struct Case {
    input: Shape,
    layers: Vec<Arc<dyn Layer>>,
    seed: u64,
}

impl Case {
    fn build(&self) -> Network {
        let mut model = Sequential::new(self.input);
        for (index, layer) in self.layers.iter().enumerate() {
            model.add_named(format!("layer_{index}"), Arc::clone(layer)).expect("a layer that fits");
        }
        model.into()
    }

    /// Samples of the input, and targets.
    fn data<F: Float>(&self, samples: usize) -> [Vec<F>; 2] {
        let model = self.build();
        let x = normals(self.seed, samples * model.input_shape().len());
        [x, normals(!self.seed, samples * model.output_shape().len())]
    }
}

fn layer(layer: impl Layer + 'static) -> Arc<dyn Layer> {
    Arc::new(layer)
}

/// Normalisations whose epsilon is large, because rounding may be enlarged by one over its root.
fn normalizations() -> impl Strategy<Value = Arc<dyn Layer>> {
    let momentum = select(&[0.99, 0.5, 0.0][..]);
    (momentum, select(&[0.125, 1.0][..]), any::<bool>(), any::<bool>()).prop_map(
        |(momentum, epsilon, center, scale)| layer(BatchNormalization { momentum, epsilon, center, scale }),
    )
}

/// Layers that are no normalisation, with these activations, for a signal of a rank.
fn others(
    rank: usize,
    channels: &'static [usize],
    functions: &'static [Activation],
) -> BoxedStrategy<Arc<dyn Layer>> {
    let dense =
        (select(channels), any::<bool>(), select(functions)).prop_map(|(units, use_bias, function)| {
            layer(Dense::new(units).use_bias(use_bias).activation(function))
        });
    let common = prop_oneof![
        2 => dense,
        1 => select(functions).prop_map(layer),
        1 => Just(()).prop_map(|()| layer(Dropout::new(0.3))),
    ];
    if rank == 1 {
        return common.boxed();
    }
    let conv = (select(channels), 1usize..=4, 1usize..=2, any::<bool>()).prop_map(
        |(filters, taps, strides, use_bias)| {
            layer(Conv1D::new(filters, taps).strides(strides).padding(Padding::Same).use_bias(use_bias))
        },
    );
    let pool = (1usize..=3).prop_map(|size| layer(AveragePooling1D::new(size).padding(Padding::Same)));
    let lstm = select(channels).prop_map(|units| layer(LSTM::new(units).return_sequences(true)));
    prop_oneof![3 => conv, 3 => common, 1 => pool, 1 => lstm].boxed()
}

/// Models of two or three normalisations with other layers between them. One comes first in some.
fn models(
    steps: usize,
    channels: &'static [usize],
    functions: &'static [Activation],
) -> impl Strategy<Value = Case> {
    (0..=steps, select(channels), any::<u64>()).prop_flat_map(move |(steps, width, seed)| {
        // No steps: rank 1.
        let input = if steps == 0 { Shape::units(width) } else { Shape::new(steps, width) };
        let between = move || proptest::collection::vec(others(input.rank(), channels, functions), 0..=2);
        let last = proptest::option::of((normalizations(), between()));
        (between(), normalizations(), between(), normalizations(), between(), last).prop_map(
            move |(first, a, second, b, third, last)| {
                let last = last.map(|(c, fourth)| [vec![c], fourth].concat()).unwrap_or_default();
                let layers = [first, vec![a], second, vec![b], third, last].concat();
                Case { input, layers, seed }
            },
        )
    })
}

const BOUNDARIES: &[usize] = &[1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 32, 33];
const SMALL: &[usize] = &[1, 2, 3];
const SMOOTH: &[Activation] =
    &[Activation::Tanh, Activation::Softplus, Activation::Silu, Activation::Sigmoid, Activation::Linear];
const KINKED: &[Activation] =
    &[Activation::Relu, Activation::LeakyRelu { negative_slope: 0.3 }, Activation::Tanh];

/// The numbers of a model on a backend: the prediction at the start, the loss and the gradient of a batch, and after an
/// epoch with a short last batch the weights and the prediction.
fn outcome<F: Float>(backend: &dyn Backend<F>, case: &Case, samples: usize) -> Vec<(&'static str, Vec<F>)> {
    let model = case.build();
    let [x, target] = case.data(samples);
    let data = dataset(&model, &x, &target);
    // Adam would divide a gradient that is only rounding by its own size.
    let optimizer = SGD::new(0.01).momentum(0.9).into();
    let mut session = Setup { seed: case.seed, optimizer, ..Setup::new(&model) }
        .session(backend, weights(&model, case.seed));
    let order: Vec<u32> = (0..samples as u32).collect();
    let start = predict(&mut *session, &data.x);
    let loss = session.compute_gradient(&data, &order).expect("a loss");
    let gradient = session.gradient().expect("a gradient");
    let epoch = Epoch { epoch: 0, order: &order, batch_size: samples.div_ceil(2) + 1 };
    session.train_epoch(&data, &epoch, &mut |_| {}).expect("a loss");
    vec![
        ("prediction", start),
        ("loss", vec![F::of(loss)]),
        ("gradient", gradient),
        ("weights", session.state().expect("a state").weights),
        ("prediction after an epoch", predict(&mut *session, &data.x)),
    ]
}

proptest! {
    #![proptest_config(cases(100))]

    /// Sums of some hundred products through some layers, in parts of the largest element. A normalisation enlarges what
    /// rounding has done before it by at most the root of 8.
    #[test]
    fn backends_conform(
        case in models(9, BOUNDARIES, SMOOTH),
        samples in select(&[1usize, 2, 3, 7, 8, 9, 17, 31][..]),
    ) {
        let expected = outcome::<f64>(&Reference, &case, samples);
        for backend in backends() {
            let found = outcome::<f32>(&*backend, &case, samples);
            for ((what, found), (_, expected)) in found.into_iter().zip(&expected) {
                let largest = expected.iter().fold(0.0f64, |largest, v| largest.max(v.abs()));
                let bounds = vec![1e-4 * largest + 1e-5; expected.len()];
                if let Err(faults) = compare_within(&found, expected, &bounds) {
                    return Err(TestCaseError::fail(format!("{}: {what}: {faults}", backend.name())));
                }
            }
        }
    }

    /// Moments are summed in the order of the samples, whoever has run them.
    #[test]
    fn bits_do_not_depend_on_the_number_of_threads(case in models(9, BOUNDARIES, KINKED), samples in 1usize..=40) {
        let model = case.build();
        let [x, target] = case.data::<f32>(samples);
        let data = dataset(&model, &x, &target);
        let order: Vec<u32> = (0..samples as u32).collect();
        let optimizer = optimizers().swap_remove(case.seed as usize % optimizers().len());
        for backends in backends_by_threads() {
            let mut transcripts = backends.iter().map(|backend| {
                let setup = Setup { optimizer: optimizer.clone(), ..Setup::new(&model) };
                let mut session = setup.session(&**backend, weights(&model, case.seed));
                let epoch = Epoch { epoch: 0, order: &order, batch_size: 19 };
                session.train_epoch(&data, &epoch, &mut |_| {}).expect("a loss");
                let state = session.state().expect("a state");
                let mut transcript = [state.weights, state.slots.concat()].concat();
                transcript.extend(predict(&mut *session, &data.x));
                transcript
            });
            let first = transcripts.next().expect("at least one");
            for other in transcripts {
                prop_assert!(compare_bits(&other, &first).is_ok(), "{}", backends[0].name());
            }
        }
    }

    /// An epoch is its steps: gradient, update. A session taken up from its state goes on as the one that it was taken from,
    /// moving statistics and all. A profiled step is an ordinary one.
    #[test]
    fn an_epoch_is_its_steps(case in models(9, SMALL, KINKED), samples in 1usize..=20, batch_size in 1usize..=20) {
        let model = case.build();
        let [x, target] = case.data::<f32>(samples);
        let data = dataset(&model, &x, &target);
        let order: Vec<u32> = (0..samples as u32).collect();
        for backend in backends() {
            let start = || Setup::new(&model).session(&*backend, weights(&model, case.seed));
            let mut whole = start();
            let epoch = Epoch { epoch: 0, order: &order, batch_size };
            whole.train_epoch(&data, &epoch, &mut |_| {}).expect("a loss");
            let (mut state, mut profiled) = (start().state().expect("a state"), start());
            for batch in order.chunks(batch_size) {
                let mut session = start();
                session.set_state(&state).expect("a state");
                session.compute_gradient(&data, batch).expect("a loss");
                session.update().expect("an update");
                state = session.state().expect("a state");
                profiled.profile_step(&data, batch).expect("a profile");
            }
            let expected = whole.state().expect("a state");
            for found in [state, profiled.state().expect("a state")] {
                prop_assert!(compare_bits(&found.weights, &expected.weights).is_ok(), "{}", backend.name());
                let (found, expected) = (found.slots.concat(), expected.slots.concat());
                prop_assert!(compare_bits(&found, &expected).is_ok(), "{}", backend.name());
            }
        }
    }

    /// In inference samples do not meet.
    #[test]
    fn a_prediction_does_not_depend_on_its_company(case in models(9, BOUNDARIES, KINKED), samples in 1usize..=20) {
        let model = case.build();
        let [x, _] = case.data::<f32>(samples);
        let x = Samples::dense(&x, model.input_shape()).expect("samples");
        for backend in backends() {
            let mut session = Setup::new(&model).session(&*backend, weights(&model, case.seed));
            let together = predict(&mut *session, &x);
            let apart: Vec<f32> =
                (0..samples).flat_map(|i| predict(&mut *session, &x.slice(i..i + 1))).collect();
            prop_assert!(compare_bits(&apart, &together).is_ok(), "{}", backend.name());
        }
    }

    #[test]
    fn a_fused_program_gives_the_same_bits(case in models(9, SMALL, KINKED), samples in 1usize..=5) {
        let model = case.build();
        let weights: Vec<f64> = weights(&model, case.seed);
        let program = model.training_program_with_input_gradient(Loss::MeanSquaredError);
        let run = |program: &Program| run_batch(&model, program, &weights, &case.data(samples), case.seed);
        prop_assert!(compare_bits(&run(&program.fused()), &run(&program)).is_ok());
    }
}

/// The gradient of a batch, the gradients of its inputs and its predictions, on the reference.
fn run_batch(
    model: &Network,
    program: &Program,
    weights: &[f64],
    data: &[Vec<f64>; 2],
    seed: u64,
) -> Vec<f64> {
    let [x, target] = data;
    let samples = x.chunks(model.input_shape().len()).zip(target.chunks(model.output_shape().len()));
    let batch = x.len() / model.input_shape().len();
    let samples: Vec<_> = samples.map(|(x, target)| Sample { x, target, batch }).collect();
    let mut interpreters = vec![Interpreter::<f64>::new(program.clone(), model.layout().clone()); batch];
    for (position, interpreter) in interpreters.iter_mut().enumerate() {
        interpreter.draw_masks(seed, MaskAt { mask: 0, step: 0, position });
    }
    let mut all = vec![0.0; weights.len()];
    Interpreter::run_batch(&mut interpreters, &samples, weights, &mut all);
    for interpreter in &interpreters {
        all.extend(program.input_gradient.map(|dx| interpreter.value(dx)).unwrap_or_default());
        all.extend(interpreter.value(program.output));
    }
    all
}

proptest! {
    #![proptest_config(cases(120))]

    /// The engine's check, by central differences: through the statistics too. Where a normalisation takes out what a
    /// bias adds, both the gradient and the difference are zero but for rounding.
    #[test]
    fn gradients_are_derivatives(
        case in models(6, SMALL, KINKED), batch in 1usize..=4, loss in select(&Loss::ALL[..]),
    ) {
        let check = GradientCheck { seed: case.seed, batch, loss, ..GradientCheck::default() };
        for tensor in check.run(&case.build()).expect("a check") {
            prop_assert!(tensor.passes(), "{tensor:?}");
        }
    }
}

/// A graph: a normalisation that is called twice, a branch around it, maxima, and one that comes first.
fn graph() -> Network {
    let mut model = Functional::new();
    let x = model.input((12, 2));
    let h = model.call(BatchNormalization::new().momentum(0.9), &[x]).unwrap();
    let h = model.call(Conv1D::new(4, 3).padding(Padding::Same).use_bias(false), &[h]).unwrap();
    let a = model.call(BatchNormalization::new().momentum(0.75), &[h]).unwrap();
    let r = model.call(ReLU, &[a]).unwrap();
    let c = model.call(Conv1D::new(4, 3).padding(Padding::Same), &[r]).unwrap();
    let b = model.call_again(a, &[c]).unwrap();
    let s = model.call(Add, &[a, b, h]).unwrap();
    let p = model.call(MaxPooling1D::new(2), &[s]).unwrap();
    let y = model.call(Dense::new(1), &[p]).unwrap();
    model.outputs(&[y]).unwrap()
}

#[test]
fn gradients_of_a_graph_are_derivatives() {
    for seed in 0..5 {
        for tensor in (GradientCheck { seed, ..GradientCheck::default() }).run(&graph()).unwrap() {
            assert!(tensor.passes(), "{tensor:?}");
            assert!(!tensor.name.contains("moving"), "no gradient: {tensor:?}");
        }
    }
}

/// The check can fail: the derivative by the values alone, with the statistics held still, is found.
#[test]
fn a_gradient_that_forgets_the_statistics_is_found() {
    #[derive(Debug)]
    struct Forgetful(BatchNormalization);
    impl Layer for Forgetful {
        fn class_name(&self) -> &'static str {
            "Forgetful"
        }
        fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
            self.0.weights(inputs)
        }
        fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
            self.0.forward(tape, call)
        }
        fn backward(&self, tape: &mut Tape, call: &Call, _: Value, dy: Value) {
            tape.add_gradient(call.x(), dy);
        }
    }
    let mut model = Sequential::new(Shape::new(5, 2));
    model.add(Dense::new(3)).unwrap();
    model.add(Forgetful(BatchNormalization::new().center(false).scale(false))).unwrap();
    let checks = GradientCheck::default().run(&model).unwrap();
    let wrong = checks.iter().filter(|tensor| !tensor.passes()).count();
    assert_eq!(wrong, checks.len(), "{checks:?}");
}

/// A normalised channel has the mean 0 and the variance v / (v + epsilon) over the batch and all steps, and does not
/// change where its input is shifted: on every backend, seen through a copy of the normalised signal whose target it is.
#[test]
fn a_normalised_channel_has_no_mean_and_no_shift() {
    let (steps, channels, samples) = (7, 3, 10);
    let shape = Shape::new(steps, channels);
    let mut model = Sequential::new(shape);
    let epsilon = 0.125;
    model.add(BatchNormalization::new().epsilon(epsilon).momentum(0.0)).unwrap();
    let x: Vec<f32> = normals(3, samples * shape.len());
    let columns = |values: &[f32], c: usize| -> Vec<f64> {
        values.iter().skip(c).step_by(channels).map(|v| f64::from(*v)).collect()
    };
    let moments = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / values.len() as f64)
    };
    for backend in backends() {
        // With no momentum, an epoch of one batch leaves its statistics, by which inference then normalises.
        let normalised = |x: &[f32]| {
            let start: Vec<f32> = model.layout().initial(0);
            let still = SGD::new(1e-30);
            let setup = Setup { optimizer: still.into(), ..Setup::new(&model) };
            let mut session = setup.session(&*backend, start);
            let order: Vec<u32> = (0..samples as u32).collect();
            let data = dataset(&model, x, x);
            session.compute_gradient(&data, &order).expect("a loss");
            session.update().expect("an update");
            (session.state().expect("a state").weights, predict(&mut *session, &data.x))
        };
        let (weights, y) = normalised(&x);
        let shifted: Vec<f32> = x.iter().enumerate().map(|(i, x)| x + [4.0, -32.0, 1024.0][i % 3]).collect();
        let (moved, of_shifted) = normalised(&shifted);
        for c in 0..channels {
            let (of_x, of_y) = (moments(&columns(&x, c)), moments(&columns(&y, c)));
            let close = |what: &str, found: f64, expected: f64, bound: f64| {
                let off = (found - expected).abs();
                assert!(
                    off <= bound,
                    "{}, {what}, channel {c}: {found}, expected {expected}",
                    backend.name()
                );
            };
            // Seventy numbers near 1, each rounded by 6e-8.
            close("moving mean", weights[2 * channels + c].into(), of_x.0, 1e-6);
            close("moving variance", weights[3 * channels + c].into(), of_x.1, 1e-6);
            close("mean", of_y.0, 0.0, 1e-6);
            close("variance", of_y.1, of_x.1 / (of_x.1 + epsilon), 1e-6);
            // A number near 1024 has lost 6e-5, and is scaled by 3 at most.
            for (y, shifted) in columns(&y, c).into_iter().zip(columns(&of_shifted, c)) {
                close("shifted", shifted, y, 2e-4);
            }
            close("variance of the shifted", moved[3 * channels + c].into(), of_x.1, 2e-4);
        }
    }
}

/// Moving statistics move by Keras's rule in every step, whatever the optimiser: not scaled by a learning rate, not clipped,
/// not decayed. And their changes are no part of the norm by which the gradient of the others is clipped.
#[test]
fn moving_statistics_are_no_optimisers() {
    let model = {
        let mut model = Sequential::new(Shape::new(6, 2));
        model.add(Dense::new(3)).unwrap().add(BatchNormalization::new().momentum(0.75)).unwrap();
        model.add(Dense::new(1)).unwrap();
        Network::from(model)
    };
    let layout = model.layout();
    let moving: Vec<usize> = layout.untrained().flatten().collect();
    assert_eq!(moving.len(), 6);
    let x: Vec<f32> = normals(1, 8 * 12);
    let target: Vec<f32> = normals(2, 8 * 6);
    let start: Vec<f32> = weights(&model, 3);
    for backend in backends() {
        for optimizer in optimizers() {
            let setup = Setup { optimizer: optimizer.clone(), ..Setup::new(&model) };
            let mut session = setup.session(&*backend, start.clone());
            let data = dataset(&model, &x, &target);
            session.compute_gradient(&data, &(0..8).collect::<Vec<u32>>()).expect("a loss");
            let gradient = session.gradient().expect("a gradient");
            session.update().expect("an update");
            let state = session.state().expect("a state");
            let place = format!("{}, {optimizer:?}", backend.name());
            for at in &moving {
                assert_eq!(state.weights[*at].to_bits(), (start[*at] + gradient[*at]).to_bits(), "{place}");
                assert!(state.slots.iter().all(|slot| slot[*at] == 0.0), "{place}");
            }
            // A change that is a thousand times as large takes the others no other way.
            let mut session = setup.session(&*backend, start.clone());
            let mut larger = gradient.clone();
            moving.iter().for_each(|at| larger[*at] *= 1000.0);
            session.set_gradient(&larger).expect("a gradient");
            session.update().expect("an update");
            let others = session.state().expect("a state").weights;
            for at in (0..layout.len()).filter(|at| !moving.contains(at)) {
                assert_eq!(others[at].to_bits(), state.weights[at].to_bits(), "{place}");
            }
        }
    }
}

/// On a GPU such a model is trained by the plain kernels, and it is said why.
#[test]
fn fused_kernels_refuse_and_plain_ones_take_over() {
    if !can_run_cuda() {
        return;
    }
    let cuda: Cuda = cuda_on(&hopper(2));
    let model = graph();
    let plan = model.plan(Loss::default(), Optimizer::default(), 0, 4).unwrap();
    let words = Backend::<f32>::describe(&cuda, &plan).unwrap();
    assert!(words.contains("batch_normalization is a normalisation by the batch"), "{words}");
    let (x, target): (Vec<f32>, Vec<f32>) = (normals(1, 4 * 24), normals(2, 4 * 6));
    let mut session = Setup::new(&model).session::<f32>(&cuda, weights(&model, 1));
    assert!(launches_kernels::<f32>(&cuda));
    session.compute_gradient(&dataset(&model, &x, &target), &[0, 1, 2, 3]).expect("a loss");
}

/// A saved model is trained on as one that has never stopped, moving statistics included. The weights of its best epoch are
/// restored with theirs. Gradients are those of the weights that are trained.
#[test]
fn a_saved_model_goes_on_with_its_statistics() {
    let compiled = || {
        let mut layers = Sequential::new(Shape::new(16, 1));
        layers.add(Conv1D::new(4, 3).strides(2).padding(Padding::Same).use_bias(false)).unwrap();
        layers.add(BatchNormalization::new().momentum(0.5)).unwrap().add(ReLU).unwrap();
        layers.add(Conv1DTranspose::new(1, 3).strides(2).padding(Padding::Same)).unwrap();
        let model = layers.compile(Adam::new(1e-2), Loss::MeanSquaredError).unwrap().seed(3);
        model.on(Device::cpu_with_threads(2).unwrap()).unwrap()
    };
    let fit = |epochs| Fit { epochs, batch_size: 16, validation_split: 0.2, ..Fit::default() };
    let series: Vec<f32> = (0..120).map(|t| (t as f32 / 3.0).sin() + 0.1 * (t as f32).cos()).collect();
    let x = Samples::windows(&series, 16, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut whole = compiled();
    whole.fit(&x, &x, fit(2)).unwrap();
    whole.save(&path).unwrap();
    let mut loaded = Model::load(&path).unwrap().on(Device::cpu_with_threads(1).unwrap()).unwrap();
    assert_eq!(loaded.predict(&x).unwrap(), whole.predict(&x).unwrap());
    let (a, b) = (whole.fit(&x, &x, fit(3)).unwrap(), loaded.fit(&x, &x, fit(3)).unwrap());
    assert_eq!((a.history, whole.flat_weights().unwrap()), (b.history, loaded.flat_weights().unwrap()));
    let names: Vec<String> = whole.gradients(&x, &x).unwrap().keys().cloned().collect();
    assert_eq!(names[1..3], ["batch_normalization.gamma", "batch_normalization.beta"]);
    assert!(names.iter().all(|name| !name.contains("moving")), "{names:?}");

    // An epoch that is no better than the first by far: the first one's weights come back.
    let stopping =
        EarlyStopping { min_delta: 1e3, patience: 2, restore_best_weights: true, ..EarlyStopping::default() };
    let mut stopped = compiled();
    stopped.fit(&x, &x, Fit { early_stopping: Some(stopping), ..fit(5) }).unwrap();
    let mut first = compiled();
    first.fit(&x, &x, fit(1)).unwrap();
    assert_eq!(stopped.flat_weights().unwrap(), first.flat_weights().unwrap());
}

/// A barrier is a part of a step like any other.
#[test]
fn a_profile_has_the_barriers() {
    let options = ProfileOptions { batch_size: 5, steps: 2, seed: 1 };
    for backend in backends() {
        let profile = profile::run(&*backend, &graph(), None, &options).expect("a profile");
        let parts = profile
            .parts
            .iter()
            .filter(|part| part.instruction.as_deref().is_some_and(|line| line.contains("batch_m")));
        // Three normalisations forward; the gradients of two.
        assert_eq!(parts.count(), 5, "{}", backend.name());
    }
}

#[test]
fn arguments_out_of_range_are_named() {
    let of = |layer: BatchNormalization| layer.output_shape(&[Shape::new(4, 2)]).unwrap_err().to_string();
    for momentum in [-0.1, 1.1, f64::NAN] {
        let error = of(BatchNormalization::new().momentum(momentum));
        assert!(error.contains("momentum") && error.contains("a number from 0 to 1"), "{error}");
    }
    assert!(of(BatchNormalization::new().epsilon(0.0)).contains("epsilon"));
    // Its moments would be those of one step.
    let error =
        TimeDistributed::new(BatchNormalization::new()).output_shape(&[Shape::new(4, 2)]).unwrap_err();
    assert!(error.to_string().contains("BatchNormalization"), "{error}");
}
