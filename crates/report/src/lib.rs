//! A run of the tutorial as a page that one opens, reads and learns from; and its plots as files.
//!
//! [`write()`] reads the folder of a run ([`Folder`]) and writes into it
//!
//! | file | |
//! |---|---|
//! | `report.html` | the page: one file, that loads nothing |
//! | `plots/*.svg`, `plots/*.png` | each plot |
//!
//! Data flows one way: files ([`folder`]) -> plots as data ([`figures()`], [`figure`]) -> pictures (`draw`,
//! `raster`) -> what the page shows (`page`) -> templates (`templates/`) with style and script (`assets/`). The
//! page is complete without JavaScript; with it the plots answer to a pointer, and a slider leads through the
//! windows.
//!
//! The script's plots are drawn by uPlot (MIT licence, `assets/vendor`), which stands in the page as published.

#![forbid(unsafe_code)]

mod draw;
pub mod figure;
mod figures;
pub mod folder;
mod page;
mod raster;
mod theme;
mod truth;

use std::path::PathBuf;

use glassbox_formats::output_folder::{OutputFolder, OutputFolderError};

pub use draw::DrawError;
pub use figures::figures;
pub use folder::{Folder, FolderError};

/// The page's file in a folder of results.
pub const PAGE: &str = "report.html";
/// The folder of the plots in a folder of results.
pub const PLOTS: &str = "plots";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The results cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A plot cannot be drawn.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// The page cannot be put together.
    #[error("the page cannot be put together: {0}")]
    Page(String),
    /// The folder does not take the report.
    #[error(transparent)]
    Write(#[from] OutputFolderError),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The page.
    pub page: PathBuf,
    /// The plots.
    pub plots: Vec<PathBuf>,
}

/// The files of a report; which of the plots there are depends on the run.
#[must_use]
pub fn files() -> Vec<String> {
    let plots = figures::IDS.iter().flat_map(|id| EXTENSIONS.map(|extension| plot_file(id, extension)));
    plots.chain([PAGE.into()]).collect()
}

const EXTENSIONS: [&str; 2] = ["svg", "png"];

fn plot_file(id: &str, extension: &str) -> String {
    format!("{PLOTS}/{id}.{extension}")
}

/// Writes the report of the run whose results are in `folder`, in the place of an earlier one.
///
/// # Errors
/// If the results are not all there or not of one run, or a file cannot be written.
pub fn write(folder: &mut OutputFolder) -> Result<Written, ReportError> {
    let dir = folder.dir().to_owned();
    let results = Folder::read(&dir)?;
    let figures = figures(&results);
    let mut batch = folder.batch();
    let mut plots = vec![];
    let mut drawn = vec![];
    for figure in &figures {
        let svg = draw::to_svg(figure)?;
        let failed = |problem| DrawError { id: figure.id.clone(), problem };
        let png = draw::to_png(&svg).map_err(failed)?;
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
