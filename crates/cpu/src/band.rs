//! A convolution in either direction as matrix products: by phases, or by blocks of rows.
//!
//! Row i of y belongs to phase `i mod s`. Rows of one phase meet the same taps, and from one to the next, s rows
//! further on, the view of x advances by `x_row` values. `apply` has one phase; `apply_transposed` has as many as the
//! stride of A ([`phases`](crate::layout::phases)).
//!
//! **By phases**, each phase is a product of its own. All of its multiply-adds are needed, but with three channels,
//! five of the eight lanes of a vector are idle.
//!
//! **By blocks**, some neighbouring rows of y are computed as one. They are neighbours in memory, so the product has
//! that many times the columns. Its terms are all values of x that any of the rows meets, and its kernel is the
//! convolution's, repeated along a diagonal:
//!
//! ```text
//!       x, seen from a block of 3 rows              3 rows of y, side by side
//!     [ . . . . . . . . . ]        +---------+
//!                                  | k       |
//!       3 channels, 5 taps:        | k  k    |      Zeros off the diagonal are multiplied too. So a block pays
//!       21 terms for 9 columns     | k  k  k |      off where rows are short and kernels long: it fills more
//!       instead of 15 for 3        | k  k  k |      lanes than it adds zeros.
//!                                  | k  k  k |
//!                                  |    k  k |
//!                                  |       k |
//!                                  +---------+
//! ```
//!
//! The [estimate](crate::panels) of the times decides between both, and the number of rows in a block. Terms are added
//! in the same order either way, and adding zero times a number changes no sum. But if a value of x is not finite, all
//! rows of its block may become NaN.
//!
//! **Measured** on a Zen 4 core with AVX-512, share of the ceiling by phases and by blocks: three channels to three,
//! 7 taps, 18 % and 50 %; four to four, 15 taps, stride 2, 33 % and 63 %, transposed 29 % and 64 %; five to seven,
//! 15 taps, transposed 44 % and 63 %.

use crate::kernels::rows::{Columns, Rows};
use crate::panels::{Kernel, Panel, cut};
use crate::product::{MOST_BLOCK_COLUMNS, Product, Products, Run, Tap};
use crate::simd::{Isa, Simd};

/// One direction of a convolution.
#[derive(Debug, Clone)]
pub(crate) struct Band {
    /// Number of rows of y.
    pub(crate) rows: usize,
    /// Distance in x between the views of two neighbouring rows of the same phase.
    pub(crate) x_row: usize,
    pub(crate) tap: Tap,
    /// Phase p has the rows p, p + s, p + 2 s, ...
    pub(crate) phases: Vec<Phase>,
}

/// The operands of the rows of one phase.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    /// Offset in x of the view of its first row.
    pub(crate) x_first: usize,
    /// Its taps, in the order of their values in the view.
    pub(crate) taps: Vec<usize>,
    /// Distance between the first terms of two neighbouring taps.
    pub(crate) group: usize,
}

