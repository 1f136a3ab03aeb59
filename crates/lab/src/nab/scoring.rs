//! NAB's score: what the detections of a threshold are worth under an application profile.
//!
//! A row is a detection if its score is not below the threshold, which is one for all files. The first detection in an
//! anomaly window earns up to [`Profile::true_positive`], the more the earlier it is; a window without a detection costs
//! [`Profile::false_negative`]. Each detection outside of all windows costs up to [`Profile::false_positive`], less if it
//! is just after a window. Rows of the [`probation`] do not count. Distances are in rows, never in time.
//!
//! NAB chooses the threshold that gives the largest total, with the labels at hand ([`Profile::best_threshold`]). The result is
//! the best that a detector could have done with a fixed threshold.

use serde::Serialize;

/// The rows of a window of anomalies, inclusive at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first row.
    pub first: usize,
    /// The last row.
    pub last: usize,
}

impl Window {
    /// The number of rows.
    #[must_use]
    pub fn width(self) -> usize {
        self.last - self.first + 1
    }

    /// Returns whether a row lies within.
    #[must_use]
    pub fn contains(self, row: usize) -> bool {
        (self.first..=self.last).contains(&row)
    }
}

/// An application profile: what detections and misses are worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// NAB's name.
    pub name: &'static str,
    /// The gain of a window that is detected on its first row.
    pub true_positive: f64,
    /// The cost of a row that is detected far from any window.
    pub false_positive: f64,
    /// The cost of a window that is missed.
    pub false_negative: f64,
}

/// NAB's three profiles, the standard one first.
pub const PROFILES: [Profile; 3] = [
    Profile { name: "standard", true_positive: 1.0, false_positive: 0.11, false_negative: 1.0 },
    Profile { name: "reward_low_FP_rate", true_positive: 1.0, false_positive: 0.22, false_negative: 1.0 },
    Profile { name: "reward_low_FN_rate", true_positive: 1.0, false_positive: 0.11, false_negative: 2.0 },
];

/// A threshold that no score reaches.
pub const ABOVE_ALL: f64 = 1.1;

/// The number of rows at the start of a file of `rows` that are for learning and not scored: 15 %, at most 750.
#[must_use]
pub fn probation(rows: usize) -> usize {
    // In integers, which gives the same as the floating-point product for all files of NAB.
    (rows.saturating_mul(15) / 100).min(750)
}

/// A file and a detector's scores of it.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// A score in [0, 1] for each row.
    pub scores: &'a [f64],
    /// The windows, in the order of their rows and disjoint.
    pub windows: &'a [Window],
}

/// Detected and other rows, inside and outside of windows; those of the probation do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Detections inside.
    pub tp: usize,
    /// Detections outside.
    pub fp: usize,
    /// Other rows inside.
    #[serde(rename = "fn")]
    pub fn_: usize,
    /// Other rows outside.
    pub tn: usize,
}

impl Counts {
    fn add(&mut self, inside: bool, detected: bool) {
        *match (inside, detected) {
            (true, true) => &mut self.tp,
            (false, true) => &mut self.fp,
            (true, false) => &mut self.fn_,
            (false, false) => &mut self.tn,
        } += 1;
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            tp: a.tp + b.tp,
            fp: a.fp + b.fp,
            fn_: a.fn_ + b.fn_,
            tn: a.tn + b.tn,
        })
    }
}

/// The worth of the detections of one file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FileScore {
    /// The sum of gains and costs.
    pub raw: f64,
    /// The rows.
    pub counts: Counts,
}

/// The worth of a detection in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worth {
    /// The number of the window that holds the row, if one does.
    pub window: Option<usize>,
    /// The gain inside of a window, the negative cost outside.
    pub value: f64,
}

/// NAB's scaled sigmoid: 1 far before 0, falling to -1 at 3 and after it.
fn sigmoid(y: f64) -> f64 {
    if y > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * y).exp()) - 1.0 }
}

