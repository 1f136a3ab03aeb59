//! The plots of a series of one's own.

use std::collections::BTreeSet;
use std::ops::Range;

use glassbox_figures::{Axis, Figure, Mark, Role, Span};
use glassbox_pipeline::results::Run;
use glassbox_pipeline::rows::{Judged, Reason, Verdict};
use glassbox_pipeline::series::Series;
use glassbox_pipeline::statistics::Summary;
use glassbox_pipeline::words::counted;

use super::inside::{window, worst_channel};
use super::tutorial::{histogram, losses};
use super::{mean_error, seconds, times};
use crate::own::Findings;

/// The beginning of the ids of the plots of columns.
pub(crate) const COLUMN: &str = "column-";
/// The id of the plot of scores.
pub(crate) const SCORES: &str = "scores";
/// The most points of all curves over the rows of a series together, if no more are near anomalies.
const MOST_POINTS: usize = 40_000;
/// The least number of rows that are drawn.
const FEWEST_ROWS: usize = 1000;
/// The places at which the fraction of scores above is computed.
const TAIL_POINTS: usize = 200;

/// The plots of a series, in the order of its page.
pub(crate) fn figures(findings: &Findings<'_>, runs: &[Run]) -> Vec<Figure> {
    let columns = findings.drawn_columns(runs);
    let points = Points::of(findings, runs, &columns);
    let spans = unjudged(findings, &points);
    let mut figures: Vec<Figure> =
        columns.iter().map(|column| series(findings, *column, &points).spans(spans.clone())).collect();
    figures.push(scores(findings, &points).spans(spans));
    figures.extend(tail(findings));
    if let Some(training) = &findings.training {
        figures.push(losses(&training.fitted.history, training.options.loss));
        let (summary, threshold) = (Summary::of(training.errors), findings.detector.threshold.value());
        figures.extend(histogram("train-mae", "Errors of the training windows", summary.as_ref(), threshold));
    }
    let windows = &findings.inside.windows;
    figures.extend(windows.iter().max_by(|a, b| mean_error(a).total_cmp(&mean_error(b))).map(|worst| {
        let column = match findings.columns.values.len() {
            1 => String::new(),
            columns => findings.column(worst_channel(worst, columns)),
        };
        window(&findings.loaded.series, &column, worst)
    }));
    figures
}

/// The rows that are drawn, and breaks at gaps.
pub(crate) struct Points {
    axis: Axis,
    x: Vec<f64>,
    /// The row at each x; `None` in a gap.
    rows: Vec<Option<usize>>,
    /// The x of all rows of the series.
    all: Vec<f64>,
    /// The last row before each gap.
    gaps: Vec<usize>,
}

impl Points {
    fn of(findings: &Findings<'_>, runs: &[Run], columns: &[usize]) -> Self {
        let series = &findings.loaded.series;
        let scores: Vec<f64> =
            findings.detection.rows.iter().map(|row| row.score.unwrap_or_default()).collect();
        let mut signals: Vec<&[f64]> = columns.iter().map(|column| &series.columns()[*column][..]).collect();
        signals.push(&scores);
        // A column has its values, their reconstruction and its anomalous rows.
        let most = (MOST_POINTS / (3 * signals.len())).max(FEWEST_ROWS);
        let drawn = drawn_rows(&signals, runs, findings.detection.time_steps, most);
        let (axis, all) = times(series, 0..series.len());
        let stretches = series.sampling().step.map(|step| series.stretches(step)).unwrap_or_default();
        let gaps: Vec<usize> = stretches.iter().skip(1).map(|stretch| stretch.start - 1).collect();
        let (mut x, mut rows) = (vec![], vec![]);
        let before = |row: usize| gaps.partition_point(|gap| *gap < row);
        for (place, row) in drawn.iter().enumerate() {
            x.push(all[*row]);
            rows.push(Some(*row));
            if let Some(next) = drawn.get(place + 1).filter(|next| before(**next) > before(*row)) {
                x.push(f64::midpoint(all[*row], all[*next]));
                rows.push(None);
            }
        }
        Self { axis, x, rows, all, gaps }
    }

    fn values(&self, of: impl Fn(usize) -> Option<f64>) -> Vec<Option<f64>> {
        self.rows.iter().map(|row| row.and_then(&of)).collect()
    }
}

