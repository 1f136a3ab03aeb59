//! `glassbox detect`

use std::io::{self, Write};

use glassbox_formats::atomic::{self, Staged};
use glassbox_pipeline::detection::{PointRule, Threshold};
use glassbox_pipeline::detector::{Detection, Detector};
use glassbox_pipeline::results::{Anomalies, RowVerdicts, write_anomalies_csv, write_windows_csv};
use glassbox_pipeline::rows::ThresholdRule;
use glassbox_pipeline::series::{BadRows, Series};
use glassbox_pipeline::words::counted;
use serde_json::json;

use super::{note, page, print_data, read_series, warn, warn_of_flat_lines};
use crate::args::{DetectArgs, Format, Rule, ThresholdChoice};
use crate::failure::{Failure, Kind, OrFail as _};
use crate::files::{self, Named};

pub(crate) fn run(args: &DetectArgs) -> Result<(), Failure> {
    let outputs = [("--output", args.output.as_deref()), ("--report", args.report.as_deref())];
    let outputs: Vec<Named<'_>> =
        outputs.into_iter().filter_map(|(name, path)| Some((name, path?))).collect();
    let _locks = files::claim(&[("the series", &args.input), ("--model", &args.model)], &outputs)?;
    let detector = Detector::load(&args.model)?;
    match (args.rule, args.threshold) {
        (Rule::Rows, None) => judge_rows(args, &detector, ThresholdRule::Max),
        (Rule::Rows, Some(ThresholdChoice::Scores(rule))) => judge_rows(args, &detector, rule),
        (Rule::Points(rule), None) => judge_points(args, &detector, rule),
        (Rule::Points(rule), Some(ThresholdChoice::Error(error))) => {
            let threshold = Threshold::new(error)?;
            judge_points(args, &Detector { threshold, ..detector }, rule)
        }
        (Rule::Rows, Some(ThresholdChoice::Error(error))) => Err(Failure::new(
            Kind::Input,
            format_args!(
                "--threshold {error} is the error of a window, and --rule rows compares scores of rows: give max, \
                 quantile:Q, robust-z:Z, peaks:RATE or an adaptive one, or --rule published or inclusive"
            ),
        )),
        (Rule::Points(rule), Some(ThresholdChoice::Scores(_))) => Err(Failure::new(
            Kind::Input,
            format_args!(
                "--rule {rule} compares errors of windows: give a number as --threshold, or --rule rows"
            ),
        )),
    }
}

/// A score and a verdict for each row.
fn judge_rows(args: &DetectArgs, detector: &Detector, rule: ThresholdRule) -> Result<(), Failure> {
    if args.format() == Format::Windows {
        let problem = "--rule rows judges rows: for --format windows, give --rule published or inclusive";
        return Err(Failure::new(Kind::Input, problem));
    }
    let columns = args.columns.columns(&detector.columns);
    detector.require_units(&args.columns.units(&columns.values)?)?;
    let mut loaded = read_series(&args.input, &columns, args.bad_rows.policy())?;
    for warning in &loaded.warnings {
        warn(args.quiet, warning);
    }
    if let Some(step) = detector.sampling_step.filter(|_| args.resample) {
        let rows = loaded.series.len();
        loaded.series = loaded.series.resampled(step)?;
        // They have no place among the new rows.
        loaded.skipped.clear();
        let now = loaded.series.len();
        note(
            args.quiet(),
            format_args!("resampled {} to a step of {step:#}: {now}", counted(rows, "row", "rows")),
        );
    }
    let device = args.compute.device(args.quiet())?;
    let detection = detector.judge(&device, &loaded.series, rule)?;
    let only_anomalies = args.only_anomalies;
    let verdicts = RowVerdicts {
        loaded: &loaded,
        columns: &columns,
        units: &detector.units,
        detection: &detection,
        only_anomalies,
    };
    let counts = verdicts.counts();
    note(
        args.quiet(),
        format_args!(
            "{} of {} anomalous, {} normal, {} not judged",
            counts.anomalous,
            counted(counts.anomalous + counts.normal + counts.unjudged, "row is", "rows are"),
            counts.normal,
            counts.unjudged
        ),
    );
    note(args.quiet(), format_args!("threshold: {}", detection.alarm));
    if let Some(warning) = detection.alarm.warning() {
        warn(args.quiet, warning);
    }
    warn_of_flat_lines(detector, &columns.values, args.quiet);
    let page = match args.report {
        Some(_) => Some(page(&device, detector, &loaded, &columns, &detection, None)?),
        None => None,
    };
    write_output(args, page, |out| match args.format() {
        Format::Json => verdicts.write_json(out),
        _ => verdicts.write_csv(out),
    })
}

