//! Models of random layers, arguments, losses and optimisers, in a row or in a graph: predictions, gradients and eight
//! steps of `fit`.
//!
//! `GLASSBOX_RANDOM_MODELS` names folders with more of them, as `fixtures/README.md` says.

use glassbox_engine::Float;
use glassbox_engine::backend::Backend;
use glassbox_engine::model::{Compilation, Network};
use glassbox_engine::reference::Reference;
use glassbox_engine::training::{Checkpoint, Fit, fit};
use glassbox_tests::backends::{Setup, backends, dataset, launches_kernels, predict};
use glassbox_tests::fixtures::{self, Tensors, array, exactly, integer, number, numbers, string};
use serde_json::Value as Json;

const FILE: &str = "random_models.safetensors";

/// How far from Keras each result may be, relative to the largest number of the result; and how far it was.
#[derive(Debug, Clone, Copy)]
struct Distances {
    prediction: f64,
    gradient: f64,
    loss: f64,
    weights: f64,
}

fn files() -> Vec<Tensors> {
    match std::env::var_os("GLASSBOX_RANDOM_MODELS") {
        None => vec![Tensors::read(FILE)],
        Some(folders) => std::env::split_paths(&folders)
            .map(|folder| Tensors::read(folder.join(FILE).to_str().expect("a path that is text")))
            .collect(),
    }
}

fn check<F: Float>(backend: &dyn Backend<F>, suffix: &str, most: Distances) {
    let mut found = Distances { prediction: 0.0, gradient: 0.0, loss: 0.0, weights: 0.0 };
    let mut models = 0;
    for tensors in files() {
        for case in array(&tensors.metadata_json("cases")) {
            let Some(distances) = distances(backend, &tensors, case, suffix) else { continue };
            for (found, distance, most) in [
                (&mut found.prediction, distances.prediction, most.prediction),
                (&mut found.gradient, distances.gradient, most.gradient),
                (&mut found.loss, distances.loss, most.loss),
                (&mut found.weights, distances.weights, most.weights),
            ] {
                assert!(
                    distance <= most,
                    "{}: model {} is off by {distances:?}, {most:e} allowed\n{}",
                    backend.name(),
                    case["name"],
                    case["architecture"]
                );
                *found = found.max(distance);
            }
            models += 1;
        }
    }
    assert!(models > 0);
    println!("{}: {models} models, at most {found:?} from Keras", backend.name());
}

/// How far a backend is from Keras; nothing of a model that the kernels of CUDA refuse: they give one output.
fn distances<F: Float>(
    backend: &dyn Backend<F>,
    tensors: &Tensors,
    case: &Json,
    suffix: &str,
) -> Option<Distances> {
    let name = string(&case["name"]);
    let model = Network::from_json(string(&case["architecture"])).expect("a model");
    let Compilation { optimizer, loss, .. } = model.compilation(None, None).expect("an optimiser and a loss");
    assert_eq!(optimizer, fixtures::optimizer(&case["optimizer"]), "{name}");
    assert_eq!(loss.name(), if case["loss"] == "mse" { "mean_squared_error" } else { "mean_absolute_error" });

    let setup = Setup {
        optimizer,
        loss,
        seed: tensors.metadata("dropout_seed").parse().expect("a seed"),
        batch_size: integer(&case["batch_size"]),
        ..Setup::new(&model)
    };
    if launches_kernels(backend) && model.outputs().len() > 1 {
        let plan = model.plan(loss, setup.optimizer, setup.seed, setup.batch_size).expect("a plan");
        let error = backend.session(plan).err().expect("a refusal").to_string();
        assert!(error.contains("2 outputs"), "{error}");
        return None;
    }
    let start: Vec<F> = exactly(&tensors.flat(&format!("{name}/start/"), model.layout()));
    let [x, y] = ["x", "y"].map(|key| tensors.get(&format!("{name}/{key}")).exactly::<F>());
    let data = dataset(&model, &x, &y);

    let mut session = setup.session(backend, start);
    let begin = session.state().expect("a state");
    let batch: Vec<u32> = (0..setup.batch_size as u32).collect();
    let prediction = predict(&mut *session, &data.x.slice(0..batch.len()));
    session.compute_gradient(&data, &batch).expect("a loss");
    let gradient = session.gradient().expect("a gradient");

    let options = Fit {
        epochs: 2,
        batch_size: setup.batch_size,
        validation_split: number(&case["validation_split"]),
        shuffle: false,
        ..Fit::default()
    };
    let fitted = fit(&mut *session, &data, &options, Checkpoint::start(begin), &mut []).expect("a fit");
    let losses = [("loss", &fitted.history.loss), ("val_loss", &fitted.history.val_loss)];
    let losses = losses.map(|(key, found)| {
        // No validation: no key in Keras, no values here.
        let expected = case["history"].get(format!("{key}{suffix}")).map(numbers).unwrap_or_default();
        distance::<f64>(found, &expected)
    });
    let flat = |prefix: &str| tensors.flat(&format!("{name}/{prefix}/"), model.layout());
    Some(Distances {
        prediction: distance(&prediction, &tensors.get(&format!("{name}/predict")).values),
        gradient: distance(&gradient, &flat("gradient")),
        loss: losses[0].max(losses[1]),
        weights: distance(&session.state().expect("a state").weights, &flat(&format!("final{suffix}"))),
    })
}

/// The largest difference, relative to the largest number expected; infinite if a number is not finite.
fn distance<F: Float>(found: &[F], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0f64, |largest, value| largest.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(found, expected)| (found.wide() - expected).abs());
    let worst =
        differences.fold(
            0f64,
            |worst, difference| {
                if difference.is_finite() { worst.max(difference) } else { f64::INFINITY }
            },
        );
    if worst == 0.0 { 0.0 } else { worst / largest }
}

/// Rounding, which eight steps magnify where they divide by the roots of small squared gradients. Each bound is twice
/// and more what 200 models were off by (`fixtures/README.md`).
#[test]
fn random_models_are_keras_in_f64() {
    let most = Distances { prediction: 1e-14, gradient: 1e-14, loss: 1e-13, weights: 1e-11 };
    check::<f64>(&Reference, "_f64", most);
}

/// Predictions and gradients against those of Keras in `f64`; the fit against Keras's own in `f32`. Where a gradient
/// is near zero, a step of Adam hangs on its rounding.
#[test]
fn random_models_are_keras_in_f32() {
    let most = Distances { prediction: 1e-5, gradient: 1e-5, loss: 2e-5, weights: 1e-3 };
    for backend in backends() {
        check::<f32>(&*backend, "", most);
    }
}
