//! Each layer alone, forward and backward.

use glassbox_engine::Float;
use glassbox_engine::backend::Backend;
use glassbox_engine::layers::{Activation, Dense};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::reference::Reference;
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_tests::backends::{Setup, backends, dataset, predict};
use glassbox_tests::compare::{Tolerance, compare};
use glassbox_tests::fixtures::{self, Tensor, Tensors, array, exactly, integer, one_layer, string};
use serde_json::Value as Json;

/// How near to Keras's numbers, which are computed in `f64`.
#[derive(Clone, Copy)]
enum Bound {
    /// Both are `f64`: sums of at most some hundred products of numbers near 1, in another order. In parts of
    /// the tensor's largest element, 1e-12 is room for thousands of roundings of 1e-16.
    Double,
    /// `f32` against `f64`: sums of at most 7 * 32 products, each rounded by 6e-8 in parts of the largest
    /// element, which average out to 1e-6 of it. Gradients meet more sums, and start from a dy that is itself
    /// a rounded difference.
    Single,
}

impl Bound {
    fn output(self, expected: &[f64]) -> Tolerance {
        match self {
            Self::Double => Tolerance::of_largest(1e-12, expected),
            Self::Single => Tolerance::of_largest(1e-6, expected),
        }
    }

    fn gradient(self, expected: &[f64]) -> Tolerance {
        match self {
            Self::Double => Tolerance::of_largest(1e-12, expected),
            Self::Single => Tolerance::new(1e-5, 1e-4),
        }
    }
}

struct Case<'a> {
    name: &'a str,
    class: &'a str,
    config: &'a Json,
    tensors: &'a Tensors,
}

impl Case<'_> {
    fn find(&self, what: &str) -> Option<&Tensor> {
        self.tensors.find(&format!("{}/{what}", self.name))
    }

    fn get(&self, what: &str) -> &Tensor {
        self.tensors.get(&format!("{}/{what}", self.name))
    }

    fn model(&self) -> Network {
        let shape = &self.get("x").shape;
        one_layer(self.class, self.config, fixtures::shape(&shape[1..]))
            .unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    /// The weights in one flat vector, as the layer asks for them.
    fn weights<F: Float>(&self, model: &Network) -> Vec<F> {
        let tensors = model.layout().tensors().iter().flat_map(|weight| {
            let (_, name) = weight.name.rsplit_once('.').expect("a layer and a tensor");
            let tensor = self.get(name);
            assert_eq!(tensor.shape, weight.shape, "{}: {name}", self.name);
            tensor.exactly::<F>()
        });
        tensors.collect()
    }
}

/// A target whose mean squared error, over batches of `batch`, has the gradient `dy` at `y`.
///
/// `dy = 2 (y - target) / (n batch)`, n the elements of a sample.
fn target<F: Float>(y: &[F], dy: &[f64], elements: usize, batch: usize) -> Vec<F> {
    let scale = (elements * batch) as f64 / 2.0;
    y.iter().zip(dy).map(|(y, dy)| F::of(y.wide() - dy * scale)).collect()
}

