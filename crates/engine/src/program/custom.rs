//! Operations that users write.
//!
//! A user's layer implements [`Layer`](crate::layers::Layer) like any other. If no instruction covers its
//! computation, it brings an [`Operation`]: a forward and a backward pass in plain Rust, generic over the float type so
//! that the gradient check can run it in `f64`. CPU backends run it; other devices refuse it by name.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use ndarray::{ArrayView2, ArrayViewMut2};

use crate::float::Float;

/// A user's operation on one sample.
///
/// A layer records it with [`Tape::custom`](super::Tape::custom).
///
/// ```
/// use glassbox_engine::Float;
/// use glassbox_engine::gradient_check::GradientCheck;
/// use glassbox_engine::layers::{Call, Layer};
/// use glassbox_engine::model::Sequential;
/// use glassbox_engine::program::custom::{Operation, Saved};
/// use glassbox_engine::program::{Tape, Value};
/// use ndarray::{ArrayView2, ArrayViewMut2, Zip};
///
/// /// `y = x / (1 + |x|)`, with `dx = dy (1 - |y|)^2`.
/// #[derive(Debug, Clone)]
/// struct Softsign;
///
/// impl Operation for Softsign {
///     fn forward<F: Float>(&self, x: ArrayView2<'_, F>, _: &[F], mut y: ArrayViewMut2<'_, F>) {
///         Zip::from(&mut y).and(&x).for_each(|y, x| *y = *x / (F::one() + x.abs()));
///     }
///
///     fn backward<F: Float>(&self, saved: Saved<'_, F>, mut dx: ArrayViewMut2<'_, F>, _: &mut [F]) {
///         Zip::from(&mut dx).and(&saved.y).and(&saved.dy).for_each(|dx, y, dy| *dx = *dy * (F::one() - y.abs()).powi(2));
///     }
/// }
///
/// impl Layer for Softsign {
///     fn class_name(&self) -> &'static str {
///         "Softsign"
///     }
///
///     fn forward(&self, tape: &mut Tape, call: &Call) -> Value {
///         let shape = tape.shape(call.x());
///         tape.custom(self.clone(), call, shape)
///     }
/// }
///
/// let mut model = Sequential::new((6, 2));
/// model.add(Softsign)?;
/// assert!(GradientCheck::default().run(&model)?[0].passes());
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
pub trait Operation: Debug + Send + Sync + 'static {
    /// Stores `y = op(x)`.
    ///
    /// # Shapes
    /// * `x`: `(steps, channels)` of the input
    /// * `weights`: the operation's weight tensors, one after the other
    /// * `y`: `(steps, channels)` of the output
    fn forward<F: Float>(&self, x: ArrayView2<'_, F>, weights: &[F], y: ArrayViewMut2<'_, F>);

    /// Stores `dx` and adds to `dweights`, from the operands and the result of [`Operation::forward`] and the gradient
    /// `dy`.
    fn backward<F: Float>(&self, saved: Saved<'_, F>, dx: ArrayViewMut2<'_, F>, dweights: &mut [F]);
}

/// Operands of the backward pass of an [`Operation`].
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

/// An [`Operation`] for one float type.
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

/// An [`Operation`] behind a pointer, as instructions hold it: one for both float types.
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
