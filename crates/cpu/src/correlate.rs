//! Contraction 3, `dkernel += correlate(x, y)`, as a sum of outer products.
//!
//! It is the view of the padded input that [`apply`](crate::apply) multiplies with the kernel, transposed, times the
//! signal on the output side:
//!
//! ```text
//! dkernel[(tap, c), o] += sum over t of  x_view[t, (tap, c)] y[t, o]
//! ```
//!
//! Vectors run along the rows of `dkernel` or, if that fills them better, along its columns: 16 output channels are one
//! vector of AVX-512, 112 taps x channels are seven. The sums are then kept **transposed**, `(out, taps x in)`, and
//! transposed back once per batch ([`Correlate::untranspose`]).
//!
//! With dilation there is one product per tap.
//!
//! Reference: [`glassbox_engine::reference::correlate`].

use glassbox_engine::geometry::{Geometry, GeometrySpec};

use crate::gemm::{Sizes, View, gemm};
use crate::kernels::outer::{self, Outer, outer};
use crate::simd::{Isa, Simd};

/// A planned `dkernel += correlate(x, y)`.
#[derive(Debug, Clone)]
pub(crate) struct Correlate {
    isa: Option<Isa>,
    geometry: Geometry,
    /// Offset of the first row of the view in x.
    x_first: usize,
    /// True if the sums are stored as `(out, taps x in)`.
    transposed: bool,
}

/// Returns true if the transposed sums are cheaper.
pub(crate) fn prefers_transposed(simd: Simd, geometry: &Geometry) -> bool {
    let (_, rows) = pieces(geometry);
    let columns = geometry.out_channels;
    Isa::new(simd).is_some_and(|isa| outer::cost(isa, columns, rows) < outer::cost(isa, rows, columns))
}

/// The number of products, and the number of values of a row of x in each.
fn pieces(geometry: &Geometry) -> (usize, usize) {
    match geometry.dilation {
        1 => (1, geometry.taps * geometry.in_channels),
        _ => (geometry.taps, geometry.in_channels),
    }
}

impl Correlate {
    /// Plans a correlation for an `x` with `left` zero rows before it.
    pub(crate) fn new(simd: Simd, geometry: &Geometry, left: usize, transposed: bool) -> Self {
        let x_first = (left - geometry.pad_left) * geometry.in_channels;
        Self { isa: Isa::new(simd), geometry: *geometry, x_first, transposed }
    }

    /// Adds to the sums. `x` has the margins of the plan, `y` has none.
    pub(crate) fn run(&self, x: &[f32], y: &[f32], sums: &mut [f32]) {
        let GeometrySpec { in_channels, out_channels, out_steps, taps, stride, dilation, .. } =
            *self.geometry;
        let (pieces, values) = pieces(&self.geometry);
        for piece in 0..pieces {
            let x = &x[self.x_first + piece * dilation * in_channels..];
            let x_row = stride * in_channels;
            match self.isa {
                Some(isa) if self.transposed => {
                    let shape = Outer {
                        steps: out_steps,
                        rows: out_channels,
                        a_row: out_channels,
                        columns: values,
                        v_row: x_row,
                        d_row: taps * in_channels,
                    };
                    outer(isa, &shape, y, x, &mut sums[piece * in_channels..]);
                }
                Some(isa) => {
                    let shape = Outer {
                        steps: out_steps,
                        rows: values,
                        a_row: x_row,
                        columns: out_channels,
                        v_row: out_channels,
                        d_row: out_channels,
                    };
                    outer(isa, &shape, x, y, &mut sums[piece * in_channels * out_channels..]);
                }
                None => {
                    let sizes = Sizes { m: values, k: out_steps, n: out_channels };
                    let x_view = View { offset: 0, row: 1, column: x_row };
                    let y_view = View { offset: 0, row: out_channels, column: 1 };
                    let offset = piece * in_channels * out_channels;
                    let sums_view = View { offset, row: out_channels, column: 1 };
                    gemm(sizes, (x, x_view), (y, y_view), 1.0, (sums, sums_view));
                }
            }
        }
    }

    /// Writes the sums to `dkernel` in the layout of a kernel, `(taps, in, out)`.
    pub(crate) fn untranspose(&self, sums: &[f32], dkernel: &mut [f32]) {
        if !self.transposed {
            return dkernel.copy_from_slice(sums);
        }
        let GeometrySpec { out_channels, .. } = *self.geometry;
        let row = sums.len() / out_channels;
        for (i, dkernel) in dkernel.chunks_exact_mut(out_channels).enumerate() {
            for (o, value) in dkernel.iter_mut().enumerate() {
                *value = sums[o * row + i];
            }
        }
    }
}
