//! The one place that draws: figures as data, and the pictures of them.
//!
//! A [`Figure`] holds what a plot shows. [`to_svg`] draws one, [`sheet`] draws several below and beside each other, and
//! [`to_png`] rasterises an SVG. [`heatmap`] draws grids of values, a pixel each. All of them take their colours from
//! [`theme`].

#![forbid(unsafe_code)]

mod figure;
pub mod heatmap;
mod labels;
mod png;
mod svg;
pub mod theme;
mod ticks;

pub use figure::{Axis, Curve, Dot, Dots, Figure, Mark, Role, Rule, Scale, Span};
pub use png::to_png;
pub use svg::{sheet, to_svg};

/// A picture could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the figure `{id}`: {problem}")]
pub struct DrawError {
    /// The name of the figure.
    pub id: String,
    /// The message of the plotting library.
    pub problem: String,
}

impl DrawError {
    fn new(id: &str, problem: impl ToString) -> Self {
        Self { id: id.into(), problem: problem.to_string() }
    }
}
