//! The engine of glassbox: layers, programs, gradients and training, as readable reference code.
//!
//! All computations are written here as plain loops, with no I/O and no `unsafe`. The crates above add fast backends
//! ([`glassbox-cpu`]), data and the tutorial ([`glassbox-pipeline`]), and a command.
//!
//! # Reading order
//!
//! 1. [`geometry`]: the linear map A of a convolution, and the three sums over its indices. [`index_map`]: signals that
//!    consist of elements of others.
//! 2. [`reference`](mod@reference): those three sums, as loops that read like the formulas.
//! 3. [`layers`]: the forward and backward pass of each layer, in terms of the three sums and of [`activations`].
//! 4. [`program`]: the recorded layers; a training step as a list of instructions.
//! 5. [`model`]: sequences of layers, their weights, Keras's JSON and summary.
//! 6. [`backend`]: the devices that run a program; [`training`] and [`optimizers`]: the use of the gradient.
//! 7. [`gradient_check`](mod@gradient_check): numerical evidence that the gradients are right.
//! 8. [`profile`](mod@profile): the time of each part of a training step.
//! # Conventions
//!
//! | name | meaning |
//! |---|---|
//! | `x`, `y` | the input and the output of the function at hand |
//! | `dx`, `dy`, `dkernel` | the gradient of the loss with respect to `x`, `y`, `kernel` |
//! | `t`, `i` | a step of a signal on A's output side, on its input side |
//! | `c`, `o` | a channel on A's input side, on its output side |
//! | `tap` | a step of the kernel |
//!
//! Signals have shape `(steps, channels)`, batches `(batch, steps, channels)`, kernels `(taps, in, out)`; all are
//! stored row by row. Gradients of weights are added to, gradients of signals are stored. Losses are summed in `f64`.
//!
//! [`glassbox-cpu`]: ../glassbox_cpu/index.html
//! [`glassbox-pipeline`]: ../glassbox_pipeline/index.html

#![forbid(unsafe_code)]

pub mod activations;
pub mod backend;
mod error;
mod float;
pub mod geometry;
pub mod gradient_check;
pub mod index_map;
pub mod initializers;
pub mod layers;
pub mod losses;
pub mod masks;
pub mod memory;
pub mod model;
pub mod optimizers;
pub mod profile;
pub mod program;
pub mod random;
pub mod recurrent;
pub mod reference;
pub mod samples;
pub mod shape;
pub mod text;
pub mod training;

pub use error::{Error, NonFinite, Result, When};
pub use float::Float;
