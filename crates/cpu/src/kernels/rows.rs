//! The micro-kernel `rows`, for `apply` and `apply_transposed`: vectors along the columns of the output.
//!
//! ```text
//! y[r, n] = epilogue( sum over g, k of  x[r x_row + g group + k]  b[g len + k, n] )
//! ```
//!
//! x is a signal. Row r of its view has the values that step r of the output meets: `groups` runs of `len` values (one
//! run of taps x channels, or one per tap if the taps are apart). b is a packed kernel.
//!
//! ```text
//!                       b, one row of it         2 vectors, loaded
//!                     +--------------------+
//!    x, one column    |   b0     |   b1    |
//!         +----+      +--------------------+
//!    12   | x0 |      | acc 0,0  | acc 0,1 |
//!  values | x1 |      | acc 1,0  | acc 1,1 |     24 accumulators stay in registers for the whole sum:
//!  broad- | .. |      |   ..     |   ..    |     2 loads and 12 broadcasts a step feed 24 multiply-adds
//!  cast   | xb |      | acc b,0  | acc b,1 |
//!         +----+      +--------------------+
//! ```
//!
//! **Registers.** AVX-512 has 32: 12 x 2 accumulators, 2 vectors of b, and the broadcast is a memory operand of the
//! multiply-add. AVX2 has 16: 6 x 2 accumulators, or 12 x 1 for few columns. A core loads two vectors in the time of
//! two multiply-adds, so the loads per multiply-add decide: 14/24, 8/12 and 13/12.
//!
//! **Tails.** b is packed in panels as wide as the tile, with zeros after the last column, so only the store has a tail
//! in the columns. Rows are cut into tiles of equal size, with the least estimated time. The last tile overlaps the one
//! before and computes some values again.
//!
//! **Sums.** One accumulator takes all terms of a sum, in order. The shape of the tile does not change the bits.
//!
//! **Tried.** Measured on a Zen 4 core, the tutorial's step on AVX-512, best of 40: 13.2 ms with row addresses as the
//! compiler computed them and an epilogue unrolled with variable indices, which put the tile on the stack; 7.8 ms with
//! addresses as in [`Steps`] and an epilogue that is compiled for its functions. AVX2 went from 8.3 to 8.1 ms.
//! Finishing rows straight from registers took another 2 to 4 % off the products with short sums. Storing few columns
//! as whole vectors, where the next row overwrites the excess, gained 7 % on AVX-512 with three columns and nothing on
//! AVX2, and was not kept.
//!
//! Reference: [`glassbox_engine::reference::apply`], [`glassbox_engine::reference::apply_transposed`].

use super::epilogue::Epilogue;
use crate::simd::{Isa, Task, Vector};

/// The layout of the rows in x and in y.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Number of rows.
    pub(crate) rows: usize,
    /// Distance between the starts of two rows in x.
    pub(crate) x_row: usize,
    /// Number of runs of values in a row.
    pub(crate) groups: usize,
    /// Number of values in a run.
    pub(crate) len: usize,
    /// Distance between the starts of two runs.
    pub(crate) group: usize,
    /// Offset of the first row in y.
    pub(crate) y_first: usize,
    /// Distance between the starts of two rows in y.
    pub(crate) y_row: usize,
}

/// A range of columns of y.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) first: usize,
    pub(crate) count: usize,
}

/// Possible numbers of rows in a tile.
const TILES: [usize; 8] = [1, 2, 3, 4, 6, 8, 10, 12];

impl Rows {
    /// The number of terms of a sum.
    pub(crate) fn terms(&self) -> usize {
        self.groups * self.len
    }

    /// The end of the values of x that are read.
    fn x_end(&self) -> usize {
        if self.terms() == 0 {
            return 0;
        }
        (self.rows - 1) * self.x_row + (self.groups - 1) * self.group + self.len
    }

    /// The end of the elements of y that are written, in rows of `columns`.
    pub(crate) fn y_end(&self, columns: Columns) -> usize {
        self.y_first + (self.rows - 1) * self.y_row + columns.first + columns.count
    }

    /// Checks that x, y and the epilogue's operands are long enough.
    pub(super) fn check(&self, columns: Columns, x: &[f32], y: &[f32], epilogue: &Epilogue<'_>) {
        assert!(self.rows > 0 && columns.count > 0, "no rows or no columns: {self:?}, {columns:?}");
        assert!(x.len() >= self.x_end(), "x: {} of {} values, {self:?}", x.len(), self.x_end());
        let y_end = self.y_end(columns);
        assert!(y.len() >= y_end, "y: {} of {y_end} values, {self:?}, {columns:?}", y.len());
        epilogue.check(columns.first + columns.count, y_end);
    }
}

/// Length of b for `vectors` vectors of columns.
pub(crate) fn packed_len(isa: Isa, rows: &Rows, vectors: usize) -> usize {
    rows.terms() * vectors * isa.width()
}

/// The number of rows in a tile of `vectors` vectors: that with the least time for all tiles, and the largest of several.
///
/// A term of a tile takes as long as its multiply-adds, or its loads, or the four cycles for which a sum waits for its
/// term before: two of each start in a cycle.
fn tile(rows: usize, most: usize, vectors: usize) -> usize {
    let cost = |size: usize| rows.div_ceil(size) * (size * vectors).max(size + vectors).max(8);
    let fits = TILES.into_iter().filter(|size| *size <= rows.min(most));
    fits.rev().min_by_key(|size| cost(*size)).expect("one row fits")
}

