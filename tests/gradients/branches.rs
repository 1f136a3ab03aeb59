//! Signals that are joined, a graph that is recorded by hand, and branches that meet.

use std::sync::Arc;

use glassbox_engine::backend::{Backend, Dataset, Plan, State};
use glassbox_engine::geometry::Padding;
use glassbox_engine::gradient_check::GradientCheck;
use glassbox_engine::layers::{
    Activation, Add, Call, Concatenate, Conv1D, Conv1DTranspose, Dense, Dropout, Layer, Multiply, ReLU,
    WeightSpec,
};
use glassbox_engine::losses::Loss;
use glassbox_engine::model::{Sequential, WeightLayout};
use glassbox_engine::optimizers::{Adam, Optimizer};
use glassbox_engine::program::{Instruction, Program, Tape, Value, Weight};
use glassbox_engine::reference::Reference;
use glassbox_engine::samples::Samples;
use glassbox_engine::shape::Shape;
use glassbox_engine::{Float, Result};
use glassbox_tests::backends::{backends, predict};
use glassbox_tests::cases::{draws, normals, weights};
use glassbox_tests::compare::{Tolerance, assert_close};
use glassbox_tests::conformance::{TrainedBatch, prediction_conforms};

use crate::point::Point;

/// A layer that joins its input, what a dense layer makes of it, and its input again.
#[derive(Debug)]
struct Joined {
    axis: i64,
}

impl Layer for Joined {
    fn class_name(&self) -> &'static str {
        "Joined"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        Concatenate::new(self.axis).output_shape(&[inputs[0]; 3])
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        Dense::new(inputs[0].channels).weights(inputs)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let x = call.x();
        let dense = Dense::new(tape.shape(x).channels).forward(tape, call);
        let join = Call { inputs: vec![x, dense, x], weights: vec![] };
        Concatenate::new(self.axis).forward(tape, &join)
    }
}

#[test]
fn gradients_of_joined_signals_are_derivatives() {
    for (input, axes) in [(Shape::new(5, 3), vec![1, 2, -1, -2]), (Shape::units(4), vec![1, -1])] {
        for axis in axes {
            let mut model = Sequential::new(input);
            model.add(Dense::new(3)).expect("a layer").add(Joined { axis }).expect("a layer that joins");
            model.add(Dense::new(2)).expect("a layer").add(ReLU).expect("a layer");
            for tensor in GradientCheck::default().run(&model).expect("a check") {
                assert!(tensor.passes(), "axis {axis} of {input}: {tensor:?}");
            }
            let batch =
                TrainedBatch { model: &model, apart: &model, seed: 3, loss: Loss::default(), samples: 3 };
            assert_eq!(batch.gradient_conforms(&backends(), |w| w), Ok(true), "axis {axis} of {input}");
        }
    }
}

/// A residual network with a shared layer, recorded by hand:
///
/// ```text
/// h = shared(x)    r = h + x    z = shared(r)    s = z + h    y = head(dropout(s))
/// ```
///
/// x is read twice, h twice, and `shared` is called twice: gradients of values and of weights both add up.
struct Graph {
    shared: Arc<dyn Layer>,
    dropout: Arc<dyn Layer>,
    head: Arc<dyn Layer>,
    layout: WeightLayout,
    weights: [Vec<Weight>; 2],
}

const GRAPH_INPUT: Shape = Shape::new(9, 3);

impl Graph {
    fn new() -> Self {
        let shared = Conv1D::new(3, 4).padding(Padding::Same).activation(Activation::Relu);
        let head = Conv1DTranspose::new(2, 3).strides(2).padding(Padding::Valid);
        let mut layout = WeightLayout::default();
        let mut push = |name: &str, layer: &dyn Layer| {
            let specs = layer.weights(&[GRAPH_INPUT]).into_iter();
            specs
                .map(|spec| layout.push(WeightSpec { name: format!("{name}.{}", spec.name).into(), ..spec }))
                .collect()
        };
        let weights = [push("shared", &shared), push("head", &head)];
        let dropout = Arc::new(Dropout::new(0.25));
        Self { shared: Arc::new(shared), dropout, head: Arc::new(head), layout, weights }
    }

