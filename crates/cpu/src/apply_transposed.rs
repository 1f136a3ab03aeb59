//! Contraction 2, `y = A^T x`, as one matrix product for each phase.
//!
//! Rows of y with the same remainder modulo the stride meet the same taps ([`Phase`]); among them A^T is a
//! convolution with stride 1, whose taps run backwards:
//!
//! ```text
//! stride 2, 7 taps:    even rows of y  <-  taps 0 2 4 6        odd rows of y  <-  taps 1 3 5
//!
//!   y[2 q + first - pad_left, c] = sum over j, o of  x[q - j, o] kernel[first + j stride, c, o]
//! ```
//!
//! Rows `q - (taps - 1) .. q` of x lie together, oldest first, so the taps of a phase are packed in reverse,
//! each transposed to `(out, in)`. Packing is done once for a training step.
//!
//! With dilation a phase has gaps: then each tap adds its product to the rows that it meets.
//!
//! Reference: [`glassbox_engine::reference::apply_transposed`].

use glassbox_engine::geometry::Geometry;

use crate::gemm::{Product, View, gemm};
use crate::layout::{Phase, Slot, phases};

/// Writes the kernel as [`apply_transposed`] reads it: for each phase `taps x out` rows of `in` values. As
/// long as the kernel.
pub(crate) fn pack(geometry: &Geometry, kernel: &[f32], packed: &mut [f32]) {
    let Geometry { in_channels, out_channels, stride, .. } = *geometry;
    if geometry.dilation > 1 {
        packed.copy_from_slice(kernel);
        return;
    }
    let taps =
        phases(geometry).flat_map(|phase| (0..phase.taps).rev().map(move |j| phase.first + j * stride));
    let size = in_channels * out_channels;
    for (tap, packed) in taps.zip(packed.chunks_exact_mut(size)) {
        let kernel = &kernel[tap * size..][..size];
        for (o, row) in packed.chunks_exact_mut(in_channels).enumerate() {
            for (c, packed) in row.iter_mut().enumerate() {
                *packed = kernel[c * out_channels + o];
            }
        }
    }
}

/// `y = A^T x`; the interior of `y` is overwritten. `packed` is what [`pack`] wrote.
pub(crate) fn apply_transposed(
    geometry: &Geometry,
    x: (&[f32], Slot),
    packed: &[f32],
    (y, y_slot): (&mut [f32], Slot),
) {
    if geometry.dilation > 1 {
        return scatter_taps(geometry, x, packed, (y, y_slot));
    }
    let (x, x_slot) = x;
    let Geometry { in_channels, out_channels, stride, .. } = *geometry;
    let mut packed_taps = 0;
    for phase in phases(geometry) {
        let Phase { taps, quotient, row, rows, .. } = phase;
        let y_view = View {
            offset: y_slot.interior().start + row * in_channels,
            row: stride * in_channels,
            column: 1,
        };
        if taps == 0 {
            for row in 0..rows {
                y[y_view.offset + row * y_view.row..][..in_channels].fill(0.0);
            }
            continue;
        }
        // Row `quotient - (taps - 1)` of x, which may be one of the zero rows before it.
        let offset = (x_slot.left + quotient + 1 - taps) * out_channels;
        let x_view = View { offset, row: out_channels, column: 1 };
        let kernel_view =
            View { offset: packed_taps * in_channels * out_channels, row: in_channels, column: 1 };
        let product = Product { m: rows, k: taps * out_channels, n: in_channels };
        gemm(product, (x, x_view), (packed, kernel_view), 0.0, (y, y_view));
        packed_taps += taps;
    }
}

fn scatter_taps(
    geometry: &Geometry,
    (x, x_slot): (&[f32], Slot),
    kernel: &[f32],
    (y, y_slot): (&mut [f32], Slot),
) {
    let Geometry { in_channels, out_channels, stride, dilation, pad_left, .. } = *geometry;
    y[y_slot.interior()].fill(0.0);
    for tap in 0..geometry.taps {
        let steps = geometry.out_range(tap);
        if steps.is_empty() {
            continue;
        }
        let row = steps.start * stride + tap * dilation - pad_left;
        let x_view = View {
            offset: x_slot.interior().start + steps.start * out_channels,
            row: out_channels,
            column: 1,
        };
        let kernel_view = View { offset: tap * in_channels * out_channels, row: 1, column: out_channels };
        let y_view = View {
            offset: y_slot.interior().start + row * in_channels,
            row: stride * in_channels,
            column: 1,
        };
        let product = Product { m: steps.len(), k: out_channels, n: in_channels };
        gemm(product, (x, x_view), (kernel, kernel_view), 1.0, (y, y_view));
    }
}
