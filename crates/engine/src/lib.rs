//! The maths of glassbox: an autoencoder one can see inside.
//!
//! Everything that is computed stands here in plain loops, with no I/O and no `unsafe`. The crates above
//! make it fast ([`glassbox-cpu`]), feed it ([`glassbox-pipeline`]) and put a command in front of it.
//!
//! # The way through
//!
//! 1. [`geometry`]: the one linear map A that a convolution is, and the three sums over its indices.
//! 2. [`reference`](mod@reference): those three sums, as loops that read like the formulas.
//! 3. [`layers`]: what each layer computes, forward and backward, in terms of the three sums.
//! 4. [`program`]: what the layers record, a training step as a list of instructions.
//! 5. [`model`]: layers in a row, their weights, Keras's JSON and summary.
//! 6. [`backend`]: what runs a program; [`training`] and [`optimizers`]: what is done with the gradient.
//! 7. [`gradient_check`](mod@gradient_check): why to believe it.
//! 8. [`profile`](mod@profile): where the time of a training step goes.
//!
//! # Conventions
//!
//! | name | meaning |
//! |---|---|
//! | `x`, `y` | the input and the output of whatever is spoken of |
//! | `dx`, `dy`, `dkernel` | the gradient of the loss with respect to `x`, `y`, `kernel` |
//! | `t`, `i` | a step of a signal on A's output side, on its input side |
//! | `c`, `o` | a channel on A's input side, on its output side |
//! | `tap` | a step of the kernel |
//!
//! Signals are `(steps, channels)`, batches `(batch, steps, channels)`, kernels `(taps, in, out)`; all lie
//! row by row. Gradients of weights are added to, gradients of signals are stored. Losses are summed in
//! `f64`.
//!
//! [`glassbox-cpu`]: ../glassbox_cpu/index.html
//! [`glassbox-pipeline`]: ../glassbox_pipeline/index.html

#![forbid(unsafe_code)]

pub mod backend;
mod error;
mod float;
pub mod geometry;
pub mod gradient_check;
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
pub mod reference;
pub mod samples;
pub mod shape;
pub mod text;
pub mod training;

pub use error::{Error, NonFinite, Result, When};
pub use float::Float;
