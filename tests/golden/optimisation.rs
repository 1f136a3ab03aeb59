//! The losses and the optimisers, each alone.

use std::collections::BTreeSet;

use std::f64::consts::LN_2;

use glassbox_engine::Float;
use glassbox_engine::backend::State;
use glassbox_engine::losses::Loss;
use glassbox_engine::optimizers::{Clipping, LearningRate, Optimizer};
use glassbox_tests::cases::flat_layout;
use glassbox_tests::compare::{Tolerance, assert_close};
use glassbox_tests::fixtures::{
    Tensors, adam, array, exactly, integer, json, number, numbers, optimizer, schedule, string,
};

/// `tolerance` is relative.
fn losses<F: Float>(tolerance: f64) {
    let table = json("losses.json");
    for case in array(&table["cases"]) {
        let (loss, tolerance) = match string(&case["loss"]) {
            "mse" => (Loss::MeanSquaredError, Tolerance::new(0.0, tolerance)),
            "mae" => (Loss::MeanAbsoluteError, Tolerance::new(0.0, tolerance)),
            "huber" => (Loss::huber(1.0).expect("a delta"), Tolerance::new(0.0, tolerance)),
            "huber 0.25" => (Loss::huber(0.25).expect("a delta"), Tolerance::new(0.0, tolerance)),
            // Keras computes x + softplus(-2 x) - log(2) and 1 - 2 sigmoid(-2 x), in which a few roundings of numbers
            // near 1 remain where x is small. Ours meets one rounding more, that of tanh.
            "log_cosh" => (Loss::LogCosh, Tolerance::new(4e-16, 1.5 * tolerance)),
            other => panic!("{other}"),
        };
        let what = format!("{loss} of shape {}", case["shape"]);
        let batch = integer(&case["shape"][0]);
        let (y, target) = (exactly::<F>(&numbers(&case["y_pred"])), exactly::<F>(&numbers(&case["y_true"])));
        let elements = y.len() / batch;
        let mut dy = vec![F::nan(); y.len()];
        let (mut sum, mut sum_of_gradient) = (0.0, 0.0);
        for ((y, target), dy) in y.chunks(elements).zip(target.chunks(elements)).zip(dy.chunks_mut(elements))
        {
            sum += loss.sample(y, target);
            sum_of_gradient += loss.gradient(y, target, batch, dy);
        }
        // Keras rounds log(2) to float32 also where it computes in float64: its log cosh is less by a constant.
        let offset = if loss == Loss::LogCosh { f64::from(LN_2 as f32) - LN_2 } else { 0.0 };
        let value = [number(&case["value"]) + offset];
        assert_close(&what, &[sum / batch as f64], &value, tolerance);
        assert_close(&what, &[sum_of_gradient / batch as f64], &value, tolerance);
        assert_close(&format!("gradient of {what}"), &dy, &numbers(&case["gradient"]), tolerance);
    }
}

#[test]
fn losses_and_their_gradients_are_keras() {
    // A mean of at most some dozen terms: a rounding each.
    losses::<f64>(1e-14);
    // The factor 2 / (n batch) and its product with a difference that is exact: all inputs are multiples of
    // 1/64.
    losses::<f32>(f64::from(f32::EPSILON));
}

fn ten_steps_of_adam<F: Float>(dtype: &str, tolerance: Tolerance) {
    let tensors = Tensors::read("adam.safetensors");
    let cases = tensors.metadata_json("cases");
    let mut seen = 0;
    for case in array(&cases).iter().filter(|case| case["dtype"] == dtype) {
        seen += 1;
        let name = string(&case["name"]);
        let get = |what: &str| tensors.get(&format!("{name}/{what}"));
        let adam = Optimizer::Adam(adam(case));
        let mut theta = get("start").exactly::<F>();
        let n = theta.len();
        let mut slots = vec![vec![F::zero(); n]; 2];
        let (gradients, parameters) = (get("gradient").exactly::<F>(), &get("parameter").values);
        let steps = gradients.chunks(n).zip(parameters.chunks(n)).enumerate();
        assert_eq!(steps.len(), integer(&case["steps"]), "{name}");
        for (step, (gradient, expected)) in steps {
            adam.update(step as u64 + 1, &flat_layout(&[n]), &mut theta, gradient, &mut slots);
            assert_close(&format!("{name} after step {}", step + 1), &theta, expected, tolerance);
        }
        // Running means of ten gradients: they may cancel in m, and what is left is a part of the largest
        // that went in, so it is compared in each group of gradients by itself.
        let groups = tensors.metadata_json("groups");
        for (group, range) in groups.as_object().expect("groups") {
            let range = integer(&range[0])..integer(&range[1]);
            for (what, found) in ["m", "v"].into_iter().zip(&slots) {
                let expected = &get(what).values[range.clone()];
                let bound = Tolerance::of_largest(tolerance.relative, expected);
                assert_close(&format!("{name}: {what} of {group}"), &found[range.clone()], expected, bound);
            }
        }
    }
    assert_eq!(seen, 2, "cases of {dtype}");
}

