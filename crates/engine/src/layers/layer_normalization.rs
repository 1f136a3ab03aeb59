//! Layer normalisation.

use serde_json::{Value as Json, json};

use super::{Call, Config, FromConfig, KERAS, Layer, WeightSpec, convolution, single_input};
use crate::error::{Error, Result};
use crate::initializers::Initializer;
use crate::program::{Pointwise, Tape, Value};
use crate::shape::Shape;

/// Normalises the channels of each step, then scales and shifts each channel
/// ([`keras.layers.LayerNormalization`](https://keras.io/api/layers/normalization_layers/layer_normalization/) with
/// `axis=-1`; Ba, Kiros and Hinton, [2016](https://arxiv.org/abs/1607.06450)).
///
/// ```text
/// y[t, c] = gamma[c] (x[t, c] - mean) / sqrt(variance + epsilon) + beta[c]
/// ```
///
/// with the mean and the variance of `x[t, ..]`. A signal of one channel becomes `beta`.
///
/// # Shapes
/// * input and output `(batch, steps, channels)` or `(batch, units)`
/// * gamma and beta `(channels)`
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNormalization {
    /// Added to the variance; above 0.
    pub epsilon: f64,
    /// If true, beta is added.
    pub center: bool,
    /// If true, the result is multiplied by gamma.
    pub scale: bool,
}

impl Default for LayerNormalization {
    /// Keras's defaults: epsilon 0.001, with gamma and beta.
    fn default() -> Self {
        Self { epsilon: 1e-3, center: true, scale: true }
    }
}

impl LayerNormalization {
    /// Creates the layer with Keras's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets epsilon.
    #[must_use]
    pub fn epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// Adds or omits beta.
    #[must_use]
    pub fn center(self, center: bool) -> Self {
        Self { center, ..self }
    }

    /// Multiplies by gamma, or does not.
    #[must_use]
    pub fn scale(self, scale: bool) -> Self {
        Self { scale, ..self }
    }
}

impl Layer for LayerNormalization {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        require_epsilon(self, self.epsilon)?;
        single_input(Self::CLASS_NAME, inputs)
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        gamma_and_beta(self.scale, self.center, inputs[0].channels).collect()
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let y = tape.normalize(self.epsilon, call.x());
        let mut weights = call.weights.iter().copied();
        let gamma = self.scale.then(|| weights.next().map(Pointwise::Scale)).flatten();
        let beta = weights.next().map(Pointwise::AddBias);
        tape.map(y, gamma.into_iter().chain(beta).collect())
    }

    fn acts_on_steps(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        Config::default()
            .with("axis", [-1].as_slice())
            .with("epsilon", self.epsilon)
            .with("center", self.center)
            .with("scale", self.scale)
            .with("rms_scaling", false)
            .with("beta_initializer", Initializer::Zeros.config())
            .with("gamma_initializer", Initializer::Ones.config())
            .with("beta_regularizer", Json::Null)
            .with("gamma_regularizer", Json::Null)
            .with("beta_constraint", Json::Null)
            .with("gamma_constraint", Json::Null)
    }
}

/// Checks the number that is added to a variance. In `f32` it must not vanish: where all values are equal, they are
/// divided by its root.
pub(super) fn require_epsilon(layer: &dyn Layer, epsilon: f64) -> Result<()> {
    if epsilon.is_finite() && epsilon as f32 >= f32::MIN_POSITIVE {
        return Ok(());
    }
    Err(Error::Argument {
        layer: layer.class_name().into(),
        argument: "epsilon".into(),
        found: epsilon.to_string(),
        expected: format!("a finite number of {:e} or more", f32::MIN_POSITIVE),
    })
}

/// The weights that a normalised signal is scaled and shifted by.
pub(super) fn gamma_and_beta(scale: bool, center: bool, channels: usize) -> impl Iterator<Item = WeightSpec> {
    let gamma = scale.then(|| WeightSpec::new("gamma", vec![channels], Initializer::Ones));
    let beta = center.then(|| WeightSpec::new("beta", vec![channels], Initializer::Zeros));
    gamma.into_iter().chain(beta)
}

impl FromConfig for LayerNormalization {
    const CLASS_NAME: &'static str = "LayerNormalization";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let layer = Self {
            epsilon: config.number_or("epsilon", Self::default().epsilon)?,
            center: config.flag("center")?,
            scale: config.flag("scale")?,
        };
        let axis = config.find("axis").unwrap_or(json!(-1));
        if axis != json!(-1) && axis != json!([-1]) {
            return Err(config.unsupported("axis", &axis, "-1, the channels, is"));
        }
        config.only("rms_scaling", &json!(false))?;
        convolution::initializer(config, "gamma_initializer", &["Ones", "ones", "one"], layer.scale)?;
        convolution::initializer(config, "beta_initializer", &["Zeros", "zeros", "zero"], layer.center)?;
        for argument in ["beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint"] {
            config.only(argument, &Json::Null)?;
        }
        Ok(layer)
    }
}
