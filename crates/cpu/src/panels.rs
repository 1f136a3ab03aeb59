//! The choice of a micro-kernel for each column of a product.
//!
//! [`mod@rows`] wastes the lanes after the last column. [`mod@dot`] wastes those after the last term, and has to add up
//! its lanes. Whole tiles of two vectors go to `rows`; the rest is cut so that the estimated time is least.
//!
//! **The estimate** is in multiply-adds of a whole vector per row. It need not be exact; it only has to order
//! alternatives that differ by a factor. Its constants are from measurements of the shapes in `benches/`.

use std::ops::Range;

use crate::kernels::dot;
use crate::kernels::rows::{self, Columns, Rows};
use crate::simd::Isa;

/// Some neighbouring columns of a product, and the micro-kernel that computes them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Panel {
    pub(crate) columns: Columns,
    pub(crate) kernel: Kernel,
    /// Its range in the packed kernel.
    pub(crate) b: Range<usize>,
}

/// A micro-kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kernel {
    Rows { isa: Isa, vectors: usize },
    Dot { isa: Isa },
    MatrixMultiply,
}

/// Cost of a term of one vector of columns in [`mod@rows`]: alone, next to another vector, and half as wide.
const TERM: [f64; 3] = [1.03, 1.0, 0.55];
/// Cost of applying the epilogue to a vector and storing it: a full vector, and a partial one.
const FINISH: [f64; 2] = [2.0, 4.0];
/// Cost of a vector of terms in [`mod@dot`], besides one per column: loading the operand that all columns share.
const DOT_LOAD: f64 = 0.2;
/// Cost of adding up the lanes of a sum in [`mod@dot`] and storing it.
const LANE_SUM: f64 = 5.0;

/// Cuts the columns of a product into panels, and returns them with their cost per row.
pub(crate) fn cut(isa: Isa, rows: &Rows, columns: usize) -> (Vec<Panel>, f64) {
    let tile = 2 * isa.width();
    let tiles = columns / tile;
    let rest = cheapest(isa, rows, columns % tile);
    let whole = (Kernel::Rows { isa, vectors: 2 }, tile);
    let cost = tiles as f64 * cost(isa, rows, whole) + rest.cost;
    let (mut panels, mut first, mut start) = (vec![], 0, 0);
    for (kernel, count) in std::iter::repeat_n(whole, tiles).chain(rest.parts) {
        let len = match kernel {
            Kernel::Rows { isa, vectors } => rows::packed_len(isa, rows, vectors),
            Kernel::Dot { isa } => dot::packed_len(isa, rows, count),
            Kernel::MatrixMultiply => unreachable!("not on a path of our own"),
        };
        panels.push(Panel { columns: Columns { first, count }, kernel, b: start..start + len });
        first += count;
        start += len;
    }
    (panels, cost)
}

/// A way to multiply some columns, with its cost.
#[derive(Debug, Clone, Default)]
struct Way {
    parts: Vec<(Kernel, usize)>,
    cost: f64,
}

/// The cheapest way to multiply less than two vectors of columns, by dynamic programming: the best ways for fewer
/// columns lead to the best way for more.
fn cheapest(isa: Isa, rows: &Rows, columns: usize) -> Way {
    let mut best = vec![Way::default()];
    for count in 1..=columns {
        let ways = (1..=count).flat_map(|last| {
            let before = &best[count - last];
            kernels(isa, last).map(move |kernel| {
                let mut parts = before.parts.clone();
                parts.push((kernel, last));
                Way { parts, cost: before.cost + cost(isa, rows, (kernel, last)) }
            })
        });
        best.push(ways.min_by(|a, b| a.cost.total_cmp(&b.cost)).expect("there is always one"));
    }
    best.pop().expect("one for each number of columns")
}

/// The micro-kernels that can multiply this many columns at once.
fn kernels(isa: Isa, columns: usize) -> impl Iterator<Item = Kernel> {
    let vectors = columns.div_ceil(isa.width());
    let rows = (vectors <= 2).then_some(Kernel::Rows { isa, vectors });
    let narrow = isa.narrow().filter(|narrow| columns <= narrow.width());
    let narrow = narrow.map(|isa| Kernel::Rows { isa, vectors: 1 });
    let dot = (columns <= dot::MOST_COLUMNS).then_some(Kernel::Dot { isa });
    [rows, narrow, dot].into_iter().flatten()
}

/// The cost of some columns per row.
fn cost(isa: Isa, rows: &Rows, (kernel, columns): (Kernel, usize)) -> f64 {
    let terms = rows.terms() as f64;
    match kernel {
        Kernel::Rows { isa: own, vectors } => {
            let term = if own != isa { TERM[2] } else { TERM[vectors - 1] };
            let [full, partial] = FINISH;
            let last = if columns == vectors * own.width() { full } else { partial };
            vectors as f64 * term * terms + (vectors - 1) as f64 * full + last
        }
        Kernel::Dot { .. } => {
            let vectors = rows.groups * rows.len.div_ceil(isa.width());
            vectors as f64 * (columns as f64 + DOT_LOAD) + columns as f64 * LANE_SUM
        }
        Kernel::MatrixMultiply => unreachable!("not on a path of our own"),
    }
}
