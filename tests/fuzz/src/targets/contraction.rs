use glassbox_cpu::{Contraction, Operation, Simd};
use glassbox_engine::geometry::{Geometry, GeometrySpec};
use glassbox_tests::cases::normals;
use glassbox_tests::compare::compare_within;
use glassbox_tests::conformance::wide;
use glassbox_tests::rounding::{UNDERFLOW, UNIT_F32, gamma};
use serde_json::Value as Json;

use crate::{Outcome, refused, require};

/// The largest contraction that is computed here.
const MOST: u128 = 1 << 18;
/// Larger than any memory: such a one must be refused.
const POSSIBLE: u128 = 1 << 62;

pub(super) fn read(input: &[u8]) -> Result<Outcome, String> {
    let Ok(document) = serde_json::from_slice::<Json>(input) else { return refused("not JSON") };
    let number = |key: &str| document.get(key).and_then(Json::as_u64).map_or(1, |number| number as usize);
    let spec = GeometrySpec {
        in_steps: number("in_steps"),
        in_channels: number("in_channels"),
        out_steps: number("out_steps"),
        out_channels: number("out_channels"),
        taps: number("taps"),
        stride: number("stride"),
        dilation: number("dilation"),
        pad_left: number("pad_left"),
    };
    let geometry = match Geometry::new(spec) {
        Ok(geometry) => geometry,
        Err(error) => return refused(error),
    };
    let size = size(&geometry);
    if (MOST..POSSIBLE).contains(&size) {
        return Ok(Outcome::Accepted);
    }
    for simd in Simd::under_test().expect("a path that there is") {
        for operation in Operation::ALL {
            let mut contraction = match Contraction::new(simd, operation, &geometry) {
                Ok(contraction) => contraction,
                Err(error) => return refused(error),
            };
            require(size < MOST, || format!("{geometry:?} is larger than any memory, and is accepted"))?;
            let (a, b) = operands(operation, &geometry);
            contraction.set_x(&a);
            match operation {
                Operation::Correlate => contraction.set_y(&b),
                _ => contraction.set_kernel(&b),
            }
            contraction.run();
            let expected = written_out(operation, &geometry, &wide(&a), &wide(&b));
            let absolute = |values: &[f32]| values.iter().map(|v| f64::from(v.abs())).collect::<Vec<_>>();
            let sizes = written_out(operation, &geometry, &absolute(&a), &absolute(&b));
            // No sum has more terms than there are products.
            let terms = geometry.taps * geometry.in_channels.max(geometry.out_channels) + geometry.out_steps;
            let bounds: Vec<f64> =
                sizes.iter().map(|size| gamma(terms, UNIT_F32) * size + UNDERFLOW).collect();
            compare_within(&contraction.result(), &expected, &bounds)
                .map_err(|faults| format!("{simd}, {}: {faults}", operation.name()))?;
        }
    }
    Ok(Outcome::Accepted)
}

/// The most of these that there are: values of a signal with the zeros around it, and products.
fn size(geometry: &Geometry) -> u128 {
    let GeometrySpec { in_steps, in_channels, out_steps, out_channels, taps, stride, dilation, pad_left } =
        **geometry;
    let wide = |numbers: &[usize]| numbers.iter().map(|number| *number as u128).fold(1, u128::saturating_mul);
    let reach = [wide(&[out_steps, stride]), wide(&[taps, dilation]), wide(&[in_steps]), wide(&[pad_left])];
    let reach = reach.into_iter().fold(0, u128::saturating_add);
    let values = reach.saturating_mul(wide(&[in_channels.max(out_channels)]));
    values.max(wide(&[out_steps, taps, in_channels, out_channels]))
}

/// Two operands: a signal, and the kernel or the other signal.
fn operands(operation: Operation, geometry: &Geometry) -> (Vec<f32>, Vec<f32>) {
    let (input, output, kernel) = (geometry.input().len(), geometry.output().len(), geometry.kernel_len());
    let (a, b) = match operation {
        Operation::Apply => (input, kernel),
        Operation::ApplyTransposed => (output, kernel),
        Operation::Correlate => (input, output),
    };
    (normals(1, a), normals(2, b))
}

/// The sum over all quadruples of an output step, a tap and two channels.
fn written_out(operation: Operation, geometry: &Geometry, a: &[f64], b: &[f64]) -> Vec<f64> {
    let (ins, outs) = (geometry.in_channels, geometry.out_channels);
    let len = match operation {
        Operation::Apply => geometry.output().len(),
        Operation::ApplyTransposed => geometry.input().len(),
        Operation::Correlate => geometry.kernel_len(),
    };
    let mut result = vec![0.0; len];
    for t in 0..geometry.out_steps {
        for tap in 0..geometry.taps {
            let Some(step) = geometry.in_step(t, tap) else { continue };
            for i in 0..ins {
                for o in 0..outs {
                    let (x, y, k) = (step * ins + i, t * outs + o, (tap * ins + i) * outs + o);
                    match operation {
                        Operation::Apply => result[y] += a[x] * b[k],
                        Operation::ApplyTransposed => result[x] += a[y] * b[k],
                        Operation::Correlate => result[k] += a[x] * b[y],
                    }
                }
            }
        }
    }
    result
}
