//! Recurrent cells: what an LSTM and a GRU compute at each step.
//!
//! z is the part of a step that does not depend on the step before: `x W + b`. h is the hidden state, u units long, U
//! the recurrent kernel, `(u, gates x u)`, S the `recurrent_activation` and T the `activation`. Before the first step h
//! and c are zero. Products of two vectors are element by element.
//!
//! **LSTM** (Hochreiter and Schmidhuber, *Long short-term memory*, 1997; the forget gate is that of Gers,
//! Schmidhuber and Cummins, 2000). Four gates, in Keras's order:
//!
//! ```text
//! i = S(z_i + h U_i)      input gate          c = f c + i c~     cell state
//! f = S(z_f + h U_f)      forget gate         h = o T(c)         hidden state
//! c~ = T(z_c + h U_c)     candidate
//! o = S(z_o + h U_o)      output gate
//! ```
//!
//! **GRU** (Cho et al., [2014](https://arxiv.org/abs/1406.1078)). Three gates. With `reset_after`, the reset gate acts
//! on the recurrent product, which has a bias of its own, and b is two rows (the form of cuDNN); without, it acts on
//! the state:
//!
//! ```text
//! q = S(z_q + h U_q)      update gate         with reset_after:   s = h U_c + b_c,  c~ = T(z_c + r s)
//! r = S(z_r + h U_r)      reset gate          without:            s = r h,          c~ = T(z_c + s U_c)
//! h = q h + (1 - q) c~    hidden state
//! ```
//!
//! # The trace
//! All that happens in a recurrence is one value, its **trace**, of as many steps as the recurrence. Its channels are
//! parts of u channels each, side by side:
//!
//! | | | | | | | |
//! |---|---|---|---|---|---|---|
//! | LSTM | i | f | c~ | o | c | h |
//! | GRU | q | r | c~ | s | h | |
//!
//! An activation function whose derivative needs its input ([`Residual::Input`]) adds the inputs of all gates, in the
//! same order.

use std::fmt;
use std::ops::Range;

use crate::activations::{Activation, Residual};
use crate::error::Result;
use crate::geometry::{Geometry, GeometrySpec};
use crate::index_map::IndexMap;
use crate::shape::Shape;

/// A recurrent cell: the computation of one step of a recurrence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// The equations.
    pub kind: Kind,
    /// Length of the hidden state, at least 1.
    pub units: usize,
    /// T: the function of the candidate and of an LSTM's cell state.
    pub activation: Activation,
    /// S: the function of the gates.
    pub recurrent_activation: Activation,
}

/// The equations of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent unit.
    Gru {
        /// If true, the reset gate acts on the recurrent product, else on the state.
        reset_after: bool,
    },
}

/// The steps of which a recurrence returns the hidden state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    /// All steps: `(steps, units)`.
    All,
    /// The last step: `(units)`.
    Last,
}

impl Returned {
    /// The index map that takes these hidden states out of a trace of `steps` steps.
    #[must_use]
    pub fn of(self, cell: &Cell, steps: usize) -> IndexMap {
        let trace = Shape::new(steps, cell.trace_channels());
        match self {
            Self::All => IndexMap::part(trace, 0..steps, cell.hidden()),
            Self::Last => IndexMap::part(trace, steps - 1..steps, cell.hidden()).flattened(),
        }
    }
}

impl Cell {
    /// The number of gates, the candidate among them.
    #[must_use]
    pub fn gates(&self) -> usize {
        match self.kind {
            Kind::Lstm => 4,
            Kind::Gru { .. } => 3,
        }
    }

    /// The function of gate number `gate`.
    #[must_use]
    pub fn function(&self, gate: usize) -> Activation {
        // The candidate is the third gate of both.
        if gate == 2 { self.activation } else { self.recurrent_activation }
    }

    /// The channels of z, and columns of the recurrent kernel.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.gates() * self.units
    }

    /// Returns true if the recurrence adds the bias, because it is two rows: `(2, columns)`, first that of z.
    #[must_use]
    pub fn reset_after(&self) -> bool {
        self.kind == Kind::Gru { reset_after: true }
    }

    /// Returns true if the trace holds the inputs of the gates.
    #[must_use]
    pub fn keeps_inputs(&self) -> bool {
        [self.activation, self.recurrent_activation].iter().any(|f| f.residual() == Residual::Input)
    }

    /// The channels of the trace.
    #[must_use]
    pub fn trace_channels(&self) -> usize {
        let inputs = if self.keeps_inputs() { self.columns() } else { 0 };
        self.hidden().end + inputs
    }

    /// The channels of part number `part` of the trace.
    #[must_use]
    pub fn part(&self, part: usize) -> Range<usize> {
        part * self.units..(part + 1) * self.units
    }

    /// The channels of the hidden state in the trace.
    #[must_use]
    pub fn hidden(&self) -> Range<usize> {
        self.part(self.gates() + 1)
    }

    /// The channels of the gradient that a [`RecurGradient`](crate::program::Instruction::RecurGradient) stores: the
    /// gradient of z and, if the bias is two rows, next to it that of `h U + b`.
    #[must_use]
    pub fn gradient_channels(&self) -> usize {
        if self.reset_after() { 2 * self.columns() } else { self.columns() }
    }

    /// The product of `steps` steps of `channels` channels with a kernel of the cell: a convolution of one tap. With
    /// `pad_left` 1, each step meets the one before.
    ///
    /// # Errors
    /// If the kernel or the gates of all steps are larger than any memory.
    pub(crate) fn product(&self, channels: usize, steps: usize, pad_left: usize) -> Result<Geometry> {
        Geometry::new(GeometrySpec {
            in_steps: steps,
            in_channels: channels,
            out_steps: steps,
            out_channels: self.columns(),
            taps: 1,
            stride: 1,
            dilation: 1,
            pad_left,
        })
    }

    /// Multiply-adds of all products with U in `steps` steps. The state before the first step is zero.
    pub(crate) fn multiply_adds(&self, steps: usize) -> usize {
        steps.saturating_sub(1) * self.units * self.columns()
    }

    /// The steps whose hidden states a gradient of shape `gradient` belongs to, in a recurrence of `steps` steps.
    pub(crate) fn returned(&self, gradient: Shape, steps: usize) -> Returned {
        if gradient.steps == steps { Returned::All } else { Returned::Last }
    }
}

/// Shows the equations and, if they are not Keras's default, the functions: `lstm(relu, sigmoid)`.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Lstm => "lstm",
            Kind::Gru { reset_after: true } => "gru",
            Kind::Gru { reset_after: false } => "gru_reset_before",
        })?;
        match (self.activation, self.recurrent_activation) {
            (Activation::Tanh, Activation::Sigmoid) => Ok(()),
            (activation, recurrent) => write!(f, "({activation}, {recurrent})"),
        }
    }
}
