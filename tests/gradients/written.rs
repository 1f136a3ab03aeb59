//! What users write: an operation of their own, and layers whose backward pass is derived.

use std::sync::Arc;

use glassbox_engine::backend::Dataset;
use glassbox_engine::geometry::Padding;
use glassbox_engine::gradient_check::GradientCheck;
use glassbox_engine::initializers::Initializer;
use glassbox_engine::layers::{
    Activation, BatchNormalization, Call, Conv1D, Conv1DTranspose, Dense, Dropout, Layer, ReLU, WeightSpec,
};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::optimizers::{Adam, Optimizer};
use glassbox_engine::program::custom::{Operation, Saved};
use glassbox_engine::program::{Tape, Value};
use glassbox_engine::reference::Reference;
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::{Checkpoint, Fit, fit};
use glassbox_engine::{Float, Result};
use glassbox_tests::backends::{Setup, backends, launches_kernels};
use glassbox_tests::cases::{SMALL, cases, models, weights};
use glassbox_tests::compare::{Tolerance, assert_close};
use ndarray::{ArrayView2, ArrayViewMut2};
use proptest::prelude::*;

/// `y[t, c] = tanh(scale[c] x[t, c])`.
#[derive(Debug, Clone)]
struct ScaleTanh {
    /// For the test of the test: leaves `scale` out of `dx`.
    wrong: bool,
}

impl Operation for ScaleTanh {
    fn forward<F: Float>(&self, x: ArrayView2<'_, F>, scale: &[F], mut y: ArrayViewMut2<'_, F>) {
        for ((t, c), y) in y.indexed_iter_mut() {
            *y = (scale[c] * x[[t, c]]).tanh();
        }
    }

    /// ```text
    /// dz        = dy (1 - y^2)
    /// dscale[c] = sum over t of dz[t, c] x[t, c]
    /// dx        = dz scale
    /// ```
    fn backward<F: Float>(&self, saved: Saved<'_, F>, mut dx: ArrayViewMut2<'_, F>, dscale: &mut [F]) {
        let Saved { x, y, weights: scale, dy } = saved;
        for ((t, c), dx) in dx.indexed_iter_mut() {
            let dz = dy[[t, c]] * (F::one() - y[[t, c]] * y[[t, c]]);
            dscale[c] += dz * x[[t, c]];
            *dx = if self.wrong { dz } else { dz * scale[c] };
        }
    }
}

/// The layer around it.
impl Layer for ScaleTanh {
    fn class_name(&self) -> &'static str {
        "ScaleTanh"
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let shape = vec![inputs[0].channels];
        vec![WeightSpec::new("scale", shape, Initializer::GlorotUniform)]
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let shape = tape.shape(call.x());
        tape.custom(self.clone(), call, shape)
    }
}

fn with_a_users_layer(wrong: bool) -> Network {
    let mut model = Sequential::new(Shape::new(10, 2));
    let encoder = Conv1D::new(4, 5).strides(2).padding(Padding::Same).activation(Activation::Relu);
    model.add(encoder).expect("a layer");
    model.add(ScaleTanh { wrong }).expect("the user's layer");
    model.add(Dropout::new(0.2)).expect("a layer");
    model.add(Conv1DTranspose::new(3, 4).strides(2).padding(Padding::Same)).expect("a layer");
    model.add(ScaleTanh { wrong }).expect("the user's layer");
    model.add(Conv1D::new(2, 1)).expect("a layer");
    model.into()
}

#[test]
fn a_users_layer_has_its_place_in_a_model() {
    let model = with_a_users_layer(false);
    let names: Vec<&str> = model.layers().iter().map(|layer| layer.name.as_str()).collect();
    let own = ["conv1d", "scale_tanh", "dropout", "conv1d_transpose", "scale_tanh_1", "conv1d_1"];
    assert_eq!(names, own);
    assert!(model.layout().tensors().iter().any(|tensor| tensor.name == "scale_tanh_1.scale"));
    assert!(model.summary().to_string().contains("scale_tanh_1 (ScaleTanh)"));
}

#[test]
fn a_users_layer_passes_the_gradient_check_and_a_wrong_one_does_not() {
    for seed in 0..5 {
        for loss in Loss::ALL {
            let check = GradientCheck { seed, loss, ..GradientCheck::default() };
            for tensor in check.run(&with_a_users_layer(false)).expect("a check") {
                assert!(tensor.passes(), "seed {seed}, {}: {tensor:?}", loss.name());
            }
        }
    }
    let wrong = GradientCheck::default().run(&with_a_users_layer(true)).expect("a check");
    let failed: Vec<&str> = wrong.iter().filter(|t| !t.passes()).map(|t| t.name.as_str()).collect();
    assert!(failed.contains(&"conv1d.kernel") && failed.contains(&"input"), "{failed:?}");
    assert!(!failed.contains(&"conv1d_1.kernel"), "what comes after the wrong layer is right: {failed:?}");
}

