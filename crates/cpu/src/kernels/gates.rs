//! The gates of recurrent cells: one step of a group of windows, between two products with the recurrent kernel.
//!
//! ```text
//!               h U, of the group        z, trace: of each window
//!             +--------------------+    +-------------------------+
//!  window 0   | i    f    c~    o  |    |  step t                 |
//!  window 1   | i    f    c~    o  |    +-------------------------+     vectors run along the units: one
//!    ..       |                    |    +-------------------------+     vector of each gate makes one of c
//!             +--------------------+    |  step t                 |     and one of h
//!                                       +-------------------------+
//! ```
//!
//! The default functions, tanh and sigmoid, have loops of their own; others are chosen for each vector.
//!
//! The formulas are in [`recurrent`](glassbox_engine::recurrent).
//!
//! Reference: [`glassbox_engine::reference::recur`], [`glassbox_engine::reference::recur_gradient`].

use glassbox_engine::activations::{Activation, Residual};
use glassbox_engine::recurrent::{Cell, Kind};

use super::activations::{derivative, value};
use crate::simd::{Isa, Task, Vector};

/// One step forward of a group of windows. All rows of the group's own matrices are neighbours.
pub(crate) struct Forward<'a, 'v> {
    pub(crate) cell: &'a Cell,
    /// z of each window, with the offset of this step.
    pub(crate) z: (&'a [&'a [f32]], usize),
    /// The trace of each window, with the offset of this step.
    pub(crate) traces: (&'a mut [&'v mut [f32]], usize),
    /// Products with the recurrent kernel: a row for each window.
    pub(crate) product: &'a [f32],
    /// Of a GRU: the bias of z, or zeros.
    pub(crate) bias: &'a [f32],
    /// h of each window, with the distance between two windows.
    pub(crate) h: (&'a mut [f32], usize),
    /// Of each window: c of an LSTM, s of a GRU.
    pub(crate) state: &'a mut [f32],
}

/// One step backward of a group of windows.
pub(crate) struct Backward<'a, 'v> {
    pub(crate) cell: &'a Cell,
    pub(crate) step: usize,
    /// The trace of each window.
    pub(crate) traces: &'a [&'v [f32]],
    /// The gradient with respect to h of each window, with the offset of this step; `None` if there is none.
    pub(crate) dh: Option<(&'a [&'v [f32]], usize)>,
    /// Products with the transposed recurrent kernel: a row for each window.
    pub(crate) product: &'a [f32],
    /// The gradient that the step after passes on besides: to c of an LSTM, to h of a GRU.
    pub(crate) direct: &'a mut [f32],
    /// dz of each window, stored.
    pub(crate) dz: &'a mut [&'v mut [f32]],
    /// The gradient with respect to `h U`, a row for each window, stored.
    pub(crate) columns: &'a mut [f32],
}

/// The two parts of a step of a GRU. Without `reset_after` a product lies between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// Forward: both gates. Backward: the update gate and the candidate.
    First,
    /// Forward: the candidate and the state. Backward: the reset gate.
    Second,
}

impl Forward<'_, '_> {
    /// A step of an LSTM.
    ///
    /// # Panics
    /// If a slice is too short, or the cell is another one.
    pub(crate) fn lstm(&mut self, isa: Isa) {
        assert_eq!(self.cell.kind, Kind::Lstm, "the equations of an LSTM");
        self.check(self.cell.columns());
        // Two passes: a vector's tanh(c) waits for its gates, and so few vectors are under way in one pass that it would
        // wait for nothing else.
        // SAFETY: the slices were checked.
        unsafe {
            run_each(isa, self.cell, self.z.0.len(), LstmCarry(self));
            run_each(isa, self.cell, self.z.0.len(), LstmHidden(self));
        }
    }

