//! 1-D convolution.

use serde_json::{Value as Json, json};

use super::{
    Activation, Call, Config, FromConfig, KERAS, Layer, WeightSpec, convolution, input_of_steps,
    require_positive,
};
use crate::error::{Error, Result};
use crate::geometry::{Geometry, GeometrySpec, Padding};
use crate::program::{Tape, Value};
use crate::shape::Shape;

/// 1-D convolution over time ([`keras.layers.Conv1D`](https://keras.io/api/layers/convolution_layers/convolution1d/)).
///
/// ```text
/// y[t, o] = activation(bias[o] + sum over tap, c of
///           x[t strides + tap dilation_rate - pad_left, c] kernel[tap, c, o])
/// ```
///
/// # Shapes
/// * input `(batch, steps, channels)`
/// * output `(batch, out_steps, filters)`, out_steps by [`Padding::resolve`]
/// * kernel `(kernel_size, channels, filters)`, bias `(filters)`
///
/// ```
/// use glassbox_engine::geometry::Padding;
/// use glassbox_engine::layers::{Activation, Conv1D, Layer};
/// use glassbox_engine::shape::Shape;
///
/// let layer = Conv1D::new(32, 7).strides(2).padding(Padding::Same).activation(Activation::Relu);
/// assert_eq!(layer.output_shape(&[Shape::new(288, 1)])?, Shape::new(144, 32));
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Conv1D {
    /// Channels of the output.
    pub filters: usize,
    /// Taps of the kernel.
    pub kernel_size: usize,
    /// Input steps between two output steps.
    pub strides: usize,
    /// Treatment of the ends of the signal.
    pub padding: Padding,
    /// Input steps between two taps; above 1 only if `strides` is 1, as in Keras.
    pub dilation_rate: usize,
    /// Activation function applied to the output.
    pub activation: Activation,
    /// If true, a bias is added.
    pub use_bias: bool,
}

impl Conv1D {
    /// Creates a convolution with Keras's defaults: strides 1, `valid`, no dilation, linear, with bias.
    #[must_use]
    pub fn new(filters: usize, kernel_size: usize) -> Self {
        Self {
            filters,
            kernel_size,
            strides: 1,
            padding: Padding::Valid,
            dilation_rate: 1,
            activation: Activation::Linear,
            use_bias: true,
        }
    }

    /// Sets the strides.
    #[must_use]
    pub fn strides(self, strides: usize) -> Self {
        Self { strides, ..self }
    }

    /// Sets the padding.
    #[must_use]
    pub fn padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// Sets the dilation rate.
    #[must_use]
    pub fn dilation_rate(self, dilation_rate: usize) -> Self {
        Self { dilation_rate, ..self }
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
    ///
    /// # Errors
    /// If an argument is out of range, the kernel spans more than the input, or the input or the output would be larger
    /// than any memory.
    pub fn geometry(&self, input: Shape) -> Result<Geometry> {
        require_positive(
            self,
            &[
                ("filters", self.filters),
                ("kernel_size", self.kernel_size),
                ("strides", self.strides),
                ("dilation_rate", self.dilation_rate),
            ],
        )?;
        self.activation.validate(self.class_name())?;
        if self.strides > 1 && self.dilation_rate > 1 {
            return Err(Error::Argument {
                layer: self.class_name().into(),
                argument: "dilation_rate".into(),
                found: format!("{} with strides {}", self.dilation_rate, self.strides),
                expected: "1 where strides are above 1, as in Keras".into(),
            });
        }
        let span = (self.kernel_size - 1).checked_mul(self.dilation_rate);
        let span = span.and_then(|reach| reach.checked_add(1));
        let resolved = span.and_then(|span| self.padding.resolve(input.steps, span, self.strides));
        let Some((out_steps, pad_left)) = resolved else {
            return Err(Error::Input {
                layer: self.class_name().into(),
                input,
                problem: format!(
                    "a kernel of {} taps with dilation {} spans more than its {} steps; \
                     shorten it or use padding \"same\"",
                    self.kernel_size, self.dilation_rate, input.steps
                ),
            });
        };
        let spec = GeometrySpec {
            in_steps: input.steps,
            in_channels: input.channels,
            out_steps,
            out_channels: self.filters,
            taps: self.kernel_size,
            stride: self.strides,
            dilation: self.dilation_rate,
            pad_left,
        };
        convolution::geometry(self, input, Some(spec))
    }

    fn built(&self, input: Shape) -> Geometry {
        self.geometry(input).expect("the model was built with this shape")
    }
}

impl Layer for Conv1D {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        Ok(self.geometry(input_of_steps(self, inputs)?)?.output())
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        convolution::weights(&self.built(inputs[0]), self.filters, self.use_bias)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let geometry = self.built(tape.shape(call.x()));
        convolution::forward(tape, call, self.activation, |tape, epilogue| {
            tape.apply(geometry, call.weights[0], call.x(), epilogue)
        })
    }

    /// ```text
    /// dz      = dy activation'(z)
    /// dkernel = correlate(x, dz)
    /// dbias   = sum of dz over steps
    /// dx      = A^T dz
    /// ```
    /// Reads `x` and `y` of the forward pass; `z` instead of `y` if that is the activation's
    /// [`Residual`](crate::activations::Residual).
    fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value) {
        let x = call.x();
        let geometry = self.built(tape.shape(x));
        let dz = tape.activation_gradient(self.activation, y, dy);
        tape.correlate(geometry, x, dz, call.weights[0]);
        if let Some(bias) = call.weights.get(1) {
            tape.sum_steps(dz, *bias);
        }
        if tape.needs_gradient(x) {
            let dx = tape.apply_transposed(geometry, call.weights[0], dz, vec![]);
            tape.add_gradient(x, dx);
        }
    }

    fn config(&self) -> Config {
        let config = Config::default()
            .with("filters", self.filters)
            .with("kernel_size", [self.kernel_size].as_slice())
            .with("strides", [self.strides].as_slice())
            .with("padding", self.padding.name())
            .with("data_format", "channels_last")
            .with("dilation_rate", [self.dilation_rate].as_slice())
            .with("groups", 1)
            .with("activation", self.activation.to_json())
            .with("use_bias", self.use_bias);
        convolution::with_fixed_arguments(config)
    }
}

impl FromConfig for Conv1D {
    const CLASS_NAME: &'static str = "Conv1D";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let layer = Self {
            filters: config.integer("filters")?,
            kernel_size: config.single("kernel_size")?,
            strides: config.single_or_1("strides")?,
            padding: config.padding(&[Padding::Valid, Padding::Same, Padding::Causal])?,
            dilation_rate: config.single_or_1("dilation_rate")?,
            activation: config.activation()?,
            use_bias: config.flag("use_bias")?,
        };
        config.only("groups", &json!(1))?;
        config.only("lora_rank", &Json::Null)?;
        config.only("lora_alpha", &Json::Null)?;
        config.only_channels_last()?;
        convolution::take_fixed_arguments(config, layer.use_bias)?;
        Ok(layer)
    }
}
