//! Recurrences: all steps of a group of windows in lockstep.
//!
//! A step of one window is the product of a vector with the recurrent kernel, which is bound by reading the kernel. So
//! a group of windows takes each step together: one product of a matrix, `(windows, units)`, with the kernel, by the
//! same micro-kernels as a convolution of one tap; then the [gates](crate::kernels::gates) of all windows. The states
//! and the kernel stay in cache from step to step.
//!
//! ```text
//! forward:                                    backward, from the last step to the first:
//!   product = h U              (group, 4 u)     gates: dh + product, trace -> dz     (group, 4 u)
//!   gates: z + product -> trace, h, c           product = dz U^T                     (group, u)
//! ```
//!
//! A row of a product does not depend on the others, so a window gives the same bits in any group.
//!
//! Reference: [`glassbox_engine::reference::recur`], [`glassbox_engine::reference::recur_gradient`].

use std::ops::Range;

use glassbox_engine::geometry::{Geometry, GeometrySpec};
use glassbox_engine::recurrent::{Cell, Kind};

use crate::kernels::epilogue::Epilogue;
use crate::kernels::gates::{Backward, Forward, Half};
use crate::layout::Aligned;
use crate::product::{Products, Tap};
use crate::simd::{Isa, Simd};
use crate::{apply, apply_transposed};

/// Maximum number of windows in a group: a tile of the micro-kernel has at most 12 rows, and the chunks of a batch of
/// 128 have 8 windows.
pub(crate) const GROUP: usize = 8;

/// A planned recurrence, or its gradient.
#[derive(Debug)]
pub(crate) struct Recurrence {
    isa: Isa,
    cell: Cell,
    steps: usize,
    /// Channels of the signal whose product with a kernel is computed along with that of h; 0 if z is given.
    inputs: usize,
    /// The kernel of that product below the recurrent kernel, `(units + inputs, columns)`.
    stacked: Vec<f32>,
    /// The products with the kernel, each with its columns. All of them, or first the gates of a GRU and then its
    /// candidate.
    products: Vec<(Products, Range<usize>)>,
}

/// The states of a group. Each thread has its own.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// h of each window, and the channels of its input after it.
    h: Aligned,
    /// c of an LSTM, s of a GRU; backward, what is passed on directly.
    state: Aligned,
    product: Aligned,
    /// Backward: the gradient of all columns.
    columns: Aligned,
    /// A step of the trace of each window, if it is not kept.
    trace: Aligned,
    /// Stands for a bias or z that there is not.
    zeros: Aligned,
}

/// The values that a recurrence stores for each window.
pub(crate) enum Stored<'a, 'v> {
    /// Its trace.
    Traces(&'a mut [&'v mut [f32]]),
    /// Its hidden states: of all steps, or of the last.
    Hidden(&'a mut [&'v mut [f32]]),
}

impl Scratch {
    /// Room for all of these recurrences.
    pub(crate) fn new<'a>(recurrences: impl Iterator<Item = &'a Recurrence>) -> Self {
        let (mut h, mut units, mut columns, mut trace) = (0, 0, 0, 0);
        for Recurrence { cell, inputs, .. } in recurrences {
            h = h.max(cell.units + inputs);
            units = units.max(cell.units);
            columns = columns.max(cell.columns());
            trace = trace.max(cell.trace_channels());
        }
        let [h, state, product, trace] = [h, units, columns, trace].map(|n| Aligned::zeros(GROUP * n, 0));
        Self {
            h,
            state,
            product,
            columns: Aligned::zeros(GROUP * columns, 0),
            trace,
            zeros: Aligned::zeros(columns, 0),
        }
    }
}

impl Recurrence {
    /// Plans [`Recurrence::run`] for a recurrence that computes `x W` of `inputs` channels of x itself, or is given z if
    /// there are none. Only an LSTM can compute it: in a GRU the candidate's part of h U has to stay apart.
    pub(crate) fn forward(simd: Simd, cell: Cell, steps: usize, inputs: usize) -> Self {
        let all = cell.columns();
        let plan = |columns: Range<usize>| {
            let mut band = apply::band(&rows(cell.units + inputs, columns.len()), 0);
            band.tap = Tap { terms: (cell.units + inputs, all), ..band.tap };
            (band.plan_rows(simd), columns)
        };
        Self::new(simd, cell, steps, inputs, plan)
    }