/// The tutorial's rules: windows, and the points that all windows agree on.
fn judge_points(args: &DetectArgs, detector: &Detector, rule: PointRule) -> Result<(), Failure> {
    let of_rows = [
        (args.only_anomalies, "--only-anomalies"),
        (args.resample, "--resample"),
        (args.report.is_some(), "--report"),
        (!args.columns.unit.is_empty(), "--unit"),
        (args.bad_rows.on_bad_rows.is_some(), "--on-bad-rows"),
    ];
    if let Some((_, option)) = of_rows.into_iter().find(|(given, _)| *given) {
        return Err(Failure::new(
            Kind::Input,
            format_args!("{option} goes with --rule rows, not with {rule}"),
        ));
    }
    let loaded = read_series(&args.input, &args.columns.columns(&detector.columns), BadRows::Keep)?;
    for warning in &loaded.warnings {
        warn(args.quiet, warning);
    }
    let series = &loaded.series;
    let detection = detector.detect(&args.compute.device(args.quiet())?, series, rule)?;
    write_output(args, None, |out| write_points(args.format(), series, &detection, out))?;
    let Detection { windows, points, .. } = &detection;
    note(
        args.quiet(),
        format_args!(
            "{} of {} windows are anomalous (mean absolute error above {} standard deviations), and {} of {} points",
            windows.len(),
            detection.errors.len(),
            detection.threshold.value(),
            points.len(),
            series.len()
        ),
    );
    if points.is_empty() && !windows.is_empty() {
        let windows = counted(windows.len(), "window is", "windows are");
        warn(
            args.quiet,
            format_args!(
                "{windows} anomalous but no point: the {rule} rule misses changes that are shorter than a window, and \
                 those near an end of the series; --rule rows does not"
            ),
        );
    }
    Ok(())
}

/// Writes the result to --output or to standard output, and the page to --report.
fn write_output(
    args: &DetectArgs,
    page: Option<String>,
    write: impl Fn(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    // Neither file takes its place before the content of both is on the disk.
    let mut staged = vec![];
    if let Some(output) = &args.output {
        staged.push(atomic::stage(output, |out| write(out)).or_fail(Kind::Output)?);
    }
    if let Some((path, page)) = args.report.as_ref().zip(page) {
        staged.push(atomic::stage(path, |out| out.write_all(page.as_bytes())).or_fail(Kind::Output)?);
    }
    staged.into_iter().try_for_each(Staged::commit).or_fail(Kind::Output)?;
    match args.output {
        Some(_) => Ok(()),
        None => {
            let mut text = vec![];
            write(&mut text).or_fail(Kind::Output)?;
            print_data(&text)
        }
    }
}

fn write_points(
    format: Format,
    series: &Series,
    detection: &Detection,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Csv => write_anomalies_csv(series, detection, out),
        Format::Windows => write_windows_csv(series, detection, out),
        Format::Json => {
            let document = json!({
                "series": series.name(),
                "rows": series.len(),
                "time_steps": detection.time_steps,
                "point_rule": detection.rule.to_string(),
                "threshold": detection.threshold.value(),
                "errors": detection.errors,
                "anomalies": Anomalies::of(series, detection),
            });
            serde_json::to_writer_pretty(&mut *out, &document)?;
            writeln!(out)
        }
    }
}
