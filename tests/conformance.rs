//! Every backend computes what the reference computes in `f64`, on the same generated models, within a bound
//! that is derived from the lengths of the sums: `glassbox_tests::rounding` has the derivation.

use std::cell::Cell;

use glassbox_engine::Float;
use glassbox_engine::backend::{Backend, BatchEnd, Dataset, Epoch, Session};
use glassbox_engine::layers::{Activation, Dropout};
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::model::Network;
use glassbox_engine::optimizers::Optimizer;
use glassbox_engine::program::{Instruction, Program};
use glassbox_engine::reference::{Interpreter, Reference, Sample};
use glassbox_engine::samples::Samples;
use glassbox_tests::backends::{Setup, backends, backends_by_threads, predict};
use glassbox_tests::cases::{
    BOUNDARIES, LayerCase, ModelCase, SMALL, Sizes, cases, models, normals, optimizers, weights,
};
use glassbox_tests::compare::{compare_bits, compare_within};
use glassbox_tests::conformance::{self, TrainedBatch, wide};
use glassbox_tests::rounding::{UNDERFLOW, UNIT_F32, gamma};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

/// Fails a case, saying on which backend.
fn on(backend: &str, what: &str, outcome: Result<f64, impl std::fmt::Display>) -> Result<(), TestCaseError> {
    outcome.map(|_| ()).map_err(|faults| TestCaseError::fail(format!("{backend}: {what}: {faults}")))
}

fn same_bits(backend: &str, what: &str, found: &[f32], expected: &[f32]) -> Result<(), TestCaseError> {
    on(backend, what, compare_bits(found, expected).map(|()| 0.0))
}

fn losses() -> impl Strategy<Value = Loss> {
    select(&Loss::ALL[..])
}

/// Batches that the CPU backend cuts into one chunk and into several, whole and not.
fn batches() -> impl Strategy<Value = usize> {
    select(&[1usize, 2, 3, 7, 8, 9, 17][..])
}

// ---------------------------------------------------------------------------------------------------------
// Against the reference

/// The loss and the gradient of one batch, dropout active. The backends get `given` of the weights.
fn gradient_conforms(
    case: &ModelCase,
    loss: Loss,
    batch: usize,
    given: fn(f32) -> f32,
) -> Result<(), TestCaseError> {
    // What goes into an activation must be a value, to be looked at.
    let (model, apart) = (case.build(), case.with_activations_apart().build());
    let batch = TrainedBatch { model: &model, apart: &apart, seed: case.seed, loss, samples: batch };
    let decided = batch.gradient_conforms(&backends(), given).map_err(TestCaseError::fail)?;
    prop_assume!(decided);
    Ok(())
}

fn prediction_conforms(case: &ModelCase, samples: usize) -> Result<(), TestCaseError> {
    conformance::prediction_conforms(
        &case.build(),
        &case.with_activations_apart().build(),
        case.seed,
        samples,
        &backends(),
    )
    .map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn gradients_conform(case in models(BOUNDARIES), loss in losses(), batch in batches()) {
        gradient_conforms(&case, loss, batch, |w| w)?;
    }

    #[test]
    fn predictions_conform(case in models(BOUNDARIES), samples in 1usize..=19) {
        prediction_conforms(&case, samples)?;
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn gradients_of_small_models_conform(case in models(SMALL), loss in losses(), batch in batches()) {
        gradient_conforms(&case, loss, batch, |w| w)?;
    }

    #[test]
    fn predictions_of_small_models_conform(case in models(SMALL), samples in 1usize..=19) {
        prediction_conforms(&case, samples)?;
    }
}

/// The bounds are not so wide that all would pass: weights that are off by a ten-thousandth are found out in
/// most models that have any.
#[test]
fn a_small_mistake_is_found() {
    let (found, all) = (Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new(cases(960)).run(&models(SMALL), |mut case| {
        // The bound of a normalisation is for the largest scale that there could be, and a normalisation takes out what
        // its input is scaled by; of a dropped channel the weights do not count.
        for layer in &mut case.layers {
            if matches!(layer, LayerCase::LayerNormalization(_) | LayerCase::SpatialDropout1D(_)) {
                *layer = LayerCase::Activation(Activation::Linear);
            }
        }
        let outcome = gradient_conforms(&case, Loss::MeanSquaredError, 3, |w| w * 1.0001);
        // What hangs on rounding was not tried.
        let tried = !matches!(outcome, Err(TestCaseError::Reject(_))) && !case.build().layout().is_empty();
        all.set(all.get() + usize::from(tried));
        found.set(found.get() + usize::from(matches!(outcome, Err(TestCaseError::Fail(_)))));
        Ok(())
    });
    outcome.expect("nothing fails here");
    assert!(10 * found.get() > 8 * all.get(), "{} of {}", found.get(), all.get());
}

// ---------------------------------------------------------------------------------------------------------
// Against itself

/// A model on a backend, and some data.
struct Bench {
    model: Network,
    weights: Vec<f32>,
    /// A series that holds `samples` windows, or as many samples without steps.
    series: Vec<f32>,
    targets: Vec<f32>,
    optimizer: Optimizer,
    seed: u64,
}

impl Bench {
    fn new(case: &ModelCase, samples: usize) -> Self {
        let model = case.build();
        let input = model.input_shape();
        Self {
            weights: weights(&model, case.seed),
            series: normals(case.seed, (input.steps + samples - 1) * input.channels),
            targets: normals(!case.seed, samples * model.output_shape().len()),
            // By the seed: any of them.
            optimizer: optimizers().swap_remove(case.seed as usize % optimizers().len()),
            seed: case.seed,
            model,
        }
    }

    fn session(&self, backend: &dyn Backend<f32>) -> Box<dyn Session<f32>> {
        let setup = Setup { optimizer: self.optimizer.clone(), seed: self.seed, ..Setup::new(&self.model) };
        setup.session(backend, self.weights.clone())
    }

    fn x(&self) -> Samples<'_, f32> {
        let input = self.model.input_shape();
        if input.rank() == 1 {
            return Samples::dense(&self.series, input).expect("samples");
        }
        Samples::windows(&self.series, input.steps, input.channels).expect("windows")
    }

    fn data(&self) -> Dataset<'_, f32> {
        let y = Samples::dense(&self.targets, self.model.output_shape()).expect("targets");
        Dataset { x: self.x(), y }
    }
}