    /// Plans [`Recurrence::run_gradient`].
    pub(crate) fn gradient(simd: Simd, cell: Cell, steps: usize) -> Self {
        let all = cell.columns();
        let plan = |columns: Range<usize>| {
            let mut band = apply_transposed::band(&rows(cell.units, columns.len()), 0);
            (band.tap, band.x_row) = (Tap { column: all, ..band.tap }, all);
            (band.plan_rows(simd), columns)
        };
        Self::new(simd, cell, steps, 0, plan)
    }

    fn new(
        simd: Simd,
        cell: Cell,
        steps: usize,
        inputs: usize,
        plan: impl Fn(Range<usize>) -> (Products, Range<usize>),
    ) -> Self {
        let (gates, all) = (2 * cell.units, cell.columns());
        let products = match cell.kind {
            Kind::Lstm | Kind::Gru { reset_after: true } => vec![plan(0..all)],
            Kind::Gru { reset_after: false } => vec![plan(0..gates), plan(gates..all)],
        };
        let stacked = vec![0.0; (cell.units + inputs) * all];
        Self { isa: Isa::new(simd).unwrap_or(Isa::PORTABLE), cell, steps, inputs, stacked, products }
    }

    /// Packs the recurrent kernel, `(units, columns)`, and that of the inputs, `(inputs, columns)`.
    pub(crate) fn pack(&mut self, recurrent: &[f32], input: &[f32]) {
        let (above, below) = self.stacked.split_at_mut(recurrent.len());
        above.copy_from_slice(recurrent);
        below.copy_from_slice(input);
        for (products, columns) in &mut self.products {
            products.pack(&self.stacked[columns.start..]);
        }
    }

    /// Runs all steps. `bias` is `(2, columns)`, or empty; but if the recurrence computes the product of its inputs, `z`
    /// is the inputs, and `bias` is `(columns)`, or empty.
    pub(crate) fn run(&self, bias: &[f32], z: &[&[f32]], stored: Stored<'_, '_>, scratch: &mut Scratch) {
        match stored {
            Stored::Traces(traces) => self.run_steps(bias, z, traces, None, scratch),
            Stored::Hidden(hidden) => {
                // A row for each window, which every step overwrites.
                let mut trace = std::mem::take(&mut scratch.trace);
                let mut rows: [&mut [f32]; GROUP] = Default::default();
                for (row, trace) in rows.iter_mut().zip(trace.chunks_exact_mut(self.cell.trace_channels())) {
                    *row = trace;
                }
                self.run_steps(bias, z, &mut rows[..z.len()], Some(hidden), scratch);
                scratch.trace = trace;
            }
        }
    }

    /// Runs all steps; `traces` have one step if `hidden` is given.
    fn run_steps(
        &self,
        bias: &[f32],
        z: &[&[f32]],
        traces: &mut [&mut [f32]],
        mut hidden: Option<&mut [&mut [f32]]>,
        scratch: &mut Scratch,
    ) {
        let (cell, isa, windows, u) = (&self.cell, self.isa, z.len(), self.cell.units);
        let Scratch { h, state, product, zeros, .. } = scratch;
        h.fill(0.0);
        state.fill(0.0);
        let (bias, recurrent) = match bias.split_at_checked(cell.columns()) {
            Some((bias, recurrent)) => (bias, Some(recurrent).filter(|bias| !bias.is_empty())),
            None => (&zeros[..cell.columns()], None),
        };
        // With inputs, the bias is all there is of z besides their product.
        let (inputs, z) = if self.inputs > 0 { (z, &[bias; GROUP][..windows]) } else { (&[][..], z) };
        let epilogue = Epilogue { bias: recurrent, ..Epilogue::default() };
        let h_row = u + self.inputs;
        for step in 0..self.steps {
            for (x, h) in inputs.iter().zip(h.chunks_exact_mut(h_row)) {
                h[u..].copy_from_slice(&x[step * self.inputs..][..self.inputs]);
            }
            let z_at = if z[0].len() == cell.columns() { 0 } else { step * cell.columns() };
            let at = if hidden.is_some() { 0 } else { step * cell.trace_channels() };
            self.products[0].0.run_rows(windows, h, product, &epilogue);
            macro_rules! forward {
                () => {{
                    let (z, traces, h) = ((z, z_at), (&mut *traces, at), (&mut **h, h_row));
                    Forward { cell, z, traces, product, bias, h, state }
                }};
            }
            match cell.kind {
                Kind::Lstm => forward!().lstm(isa),
                Kind::Gru { reset_after } => {
                    forward!().gru(isa, Half::First);
                    if !reset_after {
                        self.products[1].0.run_rows(windows, state, product, &epilogue);
                    }
                    forward!().gru(isa, Half::Second);
                }
            }
            for (hidden, h) in hidden.iter_mut().flat_map(|all| all.iter_mut()).zip(h.chunks_exact(h_row)) {
                match hidden.len() == self.steps * u {
                    true => hidden[step * u..][..u].copy_from_slice(&h[..u]),
                    false if step + 1 == self.steps => hidden.copy_from_slice(&h[..u]),
                    false => {}
                }
            }
        }
    }

