//! Two rows of numbers held against each other.
//!
//! A pair is good *only if* `|found - expected| <= bound`, and both are finite: whatever cannot be compared
//! is a fault. Written the other way round, as "a fault if the difference exceeds the bound", NaN would pass.

use std::fmt;

use glassbox_engine::Float;

/// How far a number may be from what is expected: `absolute + relative |expected|`.
///
/// Where one is used stands why it is as large as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// For expected values near zero.
    pub absolute: f64,
    /// In parts of the expected value.
    pub relative: f64,
}

impl Tolerance {
    /// `absolute + relative |expected|`.
    #[must_use]
    pub fn new(absolute: f64, relative: f64) -> Self {
        Self { absolute, relative }
    }

    /// In parts of the largest of the expected values: what a sum of terms of that size may be off by,
    /// also where they cancel.
    #[must_use]
    pub fn of_largest<F: Float>(part: f64, expected: &[F]) -> Self {
        Self::new(part * expected.iter().fold(0.0, |largest, e| e.wide().abs().max(largest)), part)
    }

    fn bound(self, expected: f64) -> f64 {
        self.absolute + self.relative * expected.abs()
    }
}

/// Why two rows of numbers do not agree.
#[derive(Debug, Clone, PartialEq)]
pub enum Faults {
    /// They are not of the same length.
    Length {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// Some pairs are not good.
    Values {
        /// The first of them.
        first: Vec<Fault>,
        /// How many there are in all.
        count: usize,
        /// Of how many pairs.
        of: usize,
    },
}

/// A pair that is not good.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Its flat index.
    pub index: usize,
    /// What is there.
    pub found: f64,
    /// What should be.
    pub expected: f64,
    /// How far off it might have been.
    pub bound: f64,
}

/// Faults that are printed; the rest are counted.
const PRINTED: usize = 5;

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found, expected } => write!(f, "{found} values, expected {expected}"),
            Self::Values { first, count, of } => {
                write!(f, "{count} of {of} values are not as expected")?;
                for Fault { index, found, expected, bound } in first {
                    let absolute = (found - expected).abs();
                    let relative = absolute / expected.abs();
                    write!(
                        f,
                        "\n  [{index}] found {found:e}, expected {expected:e}: off by {absolute:.3e} absolute, \
                         {relative:.3e} relative, {bound:.3e} allowed"
                    )?;
                }
                if *count > first.len() {
                    write!(f, "\n  ... and {} more", count - first.len())?;
                }
                Ok(())
            }
        }
    }
}

/// Holds each value against its expected one. Gives the largest part of its bound that any pair takes up,
/// so that one sees how much room is left.
///
/// # Errors
/// The first faults, and how many there are.
pub fn compare<A: Float, B: Float>(
    found: &[A],
    expected: &[B],
    tolerance: Tolerance,
) -> Result<f64, Box<Faults>> {
    compare_by(found, expected, |_, expected| tolerance.bound(expected))
}

/// The same, with a bound for each value.
///
/// # Errors
/// As [`compare`].
///
/// # Panics
/// If there is not one bound for each expected value.
pub fn compare_within<A: Float, B: Float>(
    found: &[A],
    expected: &[B],
    bounds: &[f64],
) -> Result<f64, Box<Faults>> {
    assert_eq!(expected.len(), bounds.len(), "one bound for each expected value");
    compare_by(found, expected, |index, _| bounds[index])
}

/// The same, to the bit: 0 is not -0.
///
/// # Errors
/// As [`compare`].
pub fn compare_bits<F: Float>(found: &[F], expected: &[F]) -> Result<(), Box<Faults>> {
    // Both types widen to f64 one to one, so the bits agree before if they do after.
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
    check(found, expected, |_, a, b| if same(a, b) { Ok(0.0) } else { Err(0.0) }).map(|_| ())
}

fn compare_by<A: Float, B: Float>(
    found: &[A],
    expected: &[B],
    bound: impl Fn(usize, f64) -> f64,
) -> Result<f64, Box<Faults>> {
    check(found, expected, |index, a, b| {
        let (difference, bound) = ((a - b).abs(), bound(index, b));
        let good = a.is_finite() && b.is_finite() && difference <= bound;
        let part = if difference == 0.0 { 0.0 } else { difference / bound };
        if good { Ok(part) } else { Err(bound) }
    })
}

/// `judge` gives the part of the bound that a pair takes up, or the bound that it breaks.
fn check<A: Float, B: Float>(
    found: &[A],
    expected: &[B],
    judge: impl Fn(usize, f64, f64) -> Result<f64, f64>,
) -> Result<f64, Box<Faults>> {
    if found.len() != expected.len() {
        return Err(Box::new(Faults::Length { found: found.len(), expected: expected.len() }));
    }
    let (mut first, mut count, mut largest) = (vec![], 0, 0.0f64);
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let (found, expected) = (found.wide(), expected.wide());
        match judge(index, found, expected) {
            Ok(part) => largest = largest.max(part),
            Err(bound) => {
                if first.len() < PRINTED {
                    first.push(Fault { index, found, expected, bound });
                }
                count += 1;
            }
        }
    }
    if count == 0 { Ok(largest) } else { Err(Box::new(Faults::Values { first, count, of: found.len() })) }
}

