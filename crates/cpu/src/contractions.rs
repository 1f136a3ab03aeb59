//! Single contractions, for tests, benches, and readers who want to run one alone.
//!
//! A training run plans all of its contractions at once and arranges their operands so that the result of one is in
//! place for the next. A [`Contraction`] stands alone and owns its operands.

use glassbox_engine::Result;
use glassbox_engine::geometry::Geometry;
use glassbox_engine::memory::{product, require, sum};

use crate::apply;
use crate::apply_transposed;
use crate::correlate::{Correlate, prefers_transposed};
use crate::kernels::epilogue::{self, mask_words};
use crate::layout::{Aligned, Slot, transposed_margins};
use crate::product::Products;
use crate::simd::Simd;

/// One of the three contractions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `y = epilogue(A x)`
    Apply,
    /// `y = epilogue(A^T x)`
    ApplyTransposed,
    /// `dkernel += correlate(x, y)`
    Correlate,
}

impl Operation {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Apply, Self::ApplyTransposed, Self::Correlate];

    /// The operation's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::ApplyTransposed => "apply_transposed",
            Self::Correlate => "correlate",
        }
    }
}

/// Functions that are applied to each element of a result before it is stored, in this order. The default is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Epilogue {
    /// Bias to add: one value per channel.
    pub bias: Option<Vec<f32>>,
    /// If true, negative values become 0.
    pub relu: bool,
    /// Dropout: the rate, and one bit per element, set if the element is kept.
    pub dropout: Option<(f64, Vec<u32>)>,
    /// ReLU gate: one value per element; the element is kept where it is positive, else 0.
    pub gate: Option<Vec<f32>>,
}

/// A contraction that owns its operands.
///
/// ```
/// use glassbox_cpu::{Contraction, Operation, Simd};
/// use glassbox_engine::geometry::{Geometry, GeometrySpec};
///
/// // y[t] = x[t] + 10 x[t + 1] of one channel
/// let geometry = Geometry::new(GeometrySpec {
///     in_steps: 3, in_channels: 1, out_steps: 2, out_channels: 1, taps: 2, stride: 1, dilation: 1, pad_left: 0,
/// })?;
/// let mut apply = Contraction::new(Simd::choose()?, Operation::Apply, &geometry)?;
/// apply.set_x(&[1.0, 2.0, 3.0]);
/// apply.set_kernel(&[1.0, 10.0]);
/// apply.run();
/// assert_eq!(apply.result(), [21.0, 32.0]);
/// # Ok::<(), glassbox_engine::Error>(())
/// ```
#[derive(Debug)]
pub struct Contraction {
    geometry: Geometry,
    plan: Plan,
    x: Aligned,
    x_slot: Slot,
    /// The other signal of a correlation.
    y: Aligned,
    result: Aligned,
    epilogue: Epilogue,
}

/// Checks that there is memory for operands of these lengths.
fn require_room(operation: Operation, lens: [usize; 3]) -> Result<()> {
    let bytes = sum(&lens.map(Some)).and_then(|values| product(&[values, size_of::<f32>()]));
    require(operation.name(), bytes, "lower the steps, channels, taps or dilation of the geometry")
}

#[derive(Debug)]
enum Plan {
    Products(Products),
    Correlate(Correlate),
}

impl Contraction {
    /// Plans a contraction. All operands are zero, and the epilogue is empty.
    ///
    /// # Errors
    /// If the processor does not support the path, or there is not enough memory for the operands.
    pub fn new(simd: Simd, operation: Operation, geometry: &Geometry) -> Result<Self> {
        let simd = simd.require_available()?;
        // First only the signals and the kernel, because finding the margins takes a loop over the taps.
        let lens = [geometry.input().len(), geometry.output().len(), geometry.kernel_len()];
        require_room(operation, lens)?;
        let pad_left = geometry.pad_left;
        let (margins, shape, result) = match operation {
            Operation::Apply => ((pad_left, geometry.pad_right()), geometry.input(), geometry.output().len()),
            Operation::ApplyTransposed => {
                (transposed_margins(geometry), geometry.output(), geometry.input().len())
            }
            Operation::Correlate => {
                ((pad_left, geometry.pad_right()), geometry.input(), geometry.kernel_len())
            }
        };
        let (left, right) = margins;
        let x_slot = Slot { steps: shape.steps, channels: shape.channels, left, right };
        require_room(operation, [x_slot.len(), lens[1].max(lens[0]), lens[2]])?;
        let (plan, y) = match operation {
            Operation::Apply => (Plan::Products(apply::plan(simd, geometry, left)), 0),
            Operation::ApplyTransposed => (Plan::Products(apply_transposed::plan(simd, geometry, left)), 0),
            Operation::Correlate => {
                let transposed = prefers_transposed(simd, geometry);
                let correlate = Correlate::new(simd, geometry, left, transposed);
                (Plan::Correlate(correlate), geometry.output().len())
            }
        };
        Ok(Self {
            geometry: *geometry,
            plan,
            x: Aligned::zeros(x_slot.len(), x_slot.interior().start),
            x_slot,
            y: Aligned::zeros(y, 0),
            result: Aligned::zeros(result, 0),
            epilogue: Epilogue::default(),
        })
    }

    /// The geometry of A.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Sets the signal x, row by row.
    ///
    /// # Panics
    /// If the length is wrong.
    pub fn set_x(&mut self, x: &[f32]) {
        self.x[self.x_slot.interior()].copy_from_slice(x);
    }

    /// Sets the other signal of a correlation, row by row.
    ///
    /// # Panics
    /// If the length is wrong, or this is not a correlation.
    pub fn set_y(&mut self, y: &[f32]) {
        self.y.copy_from_slice(y);
    }

    /// Sets and packs the kernel, `(taps, in, out)`. A correlation has none.
    ///
    /// # Panics
    /// If the length is wrong.
    pub fn set_kernel(&mut self, kernel: &[f32]) {
        assert_eq!(kernel.len(), self.geometry.kernel_len(), "the kernel of {:?}", self.geometry);
        if let Plan::Products(products) = &mut self.plan {
            products.pack(kernel);
        }
    }

    /// Sets the epilogue. A correlation has none.
    ///
    /// # Panics
    /// If an operand is too short.
    pub fn set_epilogue(&mut self, mut epilogue: Epilogue) {
        if let Some((_, mask)) = &mut epilogue.dropout {
            mask.resize(mask_words(self.result.len()), 0);
        }
        self.epilogue = epilogue;
    }

    /// Fills the result with a value. A correlation then adds to it.
    pub fn fill(&mut self, value: f32) {
        self.result.fill(value);
    }

    /// Runs the contraction: overwrites the result or, for a correlation, adds to it.
    pub fn run(&mut self) {
        match &self.plan {
            Plan::Products(products) => {
                let Epilogue { bias, relu, dropout, gate } = &self.epilogue;
                let epilogue = epilogue::Epilogue {
                    bias: bias.as_deref(),
                    relu: *relu,
                    dropout: dropout.as_ref().map(|(rate, mask)| (&mask[..], (1.0 / (1.0 - rate)) as f32)),
                    gate: gate.as_deref(),
                };
                products.run(None, &self.x, &mut self.result, &epilogue);
            }
            Plan::Correlate(correlate) => correlate.run(&self.x, &self.y, &mut self.result),
        }
    }

    /// The result: a signal row by row, or a kernel `(taps, in, out)`.
    #[must_use]
    pub fn result(&self) -> Vec<f32> {
        let mut result = self.result.to_vec();
        if let Plan::Correlate(correlate) = &self.plan {
            correlate.untranspose(&self.result, &mut result);
        }
        result
    }
}
