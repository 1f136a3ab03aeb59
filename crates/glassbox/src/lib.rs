//! The main library of glassbox: build, train, inspect and save models.
//!
//! ```
//! use glassbox::prelude::*;
//!
//! // An autoencoder for windows of 96 steps and one channel.
//! let mut layers = Sequential::new((96, 1));
//! layers.add(Conv1D::new(8, 7).strides(2).padding(Same).activation(Relu))?;
//! layers.add(Dropout::new(0.2))?;
//! layers.add(Conv1DTranspose::new(1, 7).strides(2).padding(Same))?;
//! let mut model = layers.compile(Adam::new(1e-3), Loss::MeanSquaredError)?.seed(1);
//!
//! let series: Vec<f32> = (0..400).map(|t| (t as f32 / 5.0).sin()).collect();
//! let x = Samples::windows(&series, 96, 1)?; // a view: overlapping windows are not copied
//! let fit = Fit { epochs: 2, batch_size: 64, validation_split: 0.1, ..Fit::default() };
//! let trained = model.fit(&x, &x, fit.early_stopping(EarlyStopping::patience(5)))?;
//! println!("val_loss after each epoch: {:?}", trained.history.val_loss);
//!
//! let y: Array3<f32> = model.predict(&x)?;
//! let features: Array3<f32> = model.activations(&x, "conv1d")?;
//! let gradients = model.gradients(&x, &x)?; // named tensors with their shapes
//! assert_eq!(gradients["conv1d.kernel"].shape(), [7, 1, 8]);
//! # let _ = (y, features);
//! # Ok::<(), glassbox::Error>(())
//! ```
//!
//! | to | see |
//! |---|---|
//! | build, train and look inside a model | [`Model`], [`Sequential`](model::Sequential), [`Functional`](model::Functional), [`layers`] |
//! | choose the device | [`Device`] |
//! | save it, load it, continue training | [`Model::save`], [`Model::load`] |
//! | stop it, save checkpoints, follow its progress | [`Hooks`], [`checkpoint`], [`Interrupt`] |
//! | write a custom layer | [`Layer`](layers::Layer), [`Operation`](program::custom::Operation), `examples/custom_layer.rs`, `examples/subclassing.rs` |
//! | check its gradient | [`GradientCheck`](gradient_check::GradientCheck) |
//!
//! The engine is [`glassbox_engine`]; its modules are re-exported here, and so is [`ndarray`].

#![forbid(unsafe_code)]

pub mod cache;
pub mod checkpoint;
mod compiled;
mod device;
mod error;
pub mod fingerprint;
pub mod interrupt;
pub mod samples;
mod save;
pub mod training;

pub use compiled::{Compile, Model, Tensors};
pub use device::Device;
pub use error::{Error, Result};
pub use glassbox_engine::{
    Error as EngineError, Float, activations, backend, geometry, gradient_check, initializers, layers,
    losses, model, optimizers, program, shape,
};
pub use interrupt::Interrupt;
pub use ndarray;
pub use samples::{AsSamples, side_by_side};
pub use training::Hooks;

/// The types that most programs need: `use glassbox::prelude::*;`.
pub mod prelude {
    pub use glassbox_engine::geometry::Padding::{self, Causal, Same, Valid};
    pub use glassbox_engine::layers::Activation::{
        self, Elu, Gelu, LeakyRelu, Linear, Relu, Selu, Sigmoid, Silu, Softplus, Tanh,
    };
    pub use glassbox_engine::layers::{
        Add, AveragePooling1D, BatchNormalization, Bidirectional, Concatenate, Conv1D, Conv1DTranspose,
        Cropping1D, Dense, Dropout, ELU, Flatten, GRU, LSTM, LayerNormalization, LeakyReLU, MaxPooling1D,
        Multiply, ReLU, RepeatVector, Reshape, SpatialDropout1D, TimeDistributed, UpSampling1D,
        ZeroPadding1D,
    };
    pub use glassbox_engine::losses::Loss;
    pub use glassbox_engine::model::{Functional, Network, Sequential};
    pub use glassbox_engine::optimizers::{
        Adam, AdamW, Clipping, CosineDecay, ExponentialDecay, Optimizer, RMSprop, SGD,
    };
    pub use glassbox_engine::samples::Samples;
    pub use glassbox_engine::training::{Callback, EarlyStopping, Fit, Fitted, History, ReduceLROnPlateau};
    pub use ndarray::{Array3, ArrayView3};

    pub use crate::{AsSamples, Compile, Device, Hooks, Interrupt, Model, Tensors};
}
