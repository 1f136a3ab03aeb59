//! `glassbox watch`

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, TypedValueParser};
use glassbox_pipeline::live::{Format, Lines};
use glassbox_pipeline::rows::ThresholdRule;

use super::detect::{ThresholdChoice, threshold};
use super::shared::{BadRowsArgs, ColumnArgs, ComputeArgs, one_of};

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// CSV with the series: a file, a named pipe, or - for standard input
    #[arg(value_name = "CSV", default_value = "-")]
    pub(crate) input: PathBuf,

    /// Model file written by `glassbox train` or `glassbox tutorial`
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,

    /// Form of the lines
    #[arg(long, default_value = "csv", value_parser = format())]
    pub(crate) format: Format,

    /// The lines to write
    #[arg(long, value_name = "KIND", default_value = "both", value_parser = lines())]
    pub(crate) lines: Lines,

    /// Write only the lines of anomalous rows
    #[arg(long)]
    pub(crate) only_anomalies: bool,

    /// Output file [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Do not end at the end of the file: wait for more rows, until SIGTERM or Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,

    /// Keep in this file how far the watch is. If it is stopped or killed, the same command goes on from there: with
    /// --output without a lost, doubled or changed line; on standard output, lines since the last save come again. A file
    /// is read again from its beginning; standard input may also bring the later rows only
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// Save the state after this many rows; also once a second, and at the end
    #[arg(long, value_name = "ROWS", default_value_t = 10_000, requires = "state")]
    pub(crate) save_every: u64,

    /// Show the series, the scores and the last anomalies on the terminal, until q or Ctrl-C; lines go to --output only
    #[arg(long)]
    pub(crate) plot: bool,

    /// Threshold of the scores: `max` (the largest training score), `quantile:Q` (that quantile of the training scores,
    /// such as 0.999), `robust-z:Z` (Z standard deviations above the median, estimated by the median absolute deviation),
    /// or `peaks:RATE` (for that rate of false alarms, such as 1e-4, by a fit of the largest training scores); or one of the
    /// adaptive forms that `glassbox detect` has
    #[arg(long, value_name = "THRESHOLD", default_value = "max", value_parser = rule)]
    pub(crate) threshold: ThresholdRule,

    #[command(flatten)]
    pub(crate) bad_rows: BadRowsArgs,

    #[command(flatten)]
    pub(crate) columns: ColumnArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// Print only the lines and errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

fn format() -> impl TypedValueParser<Value = Format> {
    let csv = PossibleValue::new("csv").help("CSV with a header");
    let json = PossibleValue::new("json").help("A JSON object in each line");
    one_of(vec![(Format::Csv, csv), (Format::Json, json)])
}

fn lines() -> impl TypedValueParser<Value = Lines> {
    let live = "A line for each row at once, by the window that ends at it";
    let settled =
        "A line for each row once no later window holds it, by all windows that do: what `detect` writes";
    let both = "Both; the first column, `kind`, is live or settled";
    let named = |(lines, name, help)| (lines, PossibleValue::new(name).help(help));
    let all =
        [(Lines::Live, "live", live), (Lines::Settled, "settled", settled), (Lines::Both, "both", both)];
    one_of(all.map(named).into())
}

fn rule(text: &str) -> Result<ThresholdRule, String> {
    match threshold(text) {
        Ok(ThresholdChoice::Scores(rule)) => Ok(rule),
        _ => Err("expected max, quantile:Q, robust-z:Z, peaks:RATE, or an adaptive form of them".into()),
    }
}
