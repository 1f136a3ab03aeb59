//! Programs: a training step as a flat list of instructions over the values of one sample.
//!
//! A layer describes its computation, forward and backward, by recording instructions on a [`Tape`]; the result is a
//! [`Program`]. All backends read programs: the reference backend runs them line by line, a fast backend may run them
//! depth first while a sample is in cache, and a device may run a whole program as one launch. Print a program to see
//! every operation of a training step.
//!
//! A program refers to:
//!
//! * a [`Value`], a signal of one sample, `(steps, channels)`. Every value is written once;
//! * a [`Weight`], a tensor of the model, the same for all samples. Its gradient has the same index,
//!   and **gradients of weights are added to, gradients of values are stored**;
//! * a [`Mask`], the dropout mask of one layer for one sample.
//!
//! A program describes the computation of one sample; the backend sums the gradients of weights over the samples. Only
//! one instruction refers to the batch: [`Instruction::Meet`], a **barrier**. Each sample computes a small value of its
//! own, there the samples meet, and each goes on with what they have made of it together. So a program is a list of
//! [stretches](Program::stretches) with a barrier between two; inside a stretch no sample depends on another. Only
//! batch normalisation needs barriers, and most programs are a single stretch.

pub mod cost;
pub mod custom;
mod fuse;
mod instruction;
mod overlap;
mod receptive_field;
mod reverse;
mod tape;
mod text;

use std::ops::Range;

pub use instruction::{Instruction, Meeting, Pointwise, Pooling, Statistics};
pub use overlap::{Overlap, Shared};
pub use tape::Tape;

use crate::shape::Shape;

/// A signal of one sample, `(steps, channels)`: an index into [`Program::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) usize);

/// A weight tensor and its gradient: an index into the model's weight layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Weight(pub(crate) usize);

/// A dropout mask of one sample: an index into [`Program::masks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mask(pub(crate) usize);

impl Value {
    /// The index into [`Program::values`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

impl Weight {
    /// The index into the model's weight layout.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

impl Mask {
    /// The index into [`Program::masks`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// The rate and the size of a dropout mask. A mask that is as long as a step has the same bits at all steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskSpec {
    /// The fraction of elements that are dropped, in [0, 1).
    pub rate: f64,
    /// The number of elements.
    pub len: usize,
    /// The number of bits that are drawn: `len`, or fewer, which then repeat. Element e has bit `e % drawn`.
    pub drawn: usize,
}

/// The part of a training step that an instruction belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// From the input to the prediction.
    Forward,
    /// The loss and its gradient.
    Loss,
    /// From the loss back to the first weights.
    Backward,
}

/// An instruction with the layer and the pass that it belongs to.
#[derive(Debug, Clone)]
pub struct Line {
    /// The instruction.
    pub instruction: Instruction,
    /// Index of the layer that it belongs to; the loss has the index after the last layer.
    pub layer: usize,
    /// The pass that it belongs to.
    pub pass: Pass,
}

/// All instructions for one sample, in order.
#[derive(Debug, Clone)]
pub struct Program {
    /// The shape of each value.
    pub values: Vec<Shape>,
    /// The dropout masks.
    pub masks: Vec<MaskSpec>,
    /// The instructions. A value is stored before it is read.
    pub lines: Vec<Line>,
    /// The value that holds the sample before the first instruction runs.
    pub input: Value,
    /// The model's prediction. Several outputs are side by side.
    pub output: Value,
    /// The elements of each output in the prediction, and of its target in the sample's.
    pub outputs: Vec<Range<usize>>,
    /// The gradient with respect to the sample, if it was requested.
    pub input_gradient: Option<Value>,
    /// The output of each layer; `None` if no instruction stores it, because fusion has merged it into the next layer's
    /// output.
    pub layer_outputs: Vec<Option<Value>>,
}

impl Program {
    /// Fuses the program: merges element-by-element instructions into the kernels whose output they read, so that bias,
    /// activation, dropout and their gradients are applied in the kernel that computes the value. The results are the
    /// same to the bit.
    #[must_use]
    pub fn fused(&self) -> Self {
        fuse::fuse(self)
    }

    /// The indices of the lines of each stretch, in order. The line between two stretches is the
    /// [barrier](Instruction::is_barrier) that ends the first.
    #[must_use]
    pub fn stretches(&self) -> Vec<Range<usize>> {
        let barriers = (0..self.lines.len()).filter(|line| self.lines[*line].instruction.is_barrier());
        let ends = barriers.chain([self.lines.len()]);
        ends.scan(0, |first, end| Some(std::mem::replace(first, end + 1)..end)).collect()
    }

    /// The number of samples of a batch of `batch` whose values must be there at the same time: all, if they meet at a
    /// barrier, else one.
    #[must_use]
    pub fn together(&self, batch: usize) -> usize {
        let meet = self.lines.iter().any(|line| line.instruction.is_barrier());
        if meet { batch } else { 1 }
    }

    /// Tells of each of `tensors` weight tensors whether the program adds to its gradient: whether the loss depends on it.
    #[must_use]
    pub fn trained(&self, tensors: usize) -> Vec<bool> {
        let mut trained = vec![false; tensors];
        for line in &self.lines {
            trained[line.instruction.trains()].fill(true);
        }
        trained
    }

    /// The number of values of one sample.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.iter().map(Shape::len).sum()
    }

    /// Returns true if the program has no instructions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}