    /// One half of a step of a GRU. With `reset_after` the products of both halves are the same rows.
    ///
    /// # Panics
    /// If a slice is too short, or the cell is another one.
    pub(crate) fn gru(&mut self, isa: Isa, half: Half) {
        assert_ne!(self.cell.kind, Kind::Lstm, "the equations of a GRU");
        let (units, reset_after) = (self.cell.units, self.cell.reset_after());
        // The number of columns of the product, and the first of its columns for the candidate.
        let (row, candidate) = match (reset_after, half) {
            (true, _) => (3 * units, 2 * units),
            (false, Half::First) => (2 * units, 0),
            (false, Half::Second) => (units, 0),
        };
        self.check(row);
        assert!(self.bias.len() >= self.cell.columns(), "a bias of {} values", self.bias.len());
        let (cell, windows) = (self.cell, self.z.0.len());
        // SAFETY: the slices were checked.
        unsafe {
            match half {
                Half::First => run_each(isa, cell, windows, GruGates { step: self, row }),
                Half::Second => run_each(isa, cell, windows, GruState { step: self, row, candidate }),
            }
        }
    }

    fn check(&self, row: usize) {
        let Self { cell, z: (z, z_at), traces: (traces, at), product, h: (h, h_row), state, .. } = self;
        let windows = z.len();
        assert!(
            windows > 0 && traces.len() >= windows && product.len() >= windows * row,
            "{windows} windows"
        );
        assert!(h.len() >= (windows - 1) * h_row + cell.units, "h of {windows} windows");
        assert!(state.len() >= windows * cell.units, "states of {windows} windows");
        for (z, trace) in z.iter().zip(traces.iter()) {
            assert!(z.len() >= z_at + cell.columns(), "z of {} values at {z_at}", z.len());
            assert!(trace.len() >= at + cell.trace_channels(), "a trace of {} values at {at}", trace.len());
        }
    }
}

impl Backward<'_, '_> {
    /// A step of an LSTM.
    ///
    /// # Panics
    /// If a slice is too short, or the cell is another one.
    pub(crate) fn lstm(&mut self, isa: Isa) {
        assert_eq!(self.cell.kind, Kind::Lstm, "the equations of an LSTM");
        self.check();
        // SAFETY: the slices were checked.
        unsafe { run_each(isa, self.cell, self.traces.len(), LstmGradient(self)) }
    }

    /// One half of a step of a GRU.
    ///
    /// # Panics
    /// If a slice is too short, or the cell is another one.
    pub(crate) fn gru(&mut self, isa: Isa, half: Half) {
        assert_ne!(self.cell.kind, Kind::Lstm, "the equations of a GRU");
        self.check();
        // SAFETY: the slices were checked.
        unsafe {
            match half {
                Half::First => run_each(isa, self.cell, self.traces.len(), GruGradient(self)),
                Half::Second => run_each(isa, self.cell, self.traces.len(), GruResetGradient(self)),
            }
        }
    }

    fn check(&self) {
        let Self { cell, step, traces, dh, product, direct, dz, columns } = self;
        let windows = traces.len();
        let states = windows * cell.units;
        assert!(product.len() >= states && direct.len() >= states, "{windows} states");
        assert!(dz.len() >= windows && columns.len() >= windows * cell.columns(), "{windows} windows");
        for (trace, dz) in traces.iter().zip(dz.iter()) {
            let end = (step + 1) * cell.trace_channels();
            assert!(trace.len() >= end, "a trace of {} values at step {step}", trace.len());
            let end = (step + 1) * cell.gradient_channels();
            assert!(dz.len() >= end, "dz of {} values at step {step}", dz.len());
        }
        if let Some((dh, at)) = dh {
            assert!(dh.len() >= windows, "dh of {} windows", dh.len());
            assert!(dh.iter().all(|dh| dh.len() >= at + cell.units), "dh at {at}");
        }
    }
}

/// The computation of one vector of units of one window.
trait Unit {
    /// # Safety
    /// * the processor has the instruction set of `V`;
    /// * the slices were checked, and the window and the units exist.
    unsafe fn run<V: Vector, const FULL: bool>(&mut self, at: At<FULL>);
}

/// The functions of a cell. If they are constants, nothing of the others is compiled.
#[derive(Clone, Copy)]
struct Functions {
    /// S
    gate: Activation,
    /// T
    candidate: Activation,
    keeps_inputs: bool,
}

const DEFAULT: Functions =
    Functions { gate: Activation::Sigmoid, candidate: Activation::Tanh, keeps_inputs: false };