/// Its values and gradients are those of the reference on every backend, and it learns.
#[test]
fn a_users_layer_trains_on_every_backend() {
    let model = with_a_users_layer(false);
    let series: Vec<f32> = (0..160).map(|i| (i as f32 * 0.3).sin()).collect();
    let windows = Samples::windows(&series, 10, 2).expect("windows");
    let setup = Setup { optimizer: Optimizer::Adam(Adam::new(0.01)), ..Setup::new(&model) };
    let wide: Vec<f64> = series.iter().map(|v| f64::from(*v)).collect();
    let wide = Samples::windows(&wide, 10, 2).expect("windows");
    let mut reference = setup.session::<f64>(&Reference, weights(&model, 5));
    let batch: Vec<u32> = (0..20).collect();
    reference.compute_gradient(&Dataset::autoencoder(wide), &batch).expect("a loss");
    let expected = reference.gradient().expect("a gradient");
    for backend in backends() {
        if launches_kernels(&*backend) {
            // A GPU cannot run what a user has written in Rust, and says so by the layer's name, at once.
            let plan = model.plan(setup.loss, setup.optimizer.clone(), setup.seed, setup.batch_size);
            let error = backend.session(plan.expect("a plan")).err().expect("refused").to_string();
            for word in ["scale_tanh", "ScaleTanh", "on the CPU"] {
                assert!(error.contains(word), "{error}");
            }
            continue;
        }
        let mut session = setup.session::<f32>(&*backend, weights(&model, 5));
        session.compute_gradient(&Dataset::autoencoder(windows), &batch).expect("a loss");
        // Sums of some hundred products of numbers near 1, each rounded by 6e-8.
        let tolerance = Tolerance::of_largest(1e-5, &expected);
        assert_close(&backend.name(), &session.gradient().expect("a gradient"), &expected, tolerance);
        let options = Fit { epochs: 40, ..Fit::default() };
        let start = Checkpoint::start(session.state().expect("a state"));
        let data = Dataset::autoencoder(windows);
        let fitted = fit(&mut *session, &data, &options, start, &mut []).expect("a fit");
        let (first, last) = (fitted.history.loss[0], fitted.history.loss[39]);
        assert!(last < 0.2 * first, "{}: from {first} to {last}", backend.name());
    }
}

/// A layer without the backward pass that it has written by hand.
#[derive(Debug)]
struct Derived(Arc<dyn Layer>);

impl Layer for Derived {
    fn class_name(&self) -> &'static str {
        self.0.class_name()
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.0.output_shape(inputs)
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        self.0.weights(inputs)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        self.0.forward(tape, call)
    }
}

proptest! {
    #![proptest_config(cases(100))]

    /// Deriving the backward pass from the forward pass gives the program that the layers write by hand.
    #[test]
    fn a_derived_backward_pass_is_the_one_written_by_hand(case in models(SMALL)) {
        let mut derived = Sequential::new(case.input);
        for layer in &case.layers {
            let layer = Derived(layer.layer());
            derived.add(layer).expect("a layer that fits");
        }
        for loss in [Loss::MeanSquaredError, Loss::MeanAbsoluteError] {
            let of = |model: &Network| model.training_program_with_input_gradient(loss).to_string();
            prop_assert_eq!(of(&derived), of(&case.build()));
            let of = |model: &Network| model.training_program(loss).fused().to_string();
            prop_assert_eq!(of(&derived), of(&case.build()));
        }
    }
}

/// Of a batch normalisation too, with an input whose gradient is wanted and without.
#[test]
fn a_derived_normalisation_is_the_one_written_by_hand() {
    for (center, scale) in [(true, true), (true, false), (false, true), (false, false)] {
        let layer = BatchNormalization::new().center(center).scale(scale);
        let of = |derived: bool| {
            let mut model = Sequential::new(Shape::new(9, 3));
            for name in ["first", "second"] {
                let layer: Arc<dyn Layer> = Arc::new(layer.clone());
                let layer = if derived { Arc::new(Derived(layer)) } else { layer };
                model.add_named(name, layer).expect("a layer that fits");
                model.add(Dense::new(2)).expect("a layer that fits").add(ReLU).expect("a layer that fits");
            }
            let programs = [
                model.training_program(Loss::MeanSquaredError),
                model.training_program_with_input_gradient(Loss::MeanSquaredError),
            ];
            programs.map(|program| (program.to_string(), program.fused().to_string()))
        };
        assert_eq!(of(true), of(false));
    }
}
