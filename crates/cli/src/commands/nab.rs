//! `glassbox nab`

use std::path::Path;

use glassbox_formats::output_folder::OutputFolder;
use glassbox_lab::nab::{self, LabelledFile, Scoreboard, corpus, results};
use glassbox_pipeline::nab::{DATA_VARIABLE, Places};

use super::{note, print, print_json};
use crate::args::{BenchmarkArgs, NabCommand, NabRunArgs};
use crate::device::one_thread;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::progress::Jobs;

pub(crate) fn run(command: &NabCommand) -> Result<(), Failure> {
    match command {
        NabCommand::Score { results, benchmark, json } => score(results, benchmark, *json),
        NabCommand::Run(args) => run_detector(args),
    }
}

fn score(folder: &Path, benchmark: &BenchmarkArgs, json: bool) -> Result<(), Failure> {
    let files = benchmark.load()?;
    let (detector, scores) = results::read(folder, &files)?;
    let board = Scoreboard::new(&detector, &files, &scores);
    if json { print_json(&board) } else { print(&board.to_string()) }
}

fn run_detector(args: &NabRunArgs) -> Result<(), Failure> {
    args.compute.require_cpu("nab run")?;
    let files = args.benchmark.load()?;
    let name = args.detector.name();
    let folder = args.out.join(name);
    let mut out =
        OutputFolder::open(&folder, &results::file_names(&files, name), &[]).or_fail(Kind::Output)?;
    let silent = args.output.quiet || args.output.json;
    let mut progress = Jobs::new(silent, "Files");
    let workers = args.compute.workers()?;
    let scores = nab::run(args.detector, &files, args.seed, &one_thread, workers, &mut |advance| {
        progress.advance(advance);
    })?;
    results::write(&mut out, name, &files, &scores)?;
    let board = Scoreboard::new(name, &files, &scores);
    if args.output.json {
        return print_json(&board);
    }
    note(silent, format_args!("results: in {}", folder.display()));
    if args.output.quiet { Ok(()) } else { print(&board.to_string()) }
}

impl BenchmarkArgs {
    /// Reads the files and their windows.
    fn load(&self) -> Result<Vec<LabelledFile>, Failure> {
        let Some(data) = Places::from_env(self.data.clone()).data else {
            let missing = format!(
                "no data: give the `data` folder of a checkout of numenta/NAB (--data or ${DATA_VARIABLE})"
            );
            return Err(Failure::new(Kind::Input, missing));
        };
        let labels = self.labels.clone().unwrap_or_else(|| corpus::labels_beside(&data));
        Ok(corpus::load(&data, &labels)?)
    }
}
