//! The micro-kernel `outer`, for `correlate`: sums of outer products.
//!
//! ```text
//! d[i, j] += sum over t of  a[t a_row + i]  v[t v_row + j]
//! ```
//!
//! One of a and v is the view of a convolution's input, with a row of taps x channels values per step; the other is the
//! signal on its output side. Either of them may be the one read as vectors. The caller chooses the one that fills
//! vectors better, which decides the layout of d.
//!
//! ```text
//!                          v, row t            3 vectors, loaded
//!                    +-------------------------+
//!                    |   v0   |   v1   |   v2  |
//!         +----+     +-------------------------+
//!  a,     | a0 |     | 0,0    | 0,1    | 0,2   |
//!  row t, | a1 |     | 1,0    | 1,1    | 1,2   |    24 accumulators stay in registers over all t:
//!  8      | .. |     |  ..    |  ..    |  ..   |    3 loads and 8 broadcasts a step feed 24 multiply-adds
//!  values | a7 |     | 7,0    | 7,1    | 7,2   |
//!         +----+     +-------------------------+
//! ```
//!
//! **Registers.** AVX-512: 8 x 3 accumulators, 3 vectors of v, the broadcast is a memory operand. AVX2: 6 x 2.
//! The values of a that a tile reads are neighbours, so their addresses are one pointer plus constants.
//!
//! **Tails.** Of a: smaller tiles. Of v: masked loads and stores in the last vector. Tiles do not overlap, because
//! nothing must be added twice.
//!
//! **Sums.** One accumulator takes all t, in order, and is then added to d. The shape of the tile does not change the
//! bits.
//!
//! **Tried.** With 16 channels on one side, AVX-512 has one vector of them, and twelve broadcasts for twelve
//! multiply-adds. With transposed sums and 8 x 3 tiles of the other side, it reaches 95 to 97 % of the ceiling. On
//! AVX2, one call per tile instead of one per column of tiles cost 3 % of the whole sum (4.67 instead of 4.48 us in the
//! tutorial's second layer).
//!
//! Reference: [`glassbox_engine::reference::correlate`].

use crate::simd::{Isa, Task, Vector};

/// The layout of the factors and of the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outer {
    /// Number of terms of the sum.
    pub(crate) steps: usize,
    /// Number of values of a in a step: rows of d.
    pub(crate) rows: usize,
    /// Distance between two steps of a.
    pub(crate) a_row: usize,
    /// Number of values of v in a step: columns of d.
    pub(crate) columns: usize,
    /// Distance between two steps of v.
    pub(crate) v_row: usize,
    /// Distance between two rows of d; at least `columns`.
    pub(crate) d_row: usize,
}

/// Rows and vectors of the tiles of a `d` of these dimensions: as few tiles as possible, of about the same size.
fn tile(isa: Isa, rows: usize, vectors: usize) -> (usize, usize) {
    let (most_rows, most_vectors) = if isa.registers() >= 32 { (8, 3) } else { (6, 2) };
    (rows.div_ceil(rows.div_ceil(most_rows)), vectors.div_ceil(vectors.div_ceil(most_vectors)))
}

/// Cost of a step, in multiply-adds of a vector: for each tile the number of its multiply-adds, or of its loads if
/// there are more.
pub(crate) fn cost(isa: Isa, rows: usize, columns: usize) -> usize {
    let vectors = columns.div_ceil(isa.width());
    let (m, n) = tile(isa, rows, vectors);
    let mut cost = 0;
    for row in (0..rows).step_by(m) {
        for vector in (0..vectors).step_by(n) {
            let (m, n) = (m.min(rows - row), n.min(vectors - vector));
            cost += (m * n).max(m + n);
        }
    }
    cost
}