/// Runs a unit for all vectors of all windows.
///
/// # Safety
/// * the slices of the unit were checked for `windows` windows.
unsafe fn run_each<U: Unit>(isa: Isa, cell: &Cell, windows: usize, unit: U) {
    let functions = Functions {
        gate: cell.recurrent_activation,
        candidate: cell.activation,
        keeps_inputs: cell.keeps_inputs(),
    };
    // SAFETY: guaranteed by the caller.
    unsafe {
        if (functions.gate, functions.candidate) == (DEFAULT.gate, DEFAULT.candidate) {
            isa.run(Each::<_, true> { unit, functions, windows, units: cell.units });
        } else {
            isa.run(Each::<_, false> { unit, functions, windows, units: cell.units });
        }
    }
}

/// # Safety of running it
/// * the slices of the unit were checked.
struct Each<U, const BY_DEFAULT: bool> {
    unit: U,
    functions: Functions,
    windows: usize,
    units: usize,
}

impl<U: Unit, const BY_DEFAULT: bool> Task for Each<U, BY_DEFAULT> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { mut unit, windows, units, .. } = self;
        let functions = if BY_DEFAULT { DEFAULT } else { self.functions };
        // SAFETY: the caller guarantees the instruction set and the slices.
        unsafe {
            for window in 0..windows {
                let mut j = 0;
                // Other functions have no loop of their own for full vectors, which would be compiled for all of them.
                while BY_DEFAULT && j + V::WIDTH <= units {
                    unit.run::<V, true>(At { functions, window, j, lanes: Lanes(V::WIDTH) });
                    j += V::WIDTH;
                }
                while j < units {
                    let lanes = Lanes(V::WIDTH.min(units - j));
                    unit.run::<V, false>(At { functions, window, j, lanes });
                    j += V::WIDTH;
                }
            }
        }
    }
}

/// A vector of units of a window, from unit `j`.
#[derive(Clone, Copy)]
struct At<const FULL: bool> {
    functions: Functions,
    window: usize,
    j: usize,
    lanes: Lanes<FULL>,
}

/// The lanes that hold units: all of them if `FULL`.
#[derive(Clone, Copy)]
struct Lanes<const FULL: bool>(usize);

impl<const FULL: bool> Lanes<FULL> {
    /// # Safety
    /// * as [`Vector::load_first`].
    #[inline(always)]
    unsafe fn load<V: Vector>(self, from: *const f32) -> V {
        // SAFETY: guaranteed by the caller.
        unsafe { if FULL { V::load(from) } else { V::load_first(from, self.0) } }
    }

    /// # Safety
    /// * as [`Vector::store_first`].
    #[inline(always)]
    unsafe fn store<V: Vector>(self, v: V, to: *mut f32) {
        // SAFETY: guaranteed by the caller.
        unsafe { if FULL { v.store(to) } else { v.store_first(to, self.0) } }
    }
}

/// Opens a gate: stores it, and its input if the trace keeps it.
///
/// # Safety
/// * the processor has the instruction set of `V`;
/// * the lanes can be written at `to` and, if there is one, at `input`.
#[inline(always)]
unsafe fn open<V: Vector, const FULL: bool>(
    lanes: Lanes<FULL>,
    function: Activation,
    x: V,
    to: *mut f32,
    input: Option<*mut f32>,
) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        if let Some(input) = input {
            lanes.store(x, input);
        }
        let gate = value(function, x);
        lanes.store(gate, to);
        gate
    }
}

/// The gradient of the input of a gate, from that of the gate.
///
/// # Safety
/// * the processor has the instruction set of `V`;
/// * the lanes can be read at `input`, if the function needs it.
#[inline(always)]
unsafe fn close<V: Vector, const FULL: bool>(
    lanes: Lanes<FULL>,
    function: Activation,
    gate: V,
    input: *const f32,
    d: V,
) -> V {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let kept = if function.residual() == Residual::Input { lanes.load(input) } else { gate };
        derivative(function, kept, d)
    }
}

/// The gates and c of a step of an LSTM.
struct LstmCarry<'s, 'a, 'v>(&'s mut Forward<'a, 'v>);

