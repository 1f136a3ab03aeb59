//! Dense layers.

use serde_json::Value as Json;

use super::{
    Activation, Call, Config, FromConfig, KERAS, Layer, WeightSpec, convolution, require_positive,
    single_input,
};
use crate::error::Result;
use crate::geometry::{Geometry, GeometrySpec};
use crate::initializers::Initializer;
use crate::program::{Tape, Value};
use crate::shape::Shape;

/// Dense layer ([`keras.layers.Dense`](https://keras.io/api/layers/core_layers/dense/)): a convolution of one tap, so
/// each step is multiplied by the same matrix.
///
/// ```text
/// y[t, o] = activation(sum over c of  x[t, c] kernel[c, o]  +  bias[o])
/// ```
///
/// # Shapes
/// * input `(batch, steps, channels)` or `(batch, channels)`
/// * `kernel`: `(channels, units)`, `bias`: `(units)`
/// * output `(batch, steps, units)` or `(batch, units)`
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Channels of the output.
    pub units: usize,
    /// Activation function applied to the output.
    pub activation: Activation,
    /// If true, a bias is added.
    pub use_bias: bool,
}

impl Dense {
    /// Creates a dense layer with Keras's defaults: linear, with bias.
    #[must_use]
    pub fn new(units: usize) -> Self {
        Self { units, activation: Activation::Linear, use_bias: true }
    }

    /// Sets the activation.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Adds or omits the bias.
    #[must_use]
    pub fn use_bias(self, use_bias: bool) -> Self {
        Self { use_bias, ..self }
    }

    /// The linear map A of this layer, for inputs of a given shape.
    fn geometry(&self, input: Shape) -> Result<Geometry> {
        require_positive(self, &[("units", self.units)])?;
        self.activation.validate(self.class_name())?;
        let spec = GeometrySpec {
            in_steps: input.steps,
            in_channels: input.channels,
            out_steps: input.steps,
            out_channels: self.units,
            taps: 1,
            stride: 1,
            dilation: 1,
            pad_left: 0,
        };
        convolution::geometry(self, input, Some(spec))
    }
}

impl Layer for Dense {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let input = single_input(Self::CLASS_NAME, inputs)?;
        self.geometry(input)?;
        Ok(input.with_channels(self.units))
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let shape = vec![inputs[0].channels, self.units];
        let kernel = WeightSpec::new("kernel", shape, Initializer::GlorotUniform);
        let bias = WeightSpec::new("bias", vec![self.units], Initializer::Zeros);
        if self.use_bias { vec![kernel, bias] } else { vec![kernel] }
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let geometry = self.geometry(tape.shape(call.x())).expect("the model was built with this shape");
        convolution::forward(tape, call, self.activation, |tape, epilogue| {
            tape.apply(geometry, call.weights[0], call.x(), epilogue)
        })
    }

    fn acts_on_steps(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        let config = Config::default()
            .with("units", self.units)
            .with("activation", self.activation.to_json())
            .with("use_bias", self.use_bias);
        let config = convolution::with_constraints(convolution::with_initializers(config));
        config.with("quantization_config", Json::Null)
    }
}

impl FromConfig for Dense {
    const CLASS_NAME: &'static str = "Dense";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let layer = Self {
            units: config.integer("units")?,
            activation: config.activation()?,
            use_bias: config.flag("use_bias")?,
        };
        config.only("lora_rank", &Json::Null)?;
        config.only("lora_alpha", &Json::Null)?;
        config.only("quantization_config", &Json::Null)?;
        convolution::take_fixed_arguments(config, layer.use_bias)?;
        Ok(layer)
    }
}
