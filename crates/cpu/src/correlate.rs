//! Contraction 3, `dkernel += correlate(x, y)`, as one matrix product.
//!
//! The view of the padded input that [`apply`](crate::apply) multiplies with the kernel, transposed, times
//! the signal on the output side:
//!
//! ```text
//! dkernel[(tap, c), o] += sum over t of  x_view[t, (tap, c)] y[t, o]
//! ```
//!
//! With dilation it is one product a tap.
//!
//! Reference: [`glassbox_engine::reference::correlate`].

use glassbox_engine::geometry::Geometry;

use crate::gemm::{Product, View, gemm};
use crate::layout::Slot;

/// `dkernel += correlate(x, y)`.
pub(crate) fn correlate(
    geometry: &Geometry,
    (x, x_slot): (&[f32], Slot),
    (y, y_slot): (&[f32], Slot),
    dkernel: &mut [f32],
) {
    let Geometry { in_channels, out_channels, out_steps, taps, stride, dilation, pad_left, .. } = *geometry;
    let start = (x_slot.left - pad_left) * in_channels;
    let y_view = View { offset: y_slot.interior().start, row: out_channels, column: 1 };
    let (pieces, m) = if dilation == 1 { (1, taps * in_channels) } else { (taps, in_channels) };
    for piece in 0..pieces {
        let offset = start + piece * dilation * in_channels;
        let x_view = View { offset, row: 1, column: stride * in_channels };
        let kernel_view = View { offset: piece * in_channels * out_channels, row: out_channels, column: 1 };
        let product = Product { m, k: out_steps, n: out_channels };
        gemm(product, (x, x_view), (y, y_view), 1.0, (dkernel, kernel_view));
    }
}
