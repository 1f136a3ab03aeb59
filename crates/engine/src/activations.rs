//! Activation functions, each with its derivative ([`keras.activations`](https://keras.io/api/layers/activations/)).
//!
//! | function | y | y' | reference |
//! |---|---|---|---|
//! | `relu` | max(x, 0) | 1 where y > 0, else 0 | Nair and Hinton, *Rectified linear units improve restricted Boltzmann machines*, 2010 |
//! | `leaky_relu` | x where x >= 0, else s x | 1 where y > 0, else s | Maas, Hannun and Ng, *Rectifier nonlinearities improve neural network acoustic models*, 2013 |
//! | `elu` | x where x >= 0, else a (exp(x) - 1) | 1 where y > 0, else y + a | Clevert, Unterthiner and Hochreiter, [2016](https://arxiv.org/abs/1511.07289) |
//! | `selu` | l x where x >= 0, else l a (exp(x) - 1) | l where y >= 0, else y + l a | Klambauer et al., [2017](https://arxiv.org/abs/1706.02515) |
//! | `tanh` | tanh(x) | 1 - y^2 | |
//! | `sigmoid` | 1 / (1 + exp(-x)) | y (1 - y) | |
//! | `softplus` | log(1 + exp(x)) | 1 - exp(-y) | Dugas et al., *Incorporating second-order functional knowledge*, 2001 |
//! | `silu` | x S(x), S the sigmoid | S(x) (1 + x (1 - S(x))) | Ramachandran, Zoph and Le, [2017](https://arxiv.org/abs/1710.05941) |
//! | `gelu` | x P(x), P the normal distribution function | P(x) + x P'(x) | Hendrycks and Gimpel, [2016](https://arxiv.org/abs/1606.08415) |
//! | `gelu`, approximate | x S(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3) | S(2 u) + x S'(2 u) 2 u' | the same; S(2 u) = (1 + tanh(u)) / 2 |
//!
//! A backward pass keeps one value of the forward pass, the [`Residual`]. Where the derivative follows from y, that is
//! y, which the next layer keeps as its input anyway: then x needs no memory, and the kernel that computes x applies
//! the function before it stores. `silu` and `gelu` take the same value at two places, so their derivative does not
//! follow from y; they keep x.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::float::Float;

/// The scale of SELU, l.
pub const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// The product of SELU's scale and its alpha, l a.
pub const SELU_SCALE_ALPHA: f64 = 1.758_099_340_847_376_9;
/// The factor of u in the approximate GELU: sqrt(2 / pi).
pub const GELU_SCALE: f64 = 0.797_884_560_802_865_4;
/// The factor of the cube in the approximate GELU.
pub const GELU_CUBIC: f64 = 0.044_715;

/// An activation function: Keras's argument `activation`, and its layer
/// [`Activation`](https://keras.io/api/layers/core_layers/activation/).
///
/// ```
/// use glassbox_engine::activations::Activation;
///
/// assert_eq!(Activation::Tanh.apply(0.5f64), 0.5f64.tanh());
/// assert_eq!("leaky_relu".parse::<Activation>()?, Activation::LeakyRelu { negative_slope: 0.2 });
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Activation {
    /// The identity.
    #[default]
    Linear,
    /// `max(x, 0)`, with gradient 0 at 0 as in Keras.
    Relu,
    /// `x` where x >= 0, else `negative_slope x`.
    LeakyRelu {
        /// Not negative; rounded to `f32` in every precision, as in Keras on TensorFlow. `leaky_relu` has 0.2.
        negative_slope: f64,
    },
    /// `x` where x >= 0, else `alpha (exp(x) - 1)`.
    Elu {
        /// Not negative. `elu` has 1.
        alpha: f64,
    },
    /// ELU with the scale and the alpha that keep mean 0 and variance 1 from layer to layer.
    Selu,
    /// `tanh(x)`.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `log(1 + exp(x))`.
    Softplus,
    /// `x sigmoid(x)`, also called swish.
    Silu,
    /// `x P(x)` with the normal distribution function P.
    Gelu {
        /// If true, P is approximated by a sigmoid. `gelu` is exact.
        approximate: bool,
    },
}

