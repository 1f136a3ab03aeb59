//! Facts on losses, dropout, optimisers, and models as text.

use std::sync::Arc;

use glassbox_engine::backend::State;
use glassbox_engine::geometry::Padding;
use glassbox_engine::layers::{
    Concatenate, Conv1D, Conv1DTranspose, Cropping1D, Dense, Dropout, Flatten, Layer, ReLU, RepeatVector,
    Reshape, TimeDistributed, UpSampling1D, ZeroPadding1D,
};
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::model::{Network, Sequential, WeightLayout};
use glassbox_engine::optimizers::{
    Adam, AdamW, Clipping, Common, CosineDecay, ExponentialDecay, Hyperparameter, LearningRate, Optimizer,
    RMSprop, SGD,
};
use glassbox_engine::program::Program;
use glassbox_engine::reference::{Interpreter, Sample};
use glassbox_engine::shape::Shape;
use glassbox_tests::cases::{BOUNDARIES, cases, flat_layout, integers, models, normals, optimizers};
use glassbox_tests::compare::{compare_bits, compare_within};
use proptest::prelude::*;
use proptest::sample::select;

/// The gradient, and the loss that comes with it.
fn gradient(loss: Loss, y: &[f64], target: &[f64], batch: usize) -> (f64, Vec<f64>) {
    let mut dy = vec![f64::NAN; y.len()];
    let value = loss.gradient(y, target, batch, &mut dy);
    (value, dy)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_loss_is_zero_at_its_target_and_nowhere_else(n in 1usize..=40, at in any::<usize>(), seed: u64) {
        let mut y: Vec<f64> = normals(seed, n);
        for loss in Loss::ALL {
            prop_assert_eq!(loss.sample(&y, &y), 0.0);
            prop_assert_eq!(gradient(loss, &y, &y, 3), (0.0, vec![0.0; n]));
        }
        let target = y.clone();
        y[at % n] += 0.5;
        prop_assert_eq!(Loss::MeanSquaredError.sample(&y, &target), 0.25 / n as f64);
        prop_assert_eq!(Loss::MeanAbsoluteError.sample(&y, &target), 0.5 / n as f64);
        prop_assert_eq!(Loss::huber(1.0).unwrap().sample(&y, &target), 0.125 / n as f64);
        prop_assert!((Loss::LogCosh.sample(&y, &target) * n as f64 - 0.5f64.cosh().ln()).abs() <= 1e-15);
    }

    /// Sides exchanged, the value stays and the gradient turns round; differences doubled, the squared error
    /// is four times as large and the absolute one twice. Whole numbers: all exact.
    #[test]
    fn losses_are_even_and_homogeneous(n in 1usize..=40, batch in 1usize..=9, seed: u64) {
        let (y, target) = (integers(seed, n), integers(!seed, n));
        let twice = |v: &[f64]| v.iter().map(|v| 2.0 * v).collect::<Vec<f64>>();
        for loss in Loss::ALL {
            let (value, dy) = gradient(loss, &y, &target, batch);
            prop_assert_eq!(value, loss.sample(&y, &target));
            let (swapped, opposite) = gradient(loss, &target, &y, batch);
            prop_assert_eq!(swapped, value);
            prop_assert_eq!(opposite, dy.iter().map(|d| -d).collect::<Vec<f64>>());
        }
        for (loss, degree) in [(Loss::MeanSquaredError, 2), (Loss::MeanAbsoluteError, 1)] {
            let (value, dy) = gradient(loss, &y, &target, batch);
            prop_assert_eq!(loss.sample(&twice(&y), &twice(&target)), value * f64::from(1 << degree));
            // Euler: sum of dy (y - target) = degree * loss, of which the batch has its share.
            let sum: f64 = dy.iter().zip(&y).zip(&target).map(|((d, y), t)| d * (y - t)).sum();
            let expected = f64::from(degree) * value / batch as f64;
            // A sum of at most 40 terms of one sign.
            prop_assert!((sum - expected).abs() <= 1e-14 * expected, "{sum} {expected}");
        }
    }

    /// Within delta, Huber's loss is half the squared error; beyond, it is a line along the absolute error.
    #[test]
    fn hubers_loss_is_half_a_square_and_then_a_line(
        n in 1usize..=40, batch in 1usize..=9, delta in select(&[0.25, 1.0, 3.0][..]), seed: u64,
    ) {
        let (y, target): (Vec<f64>, Vec<f64>) = (normals(seed, n), normals(!seed, n));
        let huber = Loss::huber(delta).unwrap();
        for (y, target) in y.iter().zip(&target) {
            let of = |loss| gradient(loss, &[*y], &[*target], batch);
            let ((value, dy), (square, d_square)) = (of(huber), of(Loss::MeanSquaredError));
            let (absolute, d_absolute) = of(Loss::MeanAbsoluteError);
            if absolute <= delta {
                prop_assert_eq!((value, 2.0 * dy[0]), (0.5 * square, d_square[0]));
            } else {
                let line = delta * (absolute - 0.5 * delta);
                // Two roundings on either side.
                prop_assert!((value - line).abs() <= 1e-15 * line, "{value} {line}");
                prop_assert!((dy[0] - delta * d_absolute[0]).abs() <= 1e-15 * dy[0].abs());
            }
        }
    }

    /// `log cosh` lies below Huber's loss with a delta of 1, and above the line that it ends as. Its derivative is
    /// tanh.
    #[test]
    fn log_cosh_lies_between_a_square_and_a_line(seed: u64, scale in select(&[1e-6, 1e-3, 1.0, 10.0, 1e3][..])) {
        for difference in normals::<f64>(seed, 40) {
            let difference = scale * difference;
            let of = |loss| gradient(loss, &[difference], &[0.0], 1);
            let ((value, dy), (huber, _)) = (of(Loss::LogCosh), of(Loss::huber(1.0).unwrap()));
            let line = difference.abs() - std::f64::consts::LN_2;
            prop_assert!(value <= huber * (1.0 + 1e-15) && value >= line, "{difference}: {line} {value} {huber}");
            prop_assert_eq!(dy[0], difference.tanh());
            // The central difference, which is off by step^2 / 6 of the third derivative.
            let step = 1e-4 * difference.abs().min(1.0);
            let at = |x| Loss::LogCosh.sample(&[x], &[0.0]);
            let slope = (at(difference + step) - at(difference - step)) / (2.0 * step);
            prop_assert!((slope - dy[0]).abs() <= 1e-7 * dy[0].abs(), "{difference}: {slope} is not {}", dy[0]);
        }
    }

    #[test]
    fn a_loss_of_nan_is_nan(n in 1usize..=40, at in any::<usize>(), seed: u64) {
        let (mut y, target): (Vec<f64>, Vec<f64>) = (normals(seed, n), normals(!seed, n));
        y[at % n] = f64::NAN;
        for loss in Loss::ALL {
            prop_assert!(loss.sample(&y, &target).is_nan() && loss.sample(&target, &y).is_nan());
            let (value, dy) = gradient(loss, &y, &target, 2);
            prop_assert!(value.is_nan() && dy[at % n].is_nan());
        }
    }
}

