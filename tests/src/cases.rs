//! Made-up models and data.
//!
//! Sizes run across the boundaries at which fast kernels change their path: vectors of 4, 8 and 16 values,
//! tiles of their multiples, and one more and one less than these.

use std::sync::Arc;

use glassbox_engine::Float;
use glassbox_engine::geometry::{Geometry, Padding};
use glassbox_engine::layers::{
    Activation, AveragePooling1D, Conv1D, Conv1DTranspose, Dropout, ELU, Layer, LayerNormalization,
    LeakyReLU, MaxPooling1D, ReLU, SpatialDropout1D,
};
use glassbox_engine::model::Sequential;
use glassbox_engine::optimizers::{Adam, Optimizer, SGD};
use glassbox_engine::random::{Draws, Purpose, Stream};
use glassbox_engine::shape::Shape;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

/// How many cases a property is tried on, and which. With `PROPTEST_CASES=256`, as in CI, they are as many as `number`;
/// another value scales that. Without it a quarter is tried. `PROPTEST_RNG_SEED` gives other cases.
#[must_use]
pub fn cases(number: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases /= 4;
    }
    config.cases = (u64::from(number) * u64::from(config.cases)).div_ceil(256) as u32;
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(20_140_411);
    }
    // A case is printed when it fails, and the seed is fixed: there is nothing to remember in files.
    config.failure_persistence = None;
    config
}

/// Random numbers that belong to a seed.
#[must_use]
pub fn draws(seed: u64) -> Draws {
    Stream::new(seed, Purpose::Check, 7, 0).draws()
}

/// Every optimiser, with each of its options. The learning rate of gradient descent is small, since its steps are as
/// large as the gradients, and random models have large ones.
#[must_use]
pub fn optimizers() -> Vec<Optimizer> {
    let sgd = SGD::new(1e-5);
    let adam = Adam { learning_rate: 0.003, beta_1: 0.85, beta_2: 0.995, epsilon: 1e-6 };
    vec![adam.into(), sgd.into(), sgd.momentum(0.9).into(), sgd.momentum(0.8).nesterov().into()]
}

/// `n` standard normal values that are the same in `f32` and `f64`.
#[must_use]
pub fn normals<F: Float>(seed: u64, n: usize) -> Vec<F> {
    let mut draws = draws(seed);
    (0..n).map(|_| F::of(f64::from(draws.normal() as f32))).collect()
}

/// `n` whole numbers from -3 to 3: sums of their products are exact in any order.
#[must_use]
pub fn integers(seed: u64, n: usize) -> Vec<f64> {
    let mut draws = draws(seed);
    (0..n).map(|_| draws.below(7) as f64 - 3.0).collect()
}

/// The weights of a model as they start, with biases that are not zero; the same in `f32` and `f64`.
#[must_use]
pub fn weights<F: Float>(model: &Sequential, seed: u64) -> Vec<F> {
    let mut weights: Vec<f32> = model.layout().initial(seed);
    for (weight, shift) in weights.iter_mut().zip(normals::<f32>(seed ^ 0xB1A5, model.layout().len())) {
        *weight += 0.1 * shift;
    }
    weights.into_iter().map(|w| F::of(w.into())).collect()
}

/// How large the models of a test are.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Steps of the input, at most.
    pub steps: usize,
    /// Steps of any signal, at most.
    pub longest: usize,
    /// Channels to choose from.
    pub channels: &'static [usize],
    /// Layers, at most.
    pub layers: usize,
}

/// For checks that run a model many times.
pub const SMALL: Sizes = Sizes { steps: 9, longest: 16, channels: &[1, 2, 3], layers: 4 };

/// Across the boundaries of vectors and tiles.
pub const BOUNDARIES: Sizes = Sizes {
    steps: 40,
    longest: 80,
    channels: &[1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33],
    layers: 4,
};

/// A model as plain data, that prints itself when a test fails.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCase {
    /// The shape of a sample.
    pub input: Shape,
    /// The layers.
    pub layers: Vec<LayerCase>,
    /// Decides weights, samples and masks.
    pub seed: u64,
}

/// A layer as plain data.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // named as the engine's layers
pub enum LayerCase {
    Conv1D(Conv1D),
    Conv1DTranspose(Conv1DTranspose),
    Dropout(Dropout),
    ReLU,
    LeakyReLU(LeakyReLU),
    ELU(ELU),
    Activation(Activation),
    MaxPooling1D(MaxPooling1D),
    AveragePooling1D(AveragePooling1D),
    SpatialDropout1D(SpatialDropout1D),
    LayerNormalization(LayerNormalization),
}

