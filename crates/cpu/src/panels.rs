//! Which micro-kernel computes which columns of a product.
//!
//! [`mod@rows`] wastes the lanes after the last column, [`mod@dot`] those after the last term, and has to add up its
//! lanes. Whole tiles of two vectors go to `rows`; what is left is cut so that the estimated time is least.
//!
//! **The estimate** is in multiply-adds of a whole vector for each row. It need not be exact, only put in the right
//! order what differs by a factor; its constants are from measurements of the shapes in `benches/`.

use std::ops::Range;

use crate::kernels::dot;
use crate::kernels::rows::{self, Columns, Rows};
use crate::simd::Isa;

/// Which of a product's columns are in a panel, and what multiplies it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Panel {
    pub(crate) columns: Columns,
    pub(crate) kernel: Kernel,
    /// Where it is in the packed kernel.
    pub(crate) b: Range<usize>,
}

/// What multiplies a panel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kernel {
    Rows { isa: Isa, vectors: usize },
    Dot { isa: Isa },
    MatrixMultiply,
}

/// A term of one vector of columns in [`mod@rows`]: alone, beside another one, and half as wide.
const TERM: [f64; 3] = [1.03, 1.0, 0.55];
/// Applying the epilogue to a vector and storing it, if all of it is stored and if not.
const FINISH: [f64; 2] = [2.0, 4.0];
/// A vector of terms in [`mod@dot`], besides one for each column: loading what all columns share.
const DOT_LOAD: f64 = 0.2;
/// Adding up the lanes of a sum in [`mod@dot`], and storing it.
const LANE_SUM: f64 = 5.0;

/// Cuts the columns of a product into panels; and what they cost for each row.
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

/// A way to multiply some columns, and what it costs.
#[derive(Debug, Clone, Default)]
struct Way {
    parts: Vec<(Kernel, usize)>,
    cost: f64,
}

/// The cheapest way to multiply less than two vectors of columns: the best for few columns leads to the best for
/// more.
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

/// The kernels that can multiply so many columns at once.
fn kernels(isa: Isa, columns: usize) -> impl Iterator<Item = Kernel> {
    let vectors = columns.div_ceil(isa.width());
    let rows = (vectors <= 2).then_some(Kernel::Rows { isa, vectors });
    let narrow = isa.narrow().filter(|narrow| columns <= narrow.width());
    let narrow = narrow.map(|isa| Kernel::Rows { isa, vectors: 1 });
    let dot = (columns <= dot::MOST_COLUMNS).then_some(Kernel::Dot { isa });
    [rows, narrow, dot].into_iter().flatten()
}

/// What some columns cost for each row.
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
