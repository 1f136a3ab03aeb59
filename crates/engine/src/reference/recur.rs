//! All steps of a recurrence, and their gradient. The formulas are in [`recurrent`](crate::recurrent).

use std::ops::Range;

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2};

use crate::activations::Residual;
use crate::float::Float;
use crate::recurrent::{Cell, Kind, Returned};
use crate::shape::Shape;

/// Runs the cell over all steps and stores its trace.
///
/// # Shapes
/// * `kernel`: U, `(units, columns)`
/// * `bias`: `(2, columns)` if the cell [takes it](Cell::reset_after) and has one
/// * `z`: `(steps, columns)`, or `(1, columns)` if it is the same at all steps
/// * `trace`: `(steps, trace channels)`, overwritten
pub fn recur<F: Float>(
    cell: &Cell,
    kernel: ArrayView2<'_, F>,
    bias: Option<ArrayView2<'_, F>>,
    z: ArrayView2<'_, F>,
    trace: ArrayViewMut2<'_, F>,
) {
    let cell_state = cell.gates();
    recur_with(cell, kernel, bias, z, trace, |_, part, _, x| {
        let function = if part == cell_state { cell.activation } else { cell.function(part) };
        function.apply(x)
    });
}

/// As [`recur`], with other functions: `function` gets the step, the gate, the unit, and the argument. The function of an
/// LSTM's cell state counts as a gate after the others.
pub(crate) fn recur_with<F: Float>(
    cell: &Cell,
    kernel: ArrayView2<'_, F>,
    bias: Option<ArrayView2<'_, F>>,
    z: ArrayView2<'_, F>,
    mut trace: ArrayViewMut2<'_, F>,
    function: impl Fn(usize, usize, usize, F) -> F,
) {
    let u = cell.units;
    let bias = |row: usize, column: usize| bias.map_or(F::zero(), |bias| bias[[row, column]]);
    // Column `column` of `v U`.
    let product = |v: &[F], column: usize| (0..u).map(|k| v[k] * kernel[[k, column]]).sum::<F>();
    let mut before = vec![F::zero(); trace.ncols()];
    for (t, now) in trace.rows_mut().into_iter().enumerate() {
        let now = now.into_slice().expect("steps are contiguous");
        let z = z.row(if z.nrows() == 1 { 0 } else { t });
        let h = &before[cell.hidden()];
        // Gate number `gate` of unit j, from its input x.
        let open = |now: &mut [F], gate: usize, j: usize, x: F| {
            now[gate * u + j] = function(t, gate, j, x);
            if cell.keeps_inputs() {
                now[cell.hidden().end + gate * u + j] = x;
            }
            now[gate * u + j]
        };
        match cell.kind {
            Kind::Lstm => {
                for j in 0..u {
                    let [i, f, candidate, o] = [0, 1, 2, 3].map(|gate| {
                        let column = gate * u + j;
                        open(now, gate, j, z[column] + product(h, column))
                    });
                    let c = f * before[4 * u + j] + i * candidate;
                    now[4 * u + j] = c;
                    now[5 * u + j] = o * function(t, 4, j, c);
                }
            }
            Kind::Gru { reset_after } => {
                for column in 0..2 * u {
                    let x = z[column] + bias(0, column) + product(h, column) + bias(1, column);
                    open(now, column / u, column % u, x);
                }
                // What the reset gate acts on, or has acted on.
                for j in 0..u {
                    now[3 * u + j] = match reset_after {
                        true => product(h, 2 * u + j) + bias(1, 2 * u + j),
                        false => now[u + j] * h[j],
                    };
                }
                for j in 0..u {
                    let recurrent = match reset_after {
                        true => now[u + j] * now[3 * u + j],
                        false => product(&now[cell.part(3)], 2 * u + j),
                    };
                    let q = now[j];
                    let candidate = open(now, 2, j, z[2 * u + j] + bias(0, 2 * u + j) + recurrent);
                    now[4 * u + j] = q * h[j] + (F::one() - q) * candidate;
                }
            }
        }
        before.copy_from_slice(now);
    }
}

