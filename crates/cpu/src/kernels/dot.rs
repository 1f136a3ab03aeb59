//! The micro-kernel `dot`: single sums, for outputs with very few channels.
//!
//! ```text
//! y[r, n] = epilogue( sum over g, k of  x[r x_row + g group + k]  b[n, g, k] )
//! ```
//!
//! It computes the same as [`rows`](super::rows), but with vectors along k. With one output channel, `rows` has 15 of
//! 16 lanes idle; here they are full. The price is adding up the lanes of each sum at the end, which costs about as
//! much as four multiply-adds. So this kernel pays off for few channels with many taps x channels; the caller compares
//! the costs.
//!
//! ```text
//!                 k, 16 at a time
//!             +----------------------+
//!   b  n = 0  | one vector, loaded   |
//!             +----------------------+         acc[m][n] += x[m] b[n]
//!   x  row 0  | memory operand       |         8 rows x 1 channel, 4 x 2, 4 x 3 or 2 x 4 accumulators:
//!      row 1  | of the multiply-add  |         (M + N) loads feed M N multiply-adds
//!      ..     |                      |
//!             +----------------------+
//! ```
//!
//! **Tails.** Each run of b is packed with zeros up to a whole vector. x is read with masked loads up to its last value
//! and no further, because the value after it could be an infinity, which times zero is NaN.
//!
//! **Sums.** A sum is split over the lanes of one accumulator. The shape of the tile does not change the bits, but the
//! width of the vector does.
//!
//! **Known weakness.** 61 % of the ceiling for one channel of 224 terms. A Zen 4 core loads 64 bytes per cycle, which
//! makes nine cycles for the nine vectors that feed eight multiply-adds of eight cycles. The rest is the end of a tile,
//! which the next tile does not hide completely.
//!
//! **Tried.** Adding up the lanes of eight sums at once, as a transposition, and storing eight results as one vector:
//! 1.72 instead of 1.77 us for that layer, 0.1 % of the tutorial's step. Not kept.
//!
//! Reference: [`glassbox_engine::reference::apply`], [`glassbox_engine::reference::apply_transposed`].

use super::epilogue::Epilogue;
use super::rows::{Columns, Rows};
use crate::simd::{Isa, Task, Vector};

/// Maximum number of columns of one call.
pub(crate) const MOST_COLUMNS: usize = 4;

/// Length of b for `columns` columns: the runs of one column after those of another, in whole vectors.
pub(crate) fn packed_len(isa: Isa, rows: &Rows, columns: usize) -> usize {
    columns * rows.groups * rows.len.next_multiple_of(isa.width())
}

/// Computes up to four `columns` of all rows, which are overwritten. `b` holds the runs of each column, each run with
/// zeros up to a whole vector.
///
/// # Panics
/// If a slice is too short, or there are too many columns.
pub(crate) fn dot(
    isa: Isa,
    rows: &Rows,
    columns: Columns,
    x: &[f32],
    b: &[f32],
    y: &mut [f32],
    epilogue: &Epilogue<'_>,
) {
    rows.check(columns, x, y, epilogue);
    assert!(b.len() >= packed_len(isa, rows, columns.count), "b: {} values, {rows:?}", b.len());
    macro_rules! run {
        ($m:literal, $n:literal) => {{
            let (x, b, y) = (x.as_ptr(), b.as_ptr(), y.as_mut_ptr());
            let task = DotTiles::<$m, $n> { rows, column: columns.first, x, b, y, epilogue };
            // SAFETY: the slices were checked for all rows and for `$n` columns, and there are at least `$m`
            // rows.
            unsafe { isa.run(task) }
        }};
    }
    match (columns.count, rows.rows) {
        (1, 8..) => run!(8, 1),
        (1, _) => run!(1, 1),
        (2, 4..) => run!(4, 2),
        (2, _) => run!(1, 2),
        (3, 4..) => run!(4, 3),
        (3, _) => run!(1, 3),
        (4, 2..) => run!(2, 4),
        (4, _) => run!(1, 4),
        (count, _) => panic!("{count} columns, at most {MOST_COLUMNS}"),
    }
}

/// All rows, `M` of them and `N` columns at a time.
///
/// # Safety of running it
/// * `x`, `b` and `y` are valid for all that [`dot`] checks them for, and `y` overlaps nothing else;
/// * there are at least `M` rows and just `N` columns;
/// * the epilogue was checked.
struct DotTiles<'a, const M: usize, const N: usize> {
    rows: &'a Rows,
    column: usize,
    x: *const f32,
    b: *const f32,
    y: *mut f32,
    epilogue: &'a Epilogue<'a>,
}

impl<const M: usize, const N: usize> Task for DotTiles<'_, M, N> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Rows { rows, x_row, y_first, y_row, .. } = *self.rows;
        let mut row = 0;
        loop {
            // SAFETY: `row + M <= rows`, so all rows of the tile are among those checked.
            unsafe {
                let acc = self.sum::<V>(self.x.add(row * x_row));
                for (m, acc) in acc.into_iter().enumerate() {
                    for (n, acc) in acc.into_iter().enumerate() {
                        let column = self.column + n;
                        let element = y_first + (row + m) * y_row + column;
                        *self.y.add(element) = self.epilogue.value(acc.sum(), column, element);
                    }
                }
            }
            if row + M == rows {
                break;
            }
            row = (row + M).min(rows - M);
        }
    }
}

impl<const M: usize, const N: usize> DotTiles<'_, M, N> {
    /// Computes the sums of one tile, whose first row begins at `x`. Each sum is still spread over lanes.
    ///
    /// # Safety
    /// * the processor has the instruction set of `V`;
    /// * `x` can be read at all that M rows meet, `b` at all columns.
    #[inline(always)]
    unsafe fn sum<V: Vector>(&self, x: *const f32) -> [[V; N]; M] {
        let Rows { x_row, groups, len, group, .. } = *self.rows;
        let (whole, tail) = (len / V::WIDTH * V::WIDTH, len % V::WIDTH);
        let run = len.next_multiple_of(V::WIDTH);
        // SAFETY: row m, run g, value k of x is at `m x_row + g group + k`, and a vector there is read whole
        // only if all of it is below `len`. Column n, run g of b begins at `(n groups + g) run`, and all of it
        // can be read.
        unsafe {
            let mut acc = [[V::splat(0.0); N]; M];
            for g in 0..groups {
                let (x, b) = (x.add(g * group), self.b.add(g * run));
                let mut k = 0;
                while k < whole {
                    Self::step(&mut acc, b.add(k), groups * run, |m| V::load(x.add(k + m * x_row)));
                    k += V::WIDTH;
                }
                if tail > 0 {
                    let load = |m| V::load_first(x.add(whole + m * x_row), tail);
                    Self::step(&mut acc, b.add(whole), groups * run, load);
                }
            }
            acc
        }
    }

    /// Multiplies one vector of each row with one of each column, and adds the products.
    ///
    /// # Safety
    /// * the processor has the instruction set of `V`;
    /// * `b` can be read for a vector at each of N multiples of `column`.
    #[inline(always)]
    unsafe fn step<V: Vector>(acc: &mut [[V; N]; M], b: *const f32, column: usize, x: impl Fn(usize) -> V) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let mut columns = [V::splat(0.0); N];
            for (n, value) in columns.iter_mut().enumerate() {
                *value = V::load(b.add(n * column));
            }
            for (m, acc) in acc.iter_mut().enumerate() {
                let x = x(m);
                for (acc, b) in acc.iter_mut().zip(columns) {
                    *acc = x.mul_add(b, *acc);
                }
            }
        }
    }
}
