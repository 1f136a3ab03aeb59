//! The two-sample test of Kolmogorov and Smirnov, of the hypothesis that both come from one distribution.

/// The largest distance between the empirical distribution functions of two samples, in [0, 1].
///
/// ```
/// use glassbox_lab::statistics::ks_distance;
///
/// assert_eq!(ks_distance(&[1.0, 2.0], &[3.0, 4.0]), 1.0);
/// assert_eq!(ks_distance(&[1.0, 3.0], &[2.0, 4.0]), 0.5);
/// ```
///
/// # Panics
/// If a sample is empty.
#[must_use]
pub fn ks_distance(a: &[f64], b: &[f64]) -> f64 {
    assert!(!a.is_empty() && !b.is_empty(), "a distribution needs a value");
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let (a, b) = (sorted(a), sorted(b));
    let below = |values: &[f64], x: f64| values.partition_point(|v| *v <= x) as f64 / values.len() as f64;
    a.iter().chain(&b).map(|x| (below(&a, *x) - below(&b, *x)).abs()).fold(0.0, f64::max)
}

/// The probability of a distance so large between samples of `n` and `m` values of one distribution:
/// Kolmogorov's asymptotic law with Stephens's correction for small samples (Press et al., *Numerical Recipes*,
/// 14.3). Where values are tied it is an upper bound.
#[must_use]
pub fn ks_p_value(distance: f64, n: usize, m: usize) -> f64 {
    let lambda = scale(n, m) * distance;
    // The series converges slowly there, and its sum is 1 to more than ten digits.
    if lambda < 0.2 {
        return 1.0;
    }
    let term = |j: i32| {
        let sign = if j % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * f64::from(j * j) * lambda * lambda).exp()
    };
    (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

/// The distance between samples of `n` and `m` values whose [`ks_p_value`] is `p`, for small `p`; above 1, no
/// distance is significant.
#[must_use]
pub fn ks_critical_distance(p: f64, n: usize, m: usize) -> f64 {
    // From the first term of Kolmogorov's series, p = 2 exp(-2 lambda^2); the others are negligible for small p.
    (-0.5 * (p / 2.0).ln()).sqrt() / scale(n, m)
}

/// The factor from a distance to the argument of Kolmogorov's law, after Stephens.
fn scale(n: usize, m: usize) -> f64 {
    let effective = ((n * m) as f64 / (n + m) as f64).sqrt();
    effective + 0.12 + 0.11 / effective
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: counts at every value of either sample how many values of each are no larger.
    fn by_definition(a: &[f64], b: &[f64]) -> f64 {
        let mut largest = 0.0;
        for x in a.iter().chain(b) {
            let (mut in_a, mut in_b) = (0, 0);
            for v in a {
                in_a += i32::from(v <= x);
            }
            for v in b {
                in_b += i32::from(v <= x);
            }
            let apart = (f64::from(in_a) / a.len() as f64 - f64::from(in_b) / b.len() as f64).abs();
            if apart > largest {
                largest = apart;
            }
        }
        largest
    }

    proptest! {
        #[test]
        fn the_distance_is_that_of_the_definition(
            // Whole numbers, so that many are tied; in any order.
            a in prop::collection::vec(-8..8_i32, 1..30),
            b in prop::collection::vec(-8..8_i32, 1..30),
        ) {
            let [a, b] = [a, b].map(|values| values.into_iter().map(f64::from).collect::<Vec<_>>());
            let distance = ks_distance(&a, &b);
            prop_assert_eq!(distance, by_definition(&a, &b));
            prop_assert_eq!(distance, ks_distance(&b, &a));
            prop_assert!(ks_distance(&a, &a) == 0.0 && (0.0..=1.0).contains(&distance));
        }
    }

    /// Against published values: lambda of 1.3581 has p = 0.05, of 1.6276 has p = 0.01 (Smirnov's table).
    #[test]
    fn the_test_has_its_published_levels() {
        for (lambda, p) in [(1.3581, 0.05), (1.6276, 0.01)] {
            // With samples this large the correction is below 1e-3 of lambda.
            let n = 1_000_000;
            let distance = lambda / (n as f64 / 2.0).sqrt();
            assert!((ks_p_value(distance, n, n) - p).abs() < 1e-4, "p({lambda})");
        }
        assert!(ks_p_value(1.0, 20, 20) < 1e-6, "distributions that do not meet");
        assert_eq!(ks_p_value(0.0, 20, 20), 1.0);
        for (n, m) in [(4, 60), (20, 60), (1000, 3)] {
            let p = ks_p_value(ks_critical_distance(0.01, n, m), n, m);
            // The second term of the series is 2 exp(-8 lambda^2), below 1e-8 there.
            assert!((p - 0.01).abs() < 1e-8, "{p}");
        }
    }
}
