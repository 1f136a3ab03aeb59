//! Recurrent layers: every backend computes what the reference computes in `f64`, gradients are derivatives, and a
//! window does not depend on those that go through a recurrence beside it. The rounding of a recurrence grows with its
//! steps, so these models have a bound of their own and are not among the others.

use std::cell::Cell;
use std::sync::Arc;

use glassbox_engine::Float;
use glassbox_engine::backend::{Backend, Epoch};
use glassbox_engine::gradient_check::GradientCheck;
use glassbox_engine::layers::{Activation, Bidirectional, Conv1D, Dropout, GRU, LSTM, Layer, RepeatVector};
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::program::{Instruction, Program};
use glassbox_engine::reference::{Interpreter, Reference, Sample};
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_tests::backends::{Setup, backends, backends_by_threads, dataset, predict};
use glassbox_tests::cases::{cases, normals, weights};
use glassbox_tests::compare::{compare_bits, compare_within};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

/// A recurrent layer as plain data.
#[derive(Debug, Clone)]
struct Recurrent {
    units: usize,
    /// `None` for an LSTM, else `reset_after` of a GRU.
    gru: Option<bool>,
    activation: Activation,
    recurrent_activation: Activation,
    use_bias: bool,
    go_backwards: bool,
}

/// A model: a convolution, recurrent layers with dropout between them, and a convolution if all steps come out.
#[derive(Debug, Clone)]
struct Case {
    steps: usize,
    channels: usize,
    layers: Vec<Recurrent>,
    return_sequences: bool,
    seed: u64,
}

impl Case {
    fn build(&self) -> Network {
        let mut model = Sequential::new(Shape::new(self.steps, self.channels));
        model.add(Conv1D::new(2, 1)).unwrap();
        for (index, layer) in self.layers.iter().enumerate() {
            let return_sequences = self.return_sequences || index + 1 < self.layers.len();
            let Recurrent { units, gru, activation, recurrent_activation, use_bias, go_backwards } = *layer;
            let layer: Arc<dyn Layer> = match gru {
                None => Arc::new(LSTM {
                    units,
                    activation,
                    recurrent_activation,
                    use_bias,
                    unit_forget_bias: true,
                    return_sequences,
                    go_backwards,
                }),
                Some(reset_after) => Arc::new(GRU {
                    units,
                    activation,
                    recurrent_activation,
                    use_bias,
                    return_sequences,
                    go_backwards,
                    reset_after,
                }),
            };
            model.add_named(format!("recurrent_{index}"), layer).unwrap();
            if index == 0 {
                model.add(Dropout::new(0.3)).unwrap();
            }
        }
        if self.return_sequences {
            model.add(Conv1D::new(1, 1)).unwrap();
        }
        model.into()
    }
}

/// Random models with up to two recurrent layers of these numbers of units.
fn models(units: &'static [usize], functions: &'static [Activation]) -> impl Strategy<Value = Case> {
    let layer = (
        select(units),
        select(&[None, None, Some(true), Some(false)][..]),
        select(functions),
        select(&[Activation::Sigmoid, Activation::Sigmoid, Activation::Tanh, Activation::Silu][..]),
        any::<bool>(),
        any::<bool>(),
    );
    let layer = layer.prop_map(|(units, gru, activation, recurrent_activation, use_bias, go_backwards)| {
        Recurrent { units, gru, activation, recurrent_activation, use_bias, go_backwards }
    });
    let layers = proptest::collection::vec(layer, 1..=2);
    (1usize..=7, 1usize..=3, layers, any::<bool>(), any::<u64>()).prop_map(
        |(steps, channels, layers, return_sequences, seed)| Case {
            steps,
            channels,
            layers,
            return_sequences,
            seed,
        },
    )
}

const BOUNDARIES: &[usize] = &[1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 32, 33];
const SMALL: &[usize] = &[1, 2, 3];
const SMOOTH: &[Activation] =
    &[Activation::Tanh, Activation::Tanh, Activation::Softplus, Activation::Silu, Activation::Sigmoid];
const KINKED: &[Activation] = &[
    Activation::Relu,
    Activation::LeakyRelu { negative_slope: 0.3 },
    Activation::Elu { alpha: 0.5 },
    Activation::Selu,
];

