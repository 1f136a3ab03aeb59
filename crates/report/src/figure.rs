//! A plot as data: what is drawn as SVG, as PNG and by the page's script is this and nothing else.

use serde::Serialize;

/// What an axis counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Numbers.
    Linear,
    /// Numbers above 0, by their ratio.
    Log,
    /// Seconds since 1970-01-01 00:00 by the series' own clock.
    Time,
}

/// An axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Axis {
    /// What it counts.
    pub scale: Scale,
    /// Its title, with the unit.
    pub title: String,
}

/// What a curve is of; each has its colour, the same in every plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What was measured.
    Series,
    /// What the model makes of it, or what is held against it.
    Model,
    /// Anomalies, and the threshold that makes them.
    Anomaly,
    /// A layer with weights, by its place among them.
    Layer(u8),
}

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// A line; a gap where there is no value.
    Line,
    /// A bar from each `x` to the next.
    Bars,
}

/// Values at the `x` of a figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// What the legend calls it.
    pub name: String,
    /// What it is of.
    pub role: Role,
    /// How it is drawn.
    pub mark: Mark,
    /// A value for each `x`, where there is one.
    pub y: Vec<Option<f64>>,
}

/// A line across the plot, at a value of an axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    /// Whether the value is one of the x axis.
    pub vertical: bool,
    /// The value.
    pub at: f64,
    /// What it is.
    pub label: String,
}

/// An interval of the x axis that is shaded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Span {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// What it is.
    pub label: String,
}

/// A plot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// The name of its files, and of its place in the page.
    pub id: String,
    /// What stands above it.
    pub title: String,
    /// What a person who cannot see it is told instead.
    pub alt: String,
    /// Across.
    pub x_axis: Axis,
    /// Up.
    pub y_axis: Axis,
    /// Ascending.
    pub x: Vec<f64>,
    /// The end of the x axis, where the last bar ends.
    pub x_end: Option<f64>,
    /// What is drawn, from the back to the front.
    pub curves: Vec<Curve>,
    /// Lines across.
    pub rules: Vec<Rule>,
    /// Shaded intervals.
    pub spans: Vec<Span>,
}

impl Figure {
    /// A figure of nothing yet.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        title: impl Into<String>,
        x_axis: Axis,
        y_axis: Axis,
        x: Vec<f64>,
    ) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            alt: String::new(),
            x_axis,
            y_axis,
            x,
            x_end: None,
            curves: vec![],
            rules: vec![],
            spans: vec![],
        }
    }

    /// With words for a person who cannot see it.
    #[must_use]
    pub fn alt(mut self, alt: impl Into<String>) -> Self {
        self.alt = alt.into();
        self
    }

    /// With a line.
    #[must_use]
    pub fn line(self, name: impl Into<String>, role: Role, y: impl IntoIterator<Item = f64>) -> Self {
        self.curve(name, role, Mark::Line, y.into_iter().map(Some).collect())
    }

    /// With a curve.
    #[must_use]
    pub fn curve(mut self, name: impl Into<String>, role: Role, mark: Mark, y: Vec<Option<f64>>) -> Self {
        self.curves.push(Curve { name: name.into(), role, mark, y });
        self
    }

    /// With a line across.
    #[must_use]
    pub fn rule(mut self, vertical: bool, at: f64, label: impl Into<String>) -> Self {
        self.rules.push(Rule { vertical, at, label: label.into() });
        self
    }

    /// With a shaded interval, if there is one.
    #[must_use]
    pub fn span(mut self, span: Option<Span>) -> Self {
        self.spans.extend(span);
        self
    }
}

impl Axis {
    /// Numbers.
    #[must_use]
    pub fn linear(title: impl Into<String>) -> Self {
        Self { scale: Scale::Linear, title: title.into() }
    }

    /// Numbers by their ratio.
    #[must_use]
    pub fn log(title: impl Into<String>) -> Self {
        Self { scale: Scale::Log, title: title.into() }
    }

    /// Dates.
    #[must_use]
    pub fn time() -> Self {
        Self { scale: Scale::Time, title: String::new() }
    }
}
