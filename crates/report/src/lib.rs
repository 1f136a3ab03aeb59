//! The report of a run of the tutorial: a page that explains it, and its plots as files.
//!
//! [`write()`] reads the folder of a run ([`Folder`]) and writes into it
//!
//! | file | content |
//! |---|---|
//! | `report.html` | the page: a single file that loads nothing |
//! | `plots/*.svg`, `plots/*.png` | each plot |
//!
//! Data flows one way: files ([`folder`]) -> plots as data ([`figures()`]) -> pictures ([`glassbox_figures`]) ->
//! the page (`page`) -> templates (`templates/`) with style and script (`assets/`). The page is complete without
//! JavaScript; with it, plots show the values under the pointer, and a slider selects a window.
//!
//! The script draws plots with uPlot (MIT licence, `assets/vendor`), which is embedded as published.

#![forbid(unsafe_code)]

mod figures;
pub mod folder;
mod page;
mod truth;

use std::path::PathBuf;

use glassbox_figures::{DrawError, to_png, to_svg};
use glassbox_formats::output_folder::{OutputFolder, OutputFolderError};

pub use figures::figures;
pub use folder::{Folder, FolderError};

/// Name of the page in a folder of results.
pub const PAGE: &str = "report.html";
/// Name of the folder of plots in a folder of results.
pub const PLOTS: &str = "plots";

/// A report could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The results cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A plot cannot be drawn.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// The page cannot be rendered.
    #[error("cannot render the page: {0}")]
    Page(String),
    /// The report cannot be written.
    #[error(transparent)]
    Write(#[from] OutputFolderError),
}

/// The files of a written report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The page.
    pub page: PathBuf,
    /// The plots.
    pub plots: Vec<PathBuf>,
}

/// The files that a report may have; the run determines which plots there are.
#[must_use]
pub fn files() -> Vec<String> {
    let plots = figures::IDS.iter().flat_map(|id| EXTENSIONS.map(|extension| plot_file(id, extension)));
    plots.chain([PAGE.into()]).collect()
}

const EXTENSIONS: [&str; 2] = ["svg", "png"];

fn plot_file(id: &str, extension: &str) -> String {
    format!("{PLOTS}/{id}.{extension}")
}

/// Writes the report of the run whose results are in `folder`, and replaces an earlier report.
///
/// # Errors
/// If results are missing or not of one run, or a file cannot be written.
pub fn write(folder: &mut OutputFolder) -> Result<Written, ReportError> {
    let dir = folder.dir().to_owned();
    let results = Folder::read(&dir)?;
    let figures = figures(&results);
    let mut batch = folder.batch();
    let mut plots = vec![];
    let mut drawn = vec![];
    for figure in &figures {
        let svg = to_svg(figure)?;
        let png = to_png(&figure.id, &svg)?;
        for (extension, bytes) in EXTENSIONS.into_iter().zip([svg.as_bytes(), &png]) {
            let name = plot_file(&figure.id, extension);
            batch.add(&name, bytes)?;
            plots.push(dir.join(name));
        }
        drawn.push((figure, svg));
    }
    batch.add(PAGE, page::html(&results, &drawn)?.as_bytes())?;
    batch.commit(|name| name == PAGE || name.starts_with("plots/"))?;
    Ok(Written { page: dir.join(PAGE), plots })
}
