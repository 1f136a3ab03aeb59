//! The ground truth of the test series, where it is known, and the score of the anomalous points against it.

use std::ops::Range;

use glassbox_pipeline::evaluation::{Score, true_anomaly};

use crate::folder::Folder;

/// The ground truth, and the score against it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Truth {
    /// The anomalous rows.
    pub(crate) rows: Range<usize>,
    /// The score of the anomalous points.
    pub(crate) score: Score,
    /// Minutes from the first of these rows to the first anomalous point among them.
    pub(crate) delay: Option<i64>,
}

impl Truth {
    pub(crate) fn of(folder: &Folder) -> Option<Self> {
        let rows = true_anomaly(&folder.result.data, &folder.test)?;
        let score = Score::of(&folder.result.anomalies.points.indices, &rows);
        let times = folder.test.timestamps();
        let minutes = |row: usize| times[row].duration_since(times[rows.start]).as_mins();
        Some(Self { delay: score.first_hit.map(minutes), rows, score })
    }
}