/// [`compare`], or panics saying `what` is not as expected.
#[track_caller]
pub fn assert_close<A: Float, B: Float>(what: &str, found: &[A], expected: &[B], tolerance: Tolerance) {
    if let Err(faults) = compare(found, expected, tolerance) {
        panic!("{what}: {faults}");
    }
}

/// [`compare_bits`], or panics saying `what` is not as expected.
#[track_caller]
pub fn assert_same_bits<F: Float>(what: &str, found: &[F], expected: &[F]) {
    if let Err(faults) = compare_bits(found, expected) {
        panic!("{what}: {faults}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Tolerance = Tolerance { absolute: 1e300, relative: 1e300 };

    #[test]
    fn what_is_within_the_bound_passes_and_says_how_much_of_it_is_taken() {
        let tolerance = Tolerance::new(0.5, 0.25);
        assert_eq!(compare(&[2.0f64], &[2.0], tolerance), Ok(0.0));
        assert_eq!(compare(&[2.5f32], &[2.0f64], tolerance), Ok(0.5));
        assert_eq!(compare(&[3.0f64, 2.0], &[2.0, 2.0], tolerance), Ok(1.0));
        assert_eq!(compare::<f64, f64>(&[], &[], tolerance), Ok(0.0));
    }

    #[test]
    fn what_is_beyond_the_bound_fails() {
        assert!(compare(&[3.01f64], &[2.0], Tolerance::new(0.5, 0.25)).is_err());
        assert!(compare(&[1.0f64, -1.0], &[1.0, 1.0], Tolerance::new(0.5, 0.25)).is_err());
        assert!(compare(&[1e-300f64], &[0.0], Tolerance::new(0.0, 1.0)).is_err());
        // The bound is relative to what is expected, not to what is found.
        assert!(compare(&[2.0f64], &[1.0], Tolerance::new(0.0, 0.6)).is_err());
    }

    #[test]
    fn nan_and_infinity_fail_on_either_side_whatever_is_allowed() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(compare(&[bad], &[1.0], ANY).is_err(), "{bad} found");
            assert!(compare(&[1.0], &[bad], ANY).is_err(), "{bad} expected");
            assert!(compare(&[bad], &[bad], ANY).is_err(), "{bad} twice");
            assert!(compare_within(&[bad], &[bad], &[f64::INFINITY]).is_err(), "{bad} twice, any bound");
        }
        assert!(compare(&[1.0], &[1.5], Tolerance::new(f64::NAN, 0.0)).is_err(), "a bound that is NaN");
        assert!(
            compare(&[1.0f64], &[1.5], Tolerance::of_largest(1.0, &[f64::NAN])).is_ok(),
            "NaN is not large"
        );
    }

    #[test]
    fn another_length_fails() {
        assert!(compare(&[1.0f64], &[1.0, 1.0], ANY).is_err());
        assert!(compare(&[1.0f64, 1.0], &[1.0], ANY).is_err());
        assert!(compare::<f64, f64>(&[], &[1.0], ANY).is_err());
        assert!(compare_bits::<f64>(&[1.0], &[]).is_err());
    }

    #[test]
    fn bits_tell_what_equality_does_not() {
        assert!(compare_bits(&[0.0f32], &[-0.0]).is_err());
        assert!(compare_bits(&[1.0f64], &[1.0 + f64::EPSILON]).is_err());
        assert!(compare_bits(&[1.5f32, -0.0], &[1.5, -0.0]).is_ok());
    }

    #[test]
    fn the_first_five_faults_are_printed_and_all_are_counted() {
        let found: Vec<f64> = (0..10).map(f64::from).collect();
        let faults = compare(&found, &[1.0; 10], Tolerance::new(0.5, 0.0)).unwrap_err().to_string();
        assert_eq!(faults.lines().count(), 7, "{faults}");
        assert!(
            faults.starts_with("9 of 10 values are not as expected\n  [0] found 0e0, expected 1e0"),
            "{faults}"
        );
        assert!(faults.contains("[5] found 5e0") && !faults.contains("[6]"), "{faults}");
        assert!(faults.contains("off by 4.000e0 absolute, 4.000e0 relative, 5.000e-1 allowed"), "{faults}");
        assert!(faults.ends_with("... and 4 more"), "{faults}");
    }

    #[test]
    #[should_panic(expected = "the kernel: 1 of 1 values are not as expected")]
    fn the_assertion_says_what_is_wrong() {
        assert_close("the kernel", &[1.0f64], &[2.0], Tolerance::new(0.0, 0.0));
    }
}