// ---------------------------------------------------------------------------------------------------------
// Dropout

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
    let (_, dy) = gradient(Loss::MeanSquaredError, &y, &target, 1);
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

// ---------------------------------------------------------------------------------------------------------
// Optimisers

/// Ten steps from empty slots.
fn ten_steps(optimizer: impl Into<Optimizer>, start: &[f64], gradients: &[f64]) -> Vec<f64> {
    let optimizer = optimizer.into();
    let mut state = State::new(start.to_vec(), &optimizer);
    let layout = flat_layout(&[start.len()]);
    for (step, gradient) in gradients.chunks(start.len()).enumerate() {
        optimizer.update(step as u64 + 1, &layout, &mut state.weights, gradient, &mut state.slots);
    }
    state.weights
}

proptest! {
    #![proptest_config(cases(200))]

    /// A loss in another unit takes the same steps, epsilon being in that unit too. A power of two: to the
    /// bit.
    #[test]
    fn adam_does_not_see_the_unit_of_the_loss(n in 1usize..=20, power in -20i32..=20, seed: u64) {
        let (start, gradients): (Vec<f64>, Vec<f64>) = (normals(seed, n), normals(!seed, 10 * n));
        let unit = 2f64.powi(power);
        let adam = Adam::default();
        let scaled: Vec<f64> = gradients.iter().map(|g| g * unit).collect();
        let in_unit = Adam { epsilon: adam.epsilon * unit, ..adam };
        let (a, b) = (ten_steps(adam, &start, &gradients), ten_steps(in_unit, &start, &scaled));
        prop_assert!(compare_bits(&a, &b).is_ok(), "{a:?} {b:?}");
    }

    #[test]
    fn optimizers_are_odd_and_work_element_by_element(
        optimizer in select(optimizers()),
        n in 1usize..=20,
        cut in any::<usize>(),
        seed: u64,
    ) {
        let (start, gradients): (Vec<f64>, Vec<f64>) = (normals(seed, n), normals(!seed, 10 * n));
        let whole = ten_steps(optimizer.clone(), &start, &gradients);
        let negative = |v: &[f64]| v.iter().map(|v| -v).collect::<Vec<f64>>();
        let mirrored = ten_steps(optimizer.clone(), &negative(&start), &negative(&gradients));
        prop_assert!(compare_bits(&mirrored, &negative(&whole)).is_ok());
        if matches!(optimizer.common().clipping(), Some(Clipping::Norm(_) | Clipping::GlobalNorm(_))) {
            return Ok(());
        }
        let cut = cut % n;
        let part = |range: std::ops::Range<usize>| {
            let gradients: Vec<f64> = gradients.chunks(n).flat_map(|g| g[range.clone()].to_vec()).collect();
            if range.is_empty() { vec![] } else { ten_steps(optimizer.clone(), &start[range], &gradients) }
        };
        let parts = [part(0..cut), part(cut..n)].concat();
        prop_assert!(compare_bits(&parts, &whole).is_ok());
    }

    /// Without momentum each step is `w - lr g`; with either momentum, a constant gradient is taken by the series
    /// `1 + momentum + momentum^2 ...`, which Nesterov's has a step earlier.
    #[test]
    fn sgd_is_its_formula(n in 1usize..=20, momentum in 0.0f64..=1.0, seed: u64) {
        let (start, gradients): (Vec<f64>, Vec<f64>) = (normals(seed, n), normals(!seed, 10 * n));
        let found = ten_steps(SGD::new(0.125), &start, &gradients);
        let mut expected = start.clone();
        for gradient in gradients.chunks(n) {
            expected.iter_mut().zip(gradient).for_each(|(w, g)| *w -= 0.125 * g);
        }
        prop_assert!(compare_bits(&found, &expected).is_ok());

        let constant = gradients[..n].repeat(10);
        let plain = SGD::new(0.125).momentum(momentum);
        for (sgd, ahead) in [(plain, 0), (plain.nesterov(), 1)] {
            let found = ten_steps(sgd, &start, &constant);
            let series: f64 = (1..=10).flat_map(|step| (0..step + ahead).map(|k| momentum.powi(k))).sum();
            for ((found, w), g) in found.iter().zip(&start).zip(&constant) {
                let expected = w - 0.125 * g * series;
                // Some thirty roundings of numbers of at most |w| + 7 |g|.
                prop_assert!((found - expected).abs() <= 1e-14 * (w.abs() + 7.0 * g.abs()), "{found} {expected}");
            }
        }
    }

    /// Without epsilon, rho and momentum each step is the learning rate against the sign of the gradient. Without rho the
    /// centered variance vanishes, and epsilon is all that is left under the root.
    #[test]
    fn rmsprops_step_is_scaled_by_the_size_of_the_gradient(n in 1usize..=20, seed: u64) {
        let gradients: Vec<f64> = normals(seed, 10 * n);
        let sign = RMSprop { rho: 0.0, epsilon: f64::MIN_POSITIVE, ..RMSprop::new(0.125) };
        let found = ten_steps(sign, &vec![0.0; n], &gradients);
        let sum = |i: usize, of: &dyn Fn(f64) -> f64| gradients.chunks(n).map(|g| of(g[i])).sum::<f64>();
        let expected: Vec<f64> = (0..n).map(|i| -0.125 * sum(i, &f64::signum)).collect();
        // Ten steps of a few roundings.
        prop_assert!(compare_within(&found, &expected, &vec![1e-14; n]).is_ok(), "{found:?} {expected:?}");

        let centered = RMSprop { epsilon: 0.25, centered: true, ..sign };
        let found = ten_steps(centered, &vec![0.0; n], &gradients);
        let expected: Vec<f64> = (0..n).map(|i| -0.25 * sum(i, &|g| g)).collect();
        let bounds: Vec<f64> = (0..n).map(|i| 1e-14 * sum(i, &f64::abs)).collect();
        prop_assert!(compare_within(&found, &expected, &bounds).is_ok(), "{found:?} {expected:?}");
    }

    /// Gradients that grow make the last second moment the largest: then amsgrad changes nothing. Gradients that shrink take
    /// smaller steps with it.
    #[test]
    fn amsgrad_never_takes_the_larger_step(n in 1usize..=20, seed: u64) {
        let adam = Adam::new(0.01);
        let amsgrad = Adam { amsgrad: true, ..adam };
        let of = |step: usize, i: usize| 1.5f64.powi(step as i32) * (1.0 + i as f64);
        let growing: Vec<f64> = (0..10 * n).map(|at| of(at / n, at % n)).collect();
        let start: Vec<f64> = normals(seed, n);
        let steps = |adam, gradients: &[f64]| ten_steps(adam, &start, gradients);
        prop_assert!(compare_bits(&steps(amsgrad, &growing), &steps(adam, &growing)).is_ok());
        let shrinking: Vec<f64> = growing.iter().rev().copied().collect();
        // A beta_2 that forgets: the second moment shrinks with the gradients.
        let [adam, amsgrad] = [adam, amsgrad].map(|adam| Adam { beta_2: 0.5, ..adam });
        for (a, b) in steps(amsgrad, &shrinking).iter().zip(steps(adam, &shrinking)) {
            prop_assert!(*a > b, "{a} {b}");
        }
    }

    /// A step of gradient descent from 0 at a rate of 1 is the clipped gradient: as long as the limit allows, and in the
    /// direction of the gradient, of each tensor or of all together.
    #[test]
    fn clipping_limits_the_gradient_and_keeps_its_direction(
        lengths in prop::collection::vec(1usize..=600, 1..=4),
        limit in 0.5f64..=30.0,
        seed: u64,
    ) {
        let layout = flat_layout(&lengths);
        let gradient: Vec<f64> = normals(seed, layout.len());
        let clipped = |clipping| {
            let mut step = vec![0.0; layout.len()];
            let sgd = Optimizer::from(SGD::new(1.0)).clip(clipping);
            sgd.update(1, &layout, &mut step, &gradient, &mut []);
            step.iter().map(|step| -step).collect::<Vec<f64>>()
        };
        let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
        // Sums of at most 2400 squares: some thousand roundings.
        let scaled = |found: &[f64], gradient: &[f64]| {
            let factor = (limit / norm(gradient)).min(1.0);
            let expected: Vec<f64> = gradient.iter().map(|g| g * factor).collect();
            let bounds: Vec<f64> = expected.iter().map(|g| 1e-12 * g.abs()).collect();
            compare_within(found, &expected, &bounds)
        };
        let each = clipped(Clipping::Norm(limit));
        for range in layout.tensors().iter().map(|tensor| tensor.range.clone()) {
            prop_assert!(scaled(&each[range.clone()], &gradient[range]).is_ok());
        }
        prop_assert!(scaled(&clipped(Clipping::GlobalNorm(limit)), &gradient).is_ok());
        let expected: Vec<f64> = gradient.iter().map(|g| g.clamp(-limit, limit)).collect();
        prop_assert!(compare_bits(&clipped(Clipping::Value(limit)), &expected).is_ok());
    }

    /// A decay is its formula's end points, falls in between, and is constant after a cosine and within a stair.
    #[test]
    fn schedules_fall_from_end_to_end(initial in 1e-4f64..=1.0, steps in 1u64..=50, rate in 0.1f64..=0.9, warm in 1u64..=20) {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-14 * initial;
        let exponential = ExponentialDecay::new(initial, steps, rate);
        let staircase = LearningRate::from(ExponentialDecay { staircase: true, ..exponential });
        let exponential = LearningRate::from(exponential);
        let cosine = LearningRate::from(CosineDecay { alpha: 0.25, ..CosineDecay::new(initial, steps) });
        let warmup = CosineDecay { warmup_target: Some(initial), warmup_steps: warm, ..CosineDecay::new(0.0, steps) };
        let warmup = LearningRate::from(warmup);
        // Steps are counted from 1.
        for (schedule, end) in [(exponential, rate), (staircase, rate), (cosine, 0.25)] {
            prop_assert!(near(schedule.at(1), initial) && near(schedule.at(steps + 1), end * initial), "{schedule}");
            prop_assert!((1..=2 * steps).all(|step| schedule.at::<f64>(step + 1) <= schedule.at(step)), "{schedule}");
        }
        prop_assert!((1..=steps).all(|step| staircase.at::<f64>(step) == staircase.at::<f64>(1)));
        prop_assert_eq!(cosine.at::<f64>(steps + 1), cosine.at::<f64>(5 * steps));
        prop_assert_eq!(warmup.at::<f64>(1), 0.0);
        prop_assert!(near(warmup.at(warm + 1), initial) && near(warmup.at(warm + steps + 1), 0.0));
        prop_assert!((1..=warm).all(|step| near(warmup.at(step), initial * (step - 1) as f64 / warm as f64)));
    }

    /// Weight decay multiplies the weights by `1 - weight_decay learning_rate` before each step, and leaves the step as it
    /// is: without a gradient that is all, and AdamW is Adam with it.
    #[test]
    fn weight_decay_is_a_factor_of_the_weights(optimizer in select(optimizers()), n in 1usize..=20, seed: u64) {
        let start: Vec<f64> = normals(seed, n);
        let optimizer = optimizer.weight_decay(0.5);
        let rate = optimizer.learning_rate();
        let factor: f64 = (1..=10).map(|step| 1.0 - 0.5 * rate.at::<f64>(step)).product();
        let found = ten_steps(optimizer, &start, &vec![0.0; 10 * n]);
        let expected: Vec<f64> = start.iter().map(|w| w * factor).collect();
        // Some thirty roundings.
        let bounds: Vec<f64> = start.iter().map(|w| 1e-14 * w.abs()).collect();
        prop_assert!(compare_within(&found, &expected, &bounds).is_ok(), "{found:?} {expected:?}");

        let gradients: Vec<f64> = normals(!seed, 10 * n);
        let adam = Optimizer::from(Adam::new(0.01)).weight_decay(0.004);
        let (adam, adam_w) = (ten_steps(adam, &start, &gradients), ten_steps(AdamW::new(0.01), &start, &gradients));
        prop_assert!(compare_bits(&adam, &adam_w).is_ok());
    }

    /// The first step is the learning rate in the direction against the gradient, but for epsilon; without a
    /// gradient there is none.
    #[test]
    fn adams_first_step_is_the_learning_rate(n in 1usize..=20, seed: u64) {
        let adam = Adam::new(0.125);
        let gradient: Vec<f64> = normals(seed, n);
        let theta = ten_steps(adam, &vec![0.0; n], &gradient);
        // alpha m / (sqrt(v) + eps) = lr g / (|g| + eps / sqrt(1 - beta_2)), by hand.
        let hat = adam.epsilon / (1.0 - adam.beta_2).sqrt();
        let expected: Vec<f64> = gradient.iter().map(|g| -0.125 * g / (g.abs() + hat)).collect();
        // A dozen roundings of a step of 0.125.
        prop_assert!(compare_within(&theta, &expected, &vec![1e-15; n]).is_ok(), "{theta:?} {expected:?}");
        prop_assert_eq!(ten_steps(adam, &theta, &vec![0.0; 10 * n]), theta);
    }
}

