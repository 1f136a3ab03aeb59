//! Functional models.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::names::Names;
use super::network::{Input, Kind, Network, Node, Source, checked};
use super::order::Order;
use super::sequential::name_error;
use crate::error::{Error, Result};
use crate::layers::Layer;
use crate::shape::{LARGEST, Shape};

/// A builder of models whose layers form a graph: with branches, merges, several inputs and outputs, layers that are
/// called twice, and models within models (Keras's [functional API](https://keras.io/guides/functional_api/)).
///
/// ```
/// use glassbox_engine::geometry::Padding;
/// use glassbox_engine::layers::{Activation, Add, Conv1D};
/// use glassbox_engine::model::Functional;
///
/// // A residual block: y = x + conv(relu(conv(x)))
/// let mut model = Functional::new();
/// let x = model.input((288, 4));
/// let h = model.call(Conv1D::new(4, 7).padding(Padding::Same).activation(Activation::Relu), &[x])?;
/// let h = model.call(Conv1D::new(4, 7).padding(Padding::Same), &[h])?;
/// let y = model.call(Add::default(), &[x, h])?;
/// let network = model.outputs(&[y])?;
/// println!("{}", network.summary());
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug)]
pub struct Functional {
    /// Tells the tensors of this model from those of others.
    id: u64,
    name: String,
    inputs: Vec<Input>,
    layers: Vec<(String, Arc<dyn Layer>)>,
    nodes: Vec<Node>,
    names: Names,
}

/// A signal in the graph of a [`Functional`] model: an input, or the result of a call; Keras's `KerasTensor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tensor {
    model: u64,
    source: Source,
}

impl Default for Functional {
    fn default() -> Self {
        Self::new()
    }
}

impl Functional {
    /// Creates a model without inputs and layers, named `functional`.
    #[must_use]
    pub fn new() -> Self {
        static MODELS: AtomicU64 = AtomicU64::new(0);
        Self {
            id: MODELS.fetch_add(1, Ordering::Relaxed),
            name: "functional".into(),
            inputs: vec![],
            layers: vec![],
            nodes: vec![],
            names: Names::default(),
        }
    }

    /// Sets the name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Adds an input for samples of this shape, under the name that Keras would give it: `input_layer`, ...
    pub fn input(&mut self, shape: impl Into<Shape>) -> Tensor {
        let name = self.names.for_class("InputLayer");
        self.names.take(&name);
        self.inputs.push(Input { name, shape: shape.into() });
        self.tensor(Source::Input(self.inputs.len() - 1))
    }

    /// Adds an input under a given name.
    ///
    /// # Errors
    /// If the name is taken, is empty, or has control characters.
    pub fn input_named(&mut self, name: impl Into<String>, shape: impl Into<Shape>) -> Result<Tensor> {
        let name = name.into();
        if !self.names.take(&name) {
            return Err(name_error(format!("input {}", self.inputs.len()), &name));
        }
        self.inputs.push(Input { name, shape: shape.into() });
        Ok(self.tensor(Source::Input(self.inputs.len() - 1)))
    }

    /// Adds a layer under the name that Keras would give it, and calls it on these inputs.
    ///
    /// # Errors
    /// If an argument of the layer is invalid, the layer cannot read these inputs, or an input is of another model.
    /// The model is then unchanged.
    pub fn call(&mut self, layer: impl Layer + 'static, inputs: &[Tensor]) -> Result<Tensor> {
        let name = self.default_name(&layer);
        self.call_named(name, Arc::new(layer), inputs)
    }

    /// Takes the next default name of Keras's for a layer.
    pub(super) fn default_name(&mut self, layer: &dyn Layer) -> String {
        match layer.network() {
            Some(model) => model.name().into(),
            None => self.names.for_class(layer.class_name()),
        }
    }

    /// Adds a layer under a given name, and calls it.
    ///
    /// # Errors
    /// As [`Functional::call`], and if the name is taken, is empty, or has control characters.
    pub fn call_named(
        &mut self,
        name: impl Into<String>,
        layer: Arc<dyn Layer>,
        inputs: &[Tensor],
    ) -> Result<Tensor> {
        let name = name.into();
        let inputs = self.sources(&name, inputs)?;
        let (output, _) = checked(&name, &*layer, &self.shapes(&inputs), LARGEST)?;
        if !self.names.take(&name) {
            let layer = format!("layer {} ({})", self.layers.len(), layer.class_name());
            return Err(name_error(layer, &name));
        }
        self.layers.push((name, layer));
        self.nodes.push(Node { layer: self.layers.len() - 1, inputs, output });
        Ok(self.tensor(Source::Node(self.nodes.len() - 1)))
    }