/// The rows to draw: all if they are at most `most`; else the rows of each run and up to a window around it, the worst runs
/// first, until these are `most`, and of equal parts of the rest those with the least and the largest value of each signal.
fn drawn_rows(signals: &[&[f64]], runs: &[Run], around: usize, most: usize) -> Vec<usize> {
    let len = signals[0].len();
    if len <= most {
        return (0..len).collect();
    }
    let mut rows = BTreeSet::from([0, len - 1]);
    let mut worst: Vec<&Run> = runs.iter().collect();
    worst.sort_by(|a, b| b.score.total_cmp(&a.score));
    for run in worst {
        let near = run.rows.start.saturating_sub(around)..(run.rows.end + around).min(len);
        if rows.len() + near.len() <= most {
            rows.extend(near);
        }
    }
    let part = (2 * signals.len() * len).div_ceil(most);
    for start in (0..len).step_by(part) {
        for signal in signals {
            let of = |a: &usize, b: &usize| signal[*a].total_cmp(&signal[*b]);
            let part = start..(start + part).min(len);
            rows.extend(part.clone().min_by(of));
            rows.extend(part.max_by(of));
        }
    }
    rows.into_iter().collect()
}

fn is_anomalous(row: &Judged) -> bool {
    matches!(row.verdict, Verdict::Anomalous(_))
}

fn series(findings: &Findings<'_>, column: usize, points: &Points) -> Figure {
    let (series, detection) = (&findings.loaded.series, findings.detection);
    let (values, name) = (&series.columns()[column], findings.column(column));
    let count = detection.rows.iter().filter(|row| is_anomalous(row)).count();
    let red = points.values(|row| is_anomalous(&detection.rows[row]).then_some(values[row]));
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let unit = findings.unit(column).unwrap_or_else(|| "value".into());
    Figure::new(
        format!("{COLUMN}{column}"),
        name.clone(),
        points.axis.clone(),
        Axis::linear(unit),
        points.x.clone(),
    )
    .curve(name.clone(), Role::Series, Mark::Line, points.values(|row| Some(values[row])))
    .curve(
        "mean reconstruction",
        Role::Model,
        Mark::Line,
        points.values(|row| findings.inside.reconstruction[column][row]),
    )
    .curve(counted(count, "anomalous row", "anomalous rows"), Role::Anomaly, Mark::Line, red)
    .alt(format!(
        "Line of {name} over {} from {} to {}, between {low} and {high}, with its reconstruction; {} in red.",
        counted(series.len(), "row", "rows"),
        series.timestamp_text(0),
        series.timestamp_text(series.len() - 1),
        counted(count, "anomalous row is", "anomalous rows are")
    ))
}

fn scores(findings: &Findings<'_>, points: &Points) -> Figure {
    let rows = &findings.detection.rows;
    // On a logarithmic axis, 0 has no place.
    let positive = |score: Option<f64>| score.filter(|score| *score > 0.0);
    let red = |row: usize| positive(rows[row].score).filter(|_| is_anomalous(&rows[row]));
    let above = rows.iter().filter(|row| row.live.is_some_and(|live| live > 1.0)).count();
    let score = Axis::log("score");
    Figure::new(SCORES, "Score of each row; above 1 it is anomalous", points.axis.clone(), score, points.x.clone())
        .curve("live score", Role::Aside, Mark::Line, points.values(|row| positive(rows[row].live)))
        .curve("score", Role::Series, Mark::Line, points.values(|row| positive(rows[row].score)))
        .curve("above the threshold", Role::Anomaly, Mark::Line, points.values(red))
        .rule(false, 1.0, "threshold")
        .alt(format!(
            "The settled and the live score of each row over time, on a logarithmic axis; the settled score of {} is above \
             the threshold of 1, the live score of {above}.",
            rows.iter().filter(|row| is_anomalous(row)).count()
        ))
}

