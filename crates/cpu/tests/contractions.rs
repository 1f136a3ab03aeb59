//! Tests of every contraction on every path, against the reference in `f64`.
//!
//! Set `GLASSBOX_SIMD` to test one path; the tests fail if the machine does not support it.

use glassbox_cpu::{Contraction, Epilogue, Operation, Simd};
use glassbox_engine::activations::Activation;
use glassbox_engine::geometry::{Geometry, GeometrySpec, Padding};
use glassbox_engine::random::{Draws, Purpose, Stream};
use glassbox_engine::reference::{self, Operand, pointwise};
use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3};

const CHANNELS: [usize; 26] =
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 20, 23, 24, 25, 31, 32, 33, 40, 47, 48, 49, 64, 65];

/// A geometry around the boundaries of tiles and vectors, or `None` if the kernel does not fit its input.
fn geometry(draws: &mut Draws) -> Option<Geometry> {
    let mut pick = |n: usize| draws.below(n as u64) as usize;
    let (in_channels, out_channels) = (CHANNELS[pick(26)], CHANNELS[pick(26)]);
    let (taps, stride) = (1 + pick(9), 1 + pick(4));
    let dilation = if pick(3) == 0 { 1 + pick(3) } else { 1 };
    let in_steps = [1, 2, 3, 11, 12, 13, 24, 25, 1 + pick(70)][pick(9)];
    let padding = [Padding::Valid, Padding::Same, Padding::Causal][pick(3)];
    let span = (taps - 1) * dilation + 1;
    let (out_steps, pad_left) = padding.resolve(in_steps, span, stride)?;
    let spec =
        GeometrySpec { in_steps, in_channels, out_steps, out_channels, taps, stride, dilation, pad_left };
    Some(Geometry::new(spec).expect("a geometry of moderate size"))
}

/// The operands of one case, with the result of the reference.
struct Case {
    geometry: Geometry,
    x: Vec<f32>,
    y: Vec<f32>,
    kernel: Vec<f32>,
}

impl Case {
    fn new(geometry: Geometry, mut value: impl FnMut() -> f32) -> Self {
        let mut values = |len: usize| (0..len).map(|_| value()).collect();
        let (x, y) = (values(geometry.input().len()), values(geometry.output().len()));
        Self { geometry, x, y, kernel: values(geometry.kernel_len()) }
    }

    fn expected(&self, operation: Operation) -> Vec<f64> {
        let Self { geometry: g, x, y, kernel } = self;
        let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let (x, y, kernel) = (wide(x), wide(y), wide(kernel));
        let (input, output) = ((g.in_steps, g.in_channels), (g.out_steps, g.out_channels));
        let x_view = ArrayView2::from_shape(input, &x).unwrap();
        let y_view = ArrayView2::from_shape(output, &y).unwrap();
        let kernel = ArrayView3::from_shape(g.kernel(), &kernel).unwrap();
        let mut result = vec![0.0; self.len(operation)];
        match operation {
            Operation::Apply => {
                let result = ArrayViewMut2::from_shape(output, &mut result).unwrap();
                reference::apply(g, x_view, kernel, result);
            }
            Operation::ApplyTransposed => {
                let result = ArrayViewMut2::from_shape(input, &mut result).unwrap();
                reference::apply_transposed(g, y_view, kernel, result);
            }
            Operation::Correlate => {
                let result = ArrayViewMut3::from_shape(g.kernel(), &mut result).unwrap();
                reference::correlate(g, x_view, y_view, result);
            }
        }
        result
    }

    fn len(&self, operation: Operation) -> usize {
        match operation {
            Operation::Apply => self.geometry.output().len(),
            Operation::ApplyTransposed => self.geometry.input().len(),
            Operation::Correlate => self.geometry.kernel_len(),
        }
    }

    /// Number of terms of the longest sum.
    fn terms(&self, operation: Operation) -> usize {
        let GeometrySpec { taps, in_channels, out_channels, out_steps, .. } = *self.geometry;
        match operation {
            Operation::Apply => taps * in_channels,
            Operation::ApplyTransposed => taps * out_channels,
            Operation::Correlate => out_steps,
        }
    }

    fn contraction(&self, simd: Simd, operation: Operation) -> Contraction {
        let mut contraction = Contraction::new(simd, operation, &self.geometry).unwrap();
        match operation {
            Operation::Apply => contraction.set_x(&self.x),
            Operation::ApplyTransposed => contraction.set_x(&self.y),
            Operation::Correlate => {
                contraction.set_x(&self.x);
                contraction.set_y(&self.y);
            }
        }
        contraction.set_kernel(&self.kernel);
        contraction
    }
}

/// Runs `check` on many geometries, for each path and operation.
fn for_all(seed: u64, check: impl Fn(&mut Draws, Geometry, Simd, Operation)) {
    for simd in Simd::under_test().unwrap() {
        let mut draws = Stream::new(seed, Purpose::Check, 0, 0).draws();
        let mut done = 0;
        while done < 400 {
            let Some(geometry) = geometry(&mut draws) else { continue };
            done += 1;
            for operation in Operation::ALL {
                check(&mut draws, geometry, simd, operation);
            }
        }
    }
}

