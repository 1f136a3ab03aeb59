//! Models with recurrent layers: predictions, gradients and a few steps of training. A convolution of one tap comes
//! first, so that its gradient shows that of the recurrent layer's input.

use glassbox_engine::Float;
use glassbox_engine::activations::Activation;
use glassbox_engine::backend::Backend;
use glassbox_engine::model::Network;
use glassbox_engine::reference::Reference;
use glassbox_engine::samples::Samples;
use glassbox_tests::backends::{Setup, backends, dataset, predict};
use glassbox_tests::compare::{Tolerance, compare};
use glassbox_tests::fixtures::{Tensors, array, exactly, string};
use serde_json::Value as Json;

fn check<F: Float>(backend: &dyn Backend<F>, tolerance: Tolerance) {
    let tensors = Tensors::read("recurrent.safetensors");
    let cases = tensors.metadata_json("cases");
    assert_eq!(array(&cases).len(), 78);
    let mut faults = vec![];
    for case in array(&cases) {
        let name = string(&case["name"]);
        let model = Network::from_json(&case["architecture"].to_string())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let get = |what: &str| tensors.get(&format!("{name}/{what}"));
        let mut hold = |what: &str, found: &[F], expected: &[f64]| {
            if let Err(fault) = compare(found, expected, tolerance) {
                faults.push(format!("{}, {name}/{what}: {fault}", backend.name()));
            }
        };
        let setup = Setup { optimizer: tensors.adam("adam"), ..Setup::new(&model) };
        let start = tensors.flat(&format!("{name}/start/"), model.layout());
        let mut session = setup.session(backend, exactly(&start));
        let (x, target): (Vec<F>, Vec<F>) = (get("x").exactly(), get("target").exactly());
        let samples = Samples::dense(&x, model.input_shape()).expect("samples");
        hold("y", &predict(&mut *session, &samples), &get("y").values);
        let order: Vec<u32> = (0..samples.len() as u32).collect();
        for (step, expected) in get("loss").values.iter().enumerate() {
            let loss = session.compute_gradient(&dataset(&model, &x, &target), &order).expect("a loss");
            hold(&format!("loss {step}"), &[F::of(loss)], &[*expected]);
            if step == 0 {
                let gradient = session.gradient().expect("a gradient");
                hold("gradient", &gradient, &tensors.flat(&format!("{name}/gradient/"), model.layout()));
            }
            session.update().expect("an update");
        }
        let weights = session.state().expect("a state").weights;
        hold("after", &weights, &tensors.flat(&format!("{name}/after/"), model.layout()));
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

/// Sums of some hundred products; Adam divides by the root of squared gradients, so a rounding of a gradient near zero
/// is a step of some size.
#[test]
fn recurrent_layers_are_keras_in_f64() {
    check::<f64>(&Reference, Tolerance::new(1e-12, 1e-10));
}

/// The bound of `f32` for gradients and parameters, as for the tutorial's training.
#[test]
fn recurrent_layers_are_keras_in_f32_on_every_backend() {
    for backend in backends() {
        check::<f32>(&*backend, Tolerance::new(1e-5, 1e-4));
    }
}

/// Each argument of each layer, on both sides.
#[test]
fn the_table_of_recurrent_layers_covers_what_matters() {
    let cases = Tensors::read("recurrent.safetensors").metadata_json("cases");
    let layers: Vec<Json> = array(&cases)
        .iter()
        .flat_map(|case| array(&case["architecture"]["config"]["layers"]).to_vec())
        .collect();
    let some = |class: &str, argument: &str, value: Json| {
        let found = layers.iter().any(|l| l["class_name"] == class && l["config"][argument] == value);
        assert!(found, "{class} with {argument} {value}");
    };
    let each = |class: &str, argument: &str, values: &[Json]| {
        values.iter().for_each(|value| some(class, argument, value.clone()));
    };
    let flags = [true.into(), false.into()];
    let names = |names: &[&str]| names.iter().map(|name| Json::from(*name)).collect::<Vec<Json>>();
    for class in ["LSTM", "GRU"] {
        for argument in ["return_sequences", "go_backwards", "use_bias"] {
            each(class, argument, &flags);
        }
        each(class, "activation", &names(&Activation::ALL.map(Activation::name)));
        each(class, "recurrent_activation", &names(&["sigmoid", "tanh", "relu", "silu"]));
    }
    each("LSTM", "unit_forget_bias", &flags);
    each("GRU", "reset_after", &flags);
    each("Bidirectional", "merge_mode", &names(&["concat", "sum", "ave", "mul"]));
}
