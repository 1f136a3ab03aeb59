//! Detection: from the error of each window to anomalous windows and anomalous points.
//!
//! A window of `steps` rows starts at each row that has `steps - 1` rows after it. So window w covers the
//! points `w ..= w + steps - 1`, point i is in the windows `i - steps + 1 ..= i`, and a series of `len`
//! points has `len - steps + 1` windows.
//!
//! 1. The [`Threshold`] is the largest error of a training window: the worst reconstruction of data without an anomaly.
//! 2. A window is anomalous if its error exceeds the threshold: [`anomalous_windows`].
//! 3. A point is anomalous if the windows that contain it are: [`anomalous_points`], by one of two rules.
//!
//! # The two rules
//! The tutorial says "all windows that contain the point", which is [`PointRule::Inclusive`]. The loop that
//! it publishes slices `[i - steps + 1 : i]`, and a Python slice excludes its end: window i itself, the one
//! that *starts* at the point, is not tested. That is [`PointRule::Published`], the default, because the
//! tutorial's numbers come from it. It tests one window less, so it finds the inclusive rule's points and
//! sometimes one more at the end of a stretch.
//!
//! Both rules test only the points `steps - 1 ..= len - steps`, which are in `steps` windows. The first and the last
//! `steps - 1` points of a series are never judged, and a series of fewer than `2 * steps - 1` points has no
//! judged points: see [`judged_points`].

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The error above which a window is anomalous.
///
/// The error of a window is the mean of |input - reconstruction| over its steps. Errors and threshold are in standard
/// deviations of the training series.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Threshold(f64);

impl Threshold {
    /// A given threshold, in standard deviations of the training series.
    ///
    /// # Errors
    /// [`Error::BadThreshold`] if it is not finite or below 0. Mean absolute errors are never negative, so
    /// every window would be anomalous.
    pub fn new(error: f64) -> Result<Self> {
        if error.is_finite() && error >= 0.0 { Ok(Self(error)) } else { Err(Error::BadThreshold(error)) }
    }

    /// The tutorial's threshold: the largest error of the training windows (f32 or f64; in standard
    /// deviations of the training series).
    ///
    /// # Errors
    /// If there are no errors, or one is not finite.
    pub fn from_training_errors<E: Copy + Into<f64>>(errors: &[E]) -> Result<Self> {
        let mut largest = None;
        for (window, &error) in errors.iter().enumerate() {
            let error = finite(window, error)?;
            largest = Some(largest.map_or(error, |largest: f64| largest.max(error)));
        }
        largest.map(Self).ok_or(Error::NoTrainingErrors)
    }

    /// The threshold in standard deviations of the training series.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0
    }
}

/// Compares the error of each window with `threshold`; true means that it is larger, and the window anomalous.
///
/// `errors` are f32 or f64, in standard deviations of the training series. They are compared as f64, which
/// represents every f32 exactly. An error equal to the threshold is not anomalous.
///
/// # Errors
/// If an error is not finite; a comparison with NaN would always be false.
pub fn anomalous_windows<E: Copy + Into<f64>>(errors: &[E], threshold: Threshold) -> Result<Vec<bool>> {
    let exceeds =
        |(window, &error): (usize, &E)| finite(window, error).map(|error| error > threshold.value());
    errors.iter().enumerate().map(exceeds).collect()
}

fn finite<E: Into<f64>>(window: usize, error: E) -> Result<f64> {
    let error = error.into();
    if error.is_finite() { Ok(error) } else { Err(Error::ErrorNotFinite { window, error }) }
}

/// The rule for which windows must be anomalous for a point to be. It serialises as `published` or `inclusive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PointRule {
    /// Point i depends on windows `i - steps + 1 .. i`, without window i, as in the tutorial's published loop.
    #[default]
    Published,
    /// Point i depends on windows `i - steps + 1 ..= i`, all that contain it.
    Inclusive,
}

impl PointRule {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Inclusive => "inclusive",
        }
    }
}

impl fmt::Display for PointRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The points that are judged: those that are in `steps` windows. `windows` is the number of windows of the series.
/// Empty if the series is too short.
#[must_use]
pub fn judged_points(windows: usize, steps: usize) -> Range<usize> {
    // A window starts at each of the first `len - steps + 1` points, so the last judged point, `len - steps`, has the
    // index of the last window.
    let first = steps.saturating_sub(1);
    first..windows.max(first)
}

