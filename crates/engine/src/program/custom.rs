//! Operations that a user writes.
//!
//! A user's layer implements [`Layer`](crate::layers::Layer) like any other. If the instructions that are
//! there do not say what it computes, it brings an [`Operation`] of its own: forward and backward in plain
//! Rust, generic over the float type so that the gradient check can run it in `f64`. CPU backends run it;
//! a device that cannot says so by name.

use std::fmt::Debug;
use std::sync::Arc;

use ndarray::{ArrayView2, ArrayViewMut2};

use crate::float::Float;

/// A user's operation on one sample.
pub trait Operation: Debug + Send + Sync + 'static {
    /// Stores `y = op(x)`.
    ///
    /// # Shapes
    /// * `x`: `(steps, channels)` of the input
    /// * `weights`: the operation's weight tensors, one after the other
    /// * `y`: `(steps, channels)` of the output
    fn forward<F: Float>(&self, x: ArrayView2<'_, F>, weights: &[F], y: ArrayViewMut2<'_, F>);

    /// Stores `dx` and adds to `dweights`, given what [`Operation::forward`] read and stored and the
    /// gradient `dy`.
    fn backward<F: Float>(&self, saved: Saved<'_, F>, dx: ArrayViewMut2<'_, F>, dweights: &mut [F]);
}

/// What the backward pass of an [`Operation`] may read.
#[derive(Debug, Clone, Copy)]
pub struct Saved<'a, F> {
    /// The input of the forward pass, `(steps, channels)`.
    pub x: ArrayView2<'a, F>,
    /// Its output.
    pub y: ArrayView2<'a, F>,
    /// The operation's weight tensors, one after the other.
    pub weights: &'a [F],
    /// The gradient with respect to `y`.
    pub dy: ArrayView2<'a, F>,
}

/// An [`Operation`] behind a pointer. Implemented for all of them; a backend calls it through
/// [`Dispatch`].
pub trait ErasedOperation: Debug + Send + Sync {
    #[doc(hidden)]
    fn forward_f32(&self, x: ArrayView2<'_, f32>, weights: &[f32], y: ArrayViewMut2<'_, f32>);
    #[doc(hidden)]
    fn forward_f64(&self, x: ArrayView2<'_, f64>, weights: &[f64], y: ArrayViewMut2<'_, f64>);
    #[doc(hidden)]
    fn backward_f32(&self, saved: Saved<'_, f32>, dx: ArrayViewMut2<'_, f32>, dweights: &mut [f32]);
    #[doc(hidden)]
    fn backward_f64(&self, saved: Saved<'_, f64>, dx: ArrayViewMut2<'_, f64>, dweights: &mut [f64]);
}

impl<T: Operation> ErasedOperation for T {
    fn forward_f32(&self, x: ArrayView2<'_, f32>, weights: &[f32], y: ArrayViewMut2<'_, f32>) {
        self.forward(x, weights, y);
    }

    fn forward_f64(&self, x: ArrayView2<'_, f64>, weights: &[f64], y: ArrayViewMut2<'_, f64>) {
        self.forward(x, weights, y);
    }

    fn backward_f32(&self, saved: Saved<'_, f32>, dx: ArrayViewMut2<'_, f32>, dweights: &mut [f32]) {
        self.backward(saved, dx, dweights);
    }

    fn backward_f64(&self, saved: Saved<'_, f64>, dx: ArrayViewMut2<'_, f64>, dweights: &mut [f64]) {
        self.backward(saved, dx, dweights);
    }
}

/// Calls the method of an [`ErasedOperation`] that is for this float type.
pub trait Dispatch: Sized {
    /// Calls [`Operation::forward`].
    fn forward(
        op: &Arc<dyn ErasedOperation>,
        x: ArrayView2<'_, Self>,
        weights: &[Self],
        y: ArrayViewMut2<'_, Self>,
    );

    /// Calls [`Operation::backward`].
    fn backward(
        op: &Arc<dyn ErasedOperation>,
        saved: Saved<'_, Self>,
        dx: ArrayViewMut2<'_, Self>,
        dweights: &mut [Self],
    );
}

impl Dispatch for f32 {
    fn forward(
        op: &Arc<dyn ErasedOperation>,
        x: ArrayView2<'_, f32>,
        weights: &[f32],
        y: ArrayViewMut2<'_, f32>,
    ) {
        op.forward_f32(x, weights, y);
    }

    fn backward(
        op: &Arc<dyn ErasedOperation>,
        saved: Saved<'_, f32>,
        dx: ArrayViewMut2<'_, f32>,
        dweights: &mut [f32],
    ) {
        op.backward_f32(saved, dx, dweights);
    }
}

impl Dispatch for f64 {
    fn forward(
        op: &Arc<dyn ErasedOperation>,
        x: ArrayView2<'_, f64>,
        weights: &[f64],
        y: ArrayViewMut2<'_, f64>,
    ) {
        op.forward_f64(x, weights, y);
    }

    fn backward(
        op: &Arc<dyn ErasedOperation>,
        saved: Saved<'_, f64>,
        dx: ArrayViewMut2<'_, f64>,
        dweights: &mut [f64],
    ) {
        op.backward_f64(saved, dx, dweights);
    }
}
