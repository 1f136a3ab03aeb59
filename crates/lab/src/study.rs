//! Measures which changes improve the tutorial: those that people suggest at its end, each over several seeds.
//!
//! A [`Variant`] is the tutorial with one thing changed. Variants that differ only after training share it: [`run`]
//! trains each [`Training`] once for a seed, on one thread, several in parallel, and evaluates all variants from the
//! errors of its windows:
//!
//! | module | content |
//! |---|---|
//! | [`variants`] | the variants, as data |
//! | `models` | the autoencoders that only a study trains |
//! | `fits` | training, and the errors of all windows |
//! | `judge` | from errors to points, and their [`Score`](glassbox_pipeline::evaluation::Score) |
//! | [`schema`] | `study.json`, described in `docs/study.md` |
//! | `conclude` | the variants that help, those that do not, and those where it is unclear |
//! | [`table`] | a study as text, and as CSV |
//!
//! # Fairness
//! All variants have the same seeds, so a variant is compared with the tutorial seed by seed: initial weights,
//! shuffles and dropout masks are functions of the seed. All judge the same rows, those that lie in as many windows
//! as a window has steps. The members of an ensemble have different seeds, no two ensembles share one, and each ensemble
//! is compared with its first member.
//!
//! A difference is the F1 of a variant minus that of the tutorial under the same seed. The
//! [`sign_test`](crate::statistics::sign_test), corrected by [`holm`](crate::statistics::holm) for the number of
//! variants, decides whether it is significant. The test assumes nothing about the distribution of F1, which is far from
//! normal.

mod conclude;
mod fits;
mod judge;
mod models;
pub mod schema;
pub mod table;
pub mod variants;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::jobs::{self, Advance, MakeDevice};
use crate::{Error, Result, require_seeds};
use fits::{Fit, Windows};
use glassbox_formats::atomic;
use glassbox_formats::output_folder::{OutputFolder, OutputFolderError};
use glassbox_pipeline::detection::judged_points;
use glassbox_pipeline::detector::{fit_scaler, normalise, windows};
use glassbox_pipeline::evaluation::true_anomaly;
use glassbox_pipeline::nab::TutorialData;
use glassbox_pipeline::results::DataInfo;
use glassbox_pipeline::training::{Split, TrainOptions};
use glassbox_pipeline::tutorial::TIME_STEPS;
pub use schema::Study;
use variants::{TRAININGS, Training, VARIANTS, Variant};

/// The version of `study.json`.
pub const SCHEMA: u32 = 3;

/// The least number of seeds whose agreement is significant at [`LEVEL`], corrected for all variants.
pub const DEFAULT_SEEDS: usize = 10;

/// The level of significance of a verdict, all variants together.
pub const LEVEL: f64 = 0.05;

/// The difference of F1 that one point makes, approximately.
pub const POINTS_WORTH: f64 = 0.005;

/// Options of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyOptions {
    /// The number of seeds, starting with `train.seed`. Default: [`DEFAULT_SEEDS`].
    pub seeds: usize,
    /// The length of a window, in steps; a multiple of 16. Default: 288.
    pub time_steps: usize,
    /// Options of each training; checkpoints are not used. Default: as in the tutorial, from seed 1.
    pub train: TrainOptions,
}

impl Default for StudyOptions {
    fn default() -> Self {
        let train = TrainOptions { seed: 1, ..TrainOptions::default() };
        Self { seeds: DEFAULT_SEEDS, time_steps: TIME_STEPS, train }
    }
}