impl Profile {
    /// The worth of a detection in each of the `rows` of a file with these windows, the rows of the probation included.
    #[must_use]
    pub fn worths(&self, rows: usize, windows: &[Window]) -> Vec<Worth> {
        let mut begun = 0;
        let worth = |row: usize| {
            begun += windows[begun..].iter().take_while(|window| window.first <= row).count();
            let Some(window) = begun.checked_sub(1).map(|index| windows[index]) else {
                return Worth { window: None, value: -self.false_positive };
            };
            let (last, width) = (window.last as f64, window.width() as f64);
            if window.contains(row) {
                let y = -(last - row as f64 + 1.0) / width;
                Worth { window: Some(begun - 1), value: self.true_positive * sigmoid(y) / sigmoid(-1.0) }
            } else {
                let y = (row as f64 - last) / (width - 1.0);
                Worth { window: None, value: self.false_positive * sigmoid(y) }
            }
        };
        (0..rows).map(worth).collect()
    }

    /// The score of each file at a threshold.
    #[must_use]
    pub fn score(&self, files: &[Scored<'_>], threshold: f64) -> Vec<FileScore> {
        let score = |file: &Scored<'_>| {
            let rows = file.scores.len();
            let mut best = vec![None; file.windows.len()];
            let (mut raw, mut counts) = (0.0, Counts::default());
            for (row, worth) in self.worths(rows, file.windows).iter().enumerate().skip(probation(rows)) {
                let detected = file.scores[row] >= threshold;
                counts.add(worth.window.is_some(), detected);
                match worth.window {
                    Some(window) => {
                        let best = best[window].get_or_insert(-self.false_negative);
                        *best = if detected { worth.value.max(*best) } else { *best };
                    }
                    None if detected => raw += worth.value,
                    None => {}
                }
            }
            FileScore { raw: raw + best.iter().flatten().sum::<f64>(), counts }
        };
        files.iter().map(score).collect()
    }