    /// Runs the gradients of all steps, from the last to the first. `dh` has all steps or the last.
    pub(crate) fn run_gradient<'v>(
        &self,
        traces: &[&'v [f32]],
        dh: &[&'v [f32]],
        dz: &mut [&'v mut [f32]],
        scratch: &mut Scratch,
    ) {
        let (cell, isa, windows, u) = (&self.cell, self.isa, traces.len(), self.cell.units);
        let Scratch { state: direct, product, columns, .. } = scratch;
        direct.fill(0.0);
        product.fill(0.0);
        let steps = self.steps;
        let all_steps = dh[0].len() == steps * u;
        let epilogue = Epilogue::default();
        for step in (0..steps).rev() {
            let dh = match all_steps {
                true => Some((dh, step * u)),
                false if step + 1 == steps => Some((dh, 0)),
                false => None,
            };
            let mut backward = Backward { cell, step, traces, dh, product, direct, dz, columns };
            match cell.kind {
                Kind::Lstm => backward.lstm(isa),
                Kind::Gru { reset_after } => {
                    backward.gru(isa, Half::First);
                    if !reset_after {
                        let (candidate, part) = &self.products[1];
                        candidate.run_rows(windows, &columns[part.start..], product, &epilogue);
                    }
                    Backward { cell, step, traces, dh, product, direct, dz, columns }.gru(isa, Half::Second);
                }
            }
            self.products[0].0.run_rows(windows, columns, product, &epilogue);
        }
    }
}

/// A product of the group's rows, of `terms` terms each, with a kernel: a convolution of one tap.
fn rows(terms: usize, columns: usize) -> Geometry {
    let spec = GeometrySpec {
        in_steps: GROUP,
        in_channels: terms,
        out_steps: GROUP,
        out_channels: columns,
        taps: 1,
        stride: 1,
        dilation: 1,
        pad_left: 0,
    };
    Geometry::new(spec).expect("smaller than the kernel, which is in memory")
}

#[cfg(test)]
mod tests {
    use glassbox_engine::activations::Activation;
    use glassbox_engine::random::{Purpose, Stream};
    use glassbox_engine::reference::{recur, recur_gradient};
    use ndarray::{ArrayView2, ArrayViewMut2};

    use super::*;

    const STEPS: usize = 6;

    /// The operands of a group of windows.
    struct Case {
        cell: Cell,
        kernel: Vec<f32>,
        bias: Vec<f32>,
        z: Vec<Vec<f32>>,
        dh: Vec<Vec<f32>>,
    }

    impl Case {
        fn new(cell: Cell, windows: usize, z_steps: usize, dh_steps: usize) -> Self {
            let mut draws = Stream::new(1, Purpose::Check, cell.units as u32, 0).draws();
            let mut normals = |n: usize, scale: f64| -> Vec<f32> {
                (0..n).map(|_| (scale * draws.normal()) as f32).collect()
            };
            let (u, columns) = (cell.units, cell.columns());
            Self {
                // Small enough that gates without bounds do not let the states grow.
                kernel: normals(u * columns, 0.4 / (u as f64).sqrt()),
                bias: if cell.reset_after() { normals(2 * columns, 0.3) } else { vec![] },
                z: (0..windows).map(|_| normals(z_steps * columns, 0.5)).collect(),
                dh: (0..windows).map(|_| normals(dh_steps * u, 1.0)).collect(),
                cell,
            }
        }

        /// The trace and the gradient of each window, windows `group` at a time.
        fn run(&self, simd: Simd, group: usize) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
            let cell = self.cell;
            let mut forward = Recurrence::forward(simd, cell, STEPS, 0);
            let mut backward = Recurrence::gradient(simd, cell, STEPS);
            forward.pack(&self.kernel, &[]);
            backward.pack(&self.kernel, &[]);
            // The room of larger cells is larger.
            let larger = Cell { units: cell.units + 1, ..cell };
            let mut scratch = Scratch::new([&forward, &Recurrence::gradient(simd, larger, 1)].into_iter());
            let windows = self.z.len();
            let mut traces = vec![vec![f32::NAN; STEPS * cell.trace_channels()]; windows];
            let mut dz = vec![vec![f32::NAN; STEPS * cell.gradient_channels()]; windows];
            for first in (0..windows).step_by(group) {
                let part = first..windows.min(first + group);
                let z: Vec<&[f32]> = self.z[part.clone()].iter().map(Vec::as_slice).collect();
                let dh: Vec<&[f32]> = self.dh[part.clone()].iter().map(Vec::as_slice).collect();
                let mut stored: Vec<&mut [f32]> =
                    traces[part.clone()].iter_mut().map(Vec::as_mut_slice).collect();
                forward.run(&self.bias, &z, Stored::Traces(&mut stored), &mut scratch);
                let read: Vec<&[f32]> = traces[part.clone()].iter().map(Vec::as_slice).collect();
                let mut stored: Vec<&mut [f32]> = dz[part].iter_mut().map(Vec::as_mut_slice).collect();
                backward.run_gradient(&read, &dh, &mut stored, &mut scratch);
            }
            (traces, dz)
        }

        /// The trace and the gradient of a window by the reference, in `f64`.
        fn expected(&self, window: usize) -> (Vec<f64>, Vec<f64>) {
            let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            let (cell, u, columns) = (&self.cell, self.cell.units, self.cell.columns());
            let (kernel, bias) = (wide(&self.kernel), wide(&self.bias));
            let kernel = ArrayView2::from_shape((u, columns), &kernel).unwrap();
            let bias = cell.reset_after().then(|| ArrayView2::from_shape((2, columns), &bias).unwrap());
            let (z, dh) = (wide(&self.z[window]), wide(&self.dh[window]));
            let rows = |v: &'_ [f64], n: usize| v.len() / n;
            let mut trace = vec![0.0; STEPS * cell.trace_channels()];
            let z = ArrayView2::from_shape((rows(&z, columns), columns), &z).unwrap();
            let shape = (STEPS, cell.trace_channels());
            recur(cell, kernel, bias, z, ArrayViewMut2::from_shape(shape, &mut trace).unwrap());
            let dh = ArrayView2::from_shape((rows(&dh, u), u), &dh).unwrap();
            let trace_view = ArrayView2::from_shape(shape, &trace).unwrap();
            let mut dz = vec![0.0; STEPS * cell.gradient_channels()];
            let dz_view = ArrayViewMut2::from_shape((STEPS, cell.gradient_channels()), &mut dz).unwrap();
            recur_gradient(cell, kernel, trace_view, dh, dz_view);
            (trace, dz)
        }
    }

    fn cells(units: usize) -> Vec<Cell> {
        let functions = [
            (Activation::Tanh, Activation::Sigmoid),
            (Activation::Relu, Activation::Sigmoid),
            (Activation::Softplus, Activation::Tanh),
            (Activation::Silu, Activation::Sigmoid),
            (Activation::Tanh, Activation::Gelu { approximate: false }),
        ];
        let kinds = [Kind::Lstm, Kind::Gru { reset_after: true }, Kind::Gru { reset_after: false }];
        let cell = |kind| {
            functions.map(|(activation, recurrent_activation)| Cell {
                kind,
                units,
                activation,
                recurrent_activation,
            })
        };
        kinds.into_iter().flat_map(cell).collect()
    }

    /// Each trace and each gradient against the reference, on every path and across the boundaries of vectors. Six
    /// steps lose some hundred roundings of 6e-8, in parts of the largest element.
    #[test]
    fn groups_compute_what_the_reference_computes() {
        for simd in Simd::under_test().unwrap() {
            for units in [1, 3, 4, 7, 8, 16, 17, 32, 33] {
                for cell in cells(units) {
                    for (windows, z_steps, dh_steps) in [(3, STEPS, STEPS), (8, 1, 1)] {
                        let case = Case::new(cell, windows, z_steps, dh_steps);
                        let (traces, dz) = case.run(simd, GROUP);
                        for window in 0..windows {
                            let (expected_trace, expected_dz) = case.expected(window);
                            for (what, found, expected) in
                                [("trace", &traces[window], expected_trace), ("dz", &dz[window], expected_dz)]
                            {
                                let largest = expected.iter().fold(1.0f64, |most, v| most.max(v.abs()));
                                for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
                                    let off = (f64::from(*found) - expected).abs();
                                    assert!(
                                        off <= 1e-5 * largest,
                                        "{cell} of {units} units, window {window} of {windows}, {what} {at}: \
                                         {found}, expected {expected}, on {simd}"
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Hidden states alone are those of the trace, and the product of the inputs may be computed along with that of h:
    /// with x the unit vectors, `x W` is W.
    #[test]
    fn what_is_merged_into_a_recurrence_changes_nothing() {
        for simd in Simd::under_test().unwrap() {
            for cell in [3, 16, 20].into_iter().flat_map(cells) {
                let case = Case::new(cell, 3, STEPS, STEPS);
                let (traces, _) = case.run(simd, GROUP);
                let z: Vec<&[f32]> = case.z.iter().map(Vec::as_slice).collect();
                let mut forward = Recurrence::forward(simd, cell, STEPS, 0);
                forward.pack(&case.kernel, &[]);
                let mut scratch = Scratch::new(std::iter::once(&forward));
                let h = |trace: &[f32]| -> Vec<f32> {
                    trace.chunks(cell.trace_channels()).flat_map(|row| row[cell.hidden()].to_vec()).collect()
                };
                for steps in [STEPS, 1] {
                    let mut hidden = vec![vec![f32::NAN; steps * cell.units]; 3];
                    let mut rows: Vec<&mut [f32]> = hidden.iter_mut().map(Vec::as_mut_slice).collect();
                    forward.run(&case.bias, &z, Stored::Hidden(&mut rows), &mut scratch);
                    for (hidden, trace) in hidden.iter().zip(&traces) {
                        assert_eq!(hidden[..], h(trace)[(STEPS - steps) * cell.units..], "{cell}, on {simd}");
                    }
                }
                if cell.kind != Kind::Lstm {
                    continue;
                }
                let unit: Vec<f32> =
                    (0..STEPS * STEPS).map(|i| f32::from(u8::from(i / STEPS == i % STEPS))).collect();
                let mut merged = Recurrence::forward(simd, cell, STEPS, STEPS);
                merged.pack(&case.kernel, &case.z[1]);
                let mut hidden = vec![f32::NAN; STEPS * cell.units];
                let mut scratch = Scratch::new(std::iter::once(&merged));
                merged.run(&[], &[&unit], Stored::Hidden(&mut [&mut hidden]), &mut scratch);
                for (found, expected) in hidden.iter().zip(h(&traces[1])) {
                    assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{cell}, on {simd}");
                }
            }
        }
    }

    /// A window does not depend on those beside it, so the result does not depend on how a batch is cut.
    #[test]
    fn a_window_has_the_same_bits_in_every_group() {
        for simd in Simd::under_test().unwrap() {
            for units in [3, 16, 20] {
                for cell in cells(units) {
                    let case = Case::new(cell, GROUP, STEPS, STEPS);
                    let whole = case.run(simd, GROUP);
                    for group in 1..GROUP {
                        assert!(
                            case.run(simd, group) == whole,
                            "{cell} of {units} units, by {group}, on {simd}"
                        );
                    }
                }
            }
        }
    }
}
