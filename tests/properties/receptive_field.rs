//! The receptive field that is read off a program, held against what moves when the input does.

use std::ops::Range;

use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{Activation, Conv1D, Conv1DTranspose};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::{Sequential, WeightLayout};
use glassbox_engine::program::Program;
use glassbox_engine::reference::{Interpreter, Sample};
use glassbox_engine::shape::Shape;
use glassbox_tests::cases::{ModelCase, SMALL, cases, models};
use proptest::prelude::*;

/// All weights and inputs one: sums of whole numbers, exact, in which nothing cancels and every ReLU is open.
/// So an output moves if and only if a path leads to it.
struct Ones {
    interpreter: Interpreter<f64>,
    weights: Vec<f64>,
    program: Program,
}

impl Ones {
    fn new(program: Program, layout: &WeightLayout) -> Self {
        let weights = vec![1.0; layout.len()];
        Self { interpreter: Interpreter::new(program.clone(), layout.clone()), weights, program }
    }

    /// The prediction for ones with `more` added to step `step`; row by row.
    fn predict(&mut self, step: usize, more: f64) -> Vec<f64> {
        let input = self.program.values[self.program.input.index()];
        let mut x = vec![1.0; input.len()];
        x[step * input.channels..][..input.channels].fill(1.0 + more);
        self.interpreter.run(Sample { x: &x, target: &[], batch: 1 }, &self.weights, &mut []);
        self.interpreter.value(self.program.output).to_vec()
    }
}

/// The least range that holds all of `steps`, which ascend.
fn hull(steps: &[usize]) -> Range<usize> {
    steps.first().map_or(0..0, |first| *first..steps[steps.len() - 1] + 1)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn an_impulse_moves_just_the_steps_in_whose_field_it_lies(
        case in models(SMALL).prop_map(ModelCase::straightened),
    ) {
        let model = case.build();
        let program = model.inference_program();
        let output = program.values[program.output.index()];
        let mut ones = Ones::new(program.clone(), model.layout());
        let still = ones.predict(0, 0.0);
        let mut moved_by = vec![vec![]; output.steps];
        for step in 0..case.input.steps {
            let moved = ones.predict(step, 1.0);
            for (t, moved_by) in moved_by.iter_mut().enumerate() {
                let at = t * output.channels..(t + 1) * output.channels;
                if moved[at.clone()] != still[at] {
                    moved_by.push(step);
                }
            }
        }
        for (t, moved_by) in moved_by.iter().enumerate() {
            prop_assert_eq!(program.receptive_field(program.output, t), hull(moved_by), "output step {}", t);
        }
    }
}

/// The convolutions of the tutorial, and the gradient of one output step with respect to the input.
#[test]
fn the_gradient_of_an_output_step_is_zero_outside_of_its_field() {
    let mut model = Sequential::new(Shape::new(288, 1));
    let conv =
        |filters| Conv1D::new(filters, 7).strides(2).padding(Padding::Same).activation(Activation::Relu);
    let back = |filters| Conv1DTranspose::new(filters, 7).strides(2).padding(Padding::Same);
    model.add(conv(2)).unwrap().add(conv(2)).unwrap();
    model
        .add(back(2).activation(Activation::Relu))
        .unwrap()
        .add(back(2).activation(Activation::Relu))
        .unwrap();
    model.add(Conv1DTranspose::new(1, 7).padding(Padding::Same)).unwrap();

    let program = model.inference_program();
    let still = Ones::new(program.clone(), model.layout()).predict(0, 0.0);
    let training = model.training_program_with_input_gradient(Loss::MeanAbsoluteError);
    let mut interpreter = Interpreter::<f64>::new(training.clone(), model.layout().clone());
    let (ones, weights) = (vec![1.0; 288], vec![1.0; model.layout().len()]);
    for t in [0, 1, 2, 20, 143, 144, 145, 146, 286, 287] {
        // Hits its target everywhere but at step t: the loss has a gradient there and nowhere else.
        let mut target = still.clone();
        target[t] -= 1.0;
        let mut gradient = vec![0.0; model.layout().len()];
        interpreter.draw_masks(0, glassbox_engine::masks::MaskAt { mask: 0, step: 0, position: 0 });
        interpreter.run(Sample { x: &ones, target: &target, batch: 1 }, &weights, &mut gradient);
        let dx = interpreter.value(training.input_gradient.expect("asked for"));
        let moved: Vec<usize> = (0..288).filter(|step| dx[*step] != 0.0).collect();
        assert_eq!(program.receptive_field(program.output, t), hull(&moved), "output step {t}");
        if t == 144 {
            assert_eq!(moved, (126..165).collect::<Vec<_>>());
        }
    }
}