/// An optimiser can be made again from the name and the hyperparameters that it gives.
#[test]
fn optimizers_are_made_from_their_names_and_hyperparameters() {
    for optimizer in optimizers() {
        let mut made = Optimizer::named(optimizer.class_name()).expect("a class");
        for (name, value) in optimizer.hyperparameters() {
            made.set(name, value).expect("its own");
        }
        assert_eq!(made, optimizer);
        let json = serde_json::to_value(&optimizer).expect("numbers and names");
        assert_eq!(json["optimizer"], optimizer.name());
        assert_eq!(serde_json::from_value::<Optimizer>(json).expect("the same"), optimizer);
        assert_eq!(Optimizer::named(optimizer.name()).expect("a name").class_name(), optimizer.class_name());
    }
    let mut sgd = Optimizer::from(SGD::new(0.1));
    for (name, value, word) in [
        (
            "beta_1",
            Hyperparameter::Number(0.9),
            "SGD does not have it; its arguments are learning_rate, momentum",
        ),
        ("momentum", Hyperparameter::Flag(true), "momentum is true, expected a number"),
        ("nesterov", Hyperparameter::Number(1.0), "nesterov is 1.0, expected true or false"),
    ] {
        let error = sgd.set(name, value).expect_err(name).to_string();
        assert!(error.contains(word), "{error}");
    }
    let error = Optimizer::from(SGD::new(0.1).momentum(1.5)).validate().unwrap_err().to_string();
    assert_eq!(error, "momentum is 1.5, expected a number in [0, 1]");
    for (clipping, found) in [
        (Clipping::Norm(0.0), "clipnorm is 0"),
        (Clipping::Value(-1.0), "clipvalue is -1"),
        (Clipping::GlobalNorm(1e-60), "global_clipnorm is 0.0"),
    ] {
        let error = Optimizer::default().clip(clipping).validate().unwrap_err().to_string();
        assert!(error.starts_with(found) && error.contains("expected a positive number"), "{error}");
    }
    let mut both = Optimizer::default().clip(Clipping::Norm(1.0));
    both.set("clipvalue", Hyperparameter::Number(2.0)).expect("a number");
    let error = both.validate().unwrap_err().to_string();
    assert!(error.contains("clipvalue is 2, expected no value beside clipnorm"), "{error}");
    for (weight_decay, found) in [(Some(-0.1), "-0.1"), (Some(f64::NAN), "NaN"), (None, "absent")] {
        let adam = Adam { common: Common { weight_decay, ..Common::default() }, ..Adam::default() };
        let error = Optimizer::from(AdamW(adam)).validate().unwrap_err().to_string();
        assert!(error.starts_with(&format!("weight_decay is {found}, expected a number")), "{error}");
    }
}

