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
//! With dilation the taps of a row do not lie together: then it is one product a tap.
//!
//! Reference: [`glassbox_engine::reference::apply`].

use glassbox_engine::geometry::Geometry;

use crate::gemm::{Product, View, gemm};
use crate::layout::Slot;

/// `y = A x`; the interior of `y` is overwritten.
pub(crate) fn apply(
    geometry: &Geometry,
    (x, x_slot): (&[f32], Slot),
    kernel: &[f32],
    (y, y_slot): (&mut [f32], Slot),
) {
    let Geometry { in_channels, out_channels, out_steps, taps, stride, dilation, pad_left, .. } = *geometry;
    let start = (x_slot.left - pad_left) * in_channels;
    let y_view = View { offset: y_slot.interior().start, row: out_channels, column: 1 };
    let (pieces, k) = if dilation == 1 { (1, taps * in_channels) } else { (taps, in_channels) };
    for piece in 0..pieces {
        let offset = start + piece * dilation * in_channels;
        let x_view = View { offset, row: stride * in_channels, column: 1 };
        let kernel_view = View { offset: piece * in_channels * out_channels, row: out_channels, column: 1 };
        let beta = if piece == 0 { 0.0 } else { 1.0 };
        let product = Product { m: out_steps, k, n: out_channels };
        gemm(product, (x, x_view), (kernel, kernel_view), beta, (y, y_view));
    }
}