impl LayerCase {
    /// The layer.
    #[must_use]
    pub fn layer(&self) -> Arc<dyn Layer> {
        match self {
            Self::Conv1D(layer) => Arc::new(layer.clone()),
            Self::Conv1DTranspose(layer) => Arc::new(layer.clone()),
            Self::Dropout(layer) => Arc::new(layer.clone()),
            Self::ReLU => Arc::new(ReLU),
            Self::LeakyReLU(layer) => Arc::new(*layer),
            Self::ELU(layer) => Arc::new(*layer),
            Self::Activation(layer) => Arc::new(*layer),
            Self::MaxPooling1D(layer) => Arc::new(layer.clone()),
            Self::AveragePooling1D(layer) => Arc::new(layer.clone()),
            Self::SpatialDropout1D(layer) => Arc::new(layer.clone()),
            Self::LayerNormalization(layer) => Arc::new(layer.clone()),
        }
    }

    /// This layer, made to fit an input: a kernel or a window that is too long is padded, and a stride that would make
    /// too long an output is taken away.
    fn fitted(self, input: Shape, longest: usize) -> Self {
        let fits = self.layer().output_shape(&[input]).is_ok_and(|output| output.steps <= longest);
        match self {
            fitting if fits => fitting,
            Self::Conv1D(layer) => Self::Conv1D(layer.padding(Padding::Same)),
            Self::MaxPooling1D(layer) => Self::MaxPooling1D(layer.padding(Padding::Same)),
            Self::AveragePooling1D(layer) => Self::AveragePooling1D(layer.padding(Padding::Same)),
            Self::Conv1DTranspose(layer) => Self::Conv1DTranspose(layer.strides(1).padding(Padding::Same)),
            other => other,
        }
    }
}

impl ModelCase {
    /// The model.
    ///
    /// # Panics
    /// If the engine refuses it.
    #[must_use]
    pub fn build(&self) -> Sequential {
        let mut model = Sequential::new(self.input);
        for (index, layer) in self.layers.iter().enumerate() {
            model.add_named(format!("layer_{index}"), layer.layer()).expect("a layer that fits");
        }
        model
    }

    /// The same model with [`straight`] activations, the place of normalisations among them, and means in the place of
    /// maxima: all steps of a window count.
    #[must_use]
    pub fn straightened(self) -> Self {
        let layers = self.layers.into_iter().map(|layer| match layer {
            LayerCase::Conv1D(layer) => {
                LayerCase::Conv1D(layer.clone().activation(straight(layer.activation)))
            }
            LayerCase::Conv1DTranspose(layer) => {
                LayerCase::Conv1DTranspose(layer.clone().activation(straight(layer.activation)))
            }
            LayerCase::Dropout(_) | LayerCase::SpatialDropout1D(_) => layer,
            LayerCase::Activation(activation) => LayerCase::Activation(straight(activation)),
            LayerCase::MaxPooling1D(MaxPooling1D { pool_size, strides, padding })
            | LayerCase::AveragePooling1D(AveragePooling1D { pool_size, strides, padding }) => {
                LayerCase::AveragePooling1D(AveragePooling1D { pool_size, strides, padding })
            }
            LayerCase::ReLU
            | LayerCase::LeakyReLU(_)
            | LayerCase::ELU(_)
            | LayerCase::LayerNormalization(_) => LayerCase::ReLU,
        });
        Self { layers: layers.collect(), ..self }
    }

    /// The same model with each activation as a layer of its own: the same weights in the same order, and
    /// what goes into an activation is the output of a layer.
    #[must_use]
    pub fn with_activations_apart(&self) -> Self {
        let layers = self.layers.iter().flat_map(|layer| match layer {
            LayerCase::Conv1D(layer) => {
                let linear = layer.clone().activation(Activation::Linear);
                vec![LayerCase::Conv1D(linear), LayerCase::Activation(layer.activation)]
            }
            LayerCase::Conv1DTranspose(layer) => {
                let linear = layer.clone().activation(Activation::Linear);
                vec![LayerCase::Conv1DTranspose(linear), LayerCase::Activation(layer.activation)]
            }
            other => vec![other.clone()],
        });
        Self { layers: layers.collect(), ..self.clone() }
    }
}

/// ReLU in the place of every activation that is not linear: whole numbers stay whole, and nothing saturates.
#[must_use]
pub fn straight(activation: Activation) -> Activation {
    if activation == Activation::Linear { activation } else { Activation::Relu }
}

/// Models of random layers.
pub fn models(sizes: Sizes) -> impl Strategy<Value = ModelCase> {
    let layers = proptest::collection::vec(layers(sizes), 1..=sizes.layers);
    (1..=sizes.steps, select(sizes.channels), layers, any::<u64>()).prop_map(
        move |(steps, channels, layers, seed)| {
            let input = Shape::new(steps, channels);
            let mut shape = input;
            let mut fitted = vec![];
            for layer in layers {
                let layer = layer.fitted(shape, sizes.longest);
                shape = layer.layer().output_shape(&[shape]).expect("a layer made to fit");
                fitted.push(layer);
            }
            ModelCase { input, layers: fitted, seed }
        },
    )
}