/// Computes `columns` of all rows, which are overwritten. `b` holds `rows.terms()` rows of 1 or 2 `vectors`, with zeros
/// after the last column.
///
/// # Panics
/// If a slice is too short, or the number of `columns` does not need exactly `vectors` vectors.
pub(crate) fn rows(
    isa: Isa,
    rows: &Rows,
    (columns, vectors): (Columns, usize),
    x: &[f32],
    b: &[f32],
    y: &mut [f32],
    epilogue: &Epilogue<'_>,
) {
    rows.check(columns, x, y, epilogue);
    assert_eq!(columns.count.div_ceil(isa.width()), vectors, "{columns:?}");
    assert!(b.len() >= packed_len(isa, rows, vectors), "b: {} values, {rows:?}", b.len());
    let most = if vectors == 1 || isa.registers() >= 32 { 12 } else { 6 };
    macro_rules! run {
        ($m:literal, $n:literal) => {{
            let (x, b, y) = (x.as_ptr(), b.as_ptr(), y.as_mut_ptr());
            let task = RowTiles::<$m, $n> { rows, columns, x, b, y, epilogue };
            // SAFETY: the slices were checked; there are at least `$m` rows, by the choice of the tile; and
            // the columns fill more than `$n - 1` vectors and no more than `$n`.
            unsafe { isa.run(task) }
        }};
    }
    match (tile(rows.rows, most, vectors), vectors) {
        (1, 1) => run!(1, 1),
        (2, 1) => run!(2, 1),
        (3, 1) => run!(3, 1),
        (4, 1) => run!(4, 1),
        (6, 1) => run!(6, 1),
        (8, 1) => run!(8, 1),
        (10, 1) => run!(10, 1),
        (12, 1) => run!(12, 1),
        (1, 2) => run!(1, 2),
        (2, 2) => run!(2, 2),
        (3, 2) => run!(3, 2),
        (4, 2) => run!(4, 2),
        (6, 2) => run!(6, 2),
        (8, 2) => run!(8, 2),
        (10, 2) => run!(10, 2),
        (12, 2) => run!(12, 2),
        (tile, vectors) => unreachable!("a tile of {tile} rows and {vectors} vectors"),
    }
}

/// All rows, in tiles of `M` rows and `N` vectors.
///
/// # Safety of running it
/// * `x`, `b` and `y` are valid for all that [`rows`] checks them for, and `y` overlaps nothing else;
/// * there are at least `M` rows, and more than `N - 1` and no more than `N` vectors of columns;
/// * the epilogue was checked.
struct RowTiles<'a, const M: usize, const N: usize> {
    rows: &'a Rows,
    columns: Columns,
    x: *const f32,
    b: *const f32,
    y: *mut f32,
    epilogue: &'a Epilogue<'a>,
}

/// Offsets of the rows of a tile from its first: row m is at `fours[m / 4] + ones[m % 4]`.
///
/// The compiler must not see where these six numbers come from. Otherwise it computes the address of each row from that
/// of the row before: a chain of additions as long as the tile is high, at every step.
struct Steps {
    ones: [usize; 4],
    fours: [usize; 3],
}

impl Steps {
    #[inline(always)]
    fn new(x_row: usize) -> Self {
        let opaque = |m: usize| std::hint::black_box(m * x_row);
        Self { ones: [0, opaque(1), opaque(2), opaque(3)], fours: [0, opaque(4), opaque(8)] }
    }
}

impl<const M: usize, const N: usize> Task for RowTiles<'_, M, N> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // Tiles that do not fit the registers are never used; this keeps them from being compiled.
        if M * N + N >= V::REGISTERS {
            return;
        }
        let Rows { rows, x_row, y_first, y_row, .. } = *self.rows;
        let Columns { first, count } = self.columns;
        let steps = Steps::new(x_row);
        let mut row = 0;
        loop {
            // SAFETY: `row + M <= rows`, so all rows of the tile are among those checked.
            unsafe {
                let acc = self.sum::<V>(self.x.add(row * x_row), &steps);
                let element = y_first + row * y_row + first;
                self.epilogue.finish(acc, first, count, element, y_row, self.y);
            }
            if row + M == rows {
                break;
            }
            row = (row + M).min(rows - M);
        }
    }
}

impl<const M: usize, const N: usize> RowTiles<'_, M, N> {
    /// Computes the sums of one tile, whose first row begins at `x`.
    ///
    /// # Safety
    /// * the processor has the instruction set of `V`;
    /// * `x` can be read at all that M rows meet, `b` at all terms.
    #[inline(always)]
    unsafe fn sum<V: Vector>(&self, x: *const f32, steps: &Steps) -> [[V; N]; M] {
        let Rows { groups, len, group, .. } = *self.rows;
        // SAFETY: the pointers stay within the range that the caller guarantees: row m, run g, value k of x is at
        // `m x_row + g group + k`, and term g len + k of b at N vectors times its number.
        unsafe {
            let mut acc = [[V::splat(0.0); N]; M];
            let mut b = self.b;
            for g in 0..groups {
                let x = x.add(g * group);
                for k in 0..len {
                    let mut row = [V::splat(0.0); N];
                    for (v, row) in row.iter_mut().enumerate() {
                        *row = V::load(b.add(v * V::WIDTH));
                    }
                    let x = x.add(k);
                    // A tile with fewer rows does not read from there, and these addresses may be beyond the slice.
                    let fours = [x, x.wrapping_add(steps.fours[1]), x.wrapping_add(steps.fours[2])];
                    for (m, acc) in acc.iter_mut().enumerate() {
                        let x = V::splat(*fours[m / 4].add(steps.ones[m % 4]));
                        for (acc, b) in acc.iter_mut().zip(row) {
                            *acc = x.mul_add(b, *acc);
                        }
                    }
                    b = b.add(N * V::WIDTH);
                }
            }
            acc
        }
    }
}