impl Unit for LstmCarry<'_, '_, '_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const FULL: bool>(&mut self, at: At<FULL>) {
        let At { functions, window, j, lanes } = at;
        let Forward { cell, z: (z, z_at), ref mut traces, product, ref mut state, .. } = *self.0;
        let (u, columns) = (cell.units, cell.columns());
        // SAFETY: guaranteed by the caller; channel j of each part is within its row.
        unsafe {
            let z = z.get_unchecked(window).as_ptr().add(z_at);
            let product = product.as_ptr().add(window * columns);
            let now = traces.0.get_unchecked_mut(window).as_mut_ptr().add(traces.1 + j);
            // A loop and not a closure, which would be compiled without the features of the instruction set.
            let mut gates = [V::splat(0.0); 4];
            for (gate, output) in gates.iter_mut().enumerate() {
                let at = gate * u + j;
                let x = lanes.load::<V>(product.add(at)).add(lanes.load(z.add(at)));
                let function = if gate == 2 { functions.candidate } else { functions.gate };
                let input = if functions.keeps_inputs { Some(now.add((6 + gate) * u)) } else { None };
                *output = open(lanes, function, x, now.add(gate * u), input);
            }
            let [i, f, candidate, _] = gates;
            let c_at = state.as_mut_ptr().add(window * u + j);
            let c = f.mul_add(lanes.load(c_at), i.mul(candidate));
            lanes.store(c, now.add(4 * u));
            lanes.store(c, c_at);
        }
    }
}

/// h of a step of an LSTM.
struct LstmHidden<'s, 'a, 'v>(&'s mut Forward<'a, 'v>);

impl Unit for LstmHidden<'_, '_, '_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const FULL: bool>(&mut self, at: At<FULL>) {
        let At { functions, window, j, lanes } = at;
        let Forward { cell, ref mut traces, ref mut h, .. } = *self.0;
        let u = cell.units;
        // SAFETY: guaranteed by the caller; channel j of each part is within its row.
        unsafe {
            let now = traces.0.get_unchecked_mut(window).as_mut_ptr().add(traces.1 + j);
            let (o, c) = (lanes.load::<V>(now.add(3 * u)), lanes.load(now.add(4 * u)));
            let h_now = o.mul(value(functions.candidate, c));
            lanes.store(h_now, now.add(5 * u));
            lanes.store(h_now, h.0.as_mut_ptr().add(window * h.1 + j));
        }
    }
}

/// The gradient of a step of an LSTM.
struct LstmGradient<'s, 'a, 'v>(&'s mut Backward<'a, 'v>);

impl Unit for LstmGradient<'_, '_, '_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const FULL: bool>(&mut self, at: At<FULL>) {
        let At { functions, window, j, lanes } = at;
        let Backward { cell, step, traces, dh, product, ref mut direct, ref mut dz, ref mut columns } =
            *self.0;
        let (u, row) = (cell.units, cell.trace_channels());
        // SAFETY: guaranteed by the caller; channel j of each part is within its row, and there is a row before unless
        // this is the first step.
        unsafe {
            let now = traces.get_unchecked(window).as_ptr().add(step * row + j);
            let c_before = if step == 0 { V::splat(0.0) } else { lanes.load(now.sub(row).add(4 * u)) };
            // The traces of a group are larger than the nearest caches, and are read from the end.
            for part in 0..5 {
                V::prefetch(now.wrapping_sub(2 * row).wrapping_add(part * u));
            }
            let (i, f) = (lanes.load::<V>(now), lanes.load::<V>(now.add(u)));
            let (candidate, o) = (lanes.load::<V>(now.add(2 * u)), lanes.load::<V>(now.add(3 * u)));
            let c = lanes.load::<V>(now.add(4 * u));
            let mut dh_now = lanes.load::<V>(product.as_ptr().add(window * u + j));
            if let Some((dh, at)) = dh {
                dh_now = dh_now.add(lanes.load(dh.get_unchecked(window).as_ptr().add(at + j)));
            }
            let y = value(functions.candidate, c);
            let at = if functions.candidate.residual() == Residual::Input { c } else { y };
            let dc_at = direct.as_mut_ptr().add(window * u + j);
            let dc = lanes.load::<V>(dc_at).add(derivative(functions.candidate, at, dh_now.mul(o)));
            lanes.store(dc.mul(f), dc_at);
            let dz = dz.get_unchecked_mut(window).as_mut_ptr().add(step * 4 * u + j);
            let columns = columns.as_mut_ptr().add(window * 4 * u + j);
            let gates =
                [(i, dc.mul(candidate)), (f, dc.mul(c_before)), (candidate, dc.mul(i)), (o, dh_now.mul(y))];
            for (gate, (output, d)) in gates.into_iter().enumerate() {
                let function = if gate == 2 { functions.candidate } else { functions.gate };
                let d = close(lanes, function, output, now.wrapping_add((6 + gate) * u), d);
                lanes.store(d, dz.add(gate * u));
                lanes.store(d, columns.add(gate * u));
            }
        }
    }
}

