//! The reference backend: plain loops that read like the formulas, in `f32` or `f64`.
//!
//! Every other backend is compared with it, so it shares no code with them and is never tuned. It runs the samples one
//! after the other through the program, one instruction after the other; in a program with
//! [barriers](crate::program), through one stretch after the other.

mod apply;
mod apply_transposed;
mod correlate;
mod index_map;
mod interpreter;
mod normalize;
mod pointwise;
mod pool;
mod recur;
mod session;
mod standardize;

pub use apply::apply;
pub use apply_transposed::apply_transposed;
pub use correlate::correlate;
pub use index_map::{index_map, index_map_transposed};
pub use interpreter::{Interpreter, Sample};
pub use normalize::{normalize, normalize_gradient};
pub use pointwise::{Operand, pointwise, sum_steps};
pub use pool::{argmax, pool, pool_gradient};
pub(crate) use recur::recur_with;
pub use recur::{recur, recur_gradient};
use session::ReferenceSession;
pub use standardize::{follow, gradient_means, meet, moments, standardize, standardize_gradient};

use crate::backend::{Backend, Plan, Session};
use crate::error::Result;
use crate::float::Float;

/// The reference backend.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reference;

impl<F: Float> Backend<F> for Reference {
    fn name(&self) -> String {
        format!("reference, {}", F::NAME)
    }

    fn session(&self, plan: Plan) -> Result<Box<dyn Session<F>>> {
        // One extra vector, for the gradient.
        plan.require_room(size_of::<F>(), plan.sample_len(), plan.training.together(plan.batch_size), 1)?;
        Ok(Box::new(ReferenceSession::new(plan)))
    }
}
