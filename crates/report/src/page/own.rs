//! The page of a series of one's own.

use askama::Template;
use glassbox_engine::text::excerpt;
use glassbox_figures::{Figure, theme};
use glassbox_pipeline::detector::Detector;
use glassbox_pipeline::inside::Observed;
use glassbox_pipeline::results::{Counts, RowVerdicts, Run, Versions};
use glassbox_pipeline::rows::{Alarm, Cause, ThresholdRule, Verdict};
use glassbox_pipeline::scaler::Scaler;
use glassbox_pipeline::series::Series;
use glassbox_pipeline::words::counted;

use super::data::{Data, InsideData, WindowData};
use super::inside::{Look, Still};
use super::{Frame, pretty, span_text};
use crate::figures::{COLUMN, SCORES, around, mean_error};
use crate::own::{Findings, Training};

/// The most runs of anomalous rows that are listed.
const MOST_RUNS: usize = 200;

/// Renders the page of a series; `runs` are those of its anomalous rows, `drawn` its plots with their SVG.
pub(crate) fn html(
    findings: &Findings<'_>,
    runs: &[Run],
    drawn: &[(Figure, String)],
) -> askama::Result<String> {
    let Findings { detector, loaded, columns, detection, inside, training } = *findings;
    let worst = inside.windows.iter().max_by(|a, b| mean_error(a).total_cmp(&mean_error(b)));
    let still =
        |window| Still { title: "The window with the largest error", plot: Some("worst-window"), window };
    let stills = worst.map(still).into_iter().collect();
    let look = Look::new(detector, &inside.windows, stills, loaded.series.sampling().step);
    let ids = || drawn.iter().map(|(figure, _)| figure.id.as_str());
    let of_column = |id: &&str| id.starts_with(COLUMN);
    let data = Data {
        figures: drawn.iter().map(|(figure, _)| figure).collect(),
        linked: ids().filter(|id| of_column(id) || *id == SCORES).collect(),
        inside: (!inside.windows.is_empty()).then(|| inside_data(findings, &look)),
    };
    let contents = [
        ("training", "Training", training.is_some()),
        ("anomalies", "Anomalies", training.is_none()),
        ("series", "The series", true),
        ("scores", "Scores", true),
        ("threshold", "The threshold", true),
        ("inside", "Inside the autoencoder", true),
        ("model", "The model", true),
    ];
    let contents =
        contents.into_iter().filter(|(.., there)| *there).map(|(id, title, _)| (id, title)).collect();
    let version = Versions::current().glassbox;
    let page = Page {
        series: &loaded.series,
        name: excerpt(loaded.series.name()).to_string(),
        counts: RowVerdicts { loaded, columns, units: &detector.units, detection, only_anomalies: false }
            .counts(),
        unjudged: unjudged(findings),
        runs: listed(findings, runs),
        found: runs.len(),
        warnings: warnings(findings),
        column_plots: ids().filter(of_column).collect(),
        drawn_rows: drawn.first().map_or(0, |(figure, _)| figure.x.len()),
        detector,
        alarm: &detection.alarm,
        training,
        summary: detector.model.summary().to_string(),
        architecture: pretty(&detector.model.to_json()),
        frame: Frame::new(&version, contents, drawn, &data),
        look,
        findings,
    };
    page.render()
}

#[derive(Template)]
#[template(path = "own.html")]
struct Page<'a> {
    findings: &'a Findings<'a>,
    series: &'a Series,
    /// Its name for people.
    name: String,
    detector: &'a Detector,
    alarm: &'a Alarm,
    training: Option<Training<'a>>,
    counts: Counts,
    unjudged: Vec<Unjudged>,
    /// The runs that are listed, in the order of time.
    runs: Vec<Listed<'a>>,
    /// Number of all runs.
    found: usize,
    warnings: Vec<String>,
    /// The ids of the plots of columns.
    column_plots: Vec<&'a str>,
    /// Number of points of a curve.
    drawn_rows: usize,
    look: Look<'a>,
    summary: String,
    architecture: String,
    frame: Frame<'a>,
}

impl Page<'_> {
    /// Rows of the file.
    fn rows(&self) -> usize {
        let Counts { anomalous, normal, unjudged } = self.counts;
        anomalous + normal + unjudged
    }

    fn step(&self) -> String {
        self.series.sampling().step.map_or("none".into(), span_text)
    }

    /// The name of each column of the series, its unit, and its moments in training.
    fn columns(&self) -> Vec<(String, String, &Scaler)> {
        let of = |(column, scaler)| {
            (self.findings.column(column), self.findings.unit(column).unwrap_or_default(), scaler)
        };
        self.detector.scalers.iter().enumerate().map(of).collect()
    }

    /// The run with the largest score.
    fn worst(&self) -> Option<&Listed<'_>> {
        self.runs.iter().max_by(|a, b| a.run.score.total_cmp(&b.run.score))
    }
}

