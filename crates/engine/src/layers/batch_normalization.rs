//! Batch normalisation.

use serde_json::{Value as Json, json};

use super::layer_normalization::{gamma_and_beta, require_epsilon};
use super::{Call, Config, FromConfig, KERAS, Layer, WeightSpec, convolution, single_input};
use crate::error::{Error, Result};
use crate::initializers::Initializer;
use crate::program::{Pointwise, Tape, Value, Weight};
use crate::shape::Shape;

/// Normalises each channel over the batch and all steps, then scales and shifts it
/// ([`keras.layers.BatchNormalization`](https://keras.io/api/layers/normalization_layers/batch_normalization/) with
/// `axis=-1`; Ioffe and Szegedy, [2015](https://arxiv.org/abs/1502.03167)).
///
/// ```text
/// y[t, c] = gamma[c] (x[t, c] - mean[c]) / sqrt(variance[c] + epsilon) + beta[c]
/// ```
///
/// In training the mean and the (biased) variance are those of the batch, and after each step the moving statistics are
/// `moving momentum + batch (1 - momentum)`. In inference they are the moving statistics, so that a prediction does not
/// depend on the other samples.
///
/// # Shapes
/// * input and output `(batch, steps, channels)` or `(batch, units)`
/// * gamma, beta, the moving mean and the moving variance `(channels)`; no optimiser changes the moving statistics
///
/// ```
/// use glassbox_engine::layers::{BatchNormalization, Conv1D, ReLU};
/// use glassbox_engine::model::Sequential;
///
/// let mut model = Sequential::new((288, 1));
/// // The normalisation would take a bias out again.
/// model.add(Conv1D::new(16, 7).strides(2).use_bias(false))?;
/// model.add(BatchNormalization::new())?.add(ReLU)?;
/// let names = model.layout().tensors().iter().map(|tensor| (&tensor.name[..], tensor.trained));
/// assert_eq!(names.collect::<Vec<_>>()[1..], [
///     ("batch_normalization.gamma", true),
///     ("batch_normalization.beta", true),
///     ("batch_normalization.moving_mean", false),
///     ("batch_normalization.moving_variance", false),
/// ]);
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormalization {
    /// Fraction of the moving statistics that stays in a training step, from 0 to 1.
    pub momentum: f64,
    /// Added to the variance; above 0.
    pub epsilon: f64,
    /// If true, beta is added.
    pub center: bool,
    /// If true, the result is multiplied by gamma.
    pub scale: bool,
}

impl Default for BatchNormalization {
    /// Keras's defaults: momentum 0.99, epsilon 0.001, with gamma and beta.
    fn default() -> Self {
        Self { momentum: 0.99, epsilon: 1e-3, center: true, scale: true }
    }
}

impl BatchNormalization {
    /// Creates the layer with Keras's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the momentum.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
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

    /// Gamma and beta, if the layer has them, and the moving statistics.
    fn apart(&self, call: &Call) -> (Option<Weight>, Option<Weight>, [Weight; 2]) {
        let mut weights = call.weights.iter().copied();
        let mut next = || weights.next().expect("a model gives a layer the weights that it asks for");
        let (gamma, beta) = (self.scale.then(&mut next), self.center.then(&mut next));
        (gamma, beta, [next(), next()])
    }
}

impl Layer for BatchNormalization {
    fn class_name(&self) -> &'static str {
        Self::CLASS_NAME
    }

    fn package(&self) -> &'static str {
        KERAS
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(Error::Argument {
                layer: self.class_name().into(),
                argument: "momentum".into(),
                found: self.momentum.to_string(),
                expected: "a number from 0 to 1".into(),
            });
        }
        require_epsilon(self, self.epsilon)?;
        single_input(Self::CLASS_NAME, inputs)
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let channels = inputs[0].channels;
        let moving = [("moving_mean", Initializer::Zeros), ("moving_variance", Initializer::Ones)];
        let moving = moving.map(|(name, initializer)| WeightSpec {
            trainable: false,
            ..WeightSpec::new(name, vec![channels], initializer)
        });
        gamma_and_beta(self.scale, self.center, channels).chain(moving).collect()
    }

    fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
        let (gamma, beta, moving) = self.apart(call);
        let normalized = tape.standardize(self.epsilon, self.momentum, moving, call.x());
        let gamma = gamma.map(Pointwise::Scale);
        tape.map(normalized, gamma.into_iter().chain(beta.map(Pointwise::AddBias)).collect())
    }

    fn backward(&self, tape: &mut Tape, call: &Call, y: Value, dy: Value) {
        let (gamma, beta, _) = self.apart(call);
        let normalized = tape.before_map(y);
        let wanted = tape.needs_gradient(call.x());
        let product = gamma.map(|_| tape.multiply(dy, normalized));
        let dnormalized = match gamma {
            Some(gamma) if wanted => tape.map(dy, vec![Pointwise::Scale(gamma)]),
            _ => dy,
        };
        if let Some(beta) = beta {
            tape.sum_steps(dy, beta);
        }
        if let (Some(product), Some(gamma)) = (product, gamma) {
            tape.sum_steps(product, gamma);
        }
        if wanted {
            let dx = tape.standardize_gradient(normalized, dnormalized);
            tape.add_gradient(call.x(), dx);
        }
    }

    fn config(&self) -> Config {
        Config::default()
            .with("axis", -1)
            .with("momentum", self.momentum)
            .with("epsilon", self.epsilon)
            .with("center", self.center)
            .with("scale", self.scale)
            .with("beta_initializer", Initializer::Zeros.config())
            .with("gamma_initializer", Initializer::Ones.config())
            .with("moving_mean_initializer", Initializer::Zeros.config())
            .with("moving_variance_initializer", Initializer::Ones.config())
            .with("beta_regularizer", Json::Null)
            .with("gamma_regularizer", Json::Null)
            .with("beta_constraint", Json::Null)
            .with("gamma_constraint", Json::Null)
            .with("synchronized", false)
            .with("renorm", false)
            .with("renorm_clipping", Json::Null)
            .with("renorm_momentum", 0.99)
    }
}

impl FromConfig for BatchNormalization {
    const CLASS_NAME: &'static str = "BatchNormalization";
    const PACKAGE: &'static str = KERAS;

    fn from_config(config: &mut Config) -> Result<Self> {
        let defaults = Self::default();
        let layer = Self {
            momentum: config.number_or("momentum", defaults.momentum)?,
            epsilon: config.number_or("epsilon", defaults.epsilon)?,
            center: config.flag("center")?,
            scale: config.flag("scale")?,
        };
        config.only("axis", &json!(-1))?;
        let (ones, zeros) = (["Ones", "ones", "one"], ["Zeros", "zeros", "zero"]);
        convolution::initializer(config, "gamma_initializer", &ones, layer.scale)?;
        convolution::initializer(config, "beta_initializer", &zeros, layer.center)?;
        convolution::initializer(config, "moving_mean_initializer", &zeros, true)?;
        convolution::initializer(config, "moving_variance_initializer", &ones, true)?;
        for argument in ["beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint"] {
            config.only(argument, &Json::Null)?;
        }
        config.only("synchronized", &json!(false))?;
        config.only("renorm", &json!(false))?;
        config.only("renorm_clipping", &Json::Null)?;
        config.only("renorm_momentum", &json!(0.99))?;
        Ok(layer)
    }
}
