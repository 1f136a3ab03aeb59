//! The loss of a sample and its gradient.
//!
//! ```text
//! mean squared error:   sum of (y - target)^2 / n,   dy = 2 (y - target) / (n B)
//! mean absolute error:  sum of |y - target| / n,     dy = sign(y - target) / (n B)
//! Huber:                sum of c (d - c / 2) / n,    dy = c / (n B),       c is d = y - target clamped to delta
//! log cosh:             sum of log cosh(d) / n,      dy = tanh(d) / (n B)
//! ```
//!
//! The sum is in `f64`. If its terms were added in order, each addition would wait four cycles for the one before. So
//! eight interleaved sums run at the same time and are then added in order. This is plain code that compilers
//! vectorise; but log cosh calls the functions of the C library, one element after the other.
//!
//! Reference: [`glassbox_engine::losses::Loss::gradient`].

use glassbox_engine::losses::{Loss, log_cosh};

use crate::simd::{Isa, Task, Vector};

/// Number of sums that run at the same time.
const LANES: usize = 8;

/// Computes the loss of one sample, and stores in `dy` the gradient of the mean loss of a batch.
///
/// # Panics
/// If the lengths differ.
pub(crate) fn gradient(isa: Isa, loss: Loss, y: &[f32], target: &[f32], batch: usize, dy: &mut [f32]) -> f64 {
    assert_eq!((y.len(), y.len()), (target.len(), dy.len()), "a prediction has the shape of its target");
    let scale = 1.0 / (y.len() * batch) as f64;
    let mut sum = 0.0;
    // SAFETY: the task is plain code.
    unsafe {
        match loss {
            Loss::MeanSquaredError => {
                let scale = (2.0 * scale) as f32;
                let element = |difference: f32| {
                    let wide = f64::from(difference);
                    (wide * wide, scale * difference)
                };
                isa.run(Sum { y, target, dy, sum: &mut sum, element });
            }
            Loss::MeanAbsoluteError => {
                let scale = scale as f32;
                let element = |difference: f32| {
                    let sign = if difference == 0.0 { 0.0 } else { difference.signum() };
                    (f64::from(difference.abs()), scale * sign)
                };
                isa.run(Sum { y, target, dy, sum: &mut sum, element });
            }
            Loss::Huber { delta } => {
                let (scale, delta) = (scale as f32, delta.get() as f32);
                let element = |difference: f32| {
                    let clamped = difference.clamp(-delta, delta);
                    let wide = f64::from(clamped);
                    (wide * (f64::from(difference) - 0.5 * wide), scale * clamped)
                };
                isa.run(Sum { y, target, dy, sum: &mut sum, element });
            }
            Loss::LogCosh => {
                let scale = scale as f32;
                let element = |difference: f32| {
                    let wide = f64::from(difference);
                    (log_cosh(wide), scale * wide.tanh() as f32)
                };
                isa.run(Sum { y, target, dy, sum: &mut sum, element });
            }
        }
    }
    sum / y.len() as f64
}

/// # Safety of running it
/// * none: this is plain code.
struct Sum<'a, F> {
    y: &'a [f32],
    target: &'a [f32],
    dy: &'a mut [f32],
    sum: &'a mut f64,
    element: F,
}

impl<F: Fn(f32) -> (f64, f32)> Task for Sum<'_, F> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { y, target, dy, sum, element } = self;
        let mut sums = [0.0; LANES];
        let mut each = |y: &[f32], target: &[f32], dy: &mut [f32]| {
            for (((sum, y), target), dy) in sums.iter_mut().zip(y).zip(target).zip(dy) {
                let (loss, gradient) = element(y - target);
                *sum += loss;
                *dy = gradient;
            }
        };
        let (y, target, dy) = (y.chunks_exact(LANES), target.chunks_exact(LANES), dy.chunks_exact_mut(LANES));
        let (y_rest, target_rest) = (y.remainder(), target.remainder());
        let mut dy = dy;
        for ((y, target), dy) in y.zip(target).zip(&mut dy) {
            each(y, target, dy);
        }
        each(y_rest, target_rest, dy.into_remainder());
        *sum = sums.iter().sum();
    }
}
