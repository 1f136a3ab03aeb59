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
