//! Models as graphs of layers.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::weights::WeightLayout;
use super::{Compilation, Summary, json};
use crate::backend::Plan;
use crate::error::{Error, Result};
use crate::index_map::IndexMap;
use crate::layers::{Call, Layer, Registry, WeightSpec};
use crate::losses::Loss;
use crate::optimizers::Optimizer;
use crate::program::{Pass, Program, Tape, Value, Weight};
use crate::shape::{LARGEST, Shape};

/// A model: layers, the graph of their calls, and the layout of their weights.
///
/// [`Sequential`](super::Sequential) and [`Functional`](super::Functional) build one, [`Network::from_json`] reads
/// one. A network may be a layer of another.
#[derive(Debug, Clone)]
pub struct Network {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) inputs: Vec<Input>,
    pub(super) layers: Vec<NamedLayer>,
    /// The calls, each after those whose outputs it reads.
    pub(super) nodes: Vec<Node>,
    pub(super) outputs: Vec<Source>,
    /// Inputs and layers as Keras sorts them.
    pub(super) order: Vec<Part>,
    pub(super) layout: WeightLayout,
    /// Keras's `compile_config`; empty if the model was not compiled.
    pub(super) compile_config: Map<String, Json>,
}

/// Models are equal if they have the same architecture, and were compiled alike: the same JSON.
impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

/// The way in which a model was built, which decides how it is printed and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sequential,
    Functional,
}

/// An input of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name, unique among inputs and layers.
    pub name: String,
    /// The shape of a sample.
    pub shape: Shape,
}

/// A layer within a model.
#[derive(Debug, Clone)]
pub struct NamedLayer {
    /// Its name, unique within the model.
    pub name: String,
    /// The layer itself.
    pub layer: Arc<dyn Layer>,
    /// The shapes of its input samples.
    pub inputs: Vec<Shape>,
    /// The shape of its output sample; of the last call, if there are several.
    pub output: Shape,
    /// Indices of its tensors in the layout.
    pub weights: Range<usize>,
}

/// A signal in the graph of a model, by the index of its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// An input of the model.
    Input(usize),
    /// The output of a call.
    Node(usize),
}

/// A call of a layer. A layer that is called twice shares its weights between both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The index of the layer.
    pub layer: usize,
    /// The signals that it reads.
    pub inputs: Vec<Source>,
    /// The shape of its output sample.
    pub output: Shape,
}

/// An input or a layer, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Input(usize),
    Layer(usize),
}

impl Network {
    /// Reads an architecture as `model.to_json()` of Keras 3 writes it.
    ///
    /// # Errors
    /// Names the layer, and the argument that is missing, has the wrong type, or is not supported.
    pub fn from_json(text: &str) -> Result<Self> {
        json::read(text, None, &Registry::default())
    }

    /// Reads an architecture with the layers of `registry`, such as a user's own. If `steps` is given, it is the number
    /// of steps of a sample: it replaces a null in the input shape; if the shape has a number, it must be the same.
    ///
    /// # Errors
    /// As [`Network::from_json`].
    pub fn from_json_with(text: &str, steps: Option<usize>, registry: &Registry) -> Result<Self> {
        json::read(text, steps, registry)
    }