// ---------------------------------------------------------------------------------------------------------
// Models as text

proptest! {
    #![proptest_config(cases(100))]

    /// Written and read again, a model is the same: it computes the same, to every bit of a dropout's rate.
    #[test]
    fn a_model_survives_its_json(mut case in models(BOUNDARIES), rate in 0.0f64..1.0) {
        case.layers.push(glassbox_tests::cases::LayerCase::Dropout(Dropout::new(rate)));
        let model = case.build();
        let again = Network::from_json(&model.to_json()).expect("what we write we read");
        prop_assert_eq!(again.to_json(), model.to_json());
        prop_assert_eq!(again.layout(), model.layout());
        prop_assert_eq!(again.summary().to_string(), model.summary().to_string());
        let program = |model: &Network| {
            let program = model.training_program(Loss::MeanSquaredError);
            (format!("{program:?}"), program.masks)
        };
        prop_assert_eq!(program(&again), program(&model));
    }

    #[test]
    fn text_that_is_no_model_is_an_error(text in "\\PC{0,40}", cut in 0usize..10_000) {
        prop_assert!(Network::from_json(&text).is_err());
        let tutorial = glassbox_tests::fixtures::text("architectures/tutorial.json");
        let part = &tutorial[..cut % (tutorial.trim_end().len())];
        prop_assert!(Network::from_json(part).is_err());
    }

    #[test]
    fn a_model_with_one_value_replaced_causes_no_panic(cut in 0usize..10_000, steps: usize) {
        let tutorial = glassbox_tests::fixtures::text("architectures/tutorial.json");
        let mut document: serde_json::Value = serde_json::from_str(&tutorial).expect("JSON");
        let mut places = vec![];
        leaves("", &document, &mut places);
        let place = &places[cut % places.len()];
        *document.pointer_mut(place).expect("a leaf") = serde_json::Value::from(steps as u64);
        if let Ok(model) = Network::from_json(&document.to_string()) {
            let _ = model.summary().to_string();
        }
    }
}

