//! Compares the tutorial over many seeds with Keras: a reproduction in distribution.
//!
//! Two systems with different random generators cannot give equal numbers, but their numbers can be equally distributed.
//! [`run`] trains the tutorial with each of many seeds, one thread each, and compares epochs, losses, threshold, windows
//! and points with recorded runs of Keras ([`keras_runs`]) by the test of Kolmogorov and Smirnov.
//!
//! | file | content |
//! |---|---|
//! | `runs.csv` | a row for each seed, written as soon as it is done |
//! | `options.json` | the options of these rows, except the seed |
//! | `replicate.json` | everything: [`Replication`], described in `docs/replicate.md` |
//! | `plots/*.svg` | both distribution functions of each quantity, and all of them in one picture |
//!
//! An interrupted run resumes: seeds that have a row are not trained again. Rows of other options are refused, see
//! [`rows`].

mod keras;
mod plot;
pub mod rows;
mod schema;

use std::collections::BTreeMap;

pub use keras::{KerasRuns, PublishedRun, keras_runs};
pub use schema::{Comparison, Replication, ReplicationConfig, Run, SCHEMA};

use crate::jobs::{self, Advance, MakeDevice};
use crate::{Error, Result, require_seeds};
use glassbox::fingerprint::Fingerprint;
use glassbox_engine::model::Network;
use glassbox_formats::atomic;
use glassbox_formats::output_folder::OutputFolder;
use glassbox_pipeline::ErrorKind;
use glassbox_pipeline::nab::TutorialData;
use glassbox_pipeline::training::TrainOptions;
use glassbox_pipeline::tutorial::{self, Quiet, TutorialOptions, TutorialRun};
use rows::RunTable;

/// Runs the tutorial on `data` with `seeds` consecutive seeds, starting with that of `options`, on `workers` threads.
/// Seeds that have a row in `folder` are taken from there. Writes all files into `folder`. Calls `on_advance` at the
/// start and after each seed.
///
/// # Errors
/// If `folder` holds rows of other options, an option is out of range, a run fails or is interrupted, or a file cannot
/// be written. Rows that are written stay.
pub fn run(
    data: &TutorialData,
    device: MakeDevice<'_>,
    workers: usize,
    options: &TutorialOptions,
    seeds: usize,
    folder: &mut OutputFolder,
    on_advance: &mut dyn FnMut(Advance),
) -> Result<Replication> {
    require_seeds(seeds)?;
    let first = options.train.seed;
    let seeds: Vec<u64> = (0..seeds as u64).map(|index| first.wrapping_add(index)).collect();
    let model = glassbox_pipeline::architecture::tutorial_model(options.time_steps)?;
    let backend_name = device()?.to_string();
    let fingerprint = fingerprint(&model, data, options, &backend_name);
    let mut rows = RunTable::open(folder.dir(), &fingerprint)?;

    let missing: Vec<_> = seeds.iter().filter(|seed| rows.get(**seed).is_none()).map(|s| (*s, 1.0)).collect();
    let there = seeds.len() - missing.len();
    let all = |done: usize| Advance { done, of: seeds.len(), part: done as f64 / seeds.len() as f64 };
    on_advance(all(there));
    let trained = jobs::run::<_, _, Error>(
        missing,
        workers,
        device,
        |seed, device| {
            let train = TrainOptions { seed: *seed, checkpoints: None, ..options.train.clone() };
            let options = TutorialOptions { train, ..options.clone() };
            Ok(Run::of(&tutorial::run(data.clone(), device, &options, &mut Quiet)?))
        },
        |_, run, advance| {
            rows.add(run)?;
            on_advance(all(there + advance.done));
            Ok(())
        },
    );
    trained.map_err(|error| match error.kind() {
        ErrorKind::Interrupted => {
            let done = seeds.iter().filter(|seed| rows.get(**seed).is_some()).count();
            Error::Interrupted { done, of: seeds.len(), file: folder.dir().join(rows::FILE_NAME) }
        }
        _ => error,
    })?;
    let runs: Vec<Run> = seeds.iter().filter_map(|seed| rows.get(*seed)).cloned().collect();
    let replication = Replication::of(data, options, &backend_name, runs);
    write(folder, &replication)?;
    Ok(replication)
}

/// The fingerprint of everything that determines the numbers of a run, except its seed. Unlike a
/// [checkpoint](glassbox::checkpoint)'s it includes the number of epochs and the backend's name, because runs do not
/// resume, and all runs of a table are made the same way.
#[must_use]
pub fn fingerprint(
    model: &Network,
    data: &TutorialData,
    options: &TutorialOptions,
    backend: &str,
) -> Fingerprint {
    let mut entries = Fingerprint::default();
    entries.add("training series", format!("sha256 {}", data.train.sha256));
    entries.add("test series", format!("sha256 {}", data.test.sha256));
    entries.model(model);
    entries.add_fields(options, "seed");
    entries.add("backend", backend);
    entries.add("glassbox", env!("CARGO_PKG_VERSION"));
    entries
}

/// The files that are written when all seeds are done.
#[must_use]
pub fn files() -> Vec<String> {
    let plots = schema::QUANTITIES.iter().map(|(name, _)| *name).chain(["distributions"]).map(plot_file);
    plots.chain(["replicate.json".into()]).collect()
}

fn plot_file(name: &str) -> String {
    format!("plots/{name}.svg")
}

fn write(folder: &mut OutputFolder, replication: &Replication) -> Result<()> {
    let keras = keras_runs();
    let mut batch = folder.batch();
    batch.add(&plot_file("distributions"), plot::overview(replication, &keras)?.as_bytes())?;
    for comparison in &replication.comparison {
        let svg = plot::single(replication, &keras, comparison)?;
        batch.add(&plot_file(&comparison.quantity), svg.as_bytes())?;
    }
    batch.add("replicate.json", &atomic::json(replication))?;
    let ours = files();
    Ok(batch.commit(|name| ours.iter().any(|file| file == name))?)
}

impl Run {
    /// The numbers of a run of the tutorial.
    #[must_use]
    pub fn of(run: &TutorialRun) -> Self {
        let history = &run.fitted.history;
        let last = |losses: &[f64]| losses.last().copied().unwrap_or(f64::NAN);
        let points = &run.detection.points;
        Self {
            seed: run.options.train.seed,
            epochs: history.loss.len(),
            loss: last(&history.loss),
            val_loss: last(&history.val_loss),
            threshold: run.detector.threshold.value(),
            windows: run.detection.windows.len(),
            points: points.len(),
            first_point: points.first().copied(),
            last_point: points.last().copied(),
            seconds: Some(run.timings.total),
        }
    }
}

/// Seeds and their runs.
type BySeed = BTreeMap<u64, Run>;