/// Returns the indices of the anomalous points of a series, in ascending order. `windows` has a flag for each of its
/// windows of `steps` rows. The time is in proportion to the number of windows, for any `steps`.
///
/// ```
/// use glassbox_pipeline::detection::{PointRule, anomalous_points};
///
/// // Points 2 ..= 4 of a series of 7 lie in three windows of 3 steps each.
/// let windows = [false, true, true, true, false];
/// assert_eq!(anomalous_points(&windows, 3, PointRule::Published)?, [3, 4]);
/// assert_eq!(anomalous_points(&windows, 3, PointRule::Inclusive)?, [3]);
/// # Ok::<(), glassbox_pipeline::Error>(())
/// ```
///
/// # Errors
/// [`Error::WindowTooShort`] if `steps` is 0, or if it is 1 under the published rule. That rule tests
/// `steps - 1` windows, so every point would be anomalous.
pub fn anomalous_points(windows: &[bool], steps: usize, rule: PointRule) -> Result<Vec<usize>> {
    let (least, asked) = match rule {
        PointRule::Published => (2, steps.saturating_sub(1)),
        PointRule::Inclusive => (1, steps),
    };
    if steps < least {
        return Err(Error::WindowTooShort { steps, rule: rule.name(), least });
    }
    // before[w] is the number of anomalous windows among 0..w, so any run of windows takes one difference.
    let mut before = Vec::with_capacity(windows.len() + 1);
    before.push(0_usize);
    let mut count = 0;
    for &anomalous in windows {
        count += usize::from(anomalous);
        before.push(count);
    }
    let all_anomalous = |&point: &usize| {
        let first = point + 1 - steps;
        before[first + asked] - before[first] == asked
    };
    Ok(judged_points(windows.len(), steps).filter(all_anomalous).collect())
}

/// The indices at which `flags` are set, in ascending order.
#[must_use]
pub fn indices(flags: &[bool]) -> Vec<usize> {
    flags.iter().enumerate().filter_map(|(index, &set)| set.then_some(index)).collect()
}

/// Groups ascending `indices` into contiguous ranges, in ascending order.
#[must_use]
pub fn stretches(indices: &[usize]) -> Vec<Range<usize>> {
    indices
        .chunk_by(|&index, &next| index.checked_add(1) == Some(next))
        .map(|run| run[0]..run[0] + run.len())
        .collect()
}

