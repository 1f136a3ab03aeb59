//! Models with batch normalisation: predictions, gradients, and fits with short batches and a validation by the moving
//! statistics.

use glassbox_engine::Float;
use glassbox_engine::backend::Backend;
use glassbox_engine::model::Network;
use glassbox_engine::reference::Reference;
use glassbox_engine::training::{Checkpoint, Fit, fit};
use glassbox_tests::backends::{Setup, backends, dataset, predict};
use glassbox_tests::compare::{Tolerance, compare};
use glassbox_tests::fixtures::{Tensors, array, exactly, integer, number, numbers, string};

const FILE: &str = "batch_normalization.safetensors";

fn check<F: Float>(backend: &dyn Backend<F>, tolerance: Tolerance) {
    let tensors = Tensors::read(FILE);
    let (cases, options) = (tensors.metadata_json("cases"), tensors.metadata_json("fit"));
    assert_eq!(array(&cases).len(), 18);
    let mut faults = vec![];
    for case in array(&cases) {
        let name = string(&case["name"]);
        let model = Network::from_json(&case["architecture"].to_string())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let compilation = model.compilation(None, None).expect("an optimiser and a loss");
        let mut hold = |what: &str, found: &[F], expected: &[f64]| {
            if let Err(fault) = compare(found, expected, tolerance) {
                faults.push(format!("{}, {name}/{what}: {fault}", backend.name()));
            }
        };
        let get = |what: &str| tensors.get(&format!("{name}/{what}"));
        let flat = |what: &str| tensors.flat(&format!("{name}/{what}/"), model.layout());
        let options = Fit {
            epochs: integer(&options["epochs"]),
            batch_size: integer(&options["batch_size"]),
            validation_split: number(&options["validation_split"]),
            shuffle: false,
            ..Fit::default()
        };
        let setup =
            Setup { optimizer: compilation.optimizer, batch_size: options.batch_size, ..Setup::new(&model) };
        let mut session = setup.session(backend, exactly(&flat("start")));
        let (x, y): (Vec<F>, Vec<F>) = (get("x").exactly(), get("y").exactly());
        let data = dataset(&model, &x, &y);
        hold("predict", &predict(&mut *session, &data.x), &get("predict").values);
        let batch: Vec<u32> = (0..options.batch_size as u32).collect();
        session.compute_gradient(&data, &batch).expect("a loss");
        hold("gradient", &session.gradient().expect("a gradient"), &flat("gradient"));

        let start = Checkpoint::start(session.state().expect("a state"));
        let fitted = fit(&mut *session, &data, &options, start, &mut []).expect("a fit");
        for (key, found) in [("loss", fitted.history.loss), ("val_loss", fitted.history.val_loss)] {
            let found: Vec<F> = found.into_iter().map(F::of).collect();
            hold(key, &found, &numbers(&case["history"][key]));
        }
        hold("final", &session.state().expect("a state").weights, &flat("final"));
        hold("predict_final", &predict(&mut *session, &data.x), &get("predict_final").values);
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

/// Sums of some hundred products, normalised by at most the root of 1000; six steps magnify their rounding.
#[test]
fn batch_normalisation_is_keras_in_f64() {
    check::<f64>(&Reference, Tolerance::new(1e-12, 1e-10));
}

/// The bound of `f32` for gradients and parameters, as for the tutorial's training.
#[test]
fn batch_normalisation_is_keras_in_f32_on_every_backend() {
    for backend in backends() {
        check::<f32>(&*backend, Tolerance::new(1e-5, 1e-4));
    }
}