    /// Calls the layer that gave `output` again, on other inputs. Both calls share its weights.
    ///
    /// ```
    /// use glassbox_engine::geometry::Padding;
    /// use glassbox_engine::layers::Conv1D;
    /// use glassbox_engine::model::Functional;
    ///
    /// let mut model = Functional::new();
    /// let (left, right) = (model.input((48, 1)), model.input((96, 1)));
    /// let a = model.call(Conv1D::new(8, 7).padding(Padding::Same), &[left])?;
    /// let b = model.call_again(a, &[right])?;
    /// let network = model.outputs(&[a, b])?;
    /// assert_eq!(network.layout().tensors().len(), 2); // one kernel, one bias
    /// # Ok::<(), glassbox_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// If `output` is an input of the model or not of this model, the layer cannot read these inputs, or would need
    /// weights of other shapes for them.
    pub fn call_again(&mut self, output: Tensor, inputs: &[Tensor]) -> Result<Tensor> {
        let Source::Node(first) = self.source(&self.name, output)? else {
            return Err(Error::Mismatch {
                what: "the layer to call again".into(),
                expected: "the output of a layer".into(),
                found: "an input of the model".into(),
            });
        };
        let Node { layer, inputs: before, .. } = self.nodes[first].clone();
        let (name, called) = (self.layers[layer].0.clone(), Arc::clone(&self.layers[layer].1));
        let inputs = self.sources(&name, inputs)?;
        let (output, weights) = checked(&name, &*called, &self.shapes(&inputs), LARGEST)?;
        let built = called.weights(&self.shapes(&before));
        if weights != built {
            let shapes = |specs: &[crate::layers::WeightSpec]| {
                format!("{:?}", specs.iter().map(|spec| &spec.shape).collect::<Vec<_>>())
            };
            return Err(Error::Mismatch {
                what: format!("{name} ({}), called again", called.class_name()),
                expected: format!("inputs for its weights of shapes {}", shapes(&built)),
                found: format!("inputs that need shapes {}", shapes(&weights)),
            });
        }
        self.nodes.push(Node { layer, inputs, output });
        Ok(self.tensor(Source::Node(self.nodes.len() - 1)))
    }

    /// The model that computes these outputs. Layers that no output depends on are left out, as in Keras.
    ///
    /// # Errors
    /// If there are no outputs or one is of another model, or the weights are larger than any memory.
    pub fn outputs(self, outputs: &[Tensor]) -> Result<Network> {
        let outputs = self.sources(&self.name, outputs)?;
        if outputs.is_empty() || self.inputs.is_empty() {
            return Err(Error::Mismatch {
                what: format!("model {}", self.name),
                expected: "at least one input and one output".into(),
                found: format!("{} and {}", self.inputs.len(), outputs.len()),
            });
        }
        let order = Order::new(self.inputs.len(), &self.nodes, &outputs);
        let mut network = Network::of_inputs(Kind::Functional, &self.name, self.inputs);
        let mut layers = vec![None; self.layers.len()];
        let mut sources = vec![None; self.nodes.len()];
        let renamed = |sources: &[Option<Source>], source: &Source| match *source {
            Source::Node(node) => sources[node].expect("what a call reads comes before it"),
            input => input,
        };
        for node in order.nodes {
            let Node { layer, inputs, output } = &self.nodes[node];
            let inputs: Vec<Source> = inputs.iter().map(|input| renamed(&sources, input)).collect();
            sources[node] = Some(match layers[*layer] {
                Some(layer) => network.push_call(layer, inputs, *output),
                None => {
                    layers[*layer] = Some(network.layers.len());
                    let (name, layer) = self.layers[*layer].clone();
                    network.push(name, layer, inputs)?
                }
            });
        }
        network.outputs = outputs.iter().map(|output| renamed(&sources, output)).collect();
        network.order = order.parts.iter().map(|part| part.renamed(&layers)).collect();
        Ok(network)
    }

    fn tensor(&self, source: Source) -> Tensor {
        Tensor { model: self.id, source }
    }

