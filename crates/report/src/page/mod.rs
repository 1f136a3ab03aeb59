//! The pages: their data, and the templates that render them.
//!
//! Both pages, of a run of the tutorial and of a series of one's own, have one frame (`templates/base.html`) with one style
//! and one script, and share what shows the internals of the model (`templates/parts`).

mod data;
mod functions;
mod inside;
mod own;
mod tutorial;

use std::collections::HashMap;

use glassbox_figures::{Figure, theme};
use glassbox_pipeline::series::Series;
use jiff::SignedDuration;

pub(crate) use own::html as own_html;
pub(crate) use tutorial::html;

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

/// The parts that every page has.
struct Frame<'a> {
    /// The version of glassbox.
    version: String,
    /// The ids of the sections with their titles.
    contents: Vec<(&'static str, &'static str)>,
    /// The plots with their SVG, by their ids.
    figures: HashMap<&'a str, (&'a Figure, &'a str)>,
    style: String,
    script: String,
    /// The data of the script.
    data: String,
}

impl<'a> Frame<'a> {
    fn new(
        version: &str,
        contents: Vec<(&'static str, &'static str)>,
        drawn: &'a [(Figure, String)],
        data: &data::Data<'_>,
    ) -> Self {
        Self {
            version: version.into(),
            contents,
            figures: drawn.iter().map(|(figure, svg)| (figure.id.as_str(), (figure, svg.as_str()))).collect(),
            style: theme::css() + STYLE,
            script: format!("/*\n{LICENCE}*/\n{LIBRARY}\n{{\n\"use strict\";\n{}}}\n", SCRIPT.concat()),
            data: data.json(),
        }
    }

    /// A plot with its SVG, if the page has it.
    fn figure(&self, id: &str) -> Option<(&'a Figure, &'a str)> {
        self.figures.get(id).copied()
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

/// JSON with indentation.
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
