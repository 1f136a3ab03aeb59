//! Initialisers: the values of weights before training.

use crate::float::Float;
use crate::random::Stream;

/// The rule by which a weight tensor is filled before training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Initializer {
    /// Uniform in [-limit, limit), limit = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio,
    /// *Understanding the difficulty of training deep feedforward neural networks*, 2010).
    ///
    /// As Keras counts them, for a kernel of shape `(taps, a, b)` fan_in is `taps a` and fan_out
    /// `taps b`, whatever the layer calls a and b: their sum is the same for a transposed convolution.
    GlorotUniform,
    /// All ones.
    Ones,
    /// All zeros.
    Zeros,
}

impl Initializer {
    /// Keras's class name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GlorotUniform => "GlorotUniform",
            Self::Ones => "Ones",
            Self::Zeros => "Zeros",
        }
    }

    /// The initialiser as Keras's JSON has it.
    #[must_use]
    pub fn config(self) -> serde_json::Value {
        let config = match self {
            Self::GlorotUniform => serde_json::json!({"seed": null}),
            Self::Ones | Self::Zeros => serde_json::json!({}),
        };
        serde_json::json!({
            "module": "keras.initializers",
            "class_name": self.name(),
            "config": config,
            "registered_name": null,
        })
    }

    /// Fills `tensor` of `shape` from `stream`. The same stream gives the same numbers in `f32` and in `f64`, up to
    /// rounding.
    pub fn fill<F: Float>(self, tensor: &mut [F], shape: &[usize], stream: Stream) {
        match self {
            Self::Ones => tensor.fill(F::one()),
            Self::Zeros => tensor.fill(F::zero()),
            Self::GlorotUniform => {
                let limit = glorot_limit(shape);
                let mut draws = stream.draws();
                tensor.fill_with(|| F::of(draws.uniform_in(-limit, limit)));
            }
        }
    }
}

/// The limit of the Glorot uniform distribution for a tensor. Its last two axes are the connected ones, its other axes
/// the receptive field.
#[must_use]
pub fn glorot_limit(shape: &[usize]) -> f64 {
    let (fan_in, fan_out) = match shape {
        [] => (1, 1),
        [n] => (*n, *n),
        [field @ .., a, b] => {
            let field: usize = field.iter().product();
            (field * a, field * b)
        }
    };
    (6.0 / (fan_in + fan_out).max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn glorot_uniform_fills_its_interval_and_no_more() {
        let shape = [7, 16, 32];
        let mut kernel = vec![0f64; 7 * 16 * 32];
        Initializer::GlorotUniform.fill(&mut kernel, &shape, Stream::new(1, Purpose::Weights, 0, 0));
        let limit = (6.0f64 / (7.0 * 48.0)).sqrt();
        assert!((glorot_limit(&shape) - limit).abs() < 1e-15);
        assert!(kernel.iter().all(|w| w.abs() <= limit));
        let largest = kernel.iter().fold(0.0f64, |a, w| a.max(w.abs()));
        assert!(largest > 0.99 * limit, "3584 draws leave no gap of 1 % at the edge: {largest} of {limit}");
    }
}
