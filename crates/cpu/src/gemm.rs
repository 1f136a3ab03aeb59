//! `matrixmultiply` behind a safe interface.
//!
//! It serves [`Simd::MatrixMultiply`](crate::Simd::MatrixMultiply) only: a well-known implementation, to compare the
//! speed of ours with, and for a second opinion if ours disagrees with the reference.
#![allow(unsafe_code)]

/// A matrix within a slice: element (i, j) is at `offset + i * row + j * column`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// Index of element (0, 0).
    pub(crate) offset: usize,
    /// Distance between an element and the one below it.
    pub(crate) row: usize,
    /// Distance between an element and the one to its right.
    pub(crate) column: usize,
}

impl View {
    /// The end of the elements that a view of `rows x columns` accesses.
    fn end(&self, rows: usize, columns: usize) -> usize {
        self.offset + (rows - 1) * self.row + (columns - 1) * self.column + 1
    }
}

/// The dimensions of a product: `a` is m x k, `b` is k x n, `c` is m x n.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) m: usize,
    pub(crate) k: usize,
    pub(crate) n: usize,
}

/// `c = a b + beta c`. If beta is 0, the old content of `c` is ignored.
///
/// # Panics
/// If a view reaches beyond its slice, or two elements of `c` share a place.
pub(crate) fn gemm(
    Sizes { m, k, n }: Sizes,
    (a, a_view): (&[f32], View),
    (b, b_view): (&[f32], View),
    beta: f32,
    (c, c_view): (&mut [f32], View),
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(k > 0, "an empty sum");
    assert!(a_view.end(m, k) <= a.len(), "a: {a_view:?} for {m} x {k} of {}", a.len());
    assert!(b_view.end(k, n) <= b.len(), "b: {b_view:?} for {k} x {n} of {}", b.len());
    assert!(c_view.end(m, n) <= c.len(), "c: {c_view:?} for {m} x {n} of {}", c.len());
    assert!(c_view.column == 1 && (m == 1 || c_view.row >= n), "c: rows of {n} overlap: {c_view:?}");
    // SAFETY: every element of the three views lies within its slice: their smallest index is the offset,
    // since all strides are positive, and their largest was checked above. `c` is borrowed mutably, so it
    // overlaps neither `a` nor `b`, and its elements do not overlap each other.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a.as_ptr().add(a_view.offset),
            a_view.row as isize,
            a_view.column as isize,
            b.as_ptr().add(b_view.offset),
            b_view.row as isize,
            b_view.column as isize,
            beta,
            c.as_mut_ptr().add(c_view.offset),
            c_view.row as isize,
            c_view.column as isize,
        );
    }
}