    /// Writes the architecture as JSON for `keras.models.model_from_json`, with the `compile_config` of the JSON that
    /// the model was read from, if any.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::write(self)
    }

    /// The optimiser and the loss of this model: those of the `compile_config` that it was read with, by default
    /// Keras's Adam and the mean squared error. An `optimizer` or `loss` that is given replaces the model's own.
    ///
    /// # Errors
    /// Names the part of the `compile_config` that the engine does not support.
    pub fn compilation(&self, optimizer: Option<Optimizer>, loss: Option<Loss>) -> Result<Compilation> {
        if !self.is_compiled() {
            let (optimizer, loss) = (optimizer.unwrap_or_default(), loss.unwrap_or_default());
            return Ok(Compilation { optimizer, loss, metrics: false });
        }
        json::read_compilation(&self.compile_config, optimizer, loss)
    }

    /// The same model, compiled with this optimiser and loss: [`Network::to_json`] writes them. The other entries of its
    /// `compile_config` stay.
    #[must_use]
    pub fn compiled_with(mut self, optimizer: &Optimizer, loss: Loss) -> Self {
        let own = self.compilation(None, None).ok().filter(|_| self.is_compiled());
        if own.is_some_and(|own| own.optimizer == *optimizer && own.loss == loss) {
            return self;
        }
        json::write_compilation(&mut self.compile_config, optimizer, loss);
        self
    }

    /// Returns true if the model has a `compile_config`.
    #[must_use]
    pub fn is_compiled(&self) -> bool {
        !self.compile_config.is_empty()
    }

    /// The table that `model.summary()` of Keras prints.
    #[must_use]
    pub fn summary(&self) -> Summary<'_> {
        Summary::new(self)
    }

    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The class of the model, under Keras's name.
    #[must_use]
    pub fn class_name(&self) -> &'static str {
        match self.kind {
            Kind::Sequential => "Sequential",
            Kind::Functional => "Functional",
        }
    }

    /// The layers, without the inputs: of a sequential model in order, of others as Keras sorts them.
    #[must_use]
    pub fn layers(&self) -> &[NamedLayer] {
        &self.layers
    }

    /// The calls of the layers, each after those whose outputs it reads.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The signals that are the outputs.
    #[must_use]
    pub fn output_sources(&self) -> &[Source] {
        &self.outputs
    }

    /// The weight tensors.
    #[must_use]
    pub fn layout(&self) -> &WeightLayout {
        &self.layout
    }

    /// The inputs.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The shapes of the outputs.
    #[must_use]
    pub fn outputs(&self) -> Vec<Shape> {
        self.outputs.iter().map(|output| self.shape(*output)).collect()
    }

    /// The names of the outputs: of the layers that give them.
    #[must_use]
    pub fn output_names(&self) -> Vec<&str> {
        self.outputs.iter().map(|output| self.source_name(*output)).collect()
    }

    /// The shape of a sample. A sample of several inputs has them side by side, as one signal of rank 1.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        side_by_side(&self.inputs.iter().map(|input| input.shape).collect::<Vec<_>>())
    }

    /// The shape of a prediction; several outputs are side by side, as one signal of rank 1.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        side_by_side(&self.outputs())
    }

    /// The program of a training step for one sample, as the layers record it.
    #[must_use]
    pub fn training_program(&self, loss: Loss) -> Program {
        self.record_training(Tape::new(self.input_shape(), true), loss)
    }

    /// The same program, which also computes the gradient with respect to the sample.
    #[must_use]
    pub fn training_program_with_input_gradient(&self, loss: Loss) -> Program {
        self.record_training(Tape::new(self.input_shape(), true).with_input_gradient(), loss)
    }

    /// The program of inference for one sample, as the layers record it.
    #[must_use]
    pub fn inference_program(&self) -> Program {
        let mut tape = Tape::new(self.input_shape(), false);
        let outputs = self.record(&mut tape);
        let prediction = self.join(&mut tape, &outputs);
        self.finish(tape, prediction)
    }

    /// Collects everything that a backend needs for training and inference. Dropout masks, and the shuffles of
    /// [`fit`](fn@crate::training::fit), are drawn from `seed`.
    ///
    /// # Errors
    /// If a hyperparameter of the optimiser or the batch size is out of range, the model has no layers, or one sample
    /// alone takes more memory than can be allocated ([`memory`](crate::memory)).
    pub fn plan(&self, loss: Loss, optimizer: Optimizer, seed: u64, batch_size: usize) -> Result<Plan> {
        optimizer.validate()?;
        if batch_size == 0 {
            return Err(Error::Option {
                option: "batch_size",
                found: "0".into(),
                expected: "at least 1".into(),
            });
        }
        if self.layers.is_empty() {
            return Err(Error::Mismatch {
                what: format!("model {}", self.name),
                expected: "at least one layer".into(),
                found: "none".into(),
            });
        }
        let training = self.training_program(loss).fused();
        let trained = training.trained(self.layout.tensors().len());
        let plan = Plan {
            training,
            // Not fused, so that the output of every layer can be observed.
            inference: self.inference_program(),
            layout: self.layout.clone().training(&trained),
            layer_names: self.layers.iter().map(|layer| layer.name.clone()).collect(),
            loss,
            optimizer,
            seed,
            batch_size,
        };
        plan.require_room(size_of::<f32>(), plan.sample_len(), 1, 1)?;
        Ok(plan)
    }

    /// A model of this kind with inputs only.
    pub(super) fn of_inputs(kind: Kind, name: &str, inputs: Vec<Input>) -> Self {
        Self {
            name: name.into(),
            kind,
            outputs: (0..inputs.len()).map(Source::Input).collect(),
            order: (0..inputs.len()).map(Part::Input).collect(),
            inputs,
            layers: vec![],
            nodes: vec![],
            layout: WeightLayout::default(),
            compile_config: Map::new(),
        }
    }

    /// The shape of a signal.
    pub(super) fn shape(&self, source: Source) -> Shape {
        match source {
            Source::Input(input) => self.inputs[input].shape,
            Source::Node(node) => self.nodes[node].output,
        }
    }

    /// The name of the input or of the layer that gives a signal.
    pub(super) fn source_name(&self, source: Source) -> &str {
        match source {
            Source::Input(input) => &self.inputs[input].name,
            Source::Node(node) => &self.layers[self.nodes[node].layer].name,
        }
    }

    /// Adds a layer under a name that is free, and calls it. The model is unchanged if there is an error.
    pub(super) fn push(
        &mut self,
        name: String,
        layer: Arc<dyn Layer>,
        inputs: Vec<Source>,
    ) -> Result<Source> {
        let shapes: Vec<Shape> = inputs.iter().map(|input| self.shape(*input)).collect();
        let (output, specs) = checked(&name, &*layer, &shapes, LARGEST - self.layout.len())?;
        let first = self.layout.tensors().len();
        let weights = first..first + specs.len();
        for spec in specs {
            self.layout.push(WeightSpec { name: format!("{name}.{}", spec.name).into(), ..spec });
        }
        self.order.push(Part::Layer(self.layers.len()));
        self.layers.push(NamedLayer { name, layer, inputs: shapes, output, weights });
        Ok(self.push_call(self.layers.len() - 1, inputs, output))
    }

    /// Adds a call of a layer that the model has.
    pub(super) fn push_call(&mut self, layer: usize, inputs: Vec<Source>, output: Shape) -> Source {
        self.layers[layer].output = output;
        self.nodes.push(Node { layer, inputs, output });
        Source::Node(self.nodes.len() - 1)
    }

    fn record_training(&self, mut tape: Tape, loss: Loss) -> Program {
        let outputs = self.record(&mut tape);
        let prediction = self.join(&mut tape, &outputs);
        tape.enter(self.layers.len(), Pass::Loss);
        for output in &outputs {
            tape.loss(loss, *output);
        }
        tape.backward();
        self.finish(tape, prediction)
    }

    /// Records the forward pass of the model as a whole.
    fn record(&self, tape: &mut Tape) -> Vec<Value> {
        let inputs = self.take_apart(tape);
        self.calls(tape, &inputs, 0, true)
    }

    /// Takes the inputs out of the sample, where they are side by side.
    fn take_apart(&self, tape: &mut Tape) -> Vec<Value> {
        let sample = tape.input();
        if self.inputs.len() == 1 {
            return vec![sample];
        }
        let (packed, mut first) = (tape.shape(sample), 0);
        let mut take = |input: &Input| {
            let map = IndexMap::section(packed, first, input.shape);
            first += input.shape.len();
            tape.index_map(map, vec![sample])
        };
        self.inputs.iter().map(&mut take).collect()
    }

    /// The prediction: the outputs side by side.
    fn join(&self, tape: &mut Tape, outputs: &[Value]) -> Value {
        match *outputs {
            [output] => output,
            _ => tape.index_map(IndexMap::side_by_side(&self.outputs()), outputs.to_vec()),
        }
    }

    fn finish(&self, tape: Tape, prediction: Value) -> Program {
        let mut first = 0;
        let place = |shape: &Shape| {
            first += shape.len();
            first - shape.len()..first
        };
        let outputs = self.outputs().iter().map(place).collect();
        Program { outputs, ..tape.finish(prediction) }
    }

    /// Records the call of each node and returns the outputs. `first` is the first of the model's weights. If the model
    /// is the whole, its layers are entered and their outputs marked.
    fn calls(&self, tape: &mut Tape, inputs: &[Value], first: usize, whole: bool) -> Vec<Value> {
        let mut results: Vec<Value> = Vec::with_capacity(self.nodes.len());
        let value = |results: &[Value], source: &Source| match *source {
            Source::Input(input) => inputs[input],
            Source::Node(node) => results[node],
        };
        for node in &self.nodes {
            let named = &self.layers[node.layer];
            if whole {
                tape.enter(node.layer, Pass::Forward);
            }
            let inputs = node.inputs.iter().map(|input| value(&results, input)).collect();
            let weights = named.weights.clone().map(|weight| Weight(first + weight)).collect();
            let y = tape.call(&named.layer, Call { inputs, weights });
            if whole {
                tape.set_layer_output(y);
            }
            results.push(y);
        }
        self.outputs.iter().map(|output| value(&results, output)).collect()
    }
}

