//! Contractions as the kernels of `kernels/fused` see them: matrix products and correlations over rows that have
//! zeros before and after them.

use glassbox_engine::geometry::Geometry;

/// The product that an `apply` is, or a phase of an `apply_transposed`: see `kernels/fused/product.cuh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Product {
    /// True if the kernel is read as `kernel[tap, column, term]`.
    pub(super) transposed: bool,
    /// Rows, and the steps of y that the first is and that lie between two of them.
    pub(super) rows: usize,
    pub(super) t_first: usize,
    pub(super) t_step: usize,
    /// Columns: channels of y.
    pub(super) columns: usize,
    /// Terms of each tap: channels of x.
    pub(super) len: usize,
    /// The taps that its rows meet: how many, the first, and from one to the next.
    pub(super) taps: usize,
    pub(super) tap_first: usize,
    pub(super) tap_step: isize,
    /// The step of x that the first row meets at the first tap; negative where that is padding.
    pub(super) x_first: isize,
    /// Steps of x between two rows, and between two taps.
    pub(super) x_step: usize,
    pub(super) apart: usize,
}

/// `y = A x`
pub(super) fn apply(g: &Geometry) -> Product {
    Product {
        transposed: false,
        rows: g.out_steps,
        t_first: 0,
        t_step: 1,
        columns: g.out_channels,
        len: g.in_channels,
        taps: g.taps,
        tap_first: 0,
        tap_step: 1,
        x_first: -(g.pad_left as isize),
        x_step: g.stride,
        apart: g.dilation,
    }
}

/// `y = A^T x`: a product for each phase. Rows i of y with the same `(i + pad_left) mod stride` meet the same taps k,
/// those with `k dilation = i + pad_left - t stride` for some step t of x. From one such row to the next, `stride`
/// further on, each tap meets the next t.
pub(super) fn apply_transposed(g: &Geometry) -> Vec<Product> {
    let phase = |(row, taps): (usize, Vec<usize>)| {
        let u = row + g.pad_left;
        let t = |tap: usize| (u as isize - (tap * g.dilation) as isize) / g.stride as isize;
        let (tap_step, apart) = match taps[..] {
            [first, second, ..] => (second as isize - first as isize, t(second) - t(first)),
            _ => (1, 1),
        };
        Product {
            transposed: true,
            rows: (g.in_steps - row).div_ceil(g.stride),
            t_first: row,
            t_step: g.stride,
            columns: g.in_channels,
            len: g.out_channels,
            taps: taps.len(),
            tap_first: taps.first().copied().unwrap_or(0),
            tap_step,
            x_first: taps.first().map_or(0, |tap| t(*tap)),
            x_step: 1,
            apart: apart as usize,
        }
    };
    g.taps_by_phase().into_iter().enumerate().map(phase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::geometry::{GeometrySpec, Padding};

    /// Every product of a row, a tap and a step of x that the definition has, and no other, is in one phase.
    #[test]
    fn phases_have_each_product_once() {
        for (in_steps, taps, stride, dilation, padding) in [
            (17, 7, 2, 1, Padding::Same),
            (20, 3, 4, 3, Padding::Causal),
            (23, 4, 3, 2, Padding::Valid),
            (9, 2, 4, 1, Padding::Same),
            (2, 2, 3, 1, Padding::Causal),
        ] {
            let (out_steps, pad_left) = padding.resolve(in_steps, (taps - 1) * dilation + 1, stride).unwrap();
            let (in_channels, out_channels) = (1, 1);
            let spec = GeometrySpec {
                in_steps,
                in_channels,
                out_steps,
                out_channels,
                taps,
                stride,
                dilation,
                pad_left,
            };
            let g = Geometry::new(spec).unwrap();
            let mut expected = vec![];
            for t in 0..out_steps {
                for tap in 0..taps {
                    expected.extend(g.in_step(t, tap).map(|i| (i, tap, t)));
                }
            }
            let mut found = vec![];
            for p in apply_transposed(&g) {
                for (row, k) in (0..p.rows).flat_map(|row| (0..p.taps).map(move |k| (row, k))) {
                    let t = p.x_first + (row * p.x_step + k * p.apart) as isize;
                    let tap = p.tap_first as isize + k as isize * p.tap_step;
                    if (0..out_steps as isize).contains(&t) {
                        found.push((p.t_first + row * p.t_step, tap as usize, t as usize));
                    }
                }
            }
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "{g:?}");
        }
    }
}
