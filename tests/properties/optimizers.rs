//! Facts on optimisers, schedules and clipping.

use glassbox_engine::backend::State;
use glassbox_engine::optimizers::{
    Adam, AdamW, Clipping, Common, CosineDecay, ExponentialDecay, Hyperparameter, LearningRate, Optimizer,
    RMSprop, SGD,
};
use glassbox_tests::cases::{cases, flat_layout, normals, optimizers};
use glassbox_tests::compare::{compare_bits, compare_within};
use proptest::prelude::*;
use proptest::sample::select;

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
