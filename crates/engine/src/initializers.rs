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
    /// A random matrix with orthonormal rows or columns, whichever are fewer: a product with it keeps lengths (Saxe,
    /// McClelland and Ganguli, [2014](https://arxiv.org/abs/1312.6120)). All axes but the last count as rows.
    Orthogonal,
    /// The bias of an LSTM with `unit_forget_bias`: ones for the forget gate, the second of four equal parts, and zeros.
    UnitForgetBias,
}

impl Initializer {
    /// Keras's class name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GlorotUniform => "GlorotUniform",
            Self::Ones => "Ones",
            Self::Zeros => "Zeros",
            Self::Orthogonal => "Orthogonal",
            Self::UnitForgetBias => "UnitForgetBias",
        }
    }

    /// The initialiser as Keras's JSON has it.
    #[must_use]
    pub fn config(self) -> serde_json::Value {
        let config = match self {
            Self::GlorotUniform => serde_json::json!({"seed": null}),
            Self::Orthogonal => serde_json::json!({"seed": null, "gain": 1.0}),
            Self::Ones | Self::Zeros | Self::UnitForgetBias => serde_json::json!({}),
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
            Self::Orthogonal => {
                let columns = shape.last().copied().unwrap_or(1);
                let rows = tensor.len() / columns;
                let vectors = orthonormal(rows.min(columns), rows.max(columns), stream);
                for (index, value) in tensor.iter_mut().enumerate() {
                    let (row, column) = (index / columns, index % columns);
                    *value = F::of(if rows < columns { vectors[row][column] } else { vectors[column][row] });
                }
            }
            Self::UnitForgetBias => {
                let gate = tensor.len() / 4;
                for (index, value) in tensor.iter_mut().enumerate() {
                    *value = if index / gate == 1 { F::one() } else { F::zero() };
                }
            }
        }
    }
}

/// `count` orthonormal vectors of `len` values: Q of the QR decomposition of a normal matrix, with a positive diagonal
/// of R, by the method of Gram and Schmidt. It is as likely to be any such Q as any other (Mezzadri, *How to generate
/// random matrices from the classical compact groups*, 2007).
fn orthonormal(count: usize, len: usize, stream: Stream) -> Vec<Vec<f64>> {
    let mut draws = stream.draws();
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    for _ in 0..count {
        let mut vector: Vec<f64> = (0..len).map(|_| draws.normal()).collect();
        // Twice, because the first time leaves the roundings of what it has subtracted (Giraud et al., 2005).
        for _ in 0..2 {
            for earlier in &vectors {
                let along = dot(earlier, &vector);
                vector.iter_mut().zip(earlier).for_each(|(v, e)| *v -= along * e);
            }
        }
        let length = dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|v| *v /= length);
        vectors.push(vector);
    }
    vectors
}

/// The product of two vectors, in eight sums side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
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

    /// Q^T Q = I, or Q Q^T = I for more columns than rows, to the rounding of sums of up to 96 products.
    #[test]
    fn orthogonal_rows_or_columns_are_orthonormal() {
        for shape in [vec![32, 128], vec![96, 24], vec![1, 4], vec![7, 7], vec![3, 5, 20], vec![5]] {
            let columns = shape[shape.len() - 1];
            let rows = shape.iter().product::<usize>() / columns;
            let mut q = vec![0f64; rows * columns];
            Initializer::Orthogonal.fill(&mut q, &shape, Stream::new(1, Purpose::Weights, 0, 0));
            let value = |vector: usize, at: usize| {
                if rows < columns { q[vector * columns + at] } else { q[at * columns + vector] }
            };
            let (count, len) = (rows.min(columns), rows.max(columns));
            for a in 0..count {
                for b in 0..count {
                    let product: f64 = (0..len).map(|at| value(a, at) * value(b, at)).sum();
                    let expected = if a == b { 1.0 } else { 0.0 };
                    assert!((product - expected).abs() < 1e-14, "{shape:?}, {a} and {b}: {product}");
                }
            }
            let mean = q.iter().sum::<f64>() / q.len() as f64;
            assert!(q.len() < 100 || mean.abs() < 5.0 / ((len * q.len()) as f64).sqrt(), "{shape:?}: {mean}");
        }
    }

    #[test]
    fn the_forget_gate_starts_open() {
        let mut bias = [f32::NAN; 8];
        Initializer::UnitForgetBias.fill(&mut bias, &[8], Stream::new(1, Purpose::Weights, 0, 0));
        assert_eq!(bias, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
