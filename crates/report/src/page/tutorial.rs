//! The page of a run of the tutorial.

use std::ops::Range;

use askama::Template;
use glassbox_engine::losses::Loss;
use glassbox_engine::optimizers::{Adam, LearningRate, Optimizer};
use glassbox_figures::{Figure, theme};
use glassbox_lab::statistics::Spread;
use glassbox_lab::study::schema::{VariantSpread, Verdict};
use glassbox_pipeline::detection::{PointRule, show_indices};
use glassbox_pipeline::evaluation::Score;
use glassbox_pipeline::inside::{Inside, Observed};
use glassbox_pipeline::results::{RunResult, SeriesInfo};
use glassbox_pipeline::synthetic::Subset;
use glassbox_pipeline::tutorial::HEAD;
use serde::Serialize;
use serde_json::Value as Json;

use super::data::{Data, InsideData, WindowData};
use super::functions::{FUNCTIONS, function};
use super::inside::{self, Look, Still};
use super::{Frame, pretty, regular_step, span_text};
use crate::Results;
use crate::figures::{mean_error, worst_row, worst_window};

/// The sections with their titles.
const CONTENTS: [(&str, &str); 10] = [
    ("introduction", "Overview"),
    ("data", "The data"),
    ("prepare", "Normalise and cut windows"),
    ("model", "The model"),
    ("training", "Training"),
    ("threshold", "The threshold"),
    ("detect", "Find the anomaly"),
    ("inside", "Inside the autoencoder"),
    ("conclusion", "Conclusion"),
    ("functions", "Functions and versions"),
];

/// Renders the page of a run; `drawn` are its plots with their SVG.
pub(crate) fn html(results: &Results, drawn: &[(Figure, String)]) -> askama::Result<String> {
    let observed = results.inside.as_ref().map(|inside| look(results, inside));
    let data = Data {
        figures: drawn.iter().map(|(figure, _)| figure).collect(),
        linked: vec![],
        inside: observed.as_ref().map(|look| inside_data(results, look)),
    };
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
        frame: Frame::new(&results.result.versions.glassbox, CONTENTS.to_vec(), drawn, &data),
        tutorials_model: results.of_the_tutorials_model(),
        observed,
        results,
    };
    page.render()
}

/// The observed windows of a run. Without JavaScript the first training window and the one with the largest error are shown.
fn look<'a>(results: &'a Results, inside: &'a Inside) -> Look<'a> {
    let train = inside.windows.iter().find(|window| window.id.series == Subset::Train);
    let still = |title, plot| move |window| Still { title, plot, window };
    let train = train.map(still("The first training window", None));
    let worst =
        worst_window(inside).map(still("The test window with the largest error", Some("worst-window")));
    let stills = train.into_iter().chain(worst).collect();
    Look::new(&results.detector, &inside.windows, stills, results.train.sampling().step)
}

/// The observed windows for the script.
fn inside_data<'a>(results: &Results, look: &Look<'a>) -> InsideData<'a> {
    let threshold = results.result.threshold;
    let window = |window: &'a Observed| {
        let (series, name) = match window.id.series {
            Subset::Train => (&results.train, "train"),
            Subset::Test => (&results.test, "test"),
        };
        let anomalous = window.id.series == Subset::Test && mean_error(window) > threshold;
        let verdict = if anomalous { "anomalous" } else { "normal" };
        WindowData::new(format!("{name} window"), series, window, look, verdict.into())
    };
    InsideData::new(look, threshold, vec![String::new()], look.windows.iter().map(window).collect())
}

#[derive(Template)]
#[template(path = "tutorial.html")]
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
    /// The observed windows, if the run captured them.
    observed: Option<Look<'a>>,
    frame: Frame<'a>,
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

/// The row of the test series with the largest reconstruction error.
struct Worst {
    row: usize,
    error: f32,
    reconstruction: f64,
    /// The median error of all rows.
    typical: f32,
}

impl Results {
    /// The duration of so many rows of the training series; 0 if they are not evenly spaced.
    fn minutes(&self, rows: usize) -> usize {
        rows * self.train.sampling().step.map_or(0, |step| step.as_mins() as usize)
    }

    fn worst(&self, inside: &Inside) -> Worst {
        let errors = &inside.rows.error;
        let row = worst_row(errors);
        let mut sorted = errors.clone();
        sorted.sort_by(f32::total_cmp);
        let (mean, std) = (self.result.training.mean, self.result.training.std);
        Worst {
            row,
            error: errors[row],
            reconstruction: f64::from(inside.rows.reconstruction[row]) * std + mean,
            typical: sorted[sorted.len() / 2],
        }
    }
}
