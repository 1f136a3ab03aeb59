//! Index maps, and their transposes.

use crate::float::Float;
use crate::index_map::{IndexMap, Run};

/// `y[j] = x[k][i]` where the map has (k, i) for j, else 0.
///
/// # Shapes
/// * `xs`: the inputs of the map, each row by row
/// * `y`: its output, row by row, overwritten
pub fn index_map<F: Float>(map: &IndexMap, xs: &[&[F]], y: &mut [F]) {
    y.fill(F::zero());
    for Run { input, from, to, len } in map.runs() {
        y[to..to + len].copy_from_slice(&xs[input][from..from + len]);
    }
}

/// The transpose with respect to input k, a sum over preimages:
///
/// ```text
/// dx[i] = sum over the j for which the map has (k, i) of  dy[j]
/// ```
///
/// # Shapes
/// * `dy`: the output of the map, row by row
/// * `dx`: its input `input`, row by row, overwritten
pub fn index_map_transposed<F: Float>(map: &IndexMap, input: usize, dy: &[F], dx: &mut [F]) {
    dx.fill(F::zero());
    for Run { from, to, len, .. } in map.runs_of(input) {
        for n in 0..len {
            dx[from + n] += dy[to + n];
        }
    }
}