fn layers(sizes: Sizes) -> impl Strategy<Value = LayerCase> {
    prop_oneof![
        4 => conv1d(sizes).prop_map(LayerCase::Conv1D),
        4 => conv1d_transpose(sizes).prop_map(LayerCase::Conv1DTranspose),
        2 => rates().prop_map(|rate| LayerCase::Dropout(Dropout::new(rate))),
        1 => Just(LayerCase::ReLU),
        1 => select(&[0.0, 0.3][..]).prop_map(|slope| LayerCase::LeakyReLU(LeakyReLU::new(slope))),
        1 => select(&[0.25, 1.0][..]).prop_map(|alpha| LayerCase::ELU(ELU::new(alpha))),
        1 => activations().prop_map(LayerCase::Activation),
        2 => poolings(),
        1 => normalizations(),
        1 => rates().prop_map(|rate| LayerCase::SpatialDropout1D(SpatialDropout1D::new(rate))),
    ]
}

/// Half of them linear or ReLU, which most models have.
pub fn activations() -> impl Strategy<Value = Activation> {
    let others = [
        Activation::LeakyRelu { negative_slope: 0.0625 },
        Activation::Elu { alpha: 1.5 },
        Activation::Gelu { approximate: true },
    ];
    let all: Vec<Activation> = Activation::ALL.into_iter().chain(others).collect();
    prop_oneof![1 => Just(Activation::Linear), 1 => Just(Activation::Relu), 2 => select(all)]
}

/// Convolutions: every padding, strides 1 to 4 or dilations 1 to 3, kernels of 1 to 9 taps.
pub fn conv1d(sizes: Sizes) -> impl Strategy<Value = Conv1D> {
    let stretch = prop_oneof![(1usize..=4, Just(1)), (Just(1), 1usize..=3)];
    let padding = select(&[Padding::Valid, Padding::Same, Padding::Causal][..]);
    (select(sizes.channels), 1usize..=9, stretch, padding, activations(), any::<bool>()).prop_map(
        |(filters, taps, (strides, dilation), padding, activation, use_bias)| {
            Conv1D::new(filters, taps)
                .strides(strides)
                .dilation_rate(dilation)
                .padding(padding)
                .activation(activation)
                .use_bias(use_bias)
        },
    )
}

/// Transposed convolutions: both paddings, strides 1 to 4, kernels of 1 to 9 taps, shorter than the stride
/// among them.
pub fn conv1d_transpose(sizes: Sizes) -> impl Strategy<Value = Conv1DTranspose> {
    let padding = select(&[Padding::Valid, Padding::Same][..]);
    (select(sizes.channels), 1usize..=9, 1usize..=4, padding, activations(), any::<bool>()).prop_map(
        |(filters, taps, strides, padding, activation, use_bias)| {
            Conv1DTranspose::new(filters, taps)
                .strides(strides)
                .padding(padding)
                .activation(activation)
                .use_bias(use_bias)
        },
    )
}

/// Rates of dropout.
fn rates() -> impl Strategy<Value = f64> {
    select(&[0.0, 0.2, 0.5, 0.75][..])
}

/// Normalisations whose epsilon is large, because rounding may be enlarged by one over its root.
fn normalizations() -> impl Strategy<Value = LayerCase> {
    (select(&[0.125, 1.0][..]), any::<bool>(), any::<bool>()).prop_map(|(epsilon, center, scale)| {
        LayerCase::LayerNormalization(LayerNormalization { epsilon, center, scale })
    })
}

/// Both poolings, with windows of 1 to 5 steps that overlap, touch or leave gaps.
fn poolings() -> impl Strategy<Value = LayerCase> {
    let padding = select(&[Padding::Valid, Padding::Same][..]);
    (1usize..=5, 1usize..=5, padding, any::<bool>()).prop_map(
        |(pool_size, strides, padding, max)| match max {
            true => LayerCase::MaxPooling1D(MaxPooling1D { pool_size, strides, padding }),
            false => LayerCase::AveragePooling1D(AveragePooling1D { pool_size, strides, padding }),
        },
    )
}

/// The linear maps of both layers.
pub fn geometries(sizes: Sizes) -> impl Strategy<Value = Geometry> {
    let inputs = move || (1..=sizes.steps, select(sizes.channels)).prop_map(|(n, c)| Shape::new(n, c));
    let of_conv1d = (inputs(), conv1d(sizes)).prop_map(|(input, layer)| {
        let padded = layer.clone().padding(Padding::Same);
        layer.geometry(input).unwrap_or_else(|_| padded.geometry(input).expect("padded to fit"))
    });
    let of_transpose = (inputs(), conv1d_transpose(sizes))
        .prop_map(|(input, layer)| layer.geometry(input).expect("any input fits"));
    prop_oneof![of_conv1d, of_transpose]
}
