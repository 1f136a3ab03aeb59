//! `glassbox tutorial`

use std::path::PathBuf;

use clap::Args;

use super::shared::{CheckpointArgs, ComputeArgs, OutputArgs, TutorialFitArgs};

#[derive(Debug, Args)]
pub(crate) struct TutorialArgs {
    /// `data` folder of a checkout of numenta/NAB [default: $GLASSBOX_NAB, else downloaded files, else the synthetic copy]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Seed of the initial weights, shuffling and dropout masks (and of the noise in the synthetic copy)
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// The model: `conv`, the tutorial's; `lstm`, an autoencoder of recurrent layers; or a .keras file or one with the
    /// output of Keras's `model.to_json()`, any autoencoder of windows of 288 steps and one channel, which is trained from
    /// the beginning as the tutorial's is, however it was compiled. Not with --study, which trains variants of the tutorial's
    #[arg(long, value_name = "MODEL", default_value = "conv", conflicts_with = "study")]
    pub(crate) model: PathBuf,

    #[command(flatten)]
    pub(crate) fit: TutorialFitArgs,

    /// Afterwards, train 17 commonly suggested variants of the tutorial with several seeds each, models of dense and of LSTM
    /// layers among them, and report which ones help (study.json, study.csv). Runs in parallel on the CPU, whatever
    /// --device says; takes about ten minutes on two cores
    #[arg(long)]
    pub(crate) study: bool,

    /// Number of seeds of the study, starting at --seed
    #[arg(
        long,
        value_name = "N",
        requires = "study",
        default_value_t = glassbox_lab::study::DEFAULT_SEEDS as u64,
        value_parser = clap::value_parser!(u64).range(1..=glassbox_lab::MOST_SEEDS as u64),
    )]
    pub(crate) study_seeds: u64,

    /// Output folder: empty, absent, or with earlier results, which are replaced
    #[arg(long, value_name = "DIR", default_value = "glassbox-out")]
    pub(crate) out: PathBuf,

    /// Skip the page, the plots, and the analysis of the model's internals
    #[arg(long, conflicts_with = "open")]
    pub(crate) no_report: bool,

    /// Open the page in a browser
    #[arg(long)]
    pub(crate) open: bool,

    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Results folder written by `glassbox tutorial`
    #[arg(value_name = "RESULT_DIR", default_value = "glassbox-out")]
    pub(crate) dir: PathBuf,

    /// Open the page in a browser
    #[arg(long)]
    pub(crate) open: bool,

    /// Print only errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}
