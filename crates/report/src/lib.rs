//! The report of a run of the tutorial: a page that explains it, and its plots as files.
//!
//! [`write()`] draws the [`Results`] of a run, and writes into its folder
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
mod page;
pub mod results;

use std::path::PathBuf;

use glassbox_figures::{DrawError, to_png, to_svg};
use glassbox_formats::output_folder::{OutputFolder, OutputFolderError};

pub use figures::figures;
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

/// Writes the report of `results` into their folder, replaces an earlier report, and returns the path of the page.
///
/// # Errors
/// If a file cannot be drawn or written.
pub fn write(folder: &mut OutputFolder, results: &Results) -> Result<PathBuf, ReportError> {
    let figures = figures(results);
    let mut batch = folder.batch();
    let mut drawn = vec![];
    for figure in &figures {
        let svg = to_svg(figure)?;
        batch.add(&plot_file(&figure.id, "svg"), svg.as_bytes())?;
        batch.add(&plot_file(&figure.id, "png"), &to_png(&figure.id, &svg)?)?;
        drawn.push((figure, svg));
    }
    batch.add(PAGE, page::html(results, &drawn)?.as_bytes())?;
    batch.commit(|name| name == PAGE || name.starts_with("plots/"))?;
    Ok(folder.dir().join(PAGE))
}