/// The samples, the targets, the prediction, the loss and the gradient of a batch, on a backend.
fn outcome<F: Float>(backend: &dyn Backend<F>, case: &Case, samples: usize) -> [Vec<F>; 3] {
    let model = case.build();
    let x: Vec<F> = normals(case.seed, samples * model.input_shape().len());
    let target: Vec<F> = normals(!case.seed, samples * model.output_shape().len());
    let setup = Setup { seed: case.seed, ..Setup::new(&model) };
    let mut session = setup.session(backend, weights(&model, case.seed));
    let y = predict(&mut *session, &Samples::dense(&x, model.input_shape()).expect("samples"));
    let order: Vec<u32> = (0..samples as u32).collect();
    let loss = session.compute_gradient(&dataset(&model, &x, &target), &order).expect("a loss");
    [y, vec![F::of(loss)], session.gradient().expect("a gradient")]
}

proptest! {
    #![proptest_config(cases(80))]

    /// Seven steps of up to 33 products, twice over and back: some hundred roundings, in parts of the largest element.
    #[test]
    fn backends_conform(case in models(BOUNDARIES, SMOOTH), samples in select(&[1usize, 2, 7, 8, 9, 17][..])) {
        let expected = outcome::<f64>(&Reference, &case, samples);
        for backend in backends() {
            let found = outcome::<f32>(&*backend, &case, samples);
            for ((what, found), expected) in ["y", "loss", "gradient"].into_iter().zip(found).zip(&expected) {
                let largest = expected.iter().fold(0.0f64, |largest, v| largest.max(v.abs()));
                let bounds = vec![2e-5 * largest + 1e-6; expected.len()];
                if let Err(faults) = compare_within(&found, expected, &bounds) {
                    return Err(TestCaseError::fail(format!("{}: {what}: {faults}", backend.name())));
                }
            }
        }
    }

    /// Also for batches that leave groups of fewer windows at the end.
    #[test]
    fn bits_do_not_depend_on_the_number_of_threads(case in models(BOUNDARIES, SMOOTH), samples in 1usize..=40) {
        let model = case.build();
        let x: Vec<f32> = normals(case.seed, samples * model.input_shape().len());
        let target: Vec<f32> = normals(!case.seed, samples * model.output_shape().len());
        let data = dataset(&model, &x, &target);
        let order: Vec<u32> = (0..samples as u32).collect();
        for backends in backends_by_threads() {
            let mut transcripts = backends.iter().map(|backend| {
                let mut session = Setup::new(&model).session(&**backend, weights(&model, case.seed));
                let epoch = Epoch { epoch: 0, order: &order, batch_size: 19 };
                session.train_epoch(&data, &epoch, &mut |_| {}).expect("a loss");
                let mut transcript = session.state().expect("a state").weights;
                transcript.extend(predict(&mut *session, &data.x));
                transcript
            });
            let first = transcripts.next().expect("at least one");
            for other in transcripts {
                prop_assert!(compare_bits(&other, &first).is_ok(), "{}", backends[0].name());
            }
        }
    }

    /// A sample's prediction does not depend on those beside it in a group, nor on what was there before.
    #[test]
    fn a_group_is_so_many_samples(case in models(BOUNDARIES, SMOOTH), samples in 1usize..=20) {
        let model = case.build();
        let x: Vec<f32> = normals(case.seed, samples * model.input_shape().len());
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
    fn a_fused_program_gives_the_same_bits(case in models(SMALL, SMOOTH)) {
        let model = case.build();
        let weights: Vec<f64> = weights(&model, case.seed);
        let x: Vec<f64> = normals(case.seed, model.input_shape().len());
        let target: Vec<f64> = normals(!case.seed, model.output_shape().len());
        let run = |program: &Program| {
            let mut interpreter = Interpreter::<f64>::new(program.clone(), model.layout().clone());
            let mut gradient = vec![0.0; weights.len()];
            interpreter.draw_masks(case.seed, MaskAt { mask: 0, step: 0, position: 0 });
            interpreter.run(Sample { x: &x, target: &target, batch: 1 }, &weights, &mut gradient);
            gradient
        };
        let program = model.training_program(Loss::MeanSquaredError);
        prop_assert!(compare_bits(&run(&program.fused()), &run(&program)).is_ok());
    }

    /// Backwards over a signal is forwards over the signal backwards.
    #[test]
    fn going_backwards_is_the_reversed_signal(case in models(BOUNDARIES, SMOOTH)) {
        let mut case = Case { layers: case.layers[..1].to_vec(), ..case };
        let mut run = |go_backwards, reversed: bool| {
            case.layers[0].go_backwards = go_backwards;
            let model = case.build();
            let mut x: Vec<f32> = normals(case.seed, model.input_shape().len());
            if reversed {
                let rows: Vec<f32> = x.chunks(case.channels).rev().flatten().copied().collect();
                x = rows;
            }
            let x = Samples::dense(&x, model.input_shape()).expect("samples");
            let backend = &backends()[1];
            predict(&mut *Setup::new(&model).session(&**backend, weights(&model, case.seed)), &x)
        };
        let (backwards, forwards) = (run(true, false), run(false, true));
        prop_assert!(compare_bits(&backwards, &forwards).is_ok());
    }
}
/// Behind a repeated row the product with the kernel is computed for that row, forward and backward.
#[test]
fn a_repeated_row_is_multiplied_once() {
    let mut model = Sequential::new(Shape::new(12, 1));
    model.add(LSTM::new(3)).unwrap().add(RepeatVector::new(12)).unwrap();
    model.add(LSTM::new(2).return_sequences(true)).unwrap();
    let program = model.training_program(Loss::MeanSquaredError).fused();
    for line in program.lines.iter().filter(|line| line.layer == 2) {
        match &line.instruction {
            Instruction::Apply { geometry, .. } | Instruction::ApplyTransposed { geometry, .. } => {
                assert_eq!(geometry.out_steps, 1, "{line}");
            }
            // The recurrent kernel's gradient is over all steps.
            Instruction::Correlate { geometry, .. } => {
                assert!(geometry.out_steps == 1 || geometry.pad_left == 1, "{line}");
            }
            _ => {}
        }
    }
}

#[test]
fn a_state_sees_the_steps_before_it() {
    let field = |layer: Arc<dyn Layer>, step: usize| {
        let mut model = Sequential::new(Shape::new(8, 2));
        model.add_named("layer", layer).unwrap();
        let program = model.inference_program();
        program.receptive_field(program.output, step)
    };
    let lstm = LSTM::new(3).return_sequences(true);
    assert_eq!(field(Arc::new(lstm.clone()), 3), 0..4);
    assert_eq!(field(Arc::new(GRU::new(2)), 0), 0..8);
    // Its outputs are in the order of the steps that it takes.
    assert_eq!(field(Arc::new(lstm.clone().go_backwards(true)), 3), 4..8);
    assert_eq!(field(Arc::new(Bidirectional::new(lstm)), 3), 0..8);
}

/// The engine's own check, by central differences. Whatever it checks agrees. Where a dropped signal enters a cell without
/// biases, everything is exactly zero and no difference is precise: over all models, nine of ten elements are checked.
fn gradients_are_derivatives(functions: &'static [Activation]) {
    let counts = Cell::new((0, 0));
    let outcome = TestRunner::new(cases(80)).run(&models(SMALL, functions), |case| {
        let check = GradientCheck { seed: case.seed, ..GradientCheck::default() };
        for tensor in check.run(&case.build()).expect("a check") {
            prop_assert!(tensor.agrees(), "{tensor:?}");
            let (checked, asked) = counts.get();
            counts.set((checked + tensor.checked, asked + tensor.asked));
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let (checked, asked) = counts.get();
    assert!(10 * checked >= 9 * asked, "{checked} of {asked} elements checked");
}

#[test]
fn gradients_of_smooth_cells_are_derivatives() {
    gradients_are_derivatives(SMOOTH);
}

/// Functions with a kink are held on their side, within a recurrence too.
#[test]
fn gradients_of_kinked_cells_are_derivatives() {
    gradients_are_derivatives(KINKED);
}
