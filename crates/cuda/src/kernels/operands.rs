//! The operands of the kernels: buffers, and the numbers that belong to them.

use bytemuck::Pod;
use glassbox_engine::activations::Activation;
use glassbox_engine::geometry::{Geometry, GeometrySpec};
use glassbox_engine::masks::WORD;
use glassbox_engine::recurrent::{Cell, Kind};

use super::require;
use crate::device::{Arg, Buffer, Gpu, Operand, word};
use crate::error::Result;

/// The words of a run's control block: see `control.cuh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// Samples in the epoch.
    pub samples: usize,
    /// Samples in a batch.
    pub batch: usize,
    /// Training steps before the epoch.
    pub step: u64,
}

impl Control {
    /// The number of words.
    pub const WORDS: usize = 5;

    /// The words at the start of an epoch.
    #[must_use]
    pub fn words(self) -> [u32; Self::WORDS] {
        [0, word(self.samples), word(self.batch), 0, self.step as u32]
    }
}

/// The place that a launch takes its samples from: the control block, and the step's place in a recording.
#[derive(Debug)]
pub struct At {
    /// The control block.
    pub control: Buffer<u32>,
    /// The step's place in the recording.
    pub within: u32,
    /// Samples in a batch, at most: the grid has room for as many.
    pub samples: usize,
}

impl At {
    /// Panics if a buffer has no room for `len` numbers of each sample.
    pub(super) fn require<T: Pod>(&self, buffer: &Buffer<T>, len: usize, what: &str) {
        require(buffer.len() >= self.samples * len, what);
    }
}

impl Operand for At {
    fn push(&self, args: &mut Vec<Arg>) {
        require(self.control.len() >= Control::WORDS, "a control block");
        self.control.push(args);
        self.within.push(args);
    }
}

/// A view of samples on the device.
#[derive(Debug, PartialEq)]
pub struct Series {
    /// The values under the view.
    pub values: Buffer<f32>,
    /// Values between the starts of two neighbouring samples.
    pub hop: usize,
    /// The number of samples.
    pub samples: usize,
}

impl Series {
    /// Panics if the values do not have all samples, of `len` values each.
    pub(crate) fn require(&self, len: usize) {
        let used = self.samples.checked_sub(1).map_or(0, |last| last * self.hop + len);
        require(self.values.len() >= used, "a series that has all samples");
    }
}

impl Operand for Series {
    fn push(&self, args: &mut Vec<Arg>) {
        self.values.push(args);
        self.hop.push(args);
    }
}

/// The places of an epoch's samples, in order; `None` if they come as they are.
pub type Order = Option<Buffer<u32>>;

impl Operand for Order {
    fn push(&self, args: &mut Vec<Arg>) {
        self.as_ref().push(args);
        self.is_some().push(args);
    }
}

/// `struct Geometry` of `geometry.cuh`.
impl Operand for Geometry {
    fn push(&self, args: &mut Vec<Arg>) {
        let GeometrySpec { in_steps, in_channels, out_steps, out_channels, taps, stride, dilation, pad_left } =
            **self;
        [in_steps, in_channels, out_steps, out_channels, taps, stride, dilation, pad_left]
            .map(word)
            .push(args);
    }
}

/// `struct Cell` of `recur.cu`: a cell, and the steps of its recurrence.
impl Operand for (&Cell, usize) {
    fn push(&self, args: &mut Vec<Arg>) {
        let (cell, steps) = *self;
        let kind = match cell.kind {
            Kind::Lstm => 0,
            Kind::Gru { reset_after: true } => 1,
            Kind::Gru { reset_after: false } => 2,
        };
        let [(function, argument), (recurrent, recurrent_argument)] =
            [cell.activation, cell.recurrent_activation].map(activation_code);
        let words = [
            kind,
            word(cell.units),
            word(steps),
            function,
            argument.to_bits(),
            recurrent,
            recurrent_argument.to_bits(),
        ];
        words.push(args);
    }
}

/// For each element of a signal, the elements of another signal that it is the sum of.
#[derive(Debug)]
pub struct Sources {
    /// For each element, the place of its first source among the indices; and, after the last one, their number.
    pub(super) starts: Buffer<u32>,
    /// The sources of all elements, one element after the other.
    pub(super) indices: Buffer<u32>,
    /// A number above each index.
    pub(super) below: usize,
}

impl Sources {
    /// Uploads the sources of `len` elements, from pairs of an element and a source. The sources of an element are summed
    /// in the order of the pairs.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(device: &Gpu, len: usize, pairs: &[(usize, usize)]) -> Result<Self> {
        let mut starts = vec![0; len + 1];
        for (element, _) in pairs {
            starts[element + 1] += 1;
        }
        for element in 0..len {
            starts[element + 1] += starts[element];
        }
        let mut next = starts.clone();
        // A buffer is never empty.
        let mut indices = vec![0; pairs.len().max(1)];
        for (element, source) in pairs {
            indices[next[*element] as usize] = word(*source);
            next[*element] += 1;
        }
        let below = pairs.iter().map(|(_, source)| source + 1).max().unwrap_or(0);
        let (starts, indices) = (Buffer::of(device, &starts)?, Buffer::of(device, &indices)?);
        Ok(Self { starts, indices, below })
    }

    /// The number of elements.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }
}

