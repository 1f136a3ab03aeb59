//! `glassbox nab`

use std::path::PathBuf;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Args, Subcommand};
use glassbox_lab::nab::Detector;

use super::shared::{ComputeArgs, OutputArgs, one_of};

#[derive(Debug, Subcommand)]
pub(crate) enum NabCommand {
    /// Score the results of a detector, anybody's
    ///
    /// Reads DETECTOR/GROUP/DETECTOR_file.csv of each file of the benchmark, with the columns `timestamp` and
    /// `anomaly_score`, as NAB and `glassbox nab run` write them.
    Score {
        /// Folder of the results, named like the detector
        #[arg(value_name = "FOLDER")]
        results: PathBuf,

        #[command(flatten)]
        benchmark: BenchmarkArgs,

        /// Print the result as a JSON object and nothing else
        #[arg(long)]
        json: bool,
    },

    /// Run a detector on the benchmark, write its results and score them
    ///
    /// Each file is a stream of its own: the detector learns on the first 15 % of its rows (at most 750), then scores
    /// each row before it learns from it. All files have the same settings.
    Run(NabRunArgs),
}

#[derive(Debug, Args)]
#[command(
    mut_arg("device", |device| device.help("Device: auto or cpu. Files run in parallel on the CPU, one thread each")),
    mut_arg("verbose", |verbose| verbose.hide(true))
)]
pub(crate) struct NabRunArgs {
    /// Detector
    #[arg(long, value_name = "NAME", default_value = Detector::Autoencoder.name(), value_parser = detector())]
    pub(crate) detector: Detector,

    /// Output folder; the results are in a subfolder named like the detector, and replace earlier ones
    #[arg(long, value_name = "DIR", default_value = "glassbox-nab")]
    pub(crate) out: PathBuf,

    /// Seed of the initial weights and of the order of training
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) benchmark: BenchmarkArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The files of the benchmark.
#[derive(Debug, Args)]
pub(crate) struct BenchmarkArgs {
    /// `data` folder of a checkout of numenta/NAB [default: $GLASSBOX_NAB]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Anomaly windows of the files [default: labels/combined_windows.json beside the `data` folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
}

/// Parses the name of a detector.
fn detector() -> impl TypedValueParser<Value = Detector> {
    one_of(Detector::ALL.map(|it| (it, PossibleValue::new(it.name()).help(it.description()))).into())
}