/// The shape of signals that lie side by side: that of the only one, or of rank 1.
fn side_by_side(shapes: &[Shape]) -> Shape {
    match shapes {
        [only] => *only,
        several => Shape::units(several.iter().map(Shape::len).sum()),
    }
}

/// Checks a layer for inputs of these shapes. Returns the shape of its output, and its weights, which must not be more
/// than `room` values.
pub(super) fn checked(
    name: &str,
    layer: &dyn Layer,
    inputs: &[Shape],
    room: usize,
) -> Result<(Shape, Vec<WeightSpec>)> {
    let place = || format!("{name} ({})", layer.class_name());
    let impossible = |what: String| Error::Input {
        layer: place(),
        input: inputs.first().copied().unwrap_or(Shape::units(0)),
        problem: format!("{what} is larger than any memory"),
    };
    if !inputs.iter().all(Shape::is_possible) {
        return Err(impossible("it".into()));
    }
    let output = layer.output_shape(inputs).map_err(|error| match error {
        Error::Argument { argument, found, expected, .. } => {
            Error::Argument { layer: place(), argument, found, expected }
        }
        Error::Input { input, problem, .. } => Error::Input { layer: place(), input, problem },
        other => other,
    })?;
    if !output.is_possible() {
        return Err(impossible(format!("its output of shape {}", output.batch("batch"))));
    }
    let specs = layer.weights(inputs);
    let mut room = room;
    for spec in &specs {
        let values = spec.shape.iter().try_fold(1usize, |len, axis| len.checked_mul(*axis));
        match values.and_then(|values| room.checked_sub(values)) {
            Some(rest) => room = rest,
            None => return Err(impossible(format!("its {} of shape {:?}", spec.name, spec.shape))),
        }
    }
    Ok((output, specs))
}

