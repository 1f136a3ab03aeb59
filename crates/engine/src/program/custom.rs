//! Operations that a user writes.
//!
//! A user's layer implements [`Layer`](crate::layers::Layer) like any other. If the instructions that are
//! there do not say what it computes, it brings an [`Operation`] of its own: forward and backward in plain
//! Rust, generic over the float type so that the gradient check can run it in `f64`. CPU backends run it;
//! a device that cannot says so by name.

use std::any::Any;
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

/// An [`Operation`] in one float type.
pub trait OperationIn<F>: Debug + Send + Sync {
    /// [`Operation::forward`].
    fn forward(&self, x: ArrayView2<'_, F>, weights: &[F], y: ArrayViewMut2<'_, F>);

    /// [`Operation::backward`].
    fn backward(&self, saved: Saved<'_, F>, dx: ArrayViewMut2<'_, F>, dweights: &mut [F]);
}

impl<T: Operation, F: Float> OperationIn<F> for T {
    fn forward(&self, x: ArrayView2<'_, F>, weights: &[F], y: ArrayViewMut2<'_, F>) {
        Operation::forward(self, x, weights, y);
    }

    fn backward(&self, saved: Saved<'_, F>, dx: ArrayViewMut2<'_, F>, dweights: &mut [F]) {
        Operation::backward(self, saved, dx, dweights);
    }
}

/// An [`Operation`] behind a pointer, as instructions hold it.
pub trait AnyOperation: OperationIn<f32> + OperationIn<f64> {}

impl<T: Operation> AnyOperation for T {}

/// The operation in the float type `F`.
pub(crate) fn in_type<F: Float>(operation: &Arc<dyn AnyOperation>) -> Arc<dyn OperationIn<F>> {
    let single: Arc<dyn OperationIn<f32>> = operation.clone();
    let double: Arc<dyn OperationIn<f64>> = operation.clone();
    let both: [&dyn Any; 2] = [&single, &double];
    let of_type = both.into_iter().find_map(<dyn Any>::downcast_ref::<Arc<dyn OperationIn<F>>>);
    of_type.cloned().expect("a float type is f32 or f64")
}