/// Numbers that no memory has room for are refused, before the arithmetic of lengths wraps.
#[test]
fn models_larger_than_any_memory_are_refused() {
    let (large, wide) = (usize::MAX / 2, u32::MAX as usize);
    let refused = |input: Shape, layer: Arc<dyn Layer>| {
        let mut model = Sequential::new(input);
        let error = model.add_named("layer", layer.clone()).expect_err("no memory").to_string();
        assert!(
            error.contains("larger than any memory") || error.contains("spans more"),
            "{layer:?}: {error}"
        );
    };
    refused(Shape::new(large, 3), Arc::new(ReLU));
    refused(Shape::new(wide, wide), Arc::new(Dropout::new(0.5)));
    refused(Shape::new(9, 1), Arc::new(Conv1D::new(large, 1)));
    refused(Shape::new(9, wide), Arc::new(Conv1D::new(wide, 3)));
    refused(Shape::new(9, 1), Arc::new(Conv1D::new(1, large).padding(Padding::Same)));
    refused(Shape::new(9, 1), Arc::new(Conv1D::new(1, 3).dilation_rate(large).padding(Padding::Causal)));
    refused(Shape::new(9, 1), Arc::new(Conv1DTranspose::new(3, 3).strides(large / 9)));
    refused(Shape::new(9, 1), Arc::new(Conv1DTranspose::new(1, large)));
    refused(Shape::new(9, 1), Arc::new(Dense::new(large)));
    refused(Shape::new(9, 1), Arc::new(TimeDistributed::new(Dense::new(large))));
    refused(Shape::units(9), Arc::new(RepeatVector::new(large)));
    refused(Shape::new(wide, 9), Arc::new(UpSampling1D::new(large)));
    refused(Shape::new(9, 3), Arc::new(ZeroPadding1D::new(large, large)));
    refused(Shape::new(wide, wide), Arc::new(Flatten));
    refused(Shape::new(wide, wide), Arc::new(Reshape::new(4)));
    let joined = Concatenate::new(1).output_shape(&[Shape::new(large, 1); 3]).expect_err("no memory");
    assert!(joined.to_string().contains("larger than any memory"), "{joined}");
}

