//! The page: its data, and the templates that render it.

mod data;
mod functions;
mod inside;
mod study;

use std::borrow::Borrow;
use std::collections::HashMap;

use askama::Template;
use glassbox_pipeline::detection::{PointRule, show_indices};
use glassbox_pipeline::results::{Point, RunResult, SeriesInfo};
use glassbox_pipeline::series::Series;
use glassbox_pipeline::tutorial::HEAD;
use jiff::SignedDuration;
use serde::Serialize;
use serde_json::Value as Json;

use crate::ReportError;
use crate::folder::Folder;
use crate::truth::Truth;
use functions::{FUNCTIONS, Function, function};
use glassbox_figures::Figure;
use glassbox_figures::theme;
use inside::InsideView;
use study::StudyView;

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
pub(crate) fn html(folder: &Folder, drawn: &[(&Figure, String)]) -> Result<String, ReportError> {
    let inside = folder.inside.as_ref().map(|inside| InsideView::of(folder, inside));
    let page = Page {
        result: &folder.result,
        train_head: folder.train.head(HEAD),
        test_head: folder.test.head(HEAD),
        summary: folder.detector.model.summary().to_string(),
        architecture: pretty(&folder.detector.model.to_json()),
        truth: Truth::of(folder),
        figures: drawn.iter().map(|(figure, svg)| (figure.id.as_str(), (*figure, svg.as_str()))).collect(),
        inside,
        study: folder.study.as_ref().map(StudyView::of),
        style: theme::css() + STYLE,
        script: format!("/*\n{LICENCE}*/\n{LIBRARY}\n{{\n\"use strict\";\n{}}}\n", SCRIPT.concat()),
        data: data::json(folder, drawn).map_err(|error| ReportError::Page(error.to_string()))?,
        folder,
    };
    page.render().map_err(|error| ReportError::Page(error.to_string()))
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    folder: &'a Folder,
    result: &'a RunResult,
    train_head: String,
    test_head: String,
    summary: String,
    architecture: String,
    truth: Option<Truth>,
    figures: HashMap<&'a str, (&'a Figure, &'a str)>,
    inside: Option<InsideView>,
    study: Option<StudyView<'a>>,
    style: String,
    script: String,
    data: String,
}

impl Page<'_> {
    /// A plot: its title, the picture, and the element where the script places the interactive plot.
    fn figure(&self, id: &str) -> String {
        let Some((figure, svg)) = self.figures.get(id) else { return String::new() };
        let picture = theme::with_properties(svg).replacen(
            "<svg ",
            &format!("<svg role=\"img\" aria-label=\"{}\" ", escape(&figure.alt)),
            1,
        );
        format!(
            "<figure class=\"plot\" data-figure=\"{id}\" id=\"plot-{id}\"><figcaption>{}</figcaption>\
             <div class=\"still\">{picture}</div></figure>",
            escape(&figure.title)
        )
    }

    fn fixed(&self, value: impl Borrow<f64>, digits: usize) -> String {
        fixed(*value.borrow(), digits)
    }

    fn percent(&self, part: impl Borrow<f64>) -> String {
        format!("{:.1} %", 100.0 * part.borrow())
    }

    /// The name of a value in `result.json`.
    fn named(&self, value: impl Serialize) -> String {
        serde_json::to_value(value).ok().as_ref().and_then(Json::as_str).unwrap_or_default().into()
    }

    fn keras(&self, key: &str) -> &'static Function {
        function(key)
    }

    fn functions(&self) -> &'static [Function] {
        FUNCTIONS
    }

    /// A sentence on early stopping.
    fn ending(&self) -> String {
        let training = &self.result.training;
        let patience = self.result.config.train.fit.early_stopping.as_ref().map_or(0, |early| early.patience);
        match training.stopped_epoch {
            Some(epoch) => format!(
                "Early stopping ended training after epoch {}: the validation loss had not improved on its best for \
                 {patience} epochs.",
                epoch + 1
            ),
            None => format!("It used all {} epochs.", training.epochs),
        }
    }

    fn last_loss(&self) -> String {
        last(&self.result.training.history.loss)
    }

    fn last_val_loss(&self) -> String {
        last(&self.result.training.history.val_loss)
    }

    fn best_epoch(&self) -> usize {
        let losses = &self.result.training.history.val_loss;
        (0..losses.len()).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).map_or(0, |epoch| epoch + 1)
    }

    /// Epochs whose validation loss is below their training loss.
    fn epochs_below(&self) -> usize {
        let history = &self.result.training.history;
        history.val_loss.iter().zip(&history.loss).filter(|(val_loss, loss)| val_loss < loss).count()
    }

    /// The first anomalous point and the last.
    fn ends(&self) -> Option<(&Point, &Point)> {
        let points = &self.result.anomalies.points;
        points.first.as_ref().zip(points.last.as_ref())
    }

    fn series(&self) -> [&SeriesInfo; 2] {
        [&self.result.data.train, &self.result.data.test]
    }

    fn windows_shown(&self) -> String {
        show_indices(&self.result.anomalies.windows.indices)
    }

    fn points_shown(&self) -> String {
        show_indices(&self.result.anomalies.points.indices)
    }

    /// The mean error of the first training window.
    fn first_error(&self) -> String {
        let window = &self.folder.first_window;
        let pairs = window.values.iter().zip(&window.reconstruction);
        fixed(pairs.map(|(x, y)| (x - y).abs()).sum::<f64>() / window.values.len() as f64, 4)
    }

    fn source(&self) -> &'static str {
        match self.result.data.source.as_str() {
            "twin" => "the built-in synthetic copy of NAB's two files, generated from a seed",
            _ => "the two published files of the Numenta Anomaly Benchmark",
        }
    }

    /// A description of a user's own series.
    fn own(&self, series: &Series) -> String {
        let name = escape(series.name());
        let ends = (series.timestamp_text(0), series.timestamp_text(series.len() - 1));
        let spacing =
            regular_step(series).map_or(String::new(), |step| format!(", one every {}", span_text(step)));
        format!("<code>{name}</code> has {} rows{spacing}, from {} to {}", series.len(), ends.0, ends.1)
    }

    /// The duration of a window, if the rows of the training series are evenly spaced.
    fn window_span(&self) -> Option<String> {
        let steps = i32::try_from(self.result.config.time_steps).ok()?;
        regular_step(&self.folder.train)?.checked_mul(steps).map(span_text)
    }

    /// Time per epoch, the median.
    fn epoch_time(&self) -> String {
        let mut epochs = self.result.timings.epochs.clone();
        epochs.sort_by(f64::total_cmp);
        epochs.get(epochs.len() / 2).map_or("unknown".into(), |seconds| format!("{:.0} ms", 1e3 * seconds))
    }

    /// The cost of capturing the model's internals, as a share of the training time.
    fn inside_cost(&self) -> String {
        let timings = &self.result.timings;
        format!(
            "{:.2} s, {:.1} % of the {:.1} s",
            timings.inside,
            100.0 * timings.inside / timings.fit,
            timings.fit
        )
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

fn last(values: &[f64]) -> String {
    values.last().map_or("none".into(), |value| fixed(*value, 6))
}

/// A number with `digits` decimal places.
fn fixed(value: f64, digits: usize) -> String {
    format!("{value:.digits$}")
}

/// Text escaped for an attribute or an element.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
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
