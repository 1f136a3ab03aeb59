//! `glassbox replicate`

use std::path::PathBuf;

use clap::Args;

use super::shared::{ComputeArgs, OutputArgs, TutorialFitArgs};

#[derive(Debug, Args)]
#[command(
    mut_arg("device", |device| device.help("Seeds run side by side on the CPU, one thread each: auto and cpu mean that, \
                                            and a GPU is refused")),
    mut_arg("verbose", |verbose| verbose.hide(true))
)]
pub(crate) struct ReplicateArgs {
    /// Seeds to run: so many from --seed on
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) seeds: usize,

    /// The `data` folder of a checkout of numenta/NAB [else $GLASSBOX_NAB, the cache, the twin of seed 1]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) fit: TutorialFitArgs,

    /// Where the results go: a folder that is empty, or absent, or has results, which are replaced; seeds that have a row in its runs.csv are not run again
    #[arg(long, value_name = "DIR", default_value = "glassbox-replicate")]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
