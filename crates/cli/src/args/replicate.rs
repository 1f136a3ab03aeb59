//! `glassbox replicate`

use std::path::PathBuf;

use clap::Args;

use super::shared::{ComputeArgs, OutputArgs, Rule};

#[derive(Debug, Args)]
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

    /// Epochs at most
    #[arg(long, default_value_t = 50)]
    pub(crate) epochs: usize,

    /// Windows in a batch
    #[arg(long, default_value_t = 128)]
    pub(crate) batch_size: usize,

    /// Epochs without a better val_loss after which training stops
    #[arg(long, default_value_t = 5)]
    pub(crate) patience: usize,

    /// Adam's learning rate
    #[arg(long, default_value_t = 0.001)]
    pub(crate) learning_rate: f64,

    /// Which windows a point's verdict asks
    #[arg(long, value_enum, default_value_t)]
    pub(crate) rule: Rule,

    /// Where the results go; seeds that have a row in its runs.csv are not run again
    #[arg(long, value_name = "DIR", default_value = "glassbox-replicate")]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
