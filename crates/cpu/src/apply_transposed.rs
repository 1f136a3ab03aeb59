//! Contraction 2, `y = A^T x`, as one matrix product for each phase.
//!
//! Rows of y with the same remainder modulo the stride meet the same taps ([`phases`]); among them A^T is a
//! convolution with stride 1, whose taps run backwards:
//!
//! ```text
//! stride 2, 7 taps:    even rows of y  <-  taps 6 4 2 0        odd rows of y  <-  taps 5 3 1
//!
//!   row q of the phase, channel c  =  sum over j, o of  x[start + j apart + q, o] kernel[taps[j], c, o]
//! ```
//!
//! So row q of the view of x starts one row after row q - 1, and the kernel is packed tap by tap in the order
//! of the phase, each transposed to `(out, in)`. A phase that no tap reaches is an empty sum.
//!
//! Reference: [`glassbox_engine::reference::apply_transposed`].

use glassbox_engine::geometry::Geometry;

use crate::kernels::rows::Rows;
use crate::layout::phases;
use crate::product::{Product, Products, Source};
use crate::simd::Simd;

/// Plans `y = A^T x` for an `x` with `left` zero rows before it.
pub(crate) fn plan(simd: Simd, geometry: &Geometry, left: usize) -> Products {
    let Geometry { in_channels, out_channels, stride, .. } = *geometry;
    let product = |phase: crate::layout::Phase| {
        let rows = Rows {
            rows: phase.rows,
            x_row: out_channels,
            groups: phase.taps.len(),
            len: out_channels,
            group: phase.apart * out_channels,
            y_first: phase.row * in_channels,
            y_row: stride * in_channels,
        };
        let x_first = left.checked_add_signed(phase.start).expect("zero rows before x") * out_channels;
        let source = Source {
            taps: phase.taps,
            tap_len: in_channels * out_channels,
            terms: (out_channels, 1),
            column: out_channels,
        };
        Product::new(simd, rows, x_first, in_channels, source)
    };
    Products::new(phases(geometry).into_iter().map(product).collect())
}
