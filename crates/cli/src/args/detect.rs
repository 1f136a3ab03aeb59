//! `glassbox detect` and `glassbox predict`

use std::path::PathBuf;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Args, ValueEnum};
use glassbox_pipeline::detection::PointRule;
use glassbox_pipeline::rows::{Adaptive, ThresholdRule};

use super::shared::{BadRowsArgs, ColumnArgs, ComputeArgs, one_of, point_rules};

#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// CSV file with the series: a timestamp and a value in each row; - is standard input
    #[arg(value_name = "CSV")]
    pub(crate) input: PathBuf,

    /// Model file written by `glassbox train` or `glassbox tutorial`, also as .keras
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,

    /// Output format
    #[arg(long, value_enum, default_value_t, conflicts_with = "json")]
    format: Format,

    /// Print the result as a JSON object and nothing else, as --format json does
    #[arg(long)]
    json: bool,

    /// Output file [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Write a page about the result too, to open in a browser: one HTML file that loads nothing (--rule rows)
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Rule for anomalous rows
    #[arg(long, default_value = "rows", value_parser = rule())]
    pub(crate) rule: Rule,

    /// Threshold. For --rule rows, of the scores of rows: `max` (the largest training score, the default),
    /// `quantile:Q` (that quantile of the training scores, such as 0.999), `robust-z:Z` (Z standard deviations above
    /// the median, estimated by the median absolute deviation), or `peaks:RATE` (for that rate of false alarms, such as
    /// 1e-4, by a fit of the largest training scores); or one that follows the scores, row by row: `adaptive-peaks:RATE`,
    /// `adaptive-drift:RATE:ROWS` (the same relative to the median of the last ROWS scores), `adaptive-quantile:Q:ROWS` or
    /// `adaptive-robust-z:Z:ROWS` (of the last ROWS scores). For the other rules, a number: the mean absolute error above which
    /// a window is anomalous, in standard deviations of the training series [default: that of the model file]
    #[arg(long, value_name = "THRESHOLD", value_parser = threshold)]
    pub(crate) threshold: Option<ThresholdChoice>,

    /// Write only the anomalous rows (--rule rows)
    #[arg(long)]
    pub(crate) only_anomalies: bool,

    /// Resample a series with another sampling step to that of the training series: the mean of the rows in a longer
    /// step, straight lines between rows for a shorter one (--rule rows)
    #[arg(long)]
    pub(crate) resample: bool,

    #[command(flatten)]
    pub(crate) bad_rows: BadRowsArgs,

    #[command(flatten)]
    pub(crate) columns: ColumnArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// Print only the result and errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl DetectArgs {
    /// The output format: `--json` is short for `--format json`.
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    /// Returns true if only the result is to be printed, as always with JSON.
    pub(crate) fn quiet(&self) -> bool {
        self.quiet || self.format() == Format::Json
    }
}

/// Output format of `detect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// CSV. By --rule rows a row for each row: timestamp,value,score,live_score,verdict,reason; by the other rules one for
    /// each anomalous point: index,timestamp,value
    #[default]
    Csv,
    /// CSV, a row for each window: window,first_timestamp,last_timestamp,mae,anomalous (not by --rule rows)
    Windows,
    /// JSON object with counts, rows or windows, and the threshold
    Json,
}

/// Rule for anomalous rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A score for each row.
    Rows,
    /// A rule of the tutorial.
    Points(PointRule),
}

fn rule() -> impl TypedValueParser<Value = Rule> {
    let rows = "A row is anomalous if its score is above the threshold; the score is from the errors of the row and of \
                its windows, relative to training. Judges all rows, and no window runs across a gap";
    let mut rules = vec![(Rule::Rows, PossibleValue::new("rows").help(rows))];
    rules.extend(point_rules().map(|(rule, name)| (Rule::Points(rule), name)));
    one_of(rules)
}

/// Threshold of scores or of window errors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ThresholdChoice {
    /// A rule for the scores of rows.
    Scores(ThresholdRule),
    /// A mean absolute error.
    Error(f64),
}

pub(super) fn threshold(text: &str) -> Result<ThresholdChoice, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let number = |text: &str| text.parse::<f64>().ok();
    let rows = |text: &str| text.parse::<usize>().ok();
    let rule = match parts[..] {
        ["max"] => Some(ThresholdRule::Max),
        ["quantile", quantile] => number(quantile).map(ThresholdRule::Quantile),
        ["robust-z", z] => number(z).map(ThresholdRule::RobustZ),
        ["peaks", rate] => number(rate).map(ThresholdRule::Peaks),
        ["adaptive-peaks", rate] => number(rate).map(|rate| Adaptive::Peaks { rate }.into()),
        ["adaptive-drift", rate, of] => {
            number(rate).zip(rows(of)).map(|(rate, rows)| Adaptive::Drift { rate, rows }.into())
        }
        ["adaptive-quantile", quantile, of] => number(quantile)
            .zip(rows(of))
            .map(|(quantile, rows)| Adaptive::Quantile { quantile, rows }.into()),
        ["adaptive-robust-z", z, of] => {
            number(z).zip(rows(of)).map(|(z, rows)| Adaptive::RobustZ { z, rows }.into())
        }
        _ => None,
    };
    let choice = rule.map(ThresholdChoice::Scores).or_else(|| number(text).map(ThresholdChoice::Error));
    choice.ok_or_else(|| {
        "expected max, quantile:Q, robust-z:Z, peaks:RATE, adaptive-peaks:RATE, adaptive-drift:RATE:ROWS, \
         adaptive-quantile:Q:ROWS, adaptive-robust-z:Z:ROWS or, for --rule published or inclusive, a number"
            .into()
    })
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Normalised windows: .npy file of shape (n, steps, channels) or (n, units); once for each input of the model
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) input: Vec<PathBuf>,

    /// Output file for the predictions: .npy, float32; once for each output of the model
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) output: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// Print only errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// The model to predict with.
#[derive(Debug, Args)]
#[group(id = "model_source", required = true, multiple = true)]
pub(crate) struct ModelArgs {
    /// Model file: .keras, or safetensors written by glassbox
    #[arg(long, value_name = "FILE", conflicts_with_all = ["architecture", "weights"])]
    pub(crate) model: Option<PathBuf>,

    /// Architecture: JSON from Keras's `model.to_json()`, or a .keras file
    #[arg(long, value_name = "FILE", requires = "weights")]
    pub(crate) architecture: Option<PathBuf>,

    /// Weights for --architecture: safetensors with tensors {layer}.kernel and {layer}.bias, .weights.h5 or .keras
    #[arg(long, value_name = "FILE", requires = "architecture")]
    pub(crate) weights: Option<PathBuf>,
}
