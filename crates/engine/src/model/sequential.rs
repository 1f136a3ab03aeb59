//! Sequential models.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::weights::WeightLayout;
use super::{Compilation, Summary, json};
use crate::backend::Plan;
use crate::error::{Error, Result};
use crate::layers::{Call, Layer, Registry};
use crate::losses::Loss;
use crate::optimizers::Optimizer;
use crate::program::{Pass, Program, Tape, Value, Weight};
use crate::shape::{LARGEST, Shape};
use crate::text::excerpt;

/// A sequence of layers, each of which reads the output of the one before
/// ([`keras.Sequential`](https://keras.io/api/models/sequential/)).
///
/// ```
/// use glassbox_engine::geometry::Padding;
/// use glassbox_engine::layers::{Activation, Conv1D, Conv1DTranspose, Dropout};
/// use glassbox_engine::model::Sequential;
/// use glassbox_engine::shape::Shape;
///
/// let mut model = Sequential::new((288, 1));
/// model.add(Conv1D::new(32, 7).strides(2).padding(Padding::Same).activation(Activation::Relu))?;
/// model.add(Dropout::new(0.2))?;
/// model.add(Conv1DTranspose::new(1, 7).strides(2).padding(Padding::Same))?;
///
/// assert_eq!(model.output_shape(), Shape::new(288, 1));
/// assert_eq!(model.layout().len(), 7 * 32 + 32 + 7 * 32 + 1);
/// println!("{}", model.summary());
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sequential {
    name: String,
    input: Shape,
    layers: Vec<NamedLayer>,
    names: Names,
    layout: WeightLayout,
    /// Keras's `compile_config`; empty if the model was not compiled.
    compile_config: Map<String, Json>,
}

/// The names of the layers.
#[derive(Debug, Clone, Default)]
struct Names {
    taken: HashSet<String>,
    /// For each default name of Keras's, the first number that may still be free.
    next: HashMap<String, usize>,
}

/// A layer within a model.
#[derive(Debug, Clone)]
pub struct NamedLayer {
    /// Its name, unique within the model.
    pub name: String,
    /// The layer itself.
    pub layer: Arc<dyn Layer>,
    /// The shape of its input sample.
    pub input: Shape,
    /// The shape of its output sample.
    pub output: Shape,
    /// Indices of its tensors in the layout.
    pub weights: Range<usize>,
}

impl Sequential {
    /// Creates a model without layers, for samples of shape `input`, named `sequential`.
    #[must_use]
    pub fn new(input: impl Into<Shape>) -> Self {
        Self {
            name: "sequential".into(),
            input: input.into(),
            layers: vec![],
            names: Names::default(),
            layout: WeightLayout::default(),
            compile_config: Map::new(),
        }
    }

    /// Sets the name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Sets the `compile_config` of Keras's JSON.
    pub(super) fn compiled(self, compile_config: Map<String, Json>) -> Self {
        Self { compile_config, ..self }
    }

    /// The `compile_config` of Keras's JSON.
    pub(super) fn compile_config(&self) -> &Map<String, Json> {
        &self.compile_config
    }

    /// Adds a layer under the name that Keras would give it: `conv1d`, `conv1d_1`, `re_lu`, ...
    ///
    /// # Errors
    /// If an argument of the layer is invalid, or the layer cannot read the output of the layers so far. The model is
    /// then unchanged.
    pub fn add(&mut self, layer: impl Layer + 'static) -> Result<&mut Self> {
        let name = self.default_name(layer.class_name());
        self.add_named(name, Arc::new(layer))
    }

    /// Takes the next default name of Keras's for a class.
    pub(super) fn default_name(&mut self, class_name: &str) -> String {
        self.names.for_class(class_name)
    }

    /// Adds a layer under a given name.
    ///
    /// # Errors
    /// As [`Sequential::add`], and if the name is taken, is empty, or has control characters.
    pub fn add_named(&mut self, name: impl Into<String>, layer: Arc<dyn Layer>) -> Result<&mut Self> {
        let name = name.into();
        if name.is_empty() || name.contains(char::is_control) || self.names.taken.contains(&name) {
            return Err(Error::Argument {
                layer: format!("layer {} ({})", self.layers.len(), layer.class_name()),
                argument: "name".into(),
                found: format!("\"{}\"", excerpt(&name)),
                expected: "a name that no other layer of the model has, without control characters".into(),
            });
        }
        let input = self.output_shape();
        let place = |error| match error {
            Error::Argument { argument, found, expected, .. } => Error::Argument {
                layer: format!("{name} ({})", layer.class_name()),
                argument,
                found,
                expected,
            },
            Error::Input { input, problem, .. } => {
                Error::Input { layer: format!("{name} ({})", layer.class_name()), input, problem }
            }
            other => other,
        };
        let impossible = |what: String| Error::Input {
            layer: format!("{name} ({})", layer.class_name()),
            input,
            problem: format!("{what} is larger than any memory"),
        };
        if !input.is_possible() {
            return Err(impossible("it".into()));
        }
        let output = layer.output_shape(&[input]).map_err(place)?;
        if !output.is_possible() {
            return Err(impossible(format!("its output of shape {}", output.batch("batch"))));
        }
        let specs = layer.weights(&[input]);
        for spec in &specs {
            let values = spec.shape.iter().try_fold(1usize, |len, axis| len.checked_mul(*axis));
            if values.is_none_or(|values| values > LARGEST - self.layout.len()) {
                return Err(impossible(format!("its {} of shape {:?}", spec.name, spec.shape)));
            }
        }
        let first = self.layout.tensors().len();
        let weights = first..first + specs.len();
        for spec in specs {
            self.layout.push(format!("{name}.{}", spec.name), spec.shape, spec.initializer);
        }
        self.names.taken.insert(name.clone());
        self.layers.push(NamedLayer { name, layer, input, output, weights });
        Ok(self)
    }

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
    /// As [`Sequential::from_json`].
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