fn check<F: Float>(backend: &dyn Backend<F>, bound: Bound) {
    let tensors = Tensors::read("layers.safetensors");
    let cases = tensors.metadata_json("cases");
    assert_eq!(array(&cases).len(), 187);
    let mut faults = vec![];
    for case in array(&cases) {
        let (name, class) = (string(&case["name"]), string(&case["class_name"]));
        let case = Case { name, class, config: &case["config"], tensors: &tensors };
        let mut hold = |what: &str, found: &[F], tolerance: fn(Bound, &[f64]) -> Tolerance| {
            let expected = &case.get(what).values;
            if let Err(fault) = compare(found, expected, tolerance(bound, expected)) {
                faults.push(format!("{}, {name}/{what}: {fault}", backend.name()));
            }
        };
        let y = output(backend, &case);
        hold("y", &y, Bound::output);
        let gradients = weight_gradients(backend, &case, &y);
        let names: Vec<&str> = gradients.iter().map(|(name, _)| name.as_str()).collect();
        let expected: Vec<&str> =
            ["dkernel", "dbias", "dgamma", "dbeta"].into_iter().filter(|d| case.find(d).is_some()).collect();
        assert_eq!(names, expected, "{name}");
        for (what, gradient) in &gradients {
            hold(what, gradient, Bound::gradient);
        }
        hold("dx", &input_gradient(backend, &case, &y), Bound::gradient);
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

fn output<F: Float>(backend: &dyn Backend<F>, case: &Case<'_>) -> Vec<F> {
    let model = case.model();
    let mut session = Setup::new(&model).session(backend, case.weights(&model));
    let x = case.get("x");
    let values: Vec<F> = x.exactly();
    let y = predict(&mut *session, &Samples::dense(&values, model.input_shape()).expect("samples"));
    let shape = [vec![x.shape[0]], model.output_shape().axes()].concat();
    assert_eq!(case.get("y").shape, shape, "{}", case.name);
    y
}

/// `dkernel`, `dbias` and their like: the gradient of one batch.
fn weight_gradients<F: Float>(backend: &dyn Backend<F>, case: &Case<'_>, y: &[F]) -> Vec<(String, Vec<F>)> {
    let model = case.model();
    let mut session = Setup::new(&model).session(backend, case.weights(&model));
    let x: Vec<F> = case.get("x").exactly();
    let batch = case.get("x").shape[0];
    let target = target(y, &case.get("dy").values, model.output_shape().len(), batch);
    let order: Vec<u32> = (0..batch as u32).collect();
    session.compute_gradient(&dataset(&model, &x, &target), &order).expect("a loss");
    let gradient = session.gradient().expect("a gradient");
    let tensors = model.layout().tensors().iter().map(|weight| {
        let (_, name) = weight.name.rsplit_once('.').expect("a layer and a tensor");
        (format!("d{name}"), gradient[weight.range.clone()].to_vec())
    });
    tensors.collect()
}

/// `dx`, of which a session does not tell. So each sample is put into the *weights* of a layer before: a dense layer
/// whose kernel is the sample, `(steps, channels)`, reads the unit matrix and makes just this sample, and the gradient
/// of its kernel is `dx`. Both exactly: each sum has one term that is not zero. A sample of rank 1 is the kernel of a
/// layer that reads a one.
fn input_gradient<F: Float>(backend: &dyn Backend<F>, case: &Case<'_>, y: &[F]) -> Vec<F> {
    let layer = case.model();
    let input = layer.input_shape();
    let unit = Shape::new(input.steps, input.steps);
    let mut model = Sequential::new(if input.rank() == 1 { Shape::units(1) } else { unit });
    model.add(Dense::new(input.channels).use_bias(false)).expect("a dense layer");
    model.add_named(case.name, layer.layers()[0].layer.clone()).expect("the layer");
    let unit: Vec<F> = (0..input.steps * input.steps)
        .map(|at| if at / input.steps == at % input.steps { F::one() } else { F::zero() })
        .collect();
    let elements = model.output_shape().len();
    let (xs, dys) = (&case.get("x").values, &case.get("dy").values);
    let samples = xs.chunks(input.len()).zip(dys.chunks(elements)).zip(y.chunks(elements));
    let dx = samples.flat_map(|((x, dy), y)| {
        let weights = exactly::<F>(x).into_iter().chain(case.weights(&layer)).collect();
        let mut session = Setup::new(&model).session(backend, weights);
        let target = target(y, dy, elements, 1);
        session.compute_gradient(&dataset(&model, &unit, &target), &[0]).expect("a loss");
        session.gradient().expect("a gradient")[..input.len()].to_vec()
    });
    dx.collect()
}

#[test]
fn layers_are_keras_in_f64() {
    check::<f64>(&Reference, Bound::Double);
}

#[test]
fn layers_are_keras_in_f32_on_every_backend() {
    for backend in backends() {
        check::<f32>(&*backend, Bound::Single);
    }
}

/// The table is not one-sided: both layers, every padding, strides and dilations, kernels shorter than the
/// stride and longer than the input, no bias, every activation, windows that overlap and that leave gaps.
#[test]
fn the_table_of_layers_covers_what_matters() {
    let cases = Tensors::read("layers.safetensors").metadata_json("cases");
    let some = |what: &str, test: &dyn Fn(&Json) -> bool| assert!(array(&cases).iter().any(test), "{what}");
    let argument = |case: &Json, name: &str| case["config"][name][0].as_u64().unwrap_or(0) as usize;
    for class in ["Conv1D", "Conv1DTranspose"] {
        let of_class = |case: &Json| case["class_name"] == class;
        for padding in ["valid", "same"] {
            some(padding, &|case| of_class(case) && case["config"]["padding"] == padding);
        }
        some("no bias", &|case| of_class(case) && case["config"]["use_bias"] == false);
        some("relu", &|case| of_class(case) && case["config"]["activation"] == "relu");
        some("short", &|case| of_class(case) && argument(case, "kernel_size") < argument(case, "strides"));
        some("long", &|case| {
            of_class(case) && argument(case, "kernel_size") > integer(&case["input_shape"][1])
        });
    }
    some("causal", &|case| case["config"]["padding"] == "causal");
    some("dilation", &|case| argument(case, "dilation_rate") > 1);
    let others = ["ReLU", "LeakyReLU", "ELU", "Flatten", "Reshape", "RepeatVector", "UpSampling1D"];
    for class in others.into_iter().chain(["ZeroPadding1D", "Cropping1D"]) {
        some(class, &|case| case["class_name"] == class);
    }
    for class in ["MaxPooling1D", "AveragePooling1D"] {
        for padding in ["valid", "same"] {
            let of_class = |case: &Json| case["class_name"] == class && case["config"]["padding"] == padding;
            let size = |case: &Json| argument(case, "pool_size");
            some("overlap", &|case| of_class(case) && argument(case, "strides") < size(case));
            some("gap", &|case| of_class(case) && argument(case, "strides") > size(case));
        }
    }
    for class in ["Dense", "TimeDistributed"] {
        let of_class = |case: &Json| case["class_name"] == class;
        let config = |case: &Json| match class {
            "Dense" => case["config"].clone(),
            _ => case["config"]["layer"]["config"].clone(),
        };
        some("no bias", &|case| of_class(case) && config(case)["use_bias"] == false);
        some("relu", &|case| of_class(case) && config(case)["activation"] == "relu");
    }
    for argument in ["center", "scale"] {
        for value in [true, false] {
            some(argument, &|case| {
                case["class_name"] == "LayerNormalization" && case["config"][argument] == value
            });
        }
    }
    some("rank 1", &|case| case["class_name"] == "Dense" && array(&case["input_shape"]).len() == 2);
    for activation in Activation::ALL {
        for class in ["Conv1D", "Conv1DTranspose", "Dense", "Activation"] {
            let name = activation.name();
            let trivial = class == "Activation" && ["linear", "relu"].contains(&name);
            some(name, &|case| {
                trivial || case["class_name"] == class && case["config"]["activation"] == name
            });
        }
    }
}
