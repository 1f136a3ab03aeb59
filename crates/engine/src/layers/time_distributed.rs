//! Layers applied to each step.

use std::sync::Arc;

use super::{Call, Config, FromConfig, KERAS, Layer, Registry, WeightSpec, input_of_steps};
use crate::error::{Error, Result};
use crate::model::{snake_case, write_layer};
use crate::program::{Tape, Value};
use crate::shape::Shape;

/// Applies a layer to each step by itself, with the same weights
/// ([`keras.layers.TimeDistributed`](https://keras.io/api/layers/recurrent_layers/time_distributed/)).
///
/// The layers here that treat each step by itself ([`Layer::acts_on_steps`]) do the same without it, so its output is
/// that of its layer. Other layers are refused.
///
/// # Shapes
/// * input `(batch, steps, channels)`
/// * output `(batch, steps, units)`, where the layer makes `(batch, units)` of `(batch, channels)`
///
/// ```
/// use glassbox_engine::layers::{Dense, TimeDistributed};
/// use glassbox_engine::model::Sequential;
///
/// let mut model = Sequential::new((288, 32));
/// model.add(TimeDistributed::new(Dense::new(1)))?;
/// assert_eq!(model.output_shape(), (288, 1).into());
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TimeDistributed {
    layer: Arc<dyn Layer>,
    /// The name of the layer.
    name: String,
}

impl TimeDistributed {
    /// Creates the wrapper of a layer, which gets the default name of its class.
    #[must_use]
    pub fn new(layer: impl Layer + 'static) -> Self {
        Self { name: snake_case(layer.class_name()), layer: Arc::new(layer) }
    }

    /// The layer that is applied to each step.
    #[must_use]
    pub fn layer(&self) -> &dyn Layer {
        &*self.layer
    }

    /// The shape of one step of an input.
    fn step(inputs: &[Shape]) -> Shape {
        Shape::units(inputs[0].channels)
    }
}

impl Layer for TimeDistributed {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let input = input_of_steps(self, inputs)?;
        if !self.layer.acts_on_steps() {
            return Err(Error::Argument {
                layer: Self::CLASS_NAME.into(),
                argument: "layer".into(),
                found: self.layer.class_name().into(),
                expected: "a layer that treats each step by itself, such as Dense, Activation or Dropout"
                    .into(),
            });
        }
        Ok(input.with_channels(self.layer.output_shape(&[Self::step(inputs)])?.channels))
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        self.layer.weights(&[Self::step(inputs)])
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        self.layer.forward(tape, call)
    }

    fn config(&self) -> Config {
        Config::default().with("layer", write_layer(&self.name, &*self.layer))
    }
}

impl FromConfig for TimeDistributed {
    const CLASS_NAME: &'static str = "TimeDistributed";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        Self::from_config_with(config, &Registry::default())
    }

    fn from_config_with(config: &mut Config, registry: &Registry) -> Result<Self> {
        let (name, layer) = config.layer("layer", registry)?;
        Ok(Self { name: name.unwrap_or_else(|| snake_case(layer.class_name())), layer })
    }
}
