//! A plot as data. The SVG, the PNG and the page's interactive plot all show exactly this.

use serde::Serialize;

/// The placement of values along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Numbers.
    #[default]
    Linear,
    /// The logarithms of positive numbers, with marks at round numbers.
    Log,
    /// The logarithms of positive numbers, with marks at powers of two.
    Powers,
    /// Seconds since 1970-01-01 00:00 by the series' own clock.
    Time,
}

/// An axis.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Axis {
    /// The placement of values.
    pub scale: Scale,
    /// Its title, with the unit.
    pub title: String,
}

/// The meaning of a curve, which decides its colour in every plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A measurement.
    Series,
    /// The model's output, or what a measurement is compared with.
    Model,
    /// An anomaly, or the threshold for anomalies.
    Anomaly,
    /// One of several: a layer with weights, by its index among them, or a kind of points.
    Layer(u8),
    /// A limit.
    Limit,
    /// Another limit, for comparison.
    Aside,
}

/// The look of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// A line, with a gap where there is no value.
    Line,
    /// A line with a dot at each value.
    Dotted,
    /// A line that keeps a value until the next `x`.
    Steps,
    /// A bar from each `x` to the next.
    Bars,
}

/// Values at the `x` of a figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// Its name in the legend; empty to leave it out there.
    pub name: String,
    /// Its meaning.
    pub role: Role,
    /// Its look.
    pub mark: Mark,
    /// A value for each `x`, where there is one.
    pub y: Vec<Option<f64>>,
}

/// A line across the plot at a value of an axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    /// `true` if the value belongs to the x axis.
    pub vertical: bool,
    /// The value.
    pub at: f64,
    /// The text beside the line.
    pub label: String,
}

/// A shaded interval of the x axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Span {
    /// Its start.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// Its name in the legend.
    pub label: String,
    /// Its meaning.
    pub role: Role,
}

/// Points of one kind, each with a label.
#[derive(Debug, Clone, PartialEq)]
pub struct Dots {
    /// The kind's name in the legend; empty to leave it out there.
    pub name: String,
    /// Its meaning.
    pub role: Role,
    /// The points.
    pub dots: Vec<Dot>,
}

/// A point with a label.
#[derive(Debug, Clone, PartialEq)]
pub struct Dot {
    /// Its x.
    pub x: f64,
    /// Its y.
    pub y: f64,
    /// Its area, from 0 (only the label is drawn) to 1.
    pub area: f64,
    /// The text beside it.
    pub label: String,
}

/// A plot.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Figure {
    /// Its name, from which its files are named.
    pub id: String,
    /// Its heading; the lines after the first are details.
    pub title: String,
    /// A description for a reader who cannot see it.
    pub alt: String,
    /// The horizontal axis.
    pub x_axis: Axis,
    /// The vertical axis.
    pub y_axis: Axis,
    /// The x of all curves, ascending.
    pub x: Vec<f64>,
    /// The end of the x axis, where the last bar ends.
    pub x_end: Option<f64>,
    /// The curves, from the back to the front.
    pub curves: Vec<Curve>,
    /// Lines across.
    pub rules: Vec<Rule>,
    /// Shaded intervals.
    pub spans: Vec<Span>,
    /// Labelled points, which no plot of the page has.
    #[serde(skip)]
    pub dots: Vec<Dots>,
}

impl Figure {
    /// An empty figure over `x`.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        title: impl Into<String>,
        x_axis: Axis,
        y_axis: Axis,
        x: Vec<f64>,
    ) -> Self {
        Self { id: id.into(), title: title.into(), x_axis, y_axis, x, ..Self::default() }
    }

    /// Sets the description for a reader who cannot see the figure.
    #[must_use]
    pub fn alt(mut self, alt: impl Into<String>) -> Self {
        self.alt = alt.into();
        self
    }

    /// Adds a line.
    #[must_use]
    pub fn line(self, name: impl Into<String>, role: Role, y: impl IntoIterator<Item = f64>) -> Self {
        self.curve(name, role, Mark::Line, y.into_iter().map(Some).collect())
    }

    /// Adds a curve.
    #[must_use]
    pub fn curve(mut self, name: impl Into<String>, role: Role, mark: Mark, y: Vec<Option<f64>>) -> Self {
        self.curves.push(Curve { name: name.into(), role, mark, y });
        self
    }

    /// Adds a line across.
    #[must_use]
    pub fn rule(mut self, vertical: bool, at: f64, label: impl Into<String>) -> Self {
        self.rules.push(Rule { vertical, at, label: label.into() });
        self
    }

    /// Adds shaded intervals.
    #[must_use]
    pub fn spans(mut self, spans: impl IntoIterator<Item = Span>) -> Self {
        self.spans.extend(spans);
        self
    }

    /// Adds labelled points of one kind.
    #[must_use]
    pub fn dots(mut self, name: impl Into<String>, role: Role, dots: Vec<Dot>) -> Self {
        self.dots.push(Dots { name: name.into(), role, dots });
        self
    }
}

impl Axis {
    /// An axis of numbers.
    #[must_use]
    pub fn linear(title: impl Into<String>) -> Self {
        Self { scale: Scale::Linear, title: title.into() }
    }

    /// A logarithmic axis.
    #[must_use]
    pub fn log(title: impl Into<String>) -> Self {
        Self { scale: Scale::Log, title: title.into() }
    }

    /// A logarithmic axis with marks at powers of two.
    #[must_use]
    pub fn powers(title: impl Into<String>) -> Self {
        Self { scale: Scale::Powers, title: title.into() }
    }

    /// An axis of dates, without a title.
    #[must_use]
    pub fn time() -> Self {
        Self { scale: Scale::Time, title: String::new() }
    }

    /// The coordinate of a value: on a logarithmic axis its logarithm. `None` where it has none, as for 0.
    pub(crate) fn place(&self, value: f64) -> Option<f64> {
        let place = if matches!(self.scale, Scale::Log | Scale::Powers) { value.log10() } else { value };
        place.is_finite().then_some(place)
    }
}
