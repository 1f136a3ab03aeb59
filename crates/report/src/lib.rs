//! Pages to open and read: of a run of the tutorial, with its plots as files, and of a series of one's own.
//!
//! [`own_page()`] is the page of a series: the verdicts of a detector ([`Findings`]) and, if it was trained on the series, its
//! [`Training`]. [`write()`] draws the [`Results`] of a run, and writes into its folder
//!
//! | file | content |
//! |---|---|
//! | `report.html` | the page: a single file that loads nothing |
//! | `plots/*.svg`, `plots/*.png` | each plot |
//!
//! Data flows one way: a run, or the files of one ([`Results`]) -> plots as data ([`figures()`]) -> pictures
//! ([`glassbox_figures`]) -> the page (`page`) -> templates (`templates/`) with style and script (`assets/`). The page is
//! complete without JavaScript; with it, plots show the values under the pointer, and a slider selects a window.
//!
//! The script draws plots with uPlot (MIT licence, `assets/vendor`), which is embedded as published.

#![forbid(unsafe_code)]

mod figures;
mod own;
mod page;
pub mod results;

use std::path::PathBuf;

use glassbox_figures::{DrawError, Figure, to_png, to_svg};
use glassbox_formats::output_folder::{OutputFolder, OutputFolderError};

pub use figures::figures;
pub use own::{Findings, Training};
pub use results::{Results, ResultsError};

/// Name of the page in a folder of results.
pub const PAGE: &str = "report.html";
/// Name of the folder of plots in a folder of results.
pub const PLOTS: &str = "plots";

/// A report could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A plot cannot be drawn.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// The page cannot be rendered.
    #[error("cannot render the page: {0}")]
    Page(#[from] askama::Error),
    /// The report cannot be written.
    #[error(transparent)]
    Write(#[from] OutputFolderError),
}

/// The files that a report may have; the run determines which plots there are.
#[must_use]
pub fn files() -> Vec<String> {
    let plots = figures::IDS.iter().flat_map(|id| ["svg", "png"].map(|extension| plot_file(id, extension)));
    plots.chain([PAGE.into()]).collect()
}

fn plot_file(id: &str, extension: &str) -> String {
    format!("{PLOTS}/{id}.{extension}")
}

/// Draws the SVG of each figure.
fn draw(figures: Vec<Figure>) -> Result<Vec<(Figure, String)>, DrawError> {
    figures.into_iter().map(|figure| to_svg(&figure).map(|svg| (figure, svg))).collect()
}

/// The page of a series of one's own: a single file that loads nothing. The same findings give the same bytes.
///
/// # Errors
/// If a plot cannot be drawn.
pub fn own_page(findings: &Findings<'_>) -> Result<String, ReportError> {
    let runs = findings.detection.runs();
    let drawn = draw(figures::own_figures(findings, &runs))?;
    Ok(page::own_html(findings, &runs, &drawn)?)
}

/// Writes the report of `results` into their folder, replaces an earlier report, and returns the path of the page.
///
/// # Errors
/// If a file cannot be drawn or written.
pub fn write(folder: &mut OutputFolder, results: &Results) -> Result<PathBuf, ReportError> {
    let drawn = draw(figures(results))?;
    let mut batch = folder.batch();
    for (Figure { id, .. }, svg) in &drawn {
        batch.add(&plot_file(id, "svg"), svg.as_bytes())?;
        batch.add(&plot_file(id, "png"), &to_png(id, svg)?)?;
    }
    batch.add(PAGE, page::html(results, &drawn)?.as_bytes())?;
    batch.commit(|name| name == PAGE || name.starts_with("plots/"))?;
    Ok(folder.dir().join(PAGE))
}
