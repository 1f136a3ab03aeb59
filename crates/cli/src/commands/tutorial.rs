//! `glassbox tutorial`: every step of the tutorial, printed as it is done.

use std::fmt::Write as _;
use std::path::Path;

use glassbox::checkpoint;
use glassbox_engine::model::Network;
use glassbox_engine::training::Callback;
use glassbox_formats::model_file::read_architecture;
use glassbox_formats::output_folder::OutputFolder;
use glassbox_lab::study::{FILES as STUDY_FILES, Study};
use glassbox_pipeline::architecture::{lstm_model, tutorial_model};
use glassbox_pipeline::detection::show_indices;
use glassbox_pipeline::detector::{Detection, require_series_model};
use glassbox_pipeline::nab::{self, Places, Source, TutorialData};
use glassbox_pipeline::reconstruction::predict_batches;
use glassbox_pipeline::results::{self, RunResult};
use glassbox_pipeline::training::Trained;
use glassbox_pipeline::tutorial::{self, HEAD, Observer, Stage, TutorialOptions};
use glassbox_pipeline::words::counted;
use glassbox_report::Results;

use super::{AFTER_EPOCH, CHECKPOINT, TIME_STEPS, conclusion, print, print_json, report, study, warn};
use crate::args::TutorialArgs;
use crate::device::explain;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::files;
use crate::interrupt;
use crate::options::Opening;
use crate::progress::Progress;

/// The names of models.
const CONV: &str = "conv";
const LSTM: &str = "lstm";

pub(crate) fn run(args: &TutorialArgs) -> Result<(), Failure> {
    let checkpoint = args.checkpoint.file(&args.out);
    let input = model_file(&args.model).map(|file| ("--model", file));
    files::check(input.as_slice(), &[("--out", &args.out.join("result.json")), (CHECKPOINT, &checkpoint)])?;
    let model = model(&args.model)?;
    let mut out = open(args)?;
    let _kept = args.checkpoint.lock_beside(&args.out)?;
    let source = Source::choose(&Places::from_env(args.data.clone()), args.seed);
    let data = nab::load(&source)?;
    for warning in data.train.warnings.iter().chain(&data.test.warnings) {
        warn(args.output.quiet, warning);
    }
    if args.study {
        study::require_truth(&data)?;
    }
    let silent = args.output.quiet || args.output.json;
    let mut options = TutorialOptions { inside: !args.no_report, ..args.fit.options(args.seed) };
    options.train.checkpoints = Some(args.checkpoint.checkpoints(&args.out));
    options.train.interrupt = Some(interrupt::listen(silent, AFTER_EPOCH)?);
    let mut narrator = Narrator {
        silent,
        opening: args.checkpoint.opening(&args.out, &[], silent),
        progress: Progress::new(silent),
        failed: None,
    };
    let device = args.compute.device(silent)?;
    explain(&args.compute, silent, &device, &model, &options.train.optimizer, args.fit.batch_size)?;
    options.model = Some(model);
    let run = tutorial::run(data, &device, &options, &mut narrator)
        .map_err(|error| Failure::from(error).or_go_on(interrupt::resume_command))?;
    results::write(&mut out, &run).or_fail(Kind::Output)?;
    args.checkpoint.done(&args.out, None)?;
    let study = match args.study {
        true => Some(study::run(args, &mut out, &run.data, &options.train, silent)?),
        false => None,
    };
    let results = Results::of(&run, study);
    let page = match args.no_report {
        true => None,
        false => Some(glassbox_report::write(&mut out, &results).or_fail(Kind::Output)?),
    };
    if let Some(page) = page.as_deref().filter(|_| args.open) {
        report::open(page, args.output.quiet);
    }
    if let Some(failure) = narrator.failed {
        let out = args.out.display();
        return Err(Failure::new(Kind::Output, format!("{failure}; the results are in {out}")));
    }
    if args.output.json {
        return print_all(&results.result, results.study.as_ref());
    }
    if args.output.quiet {
        return Ok(());
    }
    if let Some(study) = &results.study {
        print(&format!("\nThe study: {study}"))?;
    }
    print(&conclusion::sentences(&run, &args.out, page.as_deref()))
}

/// The file of a model that has no name here.
fn model_file(model: &Path) -> Option<&Path> {
    (![CONV, LSTM].map(Path::new).contains(&model)).then_some(model)
}

fn model(name: &Path) -> Result<Network, Failure> {
    match model_file(name) {
        Some(file) => {
            let model = read_architecture(file, Some(TIME_STEPS)).or_fail(Kind::Input)?;
            require_series_model(&model)?;
            Ok(model)
        }
        None if name == Path::new(LSTM) => Ok(lstm_model(TIME_STEPS)?),
        None => Ok(tutorial_model(TIME_STEPS)?),
    }
}

