//! Contraction 2, `y = A^T x`, as one matrix product for each phase.
//!
//! Rows of y with the same remainder modulo the stride meet the same taps ([`phases`]). Among these rows, A^T is a
//! convolution with stride 1 whose taps run backwards:
//!
//! ```text
//! stride 2, 7 taps:    even rows of y  <-  taps 6 4 2 0        odd rows of y  <-  taps 5 3 1
//!
//!   row q of the phase, channel c  =  sum over j, o of  x[start + j apart + q, o] kernel[taps[j], c, o]
//! ```
//!
//! So row q of the view of x starts one row after row q - 1. The kernel is packed tap by tap in the order of the phase,
//! each tap transposed to `(out, in)`. A phase that no tap reaches is an empty sum. With few channels, neighbouring
//! rows may be computed as one, across phases ([`band`](crate::band)).
//!
//! Reference: [`glassbox_engine::reference::apply_transposed`].

use glassbox_engine::geometry::{Geometry, GeometrySpec};

use crate::band::{Band, Phase};
use crate::layout::phases;
use crate::product::{Products, Tap};
use crate::simd::Simd;

/// Plans `y = A^T x` for an `x` with `left` zero rows before it.
pub(crate) fn plan(simd: Simd, geometry: &Geometry, left: usize) -> Products {
    band(geometry, left).plan(simd)
}

/// The operands of the rows of y.
pub(crate) fn band(geometry: &Geometry, left: usize) -> Band {
    let GeometrySpec { in_steps, in_channels, out_channels, .. } = **geometry;
    let phase = |phase: crate::layout::Phase| Phase {
        x_first: left.checked_add_signed(phase.start).expect("zero rows before x") * out_channels,
        taps: phase.taps,
        group: phase.apart * out_channels,
    };
    let tap = Tap { terms: (out_channels, 1), column: out_channels, columns: in_channels };
    let phases = phases(geometry).into_iter().map(phase).collect();
    Band { rows: in_steps, x_row: out_channels, tap, phases }
}
