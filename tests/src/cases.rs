//! Made-up models and data.
//!
//! Sizes run across the boundaries at which fast kernels change their path: vectors of 4, 8 and 16 values,
//! tiles of their multiples, and one more and one less than these.

use std::sync::Arc;

use glassbox_engine::Float;
use glassbox_engine::geometry::{Geometry, Padding};
use glassbox_engine::index_map::IndexMap;
use glassbox_engine::initializers::Initializer;
use glassbox_engine::layers::{
    Activation, AveragePooling1D, Conv1D, Conv1DTranspose, Cropping1D, Dense, Dropout, ELU, Flatten, Layer,
    LayerNormalization, LeakyReLU, MaxPooling1D, ReLU, RepeatVector, Reshape, SpatialDropout1D,
    TimeDistributed, UpSampling1D, WeightSpec, ZeroPadding1D,
};
use glassbox_engine::model::{Network, Sequential, WeightLayout};
use glassbox_engine::optimizers::{
    Adam, AdamW, Clipping, CosineDecay, ExponentialDecay, Optimizer, RMSprop, SGD,
};
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
    let adam =
        Adam { learning_rate: 0.003.into(), beta_1: 0.85, beta_2: 0.995, epsilon: 1e-6, ..Adam::default() };
    let rmsprop = RMSprop { rho: 0.8, epsilon: 1e-4, ..RMSprop::new(0.003) };
    vec![
        adam.into(),
        Adam { amsgrad: true, ..adam }.into(),
        AdamW::new(0.003).into(),
        rmsprop.into(),
        RMSprop { momentum: 0.5, ..rmsprop }.into(),
        RMSprop { centered: true, ..rmsprop }.into(),
        RMSprop { centered: true, momentum: 0.5, ..rmsprop }.into(),
        sgd.into(),
        sgd.momentum(0.9).into(),
        Optimizer::from(sgd.momentum(0.8).nesterov()).weight_decay(0.1),
        // Both change within an epoch.
        SGD::new(ExponentialDecay::new(1e-4, 2, 0.9)).momentum(0.5).into(),
        Optimizer::from(Adam::new(CosineDecay::new(0.003, 20))).weight_decay(0.1),
        // Limits that some gradients of random models exceed.
        Optimizer::from(adam).clip(Clipping::Value(0.1)),
        Optimizer::from(rmsprop).clip(Clipping::Norm(0.5)).weight_decay(0.1),
        Optimizer::from(SGD::new(0.1)).clip(Clipping::GlobalNorm(0.5)),
    ]
}

/// A layout of vectors of these lengths.
#[must_use]
pub fn flat_layout(lengths: &[usize]) -> WeightLayout {
    let mut layout = WeightLayout::default();
    for len in lengths {
        layout.push(WeightSpec::new("w", vec![*len], Initializer::Zeros));
    }
    layout
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
pub fn weights<F: Float>(model: &Network, seed: u64) -> Vec<F> {
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
    Dense(Dense),
    /// Of a dense layer.
    TimeDistributed(Dense),
    RepeatVector(RepeatVector),
    Flatten,
    Reshape(Reshape),
    UpSampling1D(UpSampling1D),
    ZeroPadding1D(ZeroPadding1D),
    Cropping1D(Cropping1D),
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
            Self::Dense(layer) => Arc::new(layer.clone()),
            Self::TimeDistributed(layer) => Arc::new(TimeDistributed::new(layer.clone())),
            Self::RepeatVector(layer) => Arc::new(*layer),
            Self::Flatten => Arc::new(Flatten),
            Self::Reshape(layer) => Arc::new(layer.clone()),
            Self::UpSampling1D(layer) => Arc::new(*layer),
            Self::ZeroPadding1D(layer) => Arc::new(*layer),
            Self::Cropping1D(layer) => Arc::new(*layer),
            Self::MaxPooling1D(layer) => Arc::new(layer.clone()),
            Self::AveragePooling1D(layer) => Arc::new(layer.clone()),
            Self::SpatialDropout1D(layer) => Arc::new(layer.clone()),
            Self::LayerNormalization(layer) => Arc::new(layer.clone()),
        }
    }

    /// This layer, made to fit an input: a kernel or a window that is too long is padded, a stride that would make too
    /// long an output is taken away, and steps are added or taken away for a layer that asks for a signal of the other
    /// rank.
    fn fitted(self, input: Shape, longest: usize) -> Self {
        let most = longest.max(input.channels);
        let fits = |layer: &Self| {
            let output = layer.layer().output_shape(&[input]);
            output.is_ok_and(|output| output.steps <= longest && output.channels <= most)
        };
        let padded = match self {
            fitting if fits(&fitting) => return fitting,
            Self::Conv1D(layer) => Self::Conv1D(layer.padding(Padding::Same)),
            Self::MaxPooling1D(layer) => Self::MaxPooling1D(layer.padding(Padding::Same)),
            Self::AveragePooling1D(layer) => Self::AveragePooling1D(layer.padding(Padding::Same)),
            Self::Conv1DTranspose(layer) => Self::Conv1DTranspose(layer.strides(1).padding(Padding::Same)),
            Self::Reshape(_) => Self::Reshape(Reshape { target_shape: vec![None, Some(input.channels)] }),
            _ => Self::UpSampling1D(UpSampling1D::new(1)),
        };
        match input.rank() {
            _ if fits(&padded) => padded,
            1 => Self::RepeatVector(RepeatVector::new(3)),
            _ => Self::ReLU,
        }
    }

    /// The same layer with an activation that `other` makes of its own.
    fn with_activation(self, other: impl Fn(Activation) -> Activation) -> Self {
        match self {
            Self::Conv1D(layer) => Self::Conv1D(layer.clone().activation(other(layer.activation))),
            Self::Conv1DTranspose(layer) => {
                Self::Conv1DTranspose(layer.clone().activation(other(layer.activation)))
            }
            Self::Dense(layer) => Self::Dense(layer.clone().activation(other(layer.activation))),
            Self::TimeDistributed(layer) => {
                Self::TimeDistributed(layer.clone().activation(other(layer.activation)))
            }
            Self::Activation(activation) => Self::Activation(other(activation)),
            without => without,
        }
    }

    /// The activation that is an argument of this layer.
    #[must_use]
    pub fn activation(&self) -> Option<Activation> {
        match self {
            Self::Conv1D(layer) => Some(layer.activation),
            Self::Conv1DTranspose(layer) => Some(layer.activation),
            Self::Dense(layer) | Self::TimeDistributed(layer) => Some(layer.activation),
            _ => None,
        }
    }
}

