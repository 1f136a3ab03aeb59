//! `glassbox replicate`

use std::path::PathBuf;

use clap::Args;

use super::shared::{ComputeArgs, OutputArgs, TutorialFitArgs};

#[derive(Debug, Args)]
#[command(
    mut_arg("device", |device| device.help("Device: auto or cpu. Seeds run in parallel on the CPU, one thread each")),
    mut_arg("verbose", |verbose| verbose.hide(true))
)]
pub(crate) struct ReplicateArgs {
    /// Number of seeds, starting at --seed
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) seeds: usize,

    /// `data` folder of a checkout of numenta/NAB [default: $GLASSBOX_NAB, else downloaded files, else the synthetic copy
    /// with seed 1]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// First seed
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) fit: TutorialFitArgs,

    /// Output folder: empty, absent, or with earlier results, which are replaced; seeds that have a row in its runs.csv are skipped
    #[arg(long, value_name = "DIR", default_value = "glassbox-replicate")]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
