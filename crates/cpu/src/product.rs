//! One matrix product of a contraction, planned once: which micro-kernel computes which columns.
//!
//! `apply` is one product, `apply_transposed` one for each phase. Both are
//!
//! ```text
//! y[r, n] = epilogue( sum over g, k of  x[r x_row + g group + k]  kernel term (g, k), n )
//! ```
//!
//! The kernel is packed into panels, each for a few neighbouring columns and in the order in which its
//! micro-kernel reads it. Packing is done once a training step and costs as much as reading the weights.
//!
//! **Which micro-kernel.** [`mod@rows`] wastes the lanes after the last column, [`mod@dot`] those after the last term,
//! and takes about [`LANE_SUM`] vectors more to add up its lanes. Whole tiles of two vectors go to `rows`; what
//! is left goes to the cheapest of the two, or to `rows` with vectors half as wide.

use std::ops::Range;

use crate::gemm::{self, View, gemm};
use crate::kernels::dot::{self, dot};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::rows::{self, Columns, Rows, rows};
use crate::layout::Aligned;
use crate::passes;
use crate::simd::{Isa, Simd};

/// Multiply-adds of whole vectors that adding up the lanes of one sum costs.
const LANE_SUM: f64 = 4.0;

/// Which of a product's columns are in a panel, and what multiplies it.
#[derive(Debug, Clone, PartialEq)]
struct Panel {
    columns: Columns,
    kernel: Kernel,
    /// Where it is in the packed kernel.
    b: Range<usize>,
}

/// What multiplies a panel.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kernel {
    Rows { isa: Isa, vectors: usize },
    Dot { isa: Isa },
    MatrixMultiply,
}

/// Where the terms of a product come from in a kernel `(taps, in, out)`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    /// For each run of terms, the tap.
    pub(crate) taps: Vec<usize>,
    /// Values in a tap.
    pub(crate) tap_len: usize,
    /// Terms in a run, and how far apart they are.
    pub(crate) terms: (usize, usize),
    /// How far apart columns are.
    pub(crate) column: usize,
}

/// A product, planned.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    rows: Rows,
    /// Where the first row begins in x.
    x_first: usize,
    columns: usize,
    source: Source,
    panels: Vec<Panel>,
}

impl Product {
    /// Plans a product of `rows` by `columns`. Its runs are those of `source`, one for each tap; if they lie
    /// side by side in x they are made one.
    pub(crate) fn new(simd: Simd, mut rows: Rows, x_first: usize, columns: usize, source: Source) -> Self {
        assert_eq!((rows.groups, rows.len), (source.taps.len(), source.terms.0), "a run for each tap");
        if rows.groups > 0 && rows.group == rows.len {
            rows.len *= rows.groups;
            rows.groups = 1;
        }
        let panels = match Isa::new(simd) {
            Some(isa) => panels(isa, &rows, columns),
            None => {
                let b = 0..rows.terms() * columns;
                let columns = Columns { first: 0, count: columns };
                vec![Panel { columns, kernel: Kernel::MatrixMultiply, b }]
            }
        };
        Self { rows, x_first, columns, source, panels }
    }

    /// Values of the packed kernel.
    pub(crate) fn packed_len(&self) -> usize {
        self.panels.last().map_or(0, |panel| panel.b.end)
    }

    /// Writes the kernel as [`Product::run`] reads it. `packed` starts as zeros; what is zero stays.
    pub(crate) fn pack(&self, kernel: &[f32], packed: &mut [f32]) {
        for panel in &self.panels {
            let packed = &mut packed[panel.b.clone()];
            // Where term number `term` of column `column` goes.
            match panel.kernel {
                Kernel::Rows { isa, vectors } => self.pack_panel(kernel, panel.columns, packed, {
                    let row = vectors * isa.width();
                    move |term, column| term * row + column
                }),
                Kernel::MatrixMultiply => self.pack_panel(kernel, panel.columns, packed, {
                    let row = self.columns;
                    move |term, column| term * row + column
                }),
                Kernel::Dot { isa } => self.pack_panel(kernel, panel.columns, packed, {
                    let Rows { groups, len, .. } = self.rows;
                    let run = len.next_multiple_of(isa.width());
                    move |term, column| (column * groups + term / len) * run + term % len
                }),
            }
        }
    }

    fn pack_panel(
        &self,
        kernel: &[f32],
        columns: Columns,
        packed: &mut [f32],
        at: impl Fn(usize, usize) -> usize,
    ) {
        let Source { ref taps, tap_len, terms: (terms, apart), column } = self.source;
        for (run, tap) in taps.iter().enumerate() {
            let kernel = &kernel[tap * tap_len..][..tap_len];
            for term in 0..terms {
                for c in 0..columns.count {
                    packed[at(run * terms + term, c)] = kernel[term * apart + (columns.first + c) * column];
                }
            }
        }
    }

