//! Facts on dropout.

use glassbox_engine::layers::{Dropout, Layer};
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::model::{Sequential, WeightLayout};
use glassbox_engine::program::Program;
use glassbox_engine::reference::{Interpreter, Sample};
use glassbox_engine::shape::Shape;
use glassbox_tests::cases::{cases, normals};
use proptest::prelude::*;
use proptest::sample::select;

/// A model of nothing but dropout, for its training program.
fn dropout(shape: Shape, rate: f64) -> Program {
    let mut model = Sequential::new(shape);
    model.add(Dropout::new(rate)).expect("a layer");
    model.training_program_with_input_gradient(Loss::MeanSquaredError)
}

/// What goes forward through it and what comes back: y, dy, dx.
fn pass(program: &Program, seed: u64, at: MaskAt, x: &[f64]) -> [Vec<f64>; 3] {
    let mut interpreter = Interpreter::<f64>::new(program.clone(), WeightLayout::default());
    interpreter.draw_masks(seed, at);
    // A target that is far from every output, so that no dy is zero.
    let target = vec![-1e3; x.len()];
    interpreter.run(Sample { x, target: &target, batch: 1 }, &[], &mut []);
    let dx = interpreter.value(program.input_gradient.expect("asked for")).to_vec();
    let y = interpreter.value(program.output).to_vec();
    let mut dy = vec![f64::NAN; y.len()];
    Loss::MeanSquaredError.gradient(&y, &target, 1, &mut dy);
    [y, dy, dx]
}

proptest! {
    #![proptest_config(cases(100))]

    /// The mask of the forward pass is that of the backward pass: what is kept is scaled by 1 / (1 - rate)
    /// both ways, what is dropped is dropped both ways.
    #[test]
    fn dropout_uses_one_mask_both_ways(
        steps in 1usize..=40, channels in 1usize..=9, rate in select(&[0.1, 0.2, 0.5, 0.9][..]), seed: u64,
        step in 0u64..100, position in 0usize..100,
    ) {
        let program = dropout(Shape::new(steps, channels), rate);
        let x: Vec<f64> = normals(seed, steps * channels);
        let at = MaskAt { mask: 0, step, position };
        let [y, dy, dx] = pass(&program, seed, at, &x);
        let scale = 1.0 / (1.0 - rate);
        for i in 0..x.len() {
            let kept = y[i] == x[i] * scale && dx[i] == dy[i] * scale;
            let dropped = y[i] == 0.0 && dx[i] == 0.0;
            prop_assert!(kept || dropped, "[{}] {} to {}, {} to {}", i, x[i], y[i], dy[i], dx[i]);
        }
        let again = pass(&program, seed, at, &x);
        prop_assert_eq!([y, dy, dx], again);
    }
}

/// The expectation of the output is the input, for every element: no place of a mask is dropped more than
/// another.
#[test]
fn the_mean_of_many_dropouts_is_the_input() {
    let shape = Shape::new(10, 5);
    let x = vec![1.0; shape.len()];
    for rate in [0.2, 0.5] {
        let program = dropout(shape, rate);
        let draws = 4000;
        let mut sums = vec![0.0; x.len()];
        for step in 0..draws {
            let at = MaskAt { mask: 0, step, position: 0 };
            let [y, ..] = pass(&program, 11, at, &x);
            sums.iter_mut().zip(y).for_each(|(sum, y)| *sum += y);
        }
        // One output has variance rate / (1 - rate): five standard deviations of the mean of 4000.
        let bound = 5.0 * (rate / (1.0 - rate) / draws as f64).sqrt();
        for (element, sum) in sums.iter().enumerate() {
            let mean = sum / draws as f64;
            assert!((mean - 1.0).abs() <= bound, "rate {rate}, element {element}: {mean}");
        }
    }
}

#[test]
fn dropout_is_the_identity_in_inference_and_at_rate_zero() {
    let mut model = Sequential::new(Shape::new(4, 2));
    model.add(Dropout::new(0.5)).expect("a layer");
    assert!(model.inference_program().is_empty());
    assert!(dropout(Shape::new(4, 2), 0.0).masks.is_empty());
    for rate in [1.0, -0.1, f64::NAN, f64::INFINITY] {
        let error = Dropout::new(rate).output_shape(&[Shape::new(4, 2)]).expect_err("no rate").to_string();
        assert!(error.contains("rate"), "{error}");
    }
}