/// A model as a layer of another. It has one output.
impl Layer for Network {
    fn class_name(&self) -> &'static str {
        self.class_name()
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let expected: Vec<Shape> = self.inputs.iter().map(|input| input.shape).collect();
        if inputs != expected {
            let list = |shapes: &[Shape]| {
                shapes.iter().map(|shape| shape.batch("batch").to_string()).collect::<Vec<_>>().join(", ")
            };
            return Err(Error::Argument {
                layer: self.name.clone(),
                argument: "the shapes of the inputs".into(),
                found: list(inputs),
                expected: list(&expected),
            });
        }
        match self.outputs[..] {
            [output] => Ok(self.shape(output)),
            _ => Err(Error::Argument {
                layer: self.name.clone(),
                argument: "the number of outputs".into(),
                found: self.outputs.len().to_string(),
                expected: "1 for a model that is a layer of another".into(),
            }),
        }
    }

    fn weights(&self, _: &[Shape]) -> Vec<WeightSpec> {
        let tensor = |tensor: &super::WeightInfo| WeightSpec {
            name: tensor.name.clone().into(),
            shape: tensor.shape.clone(),
            initializer: tensor.initializer,
            trainable: tensor.trained,
        };
        self.layout.tensors().iter().map(tensor).collect()
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let first = call.weights.first().map_or(0, |weight| weight.0);
        self.calls(tape, &call.inputs, first, false)[0]
    }

    fn network(&self) -> Option<&Network> {
        Some(self)
    }
}