/// Trains and judges all [`VARIANTS`] on `data`, on as many threads as `workers`, each with a device of its own;
/// `on_advance` hears of the beginning and of each training that is done.
///
/// The same data, options and kind of backend give the same study for any number of workers, except its seconds.
///
/// # Errors
/// If the ground truth is not known, an option is out of range, or training fails or is interrupted.
pub fn run(
    data: &TutorialData,
    device: MakeDevice<'_>,
    workers: usize,
    options: &StudyOptions,
    on_advance: &mut dyn FnMut(Advance),
) -> Result<Study> {
    let (train, test) = (&data.train.series, &data.test.series);
    let truth = require_truth(data)?;
    require_seeds(options.seeds)?;
    let scaler = fit_scaler(train)?;
    let [train_values, test_values] = [normalise(&scaler, train)?, normalise(&scaler, test)?];
    let windows = Windows {
        train: windows(&train_values, train, options.time_steps)?,
        test: windows(&test_values, test, options.time_steps)?,
    };
    let split = Split::of(windows.train.len(), &options.train.fit)?;
    let task = Task {
        steps: options.time_steps,
        truth,
        judged: judged_points(windows.test.len(), options.time_steps),
        validation: split.training..windows.train.len(),
    };

    let mut jobs = vec![];
    for training in TRAININGS.iter() {
        let model = (training.model)(options.time_steps)?;
        let cost = fits::cost(&model);
        for seed in fit_seeds(training, options) {
            jobs.push(((training, model.clone(), seed), cost));
        }
    }
    on_advance(Advance { done: 0, of: jobs.len(), part: 0.0 });
    let mut fitted = Fits::new();
    jobs::run::<_, Fit, Error>(
        jobs,
        workers,
        device,
        |(training, model, seed), device| {
            let train = TrainOptions { seed: *seed, checkpoints: None, ..options.train.clone() };
            Ok(fits::fit(training, model, device, &windows, &train)?)
        },
        |(training, _, seed), fit, advance| {
            fitted.insert((training.name, seed), fit);
            on_advance(advance);
            Ok(())
        },
    )?;
    let mut study = judge::study(data, options, &task, &fitted)?;
    conclude::conclude(&mut study);
    Ok(study)
}

/// The rows of the ground truth.
///
/// # Errors
/// [`Error::UnknownTruth`] if it is not known.
pub fn require_truth(data: &TutorialData) -> Result<Range<usize>> {
    let series = &data.test.series;
    true_anomaly(&DataInfo::of(data), series)
        .ok_or_else(|| Error::UnknownTruth { series: series.name().to_string() })
}

/// The files of a study.
pub const FILES: [&str; 2] = ["study.csv", "study.json"];

/// Writes the files of `study` into `folder` and replaces those of an earlier one.
///
/// # Errors
/// If one cannot be written.
pub fn write(folder: &mut OutputFolder, study: &Study) -> Result<(), OutputFolderError> {
    let mut batch = folder.batch();
    batch.add_with("study.csv", |out| table::write_csv(study, out))?;
    batch.add("study.json", &atomic::json(study))?;
    batch.commit(|name| FILES.contains(&name))
}

/// The detection task that all variants share.
struct Task {
    /// Steps of a window.
    steps: usize,
    /// The rows of the ground truth.
    truth: Range<usize>,
    /// The rows that are judged.
    judged: Range<usize>,
    /// The validation windows among the training windows.
    validation: Range<usize>,
}

/// The fits, by training and seed.
type Fits = BTreeMap<(&'static str, u64), Fit>;

/// The seeds that all variants have.
fn seeds(options: &StudyOptions) -> impl Iterator<Item = u64> {
    let first = options.train.seed;
    (0..options.seeds as u64).map(move |index| first.wrapping_add(index))
}

/// The seeds of the members of a variant's ensemble, starting with `seed`; most variants have one member.
fn members(variant: &Variant, seed: u64, options: &StudyOptions) -> impl Iterator<Item = u64> {
    let apart = options.seeds as u64;
    (0..variant.members as u64).map(move |member| seed.wrapping_add(member * apart))
}

/// The seeds that a training is needed for, each once.
fn fit_seeds(training: &Training, options: &StudyOptions) -> Vec<u64> {
    let of_it = VARIANTS.iter().filter(|variant| variant.training == training.name);
    let mut needed: Vec<u64> =
        of_it.flat_map(|variant| seeds(options).flat_map(|seed| members(variant, seed, options))).collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}
