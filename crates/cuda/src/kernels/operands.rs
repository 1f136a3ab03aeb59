//! What launches are made of: buffers, and what is said of them beside their address.

use super::{require, word};
use crate::device::{Arg, Buffer};

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

/// Where a launch takes its samples from: the control block, and the step's place in a recording.
#[derive(Debug)]
pub struct At {
    /// The control block.
    pub control: Buffer<u32>,
    /// The step's place in the recording.
    pub within: u32,
    /// Samples in a batch, at most: the grid has room for as many.
    pub samples: usize,
}

/// A view of samples on the device.
#[derive(Debug)]
pub struct Series {
    /// The values under the view.
    pub values: Buffer<f32>,
    /// Values between the starts of two neighbouring samples.
    pub hop: usize,
    /// The number of samples.
    pub samples: usize,
}

/// Where the places of an epoch's samples stand; `None` if they come as they are.
pub type Order = Option<Buffer<u32>>;

/// The functions of an epilogue, up to one of each, with what they read; applied in the order of the fields.
#[derive(Debug, Default)]
pub struct Epilogue {
    /// Added, channel by channel.
    pub bias: Option<Buffer<f32>>,
    /// Whether negative values become 0.
    pub relu: bool,
    /// A mask for each sample, and the fraction of elements that it drops.
    pub dropout: Option<(Buffer<u32>, f64)>,
    /// Values that let through where they are positive.
    pub gate: Option<Buffer<f32>>,
}

impl Epilogue {
    pub(super) fn args(&self, samples: usize, len: usize, channels: usize) -> [Arg; 4] {
        let Self { bias, relu, dropout, gate } = self;
        let words = len.div_ceil(32);
        require(bias.as_ref().is_none_or(|bias| bias.len() >= channels), "a bias for each channel");
        require(
            dropout.as_ref().is_none_or(|(mask, _)| mask.len() >= samples * words),
            "masks of all samples",
        );
        require(gate.as_ref().is_none_or(|gate| gate.len() >= samples * len), "gates of all samples");
        let functions = u32::from(bias.is_some())
            | u32::from(*relu) << 1
            | u32::from(dropout.is_some()) << 2
            | u32::from(gate.is_some()) << 3;
        let scale = dropout.as_ref().map_or(1.0, |(_, rate)| (1.0 / (1.0 - rate)) as f32);
        [
            Arg::Bytes([functions.to_le_bytes(), scale.to_le_bytes()].concat()),
            bias.as_ref().map_or(Arg::Null, Buffer::arg),
            dropout.as_ref().map_or(Arg::Null, |(mask, _)| mask.arg()),
            gate.as_ref().map_or(Arg::Null, Buffer::arg),
        ]
    }
}

/// How a batch is cut into parts that have a gradient of their own: see `parts.cuh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Samples in a part.
    pub per_part: usize,
    /// Parts of a whole batch.
    pub count: usize,
}

impl Parts {
    /// Samples in a part: as few as keep the parts of a small batch many, and no fewer.
    const LEAST: usize = 4;

    /// Parts, at most: more would cost memory, and fewer blocks are enough to fill a GPU.
    pub(super) const MOST: usize = 256;

    /// Of batches of up to `batch` samples. It decides the order of sums, so it depends on nothing else.
    #[must_use]
    pub fn of(batch: usize) -> Self {
        let per_part = batch.div_ceil(Self::MOST).max(Self::LEAST);
        Self { per_part, count: batch.div_ceil(per_part).max(1) }
    }
}

/// The gradients of all parts, `(parts, weights)`.
#[derive(Debug)]
pub struct Partials {
    /// The gradients.
    pub values: Buffer<f32>,
    /// How a batch is cut.
    pub parts: Parts,
    /// Weights of the model.
    pub weights: usize,
}

impl At {
    pub(super) fn args(&self) -> Vec<Arg> {
        require(self.control.len() >= Control::WORDS, "a control block");
        vec![self.control.arg(), Arg::U32(self.within)]
    }
}

impl Series {
    pub(super) fn args(&self) -> Vec<Arg> {
        vec![self.values.arg(), Arg::U32(word(self.hop))]
    }
}

impl Partials {
    pub(super) fn require(&self, at: &At, offset: usize, len: usize) {
        let Parts { per_part, count } = self.parts;
        require(per_part * count >= at.samples, "parts of all samples");
        require(offset + len <= self.weights, "a tensor among the weights");
        require(self.values.len() >= count * self.weights, "partials of all parts");
    }

    pub(super) fn args(&self, offset: usize) -> [Arg; 4] {
        let number = |n| Arg::U32(word(n));
        [self.values.arg(), number(self.weights), number(offset), number(self.parts.per_part)]
    }
}
