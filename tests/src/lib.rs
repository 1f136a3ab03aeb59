//! Tests across the crates of glassbox, and the code that they share.
//!
//! | test | what it proves |
//! |---|---|
//! | `golden/` | the engine computes what Keras computes: see `fixtures/README.md` |
//! | `golden/layers.rs` | output, input gradient, kernel and bias gradients of 187 layers |
//! | `golden/merging.rs` | outputs and gradients of Concatenate, Add and Multiply |
//! | `golden/geometry.rs` | every output length for a grid of arguments, every error, the validation split |
//! | `golden/optimisation.rs` | both losses and their gradients; ten steps of each optimiser alone |
//! | `golden/training.rs` | ten training steps of the tutorial's network, including dropout |
//! | `golden/fit.rs` | a whole `fit`: `loss` and `val_loss` curves, final weights, predictions |
//! | `golden/reduce_lr_on_plateau.rs` | when the learning rate is reduced, alone and in `fit` |
//! | `golden/early_stopping.rs` | when training stops and which weights it restores, alone and in `fit` |
//! | `golden/random_models.rs` | predictions, gradients and eight steps of `fit` of models of random layers |
//! | `golden/compilation.rs` | how a compiled model is trained, and errors that name what is not supported |
//! | `golden/models.rs` | JSON read and written, errors that name what is not supported, exact summaries, layer names |
//! | `gradients/` | backpropagation equals the derivative: random models, a user's layer, a graph |
//! | `gradient_check.rs` | the engine's gradient check: no false alarms, and it finds every planted mistake of 1e-6 |
//! | `conformance.rs` | every backend agrees with the `f64` reference within its rounding |
//! | `properties/algebra.rs` | the three contractions and index maps: adjoint, bilinear, identity, shift, brute force |
//! | `properties/training.rs` | determinism, bit-exact resuming, errors that name the place |
//! | `properties/losses.rs`, `dropout.rs`, `optimizers.rs` | what losses, dropout and optimisers must do for any numbers |
//! | `properties/overlap.rs` | overlapping windows share what they should, and sharing changes no bit |
//! | `properties/models.rs` | models survive their JSON; text that is no model, and models that cannot be, are errors |
//! | `cuda.rs` | the CUDA backend: random bits, the optimisers' bits, the CPU's loss curve, a device that fails |
//! | `nvrtc.rs` | every CUDA kernel compiles for every architecture, without a warning |
//! | `profile.rs` | `profile` times the instructions of the plan, on every backend |
//! | `fused.rs` | the fused training step on the GPU: the reference's gradient for any tuning; CI asks for it by name |
//! | `study.rs` | the study's table is what plain loops give; CI asks for it by name |
//! | `distribution.rs` | the tutorial with twenty seeds has the distribution of sixty runs of Keras; CI asks for it by name |
//! | `fuzz/` | hostile input is accepted or refused in bounded time and memory; a separate crate, whose tests CI asks for by name |
//! | `cli/gpu.rs` | the real binary on a GPU, with a stand-in for its driver |
//! | `cli/` | the real binary: results, resume after SIGKILL, downloads, arrays, errors and exit codes |
//!
//! [`backends::backends`] lists the backends that all of these test.
//!
//! Random tests use a fixed seed: the same cases run each time and everywhere. `PROPTEST_RNG_SEED` gives other cases,
//! `PROPTEST_CASES` more or fewer of them: CI runs 256, `cargo test` alone a quarter. A case that fails is shrunk and
//! printed.
//!
//! Shared code: [`compare`] compares numbers, [`fixtures`] reads Keras's golden data, [`cases`] makes models and data,
//! [`rounding`] bounds rounding errors, [`conformance`] compares a backend with the reference within these bounds,
//! [`backends`] lists the tested backends, [`cubin`] reads the compiler's output for a kernel.

pub mod backends;
pub mod cases;
pub mod compare;
pub mod conformance;
pub mod cubin;
pub mod fixtures;
pub mod nvrtc;
mod real_data;
pub mod rounding;

pub use real_data::real_data;
