//! Row scores on windows by hand: the terms, the limits, and what is found where.

use glassbox_engine::random::{Purpose, Stream};
use glassbox_engine::samples::Samples;

use super::distribution::Pareto;
use super::*;
use crate::error::Error;

/// A calibration of windows of `steps` steps with one channel, all of whose scales and limits are 1.
fn flat(steps: usize, still: Option<(usize, f64)>) -> Calibration {
    let still = still.map(|(steps, limit)| serde_json::json!({ "steps": steps, "limit": limit }));
    let scores = serde_json::json!({ "count": 1, "median": 1.0, "mad": 0.0, "largest": [1.0] });
    let document = serde_json::json!({
        "scales": vec![1.0; steps], "limits": vec![1.0; steps], "window": 1.0, "still": [still],
        "settled": scores, "live": scores,
    });
    serde_json::from_value(document).unwrap()
}

/// The settled terms of all rows, and the live terms of those that have a window, where `error(window, step)` is the
/// error of a step.
fn terms(
    calibration: &Calibration,
    values: &[f32],
    error: impl Fn(usize, usize) -> f32,
) -> (Vec<Terms>, Vec<Terms>) {
    let windows = Samples::windows(values, calibration.time_steps(), 1).unwrap();
    let mut rows = Rows::new(calibration);
    let (mut settled, mut live) = (vec![], vec![]);
    for window in 0..windows.len() {
        let x = windows.get(window);
        let y: Vec<f32> = x.iter().enumerate().map(|(step, x)| x + error(window, step)).collect();
        let [of_first, of_last] = rows.push(x, &y).unwrap();
        settled.push(of_first.clone());
        live.push(of_last.clone());
    }
    settled.extend(rows.open().skip(1));
    (settled, live)
}

#[test]
fn terms_are_those_of_the_windows_that_hold_a_row() {
    let calibration = flat(3, None);
    // Powers of two, so that sums and means of two are exact.
    let error = |window: usize, step: usize| (1 << (3 * window + step)) as f32 / 64.0;
    let (settled, live) = terms(&calibration, &[0.0; 5], error);
    let expected = |row: usize| {
        let windows: Vec<usize> = (0..3).filter(|window| (*window..window + 3).contains(&row)).collect();
        let own = windows.iter().map(|window| f64::from(error(*window, row - window)));
        let whole = |window: usize| (0..3).map(|step| f64::from(error(window, step))).sum::<f64>() / 3.0;
        let least = windows.iter().map(|window| whole(*window)).fold(f64::INFINITY, f64::min);
        // The last step is the worst of every window.
        let blamed = windows.iter().filter(|window| row - **window == 2).map(|window| whole(*window));
        (windows.len(), own.sum::<f64>() / windows.len() as f64, blamed.fold(least, f64::max))
    };
    assert_eq!(settled.len(), 5);
    for (row, terms) in settled.iter().enumerate() {
        let (windows, steps, window) = expected(row);
        assert_eq!((terms.windows, terms.window), (windows, window), "row {row}");
        assert!((terms.steps[0] - steps).abs() <= 1e-15 * steps, "row {row}: {terms:?}");
    }
    assert_eq!(live.len(), 3);
    for (window, terms) in live.iter().enumerate() {
        assert_eq!((terms.windows, terms.steps[0]), (1, f64::from(error(window, 2))));
    }
}

#[test]
fn every_window_above_the_threshold_has_a_row_above_it() {
    // Window 4 alone is bad, by a little at each step: no row is in bad windows only, and no step is far off.
    let calibration = flat(4, None);
    let error = |window: usize, step: usize| match (window, step) {
        (4, 1) => 1.6,
        (4, _) => 1.5,
        _ => 0.1,
    };
    let (settled, _) = terms(&calibration, &[0.0; 12], error);
    let scores: Vec<f64> = settled.iter().map(|terms| calibration.score(terms).value).collect();
    let anomalous: Vec<usize> = (0..12).filter(|row| scores[*row] > 1.0).collect();
    assert_eq!(anomalous, [5], "{scores:?}");
    assert_eq!(calibration.score(&settled[5]).cause, Cause::Window);
}

#[test]
fn a_flat_line_is_still_and_a_moving_one_is_not() {
    let calibration = flat(8, Some((3, 0.5)));
    let moving = |row: usize| if row.is_multiple_of(2) { 1.0 } else { -1.0 };
    let values: Vec<f32> =
        (0..30).map(|row| if (10..15).contains(&row) { 1.0 } else { moving(row) }).collect();
    let (settled, live) = terms(&calibration, &values, |_, _| 0.0);
    let is_still = |terms: &Terms| calibration.score(terms).value > 1.0;
    // Rows 10 ..= 14 are equal: two runs of three changes, and the changes around them are far.
    assert_eq!((0..30).filter(|row| is_still(&settled[*row])).collect::<Vec<_>>(), [10, 11, 12, 13, 14]);
    assert_eq!((7..30).filter(|row| is_still(&live[row - 7])).collect::<Vec<_>>(), [13, 14]);
    assert_eq!(calibration.score(&settled[12]).cause, Cause::Still);
    assert_eq!(settled[12].still, [2.0]);
}

