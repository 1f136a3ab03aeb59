//! `glassbox summary`, `glassbox gradcheck`, `glassbox profile` and `glassbox devices`

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, TypedValueParser};
use glassbox_cpu::Simd;

use super::shared::{ComputeArgs, one_of};

#[derive(Debug, Args)]
pub(crate) struct SummaryArgs {
    #[command(flatten)]
    pub(crate) model: ArchitectureArgs,

    /// Also print the instructions of a training step, one on each line
    #[arg(long)]
    pub(crate) program: bool,

    /// Print a JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    /// Width of the terminal in columns
    #[arg(long, value_name = "N", default_value_t = 80, value_parser = clap::value_parser!(u16).range(44..))]
    pub(crate) columns: u16,
}

#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    /// Print a JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GradcheckArgs {
    #[command(flatten)]
    pub(crate) model: ArchitectureArgs,

    /// Samples in the batch (at most 65536)
    #[arg(long, default_value_t = 3)]
    pub(crate) batch_size: usize,

    /// Seed of the weights, samples, targets and dropout masks
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Check at most N evenly spaced elements of each tensor [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) elements: Option<usize>,

    /// Number of threads (at most 1024) [default: one for each core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,

    /// Print a JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// The model to inspect.
#[derive(Debug, Args)]
pub(crate) struct ArchitectureArgs {
    /// Model: a .keras file, JSON from Keras's `model.to_json()`, or a model file written by glassbox (safetensors)
    /// [default: the tutorial's model]
    #[arg(long, visible_alias = "model", value_name = "FILE")]
    pub(crate) architecture: Option<PathBuf>,

    /// Input length in steps, for the tutorial's model or an architecture without a fixed length [default for the
    /// tutorial's model: 288; for gradcheck 16, because 288 would take minutes and test the same kernels]
    #[arg(long, value_name = "N")]
    pub(crate) time_steps: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// Model to train: a .keras file or a model file written by glassbox (safetensors), whose weights are the start, or
    /// JSON from Keras's `model.to_json()` [default: the tutorial's model]
    #[arg(long, visible_alias = "architecture", value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,

    /// Window length in steps, for an architecture without a fixed length [default: that of the model; for the tutorial's,
    /// 288]
    #[arg(long, value_name = "N")]
    pub(crate) time_steps: Option<usize>,

    /// Windows in a batch (at most 65536)
    #[arg(long, default_value_t = 128)]
    pub(crate) batch_size: usize,

    /// Number of training steps to time part by part, and as many again as a whole (at most 65536)
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) steps: usize,

    /// Seed of the initial weights, dropout masks and data
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// CPU instruction set [default: $GLASSBOX_SIMD, else the best one available]
    #[arg(long, value_name = "PATH", value_parser = simd())]
    pub(crate) simd: Option<Simd>,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// On a GPU: do not profile the CPU for comparison
    #[arg(long)]
    pub(crate) no_cpu: bool,

    /// Print a JSON object instead of a table (fields: docs/profile.md)
    #[arg(long)]
    pub(crate) json: bool,

    /// Also write a roofline plot of the training step as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// Parses an instruction set of the CPU backend.
fn simd() -> impl TypedValueParser<Value = Simd> {
    let named = |simd: Simd| {
        let help = match simd {
            Simd::Avx512 => "AVX-512: 16 values in each register",
            Simd::Avx2 => "AVX2 and FMA: 8 values in each register",
            Simd::Portable => "Plain Rust without intrinsics, for any processor",
            Simd::MatrixMultiply => "Matrix products by the crate `matrixmultiply`, for comparison",
        };
        (simd, PossibleValue::new(simd.name()).help(help))
    };
    one_of(Simd::ALL.map(named).into())
}
