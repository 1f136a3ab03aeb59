//! Overlapping windows share what they should, and sharing changes no bit.

use glassbox_engine::backend::{Dataset, Session};
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{Activation, Conv1D, Conv1DTranspose, Dense, Flatten, LSTM};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::reference::{Interpreter, Sample};
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_tests::backends::{Setup, backends_by_threads, predict};
use glassbox_tests::cases::{ModelCase, Sizes, cases, models, normals, weights};
use proptest::prelude::*;

/// Windows that are long enough to have an inside behind some layers.
const LONG: Sizes = Sizes { steps: 150, longest: 200, channels: &[1, 2, 3, 8, 17, 32], layers: 4 };

/// Models whose overlapping windows share values.
fn sharing() -> impl Strategy<Value = ModelCase> {
    let shares = |case: &ModelCase| case.build().inference_program().fused().overlap().is_some();
    models(LONG).prop_filter("windows share values", shares)
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn shared_steps_are_equal_in_both_windows(case in sharing(), rows in 0usize..7) {
        let model = case.build();
        let program = model.inference_program().fused();
        let overlap = program.overlap().expect("filtered");
        let series = normals::<f64>(case.seed, (case.input.steps + rows + overlap.period) * case.input.channels);
        let windows = Samples::windows(&series, case.input.steps, case.input.channels).expect("windows");
        let values = |window: usize| {
            let mut interpreter = Interpreter::new(program.clone(), model.layout().clone());
            let x = windows.get(window);
            interpreter.run(Sample { x, target: &[], batch: 1 }, &weights(&model, case.seed), &mut []);
            interpreter
        };
        let (first, second) = (values(rows), values(rows + overlap.period));
        for line in &program.lines {
            let y = line.instruction.stores().expect("inference stores");
            let Some([start, end]) = overlap.new_steps(y) else { continue };
            let shift = overlap.values[y.index()].as_ref().expect("shared").shift;
            let channels = program.values[y.index()].channels;
            prop_assert_eq!(
                &second.value(y)[start * channels..end * channels],
                &first.value(y)[(start + shift) * channels..(end + shift) * channels],
                "{}", line
            );
        }
    }

    /// In batches or one by one, and whatever was computed before, with these weights or with others.
    #[test]
    fn overlapping_windows_are_scored_as_windows_by_themselves(
        case in sharing(),
        count in prop_oneof![1usize..30, 120usize..300],
    ) {
        let model = case.build();
        let series = normals::<f32>(case.seed, (case.input.steps + count - 1) * case.input.channels);
        let windows = Samples::windows(&series, case.input.steps, case.input.channels).expect("windows");
        let apart: Vec<f32> = (0..count).flat_map(|window| windows.get(window)).copied().collect();
        let apart = Samples::dense(&apart, case.input).expect("as many");
        // On one thread and on two.
        for backend in backends_by_threads().into_iter().flat_map(|threads| threads.into_iter().take(2)) {
            let name = backend.name();
            let setup = Setup::new(&model);
            let mut session = setup.session(&*backend, weights(&model, case.seed));
            let alone = predict(&mut *session, &apart);
            prop_assert_eq!(&bits(&predict(&mut *session, &windows)), &bits(&alone), "on {}", name);

            let output = model.output_shape();
            let targets: Vec<f32> = alone.iter().map(|y| y + 1.0).collect();
            let y = Samples::dense(&targets, output).expect("as many");
            let losses = [windows, apart].map(|x| {
                let (data, mut losses) = (Dataset { x, y }, vec![f64::NAN; count]);
                session.sample_losses(&data, Loss::MeanAbsoluteError, &mut losses).expect("losses");
                (losses, session.evaluate(&data).expect("a loss"))
            });
            prop_assert_eq!(&losses[0], &losses[1], "on {}", name);

            let mut live = setup.session(&*backend, weights(&model, !case.seed));
            let next = |live: &mut dyn Session<f32>, window: usize| {
                predict(live, &windows.slice(window..window + 1))
            };
            next(&mut *live, 0);
            live.set_state(&session.state().expect("a state")).expect("its own");
            for (window, alone) in alone.chunks(output.len()).enumerate().take(40) {
                prop_assert_eq!(&bits(&next(&mut *live, window)), &bits(alone), "window {} on {}", window, name);
                if window % 11 == 3 {
                    next(&mut *live, count - 1);
                }
            }
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn windows_of_the_tutorial_share_all_but_their_ends() {
    let mut model = Sequential::new(Shape::new(288, 1));
    let conv =
        |filters| Conv1D::new(filters, 7).strides(2).padding(Padding::Same).activation(Activation::Relu);
    let back = |filters| {
        Conv1DTranspose::new(filters, 7).strides(2).padding(Padding::Same).activation(Activation::Relu)
    };
    model.add(conv(32)).unwrap().add(conv(16)).unwrap().add(back(16)).unwrap().add(back(32)).unwrap();
    model.add(Conv1DTranspose::new(1, 7).padding(Padding::Same)).unwrap();
    let program = model.inference_program().fused();
    let overlap = program.overlap().unwrap();
    assert_eq!(overlap.period, 4);
    let steps: Vec<_> = program
        .lines
        .iter()
        .map(|line| overlap.new_steps(line.instruction.stores().unwrap()).unwrap())
        .collect();
    // The first step that depends on no padding before the window, and the first that was not inside of the window four
    // rows before: by hand, from the kernels' taps and padding.
    assert_eq!(steps, [[1, 140], [2, 68], [7, 134], [17, 266], [20, 263]]);
}

#[test]
fn what_depends_on_the_place_in_a_window_is_not_shared() {
    let shares = |model: Network| {
        let program = model.inference_program();
        program.overlap().is_some_and(|overlap| overlap.new_steps(program.output).is_some())
    };
    let mut dense = Sequential::new((64, 1));
    dense.add(Flatten).unwrap().add(Dense::new(8)).unwrap();
    assert!(!shares(dense.into()));
    let mut recurrent = Sequential::new((64, 1));
    recurrent.add(LSTM::new(4)).unwrap();
    assert!(!shares(recurrent.into()));
    let mut wide = Sequential::new((8, 1));
    wide.add(Conv1D::new(2, 15).padding(Padding::Same)).unwrap();
    assert!(!shares(wide.into()));
}