/// The folder of the results, for all files that may come into it.
fn open(args: &TutorialArgs) -> Result<OutputFolder, Failure> {
    // A study that is there already would be read as one of this run, whether it makes one or not.
    let mut outputs: Vec<String> = results::FILES.into_iter().chain(STUDY_FILES).map(String::from).collect();
    if !args.no_report {
        outputs.extend(glassbox_report::files());
    }
    OutputFolder::open(&args.out, &outputs, &[checkpoint::FILE_NAME]).or_fail(Kind::Output)
}

/// The result as JSON, the study in it as `study` if there is one.
fn print_all(result: &RunResult, study: Option<&Study>) -> Result<(), Failure> {
    let mut document = serde_json::to_value(result).or_fail(Kind::Output)?;
    if let Some(study) = study {
        document["study"] = serde_json::to_value(study).or_fail(Kind::Output)?;
    }
    print_json(&document)
}

/// Prints each step as the tutorial shows it.
struct Narrator {
    silent: bool,
    opening: Opening,
    progress: Progress,
    /// Standard output could not be written to.
    failed: Option<Failure>,
}

impl Observer for Narrator {
    fn callbacks(&mut self) -> Vec<&mut dyn Callback<f32>> {
        vec![&mut self.opening, &mut self.progress]
    }

    fn on_stage(&mut self, stage: Stage<'_>) {
        if self.silent || self.failed.is_some() {
            return;
        }
        if let Err(failure) = print(&told(&stage)) {
            self.failed = Some(failure);
        }
    }
}

fn told(stage: &Stage<'_>) -> String {
    match stage {
        Stage::Loaded { data } => loaded(data),
        Stage::Normalised { scaler, samples } => {
            format!(
                "Number of training samples: {samples}\n\
                 Normalised by mean {} and standard deviation {}\n\n",
                scaler.mean(),
                scaler.std()
            )
        }
        Stage::Windowed { shape, split } => format!(
            "Training input shape: {}\n\
             {} windows for training, in {} batches per epoch; the last {} for validation\n\n",
            shown(shape),
            split.training,
            split.steps_per_epoch,
            split.validation
        ),
        Stage::Built { model } => format!("{}\n\n", model.summary()),
        Stage::Trained { trained } => trained_for(trained),
        Stage::Threshold { errors, threshold } => format!(
            "Mean absolute error of {} training windows, predicted in {} batches\n\
             Reconstruction error threshold: {} (mean absolute error, in standard deviations of the training series)\n\n",
            errors.len(),
            predict_batches(errors.len()),
            threshold.value()
        ),
        Stage::Reconstructed { window, reconstruction } => {
            let error: f32 = window.iter().zip(*reconstruction).map(|(x, y)| (x - y).abs()).sum();
            format!(
                "Mean absolute error of the first window's reconstruction: {:.6} standard deviations\n\n",
                error / window.len() as f32
            )
        }
        Stage::TestWindowed { shape } => format!("Test input shape: {}\n", shown(shape)),
        Stage::Detected { detection } => detected(detection),
    }
}

fn loaded(data: &TutorialData) -> String {
    let mut text = format!("Data: {}\n", data.source);
    if matches!(data.source, Source::Twin { .. }) {
        text.push_str(
            "  This is a synthetic copy of the tutorial's two files. For the real ones: `glassbox data fetch`,\n  \
             or --data DIR with the data folder of a checkout of https://github.com/numenta/NAB\n",
        );
    }
    for (title, part) in [("Training", &data.train), ("Test", &data.test)] {
        let series = &part.series;
        let _ = write!(text, "\n{title} series ({}):\n{}", series.name(), series.head(HEAD));
    }
    text + "\n"
}

fn trained_for(trained: &Trained) -> String {
    let history = &trained.fitted.history;
    let last = |values: &[f64]| values.last().copied().unwrap_or(f64::NAN);
    let why = match trained.fitted.stopped_epoch {
        Some(_) => "stopped early: val_loss no longer improved",
        None => "the maximum",
    };
    format!(
        "Trained {} in {:.1} s ({why})\nloss: {:.6} - val_loss: {:.6}\n\n",
        counted(history.loss.len(), "epoch", "epochs"),
        trained.fitted.duration.as_secs_f64(),
        last(&history.loss),
        last(&history.val_loss)
    )
}

fn detected(detection: &Detection) -> String {
    format!(
        "Number of anomalous windows: {}\n\
         Indices of anomalous windows: {}\n\
         Number of anomalous points: {} ({} rule)\n\
         Indices of anomalous points: {}\n",
        detection.windows.len(),
        show_indices(&detection.windows),
        detection.points.len(),
        detection.rule,
        show_indices(&detection.points)
    )
}

fn shown(shape: &[usize; 3]) -> String {
    format!("({}, {}, {})", shape[0], shape[1], shape[2])
}