/// All that a session says of some data: predictions, losses, gradient, and the weights and moments after two
/// epochs of training.
fn transcript(session: &mut dyn Session<f32>, data: &Dataset<'_, f32>) -> Vec<f32> {
    let mut all = predict(session, &data.x);
    let mut loss = |loss: f64| all.extend([loss as f32, (loss - f64::from(loss as f32)) as f32]);
    let order: Vec<u32> = (0..data.len() as u32).rev().collect();
    loss(session.evaluate(data).expect("a loss"));
    loss(session.compute_gradient(data, &order).expect("a loss"));
    let gradient = session.gradient().expect("a gradient");
    for epoch in 0..2 {
        let epoch = Epoch { epoch, order: &order, batch_size: 10 };
        loss(session.train_epoch(data, &epoch, &mut |_: BatchEnd| {}).expect("a loss"));
    }
    let state = session.state().expect("a state");
    all.extend(gradient);
    all.extend(state.weights);
    all.extend(state.slots.concat());
    all
}

proptest! {
    #![proptest_config(cases(50))]

    /// Sums are taken in an order that does not depend on who takes them.
    #[test]
    fn bits_do_not_depend_on_the_number_of_threads(case in models(BOUNDARIES), samples in 1usize..=32) {
        let bench = Bench::new(&case, samples);
        for backends in backends_by_threads() {
            let mut transcripts = backends.iter().map(|backend| {
                (backend.name(), transcript(&mut *bench.session(&**backend), &bench.data()))
            });
            let (_, first) = transcripts.next().expect("a number of threads");
            for (name, other) in transcripts {
                same_bits(&name, "another number of threads", &other, &first)?;
            }
        }
    }

    /// Overlapping windows are a view of the series; a copy of each gives the same bits.
    #[test]
    fn windows_are_as_good_as_copies(case in models(BOUNDARIES), samples in 1usize..=20) {
        let bench = Bench::new(&case, samples);
        let windows = bench.x();
        let copies: Vec<f32> = (0..windows.len()).flat_map(|i| windows.get(i).to_vec()).collect();
        let copies = Dataset { x: Samples::dense(&copies, windows.shape()).expect("samples"), ..bench.data() };
        for backend in backends() {
            let of_windows = transcript(&mut *bench.session(&*backend), &bench.data());
            let of_copies = transcript(&mut *bench.session(&*backend), &copies);
            same_bits(&backend.name(), "copies", &of_copies, &of_windows)?;
        }
    }

    /// A sample's prediction does not depend on its company, nor on what went through the session before.
    #[test]
    fn a_batch_is_so_many_samples(case in models(BOUNDARIES), samples in 1usize..=20) {
        let bench = Bench::new(&case, samples);
        let x = bench.x();
        for backend in backends() {
            let mut session = bench.session(&*backend);
            let together = predict(&mut *session, &x);
            let poison = vec![f32::NAN; x.shape().len()];
            let poison = Samples::dense(&poison, x.shape()).expect("a sample");
            let mut ignored = vec![0.0; bench.model.output_shape().len()];
            let apart: Vec<f32> = (0..samples)
                .flat_map(|i| {
                    session.predict(&poison, &mut ignored).expect("a prediction");
                    predict(&mut *session, &x.slice(i..i + 1))
                })
                .collect();
            same_bits(&backend.name(), "one by one", &apart, &together)?;
        }
    }

    /// `evaluate` is the mean of the samples' losses, and these are those of the predictions.
    #[test]
    fn an_evaluation_is_a_mean(case in models(SMALL), loss in losses(), samples in 1usize..=40) {
        let bench = Bench::new(&case, samples);
        let data = bench.data();
        for backend in backends() {
            let setup = Setup { loss, ..Setup::new(&bench.model) };
            let mut session = setup.session(&*backend, bench.weights.clone());
            let whole = session.evaluate(&data).expect("a loss");
            let y = predict(&mut *session, &data.x);
            let y = Samples::dense(&y, bench.model.output_shape()).expect("predictions");
            let (mut of_samples, mut of_predictions) = (0.0, 0.0);
            for i in 0..samples {
                of_samples += session.evaluate(&data.slice(i..i + 1)).expect("a loss") / samples as f64;
                of_predictions += loss.sample(y.get(i), data.y.get(i)) / samples as f64;
            }
            // Sums of at most 40 samples, in f64, of losses that are the same to the bit.
            let bound = [1e-14 * whole];
            on(&backend.name(), "samples", compare_within(&[whole], &[of_samples], &bound))?;
            on(&backend.name(), "predictions", compare_within(&[whole], &[of_predictions], &bound))?;
        }
    }

    /// An epoch is its batches: gradient, update, gradient, update. And a session taken up from its state
    /// goes on as the one that it was taken from.
    #[test]
    fn an_epoch_is_its_steps(case in models(SMALL), samples in 1usize..=20, batch_size in 1usize..=20) {
        let bench = Bench::new(&case, samples);
        let data = bench.data();
        let order: Vec<u32> = (0..samples as u32).collect();
        for backend in backends() {
            let name = backend.name();
            let mut whole = bench.session(&*backend);
            let epoch = Epoch { epoch: 0, order: &order, batch_size };
            let mut told = vec![];
            let mean = whole.train_epoch(&data, &epoch, &mut |end| told.push(end)).expect("a loss");
            let (mut sum, mut seen, mut state) = (0.0, 0, bench.session(&*backend).state().expect("a state"));
            for (index, batch) in order.chunks(batch_size).enumerate() {
                let mut session = bench.session(&*backend);
                session.set_state(&state).expect("a state");
                sum += session.compute_gradient(&data, batch).expect("a loss") * batch.len() as f64;
                seen += batch.len();
                session.update().expect("an update");
                state = session.state().expect("a state");
                prop_assert_eq!(told[index].batch, index);
                on(&name, "loss so far", compare_within(&[told[index].loss], &[sum / seen as f64], &[0.0]))?;
            }
            prop_assert_eq!(told.len(), samples.div_ceil(batch_size));
            on(&name, "loss", compare_within(&[mean], &[sum / samples as f64], &[0.0]))?;
            let after = whole.state().expect("a state");
            prop_assert_eq!(after.step, state.step);
            same_bits(&name, "weights", &after.weights, &state.weights)?;
            same_bits(&name, "moments", &after.slots.concat(), &state.slots.concat())?;
        }
    }

    /// The gradients of two halves of a batch, averaged and put back, take the step of the whole: how several
    /// processes would train one model. Dropout is off, since a mask belongs to a place in the batch.
    #[test]
    fn averaged_gradients_take_the_step_of_the_whole(mut case in models(SMALL)) {
        for layer in &mut case.layers {
            if matches!(layer, LayerCase::Dropout(_) | LayerCase::SpatialDropout1D(_)) {
                *layer = LayerCase::ReLU;
            }
        }
        let bench = Bench { optimizer: Optimizer::default(), ..Bench::new(&case, 8) };
        let data = bench.data();
        for backend in backends() {
            let mut session = bench.session(&*backend);
            let mut gradient = |batch: &[u32]| {
                session.compute_gradient(&data, batch).expect("a loss");
                session.gradient().expect("a gradient")
            };
            let (first, second) = (gradient(&[0, 1, 2, 3]), gradient(&[4, 5, 6, 7]));
            let whole = wide(&gradient(&[0, 1, 2, 3, 4, 5, 6, 7]));
            let mean: Vec<f32> = first.iter().zip(&second).map(|(a, b)| (a + b) / 2.0).collect();
            // The same products in another order: a few hundred roundings of the largest of them.
            let largest = whole.iter().chain(&wide(&first)).fold(0.0f64, |a, b| a.max(b.abs()));
            let bounds = vec![gamma(500, UNIT_F32) * largest + UNDERFLOW; whole.len()];
            on(&backend.name(), "mean", compare_within(&mean, &whole, &bounds))?;
            session.set_gradient(&mean).expect("a gradient of the same length");
            same_bits(&backend.name(), "gradient", &session.gradient().expect("a gradient"), &mean)?;
            session.update().expect("an update");
            let state = session.state().expect("a state");
            let mut expected = bench.weights.clone();
            let mut slots = vec![vec![0.0; mean.len()]; 2];
            Optimizer::default().update(1, bench.model.layout(), &mut expected, &mean, &mut slots);
            // Adam is the same formula; a backend may fuse a product and a sum, a rounding of a step of 1e-3.
            let bounds: Vec<f64> = expected.iter().map(|w| f64::from(w.abs()) * 1.2e-7 + 1e-9).collect();
            on(&backend.name(), "step", compare_within(&state.weights, &expected, &bounds))?;
            prop_assert_eq!(state.step, 1);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------
// Fusion

/// Fusing moves where element-by-element functions are applied, not what they compute.
fn fused_is_unfused<F: Float>(case: &ModelCase, loss: Loss) -> Result<(), TestCaseError> {
    let model = case.build();
    let weights: Vec<F> = weights(&model, case.seed);
    let x: Vec<F> = normals(case.seed, model.input_shape().len());
    let target: Vec<F> = normals(!case.seed, model.output_shape().len());
    let run = |program: &Program| {
        let mut interpreter = Interpreter::<F>::new(program.clone(), model.layout().clone());
        let mut gradient = vec![F::zero(); weights.len()];
        interpreter.draw_masks(case.seed, MaskAt { mask: 0, step: 3, position: 1 });
        let loss = interpreter.run(Sample { x: &x, target: &target, batch: 2 }, &weights, &mut gradient);
        let mut all = interpreter.value(program.output).to_vec();
        all.extend(program.input_gradient.map(|dx| interpreter.value(dx).to_vec()).unwrap_or_default());
        all.extend(gradient);
        (loss.to_bits(), all)
    };
    let inference = model.inference_program();
    for program in [model.training_program(loss), model.training_program_with_input_gradient(loss), inference]
    {
        let fused = program.fused();
        let ((loss, all), (fused_loss, fused_all)) = (run(&program), run(&fused));
        prop_assert_eq!(fused_loss, loss);
        if let Err(faults) = compare_bits(&fused_all, &all) {
            return Err(TestCaseError::fail(format!("{faults}\n{program}\nfused:\n{fused}")));
        }
        // Fusing again finds nothing more, and no activation is left outside of a kernel that could take it.
        prop_assert_eq!(fused.fused().to_string(), fused.to_string());
        prop_assert!(fused.len() <= program.len() && fused.lines.len() <= program.lines.len());
    }
    Ok(())
}

/// Many layers, and most of them without weights: chains of ReLU and dropout in every order.
fn chains() -> impl Strategy<Value = ModelCase> {
    let sizes = Sizes { layers: 7, ..SMALL };
    (models(sizes), proptest::collection::vec(any::<u8>(), 7)).prop_map(|(mut case, choices)| {
        let mut layers = vec![];
        for (layer, choice) in case.layers.into_iter().zip(choices) {
            layers.push(layer);
            let dropout = || LayerCase::Dropout(Dropout::new(0.5));
            match choice % 5 {
                0 => layers.push(LayerCase::ReLU),
                1 => layers.push(dropout()),
                2 => layers.extend([LayerCase::ReLU, dropout()]),
                3 => layers.extend([dropout(), LayerCase::ReLU]),
                _ => {}
            }
        }
        case.layers = layers;
        case
    })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_fused_program_gives_the_same_bits(case in chains(), loss in losses()) {
        fused_is_unfused::<f64>(&case, loss)?;
        fused_is_unfused::<f32>(&case, loss)?;
    }
}

/// No activation, mask or gate of the tutorial's training step is a pass of its own.
#[test]
fn the_tutorials_activations_all_become_epilogues() {
    let text = glassbox_tests::fixtures::text("architectures/tutorial.json");
    let model = Network::from_json(&text).expect("the tutorial's network");
    let fused = model.training_program(Loss::MeanSquaredError).fused();
    let maps = fused.lines.iter().filter(|line| matches!(line.instruction, Instruction::Map { .. }));
    assert_eq!(maps.count(), 0, "{fused}");
}

/// The reference is a backend like the others, in `f64` too.
#[test]
fn the_reference_names_its_type() {
    assert_eq!(Backend::<f32>::name(&Reference), "reference, f32");
    assert_eq!(Backend::<f64>::name(&Reference), "reference, f64");
}