/// A run of anomalous rows in the list.
struct Listed<'a> {
    run: &'a Run,
    from: String,
    to: String,
    peak: String,
    /// Each column and its part in percent, if there are several.
    shares: Vec<(String, f64)>,
    /// The part of the x axis that shows it.
    x: std::ops::Range<f64>,
    /// The index of the window for the slider with the largest error among those that hold its peak.
    window: Option<usize>,
}

/// The runs with the largest scores, in the order of time.
fn listed<'a>(findings: &Findings<'_>, runs: &'a [Run]) -> Vec<Listed<'a>> {
    let (series, steps) = (&findings.loaded.series, findings.detection.time_steps);
    let mut worst: Vec<&Run> = runs.iter().collect();
    worst.sort_by(|a, b| b.score.total_cmp(&a.score));
    worst.truncate(MOST_RUNS);
    worst.sort_by_key(|run| run.rows.start);
    let list = |run: &'a Run| {
        let windows = findings.inside.windows.iter().enumerate();
        let holding =
            windows.filter(|(_, window)| (window.id.window..window.id.window + steps).contains(&run.peak));
        let shares = run.shares.iter().enumerate();
        let mut shares: Vec<(String, f64)> =
            shares.map(|(column, share)| (findings.column(column), 100.0 * share)).collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares.truncate(if shares.len() == 1 { 0 } else { 3 });
        Listed {
            run,
            from: series.timestamp_text(run.rows.start),
            to: series.timestamp_text(run.rows.end - 1),
            peak: series.timestamp_text(run.peak),
            shares,
            x: around(series, run, steps),
            window: holding
                .max_by(|a, b| mean_error(a.1).total_cmp(&mean_error(b.1)))
                .map(|(index, _)| index),
        }
    };
    worst.into_iter().map(list).collect()
}

/// Rows that are not judged for one reason.
struct Unjudged {
    reason: &'static str,
    rows: usize,
    first: String,
}

fn unjudged(findings: &Findings<'_>) -> Vec<Unjudged> {
    let series = &findings.loaded.series;
    let of_series =
        findings.detection.rows.iter().enumerate().filter_map(|(row, judged)| match judged.verdict {
            Verdict::Unjudged(reason) => Some((reason, series.timestamps()[row])),
            _ => None,
        });
    let left_out = findings.loaded.skipped.iter().map(|row| (row.reason, row.timestamp));
    let mut all: Vec<Unjudged> = vec![];
    for (reason, at) in of_series.chain(left_out) {
        match all.iter_mut().find(|group| group.reason == reason.text()) {
            Some(group) => group.rows += 1,
            None => all.push(Unjudged { reason: reason.text(), rows: 1, first: series.show_time(at) }),
        }
    }
    all
}

/// Warnings about the data and the threshold, in sentences.
fn warnings(findings: &Findings<'_>) -> Vec<String> {
    let Findings { detector, loaded, detection, training, .. } = *findings;
    let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    warnings.extend(loaded.extreme.iter().filter(|_| training.is_some()).map(ToString::to_string));
    warnings.extend(detection.alarm.warning());
    for column in 0..detector.scalers.len() {
        if detector.calibration.as_ref().is_some_and(|calibration| !calibration.finds_flat_lines(column)) {
            warnings.push(format!("flat lines are not looked for in column {}", findings.column(column)));
        }
    }
    warnings
}

/// The observed windows for the script.
fn inside_data<'a>(findings: &Findings<'a>, look: &Look<'a>) -> InsideData<'a> {
    let Findings { detector, loaded, detection, .. } = *findings;
    let window = |window: &'a Observed| {
        let first = window.id.window;
        let rows = &detection.rows[first..first + look.steps()];
        let verdict = match rows.iter().filter(|row| matches!(row.verdict, Verdict::Anomalous(_))).count() {
            0 => "normal".into(),
            rows => counted(rows, "row is anomalous", "rows are anomalous"),
        };
        WindowData::new("window".into(), &loaded.series, window, look, verdict)
    };
    let columns = (0..detector.scalers.len()).map(|column| findings.column(column)).collect();
    let threshold = detector.threshold.value() * detection.alarm.settled;
    InsideData::new(look, threshold, columns, look.windows.iter().map(window).collect())
}

/// The term of a score in words.
fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Steps => "steps: the rows themselves",
        Cause::Window => "window: whole windows",
        Cause::Still => "still: values that hardly change",
    }
}
