//! Index maps: copies of runs. Their transposes: sums of runs.
//!
//! Reference: [`glassbox_engine::reference::index_map`], [`glassbox_engine::reference::index_map_transposed`].

use glassbox_engine::index_map::{IndexMap, Run};

use crate::kernels::sums;
use crate::simd::Isa;

/// `y[j] = x(k)[i]` where the map has (k, i) for j, else 0.
pub(crate) fn run<'a>(map: &IndexMap, x: impl Fn(usize) -> &'a [f32], y: &mut [f32]) {
    if map.has_zeros() {
        y.fill(0.0);
    }
    for Run { input, from, to, len } in map.runs() {
        y[to..][..len].copy_from_slice(&x(input)[from..][..len]);
    }
}

/// `dx[i]` is the sum of the `dy[j]` for which the map has (`input`, i), in the order of the runs.
pub(crate) fn run_transposed(isa: Isa, map: &IndexMap, input: usize, dy: &[f32], dx: &mut [f32]) {
    dx.fill(0.0);
    for Run { from, to, len, .. } in map.runs_of(input) {
        sums::add(isa, &mut dx[from..][..len], &dy[to..][..len]);
    }
}