#[test]
fn adam_is_keras_over_ten_steps() {
    // Ten steps of a learning rate of at most 0.03, each some five roundings of 1e-16 off; parameters are
    // near 1.
    ten_steps_of_adam::<f64>("f64", Tolerance::new(1e-15, 1e-13));
    // The same in f32. Where a weight passes near 0, what counts is the size of the steps that took it there:
    // ten of 0.03, a few roundings of 6e-8 each.
    ten_steps_of_adam::<f32>("f32", Tolerance::new(1e-7, 1e-6));
}

/// Ten steps of every optimiser, with and without each of its options; what it keeps is compared at the end.
/// `rounded` is the tolerance of Adam's family, whose step has powers of beta, and where norms are clipped, which are
/// summed in another order.
fn ten_steps_of_every_optimizer<F: Float>(dtype: &str, rounded: Tolerance) {
    let tensors = Tensors::read("optimizers.safetensors");
    let cases = tensors.metadata_json("cases");
    let (start, gradients) = [format!("{dtype}/start"), format!("{dtype}/gradient")]
        .map(|name| tensors.get(&name).exactly::<F>())
        .into();
    let lengths: Vec<usize> = array(&tensors.metadata_json("variables"))
        .iter()
        .map(|at| integer(&at[1]) - integer(&at[0]))
        .collect();
    let layout = flat_layout(&lengths);
    let mut classes = BTreeSet::new();
    for case in array(&cases).iter().filter(|case| case["dtype"] == dtype) {
        let name = string(&case["name"]);
        let get = |what: &str| &tensors.get(&format!("{name}/{what}")).values;
        let optimizer = optimizer(case);
        classes.insert(optimizer.class_name());
        // The same operations in the same order: the same bits.
        let exact = Tolerance::new(0.0, 0.0);
        let by_norm =
            matches!(optimizer.common().clipping(), Some(Clipping::Norm(_) | Clipping::GlobalNorm(_)));
        let kept = if by_norm { rounded } else { exact };
        let tolerance = if optimizer.class_name().starts_with("Adam") { rounded } else { kept };
        let mut state = State::new(start.clone(), &optimizer);
        let n = start.len();
        let steps = gradients.chunks(n).zip(get("parameter").chunks(n)).enumerate();
        assert_eq!(steps.len(), integer(&case["steps"]), "{name}");
        for (step, (gradient, expected)) in steps {
            optimizer.update(step as u64 + 1, &layout, &mut state.weights, gradient, &mut state.slots);
            assert_close(&format!("{name} after step {}", step + 1), &state.weights, expected, tolerance);
        }
        let slots = array(&case["slots"]);
        assert_eq!(slots.len(), state.slots.len(), "{name}");
        for (slot, found) in slots.iter().zip(&state.slots) {
            assert_close(&format!("{name}: {slot}"), found, get(string(slot)), kept);
        }
    }
    // Adam has a file of its own.
    classes.insert("Adam");
    assert_eq!(classes, Optimizer::all().iter().map(Optimizer::class_name).collect());
}

#[test]
fn every_optimizer_is_keras_over_ten_steps() {
    // As for Adam alone.
    ten_steps_of_every_optimizer::<f64>("f64", Tolerance::new(1e-15, 1e-13));
    ten_steps_of_every_optimizer::<f32>("f32", Tolerance::new(1e-7, 1e-6));
}

fn schedules<F: Float>(dtype: &str, tolerance: Tolerance) {
    let table = json("schedules.json");
    for case in array(&table["cases"]) {
        let name = string(&case["name"]);
        let rate = LearningRate::Schedule(schedule(&case["schedule"]));
        let found: Vec<F> = numbers(&table["steps"]).iter().map(|done| rate.at(*done as u64 + 1)).collect();
        assert_close(&format!("{name} in {dtype}"), &found, &numbers(&case[dtype]), tolerance);
    }
}

#[test]
fn schedules_are_keras_at_every_step() {
    // A power or a cosine of the same number, a unit in the last place off, and the product with a rate of at most 0.3;
    // 1 + cos is what cancels.
    schedules::<f64>("f64", Tolerance::new(1e-16, 1e-15));
    schedules::<f32>("f32", Tolerance::new(5e-8, 3e-7));
}
