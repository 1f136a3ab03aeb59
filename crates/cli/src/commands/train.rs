//! `glassbox train`

use std::path::{Path, PathBuf};

use glassbox_pipeline::detector::train_detector;
use glassbox_pipeline::results::write_history_json;
use glassbox_pipeline::series::read_csv;
use glassbox_pipeline::training::TrainOptions;
use serde_json::json;

use super::{AFTER_EPOCH, note, print_json, start_model};
use crate::args::TrainArgs;
use crate::device::explain;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::interrupt;
use crate::progress::Progress;

pub(crate) fn run(args: &TrainArgs) -> Result<(), Failure> {
    let quiet = args.output.quiet || args.output.json;
    let loaded = read_csv(&args.input, &args.columns.columns()).or_fail(Kind::Input)?;
    for warning in loaded.warnings.iter().chain(&loaded.extreme) {
        note(args.output.quiet, format_args!("warning: {warning}"));
    }
    let (model, start) = start_model(args.model.as_deref(), args.time_steps)?;
    let interrupted = args.out.with_extension("checkpoint");
    let options = TrainOptions {
        early_stopping: args.early_stopping.early_stopping(args.fit.validation_split),
        checkpoints: Some(args.checkpoint.checkpoints(&interrupted)),
        interrupt: Some(interrupt::listen(quiet, AFTER_EPOCH)?),
        ..args.fit.options()
    };
    let backend = args.compute.backend(quiet)?;
    explain(&args.compute, quiet, &*backend, &model, args.fit.batch_size)?;
    let mut progress = Progress::new(quiet);
    let trained =
        train_detector(&*backend, &model, start.as_deref(), &loaded.series, &options, &mut [&mut progress])
            .map_err(|error| Failure::from(error).or_go_on(interrupt::resume_command))?;

    let history = &trained.trained.fitted.history;
    let history_file = args.history.clone().unwrap_or_else(|| beside(&args.out, "history.json"));
    write_history_json(&history_file, history).or_fail(Kind::Output)?;
    trained.detector.save(&args.out).or_fail(Kind::Output)?;
    args.checkpoint.done(&interrupted)?;
    let threshold = trained.detector.threshold.value();
    if args.output.json {
        return print_json(&json!({
            "model": args.out,
            "history": history,
            "epochs": history.loss.len(),
            "stopped_epoch": trained.trained.fitted.stopped_epoch,
            "restored_epoch": trained.trained.fitted.restored_epoch,
            "resumed_from": trained.trained.resumed_from,
            "mean": trained.detector.scaler.mean(),
            "std": trained.detector.scaler.std(),
            "time_steps": trained.detector.time_steps(),
            "threshold": threshold,
            "seconds": trained.trained.duration.as_secs_f64(),
        }));
    }
    if trained.trained.resumed_from > 0 {
        note(quiet, format_args!("went on after epoch {}", trained.trained.resumed_from));
    }
    note(
        quiet,
        format_args!(
            "trained {} epochs; threshold {threshold}; wrote {} and {}",
            history.loss.len(),
            args.out.display(),
            history_file.display()
        ),
    );
    Ok(())
}

fn beside(path: &Path, name: &str) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(name)
}