/// The gates of a step of a GRU, and s.
struct GruGates<'s, 'a, 'v> {
    step: &'s mut Forward<'a, 'v>,
    /// Columns of the product.
    row: usize,
}

impl Unit for GruGates<'_, '_, '_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const FULL: bool>(&mut self, at: At<FULL>) {
        let At { functions, window, j, lanes } = at;
        let Forward { cell, z: (z, z_at), ref mut traces, product, bias, ref mut h, ref mut state } =
            *self.step;
        let u = cell.units;
        // SAFETY: guaranteed by the caller; channel j of each part is within its row.
        unsafe {
            let z = z.get_unchecked(window).as_ptr().add(z_at);
            let product = product.as_ptr().add(window * self.row);
            let now = traces.0.get_unchecked_mut(window).as_mut_ptr().add(traces.1 + j);
            let mut gates = [V::splat(0.0); 2];
            for (gate, output) in gates.iter_mut().enumerate() {
                let at = gate * u + j;
                let biased = lanes.load::<V>(z.add(at)).add(lanes.load(bias.as_ptr().add(at)));
                let x = biased.add(lanes.load(product.add(at)));
                let input = if functions.keeps_inputs { Some(now.add((5 + gate) * u)) } else { None };
                *output = open(lanes, functions.gate, x, now.add(gate * u), input);
            }
            let [_, r] = gates;
            let s = if cell.reset_after() {
                lanes.load(product.add(2 * u + j))
            } else {
                r.mul(lanes.load(h.0.as_ptr().add(window * h.1 + j)))
            };
            lanes.store(s, now.add(3 * u));
            lanes.store(s, state.as_mut_ptr().add(window * u + j));
        }
    }
}

/// The candidate and the state of a step of a GRU.
struct GruState<'s, 'a, 'v> {
    step: &'s mut Forward<'a, 'v>,
    /// Columns of the product.
    row: usize,
    /// The first of them for the candidate.
    candidate: usize,
}

impl Unit for GruState<'_, '_, '_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const FULL: bool>(&mut self, at: At<FULL>) {
        let At { functions, window, j, lanes } = at;
        let Forward { cell, z: (z, z_at), ref mut traces, product, bias, ref mut h, .. } = *self.step;
        let u = cell.units;
        // SAFETY: guaranteed by the caller; channel j of each part is within its row.
        unsafe {
            let z = z.get_unchecked(window).as_ptr().add(z_at);
            let now = traces.0.get_unchecked_mut(window).as_mut_ptr().add(traces.1 + j);
            let (q, r) = (lanes.load::<V>(now), lanes.load::<V>(now.add(u)));
            let product = lanes.load::<V>(product.as_ptr().add(window * self.row + self.candidate + j));
            let recurrent = if cell.reset_after() { r.mul(product) } else { product };
            let at = 2 * u + j;
            let biased = lanes.load::<V>(z.add(at)).add(lanes.load(bias.as_ptr().add(at)));
            let x = biased.add(recurrent);
            let input = if functions.keeps_inputs { Some(now.add(7 * u)) } else { None };
            let candidate = open(lanes, functions.candidate, x, now.add(2 * u), input);
            let h_at = h.0.as_mut_ptr().add(window * h.1 + j);
            // q h + (1 - q) c~
            let rest = V::splat(1.0).sub(q).mul(candidate);
            let h_now = q.mul_add(lanes.load(h_at), rest);
            lanes.store(h_now, now.add(4 * u));
            lanes.store(h_now, h_at);
        }
    }
}

