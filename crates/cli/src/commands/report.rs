//! `glassbox report`.

use std::path::Path;

use glassbox_formats::output_folder::OutputFolder;
use glassbox_report::{Results, ResultsError};

use super::note;
use crate::args::ReportArgs;
use crate::failure::{Failure, Kind, OrFail as _};

pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    if !args.dir.is_dir() {
        // To lock it would create it.
        read(&args.dir)?;
    }
    let mut folder = OutputFolder::join(&args.dir, &glassbox_report::files()).or_fail(Kind::Output)?;
    let results = read(&args.dir)?;
    let page = glassbox_report::write(&mut folder, &results).or_fail(Kind::Output)?;
    note(args.quiet, format_args!("wrote {}", page.display()));
    if args.open {
        open(&page, args.quiet);
    }
    Ok(())
}

fn read(dir: &Path) -> Result<Results, Failure> {
    Results::read(dir).map_err(|error| {
        let command =
            if matches!(error, ResultsError::Unreadable { .. }) { " (`glassbox tutorial`)" } else { "" };
        Failure::new(Kind::Input, format_args!("{error}{command}"))
    })
}

/// Opens the page with what the system has for it. The results are there, so it is no failure if it has nothing.
pub(super) fn open(page: &Path, quiet: bool) {
    if let Err(error) = open::that_detached(page) {
        note(quiet, format_args!("cannot open {}: {error}; open it in a browser", page.display()));
    }
}