/// For each score, the fraction of rows with a larger one.
fn tail(findings: &Findings<'_>) -> Option<Figure> {
    let alarm = &findings.detection.alarm;
    let training = findings.detector.calibration.as_ref()?.settled();
    // Ascending, and relative to the threshold.
    let stored: Vec<f64> = training.largest().iter().rev().map(|score| score / alarm.settled).collect();
    let mut found: Vec<f64> = findings.detection.rows.iter().filter_map(|row| row.score).collect();
    found.sort_by(f64::total_cmp);
    let low = stored.first()?.max(1e-3);
    let high = stored.iter().chain(&found).copied().fold(1.0, f64::max).max(1.1 * low);
    let place = |i: usize| low * (high / low).powf(i as f64 / (TAIL_POINTS - 1) as f64);
    let x: Vec<f64> = (0..TAIL_POINTS).map(place).collect();
    let above = |sorted: &[f64], count: usize| -> Vec<Option<f64>> {
        let above = |score: &f64| sorted.len() - sorted.partition_point(|other| other <= score);
        x.iter().map(above).map(|n| (n > 0).then(|| n as f64 / count as f64)).collect()
    };
    let (of_training, of_series) = (above(&stored, training.count()), above(&found, found.len()));
    let figure = Figure::new(
        "tail",
        "The fraction of rows above each score",
        Axis::log("score"),
        Axis::log("fraction of rows"),
        x,
    )
    .curve("training", Role::Series, Mark::Line, of_training)
    .rule(true, 1.0, "threshold");
    let figure = match findings.training {
        Some(_) => figure,
        None => figure.curve("this series", Role::Anomaly, Mark::Line, of_series),
    };
    Some(figure.alt(format!(
        "For each score, the fraction of rows with a larger one, on logarithmic axes: of {} training rows, and of {} rows of \
         this series. The threshold is at 1.",
        training.count(),
        findings.detection.rows.iter().filter(|row| row.score.is_some()).count()
    )))
}

/// The times of rows that are not judged, and of gaps.
fn unjudged(findings: &Findings<'_>, points: &Points) -> Vec<Span> {
    let Some((first, last)) = points.all.first().zip(points.all.last()) else { return vec![] };
    let series = &findings.loaded.series;
    let is_time = points.axis == Axis::time();
    let half = match series.sampling().step.filter(|_| is_time) {
        Some(step) => step.as_secs_f64() / 2.0,
        None => 0.5,
    };
    let mut found: Vec<(f64, f64, &str)> = vec![];
    for (row, judged) in findings.detection.rows.iter().enumerate() {
        if let Verdict::Unjudged(reason) = judged.verdict {
            found.push((points.all[row] - half, points.all[row] + half, reason.text()));
        }
    }
    // Rows that were left out for their timestamp have no place of their own.
    let missing = findings.loaded.skipped.iter().filter(|row| is_time && row.reason == Reason::MissingValue);
    found.extend(missing.map(|row| {
        let at = seconds(row.timestamp);
        (at - half, at + half, row.reason.text())
    }));
    let between = points.gaps.iter().filter(|_| is_time);
    found.extend(between.map(|row| (points.all[*row] + half, points.all[row + 1] - half, "gap")));
    found.sort_by(|a, b| a.2.cmp(b.2).then(a.0.total_cmp(&b.0)));
    // What is less than a pixel apart is one.
    let pixel = (last - first) / 500.0;
    let mut spans: Vec<Span> = vec![];
    for (from, to, label) in found {
        match spans.last_mut().filter(|span| span.label == label && from - span.to <= pixel) {
            Some(span) => span.to = span.to.max(to),
            None => spans.push(Span { from, to, label: label.into(), role: Role::Aside }),
        }
    }
    spans
}

/// The part of the x axis that shows a run and a half window on both sides.
pub(crate) fn around(series: &Series, run: &Run, steps: usize) -> Range<f64> {
    let first = run.rows.start.saturating_sub(steps / 2);
    let end = (run.rows.end + steps / 2).min(series.len());
    let x = times(series, first..end).1;
    x[0]..x[x.len() - 1]
}

#[cfg(test)]
mod tests {
    use glassbox_pipeline::rows::Cause;

    use super::*;

    #[test]
    fn of_a_long_series_extremes_and_anomalies_are_drawn() {
        let mut values: Vec<f64> = (0..100_000).map(|row| f64::from(row % 100)).collect();
        values[70_000] = -5.0;
        let scores = vec![0.5; values.len()];
        let run = |rows: Range<usize>, score: f64| Run {
            peak: rows.start,
            anomalous: rows.len(),
            rows,
            score,
            cause: Cause::Steps,
            shares: vec![1.0],
        };
        let runs = [run(500..510, 2.0), run(40_000..40_100, 3.0), run(60_000..90_000, 1.5)];
        let drawn = drawn_rows(&[&values, &scores], &runs, 50, 2000);
        assert!(drawn.is_sorted() && drawn.len() <= 2 * 2000, "{}", drawn.len());
        assert_eq!((drawn[0], drawn[drawn.len() - 1]), (0, 99_999));
        // All rows near the runs that fit, and the lowest value of all in one that does not.
        assert!((450..560).chain(39_950..40_150).all(|row| drawn.contains(&row)));
        assert!(drawn.contains(&70_000) && !drawn.contains(&70_001));
        assert_eq!(drawn_rows(&[&values[..2000]], &[], 50, 2000), (0..2000).collect::<Vec<_>>());
    }
}