/// The gradient of the update gate and of the candidate of a GRU. It leaves the gradient with respect to h in `direct`.
struct GruGradient<'s, 'a, 'v>(&'s mut Backward<'a, 'v>);

impl Unit for GruGradient<'_, '_, '_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const FULL: bool>(&mut self, at: At<FULL>) {
        let At { functions, window, j, lanes } = at;
        let Backward { cell, step, traces, dh, product, ref mut direct, ref mut dz, ref mut columns } =
            *self.0;
        let (u, row) = (cell.units, cell.trace_channels());
        // SAFETY: guaranteed by the caller; channel j of each part is within its row, and there is a row before unless
        // this is the first step.
        unsafe {
            let now = traces.get_unchecked(window).as_ptr().add(step * row + j);
            let h_before = if step == 0 { V::splat(0.0) } else { lanes.load(now.sub(row).add(4 * u)) };
            let (q, candidate) = (lanes.load::<V>(now), lanes.load::<V>(now.add(2 * u)));
            let direct = direct.as_mut_ptr().add(window * u + j);
            let mut dh_now = lanes.load::<V>(product.as_ptr().add(window * u + j)).add(lanes.load(direct));
            if let Some((dh, at)) = dh {
                dh_now = dh_now.add(lanes.load(dh.get_unchecked(window).as_ptr().add(at + j)));
            }
            lanes.store(dh_now, direct);
            let dz = dz.get_unchecked_mut(window).as_mut_ptr().add(step * cell.gradient_channels() + j);
            let columns = columns.as_mut_ptr().add(window * 3 * u + j);
            let gates = [
                (0, functions.gate, q, dh_now.mul(h_before.sub(candidate))),
                (2, functions.candidate, candidate, dh_now.mul(V::splat(1.0).sub(q))),
            ];
            for (gate, function, output, d) in gates {
                let d = close(lanes, function, output, now.wrapping_add((5 + gate) * u), d);
                lanes.store(d, dz.add(gate * u));
                lanes.store(d, columns.add(gate * u));
            }
        }
    }
}

/// The gradient of the reset gate of a GRU. It leaves in `direct` what reaches h of the step before other than through
/// the gates.
struct GruResetGradient<'s, 'a, 'v>(&'s mut Backward<'a, 'v>);

impl Unit for GruResetGradient<'_, '_, '_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const FULL: bool>(&mut self, at: At<FULL>) {
        let At { functions, window, j, lanes } = at;
        let Backward { cell, step, traces, product, ref mut direct, ref mut dz, ref mut columns, .. } =
            *self.0;
        let (u, row) = (cell.units, cell.trace_channels());
        // SAFETY: guaranteed by the caller; channel j of each part is within its row, and there is a row before unless
        // this is the first step.
        unsafe {
            let now = traces.get_unchecked(window).as_ptr().add(step * row + j);
            let (q, r) = (lanes.load::<V>(now), lanes.load::<V>(now.add(u)));
            let dz = dz.get_unchecked_mut(window).as_mut_ptr().add(step * cell.gradient_channels() + j);
            let columns = columns.as_mut_ptr().add(window * 3 * u + j);
            let direct = direct.as_mut_ptr().add(window * u + j);
            let mut passed = lanes.load::<V>(direct).mul(q);
            let dr = if cell.reset_after() {
                let dx = lanes.load::<V>(columns.add(2 * u));
                let ds = dx.mul(r);
                lanes.store(lanes.load::<V>(columns), dz.add(3 * u));
                lanes.store(ds, dz.add(5 * u));
                lanes.store(ds, columns.add(2 * u));
                dx.mul(lanes.load(now.add(3 * u)))
            } else {
                let ds = lanes.load::<V>(product.as_ptr().add(window * u + j));
                passed = ds.mul_add(r, passed);
                let h_before = if step == 0 { V::splat(0.0) } else { lanes.load(now.sub(row).add(4 * u)) };
                ds.mul(h_before)
            };
            lanes.store(passed, direct);
            let d = close(lanes, functions.gate, r, now.wrapping_add(6 * u), dr);
            lanes.store(d, dz.add(u));
            lanes.store(d, columns.add(u));
            if cell.reset_after() {
                lanes.store(d, dz.add(4 * u));
            }
        }
    }
}
