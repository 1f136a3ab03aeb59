//! `glassbox fit-arrays`

use std::path::PathBuf;

use glassbox_engine::model::Network;
use glassbox_formats::model_file::{SavedModel, read_architecture};
use glassbox_pipeline::results::history_json;
use glassbox_pipeline::training::TrainOptions;

use super::{AFTER_EPOCH, CHECKPOINT, compiled, note, print_json};
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
    files::check(&input_files(args), &[&[(CHECKPOINT, &*checkpoint)], &outputs[..]].concat())?;
    let _locks = files::lock(&outputs)?;
    let kept = args.checkpoint.lock(&interrupted)?;
    let x = Arrays::read("--input", &args.input)?;
    let (model, start) = load(args, x.steps())?;
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
    let mut trained = options.compile(model, &device)?;
    if let Some(start) = start {
        trained = trained.start_from(start)?;
    }
    let hooks = options.hooks(vec![&mut opening, &mut progress]);
    let fitted = trained
        .fit_with(&x, y.as_ref().unwrap_or(&x), &options.fit, hooks)
        .map_err(|error| Failure::from(error).or_go_on(interrupt::resume_command))?;

    let saved = SavedModel::new(trained.architecture().clone(), trained.flat_weights()?);
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
    let weights = args.weights.as_deref().map(|weights| ("--weights", weights));
    let arrays = |option, files: &'a [PathBuf]| files.iter().map(move |file| (option, &**file));
    let arrays = arrays("--input", &args.input).chain(arrays("--target", &args.target));
    arrays.chain([("--architecture", &*args.architecture)]).chain(weights).collect()
}

fn output_files(args: &FitArraysArgs) -> Vec<Named<'_>> {
    let history = args.history.as_deref().map(|history| ("--history", history));
    [("--out", &*args.out)].into_iter().chain(history).collect()
}

/// The model, and the weights to start from if they are given.
fn load(args: &FitArraysArgs, steps: usize) -> Result<(Network, Option<Vec<f32>>), Failure> {
    match &args.weights {
        None => Ok((read_architecture(&args.architecture, Some(steps)).or_fail(Kind::Input)?, None)),
        Some(weights) => {
            let saved =
                SavedModel::load_parts(&args.architecture, Some(steps), weights).or_fail(Kind::Input)?;
            Ok((saved.model, Some(saved.weights)))
        }
    }
}