/// The value of the forward pass that a derivative is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residual {
    /// The sign of the output.
    Sign,
    /// The output.
    Output,
    /// The input.
    Input,
}

impl Activation {
    /// All functions by name, with Keras's default arguments.
    pub const ALL: [Self; 10] = [
        Self::Linear,
        Self::Relu,
        Self::LeakyRelu { negative_slope: 0.2 },
        Self::Elu { alpha: 1.0 },
        Self::Selu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Softplus,
        Self::Silu,
        Self::Gelu { approximate: false },
    ];

    /// Keras's name of the function, whatever its arguments.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Elu { .. } => "elu",
            Self::Selu => "selu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Softplus => "softplus",
            Self::Silu => "silu",
            Self::Gelu { .. } => "gelu",
        }
    }

    /// The value of the forward pass that [`Activation::gradient`] takes.
    #[must_use]
    pub fn residual(self) -> Residual {
        match self {
            Self::Linear | Self::Relu | Self::LeakyRelu { .. } => Residual::Sign,
            Self::Elu { .. } | Self::Selu | Self::Tanh | Self::Sigmoid | Self::Softplus => Residual::Output,
            Self::Silu | Self::Gelu { .. } => Residual::Input,
        }
    }

    /// Computes `y`. NaN gives NaN.
    pub fn apply<F: Float>(self, x: F) -> F {
        // NaN must not become 0, which would hide it.
        self.piece(x, x >= F::zero() || x.is_nan())
    }

    /// Computes `dy y'` from the [`Residual`] `at`.
    pub fn gradient<F: Float>(self, at: F, dy: F) -> F {
        let one = F::one();
        match self {
            Self::Linear => dy,
            Self::Relu if self.is_upper(at) => dy,
            Self::Relu => F::zero(),
            Self::LeakyRelu { .. } => self.piece(dy, self.is_upper(at)),
            Self::Elu { .. } if self.is_upper(at) => dy,
            Self::Elu { alpha } => dy * (at + F::of(alpha)),
            Self::Selu if self.is_upper(at) => dy * F::of(SELU_SCALE),
            Self::Selu => dy * (at + F::of(SELU_SCALE_ALPHA)),
            Self::Tanh => dy * (one - at * at),
            Self::Sigmoid => dy * (at * (one - at)),
            Self::Softplus => dy * -(-at).exp_m1(),
            Self::Silu => {
                let s = sigmoid(at);
                dy * (s * (one + at * (one - s)))
            }
            Self::Gelu { approximate: false } => {
                let density = (at * at * F::of(-0.5)).exp() * F::of(0.5 * GELU_SCALE);
                dy * (normal(at) + at * density)
            }
            Self::Gelu { approximate: true } => {
                let s = sigmoid(twice_u(at));
                let slope = F::of(2.0 * GELU_SCALE) * (one + F::of(3.0 * GELU_CUBIC) * (at * at));
                dy * (s + at * (s * (one - s)) * slope)
            }
        }
    }

    /// Computes one side of a function with a kink at 0: the upper one is that of x >= 0. Both sides are smooth
    /// everywhere. A function without a kink has one side.
    pub(crate) fn piece<F: Float>(self, x: F, upper: bool) -> F {
        match self {
            Self::Linear => x,
            Self::Relu | Self::LeakyRelu { .. } | Self::Elu { .. } if upper => x,
            Self::Relu => F::zero(),
            Self::LeakyRelu { negative_slope } => x * F::of(f64::from(negative_slope as f32)),
            Self::Elu { alpha } => F::of(alpha) * x.exp_m1(),
            Self::Selu if upper => F::of(SELU_SCALE) * x,
            Self::Selu => F::of(SELU_SCALE_ALPHA) * x.exp_m1(),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => sigmoid(x),
            Self::Softplus => x.max(F::zero()) + (-x.abs()).exp().ln_1p(),
            Self::Silu => x * sigmoid(x),
            Self::Gelu { approximate: false } => x * normal(x),
            Self::Gelu { approximate: true } => x * sigmoid(twice_u(x)),
        }
    }

    /// Returns true if the derivative jumps, or bends sharply, at 0.
    pub(crate) fn has_kink(self) -> bool {
        matches!(self, Self::Relu | Self::LeakyRelu { .. } | Self::Elu { .. } | Self::Selu)
    }

    /// Returns true if the derivative at output `y` is that of the upper side. At 0 it is Keras's.
    pub(crate) fn is_upper<F: Float>(self, y: F) -> bool {
        match self {
            Self::Selu => y >= F::zero(),
            _ => y > F::zero(),
        }
    }

    /// Checks the arguments.
    ///
    /// # Errors
    /// If one is negative or not finite.
    pub(crate) fn validate(self, layer: &str) -> Result<()> {
        let (argument, value) = match self {
            Self::LeakyRelu { negative_slope } => ("negative_slope", negative_slope),
            Self::Elu { alpha } => ("alpha", alpha),
            _ => return Ok(()),
        };
        match (0.0..=f64::from(f32::MAX)).contains(&value) {
            true => Ok(()),
            false => Err(Error::Argument {
                layer: layer.into(),
                argument: argument.into(),
                found: value.to_string(),
                expected: "a number in the range of f32, not negative".into(),
            }),
        }
    }

    /// The function in Keras's JSON: its name or, with arguments that the name does not stand for, an object.
    pub(crate) fn to_json(self) -> Json {
        let layer = |class: &str, name: &str, argument: &str, value: f64| {
            json!({
                "module": "keras.layers",
                "class_name": class,
                "config": {
                    "name": name,
                    "trainable": true,
                    "dtype": {
                        "module": "keras",
                        "class_name": "DTypePolicy",
                        "config": {"name": "float32"},
                        "registered_name": null,
                    },
                    argument: value,
                },
                "registered_name": null,
            })
        };
        match self {
            _ if Self::ALL.contains(&self) => self.name().into(),
            Self::LeakyRelu { negative_slope } => {
                layer("LeakyReLU", "leaky_re_lu", "negative_slope", negative_slope)
            }
            Self::Elu { alpha } => layer("ELU", "elu", "alpha", alpha),
            // Keras has no layer for it, but an operation.
            _ => json!({
                "module": "keras.src.ops.nn",
                "class_name": "Gelu",
                "config": {"name": "gelu", "approximate": true},
                "registered_name": "Gelu",
            }),
        }
    }
}

