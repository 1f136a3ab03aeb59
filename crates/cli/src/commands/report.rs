//! `glassbox report`, and the report at the end of `glassbox tutorial`.

use std::path::{Path, PathBuf};

use glassbox_report::ReportError;

use super::note;
use crate::args::ReportArgs;
use crate::failure::{Failure, Kind};
use crate::files;

pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    // A folder that is not there is no folder of results, and is not to be made by the lock.
    let _lock = args.dir.is_dir().then(|| files::lock(&args.dir)).transpose()?;
    let page = write(&args.dir)?;
    note(args.quiet, format_args!("wrote {}", page.display()));
    if args.open {
        open(&page, args.quiet);
    }
    Ok(())
}

/// Writes the report of the results in `dir` and gives its page.
pub(super) fn write(dir: &Path) -> Result<PathBuf, Failure> {
    let written = glassbox_report::write(dir).map_err(|error| {
        let kind = if matches!(error, ReportError::Folder(_)) { Kind::Input } else { Kind::Output };
        Failure::new(kind, error)
    })?;
    Ok(written.page)
}

/// Opens the page with what the system has for it. The results are there, so it is no failure if it has nothing.
pub(super) fn open(page: &Path, quiet: bool) {
    if let Err(error) = opener::open(page) {
        note(quiet, format_args!("cannot open {}: {error}; open it in a browser", page.display()));
    }
}
