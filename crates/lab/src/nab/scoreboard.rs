//! The worth of a detector's scores: by profile, by group of files and by file.

use std::fmt;

use glassbox_pipeline::words::counted;
use serde::Serialize;

use super::scoring::{Counts, PROFILES, Scored, probation};
use super::{LabelledFile, measures};

/// The version of the JSON document.
pub const SCHEMA: u32 = 1;

/// A detector on the benchmark. As JSON, the document that `docs/nab.md` describes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scoreboard {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The detector's name.
    pub detector: String,
    /// The number of windows.
    pub windows: usize,
    /// The results under each of [`PROFILES`].
    pub profiles: Vec<ProfileResult>,
    /// The results of each group, in the order of the files.
    pub groups: Vec<GroupResult>,
    /// The results of each file.
    pub files: Vec<FileResult>,
}

/// A detector under a profile, at the threshold that is best for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProfileResult {
    /// NAB's name of the profile.
    pub profile: &'static str,
    /// The normalised score: 0 for no detections, 100 for a perfect detector. `None` without windows.
    pub score: Option<f64>,
    /// The threshold.
    pub threshold: f64,
    /// The sum of the files' raw scores.
    pub raw: f64,
    /// The rows of all files.
    #[serde(flatten)]
    pub counts: Counts,
}

/// A detector on the files of a folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupResult {
    /// The folder.
    pub group: String,
    /// The number of files.
    pub files: usize,
    /// The results.
    #[serde(flatten)]
    pub results: Results,
}

/// A detector on a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileResult {
    /// The path below the data folder.
    pub file: String,
    /// The results.
    #[serde(flatten)]
    pub results: Results,
}

/// Results on one file or several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Results {
    /// The number of windows.
    pub windows: usize,
    /// Windows with a detection at the threshold of the standard profile.
    pub detected: usize,
    /// Detections outside of windows at that threshold, in rows.
    pub false_positives: usize,
    /// The raw score under each of [`PROFILES`], at the profile's threshold.
    pub raw: [f64; PROFILES.len()],
    /// [`measures::vus_pr`]; of several files the mean of those that have it.
    pub vus_pr: Option<f64>,
    /// [`measures::point_f1`]; of several files the mean of those that have it.
    pub point_f1: Option<f64>,
}

impl Results {
    fn sum<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let mean = |of: fn(&Self) -> Option<f64>| {
            let values: Vec<f64> = all.clone().filter_map(of).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        Self {
            windows: all.clone().map(|results| results.windows).sum(),
            detected: all.clone().map(|results| results.detected).sum(),
            false_positives: all.clone().map(|results| results.false_positives).sum(),
            raw: std::array::from_fn(|profile| all.clone().map(|results| results.raw[profile]).sum()),
            vus_pr: mean(|results| results.vus_pr),
            point_f1: mean(|results| results.point_f1),
        }
    }
}

impl Scoreboard {
    /// Judges the `scores` of the rows of each file.
    ///
    /// # Panics
    /// If there are not as many scores as rows.
    #[must_use]
    pub fn new(detector: &str, files: &[LabelledFile], scores: &[Vec<f64>]) -> Self {
        let scored: Vec<Scored<'_>> = files
            .iter()
            .zip(scores)
            .map(|(file, scores)| {
                assert_eq!(scores.len(), file.series.len(), "a score for each row of {}", file.path);
                Scored { scores, windows: &file.windows }
            })
            .collect();
        let windows = files.iter().map(|file| file.windows.len()).sum();
        let thresholds = PROFILES.map(|profile| profile.best_threshold(&scored));
        let by_profile: [_; PROFILES.len()] =
            std::array::from_fn(|index| PROFILES[index].score(&scored, thresholds[index]));
        let profiles =
            PROFILES.iter().zip(&by_profile).zip(thresholds).map(|((profile, files), threshold)| {
                let raw = files.iter().map(|file| file.raw).sum();
                let counts = files.iter().map(|file| file.counts).sum();
                let score = profile.normalised(raw, windows);
                ProfileResult { profile: profile.name, score, threshold, raw, counts }
            });
        let files: Vec<FileResult> = std::iter::zip(files, &scored)
            .enumerate()
            .map(|(index, (file, scored))| FileResult {
                file: file.path.clone(),
                results: Results {
                    windows: file.windows.len(),
                    detected: detected(scored, thresholds[0]),
                    false_positives: by_profile[0][index].counts.fp,
                    raw: std::array::from_fn(|profile| by_profile[profile][index].raw),
                    vus_pr: measures::vus_pr(scored),
                    point_f1: measures::point_f1(scored),
                },
            })
            .collect();
        let group =
            |file: &FileResult| file.file.rsplit_once('/').map_or(String::new(), |(group, _)| group.into());
        let groups = files.chunk_by(|a, b| group(a) == group(b)).map(|of_group| GroupResult {
            group: group(&of_group[0]),
            files: of_group.len(),
            results: Results::sum(of_group.iter().map(|file| &file.results)),
        });
        let (profiles, groups) = (profiles.collect(), groups.collect());
        Self { schema: SCHEMA, detector: detector.into(), windows, profiles, groups, files }
    }
}

/// The number of windows with a detection after the probation.
fn detected(file: &Scored<'_>, threshold: f64) -> usize {
    let skipped = probation(file.scores.len());
    let rows = |first: usize, last: usize| first.max(skipped)..=last;
    let hit = |first, last| rows(first, last).any(|row| file.scores[row] >= threshold);
    file.windows.iter().filter(|window| hit(window.first, window.last)).count()
}

/// Tables: the profiles, then each group with its files.
impl fmt::Display for Scoreboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = counted(self.files.len(), "file", "files");
        let windows = counted(self.windows, "window", "windows");
        writeln!(f, "{}: {files}, {windows}", self.detector)?;
        writeln!(
            f,
            "\n{:<20} {:>7} {:>11} {:>9} {:>7} {:>7} {:>7} {:>7}",
            "profile", "score", "threshold", "raw", "tp", "fp", "fn", "tn"
        )?;
        for result in &self.profiles {
            let ProfileResult { profile, score, threshold, raw, counts: Counts { tp, fp, fn_, tn } } = result;
            let score = optional(*score, 2);
            writeln!(
                f,
                "{profile:<20} {score:>7} {threshold:>11.8} {raw:>9.3} {tp:>7} {fp:>7} {fn_:>7} {tn:>7}"
            )?;
        }
        writeln!(
            f,
            "\n{:<46} {:>7} {:>8} {:>7} {:>7} {:>7} {:>8}",
            "at the threshold of standard", "windows", "detected", "false", "raw", "VUS-PR", "point F1"
        )?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, results: &Results| {
            let Results { windows, detected, false_positives, raw, vus_pr, point_f1 } = results;
            let (vus_pr, point_f1) = (optional(*vus_pr, 3), optional(*point_f1, 3));
            writeln!(
                f,
                "{name:<46} {windows:>7} {detected:>8} {false_positives:>7} {:>7.2} {vus_pr:>7} {point_f1:>8}",
                raw[0]
            )
        };
        let mut files = self.files.iter();
        for group in &self.groups {
            row(f, &group.group, &group.results)?;
            for file in files.by_ref().take(group.files) {
                let name = file.file.rsplit('/').next().unwrap_or_default();
                row(f, &format!("  {}", name.trim_end_matches(".csv")), &file.results)?;
            }
        }
        row(f, "all", &Results::sum(self.files.iter().map(|file| &file.results)))
    }
}

fn optional(value: Option<f64>, decimals: usize) -> String {
    value.map_or("-".into(), |value| format!("{value:.decimals$}"))
}
