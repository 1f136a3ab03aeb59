//! A series of one's own, as its page needs it.

use glassbox_engine::text::excerpt;
use glassbox_engine::training::Fitted;
use glassbox_pipeline::detector::Detector;
use glassbox_pipeline::inside::SeriesInside;
use glassbox_pipeline::results::Run;
use glassbox_pipeline::rows::RowDetection;
use glassbox_pipeline::series::{Columns, Loaded, Period};
use glassbox_pipeline::training::TrainOptions;

/// The most columns that are drawn.
const MOST_COLUMNS: usize = 12;

/// The verdicts of a detector on a series of one's own, and what the page shows beside them.
#[derive(Debug, Clone, Copy)]
pub struct Findings<'a> {
    /// The detector.
    pub detector: &'a Detector,
    /// The series, and the rows that were left out of it.
    pub loaded: &'a Loaded,
    /// The names of its columns.
    pub columns: &'a Columns,
    /// The verdicts.
    pub detection: &'a RowDetection,
    /// The internals of the detector on it.
    pub inside: &'a SeriesInside,
    /// The training, if this is the series that the detector was trained on.
    pub training: Option<Training<'a>>,
}

/// The training of a detector.
#[derive(Debug, Clone, Copy)]
pub struct Training<'a> {
    /// The options.
    pub options: &'a TrainOptions,
    /// The losses, and how training ended.
    pub fitted: &'a Fitted,
    /// The errors of the training windows, in standard deviations of the training series.
    pub errors: &'a [f64],
    /// The period of the training series, if it has one.
    pub period: Option<Period>,
}

impl Findings<'_> {
    /// The name of a column for people: cut, and without characters that are invisible.
    pub(crate) fn column(&self, column: usize) -> String {
        excerpt(&self.columns.values[column]).to_string()
    }

    /// The unit of a column for people, if it has one.
    pub(crate) fn unit(&self, column: usize) -> Option<String> {
        let unit = self.detector.units.get(column).filter(|unit| !unit.is_empty())?;
        Some(excerpt(unit).to_string())
    }

    /// The columns that are drawn, ascending: all or, of many, those with the largest part in `runs`.
    pub(crate) fn drawn_columns(&self, runs: &[Run]) -> Vec<usize> {
        let part = |column: usize| runs.iter().map(|run| run.shares[column]).sum::<f64>();
        let mut columns: Vec<usize> = (0..self.columns.values.len()).collect();
        columns.sort_by(|a, b| part(*b).total_cmp(&part(*a)));
        columns.truncate(MOST_COLUMNS);
        columns.sort_unstable();
        columns
    }
}
