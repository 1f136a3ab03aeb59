//! The limits of the kernels, checked before anything is laid out.

use glassbox_engine::backend::Plan;
use glassbox_engine::geometry::Geometry;
use glassbox_engine::program::Instruction;
use glassbox_engine::{Error, Result};

use crate::kernels::require_launchable;

/// Checks that the kernels can run a plan.
///
/// # Errors
/// Names the layer with an operation that is a user's own, or the signal that is too large.
pub(crate) fn require_runnable(plan: &Plan) -> Result<()> {
    for program in [&plan.training, &plan.inference] {
        for (index, shape) in program.values.iter().enumerate() {
            require_launchable(&format!("the signal v{index} of shape {shape}"), shape.len())?;
        }
        for line in &program.lines {
            require_kernel(plan, &line.instruction, line.layer)?;
        }
    }
    if plan.inference.outputs.len() > 1 {
        return Err(Error::Unsupported {
            place: "the model".into(),
            feature: format!("{} outputs, on a GPU,", plan.inference.outputs.len()),
            instead: "compute on the CPU".into(),
        });
    }
    require_launchable("the weights", plan.layout.len())?;
    require_launchable("a batch", plan.batch_size)?;
    Ok(())
}

/// The most units of a recurrence: as many `f32` as 48 KiB of shared memory hold.
const MOST_UNITS: usize = (48 << 10) / size_of::<f32>();

/// Checks that sums of steps, strides and padding stay within 32 bits.
fn require_indices(geometry: &Geometry) -> Result<()> {
    let padded = geometry.in_steps + geometry.pad_left + geometry.pad_right();
    Ok(require_launchable("an input with its padding", padded.max(geometry.span()))?)
}

fn require_kernel(plan: &Plan, instruction: &Instruction, layer: usize) -> Result<()> {
    use Instruction::{
        Apply, ApplyTransposed, Correlate, Custom, CustomGradient, Pool, PoolGradient, RecurGradient,
    };
    match instruction {
        Apply { geometry, .. } | ApplyTransposed { geometry, .. } | Correlate { geometry, .. } => {
            require_launchable("a kernel", geometry.kernel_len())?;
            require_indices(geometry)
        }
        Pool { geometry, .. } | PoolGradient { geometry, .. } => require_indices(geometry),
        // Shared memory that every device gives to a block without being asked for more.
        RecurGradient { cell, .. } if cell.units > MOST_UNITS => Err(Error::Unsupported {
            place: plan.layer_names.get(layer).cloned().unwrap_or_else(|| "the model".into()),
            feature: format!("a recurrence of {} units on a GPU", cell.units),
            instead: format!("up to {MOST_UNITS} units are, and any number on the CPU"),
        }),
        Custom { op, .. } | CustomGradient { op, .. } => Err(Error::Unsupported {
            place: plan.layer_names.get(layer).cloned().unwrap_or_else(|| "the model".into()),
            feature: format!("the operation {op:?}, written in Rust, on a GPU"),
            instead: "compute on the CPU".into(),
        }),
        _ => Ok(()),
    }
}
