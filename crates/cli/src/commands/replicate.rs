//! `glassbox replicate`

use glassbox_formats::output_folder::OutputFolder;
use glassbox_lab::replicate::{self, rows};
use glassbox_pipeline::nab::{self, Places, Source};

use super::{AFTER_EPOCH, note, print, print_json, warn};
use crate::args::ReplicateArgs;
use crate::device::one_thread;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::files;
use crate::interrupt;
use crate::progress::Jobs;

/// The twin's noise: one series for all seeds, as the published file is one.
const TWIN_SEED: u64 = 1;

pub(crate) fn run(args: &ReplicateArgs) -> Result<(), Failure> {
    args.compute.require_cpu("replicate")?;
    files::check(&[], &[("--out", &args.out.join(rows::FILE_NAME))])?;
    let goes_on_from = [rows::FILE_NAME, rows::OPTIONS];
    let mut out = OutputFolder::open(&args.out, &replicate::files(), &goes_on_from).or_fail(Kind::Output)?;
    let source = Source::choose(&Places::from_env(args.data.clone()), TWIN_SEED);
    let data = nab::load(&source)?;
    let silent = args.output.quiet || args.output.json;
    for warning in data.train.warnings.iter().chain(&data.test.warnings) {
        warn(args.output.quiet, warning);
    }
    note(silent, format_args!("data: {source}"));
    let mut options = args.fit.options(args.seed);
    options.train.interrupt = Some(interrupt::listen(silent, AFTER_EPOCH)?);
    let mut progress = Jobs::new(silent, "Seeds");
    let workers = args.compute.workers()?;
    let done = replicate::run(&data, &one_thread, workers, &options, args.seeds, &mut out, &mut |advance| {
        progress.advance(advance);
    });
    let replication = done.map_err(|error| Failure::from(error).or_go_on(interrupt::same_command))?;
    if args.output.json {
        return print_json(&replication);
    }
    if args.output.quiet {
        return Ok(());
    }
    print(&format!(
        "{replication}\nResults: in {out}, with a row for each seed in runs.csv, everything in replicate.json, and plots in \
         plots/distributions.svg.\n",
        out = args.out.display()
    ))
}
