//! What holds across the crates of glassbox, and the kit that the tests share.
//!
//! | test | what it proves |
//! |---|---|
//! | `golden/` | the engine computes what Keras computes: see `fixtures/README.md` |
//! | `golden/layers.rs` | output, input gradient, kernel and bias gradients of 72 layers |
//! | `golden/geometry.rs` | every output length of a grid of arguments, every refusal, the validation cut |
//! | `golden/optimisation.rs` | both losses and their gradients; ten steps of Adam alone |
//! | `golden/training.rs` | ten training steps of the tutorial's network, dropout and all |
//! | `golden/fit.rs` | a whole `fit`: `loss` and `val_loss` curves, final weights, predictions |
//! | `golden/early_stopping.rs` | when training stops and what it restores, alone and in `fit` |
//! | `golden/random_models.rs` | predictions, gradients and eight steps of `fit` of models of random layers |
//! | `golden/compilation.rs` | how a compiled model is trained, and refusals by name |
//! | `golden/models.rs` | JSON read and written, refusals by name, summaries to the character, names |
//! | `gradients.rs` | backpropagation is the derivative: random models, a user's layer, a graph |
//! | `gradient_check.rs` | the engine's gradient check: no false alarm, every planted mistake of 1e-6 found |
//! | `conformance.rs` | every backend computes what the `f64` reference does, within its rounding |
//! | `properties/algebra.rs` | the three contractions: adjoint, bilinear, identity, shift, brute force |
//! | `properties/training.rs` | determinism, resume to the bit, errors that say where |
//! | `properties/pieces.rs` | facts on losses, dropout and Adam |
//! | `cuda.rs` | the CUDA backend alone: random bits, Adam's bits, the CPU's loss curve, a device that fails |
//! | `nvrtc.rs` | every CUDA kernel compiles for every architecture, without a warning |
//! | `distribution.rs` | the tutorial over twenty seeds lies where sixty runs of Keras lie (on its own: see there) |
//! | `fuzz/` | hostile input is read or refused, in bounded time and memory: a crate of its own |
//! | `cli/gpu.rs` | the real binary on a GPU, with a stand-in for its driver |
//! | `cli/` | the real binary: results, resume after SIGKILL, downloads, arrays, errors and exit codes |
//!
//! A backend is put under all of these at one place, [`backends::backends`].
//!
//! Random tests draw from a fixed seed: the same cases run each time and everywhere. `PROPTEST_RNG_SEED`
//! gives other cases, `PROPTEST_CASES` more or fewer of them: 256 leaves the numbers as they are. What fails
//! is shrunk and printed.
//!
//! The kit: [`compare`] holds numbers against each other, [`fixtures`] reads what Keras said, [`cases`] makes
//! models and data, [`rounding`] says how far rounding may lead, [`conformance`] holds a backend against the reference
//! within that, [`backends`] lists who is tested, [`cubin`] reads what the compiler says of a kernel.

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
