//! Backpropagation is the derivative.
//!
//! Random small models of both layers, with every padding, strides, dilations, kernels shorter than the
//! stride and longer than the input, single steps, with and without bias, every activation in both forms, dropout, both
//! losses, several samples. Each gradient is held against central differences, twice over: by the engine's
//! own
//! `GradientCheck`, and by a check that is written here and shares nothing with it. Then what a user may
//! bring: an operation of their own, signals that are joined, and a graph recorded by hand.

mod branches;
mod point;
mod random_models;
mod written;
