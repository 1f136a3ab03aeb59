//! `glassbox fit-arrays`

use std::path::PathBuf;

use glassbox::Model;
use glassbox_engine::model::Network;
use glassbox_formats::model_file::{Format, ModelFile, SavedModel, Training, read_architecture};
use glassbox_pipeline::results::history_json;
use glassbox_pipeline::training::TrainOptions;

use super::{AFTER_EPOCH, CHECKPOINT, architecture_of, compiled, note, print_json};
use crate::args::FitArraysArgs;
use crate::arrays::{Arrays, inputs, targets};
use crate::device::explain;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::files::{self, Named};
use crate::interrupt;
use crate::progress::Progress;

pub(crate) fn run(args: &FitArraysArgs) -> Result<(), Failure> {
    let interrupted = args.out.with_extension("checkpoint");
    let checkpoint = args.checkpoint.file(&interrupted);
    let outputs = output_files(args);
    Format::of(&args.out).or_fail(Kind::Input)?;
    files::check(&input_files(args), &[&[(CHECKPOINT, &*checkpoint)], &outputs[..]].concat())?;
    let _locks = files::lock(&outputs)?;
    let kept = args.checkpoint.lock(&interrupted)?;
    let x = Arrays::read("--input", &args.input)?;
    let Start { model, weights, training } = Start::load(args, x.steps())?;
    let x = x.samples(&inputs(&model))?;
    let y = match &*args.target {
        [] => None,
        files => Some(Arrays::read("--target", files)?.samples(&targets(&model))?),
    };
    let quiet = args.output.quiet || args.output.json;
    let options = TrainOptions {
        checkpoints: Some(args.checkpoint.checkpoints(&interrupted)),
        interrupt: Some(interrupt::listen(quiet, AFTER_EPOCH)?),
        ..args.fit.options(&model, quiet)?
    };
    let mut opening = args.checkpoint.opening(&interrupted, &outputs, quiet);
    let mut progress = Progress::new(quiet);
    let device = args.compute.device(quiet)?;
    explain(&args.compute, quiet, &device, &model, &options.optimizer, args.fit.batch_size)?;
    let goes_on = training.as_ref().is_some_and(|training| training.optimizer == options.optimizer);
    if training.is_some() && !goes_on {
        note(quiet, "the state of the optimizer is left out: it is that of another optimizer");
    }
    let mut trained = match (weights, training) {
        (Some(weights), Some(training)) if goes_on => {
            let training = Training { loss: options.loss, seed: options.seed, ..training };
            let saved = SavedModel { training: Some(training), ..SavedModel::new(model, weights) };
            Model::from_saved_model(saved, device)?
        }
        (Some(weights), _) => options.compile(model, &device)?.start_from(weights)?,
        (None, _) => options.compile(model, &device)?,
    };
    let hooks = options.hooks(vec![&mut opening, &mut progress]);
    let fitted = trained
        .fit_with(&x, y.as_ref().unwrap_or(&x), &options.fit, hooks)
        .map_err(|error| Failure::from(error).or_go_on(interrupt::resume_command))?;

    let saved = trained.to_saved_model()?;
    let saved = (&*args.out, saved.bytes_for(&args.out).or_fail(Kind::Output)?);
    let history = args.history.as_deref().map(|path| (path, history_json(&fitted.history)));
    files::write([saved].into_iter().chain(history))?;
    args.checkpoint.done(&interrupted, Some(kept))?;
    if args.output.json {
        let mut document = serde_json::to_value(&fitted.history).or_fail(Kind::Output)?;
        document["compiled"] = compiled(&options);
        return print_json(&document);
    }
    note(quiet, format_args!("wrote {}", args.out.display()));
    Ok(())
}

fn input_files<'a>(args: &'a FitArraysArgs) -> Vec<Named<'a>> {
    let model =
        [("--model", &args.model), ("--architecture", &args.architecture), ("--weights", &args.weights)];
    let model = model.into_iter().filter_map(|(name, path)| Some((name, path.as_deref()?)));
    let arrays = |option, files: &'a [PathBuf]| files.iter().map(move |file| (option, &**file));
    let arrays = arrays("--input", &args.input).chain(arrays("--target", &args.target));
    arrays.chain(model).collect()
}

fn output_files(args: &FitArraysArgs) -> Vec<Named<'_>> {
    let history = args.history.as_deref().map(|history| ("--history", history));
    [("--out", &*args.out)].into_iter().chain(history).collect()
}

/// The start of a training.
struct Start {
    model: Network,
    /// `None` for weights that are drawn.
    weights: Option<Vec<f32>>,
    training: Option<Training>,
}

impl Start {
    fn load(args: &FitArraysArgs, steps: usize) -> Result<Self, Failure> {
        let saved = match (&args.model, &args.architecture, &args.weights) {
            (Some(model), ..) => {
                let file = ModelFile::read(model).or_fail(Kind::Input)?;
                let architecture = architecture_of(&file, Some(steps))?;
                file.into_model_of(architecture).or_fail(Kind::Input)?
            }
            (None, Some(architecture), Some(weights)) => {
                SavedModel::load_parts(architecture, Some(steps), weights).or_fail(Kind::Input)?
            }
            (None, Some(architecture), None) => {
                let model = read_architecture(architecture, Some(steps)).or_fail(Kind::Input)?;
                return Ok(Self { model, weights: None, training: None });
            }
            (None, None, _) => unreachable!("the command line asks for one of them"),
        };
        let model = saved.compiled();
        Ok(Self { model, weights: Some(saved.weights), training: saved.training })
    }
}
