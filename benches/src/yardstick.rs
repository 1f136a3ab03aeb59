//! The contractions through the crate [`gemm`](https://docs.rs/gemm), which candle and burn stand on: how a good
//! general matrix product does the same work, called on the same views of a padded signal, without copies.
//!
//! `apply` and `correlate` are one product each, `apply_transposed` one for each phase of the stride, with the kernel
//! packed beforehand. It has its AVX-512 kernels and runs on one thread. Dilation is left out: no bench has any.
#![allow(unsafe_code)]

use glassbox_cpu::Operation;
use glassbox_engine::geometry::Geometry;

/// A matrix within a slice: element (i, j) is at `first + i row + j column`.
#[derive(Debug, Clone, Copy)]
struct View {
    first: usize,
    row: usize,
    column: usize,
}

/// One product: `c (m x n) = a (m x k) b (k x n)`, or added to `c`.
#[derive(Debug, Clone)]
struct Product {
    m: usize,
    k: usize,
    n: usize,
    a: View,
    b: View,
    c: View,
    add: bool,
}

/// A contraction with its operands.
#[derive(Debug)]
pub struct Yardstick {
    products: Vec<Product>,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Yardstick {
    /// A contraction of a convolution without dilation: `signal` is what the kernel, or the other signal, meets.
    ///
    /// # Panics
    /// If a length is not that of the geometry.
    #[must_use]
    pub fn new(operation: Operation, g: &Geometry, signal: &[f32], other: &[f32]) -> Self {
        assert_eq!(g.dilation, 1, "a convolution without dilation");
        let width = g.taps * g.in_channels;
        // Row t of the padded input, seen as taps x channels values.
        let view = View { first: 0, row: g.stride * g.in_channels, column: 1 };
        let plain = |columns: usize| View { first: 0, row: columns, column: 1 };
        match operation {
            Operation::Apply => {
                let (a, b, c) = (view, plain(g.out_channels), plain(g.out_channels));
                let product = Product { m: g.out_steps, k: width, n: g.out_channels, a, b, c, add: false };
                let a = padded(signal, g.in_channels, g.pad_left, g.pad_right());
                Self { products: vec![product], a, b: other.to_vec(), c: vec![0.0; g.output().len()] }
            }
            Operation::Correlate => {
                let a = View { row: view.column, column: view.row, ..view };
                let (b, c) = (plain(g.out_channels), plain(g.out_channels));
                let product = Product { m: width, k: g.out_steps, n: g.out_channels, a, b, c, add: true };
                let a = padded(signal, g.in_channels, g.pad_left, g.pad_right());
                Self { products: vec![product], a, b: other.to_vec(), c: vec![0.0; g.kernel_len()] }
            }
            Operation::ApplyTransposed => Self::transposed(g, signal, other),
        }
    }

    /// Rows of the result with the same remainder modulo the stride meet the same taps.
    fn transposed(g: &Geometry, signal: &[f32], kernel: &[f32]) -> Self {
        // More zero rows than any row of the result can reach.
        let margin = g.taps;
        let (mut products, mut b) = (vec![], vec![]);
        for row in 0..g.stride.min(g.in_steps) {
            let u = row + g.pad_left;
            let taps: Vec<usize> = (0..g.taps).rev().filter(|tap| tap % g.stride == u % g.stride).collect();
            let Some(first) = taps.first() else { continue };
            let start = (margin + u / g.stride) - first / g.stride;
            products.push(Product {
                m: (g.in_steps - row).div_ceil(g.stride),
                k: taps.len() * g.out_channels,
                n: g.in_channels,
                a: View { first: start * g.out_channels, row: g.out_channels, column: 1 },
                b: View { first: b.len(), row: g.in_channels, column: 1 },
                c: View { first: row * g.in_channels, row: g.stride * g.in_channels, column: 1 },
                add: false,
            });
            for tap in taps {
                for o in 0..g.out_channels {
                    let at = |c| (tap * g.in_channels + c) * g.out_channels + o;
                    b.extend((0..g.in_channels).map(|c| kernel[at(c)]));
                }
            }
        }
        let a = padded(signal, g.out_channels, margin, margin + g.taps);
        Self { products, a, b, c: vec![0.0; g.input().len()] }
    }

    /// Computes: overwrites the result, or adds to it if this is a correlation.
    pub fn run(&mut self) {
        for product in &self.products {
            multiply(product, &self.a, &self.b, &mut self.c);
        }
    }

    /// The result.
    #[must_use]
    pub fn result(&self) -> &[f32] {
        &self.c
    }
}

/// A signal between rows of zeros.
fn padded(signal: &[f32], channels: usize, left: usize, right: usize) -> Vec<f32> {
    let mut values = vec![0.0; left * channels];
    values.extend_from_slice(signal);
    values.resize(values.len() + right * channels, 0.0);
    values
}

fn multiply(product: &Product, a: &[f32], b: &[f32], c: &mut [f32]) {
    let Product { m, k, n, .. } = *product;
    let last = |view: View, rows: usize, columns: usize| {
        view.first + (rows - 1) * view.row + (columns - 1) * view.column
    };
    assert!(last(product.a, m, k) < a.len() && last(product.b, k, n) < b.len(), "{product:?}");
    assert!(last(product.c, m, n) < c.len() && (m == 1 || product.c.row >= n), "{product:?}");
    let (row, column) = (|view: View| view.row as isize, |view: View| view.column as isize);
    // SAFETY: all three views lie within their slices, and the elements of `c` do not overlap.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr().add(product.c.first),
            column(product.c),
            row(product.c),
            product.add,
            a.as_ptr().add(product.a.first),
            column(product.a),
            row(product.a),
            b.as_ptr().add(product.b.first),
            column(product.b),
            row(product.b),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
