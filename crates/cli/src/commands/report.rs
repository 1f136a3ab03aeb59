//! `glassbox report`, and the report at the end of `glassbox tutorial`.

use std::path::{Path, PathBuf};

use glassbox_formats::output_folder::OutputFolder;
use glassbox_report::{Folder, ReportError};

use super::note;
use crate::args::ReportArgs;
use crate::failure::{Failure, Kind, OrFail as _};

pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    if !args.dir.is_dir() {
        // It is no folder of results, and is not made to lock it.
        Folder::read(&args.dir).or_fail(Kind::Input)?;
    }
    let mut folder = OutputFolder::join(&args.dir, &glassbox_report::files()).or_fail(Kind::Output)?;
    let page = write(&mut folder)?;
    note(args.quiet, format_args!("wrote {}", page.display()));
    if args.open {
        open(&page, args.quiet);
    }
    Ok(())
}

/// Writes the report of the results in `folder` and gives its page.
pub(super) fn write(folder: &mut OutputFolder) -> Result<PathBuf, Failure> {
    let written = glassbox_report::write(folder).map_err(|error| {
        let kind = if matches!(error, ReportError::Folder(_)) { Kind::Input } else { Kind::Output };
        Failure::new(kind, error)
    })?;
    Ok(written.page)
}

/// Opens the page with what the system has for it. The results are there, so it is no failure if it has nothing.
pub(super) fn open(page: &Path, quiet: bool) {
    if let Err(error) = open::that_detached(page) {
        note(quiet, format_args!("cannot open {}: {error}; open it in a browser", page.display()));
    }
}