    /// The threshold with the largest total over all files: a score of a row, or [`ABOVE_ALL`]. Of several the highest.
    #[must_use]
    pub fn best_threshold(&self, files: &[Scored<'_>]) -> f64 {
        // Windows of all files are counted through. One that the probation covers is never missed.
        let mut best: Vec<f64> = vec![];
        let mut rows: Vec<(f64, Worth)> = vec![];
        for file in files {
            let (count, first) = (file.scores.len(), best.len());
            let scorable = file.windows.iter().map(|window| window.last >= probation(count));
            best.extend(scorable.map(|scorable| if scorable { -self.false_negative } else { 0.0 }));
            let worths = self.worths(count, file.windows).into_iter();
            let worths = worths.map(|worth| Worth { window: worth.window.map(|w| first + w), ..worth });
            rows.extend(file.scores.iter().copied().zip(worths).skip(probation(count)));
        }
        rows.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let (mut outside, mut inside) = (0.0, best.iter().sum::<f64>());
        let mut found = (inside, ABOVE_ALL);
        for equal in rows.chunk_by(|(a, _), (b, _)| a == b) {
            for (_, worth) in equal {
                match worth.window {
                    Some(window) if worth.value > best[window] => {
                        inside += worth.value - best[window];
                        best[window] = worth.value;
                    }
                    Some(_) => {}
                    None => outside += worth.value,
                }
            }
            if outside + inside > found.0 {
                found = (outside + inside, equal[0].0);
            }
        }
        found.1
    }

    /// The normalised score: 0 for a detector that detects nothing, 100 for one that detects each of the `windows` on its
    /// first row and nothing else. Negative scores are possible. `None` without windows.
    #[must_use]
    pub fn normalised(&self, raw: f64, windows: usize) -> Option<f64> {
        let null = -self.false_negative * windows as f64;
        let perfect = self.true_positive * windows as f64;
        (windows > 0).then(|| 100.0 * (raw - null) / (perfect - null))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file of 40 to 200 rows with up to four windows, and scores of which many are equal.
    fn file() -> impl Strategy<Value = (Vec<f64>, Vec<Window>)> {
        (40_usize..200).prop_flat_map(|rows| {
            let scores = prop::collection::vec((0_u8..=10).prop_map(|tenths| f64::from(tenths) / 10.0), rows);
            let edges = prop::collection::btree_set(0..rows, 0..9);
            let windows = |edges: std::collections::BTreeSet<usize>| {
                let edges: Vec<usize> = edges.into_iter().collect();
                edges.chunks_exact(2).map(|edge| Window { first: edge[0], last: edge[1] }).collect()
            };
            (scores, edges.prop_map(windows))
        })
    }

    fn total(profile: &Profile, files: &[Scored<'_>], threshold: f64) -> f64 {
        profile.score(files, threshold).iter().map(|score| score.raw).sum()
    }

    proptest! {
        #[test]
        fn the_sweep_finds_what_trying_every_threshold_finds(files in prop::collection::vec(file(), 1..4)) {
            let files: Vec<_> =
                files.iter().map(|(scores, windows)| Scored { scores, windows }).collect();
            for profile in &PROFILES {
                let tried = (0..=10).map(|tenths| f64::from(tenths) / 10.0).chain([ABOVE_ALL]);
                let best = tried.map(|at| total(profile, &files, at)).fold(f64::NEG_INFINITY, f64::max);
                let found = profile.best_threshold(&files);
                prop_assert!((total(profile, &files, found) - best).abs() <= 1e-9 * best.abs().max(1.0));
            }
        }

        #[test]
        fn every_row_counts_once((scores, windows) in file(), threshold in 0.0..1.1) {
            let counts = PROFILES[0].score(&[Scored { scores: &scores, windows: &windows }], threshold)[0].counts;
            let all = counts.tp + counts.fp + counts.fn_ + counts.tn;
            prop_assert_eq!(all, scores.len() - probation(scores.len()));
        }

        #[test]
        fn an_earlier_detection_in_a_window_never_scores_less((scores, windows) in file(), pick: prop::sample::Index) {
            let rows = scores.len();
            let inside: Vec<usize> = (probation(rows)..rows)
                .filter(|row| windows.iter().any(|window| window.contains(*row) && window.contains(row + 1)))
                .collect();
            prop_assume!(!inside.is_empty());
            let row = inside[pick.index(inside.len())];
            let mut moved = scores.clone();
            moved.swap(row, row + 1);
            let (earlier, later) =
                if moved[row] > scores[row] { (&moved, &scores) } else { (&scores, &moved) };
            let score = |scores| total(&PROFILES[0], &[Scored { scores, windows: &windows }], 0.7);
            prop_assert!(score(earlier) >= score(later) - 1e-12);
        }

        #[test]
        fn another_false_alarm_never_scores_more((mut scores, windows) in file(), pick: prop::sample::Index) {
            let rows = scores.len();
            let outside: Vec<usize> = (0..rows)
                .filter(|row| scores[*row] < 0.7 && !windows.iter().any(|window| window.contains(*row)))
                .collect();
            prop_assume!(!outside.is_empty());
            let score = |scores: &[f64]| total(&PROFILES[0], &[Scored { scores, windows: &windows }], 0.7);
            let before = score(&scores);
            scores[outside[pick.index(outside.len())]] = 0.7;
            prop_assert!(score(&scores) <= before);
        }

        #[test]
        fn rows_of_the_probation_do_not_count((scores, windows) in file()) {
            let mut other = scores.clone();
            other[..probation(scores.len())].fill(1.0);
            for profile in &PROFILES {
                let [a, b] = [&scores, &other].map(|scores| {
                    let files = [Scored { scores, windows: &windows }];
                    (profile.best_threshold(&files), profile.score(&files, 0.5))
                });
                prop_assert_eq!(a, b);
            }
        }
    }

    #[test]
    fn the_ends_of_the_scale() {
        let window = Window { first: 60, last: 79 };
        for profile in &PROFILES {
            let score = |detected: &[usize]| {
                let mut scores = vec![0.0; 200];
                detected.iter().for_each(|row| scores[*row] = 1.0);
                profile.normalised(total(profile, &[Scored { scores: &scores, windows: &[window] }], 1.0), 1)
            };
            assert_eq!(score(&[]), Some(0.0));
            assert_eq!(score(&[60]), Some(100.0));
            assert!(score(&[79]).unwrap() > 50.0 * profile.false_negative.min(1.0));
            assert!(score(&[31]).unwrap() < 0.0);
        }
        assert_eq!(PROFILES[0].normalised(0.0, 0), None);
        assert_eq!([0, 100, 4032, 5000, 22695].map(probation), [0, 15, 604, 750, 750]);
    }
}