/// The functions that a kernel applies to a value before it stores it, up to one of each, with what they read; in the
/// order of the fields.
#[derive(Debug, Default)]
pub struct EpilogueArgs {
    /// Multiplied with, channel by channel.
    pub factors: Option<Buffer<f32>>,
    /// Added, channel by channel.
    pub bias: Option<Buffer<f32>>,
    /// Applied to each value.
    pub activation: Activation,
    /// A mask for each sample, and the fraction of elements that it drops.
    pub dropout: Option<(Buffer<u32>, f64)>,
    /// The activation whose gradient is taken, and its residual.
    pub gradient: Option<(Activation, Buffer<f32>)>,
}

impl EpilogueArgs {
    /// Panics if a buffer is too small for values of `len` elements in each sample.
    pub(super) fn require(&self, at: &At, len: usize, channels: usize) {
        let Self { factors, bias, dropout, gradient, .. } = self;
        require(
            factors.as_ref().is_none_or(|factors| factors.len() >= channels),
            "a factor for each channel",
        );
        require(bias.as_ref().is_none_or(|bias| bias.len() >= channels), "a bias for each channel");
        if let Some((mask, _)) = dropout {
            at.require(mask, len.div_ceil(WORD), "masks of all samples");
        }
        if let Some((_, residual)) = gradient {
            at.require(residual, len, "residuals of all samples");
        }
    }
}

/// `struct Epilogue` of `epilogue.cuh`, and the pointers after it.
impl Operand for EpilogueArgs {
    fn push(&self, args: &mut Vec<Arg>) {
        let Self { factors, bias, activation, dropout, gradient } = self;
        let (mask, rate) = dropout.as_ref().map_or((None, 0.0), |(mask, rate)| (Some(mask), *rate));
        let (of_gradient, residual) =
            gradient.as_ref().map_or((Activation::Linear, None), |(activation, at)| (*activation, Some(at)));
        let functions = [
            factors.is_some(),
            bias.is_some(),
            *activation != Activation::Linear,
            mask.is_some(),
            residual.is_some(),
        ];
        let functions = functions.into_iter().rev().fold(0, |bits, is_there| bits << 1 | u32::from(is_there));
        let scale = (1.0 / (1.0 - rate)) as f32;
        let [(function, argument), (gradient, gradient_argument)] =
            [*activation, of_gradient].map(activation_code);
        [functions, scale.to_bits(), function, argument.to_bits(), gradient, gradient_argument.to_bits()]
            .push(args);
        factors.as_ref().push(args);
        bias.as_ref().push(args);
        mask.push(args);
        residual.push(args);
    }
}

/// The function and the argument by which `activations.cuh` knows an activation.
pub(crate) fn activation_code(activation: Activation) -> (u32, f32) {
    match activation {
        Activation::Linear => (0, 0.0),
        Activation::Relu => (1, 0.0),
        Activation::LeakyRelu { negative_slope } => (2, negative_slope as f32),
        Activation::Elu { alpha } => (3, alpha as f32),
        Activation::Selu => (4, 0.0),
        Activation::Tanh => (5, 0.0),
        Activation::Sigmoid => (6, 0.0),
        Activation::Softplus => (7, 0.0),
        Activation::Silu => (8, 0.0),
        Activation::Gelu { approximate: false } => (9, 0.0),
        Activation::Gelu { approximate: true } => (10, 0.0),
    }
}

/// The gradients of the parts that a batch is cut into, `(parts, weights)`: see `parts.cuh`.
#[derive(Debug)]
pub struct Partials {
    /// The gradients.
    pub values: Buffer<f32>,
    /// Samples in a part.
    pub per_part: usize,
    /// Parts of a whole batch.
    pub parts: usize,
    /// Weights of the model.
    pub weights: usize,
}

impl Partials {
    /// Samples in a part: as few as keep the parts of a small batch many, and no fewer.
    const LEAST: usize = 4;

    /// Parts, at most: more would cost memory, and fewer blocks are enough to fill a GPU.
    pub(super) const MOST: usize = 256;

    /// Room for batches of up to `batch` samples.
    pub(crate) fn new(device: &Gpu, batch: usize, weights: usize) -> Result<Self> {
        let (per_part, parts) = Self::cut(batch);
        Ok(Self { values: Buffer::undefined(device, parts * weights)?, per_part, parts, weights })
    }

    /// Samples in a part, and parts, of batches of up to `batch` samples. It decides the order of sums, so it depends on
    /// nothing else.
    pub(super) fn cut(batch: usize) -> (usize, usize) {
        let per_part = batch.div_ceil(Self::MOST).max(Self::LEAST);
        (per_part, batch.div_ceil(per_part).max(1))
    }

    /// Panics if there is no room for the parts of a batch, or no tensor of `len` weights from `offset` on.
    pub(super) fn require(&self, at: &At, offset: usize, len: usize) {
        require(self.per_part * self.parts >= at.samples, "parts of all samples");
        require(offset + len <= self.weights, "a tensor among the weights");
        require(self.values.len() >= self.parts * self.weights, "partials of all parts");
    }
}