impl Band {
    /// Plans the products of this direction.
    pub(crate) fn plan(&self, simd: Simd) -> Products {
        let Some(isa) = Isa::new(simd) else { return self.plan_rows(simd) };
        let cost = |phase| cut(isa, &self.phase(phase, 0).0, self.tap.columns).1;
        let by_phases = (0..self.phases.len()).map(cost).sum::<f64>() / self.phases.len() as f64;
        let by_blocks = self.blocks().map(|block| (block, self.by_blocks(isa, block).1 / block as f64));
        let block = by_blocks.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, cost)| *cost < by_phases);
        Products::new(self.products(isa, block.map(|(block, _)| block)))
    }

    /// Plans the products by phases, so that each row is computed on its own.
    pub(crate) fn plan_rows(&self, simd: Simd) -> Products {
        Products::new(match Isa::new(simd) {
            Some(isa) => self.products(isa, None),
            None => self.by_phases(0, |rows| {
                let b = 0..rows.terms() * self.tap.columns;
                let columns = Columns { first: 0, count: self.tap.columns };
                vec![Panel { columns, kernel: Kernel::MatrixMultiply, b }]
            }),
        })
    }

    /// The possible numbers of rows in a block: multiples of the number of phases, and more than one row.
    fn blocks(&self) -> impl Iterator<Item = usize> {
        let phases = self.phases.len();
        let most = self.rows.min(MOST_BLOCK_COLUMNS / self.tap.columns);
        (phases..=most).step_by(phases).filter(|block| *block > 1)
    }

    /// The products by blocks of `block` rows, or by phases if `None`. Rows that no block covers are computed by
    /// phases.
    fn products(&self, isa: Isa, block: Option<usize>) -> Vec<Product> {
        let blocks = block.map(|block| self.by_blocks(isa, block).0);
        let ends = blocks.iter().flat_map(|blocks| &blocks.pieces);
        let done = ends.map(|(rows, _)| rows.y_first + rows.rows * rows.y_row).max().unwrap_or(0);
        let rest = self.by_phases(done / self.tap.columns, |rows| cut(isa, rows, self.tap.columns).0);
        blocks.into_iter().chain(rest).collect()
    }

    /// One product for each phase that has rows from `start` on, which is a multiple of the number of phases.
    fn by_phases(&self, start: usize, panels: impl Fn(&Rows) -> Vec<Panel>) -> Vec<Product> {
        let left = self.phases.len().min(self.rows - start);
        let product = |phase| {
            let (rows, x_first) = self.phase(phase, start);
            let terms = self.tap.terms.0;
            let run = |(number, tap): (usize, &usize)| Run { tap: *tap, row: 0, term: number * terms };
            Product {
                panels: panels(&rows),
                runs: self.phases[phase].taps.iter().enumerate().map(run).collect(),
                pieces: vec![(rows, x_first)],
                block: 1,
                tap: self.tap,
            }
        };
        (0..left).map(product).collect()
    }

    /// The rows of a phase from row `start` on, and the offset of the first of them in x. Neighbouring runs are joined.
    fn phase(&self, phase: usize, start: usize) -> (Rows, usize) {
        let phases = self.phases.len();
        let Phase { x_first, ref taps, group } = self.phases[phase];
        let first = start + phase;
        let len = self.tap.terms.0;
        let one = !taps.is_empty() && group == len;
        let rows = Rows {
            rows: (self.rows - first).div_ceil(phases),
            x_row: self.x_row,
            groups: if one { 1 } else { taps.len() },
            len: if one { len * taps.len() } else { len },
            group,
            y_first: first * self.tap.columns,
            y_row: phases * self.tap.columns,
        };
        (rows, x_first + start / phases * self.x_row)
    }

    /// One product that computes `block` rows of y at a time, a multiple of the number of phases, and its cost per
    /// block. The last block overlaps the one before, if it can; otherwise the remaining rows are left for
    /// [`Band::by_phases`].
    fn by_blocks(&self, isa: Isa, block: usize) -> (Product, f64) {
        let (phases, columns, len) = (self.phases.len(), self.tap.columns, self.tap.terms.0);
        let met = || self.phases.iter().filter(|phase| !phase.taps.is_empty());
        let x_first = met().map(|phase| phase.x_first).min().unwrap_or(0);
        let mut runs = vec![];
        for row in 0..block {
            let Phase { x_first: own, taps, group } = &self.phases[row % phases];
            for (number, tap) in taps.iter().enumerate() {
                let term = own + row / phases * self.x_row + number * group - x_first;
                runs.push(Run { tap: *tap, row, term });
            }
        }
        let terms = runs.iter().map(|run| run.term + len).max().unwrap_or(0);
        let rows = |rows: usize, y_first: usize| Rows {
            rows,
            x_row: block / phases * self.x_row,
            groups: 1,
            len: terms,
            group: 0,
            y_first: y_first * columns,
            y_row: block * columns,
        };
        let blocks = rows(self.rows / block, 0);
        let (panels, cost) = cut(isa, &blocks, block * columns);
        let mut pieces = vec![(blocks, x_first)];
        if !self.rows.is_multiple_of(block) && self.rows.is_multiple_of(phases) {
            let start = self.rows - block;
            pieces.push((rows(1, start), x_first + start / phases * self.x_row));
        }
        (Product { pieces, block, tap: self.tap, runs, panels }, cost)
    }
}

#[cfg(test)]
mod tests {
    use glassbox_engine::geometry::{Geometry, GeometrySpec};

    use super::*;
    use crate::kernels::epilogue::Epilogue;
    use crate::layout::transposed_margins;
    use crate::{apply, apply_transposed};

    /// Blocks of any number of rows give the same result as phases: with and without remaining rows, with phases that
    /// meet no tap, dilated, and with fewer rows than phases. Values are whole numbers, so the comparison is exact.
    #[test]
    fn blocks_of_any_size_compute_what_phases_compute() {
        let mut blocks = 0;
        for (case, (steps, channels, taps, stride, dilation)) in [
            (29, (3, 3), 7, 1, 1),
            (30, (4, 4), 15, 2, 1),
            (31, (1, 2), 3, 2, 3),
            (26, (2, 5), 2, 3, 1),
            (27, (5, 1), 5, 4, 2),
            (5, (2, 2), 1, 3, 1),
            (2, (7, 3), 2, 3, 1),
        ]
        .into_iter()
        .enumerate()
        {
            let out_steps = (steps - 1) / stride + 1;
            let spec = GeometrySpec {
                in_steps: steps,
                in_channels: channels.0,
                out_steps,
                out_channels: channels.1,
                taps,
                stride,
                dilation,
                pad_left: case % taps,
            };
            let geometry = Geometry::new(spec).unwrap();
            let value = |i: usize| ((i * 7 + i / 5 + case) % 11) as f32 - 5.0;
            let kernel: Vec<f32> = (0..geometry.kernel_len()).map(value).collect();
            let bias: Vec<f32> = (0..8).map(value).collect();
            let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::default() };
            let (left, right) = transposed_margins(&geometry);
            let directions = [
                (
                    apply::band(&geometry, geometry.pad_left),
                    geometry.input(),
                    geometry.pad_left,
                    geometry.pad_right(),
                ),
                (apply_transposed::band(&geometry, left), geometry.output(), left, right),
            ];
            for (band, shape, left, right) in directions {
                let mut x = vec![0.0; (left + shape.steps + right) * shape.channels];
                for (i, x) in x[left * shape.channels..].iter_mut().take(shape.len()).enumerate() {
                    *x = value(3 * i);
                }
                for isa in Simd::under_test().unwrap().into_iter().filter_map(Isa::new) {
                    let run = |block| {
                        let mut products = Products::new(band.products(isa, block));
                        products.pack(&kernel);
                        let mut y = vec![f32::NAN; band.rows * band.tap.columns];
                        products.run(None, &x, &mut y, &epilogue);
                        y
                    };
                    let expected = run(None);
                    for block in band.blocks() {
                        assert_eq!(run(Some(block)), expected, "{geometry:?}, blocks of {block} on {isa:?}");
                        blocks += 1;
                    }
                }
            }
        }
        assert!(blocks > 50, "{blocks} blocks were tried");
    }
}