/// Computes the gradient with respect to z, from the last step to the first. A cell that takes a bias of two rows has
/// the gradient with respect to `h U + b` next to it.
///
/// # Shapes
/// * `kernel`: U, `(units, columns)`
/// * `trace`: `(steps, trace channels)`
/// * `dh`: the gradient with respect to the hidden states, `(steps, units)`, or to the last of them, `(1, units)`
/// * `dz`: `(steps, gradient channels)`, overwritten
pub fn recur_gradient<F: Float>(
    cell: &Cell,
    kernel: ArrayView2<'_, F>,
    trace: ArrayView2<'_, F>,
    dh: ArrayView2<'_, F>,
    mut dz: ArrayViewMut2<'_, F>,
) {
    let (u, steps) = (cell.units, trace.nrows());
    let returned = cell.returned(Shape::new(dh.nrows(), dh.ncols()), steps);
    let nothing = vec![F::zero(); trace.ncols()];
    // Unit k of `v U^T`, of some columns.
    let transposed = |v: &[F], columns: Range<usize>, k: usize| {
        columns.map(|column| v[column] * kernel[[k, column]]).sum::<F>()
    };
    // What reaches h and c of a step from the step after it.
    let (mut dh_after, mut dc_after) = (vec![F::zero(); u], vec![F::zero(); u]);
    for t in (0..steps).rev() {
        let now = trace.row(t);
        let before = if t == 0 { ArrayView1::from(&nothing) } else { trace.row(t - 1) };
        let h_before = |j: usize| before[cell.hidden().start + j];
        let dz = dz.row_mut(t).into_slice().expect("steps are contiguous");
        let dh = |j: usize| match returned {
            Returned::All => dh[[t, j]],
            Returned::Last if t + 1 == steps => dh[[0, j]],
            Returned::Last => F::zero(),
        };
        // The gradient of the input of gate number `gate` of unit j, from that of the gate.
        let closed = |gate: usize, j: usize, d: F| {
            let function = cell.function(gate);
            let kept = match function.residual() {
                Residual::Input => cell.hidden().end,
                Residual::Sign | Residual::Output => 0,
            };
            function.gradient(now[kept + gate * u + j], d)
        };
        match cell.kind {
            Kind::Lstm => {
                for j in 0..u {
                    let [i, f, candidate, o, c] = [0, 1, 2, 3, 4].map(|part| now[part * u + j]);
                    let dh = dh(j) + dh_after[j];
                    let y = cell.activation.apply(c);
                    let at = if cell.activation.residual() == Residual::Input { c } else { y };
                    let dc = dc_after[j] + cell.activation.gradient(at, dh * o);
                    let gradients = [dc * candidate, dc * before[4 * u + j], dc * i, dh * y];
                    for (gate, d) in gradients.into_iter().enumerate() {
                        dz[gate * u + j] = closed(gate, j, d);
                    }
                    dc_after[j] = dc * f;
                }
                dh_after = (0..u).map(|k| transposed(dz, 0..4 * u, k)).collect();
            }
            Kind::Gru { reset_after } => {
                let dh: Vec<F> = (0..u).map(|j| dh(j) + dh_after[j]).collect();
                for j in 0..u {
                    dz[j] = closed(0, j, dh[j] * (h_before(j) - now[2 * u + j]));
                    dz[2 * u + j] = closed(2, j, dh[j] * (F::one() - now[j]));
                }
                // The gradient with respect to what the reset gate has acted on.
                let ds = |j: usize| match reset_after {
                    true => dz[2 * u + j],
                    false => transposed(dz, 2 * u..3 * u, j),
                };
                let ds: Vec<F> = (0..u).map(ds).collect();
                for j in 0..u {
                    let acted_on = if reset_after { now[3 * u + j] } else { h_before(j) };
                    dz[u + j] = closed(1, j, ds[j] * acted_on);
                }
                if reset_after {
                    for j in 0..u {
                        dz[3 * u + j] = dz[j];
                        dz[4 * u + j] = dz[u + j];
                        dz[5 * u + j] = dz[2 * u + j] * now[u + j];
                    }
                }
                let through = |k: usize| match reset_after {
                    true => transposed(&dz[3 * u..], 0..3 * u, k),
                    false => transposed(dz, 0..2 * u, k) + ds[k] * now[u + k],
                };
                dh_after = (0..u).map(|k| dh[k] * now[k] + through(k)).collect();
            }
        }
    }
}
