//! What Keras computes is what the engine computes. `fixtures/README.md` says where the numbers come from.
//!
//! Every test here that computes is one body for all backends: the reference in `f64`, held to about the last
//! digits of the numbers that Keras computed in `f64`, and each backend of
//! [`backends`](glassbox_tests::backends::backends) in `f32`, held to the rounding of `f32`.

mod batch_normalization;
mod compilation;
mod early_stopping;
mod fit;
mod geometry;
mod keras_files;
mod layers;
mod merging;
mod models;
mod optimisation;
mod random_models;
mod recurrent;
mod reduce_lr_on_plateau;
mod told;
mod training;