/// Adds the sum of outer products to `d`.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn outer(isa: Isa, shape: &Outer, a: &[f32], v: &[f32], d: &mut [f32]) {
    let Outer { steps, rows, a_row, columns, v_row, d_row } = *shape;
    if steps == 0 || rows == 0 || columns == 0 {
        return;
    }
    assert!(a.len() >= (steps - 1) * a_row + rows, "a: {} values, {shape:?}", a.len());
    assert!(v.len() >= (steps - 1) * v_row + columns, "v: {} values, {shape:?}", v.len());
    assert!(d.len() >= (rows - 1) * d_row + columns, "d: {} values, {shape:?}", d.len());
    let (tile_rows, tile_vectors) = tile(isa, rows, columns.div_ceil(isa.width()));
    for column in (0..columns).step_by(tile_vectors * isa.width()) {
        let v = &v[column..];
        let width = (columns - column).min(tile_vectors * isa.width());
        // All tiles of full size in one call, then the rest, which is smaller than a tile.
        let whole = rows / tile_rows;
        for (row, tile_rows, tiles) in [(0, tile_rows, whole), (whole * tile_rows, rows % tile_rows, 1)] {
            if tile_rows == 0 {
                continue;
            }
            let a = &a[row..];
            let d = &mut d[row * d_row + column..];
            macro_rules! run {
                ($m:literal, $n:literal) => {{
                    let (a, v, d) = (a.as_ptr(), v.as_ptr(), d.as_mut_ptr());
                    let task = OuterTiles::<$m, $n> { shape, tiles, columns: width, a, v, d };
                    // SAFETY: `tiles` times `$m` rows and `width` columns from here on are part of what was
                    // checked, and `width` columns are more than `$n - 1` vectors and no more than `$n`.
                    unsafe { isa.run(task) }
                }};
            }
            match (tile_rows, width.div_ceil(isa.width())) {
                (1, 1) => run!(1, 1),
                (2, 1) => run!(2, 1),
                (3, 1) => run!(3, 1),
                (4, 1) => run!(4, 1),
                (5, 1) => run!(5, 1),
                (6, 1) => run!(6, 1),
                (7, 1) => run!(7, 1),
                (8, 1) => run!(8, 1),
                (1, 2) => run!(1, 2),
                (2, 2) => run!(2, 2),
                (3, 2) => run!(3, 2),
                (4, 2) => run!(4, 2),
                (5, 2) => run!(5, 2),
                (6, 2) => run!(6, 2),
                (7, 2) => run!(7, 2),
                (8, 2) => run!(8, 2),
                (1, 3) => run!(1, 3),
                (2, 3) => run!(2, 3),
                (3, 3) => run!(3, 3),
                (4, 3) => run!(4, 3),
                (5, 3) => run!(5, 3),
                (6, 3) => run!(6, 3),
                (7, 3) => run!(7, 3),
                (8, 3) => run!(8, 3),
                (rows, vectors) => unreachable!("a tile of {rows} rows and {vectors} vectors"),
            }
        }
    }
}

/// A column of `tiles` tiles of d, each of `M` rows and `N` vectors.
///
/// # Safety of running it
/// * `a` can be read for `tiles` times M values and `v` for `columns` at each step, and `d` be read and written
///   for `columns` values in as many rows; d overlaps neither;
/// * `columns` are more than `N - 1` and no more than `N` vectors.
struct OuterTiles<'a, const M: usize, const N: usize> {
    shape: &'a Outer,
    tiles: usize,
    columns: usize,
    a: *const f32,
    v: *const f32,
    d: *mut f32,
}

impl<const M: usize, const N: usize> Task for OuterTiles<'_, M, N> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // Tiles that do not fit the registers are never used; this keeps them from being compiled.
        if M * N + N >= V::REGISTERS {
            return;
        }
        // SAFETY: guaranteed by the conditions of running this task.
        unsafe {
            for tile in 0..self.tiles {
                let (a, d) = (self.a.add(tile * M), self.d.add(tile * M * self.shape.d_row));
                if self.columns == N * V::WIDTH {
                    self.tile::<V, true>(a, d);
                } else {
                    self.tile::<V, false>(a, d);
                }
            }
        }
    }
}

impl<const M: usize, const N: usize> OuterTiles<'_, M, N> {
    /// Computes the tile whose first row is at `a` and `d`.
    ///
    /// # Safety
    /// * those of running the task, for one tile; `FULL` says whether there are `N WIDTH` columns.
    #[inline(always)]
    unsafe fn tile<V: Vector, const FULL: bool>(&self, mut a: *const f32, d: *mut f32) {
        let Outer { steps, a_row, v_row, d_row, .. } = *self.shape;
        // Columns of the last vector.
        let last = self.columns - (N - 1) * V::WIDTH;
        // SAFETY: step t of a and v begins t times its row on, and vector n of a row has WIDTH columns or, if
        // it is the last and not full, `last`.
        unsafe {
            let load = |from: *const f32, n: usize| {
                let from = from.add(n * V::WIDTH);
                if FULL || n + 1 < N { V::load(from) } else { V::load_first(from, last) }
            };
            let mut acc = [[V::splat(0.0); N]; M];
            let mut v = self.v;
            for _ in 0..steps {
                let mut row = [V::splat(0.0); N];
                for (n, row) in row.iter_mut().enumerate() {
                    *row = load(v, n);
                }
                for (m, acc) in acc.iter_mut().enumerate() {
                    let a = V::splat(*a.add(m));
                    for (acc, v) in acc.iter_mut().zip(row) {
                        *acc = a.mul_add(v, *acc);
                    }
                }
                // After the last step these may point beyond the slices, so no `add`.
                a = a.wrapping_add(a_row);
                v = v.wrapping_add(v_row);
            }
            for (m, acc) in acc.into_iter().enumerate() {
                let d = d.add(m * d_row);
                for (n, acc) in acc.into_iter().enumerate() {
                    let sum = load(d, n).add(acc);
                    let to = d.add(n * V::WIDTH);
                    if FULL || n + 1 < N { sum.store(to) } else { sum.store_first(to, last) }
                }
            }
        }
    }
}
