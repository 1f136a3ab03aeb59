//! Models that merge their inputs: predictions and gradients. Each input passes a kernel of one tap, whose gradient
//! shows that of the merged signal.

use std::collections::BTreeSet;

use glassbox_engine::Float;
use glassbox_engine::backend::Backend;
use glassbox_engine::model::Network;
use glassbox_engine::reference::Reference;
use glassbox_tests::backends::{Setup, backends, dataset, predict};
use glassbox_tests::compare::{Tolerance, assert_close};
use glassbox_tests::fixtures::{Tensors, array, exactly, string};

fn check<F: Float>(backend: &dyn Backend<F>, relative: f64) {
    let tensors = Tensors::read("merging.safetensors");
    let cases = tensors.metadata_json("cases");
    assert_eq!(array(&cases).len(), 11);
    for case in array(&cases) {
        let name = string(&case["name"]);
        let model = Network::from_json(&case["architecture"].to_string())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let hold = |what: &str, found: &[F], expected: &[f64]| {
            let what = format!("{}, {name}: {what}", backend.name());
            assert_close(&what, found, expected, Tolerance::of_largest(relative, expected));
        };
        let weights = exactly(&tensors.flat(&format!("{name}/weights/"), model.layout()));
        let mut session = Setup::new(&model).session(backend, weights);
        let get = |what: &str| tensors.get(&format!("{name}/{what}"));
        let (x, target): (Vec<F>, Vec<F>) = (get("x").exactly(), get("target").exactly());
        let data = dataset(&model, &x, &target);
        hold("y", &predict(&mut *session, &data.x), &get("y").values);
        let order: Vec<u32> = (0..data.len() as u32).collect();
        session.compute_gradient(&data, &order).expect("a loss");
        let gradient = session.gradient().expect("a gradient");
        hold("gradient", &gradient, &tensors.flat(&format!("{name}/gradient/"), model.layout()));
    }
}

/// In parts of the largest element: sums of some ten products, in another order, round by 1e-16 each.
#[test]
fn merging_layers_are_keras_in_f64() {
    check::<f64>(&Reference, 1e-14);
}

/// The same with roundings of 6e-8, and the target's difference before them.
#[test]
fn merging_layers_are_keras_in_f32_on_every_backend() {
    for backend in backends() {
        check::<f32>(&*backend, 2e-6);
    }
}

/// Each axis of each rank, by both of its names, two inputs and more.
#[test]
fn the_table_of_merging_layers_covers_what_matters() {
    let cases = Tensors::read("merging.safetensors").metadata_json("cases");
    let mut seen = BTreeSet::new();
    for case in array(&cases) {
        let model = Network::from_json(&case["architecture"].to_string()).expect("a model");
        let merge = model.layers().iter().find(|layer| layer.inputs.len() > 1).expect("a merge");
        let (class, config, inputs) = (merge.layer.class_name(), merge.layer.config(), merge.inputs.len());
        seen.insert(format!("{class} {config} of {inputs}, rank {}", merge.output.rank()));
    }
    for wanted in [
        r#"Concatenate {"axis":-1} of 3, rank 2"#,
        r#"Concatenate {"axis":2} of 2, rank 2"#,
        r#"Concatenate {"axis":1} of 2, rank 2"#,
        r#"Concatenate {"axis":-2} of 3, rank 2"#,
        r#"Concatenate {"axis":-1} of 3, rank 1"#,
        r#"Concatenate {"axis":1} of 2, rank 1"#,
        "Add {} of 2, rank 2",
        "Add {} of 3, rank 1",
        "Multiply {} of 2, rank 2",
        "Multiply {} of 3, rank 1",
    ] {
        assert!(seen.contains(wanted), "{wanted} is not among {seen:?}");
    }
}
