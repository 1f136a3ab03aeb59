//! How well anomalous points lie on a true anomaly: precision, recall, F1, and the delay of the first alarm.

use std::ops::Range;

use jiff::SignedDuration;

use crate::nab::TEST;
use crate::results::DataInfo;
use crate::series::Series;
use crate::synthetic::{START, STEP_MINUTES, TRUE_ANOMALY};

/// The ground truth: the anomalous rows of `test`, the test series of `data`. Known for the published file, for the
/// synthetic series, and for parts of them that hold the whole anomaly.
///
/// They are those from 2014-04-11 09:00 to 18:00, both ends in it. Up to 17:55 the level's target is too high
/// ([`TRUE_ANOMALY`]); at 18:00 the level has begun to fall but is still at 46 where a normal day has 32. What is
/// left of it in the hour after is not counted, though a detector may well see it.
#[must_use]
pub fn true_anomaly(data: &DataInfo, test: &Series) -> Option<Range<usize>> {
    let known = data.is_twin() || data.test.sha256 == TEST.sha256.to_string();
    // By their times: the series may be a part of the whole.
    let row_of = |row: usize| {
        let time = START + SignedDuration::from_mins((row * STEP_MINUTES) as i64);
        test.timestamps().iter().position(|at| *at == time)
    };
    if !known {
        return None;
    }
    Some(row_of(TRUE_ANOMALY.start)?..row_of(TRUE_ANOMALY.end)? + 1)
}

/// Anomalous points against the true anomaly.
///
/// ```
/// use glassbox_pipeline::evaluation::Score;
///
/// // Four points are truly anomalous, two of them are found, and one that is not.
/// let score = Score::of(&[11, 13, 14], &(10..14));
/// assert_eq!((score.points, score.hits), (3, 2));
/// assert_eq!((score.precision, score.recall), (Some(2.0 / 3.0), 0.5));
/// assert_eq!(score.f1, 4.0 / 7.0);
/// assert_eq!(score.first_hit, Some(11));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Points that were found.
    pub points: usize,
    /// Those of them that are in the true anomaly.
    pub hits: usize,
    /// hits / points: the part of what was found that is true; `None` if nothing was found.
    pub precision: Option<f64>,
    /// hits / points of the true anomaly: the part of what is true that was found.
    pub recall: f64,
    /// The harmonic mean of both, 2 hits / (points + points of the true anomaly); 0 if nothing was found.
    pub f1: f64,
    /// The first point that is in the true anomaly.
    pub first_hit: Option<usize>,
}

impl Score {
    /// The score of `points` (ascending, each once) against the rows `truth`.
    ///
    /// # Panics
    /// If there is no true row: then there is nothing to find.
    #[must_use]
    pub fn of(points: &[usize], truth: &Range<usize>) -> Self {
        assert!(!truth.is_empty(), "an anomaly of no rows");
        debug_assert!(points.is_sorted_by(|a, b| a < b), "points ascend");
        let hits = points.iter().filter(|point| truth.contains(point)).count();
        let ratio = |of: usize| hits as f64 / of as f64;
        Self {
            points: points.len(),
            hits,
            precision: (!points.is_empty()).then(|| ratio(points.len())),
            recall: ratio(truth.len()),
            f1: 2.0 * hits as f64 / (points.len() + truth.len()) as f64,
            first_hit: points.iter().copied().find(|point| truth.contains(point)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nab::{self, Source};

    #[test]
    fn scores_by_hand() {
        let truth = 10..20;
        let all = Score::of(&(10..20).collect::<Vec<_>>(), &truth);
        assert_eq!((all.precision, all.recall, all.f1, all.first_hit), (Some(1.0), 1.0, 1.0, Some(10)));
        // Nothing found: no precision, and all else is 0.
        let none = Score::of(&[], &truth);
        assert_eq!((none.precision, none.recall, none.f1, none.first_hit), (None, 0.0, 0.0, None));
        // Found, and all of it elsewhere.
        let wrong = Score::of(&[3, 20], &truth);
        assert_eq!((wrong.precision, wrong.recall, wrong.f1, wrong.first_hit), (Some(0.0), 0.0, 0.0, None));
        // 5 of 10, and 15 besides: precision 1/4, recall 1/2, F1 = 2 * 1/8 / (3/4) = 1/3.
        let half = Score::of(&(15..35).collect::<Vec<_>>(), &truth);
        assert_eq!((half.precision, half.recall, half.first_hit), (Some(0.25), 0.5, Some(15)));
        assert!((half.f1 - 1.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn the_true_anomaly_is_known_of_the_twin_and_of_the_published_file() {
        let loaded = nab::load(&Source::Twin { seed: 3 }).unwrap();
        let (mut data, test) = (DataInfo::of(&loaded), &loaded.test.series);
        let truth = true_anomaly(&data, test).unwrap();
        let at = |row| test.timestamp_text(row);
        assert_eq!(
            (at(truth.start), at(truth.end - 1)),
            ("2014-04-11 09:00:00".into(), "2014-04-11 18:00:00".into())
        );
        assert_eq!(truth.len(), 109);
        data.source = "directory".into();
        assert_eq!(true_anomaly(&data, test), None);
        data.test.sha256 = TEST.sha256.to_string();
        assert_eq!(true_anomaly(&data, test), Some(truth));
        // Parts of the series: one that begins with the anomaly's day, one that ends before the anomaly does.
        let part = |rows: Range<usize>| {
            let (times, values) = (&test.timestamps()[rows.clone()], &test.values()[rows]);
            Series::new("part", test.clock(), times.to_vec(), values.to_vec()).unwrap()
        };
        assert_eq!(true_anomaly(&data, &part(10 * 288..11 * 288)), Some(9 * 12..18 * 12 + 1));
        assert_eq!(true_anomaly(&data, &part(0..3000)), None);
    }
}