#[test]
fn whole_numbers_give_exact_results() {
    for_all(1, |draws, geometry, simd, operation| {
        // Sums of a thousand products of at most 9 are far below 2^24.
        let case = Case::new(geometry, || draws.below(7) as f32 - 3.0);
        let mut contraction = case.contraction(simd, operation);
        // A product overwrites its result, a correlation adds to it.
        let adds = operation == Operation::Correlate;
        contraction.fill(if adds { 5.0 } else { f32::NAN });
        contraction.run();
        let start = if adds { 5.0 } else { 0.0 };
        let expected: Vec<f32> = case.expected(operation).iter().map(|v| (v + start) as f32).collect();
        assert_eq!(contraction.result(), expected, "{simd}, {}, {geometry:?}", operation.name());
    });
}

#[test]
fn real_numbers_give_results_within_rounding() {
    for_all(2, |draws, geometry, simd, operation| {
        let case = Case::new(geometry, || draws.uniform_in(-1.0, 1.0) as f32);
        let mut contraction = case.contraction(simd, operation);
        contraction.run();
        // Each of n additions rounds a partial sum by half an epsilon. Random partial sums have a magnitude of about
        // sqrt(n) / 3, and the roundings have random signs: n epsilon is far more than they add up to.
        let tolerance = (case.terms(operation) + 2) as f64 * f64::from(f32::EPSILON);
        for (i, (found, expected)) in contraction.result().iter().zip(case.expected(operation)).enumerate() {
            let good = (f64::from(*found) - expected).abs() <= tolerance;
            assert!(good, "{simd}, {}, {geometry:?}, element {i}: {found}, {expected}", operation.name());
        }
    });
}

/// Strides and dilations that no read depends on may be any that a geometry accepts; signals must fit into memory.
/// Tests are built with overflow checks.
#[test]
fn numbers_at_the_bounds_of_a_geometry_are_computed_with_or_refused() {
    let large = (1 << 59) - 1;
    let spec = GeometrySpec {
        in_steps: 4,
        in_channels: 2,
        out_steps: 1,
        out_channels: 2,
        taps: 3,
        stride: 1,
        dilation: 1,
        pad_left: 0,
    };
    let one_tap = GeometrySpec { taps: 1, out_steps: 4, ..spec };
    for simd in Simd::under_test().unwrap() {
        for operation in Operation::ALL {
            for spec in [
                GeometrySpec { stride: large, ..spec },
                GeometrySpec { dilation: large, ..one_tap },
                GeometrySpec { stride: large, dilation: large, out_steps: 1, ..one_tap },
            ] {
                let mut next = 0;
                let case = Case::new(Geometry::new(spec).unwrap(), || {
                    next += 1;
                    (next % 7) as f32
                });
                let mut contraction = case.contraction(simd, operation);
                contraction.run();
                let expected: Vec<f32> = case.expected(operation).iter().map(|v| *v as f32).collect();
                assert_eq!(contraction.result(), expected, "{simd}, {}, {spec:?}", operation.name());
            }
            for spec in [
                GeometrySpec { in_steps: large, ..spec },
                GeometrySpec { pad_left: large - 4, ..spec },
                GeometrySpec { stride: large / 2, out_steps: 2, ..spec },
                GeometrySpec { out_channels: 1 << 29, in_channels: 1 << 28, taps: 1, ..spec },
            ] {
                let refused = Contraction::new(simd, operation, &Geometry::new(spec).unwrap());
                // Padding takes no memory if the other side is the one that is read.
                let padded = spec.pad_left > 0 || spec.stride > 1;
                assert!(
                    refused.is_err() || padded && operation == Operation::ApplyTransposed,
                    "{simd}, {spec:?}"
                );
            }
        }
    }
}

#[test]
fn epilogues_are_those_of_the_reference() {
    for_all(3, |draws, geometry, simd, operation| {
        if operation == Operation::Correlate {
            return;
        }
        let case = Case::new(geometry, || draws.below(7) as f32 - 3.0);
        let (len, which) = (case.len(operation), draws.below(16));
        let channels =
            if operation == Operation::Apply { geometry.out_channels } else { geometry.in_channels };
        let mut values = |n: usize| (0..n).map(|_| draws.below(5) as f32 - 2.0).collect::<Vec<_>>();
        let epilogue = Epilogue {
            bias: (which & 1 != 0).then(|| values(channels)),
            relu: which & 2 != 0,
            gate: (which & 8 != 0).then(|| values(len)),
            dropout: (which & 4 != 0)
                .then(|| (0.5, (0..len.div_ceil(32)).map(|_| draws.next_u32()).collect())),
        };
        let mut expected: Vec<f32> = case.expected(operation).iter().map(|v| *v as f32).collect();
        let gate = epilogue.gate.as_ref();
        let gate = gate.map(|gate| ArrayView2::from_shape((len / channels, channels), gate).unwrap());
        let operands = [
            epilogue.bias.as_deref().map(Operand::AddBias),
            epilogue.relu.then_some(Operand::Activation(Activation::Relu)),
            epilogue.dropout.as_ref().map(|(rate, mask)| Operand::Dropout { rate: *rate, mask }),
            gate.map(|gate| Operand::ActivationGradient(Activation::Relu, gate)),
        ];
        for operand in operands.iter().flatten() {
            for (i, v) in expected.iter_mut().enumerate() {
                *v = pointwise(operand, *v, i / channels, i % channels, channels);
            }
        }
        let mut contraction = case.contraction(simd, operation);
        contraction.set_epilogue(epilogue);
        contraction.fill(f32::NAN);
        contraction.run();
        assert_eq!(contraction.result(), expected, "{simd}, {}, {geometry:?}", operation.name());
    });
}