    fn source(&self, reader: &str, tensor: Tensor) -> Result<Source> {
        match tensor.model == self.id {
            true => Ok(tensor.source),
            false => Err(Error::Mismatch {
                what: format!("{reader}, in model {}", self.name),
                expected: "tensors of this model".into(),
                found: "a tensor of another".into(),
            }),
        }
    }

    fn sources(&self, reader: &str, tensors: &[Tensor]) -> Result<Vec<Source>> {
        tensors.iter().map(|tensor| self.source(reader, *tensor)).collect()
    }

    fn shapes(&self, sources: &[Source]) -> Vec<Shape> {
        let shape = |source: &Source| match *source {
            Source::Input(input) => self.inputs[input].shape,
            Source::Node(node) => self.nodes[node].output,
        };
        sources.iter().map(shape).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Backend, Dataset, Session, State};
    use crate::geometry::Padding;
    use crate::gradient_check::GradientCheck;
    use crate::layers::{Activation, Conv1D, Dropout};
    use crate::losses::Loss;
    use crate::model::Sequential;
    use crate::optimizers::Optimizer;
    use crate::program::{Tape, Value};
    use crate::reference::Reference;
    use crate::samples::Samples;

    fn conv(filters: usize) -> Conv1D {
        Conv1D::new(filters, 3).padding(Padding::Same).activation(Activation::Tanh)
    }

    /// The sum of two signals.
    #[derive(Debug)]
    struct Sum;

    impl Layer for Sum {
        fn class_name(&self) -> &'static str {
            "Sum"
        }

        fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
            Ok(inputs[0])
        }

        fn forward(&self, tape: &mut Tape, call: &crate::layers::Call) -> Value {
            tape.add(call.inputs[0], call.inputs[1])
        }
    }

    fn inner() -> Network {
        let mut inner = Sequential::new((6, 2)).named("inner");
        inner.add(conv(3)).unwrap().add(Dropout::new(0.25)).unwrap().add(conv(2)).unwrap();
        inner.into()
    }

    /// Two inputs, a layer that is called twice, a model within the model, and two outputs.
    fn graph() -> Network {
        let mut model = Functional::new();
        let (a, b) = (model.input((6, 2)), model.input_named("other", (6, 2)).unwrap());
        let left = model.call(conv(2), &[a]).unwrap();
        let right = model.call_again(left, &[b]).unwrap();
        let sum = model.call(Sum, &[left, right]).unwrap();
        let coded = model.call(inner(), &[sum]).unwrap();
        let again = model.call_again(left, &[coded]).unwrap();
        let short = model.call(Conv1D::new(1, 4), &[again]).unwrap();
        model.outputs(&[short, again]).unwrap()
    }

    #[test]
    fn gradients_of_a_graph_are_derivatives() {
        for loss in [Loss::MeanSquaredError, Loss::MeanAbsoluteError] {
            for tensor in (GradientCheck { loss, ..GradientCheck::default() }).run(&graph()).unwrap() {
                assert!(tensor.passes(), "{tensor:?}");
            }
        }
    }

    /// A layer that is called twice has its weights once, and a model within a model has its own.
    #[test]
    fn weights_are_shared_and_named() {
        let names = graph();
        let names: Vec<&str> = names.layout().tensors().iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "conv1d.kernel",
                "conv1d.bias",
                "inner.conv1d.kernel",
                "inner.conv1d.bias",
                "inner.conv1d_1.kernel",
                "inner.conv1d_1.bias",
                "conv1d_1.kernel",
                "conv1d_1.bias"
            ]
        );
    }

    /// The loss is the sum of the mean losses of the outputs, and samples and predictions are side by side.
    #[test]
    fn the_loss_is_the_sum_over_outputs() {
        let model = graph();
        assert_eq!((model.input_shape(), model.output_shape()), (Shape::units(24), Shape::units(3 + 12)));
        let plan = model.plan(Loss::MeanSquaredError, Optimizer::default(), 1, 1).unwrap();
        let mut session: Box<dyn Session<f64>> = Reference.session(plan).unwrap();
        session.set_state(&State::new(model.layout().initial(1), &Optimizer::default())).unwrap();
        let x: Vec<f64> = (0..24).map(|i| f64::from(i).sin()).collect();
        let samples = Samples::dense(&x, model.input_shape()).unwrap();
        let (mut y, target) = (vec![0.0; 15], vec![0.5; 15]);
        session.predict(&samples, &mut y).unwrap();
        let mean = |y: &[f64]| y.iter().map(|y| (y - 0.5).powi(2)).sum::<f64>() / y.len() as f64;
        let data = Dataset { x: samples, y: Samples::dense(&target, model.output_shape()).unwrap() };
        let loss = session.evaluate(&data).unwrap();
        assert!((loss - mean(&y[..3]) - mean(&y[3..])).abs() < 1e-15);
    }

    /// Weights that no path leads from to the loss do not decay, as in Keras.
    #[test]
    fn weights_that_the_loss_does_not_depend_on_stay() {
        let mut inner = Functional::new().named("inner");
        let read = inner.input((6, 2));
        inner.input((6, 2)); // nothing reads it
        let h = inner.call(conv(2), &[read]).unwrap();
        let inner = inner.outputs(&[h]).unwrap();
        let mut model = Functional::new();
        let x = model.input((6, 2));
        let lost = model.call(conv(2), &[x]).unwrap();
        let y = model.call(inner, &[x, lost]).unwrap();
        let model = model.outputs(&[y]).unwrap();
        let optimizer = Optimizer::from(crate::optimizers::AdamW::default());
        let plan = model.plan(Loss::MeanSquaredError, optimizer.clone(), 1, 1).unwrap();
        let trained: Vec<bool> = plan.layout.tensors().iter().map(|tensor| tensor.trained).collect();
        assert_eq!(trained, [false, false, true, true]);
        let start: Vec<f64> = plan.layout.initial(1);
        let mut session: Box<dyn Session<f64>> = Reference.session(plan).unwrap();
        session.set_state(&State::new(start.clone(), &optimizer)).unwrap();
        let x = vec![0.5; 12];
        let data = Dataset::autoencoder(Samples::dense(&x, Shape::new(6, 2)).unwrap());
        session.compute_gradient(&data, &[0]).unwrap();
        session.update().unwrap();
        let weights = session.state().unwrap().weights;
        // Two kernels of 12 values and their biases.
        assert_eq!(weights[..14], start[..14]);
        assert!(weights[14..26].iter().zip(&start[14..26]).all(|(after, before)| after != before));
    }

    /// The order in which a model was put together does not show: it draws the same masks after it was saved.
    #[test]
    fn a_model_is_the_same_however_it_was_put_together() {
        let build = |swapped: bool| {
            let mut model = Functional::new();
            let x = model.input((6, 2));
            let mut branch = |name: &str| {
                let h = model.call_named(name, Arc::new(conv(2)), &[x]).unwrap();
                model.call_named(format!("{name}_dropout"), Arc::new(Dropout::new(0.5)), &[h]).unwrap()
            };
            let (left, right) = match swapped {
                false => (branch("left"), branch("right")),
                true => {
                    let right = branch("right");
                    (branch("left"), right)
                }
            };
            let y = model.call(Sum, &[left, right]).unwrap();
            model.call(conv(9), &[x]).unwrap(); // leads nowhere
            model.outputs(&[y]).unwrap()
        };
        let [one, other] = [false, true].map(build);
        assert_eq!(one.to_json(), other.to_json());
        let program = |model: &Network| model.training_program(Loss::default()).to_string();
        assert_eq!(program(&one), program(&other));
        assert_eq!(one.layers().len(), 5);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_named() {
        let mut model = Functional::new();
        let x = model.input((6, 2));
        let y = model.call(conv(3), &[x]).unwrap();
        let error = model.call_again(y, &[y]).unwrap_err().to_string();
        assert!(error.contains("conv1d (Conv1D), called again") && error.contains("[3, 3, 3]"), "{error}");
        let mut other = Functional::new();
        let error = other.call(conv(3), &[y]).unwrap_err().to_string();
        assert!(error.contains("expected tensors of this model"), "{error}");
        assert!(other.input_named("", (1, 1)).is_err());
        let error = model.call(inner(), &[y]).unwrap_err().to_string();
        assert!(error.contains("inner (Sequential): the shapes of the inputs is (batch, 6, 3)"), "{error}");
        assert!(Functional::new().outputs(&[]).is_err());
    }

    /// A chain far deeper than the stack of a thread.
    #[test]
    fn a_deep_graph_is_sorted_in_linear_time() {
        let mut model = Functional::new();
        let mut x = model.input((1, 1));
        for _ in 0..100_000 {
            x = model.call(Activation::Relu, &[x]).unwrap();
        }
        assert_eq!(model.outputs(&[x]).unwrap().layers().len(), 100_000);
    }
}