#[test]
fn the_live_score_of_a_row_depends_on_nothing_after_it() {
    let calibration = flat(8, Some((3, 0.5)));
    let value = |row: usize| ((row * 37 % 11) as f32).sin();
    let values: Vec<f32> = (0..40).map(value).collect();
    let error = |window: usize, step: usize| ((window * 13 + step * 7) % 5) as f32 / 4.0;
    let (_, all) = terms(&calibration, &values, error);
    for end in 8..=40 {
        let (_, part) = terms(&calibration, &values[..end], error);
        assert_eq!(part[..], all[..part.len()]);
    }
}

#[test]
fn a_reconstruction_that_is_not_finite_is_refused() {
    let calibration = flat(2, None);
    let mut rows = Rows::new(&calibration);
    rows.push(&[0.0; 2], &[0.0; 2]).unwrap();
    let error = rows.push(&[0.0; 2], &[0.0, f32::NAN]).unwrap_err();
    assert!(matches!(error, Error::ErrorNotFinite { window: 1, .. }), "{error}");
}

#[test]
fn thresholds_by_hand() {
    let scores: Vec<f64> = (0..1000).map(|i| f64::from(i) / 1000.0).collect();
    let with = |scores: &[f64]| {
        let mut document = serde_json::to_value(flat(2, None)).unwrap();
        for kind in ["settled", "live"] {
            document[kind] = serde_json::to_value(Distribution::of(scores.to_vec())).unwrap();
        }
        serde_json::from_value::<Calibration>(document).unwrap()
    };
    let calibration = with(&scores);
    let alarm = |rule| Alarm::new(rule, &calibration);
    assert_eq!(alarm(ThresholdRule::Max).unwrap().settled, 1.0);
    // Ten of a thousand scores are above: 0.990 ..= 0.999.
    let quantile = alarm(ThresholdRule::Quantile(0.99)).unwrap();
    assert_eq!((quantile.settled, quantile.live), (0.989, 0.989));
    assert!((quantile.expected_rate - 0.01).abs() < 1e-4, "{quantile}");
    // The median is 0.5, and so is twice the median distance from it.
    let z = alarm(ThresholdRule::RobustZ(1.5)).unwrap();
    assert!((z.settled - (0.5 + 1.5 * 1.4826 * 0.25)).abs() < 1e-12, "{z:?}");
    assert!(matches!(
        alarm(ThresholdRule::Quantile(0.9999)),
        Err(Error::TooFewScores { needed: 10_000, .. })
    ));
    assert!(matches!(alarm(ThresholdRule::Peaks(0.5)), Err(Error::RateTooHigh { .. })));
    for rule in [
        ThresholdRule::Quantile(1.0),
        ThresholdRule::Quantile(f64::NAN),
        ThresholdRule::RobustZ(-1.0),
        ThresholdRule::RobustZ(f64::INFINITY),
        ThresholdRule::Peaks(0.0),
    ] {
        assert!(matches!(alarm(rule), Err(Error::BadThresholdRule { .. })), "{rule:?}");
    }
    let error = Alarm::new(ThresholdRule::Peaks(1e-3), &with(&scores[..400])).unwrap_err();
    assert!(error.to_string().contains("at least 500 training rows, and there are 400"), "{error}");
}

/// The quantiles of three distributions whose parameters are known, from 2000 peaks. Their standard errors (Hosking and
/// Wallis 1987, table 2 scaled by the square root of n) are about 0.03 in the shape and 4 % in the scale; five of them are
/// allowed.
#[test]
fn the_fit_of_extreme_values_finds_the_parameters() {
    for shape in [-0.3, 0.0, 0.2] {
        let mut draws = Stream::new(5, Purpose::Check, 0, 0).draws();
        let truth = Pareto { shape, scale: 2.0 };
        let mut excesses: Vec<f64> = (0..2000).map(|_| truth.exceeded_with(1.0 - draws.uniform())).collect();
        excesses.sort_by(f64::total_cmp);
        let found = Pareto::fit(&excesses);
        assert!(
            (found.shape - shape).abs() < 0.15 && (found.scale / 2.0 - 1.0).abs() < 0.2,
            "{shape}: {found:?}"
        );
    }
    // Nothing to fit: no excess, and excesses that are all equal.
    assert_eq!(Pareto::fit(&[0.0; 10]).exceeded_with(0.01), 0.0);
    assert_eq!(Pareto::fit(&[0.5; 10]).exceeded_with(0.01), 0.0);
}
