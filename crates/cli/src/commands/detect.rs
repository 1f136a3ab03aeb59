//! `glassbox detect`

use std::io::{self, Write};

use glassbox_formats::atomic;
use glassbox_pipeline::detection::Threshold;
use glassbox_pipeline::detector::{Detection, Detector};
use glassbox_pipeline::results::{Anomalies, write_anomalies_csv, write_windows_csv};
use glassbox_pipeline::series::{Series, read_csv};
use serde_json::json;

use super::{note, print_data, warn};
use crate::args::{DetectArgs, Format};
use crate::failure::{Failure, Kind, OrFail as _};
use crate::files;

pub(crate) fn run(args: &DetectArgs) -> Result<(), Failure> {
    let format = args.format();
    // A JSON object and nothing else, as the other commands print it.
    let quiet = args.quiet || format == Format::Json;
    let output = args.output.as_deref().map(|output| ("--output", output));
    let _locks = files::claim(&[("the series", &args.input), ("--model", &args.model)], output.as_slice())?;
    let mut detector = Detector::load(&args.model)?;
    if let Some(threshold) = args.threshold {
        detector.threshold = Threshold::new(threshold)?;
    }
    let loaded = read_csv(&args.input, &args.columns.columns())?;
    for warning in &loaded.warnings {
        warn(args.quiet, warning);
    }
    let series = &loaded.series;
    let detection = detector.detect(&args.compute.device(quiet)?, series, args.rule)?;

    match &args.output {
        Some(path) => {
            atomic::write_with(path, |out| write(format, series, &detection, out)).or_fail(Kind::Output)?;
        }
        None => {
            let mut text = vec![];
            write(format, series, &detection, &mut text).or_fail(Kind::Output)?;
            print_data(&text)?;
        }
    }
    note(
        quiet,
        format_args!(
            "{} of {} windows are anomalous (mean absolute error above {} standard deviations), and {} of {} points",
            detection.windows.len(),
            detection.errors.len(),
            detection.threshold.value(),
            detection.points.len(),
            series.len()
        ),
    );
    Ok(())
}

fn write(format: Format, series: &Series, detection: &Detection, out: &mut dyn Write) -> io::Result<()> {
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
