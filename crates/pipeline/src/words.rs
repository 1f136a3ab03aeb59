//! Words that go with a number.

use std::fmt::Display;

/// A number of things, in the form that goes with it: `1 row`, `2 rows`.
///
/// ```
/// use glassbox_pipeline::words::counted;
///
/// assert_eq!(counted(1, "row", "rows"), "1 row");
/// assert_eq!(counted(0, "row is missing", "rows are missing"), "0 rows are missing");
/// ```
#[must_use]
pub fn counted<N: Display + Copy + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    format!("{number} {}", if number == N::from(1) { one } else { many })
}

/// A probability for a sentence: below a thousandth it is not shown as zero, which it is not.
///
/// ```
/// use glassbox_pipeline::words::probability;
///
/// assert_eq!((probability(0.0421), probability(1e-9)), ("0.042".into(), "<0.001".into()));
/// ```
#[must_use]
pub fn probability(p: f64) -> String {
    if p < 0.001 { "<0.001".into() } else { format!("{p:.3}") }
}
