//! Contraction 1, `y = A x`, as one matrix product.
//!
//! Row t of the padded input, seen as `taps x in_channels` values from `t stride` on, times the kernel as
//! a matrix of `taps x in_channels` rows:
//!
//! ```text
//!          taps * in            out              out
//!        +-----------+        +-----+          +-----+
//!  steps |  x view   |  taps* | ker |   steps  |  y  |      row t of the view starts at
//!        |           |    in  | nel |  =       |     |      x_padded[t * stride, 0]
//!        +-----------+        +-----+          +-----+
//! ```
//!
//! With dilation the taps of a row do not lie together: then a row is a run for each tap.
//!
//! Reference: [`glassbox_engine::reference::apply`].

use glassbox_engine::geometry::Geometry;

use crate::kernels::rows::Rows;
use crate::product::{Product, Products, Source};
use crate::simd::Simd;

/// Plans `y = A x` for an `x` with `left` zero rows before it.
pub(crate) fn plan(simd: Simd, geometry: &Geometry, left: usize) -> Products {
    let Geometry { in_channels, out_channels, out_steps, taps, stride, dilation, pad_left, .. } = *geometry;
    let rows = Rows {
        rows: out_steps,
        x_row: stride * in_channels,
        groups: taps,
        len: in_channels,
        group: dilation * in_channels,
        y_first: 0,
        y_row: out_channels,
    };
    let source = Source {
        taps: (0..taps).collect(),
        tap_len: in_channels * out_channels,
        terms: (in_channels, out_channels),
        column: 1,
    };
    let x_first = (left - pad_left) * in_channels;
    Products::new(vec![Product::new(simd, rows, x_first, out_channels, source)])
}
