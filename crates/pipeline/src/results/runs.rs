//! Anomalous rows in runs, as people count anomalies.

use std::ops::Range;

use crate::rows::{Cause, RowDetection, Verdict};

/// Rows of one run are at most this part of a window apart.
const APART: usize = 8;

/// A run of anomalous rows that are close together: at most an eighth of a window apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The rows from its first anomalous row to its last.
    pub rows: Range<usize>,
    /// Number of anomalous rows in it.
    pub anomalous: usize,
    /// The row with the largest score.
    pub peak: usize,
    /// Its score, relative to the threshold.
    pub score: f64,
    /// The term that makes up the scores of most of its anomalous rows.
    pub cause: Cause,
    /// The mean part of each column in the scores of the anomalous rows, from 0 to 1.
    pub shares: Vec<f64>,
}

impl RowDetection {
    /// The runs of anomalous rows, in their order.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<(Run, [usize; 3])> = vec![];
        for (row, judged) in self.rows.iter().enumerate() {
            let (Verdict::Anomalous(cause), Some(score)) = (judged.verdict, judged.score) else { continue };
            let close = |run: &Run| row - run.rows.end < (self.time_steps / APART).max(1);
            if !runs.last().is_some_and(|(run, _)| close(run)) {
                let shares = vec![0.0; judged.shares.len()];
                let run = Run { rows: row..row, anomalous: 0, peak: row, score, cause, shares };
                runs.push((run, [0; 3]));
            }
            let Some((run, causes)) = runs.last_mut() else { continue };
            run.rows.end = row + 1;
            run.anomalous += 1;
            run.shares.iter_mut().zip(&judged.shares).for_each(|(sum, share)| *sum += share);
            causes[cause as usize] += 1;
            if score > run.score {
                (run.peak, run.score) = (row, score);
            }
        }
        let finish = |(mut run, causes): (Run, [usize; 3])| {
            run.shares.iter_mut().for_each(|sum| *sum /= run.anomalous as f64);
            let all = [Cause::Steps, Cause::Window, Cause::Still];
            run.cause = all.into_iter().max_by_key(|cause| causes[*cause as usize]).unwrap_or(run.cause);
            run
        };
        runs.into_iter().map(finish).collect()
    }

    /// At most `most` rows with the largest scores, each at least a window away from the others; the largest first.
    #[must_use]
    pub fn peaks(&self, most: usize) -> Vec<usize> {
        let mut rows: Vec<usize> =
            (0..self.rows.len()).filter(|row| self.rows[*row].score.is_some()).collect();
        rows.sort_by(|a, b| {
            self.rows[*b].score.unwrap_or(0.0).total_cmp(&self.rows[*a].score.unwrap_or(0.0))
        });
        let mut peaks: Vec<usize> = vec![];
        for row in rows {
            if peaks.len() == most {
                break;
            }
            if peaks.iter().all(|peak| row.abs_diff(*peak) >= self.time_steps) {
                peaks.push(row);
            }
        }
        peaks
    }
}
