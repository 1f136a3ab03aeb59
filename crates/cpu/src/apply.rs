//! Contraction 1, `y = A x`, as one matrix product.
//!
//! The left factor is a view of the padded input: row t is `taps x in_channels` values from step `t stride` on. The
//! right factor is the kernel as a matrix of `taps x in_channels` rows:
//!
//! ```text
//!          taps * in            out              out
//!        +-----------+        +-----+          +-----+
//!  steps |  x view   |  taps* | ker |   steps  |  y  |      row t of the view starts at
//!        |           |    in  | nel |  =       |     |      x_padded[t * stride, 0]
//!        +-----------+        +-----+          +-----+
//! ```
//!
//! With dilation the taps of a row are not neighbours: then a row has one run per tap. With few channels, neighbouring
//! rows may be computed as one ([`band`](crate::band)).
//!
//! Reference: [`glassbox_engine::reference::apply`].

use glassbox_engine::geometry::{Geometry, GeometrySpec};

use crate::band::{Band, Phase};
use crate::product::{Products, Tap};
use crate::simd::Simd;

/// Plans `y = A x` for an `x` with `left` zero rows before it.
pub(crate) fn plan(simd: Simd, geometry: &Geometry, left: usize) -> Products {
    band(geometry, left).plan(simd)
}

/// The operands of the rows of y.
pub(crate) fn band(geometry: &Geometry, left: usize) -> Band {
    let GeometrySpec { in_channels, out_channels, out_steps, taps, stride, dilation, pad_left, .. } =
        **geometry;
    let phase = Phase {
        x_first: (left - pad_left) * in_channels,
        taps: (0..taps).collect(),
        group: dilation * in_channels,
    };
    let tap = Tap { terms: (in_channels, out_channels), column: 1, columns: out_channels };
    Band { rows: out_steps, x_row: stride * in_channels, tap, phases: vec![phase] }
}