/// A layer that does not fit its input says what it was given, and what it can take.
#[test]
fn what_does_not_fit_is_refused_by_name() {
    let refusal = |input: Shape, layer: Arc<dyn Layer>| {
        let mut model = Sequential::new(input);
        model.add_named("layer", layer).expect_err("it does not fit").to_string()
    };
    let (series, code) = (Shape::new(9, 2), Shape::units(18));
    let no_steps = "cannot take an input of shape (batch, 18): it has no steps, expected (batch, steps, channels); \
                    put a RepeatVector or a Reshape before it";
    let of_steps: [Arc<dyn Layer>; 6] = [
        Arc::new(Conv1D::new(1, 3)),
        Arc::new(Conv1DTranspose::new(1, 3)),
        Arc::new(UpSampling1D::new(2)),
        Arc::new(ZeroPadding1D::new(1, 1)),
        Arc::new(Cropping1D::new(1, 1)),
        Arc::new(TimeDistributed::new(Dense::new(1))),
    ];
    for layer in of_steps {
        let class = layer.class_name();
        assert_eq!(refusal(code, layer), format!("layer ({class}): {no_steps}"));
    }
    let of_code: Arc<dyn Layer> = Arc::new(RepeatVector::new(3));
    let expected = "layer (RepeatVector): cannot take an input of shape (batch, 9, 2): it repeats a signal without steps, \
                    (batch, units)";
    assert_eq!(refusal(series, of_code), expected);
    for (layer, expected) in [
        (Arc::new(RepeatVector::new(0)) as Arc<dyn Layer>, "n is 0, expected at least 1"),
        (Arc::new(UpSampling1D::new(0)), "size is 0, expected at least 1"),
        (Arc::new(Dense::new(0)), "units is 0, expected at least 1"),
        (Arc::new(TimeDistributed::new(Dense::new(0))), "units is 0, expected at least 1"),
        (
            Arc::new(Cropping1D::new(4, 5)),
            "cropping is [4, 5], expected fewer than the 9 steps of the input in total",
        ),
        (Arc::new(Reshape::new((4, 4))), "its 18 values do not fit target_shape [4,4]"),
        (
            Arc::new(Reshape { target_shape: vec![None, None] }),
            "target_shape is [-1,-1], expected [units] or",
        ),
        (
            Arc::new(Reshape { target_shape: vec![None, Some(0)] }),
            "its 18 values do not fit target_shape [-1,0]",
        ),
        (
            Arc::new(TimeDistributed::new(Flatten)),
            "layer is Flatten, expected a layer that treats each step by itself",
        ),
        (Arc::new(Concatenate::default()), "the number of inputs is 1, expected at least 2"),
    ] {
        let error = refusal(series, layer);
        assert!(error.contains(expected), "{error}");
    }
    let join = |axis: i64, inputs: &[Shape]| Concatenate::new(axis).output_shape(inputs);
    assert_eq!(join(-1, &[series, Shape::new(9, 3)]).unwrap(), Shape::new(9, 5));
    assert_eq!(join(2, &[series, Shape::new(9, 3)]).unwrap(), Shape::new(9, 5));
    assert_eq!(join(1, &[series, Shape::new(4, 2)]).unwrap(), Shape::new(13, 2));
    assert_eq!(join(-2, &[series, Shape::new(4, 2)]).unwrap(), Shape::new(13, 2));
    assert_eq!(join(1, &[code, code, code]).unwrap(), Shape::units(54));
    for (axis, inputs, expected) in [
        (0, [series, series], "axis is 0, expected 1 to 2, or -2 to -1, for inputs of rank 2"),
        (2, [code, code], "axis is 2, expected 1 to 1"),
        (-1, [series, Shape::new(8, 2)], "cannot be joined to (batch, 9, 2) along axis 2"),
        (1, [series, Shape::new(8, 1)], "cannot be joined to (batch, 9, 2) along axis 1"),
        (-1, [series, Shape::units(2)], "cannot be joined to (batch, 9, 2) along axis 2"),
    ] {
        let error = join(axis, &inputs).expect_err("it does not fit").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// The pointers to all values that hold no others.
fn leaves(place: &str, value: &serde_json::Value, places: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(entries) => {
            entries.iter().for_each(|(key, value)| leaves(&format!("{place}/{key}"), value, places));
        }
        serde_json::Value::Array(values) => {
            values.iter().enumerate().for_each(|(i, value)| leaves(&format!("{place}/{i}"), value, places));
        }
        _ => places.push(place.to_string()),
    }
}