/// Shows the name, and arguments that are not Keras's default: `leaky_relu(0.3)`.
impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            _ if Self::ALL.contains(self) => Ok(()),
            Self::LeakyRelu { negative_slope: argument } | Self::Elu { alpha: argument } => {
                write!(f, "({argument})")
            }
            _ => f.write_str("(approximate)"),
        }
    }
}

impl FromStr for Activation {
    type Err = Error;

    /// Finds a function by Keras's name; it has Keras's default arguments.
    fn from_str(name: &str) -> Result<Self> {
        // Keras's other name of the same function.
        let name = if name == "swish" { "silu" } else { name };
        Self::ALL.into_iter().find(|activation| activation.name() == name).ok_or_else(|| Error::Option {
            option: "activation",
            found: format!("{name:?}"),
            expected: Self::ALL.map(Self::name).join(", "),
        })
    }
}

fn sigmoid<F: Float>(x: F) -> F {
    F::one() / (F::one() + (-x).exp())
}

/// The distribution function of the normal distribution.
fn normal<F: Float>(x: F) -> F {
    F::of(0.5) * (x * F::of(-std::f64::consts::FRAC_1_SQRT_2)).erfc()
}

/// `2 u` of the approximate GELU.
fn twice_u<F: Float>(x: F) -> F {
    F::of(2.0 * GELU_SCALE) * (x + F::of(GELU_CUBIC) * (x * x * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All functions, with other arguments too.
    fn all() -> impl Iterator<Item = Activation> {
        let others = [
            Activation::LeakyRelu { negative_slope: 0.0 },
            Activation::LeakyRelu { negative_slope: 1.5 },
            Activation::Elu { alpha: 0.0 },
            Activation::Elu { alpha: 0.25 },
            Activation::Gelu { approximate: true },
        ];
        Activation::ALL.into_iter().chain(others)
    }

    /// The gradient at x by backpropagation, from the residual that the function keeps.
    fn gradient(activation: Activation, x: f64) -> f64 {
        let kept = match activation.residual() {
            Residual::Sign | Residual::Output => activation.apply(x),
            Residual::Input => x,
        };
        activation.gradient(kept, 1.0)
    }

    #[test]
    fn gradients_are_derivatives() {
        for activation in all() {
            // No multiple of the step: the kink is never within a difference.
            for x in (-800..=800).map(|i| f64::from(i) * 0.01 + 0.003) {
                let slope = |h: f64| (activation.apply(x + h) - activation.apply(x - h)) / (2.0 * h);
                let difference = (4.0 * slope(5e-4) - slope(1e-3)) / 3.0;
                let found = gradient(activation, x);
                assert!((found - difference).abs() < 1e-10, "{activation}({x}): {found}, {difference}");
            }
        }
    }

    #[test]
    fn laws_hold() {
        use Activation::{Elu, Gelu, Relu, Selu, Sigmoid, Silu, Softplus, Tanh};
        let close = |a: f64, b: f64| assert!((a - b).abs() <= 4e-15 * (1.0 + a.abs()), "{a} is not {b}");
        for x in (-300..=300).map(|i| f64::from(i) * 0.07) {
            close(Tanh.apply(-x), -Tanh.apply(x));
            close(Sigmoid.apply(x) + Sigmoid.apply(-x), 1.0);
            close(Tanh.apply(x), 2.0 * Sigmoid.apply(2.0 * x) - 1.0);
            close(Softplus.apply(x) - Softplus.apply(-x), x);
            close(Silu.apply(x) - Silu.apply(-x), x * (Sigmoid.apply(x) + Sigmoid.apply(-x)));
            for approximate in [false, true] {
                close(Gelu { approximate }.apply(x) - Gelu { approximate }.apply(-x), x);
            }
            close(Elu { alpha: 0.0 }.apply(x), Relu.apply(x));
            close(Selu.apply(x), SELU_SCALE * Elu { alpha: SELU_SCALE_ALPHA / SELU_SCALE }.apply(x));
        }
    }

    #[test]
    fn nan_stays_nan_and_the_ends_are_limits() {
        for activation in all() {
            assert!(activation.apply(f64::NAN).is_nan(), "{activation}");
            assert_eq!(
                activation.apply(f64::INFINITY),
                match activation {
                    Activation::Tanh | Activation::Sigmoid => 1.0,
                    _ => f64::INFINITY,
                }
            );
        }
        assert_eq!(Activation::Elu { alpha: 0.5 }.apply(f64::NEG_INFINITY), -0.5);
        assert_eq!(Activation::Selu.apply(f64::NEG_INFINITY), -SELU_SCALE_ALPHA);
        assert_eq!(Activation::Softplus.apply(f64::NEG_INFINITY), 0.0);
        assert_eq!(Activation::Tanh.apply(f64::NEG_INFINITY), -1.0);
        assert_eq!(Activation::Sigmoid.apply(f64::NEG_INFINITY), 0.0);
    }

    #[test]
    fn names_are_read_and_shown() {
        for activation in Activation::ALL {
            assert_eq!(activation.to_string().parse::<Activation>().unwrap(), activation);
        }
        assert_eq!("swish".parse::<Activation>().unwrap(), Activation::Silu);
        assert_eq!(Activation::LeakyRelu { negative_slope: 0.3 }.to_string(), "leaky_relu(0.3)");
        assert_eq!(Activation::Gelu { approximate: true }.to_string(), "gelu(approximate)");
        let error = "Tanh".parse::<Activation>().unwrap_err().to_string();
        assert!(error.contains("tanh"), "{error}");
    }
}
