//! Ten training steps of the tutorial's network, with given weights and batches. Keras is given the dropout masks that
//! the engine draws from a seed: the fixtures' generator has its own Philox.

use glassbox_engine::Float;
use glassbox_engine::backend::Backend;
use glassbox_engine::losses::Loss;
use glassbox_engine::masks::MaskAt;
use glassbox_engine::model::Network;
use glassbox_engine::reference::{Interpreter, Reference, Sample};
use glassbox_engine::samples::Samples;
use glassbox_tests::backends::{Setup, backends_and_fused, dataset, predict};
use glassbox_tests::compare::{Tolerance, assert_close};
use glassbox_tests::fixtures::{Tensors, exactly, text};

const STEPS: usize = 10;

fn model() -> Network {
    Network::from_json(&text("training_architecture.json")).expect("the tutorial's network")
}

/// The seed of the masks that Keras was given.
fn seed(tensors: &Tensors) -> u64 {
    tensors.metadata("dropout_seed").parse().expect("a seed")
}

fn check<F: Float>(backend: &dyn Backend<F>, tolerance: Tolerance) {
    let tensors = Tensors::read("training.safetensors");
    let model = model();
    assert_eq!(tensors.metadata("loss"), "mse");
    let rate: f64 = tensors.metadata("dropout_rate").parse().expect("a rate");
    let specs = model.training_program(Loss::default()).masks;
    assert_eq!(specs.iter().map(|mask| mask.rate).collect::<Vec<f64>>(), [rate, rate]);

    let setup =
        Setup { optimizer: tensors.adam("adam"), seed: seed(&tensors), batch_size: 4, ..Setup::new(&model) };
    let mut session = setup.session(backend, exactly(&tensors.flat("start/", model.layout())));
    let hold = |what: &str, found: &[F], expected: &[f64]| {
        assert_close(&format!("{}: {what}", backend.name()), found, expected, tolerance);
    };
    let by_tensor = |what: &str, found: &[F]| {
        for tensor in model.layout().tensors() {
            let name = format!("{what}/{}", tensor.name);
            hold(&name, &found[tensor.range.clone()], &tensors.get(&name).values);
        }
    };
    for step in 1..=STEPS {
        let x = tensors.get(&format!("x/{step}"));
        let batch: Vec<u32> = (0..x.shape[0] as u32).collect();
        let x: Vec<F> = x.exactly();
        let loss = session.compute_gradient(&dataset(&model, &x, &x), &batch).expect("a loss");
        let expected = tensors.get("loss").values[step - 1];
        assert_close(&format!("{}: loss of step {step}", backend.name()), &[loss], &[expected], tolerance);
        if step == 1 {
            by_tensor("gradient_1", &session.gradient().expect("a gradient"));
        }
        session.update().expect("an update");
        if step == 1 {
            by_tensor("after_1", &session.state().expect("a state").weights);
        }
    }
    by_tensor("after_10", &session.state().expect("a state").weights);
    let x: Vec<F> = tensors.get("predict/x").exactly();
    let y = predict(&mut *session, &Samples::dense(&x, model.input_shape()).expect("samples"));
    hold("predict/y", &y, &tensors.get("predict/y").values);
}

/// Each step divides by a root of squared gradients: where a gradient is near zero, Adam makes a step of a
/// size of its own out of its rounding. 1e-11 leaves room for that, from 1e-16 and ten steps.
const DOUBLE: Tolerance = Tolerance { absolute: 1e-12, relative: 1e-11 };

#[test]
fn ten_steps_are_keras_in_f64() {
    check::<f64>(&Reference, DOUBLE);
}

/// The bound of `f32` for gradients and parameters: sums of some hundred products, rounded by 6e-8 each.
#[test]
fn ten_steps_are_keras_in_f32_on_every_backend() {
    for backend in backends_and_fused() {
        check::<f32>(&*backend, Tolerance::new(1e-5, 1e-4));
    }
}

/// The prediction within the first training step, dropout active, which no session shows.
#[test]
fn the_first_step_predicts_as_keras() {
    let tensors = Tensors::read("training.safetensors");
    let model = model();
    let program = model.training_program(Loss::MeanSquaredError);
    let weights = tensors.flat("start/", model.layout());
    let mut interpreter = Interpreter::<f64>::new(program.clone(), model.layout().clone());
    let mut gradient = vec![0.0; weights.len()];
    let samples = tensors.get("x/1").values.chunks(model.input_shape().len());
    let y: Vec<f64> = samples
        .enumerate()
        .flat_map(|(position, x)| {
            interpreter.draw_masks(seed(&tensors), MaskAt { mask: 0, step: 0, position });
            interpreter.run(Sample { x, target: x, batch: 4 }, &weights, &mut gradient);
            interpreter.value(program.output).to_vec()
        })
        .collect();
    assert_close("forward_1/y", &y, &tensors.get("forward_1/y").values, DOUBLE);
}
