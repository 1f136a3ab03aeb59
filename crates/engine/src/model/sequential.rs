//! Sequential models.

use std::ops::Deref;
use std::sync::Arc;

use super::names::Names;
use super::network::{Input, Kind, Network};
use crate::error::{Error, Result};
use crate::layers::Layer;
use crate::shape::Shape;
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
    network: Network,
    names: Names,
}

impl Sequential {
    /// Creates a model without layers, for samples of shape `input`, named `sequential`.
    #[must_use]
    pub fn new(input: impl Into<Shape>) -> Self {
        let input = Input { name: "input_layer".into(), shape: input.into() };
        Self {
            network: Network::of_inputs(Kind::Sequential, "sequential", vec![input]),
            names: Names::default(),
        }
    }

    /// Sets the name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.network.name = name.into();
        self
    }

    /// Sets the name of the input.
    pub(super) fn input_named(mut self, name: String) -> Self {
        self.network.inputs[0].name = name;
        self
    }

    /// Adds a layer under the name that Keras would give it: `conv1d`, `conv1d_1`, `re_lu`, ...
    ///
    /// # Errors
    /// If an argument of the layer is invalid, or the layer cannot read the output of the layers so far. The model is
    /// then unchanged.
    pub fn add(&mut self, layer: impl Layer + 'static) -> Result<&mut Self> {
        let name =
            layer.network().map_or_else(|| self.default_name(layer.class_name()), |model| model.name.clone());
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
        let (name, network) = (name.into(), &mut self.network);
        if !self.names.take(&name) {
            let layer = format!("layer {} ({})", network.layers.len(), layer.class_name());
            return Err(name_error(layer, &name));
        }
        let [input] = network.outputs[..] else { unreachable!("a sequence has one output") };
        match network.push(name.clone(), layer, vec![input]) {
            Ok(output) => {
                network.outputs = vec![output];
                Ok(self)
            }
            Err(error) => {
                self.names.release(&name);
                Err(error)
            }
        }
    }
}

/// The error for a name that no layer can have.
pub(super) fn name_error(layer: String, name: &str) -> Error {
    Error::Argument {
        layer,
        argument: "name".into(),
        found: format!("\"{}\"", excerpt(name)),
        expected: "a name that no other layer of the model has, without control characters".into(),
    }
}

/// A sequence of layers is a model, whatever layers it has so far.
impl Deref for Sequential {
    type Target = Network;

    fn deref(&self) -> &Network {
        &self.network
    }
}

impl From<Sequential> for Network {
    fn from(sequential: Sequential) -> Self {
        sequential.network
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Conv1D, Dropout};

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
