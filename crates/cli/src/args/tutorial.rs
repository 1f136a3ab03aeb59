//! `glassbox tutorial`

use std::path::PathBuf;

use clap::Args;

use super::shared::{CheckpointArgs, ComputeArgs, OutputArgs, TutorialFitArgs};

#[derive(Debug, Args)]
pub(crate) struct TutorialArgs {
    /// The `data` folder of a checkout of numenta/NAB [else $GLASSBOX_NAB, the cache, the twin]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Decides initial weights, shuffles, dropout masks (and the twin's noise)
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) fit: TutorialFitArgs,

    /// Afterwards try what people suggest to improve the tutorial, each over several seeds, and say what helps:
    /// 14 variants in study.json and study.csv. Its trainings run side by side on the CPU, one thread each, whatever
    /// --device says. Takes about six minutes on two cores
    #[arg(long)]
    pub(crate) study: bool,

    /// Seeds of the study, from --seed on
    #[arg(
        long,
        value_name = "N",
        requires = "study",
        default_value_t = glassbox_lab::study::DEFAULT_SEEDS as u64,
        value_parser = clap::value_parser!(u64).range(1..=glassbox_lab::study::MOST_SEEDS as u64),
    )]
    pub(crate) study_seeds: u64,

    /// Where the results go: a folder that is empty, or absent, or has results, which are replaced
    #[arg(long, value_name = "DIR", default_value = "glassbox-out")]
    pub(crate) out: PathBuf,

    /// Write no page and no plots, and do not look inside of the model
    #[arg(long, conflicts_with = "open")]
    pub(crate) no_report: bool,

    /// Open the page when it is written
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
    /// The folder that `glassbox tutorial` wrote its results into
    #[arg(value_name = "RESULT_DIR", default_value = "glassbox-out")]
    pub(crate) dir: PathBuf,

    /// Open the page when it is written
    #[arg(long)]
    pub(crate) open: bool,

    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}
