//! A planned matrix product.
//!
//! Both directions of a convolution consist of such products ([`band`](crate::band)):
//!
//! ```text
//! y[r, n] = epilogue( sum over g, k of  x[r x_row + g group + k]  kernel term (g, k), n )
//! ```
//!
//! The kernel is packed into [panels](crate::panels), each of a few neighbouring columns, in the order in which its
//! micro-kernel reads it. Packing happens once per training step and costs as much as reading the weights.

use std::ops::Range;

use crate::gemm::{Sizes, View, gemm};
use crate::kernels::dot::dot;
use crate::kernels::epilogue::Epilogue;
use crate::kernels::rows::{Columns, Rows, rows};
use crate::layout::Aligned;
use crate::panels::{Kernel, Panel};
use crate::passes;

/// Maximum number of columns of a block of rows.
pub(crate) const MOST_BLOCK_COLUMNS: usize = 64;

/// A run of terms: its tap in the convolution's kernel, `(taps, in, out)`, and its place in the product's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) tap: usize,
    /// Index, among the rows of y that one row of the product computes, of the row that the run belongs to.
    pub(crate) row: usize,
    /// Index of its first term.
    pub(crate) term: usize,
}

/// The layout of one tap of the convolution's kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tap {
    /// Number of terms of a run, and their distance.
    pub(crate) terms: (usize, usize),
    /// Distance between columns.
    pub(crate) column: usize,
    /// Number of columns of a row of y.
    pub(crate) columns: usize,
}

impl Tap {
    /// The number of values in a tap.
    fn len(&self) -> usize {
        self.terms.0 * self.columns
    }
}

/// A planned product.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    /// The layout of its rows, and the offset of the first of them in x. There is more than one piece if the last rows
    /// overlap those before.
    pub(crate) pieces: Vec<(Rows, usize)>,
    /// Number of rows of y in one row of the product.
    pub(crate) block: usize,
    pub(crate) tap: Tap,
    pub(crate) runs: Vec<Run>,
    pub(crate) panels: Vec<Panel>,
}

impl Product {
    /// The length of the packed kernel.
    pub(crate) fn packed_len(&self) -> usize {
        self.panels.last().map_or(0, |panel| panel.b.end)
    }

    /// The number of columns.
    fn columns(&self) -> usize {
        self.block * self.tap.columns
    }

    /// Packs the kernel for [`Product::run`]. `packed` starts as zeros; values that are not written stay zero.
    pub(crate) fn pack(&self, kernel: &[f32], packed: &mut [f32]) {
        for panel in &self.panels {
            let packed = &mut packed[panel.b.clone()];
            // The closure gives the place of term number `term` of column `column`.
            match panel.kernel {
                Kernel::Rows { isa, vectors } => self.pack_panel(kernel, panel.columns, packed, {
                    let row = vectors * isa.width();
                    move |term, column| term * row + column
                }),
                Kernel::MatrixMultiply => self.pack_panel(kernel, panel.columns, packed, {
                    let row = self.columns();
                    move |term, column| term * row + column
                }),
                Kernel::Dot { isa } => self.pack_panel(kernel, panel.columns, packed, {
                    let Rows { groups, len, .. } = self.pieces[0].0;
                    let run = len.next_multiple_of(isa.width());
                    move |term, column| (column * groups + term / len) * run + term % len
                }),
            }
        }
    }

    fn pack_panel(
        &self,
        kernel: &[f32],
        panel: Columns,
        packed: &mut [f32],
        at: impl Fn(usize, usize) -> usize,
    ) {
        let Tap { terms: (terms, apart), column, columns } = self.tap;
        for run in &self.runs {
            let kernel = &kernel[run.tap * self.tap.len()..];
            // The columns of the panel that belong to this row of y.
            let first = panel.first.max(run.row * columns);
            let end = (panel.first + panel.count).min((run.row + 1) * columns);
            for term in 0..terms {
                for c in first..end {
                    let value = kernel[term * apart + (c - run.row * columns) * column];
                    packed[at(run.term + term, c - panel.first)] = value;
                }
            }
        }
    }

    /// The rows of y that row `row` of a piece computes: the first of them, and the one after the last.
    fn rows_of_y(&self, piece: &Rows, row: usize) -> Range<usize> {
        let first = (piece.y_first + row * piece.y_row) / self.tap.columns;
        first..first + self.block
    }

    /// The rows of a piece that compute any of `rows` of y.
    fn rows_for(&self, piece: &Rows, rows: &Range<usize>) -> Range<usize> {
        let (first, distance) = (piece.y_first / self.tap.columns, piece.y_row / self.tap.columns);
        // Row r computes `first + r distance ..+ block`.
        let start = (rows.start + 1).saturating_sub(first + self.block).div_ceil(distance);
        let end = rows.end.saturating_sub(first).div_ceil(distance).min(piece.rows);
        start.min(end)..end
    }

