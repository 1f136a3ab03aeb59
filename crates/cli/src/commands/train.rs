//! `glassbox train`

use std::path::PathBuf;

use glassbox::Device;
use glassbox_engine::training::Callback;
use glassbox_formats::model_file::Format;
use glassbox_pipeline::architecture::Autoencoder;
use glassbox_pipeline::detector::{TrainedDetector, train_detector};
use glassbox_pipeline::results::history_json;
use glassbox_pipeline::rows::{Alarm, ThresholdRule};
use glassbox_pipeline::scaler::Scaler;
use glassbox_pipeline::series::{Columns, Loaded, Period, Series};
use glassbox_pipeline::training::{TrainOptions, Trained};
use glassbox_pipeline::words::counted;
use serde_json::json;

use super::{
    AFTER_EPOCH, CHECKPOINT, TIME_STEPS, compiled, note, page, print_json, read_series, start_model, warn,
};
use crate::args::TrainArgs;
use crate::device::explain;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::files::{self, Named};
use crate::interrupt;
use crate::progress::Progress;
use glassbox_report::Training;

pub(crate) fn run(args: &TrainArgs) -> Result<(), Failure> {
    let quiet = args.output.quiet || args.output.json;
    let Outputs { model: out, history: history_file } = Outputs::of(args);
    if Format::of(&out).or_fail(Kind::Input)? == Format::KerasWeights {
        let message =
            format!("--out: {} would hold weights only, no detector: name it .keras", out.display());
        return Err(Failure::new(Kind::Input, message));
    }
    let interrupted = out.with_extension("checkpoint");
    let checkpoint = args.checkpoint.file(&interrupted);
    let mut outputs: Vec<Named<'_>> = vec![("--out", &out), ("--history", &history_file)];
    outputs.extend(args.report.as_deref().map(|report| ("--report", report)));
    files::check(&input_files(args), &[&[(CHECKPOINT, &*checkpoint)], &outputs[..]].concat())?;
    let _locks = files::lock(&outputs)?;
    let kept = args.checkpoint.lock(&interrupted)?;
    let columns = args.columns.columns(&[]);
    let units = args.columns.units(&columns.values)?;
    let loaded = read_series(&args.input, &columns, args.bad_rows.policy())?;
    for warning in loaded.warnings.iter().chain(&loaded.extreme) {
        warn(args.output.quiet, warning);
    }
    let (model, start) = match &args.model {
        Some(model) => start_model(Some(model), args.time_steps)?,
        None => {
            let steps = args.time_steps.unwrap_or_else(|| window_of(&loaded.series, quiet));
            (Autoencoder::default().model_of(steps, columns.values.len())?, None)
        }
    };
    let mut options = TrainOptions {
        checkpoints: Some(args.checkpoint.checkpoints(&interrupted)),
        interrupt: Some(interrupt::listen(quiet, AFTER_EPOCH)?),
        ..args.fit.options(&model, quiet)?
    };
    options.fit.early_stopping = args.early_stopping.early_stopping(args.fit.validation_split, quiet);
    let device = args.compute.device(quiet)?;
    explain(&args.compute, quiet, &device, &model, &options.optimizer, args.fit.batch_size)?;
    let mut opening = args.checkpoint.opening(&interrupted, &outputs, quiet);
    let mut progress = Progress::new(quiet);
    let callbacks: Vec<&mut dyn Callback<f32>> = vec![&mut opening, &mut progress];
    let mut trained = train_detector(&device, &model, start.as_deref(), &loaded.series, &options, callbacks)
        .map_err(|error| Failure::from(error).or_go_on(interrupt::resume_command))?;

    trained.detector.columns.clone_from(&columns.values);
    trained.detector.units = units;
    let history = &trained.trained.fitted.history;
    let model = trained.detector.to_saved_model().bytes_for(&out).or_fail(Kind::Output)?;
    let page = match &args.report {
        Some(path) => Some((&**path, report(&device, &trained, &loaded, &columns, &options)?)),
        None => None,
    };
    files::write([(&*out, model), (&*history_file, history_json(history))].into_iter().chain(page))?;
    args.checkpoint.done(&interrupted, Some(kept))?;
    let threshold = trained.detector.threshold.value();
    if let Some(calibration) = &trained.detector.calibration
        && let Some(warning) = Alarm::new(ThresholdRule::Max, calibration)?.warning()
    {
        warn(args.output.quiet, warning);
    }
    if args.output.json {
        let moments = |moment: fn(&Scaler) -> f64| match &trained.detector.scalers[..] {
            [scaler] => json!(moment(scaler)),
            several => several.iter().map(moment).collect(),
        };
        return print_json(&json!({
            "model": out.to_string_lossy(),
            "history": history,
            "compiled": compiled(&options),
            "epochs": history.loss.len(),
            "stopped_epoch": trained.trained.fitted.stopped_epoch,
            "restored_epoch": trained.trained.fitted.restored_epoch,
            "resumed_from": trained.trained.fitted.resumed_from,
            "columns": columns.values,
            "units": trained.detector.units,
            "mean": moments(Scaler::mean),
            "std": moments(Scaler::std),
            "time_steps": trained.detector.time_steps(),
            "threshold": threshold,
            "seconds": trained.trained.fitted.duration.as_secs_f64(),
        }));
    }
    if trained.trained.fitted.resumed_from > 0 {
        note(quiet, format_args!("resumed after epoch {}", trained.trained.fitted.resumed_from));
    }
    note(
        quiet,
        format_args!(
            "trained {}; threshold {threshold} (mean absolute error, in standard deviations of the training series); wrote {} \
             and {}",
            counted(history.loss.len(), "epoch", "epochs"),
            out.display(),
            history_file.display()
        ),
    );
    Ok(())
}

/// The page of a training.
fn report(
    device: &Device,
    trained: &TrainedDetector,
    loaded: &Loaded,
    columns: &Columns,
    options: &TrainOptions,
) -> Result<Vec<u8>, Failure> {
    let TrainedDetector { detector, trained: Trained { fitted, .. }, training_errors: errors } = trained;
    let detection = detector.judge(device, &loaded.series, ThresholdRule::Max)?;
    let training = Training { options, fitted, errors, period: loaded.series.period() };
    Ok(page(device, detector, loaded, columns, &detection, Some(training))?.into_bytes())
}

/// The window that suits a series: its period, rounded up to a multiple of 4 for the tutorial's model; without one, that
/// of the tutorial.
fn window_of(series: &Series, quiet: bool) -> usize {
    let Some(Period { rows, correlation }) = series.period() else {
        note(
            quiet,
            format_args!("windows of {TIME_STEPS} rows: no period found in the series (--time-steps)"),
        );
        return TIME_STEPS;
    };
    let steps = rows.next_multiple_of(4);
    note(
        quiet,
        format_args!(
            "windows of {steps} rows: the series repeats after {rows} rows (autocorrelation {correlation:.2}; --time-steps)"
        ),
    );
    steps
}

/// The output files.
struct Outputs {
    model: PathBuf,
    history: PathBuf,
}

impl Outputs {
    /// Two models in one folder have a history each.
    fn of(args: &TrainArgs) -> Self {
        let named = args.out.as_ref().map(|out| out.with_extension("history.json"));
        Self {
            model: args.out.clone().unwrap_or_else(|| "model.safetensors".into()),
            history: args.history.clone().or(named).unwrap_or_else(|| "history.json".into()),
        }
    }
}

fn input_files(args: &TrainArgs) -> Vec<Named<'_>> {
    let model = args.model.as_deref().map(|model| ("--model", model));
    [("the training series", &*args.input)].into_iter().chain(model).collect()
}