    /// Computes all rows; they are overwritten. `x` has the margins that the plan was made for, `y` has none,
    /// `packed` is what [`Product::pack`] wrote.
    pub(crate) fn run(&self, x: &[f32], packed: &[f32], y: &mut [f32], epilogue: &Epilogue<'_>) {
        let x = &x[self.x_first..];
        for panel in &self.panels {
            let b = &packed[panel.b.clone()];
            match panel.kernel {
                Kernel::Rows { isa, vectors } => {
                    rows(isa, &self.rows, (panel.columns, vectors), x, b, y, epilogue);
                }
                Kernel::Dot { isa } => dot(isa, &self.rows, panel.columns, x, b, y, epilogue),
                Kernel::MatrixMultiply => self.run_gemm(x, b, y, epilogue),
            }
        }
    }

    /// The product through `matrixmultiply`, then the epilogue as a pass over the rows.
    fn run_gemm(&self, x: &[f32], b: &[f32], y: &mut [f32], epilogue: &Epilogue<'_>) {
        let Rows { rows, x_row, groups, len, group, y_first, y_row } = self.rows;
        let y_view = View { offset: y_first, row: y_row, column: 1 };
        let product = gemm::Product { m: rows, k: len, n: self.columns };
        for g in 0..groups {
            let x_view = View { offset: g * group, row: x_row, column: 1 };
            let b_view = View { offset: g * len * self.columns, row: self.columns, column: 1 };
            gemm(product, (x, x_view), (b, b_view), if g == 0 { 0.0 } else { 1.0 }, (y, y_view));
        }
        for row in 0..rows {
            let first = y_first + row * y_row;
            if groups == 0 {
                y[first..][..self.columns].fill(0.0);
            }
            passes::row(&mut y[first..][..self.columns], first, epilogue);
        }
    }
}

/// Cuts the columns of a product into panels.
fn panels(isa: Isa, rows: &Rows, columns: usize) -> Vec<Panel> {
    let (mut panels, mut first, mut start) = (vec![], 0, 0);
    while first < columns {
        let (kernel, count) = cheapest(isa, rows, columns - first);
        let len = match kernel {
            Kernel::Rows { isa, vectors } => rows::packed_len(isa, rows, vectors),
            Kernel::Dot { isa } => dot::packed_len(isa, rows, count),
            Kernel::MatrixMultiply => unreachable!("not on a path of our own"),
        };
        panels.push(Panel { columns: Columns { first, count }, kernel, b: start..start + len });
        first += count;
        start += len;
    }
    panels
}

/// What to multiply next, of `left` columns, and how many of them.
fn cheapest(isa: Isa, rows: &Rows, left: usize) -> (Kernel, usize) {
    let width = isa.width();
    if left >= 2 * width {
        return (Kernel::Rows { isa, vectors: 2 }, 2 * width);
    }
    if left > width {
        // Two vectors at once, or one and then the rest by itself.
        let (_, rest) = cost(isa, rows, left - width);
        let terms = rows.terms() as f64;
        return if 2.0 * terms <= 1.1 * terms + rest {
            (Kernel::Rows { isa, vectors: 2 }, left)
        } else {
            (Kernel::Rows { isa, vectors: 1 }, width)
        };
    }
    let (kernel, _) = cost(isa, rows, left);
    (kernel, if matches!(kernel, Kernel::Dot { .. }) { left.min(dot::MOST_COLUMNS) } else { left })
}

/// The cheapest way to multiply no more than a vector of columns, and its cost in multiply-adds of a vector
/// for each row.
fn cost(isa: Isa, rows: &Rows, columns: usize) -> (Kernel, f64) {
    let terms = rows.terms() as f64;
    let vectors = (rows.groups * rows.len.div_ceil(isa.width())) as f64;
    let one = (Kernel::Rows { isa, vectors: 1 }, 1.1 * terms);
    let narrow = isa.narrow().filter(|narrow| columns <= narrow.width());
    let narrow = narrow.map(|isa| (Kernel::Rows { isa, vectors: 1 }, 0.55 * terms));
    let dot = (Kernel::Dot { isa }, columns as f64 * (vectors * 1.2 + LANE_SUM));
    [Some(one), narrow, Some(dot)]
        .into_iter()
        .flatten()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .expect("there is always one")
}

/// All products of `apply` or `apply_transposed`, and the kernel packed for them.
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

    /// Computes all of y, which is overwritten, with the kernel that was packed last. `x` has the margins that
    /// the plan was made for, `y` has none.
    pub(crate) fn run(&self, x: &[f32], y: &mut [f32], epilogue: &Epilogue<'_>) {
        let mut rest = &self.packed[..];
        for product in &self.products {
            let (packed, after) = rest.split_at(product.packed_len());
            product.run(x, packed, y, epilogue);
            rest = after;
        }
    }
}
