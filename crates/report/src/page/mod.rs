//! The page: its data, and the templates that render it.

mod data;
mod functions;
mod inside;

use std::collections::HashMap;
use std::ops::Range;

use askama::Template;
use glassbox_engine::losses::Loss;
use glassbox_engine::optimizers::{Adam, LearningRate, Optimizer};
use glassbox_lab::statistics::Spread;
use glassbox_lab::study::schema::{VariantSpread, Verdict};
use glassbox_pipeline::detection::{PointRule, show_indices};
use glassbox_pipeline::evaluation::Score;
use glassbox_pipeline::results::{RunResult, SeriesInfo};
use glassbox_pipeline::series::Series;
use glassbox_pipeline::tutorial::HEAD;
use jiff::SignedDuration;
use serde::Serialize;
use serde_json::Value as Json;

use crate::Results;
use functions::{FUNCTIONS, function};
use glassbox_figures::Figure;
use glassbox_figures::theme;

/// The style, without the colours.
const STYLE: &str =
    concat!(include_str!("../../assets/vendor/uPlot.min.css"), include_str!("../../assets/page.css"));
/// The library that draws the script's plots, as published.
const LIBRARY: &str = include_str!("../../assets/vendor/uPlot.iife.min.js");
/// Its licence, embedded with it.
const LICENCE: &str = include_str!("../../assets/vendor/uPlot-LICENSE");
/// The parts of the script; each uses those before it.
const SCRIPT: [&str; 4] = [
    include_str!("../../assets/chart.js"),
    include_str!("../../assets/heatmap.js"),
    include_str!("../../assets/explorer.js"),
    include_str!("../../assets/page.js"),
];

/// Renders the page of a run; `drawn` are its plots with their SVG.
pub(crate) fn html(results: &Results, drawn: &[(&Figure, String)]) -> askama::Result<String> {
    let page = Page {
        result: &results.result,
        train_head: results.train.head(HEAD),
        test_head: results.test.head(HEAD),
        summary: results.detector.model.summary().to_string(),
        architecture: pretty(&results.detector.model.to_json()),
        truth: results.truth().map(|rows| {
            let score = Score::of(&results.result.anomalies.points.indices, &rows);
            (rows, score)
        }),
        figures: drawn.iter().map(|(figure, svg)| (figure.id.as_str(), (*figure, svg.as_str()))).collect(),
        style: theme::css() + STYLE,
        script: format!("/*\n{LICENCE}*/\n{LIBRARY}\n{{\n\"use strict\";\n{}}}\n", SCRIPT.concat()),
        data: data::json(results, drawn),
        tutorials_model: results.of_the_tutorials_model(),
        results,
    };
    page.render()
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    results: &'a Results,
    result: &'a RunResult,
    train_head: String,
    test_head: String,
    /// True if the model is the tutorial's, which the text describes.
    tutorials_model: bool,
    summary: String,
    architecture: String,
    /// The rows of the ground truth, and the score of the anomalous points against them.
    truth: Option<(Range<usize>, Score)>,
    figures: HashMap<&'a str, (&'a Figure, &'a str)>,
    style: String,
    script: String,
    data: String,
}

impl Page<'_> {
    fn best_epoch(&self) -> usize {
        let losses = &self.result.training.history.val_loss;
        (0..losses.len()).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).map_or(0, |epoch| epoch + 1)
    }

    /// The learning rate, if the optimiser is Adam as Keras has it by default but for a learning rate of its own.
    fn rate_of_adam(&self) -> Option<f64> {
        match &self.result.config.train.optimizer {
            Optimizer::Adam(adam) => match adam.learning_rate {
                LearningRate::Constant(rate) if *adam == Adam::new(rate) => Some(rate),
                _ => None,
            },
            _ => None,
        }
    }

    /// Epochs whose validation loss is below their training loss.
    fn epochs_below(&self) -> usize {
        let history = &self.result.training.history;
        history.val_loss.iter().zip(&history.loss).filter(|(val_loss, loss)| val_loss < loss).count()
    }

    /// Minutes from the first of the `rows` of the ground truth to the first anomalous point among them.
    fn delay(&self, rows: &Range<usize>, score: &Score) -> Option<i64> {
        let times = self.results.test.timestamps();
        score.first_hit.map(|row| times[row].duration_since(times[rows.start]).as_mins())
    }

    /// The name of a value in `result.json`.
    fn named(&self, value: impl Serialize) -> String {
        serde_json::to_value(value).ok().as_ref().and_then(Json::as_str).unwrap_or_default().into()
    }

    fn series(&self) -> [&SeriesInfo; 2] {
        [&self.result.data.train, &self.result.data.test]
    }

    /// The duration of a window, if the rows of the training series are evenly spaced.
    fn window_span(&self) -> Option<String> {
        let steps = i32::try_from(self.result.config.time_steps).ok()?;
        regular_step(&self.results.train)?.checked_mul(steps).map(span_text)
    }

    /// Time per epoch, the median.
    fn epoch_time(&self) -> String {
        let mut epochs = self.result.timings.epochs.clone();
        epochs.sort_by(f64::total_cmp);
        epochs.get(epochs.len() / 2).map_or("unknown".into(), |seconds| format!("{:.0} ms", 1e3 * seconds))
    }
}

/// The time from each row to the next, if it is always the same.
fn regular_step(series: &Series) -> Option<SignedDuration> {
    let sampling = series.sampling();
    sampling.step.filter(|_| sampling.regular == sampling.steps)
}

/// A time in the largest unit that it is a whole number of.
fn span_text(span: SignedDuration) -> String {
    let seconds = span.as_secs();
    let units = [("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)];
    let whole = |(_, unit): &(&str, i64)| span.subsec_nanos() == 0 && seconds >= *unit && seconds % unit == 0;
    match units.into_iter().find(whole) {
        Some((name, unit)) if seconds == unit => format!("1 {name}"),
        Some((name, unit)) => format!("{} {name}s", seconds / unit),
        None => format!("{} seconds", span.as_secs_f64()),
    }
}

/// The first and the last row.
fn ends(rows: &[Vec<f32>]) -> Option<(&[f32], &[f32])> {
    Some((rows.first()?, rows.last()?))
}

/// The numbers of a variant beside F1, each with the digits that are shown of it.
fn columns(spread: &VariantSpread) -> [(&Option<Spread>, usize); 7] {
    [
        (&spread.precision, 3),
        (&spread.recall, 3),
        (&spread.delay_minutes, 0),
        (&spread.live_delay_minutes, 0),
        (&spread.windows, 1),
        (&spread.false_windows, 1),
        (&spread.seconds, 1),
    ]
}

/// The class and the text of a verdict.
fn verdict(verdict: &Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Baseline => ("even", "baseline"),
        Verdict::Helps | Verdict::Hurts => (verdict.name(), verdict.name()),
        Verdict::Same | Verdict::Unclear => ("even", verdict.name()),
    }
}

fn pretty(json: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(json);
    value.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| json.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_largest_unit_that_fits() {
        for (seconds, text) in [
            (300, "5 minutes"),
            (60, "1 minute"),
            (90, "90 seconds"),
            (86_400, "1 day"),
            (7 * 3600, "7 hours"),
            (14 * 86_400, "2 weeks"),
        ] {
            assert_eq!(span_text(SignedDuration::from_secs(seconds)), text);
        }
        assert_eq!(span_text(SignedDuration::from_millis(1500)), "1.5 seconds");
    }
}