    /// Returns true if the model was read from JSON with a `compile_config`.
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

    /// The layers, in order.
    #[must_use]
    pub fn layers(&self) -> &[NamedLayer] {
        &self.layers
    }

    /// The weight tensors.
    #[must_use]
    pub fn layout(&self) -> &WeightLayout {
        &self.layout
    }

    /// The shape of a sample.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.input
    }

    /// The shape of a prediction.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.layers.last().map_or(self.input, |layer| layer.output)
    }

    /// The program of a training step for one sample, as the layers record it.
    #[must_use]
    pub fn training_program(&self, loss: Loss) -> Program {
        self.record_training(Tape::new(self.input, true), loss)
    }

    /// The same program, which also computes the gradient with respect to the sample.
    #[must_use]
    pub fn training_program_with_input_gradient(&self, loss: Loss) -> Program {
        self.record_training(Tape::new(self.input, true).with_input_gradient(), loss)
    }

    /// The program of inference for one sample, as the layers record it.
    #[must_use]
    pub fn inference_program(&self) -> Program {
        let mut tape = Tape::new(self.input, false);
        let output = self.forward(&mut tape);
        tape.finish(output)
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
        let plan = Plan {
            training: self.training_program(loss).fused(),
            // Not fused, so that the output of every layer can be observed.
            inference: self.inference_program(),
            layout: self.layout.clone(),
            layer_names: self.layers.iter().map(|layer| layer.name.clone()).collect(),
            loss,
            optimizer,
            seed,
            batch_size,
        };
        plan.require_room(size_of::<f32>(), plan.sample_len(), 1, 1)?;
        Ok(plan)
    }

    fn record_training(&self, mut tape: Tape, loss: Loss) -> Program {
        let output = self.forward(&mut tape);
        tape.enter(self.layers.len(), Pass::Loss);
        tape.loss(loss, output);
        tape.backward();
        tape.finish(output)
    }

    fn forward(&self, tape: &mut Tape) -> Value {
        let mut x = tape.input();
        for (index, named) in self.layers.iter().enumerate() {
            tape.enter(index, Pass::Forward);
            let weights = named.weights.clone().map(Weight).collect();
            x = tape.call(&named.layer, Call { inputs: vec![x], weights });
            tape.set_layer_output(x);
        }
        x
    }
}

impl Names {
    /// The default name of the next layer of a class, as in Keras: snake case, with a number from the second layer on.
    /// All numbers below the last one found are taken, so the search continues from there.
    fn for_class(&mut self, class_name: &str) -> String {
        let base = snake_case(class_name);
        let mut n = self.next.get(&base).copied().unwrap_or(0);
        loop {
            let name = if n == 0 { base.clone() } else { format!("{base}_{n}") };
            if !self.taken.contains(&name) {
                self.next.insert(base, n);
                return name;
            }
            n += 1;
        }
    }
}

/// `Conv1DTranspose` to `conv1d_transpose`, `ReLU` to `re_lu`, by the rules of Keras's `to_snake_case`: an
/// underscore before a capital that a lower-case letter follows, and between a lower-case letter and a
/// capital. A digit counts as neither.
pub(crate) fn snake_case(class_name: &str) -> String {
    let chars: Vec<char> = class_name.chars().collect();
    let mut snake = String::new();
    for (i, c) in chars.iter().enumerate() {
        let after = chars.get(i + 1);
        let starts_word = c.is_uppercase() && after.is_some_and(|next| next.is_lowercase());
        let ends_word = c.is_uppercase() && i > 0 && chars[i - 1].is_lowercase();
        if i > 0 && (starts_word || ends_word) {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Conv1D, Dropout};

    #[test]
    fn class_names_become_kerass_layer_names() {
        for (class, name) in [
            ("Conv1D", "conv1d"),
            ("Conv1DTranspose", "conv1d_transpose"),
            ("ReLU", "re_lu"),
            ("Dropout", "dropout"),
            ("LSTM", "lstm"),
        ] {
            assert_eq!(snake_case(class), name);
        }
    }

    #[test]
    fn a_refused_layer_leaves_the_model_as_it_was() {
        let mut model = Sequential::new(Shape::new(4, 1));
        model.add(Conv1D::new(2, 3)).unwrap();
        let error = model.add(Conv1D::new(2, 3)).unwrap_err().to_string();
        assert!(
            error.starts_with("conv1d_1 (Conv1D): cannot take an input of shape (batch, 2, 2)"),
            "{error}"
        );
        assert!(model.add(Dropout::new(1.0)).is_err());
        assert_eq!((model.layers().len(), model.layout().len()), (1, 8));
    }
}