    /// Computes `rows` of y or all, which are overwritten, and those that are in a block with them. `x` has the margins of
    /// the plan, `y` has none, and `packed` is the output of [`Product::pack`].
    fn run(
        &self,
        rows: Option<&Range<usize>>,
        x: &[f32],
        packed: &[f32],
        y: &mut [f32],
        epilogue: &Epilogue<'_>,
    ) {
        let mut repeated = [0.0; MOST_BLOCK_COLUMNS];
        let mut epilogue = *epilogue;
        if let (2.., Some(bias)) = (self.block, epilogue.bias) {
            for row in repeated.chunks_exact_mut(self.tap.columns).take(self.block) {
                row.copy_from_slice(&bias[..self.tap.columns]);
            }
            epilogue.bias = Some(&repeated[..self.columns()]);
        }
        for (piece, x_first) in &self.pieces {
            let Some(rows) = rows else {
                self.run_piece(piece, &x[*x_first..], packed, y, &epilogue);
                continue;
            };
            let rows = self.rows_for(piece, rows);
            if !rows.is_empty() {
                let x = &x[x_first + rows.start * piece.x_row..];
                let y_first = piece.y_first + rows.start * piece.y_row;
                let part = Rows { rows: rows.len(), y_first, ..*piece };
                self.run_piece(&part, x, packed, y, &epilogue);
            }
        }
    }

    fn run_piece(&self, piece: &Rows, x: &[f32], packed: &[f32], y: &mut [f32], epilogue: &Epilogue<'_>) {
        for panel in &self.panels {
            let b = &packed[panel.b.clone()];
            match panel.kernel {
                Kernel::Rows { isa, vectors } => {
                    rows(isa, piece, (panel.columns, vectors), x, b, y, epilogue);
                }
                Kernel::Dot { isa } => dot(isa, piece, panel.columns, x, b, y, epilogue),
                Kernel::MatrixMultiply => run_gemm(piece, self.columns(), x, b, y, epilogue),
            }
        }
    }
}

/// Computes the product by `matrixmultiply`, then applies the epilogue as a pass over the rows.
fn run_gemm(piece: &Rows, columns: usize, x: &[f32], b: &[f32], y: &mut [f32], epilogue: &Epilogue<'_>) {
    let Rows { rows, x_row, groups, len, group, y_first, y_row } = *piece;
    let y_view = View { offset: y_first, row: y_row, column: 1 };
    let sizes = Sizes { m: rows, k: len, n: columns };
    for g in 0..groups {
        let x_view = View { offset: g * group, row: x_row, column: 1 };
        let b_view = View { offset: g * len * columns, row: columns, column: 1 };
        gemm(sizes, (x, x_view), (b, b_view), if g == 0 { 0.0 } else { 1.0 }, (y, y_view));
    }
    for row in 0..rows {
        let first = y_first + row * y_row;
        if groups == 0 {
            y[first..][..columns].fill(0.0);
        }
        passes::row(&mut y[first..][..columns], first, epilogue);
    }
}

/// All products of `apply` or `apply_transposed`, with the packed kernel.
#[derive(Debug)]
pub(crate) struct Products {
    products: Vec<Product>,
    packed: Aligned,
}

impl Products {
    pub(crate) fn new(products: Vec<Product>) -> Self {
        let len = products.iter().map(Product::packed_len).sum();
        Self { products, packed: Aligned::zeros(len, 0) }
    }

    /// Packs a kernel `(taps, in, out)`.
    pub(crate) fn pack(&mut self, kernel: &[f32]) {
        let mut rest = &mut self.packed[..];
        for product in &self.products {
            let (packed, after) = rest.split_at_mut(product.packed_len());
            product.pack(kernel, packed);
            rest = after;
        }
    }

    /// Computes `rows` of y, which are [whole blocks](Products::whole_blocks), or all. They are overwritten. The kernel is
    /// the one that was packed last, `x` has the margins of the plan, `y` has none.
    pub(crate) fn run(&self, rows: Option<Range<usize>>, x: &[f32], y: &mut [f32], epilogue: &Epilogue<'_>) {
        let mut rest = &self.packed[..];
        for product in &self.products {
            let (packed, after) = rest.split_at(product.packed_len());
            product.run(rows.as_ref(), x, packed, y, epilogue);
            rest = after;
        }
    }

    /// The least range of rows around `rows` that can be computed without any other row.
    pub(crate) fn whole_blocks(&self, rows: Range<usize>) -> Range<usize> {
        let mut whole = rows;
        loop {
            let before = whole.clone();
            for product in &self.products {
                for piece in product.pieces.iter().map(|(piece, _)| piece) {
                    for row in product.rows_for(piece, &before) {
                        let rows = product.rows_of_y(piece, row);
                        whole = whole.start.min(rows.start)..whole.end.max(rows.end);
                    }
                }
            }
            if whole == before {
                return whole;
            }
        }
    }

    /// Returns true if a row of y has the same bits as another row of its phase that meets the same values: both sums
    /// take their terms in the same order. In [`rows`](mod@crate::kernels::rows) that is the order of the terms, whatever zeros a block adds. In
    /// [`dot`](mod@crate::kernels::dot) it depends on the place of the row in its block.
    pub(crate) fn is_uniform(&self) -> bool {
        let blocks = self.products.iter().any(|product| product.block > 1);
        self.products.iter().flat_map(|product| &product.panels).all(|panel| match panel.kernel {
            Kernel::Rows { .. } => true,
            Kernel::Dot { .. } => !blocks,
            Kernel::MatrixMultiply => false,
        })
    }

    /// As [`Products::run`] for the first `rows` rows only, of a plan without blocks
    /// ([`Band::plan_rows`](crate::band::Band::plan_rows)) of one phase.
    pub(crate) fn run_rows(&self, rows: usize, x: &[f32], y: &mut [f32], epilogue: &Epilogue<'_>) {
        let [product] = &self.products[..] else { unreachable!("one phase and no blocks") };
        let (piece, x_first) = product.pieces[0];
        product.run_piece(&Rows { rows, ..piece }, &x[x_first..], &self.packed, y, epilogue);
    }
}