    fn record(&self, mut tape: Tape, loss: Option<Loss>) -> Program {
        let [shared, head] = &self.weights;
        let call = |x: Value, weights: &[Weight]| Call { inputs: vec![x], weights: weights.to_vec() };
        let x = tape.input();
        let h = tape.call(&self.shared, call(x, shared));
        let r = tape.add(h, x);
        let z = tape.call(&self.shared, call(r, shared));
        let s = tape.add(z, h);
        let d = tape.call(&self.dropout, call(s, &[]));
        let y = tape.call(&self.head, call(d, head));
        if let Some(loss) = loss {
            tape.loss(loss, y);
            tape.backward();
        }
        tape.finish(y)
    }

    /// What a backend needs, as `Sequential` makes it of a row of layers.
    fn plan(&self, loss: Loss) -> Plan {
        Plan {
            training: self.record(Tape::new(GRAPH_INPUT, true), Some(loss)).fused(),
            inference: self.record(Tape::new(GRAPH_INPUT, false), None).fused(),
            layout: self.layout.clone(),
            layer_names: vec!["shared".into(), "head".into()],
            loss,
            optimizer: Optimizer::Adam(Adam::new(0.01)),
            seed: 4,
            batch_size: 16,
        }
    }
}

#[test]
fn gradients_of_a_graph_are_derivatives() {
    let graph = Graph::new();
    for loss in [Loss::MeanSquaredError, Loss::MeanAbsoluteError] {
        let program = graph.record(Tape::new(GRAPH_INPUT, true).with_input_gradient(), Some(loss));
        for program in [program.clone(), program.fused()] {
            for seed in 0..5 {
                let weights: Vec<f64> = normals(seed, graph.layout.len());
                let counts = Point::new(&program, &graph.layout, &weights, 3, seed).check();
                let (held, passed_over) = counts.unwrap_or_else(|faults| panic!("seed {seed}: {faults}"));
                assert!(held > 30 * passed_over, "{held} held, {passed_over} passed over");
            }
        }
    }
}

/// A check that cannot fail proves nothing: a backward pass that forgets one of the two branches is found.
#[test]
fn a_forgotten_branch_is_found() {
    let graph = Graph::new();
    let mut program = graph.record(Tape::new(GRAPH_INPUT, true).with_input_gradient(), Some(Loss::default()));
    // The last sum is that of the gradients of h or x: it gets one of its two parts twice.
    let sum = program.lines.iter_mut().rev().find_map(|line| match &mut line.instruction {
        Instruction::Add { a, b, .. } => Some((a, b)),
        _ => None,
    });
    let (a, b) = sum.expect("gradients that add up");
    *b = *a;
    let weights: Vec<f64> = normals(1, graph.layout.len());
    Point::new(&program, &graph.layout, &weights, 3, 1).check().expect_err("half of a gradient is missing");
}

#[test]
fn a_graph_trains_on_every_backend_as_on_the_reference() {
    let graph = Graph::new();
    let samples = 16;
    let mut draws = draws(8);
    let x: Vec<f64> = (0..samples * GRAPH_INPUT.len()).map(|_| f64::from(draws.normal() as f32)).collect();
    let program = graph.record(Tape::new(GRAPH_INPUT, false), None);
    let output = program.values[program.output.index()];
    let target: Vec<f64> = (0..samples * output.len()).map(|i| f64::from((i as f32).sin())).collect();
    let weights: Vec<f64> = graph.layout.initial::<f32>(3).into_iter().map(f64::from).collect();
    let (losses, expected) = train_graph::<f64>(&Reference, &graph, &weights, &x, &target, output);
    assert!(losses[39] < 0.8 * losses[0], "{losses:?}");
    for backend in backends() {
        let (found, prediction) = train_graph::<f32>(&*backend, &graph, &weights, &x, &target, output);
        // Forty steps of Adam, whose roundings add up: as the golden fit.
        assert_close(&backend.name(), &found, &losses, Tolerance::new(0.0, 1e-4));
        assert_close(&backend.name(), &prediction, &expected, Tolerance::of_largest(1e-3, &expected));
    }
}

