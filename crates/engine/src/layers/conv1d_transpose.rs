//! Transposed 1-D convolution.

use serde_json::{Value as Json, json};

use super::{
    Activation, Call, Config, FromConfig, KERAS, Layer, WeightSpec, convolution, input_of_steps,
    require_positive,
};
use crate::error::{Error, Result};
use crate::geometry::{Geometry, GeometrySpec, Padding};
use crate::program::{Tape, Value};
use crate::shape::Shape;

/// Transposed 1-D convolution
/// ([`keras.layers.Conv1DTranspose`](https://keras.io/api/layers/convolution_layers/convolution1d_transpose/)):
/// the transpose of the linear map of a [`Conv1D`](super::Conv1D) from `out_steps` to `steps`.
///
/// ```text
/// y[i, o] = activation(bias[o] + sum over t, tap with t strides + tap - pad_left = i, and c, of
///           x[t, c] kernel[tap, o, c])
/// ```
///
/// # Shapes
/// * input `(batch, steps, channels)`
/// * output `(batch, out_steps, filters)`: `steps strides` for `same`, and
///   `steps strides + max(kernel_size - strides, 0)` for `valid`
/// * kernel `(kernel_size, filters, channels)`, the same as that of the convolution that the layer transposes;
///   bias `(filters)`
///
/// ```
/// use glassbox_engine::geometry::Padding;
/// use glassbox_engine::layers::{Conv1DTranspose, Layer};
/// use glassbox_engine::shape::Shape;
///
/// let layer = Conv1DTranspose::new(16, 7).strides(2).padding(Padding::Same);
/// assert_eq!(layer.output_shape(&[Shape::new(72, 16)])?, Shape::new(144, 16));
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Conv1DTranspose {
    /// Channels of the output.
    pub filters: usize,
    /// Taps of the kernel.
    pub kernel_size: usize,
    /// Output steps between two input steps.
    pub strides: usize,
    /// Treatment of the ends of the signal: `valid` or `same`.
    pub padding: Padding,
    /// Activation function applied to the output.
    pub activation: Activation,
    /// If true, a bias is added.
    pub use_bias: bool,
}

impl Conv1DTranspose {
    /// Creates a transposed convolution with Keras's defaults: strides 1, `valid`, linear, with bias.
    #[must_use]
    pub fn new(filters: usize, kernel_size: usize) -> Self {
        Self {
            filters,
            kernel_size,
            strides: 1,
            padding: Padding::Valid,
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

    /// The linear map A that this layer transposes, for inputs of a given shape. The input of the layer is on A's
    /// output side.
    ///
    /// # Errors
    /// If an argument is out of range, or the input or the output would be larger than any memory.
    pub fn geometry(&self, input: Shape) -> Result<Geometry> {
        require_positive(
            self,
            &[("filters", self.filters), ("kernel_size", self.kernel_size), ("strides", self.strides)],
        )?;
        self.activation.validate(self.class_name())?;
        // This layer cuts off what A pads with zeros. "same" cuts the part of the kernel that is longer than the
        // stride, the smaller half of it on the left.
        let overhang = self.kernel_size.saturating_sub(self.strides);
        let (cut, pad_left) = match self.padding {
            Padding::Valid => (0, 0),
            Padding::Same => (overhang, overhang / 2),
            Padding::Causal => {
                return Err(Error::Argument {
                    layer: self.class_name().into(),
                    argument: "padding".into(),
                    found: "causal".into(),
                    expected: "valid or same".into(),
                });
            }
        };
        let full = input.steps.checked_mul(self.strides).and_then(|steps| steps.checked_add(overhang));
        let spec = full.map(|full| GeometrySpec {
            in_steps: full - cut,
            in_channels: self.filters,
            out_steps: input.steps,
            out_channels: input.channels,
            taps: self.kernel_size,
            stride: self.strides,
            dilation: 1,
            pad_left,
        });
        convolution::geometry(self, input, spec)
    }

    fn built(&self, input: Shape) -> Geometry {
        self.geometry(input).expect("the model was built with this shape")
    }
}

impl Layer for Conv1DTranspose {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        Ok(self.geometry(input_of_steps(self, inputs)?)?.input())
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        convolution::weights(&self.built(inputs[0]), self.filters, self.use_bias)
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let geometry = self.built(tape.shape(call.x()));
        convolution::forward(tape, call, self.activation, |tape, epilogue| {
            tape.apply_transposed(geometry, call.weights[0], call.x(), epilogue)
        })
    }

    /// ```text
    /// dz      = dy activation'(z)
    /// dkernel = correlate(dz, x)
    /// dbias   = sum of dz over steps
    /// dx      = A dz
    /// ```
    /// Reads `x` and `y` of the forward pass; `z` instead of `y` if that is the activation's
    /// [`Residual`](crate::activations::Residual).
    fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value) {
        let x = call.x();
        let geometry = self.built(tape.shape(x));
        let dz = tape.activation_gradient(self.activation, y, dy);
        tape.correlate(geometry, dz, x, call.weights[0]);
        if let Some(bias) = call.weights.get(1) {
            tape.sum_steps(dz, *bias);
        }
        if tape.needs_gradient(x) {
            let dx = tape.apply(geometry, call.weights[0], dz, vec![]);
            tape.add_gradient(x, dx);
        }
    }

    fn config(&self) -> Config {
        let config = Config::default()
            .with("filters", self.filters)
            .with("kernel_size", [self.kernel_size].as_slice())
            .with("strides", [self.strides].as_slice())
            .with("padding", self.padding.name())
            .with("output_padding", Json::Null)
            .with("data_format", "channels_last")
            .with("dilation_rate", [1].as_slice())
            .with("activation", self.activation.to_json())
            .with("use_bias", self.use_bias);
        convolution::with_fixed_arguments(config)
    }
}

impl FromConfig for Conv1DTranspose {
    const CLASS_NAME: &'static str = "Conv1DTranspose";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let layer = Self {
            filters: config.integer("filters")?,
            kernel_size: config.single("kernel_size")?,
            strides: config.single_or_1("strides")?,
            padding: config.padding(&[Padding::Valid, Padding::Same])?,
            activation: config.activation()?,
            use_bias: config.flag("use_bias")?,
        };
        let dilation_rate = config.single_or_1("dilation_rate")?;
        if dilation_rate != 1 {
            return Err(config.unsupported("dilation_rate", &json!(dilation_rate), "1 is"));
        }
        config.only("output_padding", &Json::Null)?;
        config.only_channels_last()?;
        convolution::take_fixed_arguments(config, layer.use_bias)?;
        Ok(layer)
    }
}