impl ModelCase {
    /// The model.
    ///
    /// # Panics
    /// If the engine refuses it.
    #[must_use]
    pub fn build(&self) -> Network {
        let mut model = Sequential::new(self.input);
        for (index, layer) in self.layers.iter().enumerate() {
            model.add_named(format!("layer_{index}"), layer.layer()).expect("a layer that fits");
        }
        model.into()
    }

    /// The same model with [`straight`] activations, the place of normalisations among them, and means in the place of
    /// maxima: all steps of a window count.
    #[must_use]
    pub fn straightened(self) -> Self {
        let layers = self.layers.into_iter().map(|layer| match layer {
            LayerCase::LeakyReLU(_) | LayerCase::ELU(_) | LayerCase::LayerNormalization(_) => LayerCase::ReLU,
            LayerCase::MaxPooling1D(MaxPooling1D { pool_size, strides, padding })
            | LayerCase::AveragePooling1D(AveragePooling1D { pool_size, strides, padding }) => {
                LayerCase::AveragePooling1D(AveragePooling1D { pool_size, strides, padding })
            }
            layer => layer.with_activation(straight),
        });
        Self { layers: layers.collect(), ..self }
    }

    /// The same model with each activation as a layer of its own: the same weights in the same order, and
    /// what goes into an activation is the output of a layer.
    #[must_use]
    pub fn with_activations_apart(&self) -> Self {
        let layers = self.layers.iter().flat_map(|layer| match layer.activation() {
            Some(activation) => {
                let linear = layer.clone().with_activation(|_| Activation::Linear);
                vec![linear, LayerCase::Activation(activation)]
            }
            None => vec![layer.clone()],
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
    (0..=sizes.steps, select(sizes.channels), layers, any::<u64>()).prop_map(
        move |(steps, channels, layers, seed)| {
            // No steps: rank 1.
            let input = if steps == 0 { Shape::units(channels) } else { Shape::new(steps, channels) };
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
        2 => dense(sizes).prop_map(LayerCase::Dense),
        2 => dense(sizes).prop_map(LayerCase::TimeDistributed),
        3 => rearranged(sizes),
        2 => poolings(),
        1 => normalizations(),
        1 => rates().prop_map(|rate| LayerCase::SpatialDropout1D(SpatialDropout1D::new(rate))),
    ]
}

/// Layers that rearrange. A rank, a length or a number of elements that does not fit is changed later.
fn rearranged(sizes: Sizes) -> impl Strategy<Value = LayerCase> {
    let ends = || (0usize..=3, 0usize..=3);
    prop_oneof![
        2 => (1usize..=5).prop_map(|n| LayerCase::RepeatVector(RepeatVector::new(n))),
        2 => Just(LayerCase::Flatten),
        1 => select(sizes.channels)
            .prop_map(|channels| LayerCase::Reshape(Reshape { target_shape: vec![None, Some(channels)] })),
        1 => (1usize..=4).prop_map(|size| LayerCase::UpSampling1D(UpSampling1D::new(size))),
        1 => ends().prop_map(|(left, right)| LayerCase::ZeroPadding1D(ZeroPadding1D::new(left, right))),
        1 => ends().prop_map(|(left, right)| LayerCase::Cropping1D(Cropping1D::new(left, right))),
    ]
}

/// Dense layers.
pub fn dense(sizes: Sizes) -> impl Strategy<Value = Dense> {
    (select(sizes.channels), activations(), any::<bool>())
        .prop_map(|(units, activation, use_bias)| Dense::new(units).activation(activation).use_bias(use_bias))
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

/// Index maps of every kind, of one to three inputs.
pub fn index_maps(sizes: Sizes) -> impl Strategy<Value = IndexMap> {
    let shape = (1..=sizes.steps, select(sizes.channels));
    let others = proptest::collection::vec((1..=sizes.steps, select(sizes.channels)), 0..=2);
    (shape, others, 0usize..=4, 1usize..=4, 0..7).prop_map(|((steps, channels), others, a, b, kind)| {
        let input = Shape::new(steps, channels);
        let inputs = |of: fn(Shape, (usize, usize)) -> Shape| {
            let others = others.iter().map(|other| of(input, *other));
            [input].into_iter().chain(others).collect::<Vec<Shape>>()
        };
        match kind {
            0 => IndexMap::reshaped(input, Shape::new(channels, steps)),
            1 => IndexMap::repeated(input, b),
            2 => IndexMap::padded(input, a, b),
            3 => {
                let (first, left) = (a % steps, b % channels);
                IndexMap::part(input, first..(first + b).min(steps), left..(left + a + 1).min(channels))
            }
            4 => IndexMap::reversed(input),
            5 => IndexMap::joined_steps(&inputs(|input, (steps, _)| Shape::new(steps, input.channels))),
            _ => IndexMap::joined_channels(&inputs(|input, (_, channels)| Shape::new(input.steps, channels))),
        }
    })
}
