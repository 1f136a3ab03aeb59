//! The micro-kernels: the loops whose speed matters.
//!
//! | file | computes | used for |
//! |---|---|---|
//! | [`rows`] | rows of an output: broadcast x, vectors of the kernel | apply, apply transposed |
//! | [`dot`] | single sums, vectors along the sum | the same, where an output has very few channels |
//! | [`outer`] | sums of outer products | correlate |
//! | [`epilogue`] | bias, relu, dropout and the gate of relu, before the store | `rows` and `dot` |
//! | [`activations`] | activation functions and their gradients | what `epilogue` does not have |
//! | [`normalize`] | normalised rows, and their gradient | layer normalisation |
//! | [`standardize`] | standardised channels, their moments, and their gradient | batch normalisation |
//! | [`pooling`] | maxima and means of windows, and their gradients | pooling |
//! | [`gates`] | the gates of recurrent cells | recurrences and their gradients |
//! | [`sums`] | sums over rows and over chunks | gradients of biases, the reduction |
//! | [`masks`] | Philox bits | dropout masks |
//! | [`loss`] | a sample's loss and its gradient | training |
//! | [`peak`] | only multiply-adds in registers | the ceiling that the benches divide by |
//! | [`stream`] | sums of long vectors | the ceiling of what is bound by its bytes |
//! | [`stream`] | sums of long vectors | the ceiling of work that is bound by memory traffic |
//! Each file has a safe function, which checks all bounds once, and below it a [`Task`](crate::simd::Task), generic
//! over the instruction set, which relies on these checks.
#![allow(unsafe_code)]

pub(crate) mod activations;
pub(crate) mod dot;
pub(crate) mod epilogue;
pub(crate) mod gates;
pub(crate) mod loss;
pub(crate) mod masks;
pub(crate) mod normalize;
pub(crate) mod outer;
pub mod peak;
pub(crate) mod pooling;
pub(crate) mod rows;
pub(crate) mod standardize;
pub(crate) mod stream;
pub(crate) mod sums;
#[cfg(test)]
mod tests;