/// The loss of each of forty steps, and the prediction after them.
fn train_graph<F: Float>(
    backend: &dyn Backend<F>,
    graph: &Graph,
    weights: &[f64],
    x: &[f64],
    target: &[f64],
    output: Shape,
) -> (Vec<f64>, Vec<F>) {
    let narrow = |values: &[f64]| values.iter().map(|v| F::of(*v)).collect::<Vec<F>>();
    let plan = graph.plan(Loss::MeanSquaredError);
    let state = State::new(narrow(weights), &plan.optimizer);
    let mut session = backend.session(plan).expect("a session");
    session.set_state(&state).expect("a state");
    let (x, target) = (narrow(x), narrow(target));
    let x = Samples::dense(&x, GRAPH_INPUT).expect("samples");
    let data = Dataset { x, y: Samples::dense(&target, output).expect("targets") };
    let batch: Vec<u32> = (0..x.len() as u32).collect();
    let losses = (0..40)
        .map(|_| {
            let loss = session.compute_gradient(&data, &batch).expect("a loss");
            session.update().expect("an update");
            loss
        })
        .collect();
    (losses, predict(&mut *session, &x))
}

/// `y = layer(x, tanh(x), x)`: one value is read twice, and by another line.
#[derive(Debug)]
struct Met(Arc<dyn Layer>);

impl Layer for Met {
    fn class_name(&self) -> &'static str {
        "Met"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        self.0.output_shape(&[inputs[0]; 3])
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let x = call.x();
        let curved = tape.activation(x, Activation::Tanh);
        tape.call(&self.0, Call { inputs: vec![x, curved, x], weights: vec![] })
    }
}

fn with_branches() -> Sequential {
    let mut model = Sequential::new(Shape::new(9, 3));
    let conv = |filters| Conv1D::new(filters, 3).padding(Padding::Same);
    model.add(conv(5)).expect("a layer that fits").add(Met(Arc::new(Multiply))).expect("a layer that fits");
    model.add(conv(17)).expect("a layer that fits").add(Met(Arc::new(Add))).expect("a layer that fits");
    model.add(conv(2)).expect("a layer that fits");
    model
}

#[test]
fn sums_and_products_of_branches_pass_both_checks() {
    let model = with_branches();
    for tensor in GradientCheck::default().run(&model).expect("a check") {
        assert!(tensor.passes(), "{tensor:?}");
    }
    let program = model.training_program_with_input_gradient(Loss::MeanSquaredError);
    // A product that reads a value twice is read off both ways.
    let products =
        program.lines.iter().filter(|line| matches!(line.instruction, Instruction::Multiply { .. }));
    assert_eq!(products.count(), 2 + 4, "{program}");
    let (checked, passed_over) =
        Point::new(&program, model.layout(), &weights(&model, 1), 3, 1).check().expect("derivatives");
    assert!(checked > 0 && passed_over == 0, "{checked}, {passed_over}");
}

#[test]
fn sums_and_products_of_branches_conform() {
    let model = with_branches();
    for loss in Loss::ALL {
        let batch = TrainedBatch { model: &model, apart: &model, seed: 3, loss, samples: 9 };
        assert!(batch.gradient_conforms(&backends(), |w| w).expect("within the bound"), "{loss}");
    }
    prediction_conforms(&model, &model, 3, 9, &backends()).expect("within the bound");
}

#[test]
fn inputs_of_other_shapes_are_refused_and_named() {
    let (shape, narrow) = (Shape::new(9, 3), Shape::new(9, 1));
    let layers: [Arc<dyn Layer>; 2] = [Arc::new(Add), Arc::new(Multiply)];
    for layer in layers {
        assert_eq!(layer.output_shape(&[shape; 4]).expect("a shape"), shape);
        for (inputs, words) in [
            (vec![shape, shape, narrow], ["(batch, 9, 1)", "its first input has shape (9, 3)"]),
            (vec![Shape::new(1, 3), Shape::units(3)], ["(batch, 3)", "its first input has shape (1, 3)"]),
            (vec![shape], ["the number of inputs", "at least 2"]),
            (vec![], ["the number of inputs", "at least 2"]),
        ] {
            let error = layer.output_shape(&inputs).expect_err("no common shape").to_string();
            assert!(words.iter().chain([&layer.class_name()]).all(|word| error.contains(word)), "{error}");
        }
    }
}