/// Displays ascending `indices` as ranges with their first and last index (both included), the longest range first;
/// `none` if there are none.
///
/// ```
/// use glassbox_pipeline::detection::show_indices;
///
/// assert_eq!(show_indices(&[1654, 2702, 2703, 2704]), "2702..2704, 1654");
/// assert_eq!(show_indices(&[]), "none");
/// ```
#[must_use]
pub fn show_indices(indices: &[usize]) -> String {
    let mut stretches = stretches(indices);
    if stretches.is_empty() {
        return "none".to_owned();
    }
    // The sort is stable: ranges of equal length stay in ascending order.
    stretches.sort_by_key(|stretch| std::cmp::Reverse(stretch.len()));
    let shown: Vec<String> = stretches
        .iter()
        .map(|stretch| match stretch.len() {
            1 => stretch.start.to_string(),
            _ => format!("{}..{}", stretch.start, stretch.end - 1),
        })
        .collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The published loop, literally: `range(steps - 1, len - steps + 1)` over points, Python's slice over windows.
    fn brute_force(windows: &[bool], steps: usize, rule: PointRule) -> Vec<usize> {
        let len = windows.len() + steps - 1;
        let mut points = Vec::new();
        for i in steps - 1..(len + 1).saturating_sub(steps) {
            let end = if rule == PointRule::Inclusive { i + 1 } else { i };
            if windows[i + 1 - steps..end].iter().all(|&anomalous| anomalous) {
                points.push(i);
            }
        }
        points
    }

    #[test]
    fn threshold_is_the_largest_training_error() {
        let threshold = Threshold::from_training_errors(&[0.5_f32, 0.75, 0.25]).unwrap();
        assert_eq!(threshold.value(), 0.75);
        let windows = anomalous_windows(&[0.75_f32, 0.750_000_06, 0.0], threshold).unwrap();
        assert_eq!(windows, [false, true, false]);
        assert_eq!(indices(&windows), [1]);
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        let none: [f32; 0] = [];
        assert!(matches!(Threshold::from_training_errors(&none), Err(Error::NoTrainingErrors)));
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            // First, in the middle, last: whether a maximum keeps or drops a NaN may depend on its position.
            for window in 0..3 {
                let mut errors = [0.1; 3];
                errors[window] = bad;
                let is_it = |error| matches!(error, Error::ErrorNotFinite { window: w, .. } if w == window);
                assert!(is_it(Threshold::from_training_errors(&errors).unwrap_err()));
                assert!(is_it(anomalous_windows(&errors, Threshold(0.2)).unwrap_err()));
            }
            assert!(Threshold::new(bad).is_err());
        }
    }

    #[test]
    fn the_published_runs_are_reproduced() {
        // The keras.io page: windows 2702 ..= 3094 and 1654 of 3745 give points 2989 ..= 3095.
        let mut windows = vec![false; 3745];
        windows[2702..=3094].fill(true);
        windows[1654] = true;
        assert_eq!(indices(&windows).len(), 394);
        let points = anomalous_points(&windows, 288, PointRule::Published).unwrap();
        assert_eq!(points, (2989..=3095).collect::<Vec<_>>());
        assert_eq!(points.len(), 107);
        let points = anomalous_points(&windows, 288, PointRule::Inclusive).unwrap();
        assert_eq!(points, (2989..=3094).collect::<Vec<_>>());
        assert_eq!(show_indices(&indices(&windows)), "2702..3094, 1654");
        // The notebook of 2024: 402 windows, 114 points.
        windows[1654] = false;
        windows[2701..=3100].fill(true);
        windows[1946] = true;
        windows[2522] = true;
        assert_eq!(indices(&windows).len(), 402);
        let points = anomalous_points(&windows, 288, PointRule::Published).unwrap();
        assert_eq!(points, (2988..=3101).collect::<Vec<_>>());
        assert_eq!(show_indices(&indices(&windows)), "2701..3100, 1946, 2522");
    }

    #[test]
    fn the_range_of_judged_points_is_the_tutorials() {
        // len 4032: i in 287 ..= 3744.
        assert_eq!(judged_points(3745, 288), 287..3745);
        let all = vec![true; 3745];
        for rule in [PointRule::Published, PointRule::Inclusive] {
            let points = anomalous_points(&all, 288, rule).unwrap();
            assert_eq!((points[0], points[points.len() - 1], points.len()), (287, 3744, 3458));
        }
    }

    #[test]
    fn short_series_have_no_judged_point_and_degenerate_windows_are_refused() {
        for windows in 0..10 {
            assert!(judged_points(windows, 11).is_empty());
            let points = anomalous_points(&vec![true; windows], 11, PointRule::Inclusive).unwrap();
            assert_eq!(points, [0; 0]);
        }
        assert!(judged_points(0, 0).is_empty());
        assert!(anomalous_points(&[true], 0, PointRule::Inclusive).is_err());
        assert!(anomalous_points(&[true], 1, PointRule::Published).is_err());
        assert_eq!(anomalous_points(&[true, false], 1, PointRule::Inclusive).unwrap(), [0]);
        assert_eq!(anomalous_points(&[true], usize::MAX, PointRule::Published).unwrap(), [0; 0]);
    }

    proptest! {
        #[test]
        fn points_are_those_of_the_published_loop(
            // Most windows are anomalous, because otherwise long runs would never occur.
            windows in prop::collection::vec(prop::bool::weighted(0.85), 0..120),
            steps in 1_usize..20,
        ) {
            let inclusive = anomalous_points(&windows, steps, PointRule::Inclusive).unwrap();
            prop_assert_eq!(&inclusive, &brute_force(&windows, steps, PointRule::Inclusive));
            if steps > 1 {
                let published = anomalous_points(&windows, steps, PointRule::Published).unwrap();
                prop_assert_eq!(&published, &brute_force(&windows, steps, PointRule::Published));
                prop_assert!(inclusive.iter().all(|point| published.contains(point)));
            }
        }

        #[test]
        fn stretches_hold_exactly_their_indices(flags in prop::collection::vec(any::<bool>(), 0..80)) {
            let indices = indices(&flags);
            let stretches = stretches(&indices);
            prop_assert_eq!(stretches.iter().cloned().flatten().collect::<Vec<_>>(), indices);
            prop_assert!(stretches.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
