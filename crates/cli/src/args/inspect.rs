//! `glassbox summary`, `glassbox gradcheck`, `glassbox profile` and `glassbox devices`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::shared::ComputeArgs;

#[derive(Debug, Args)]
pub(crate) struct SummaryArgs {
    #[command(flatten)]
    pub(crate) model: ArchitectureArgs,

    /// Also print the training step as the engine runs it, an instruction a line
    #[arg(long)]
    pub(crate) program: bool,

    /// Print a JSON object instead
    #[arg(long)]
    pub(crate) json: bool,

    /// Columns of the terminal that the table is for
    #[arg(long, value_name = "N", default_value_t = 80, value_parser = clap::value_parser!(u16).range(44..))]
    pub(crate) columns: u16,
}

#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    /// Print a JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GradcheckArgs {
    #[command(flatten)]
    pub(crate) model: ArchitectureArgs,

    /// Samples in the batch, 65536 at most
    #[arg(long, default_value_t = 3)]
    pub(crate) batch_size: usize,

    /// Decides weights, samples, targets and dropout masks
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Check no more than N elements of each tensor, evenly spaced [every one]
    #[arg(long, value_name = "N")]
    pub(crate) elements: Option<usize>,

    /// Threads, 1024 at most [one for each core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,

    /// Print a JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

/// A model to look at.
#[derive(Debug, Args)]
pub(crate) struct ArchitectureArgs {
    /// Keras's JSON (`model.to_json()`) or a model file of ours (safetensors) [the tutorial's model]
    #[arg(long, visible_alias = "model", value_name = "FILE")]
    pub(crate) architecture: Option<PathBuf>,

    /// Steps of the input, where the architecture leaves them open, or of the tutorial's model [of that 288; for
    /// gradcheck 16, since its kernels do not depend on the length and the check of a day would take many minutes]
    #[arg(long, value_name = "N")]
    pub(crate) time_steps: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// The model to train: Keras's JSON (`model.to_json()`), or a safetensors file of ours to start from
    /// [the tutorial's model]
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,

    /// Steps of a window [the model's own, or 288]
    #[arg(long, value_name = "N")]
    pub(crate) time_steps: Option<usize>,

    /// Windows in a batch, 65536 at most
    #[arg(long, default_value_t = 128)]
    pub(crate) batch_size: usize,

    /// Training steps to take the medians of: so many with clocks, and as many without; 65536 at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) steps: usize,

    /// Decides initial weights, dropout masks and data
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// The instruction set of the CPU [$GLASSBOX_SIMD, or the best that the processor has]
    #[arg(long, value_enum, value_name = "PATH")]
    pub(crate) simd: Option<SimdPath>,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// On a GPU: do not profile the same steps on the CPU, to stand beside it
    #[arg(long)]
    pub(crate) no_cpu: bool,

    /// Print a JSON object instead; docs/profile.md says what is in it
    #[arg(long)]
    pub(crate) json: bool,

    /// Also draw a roofline plot: each line of the program under the ceilings of its device, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// A path through the CPU backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SimdPath {
    /// AVX-512: 16 values in a register
    Avx512,
    /// AVX2 and FMA: 8 values
    Avx2,
    /// No intrinsics: what the compiler makes of plain code, on any processor
    Portable,
    /// The products of the crate of that name, as a yardstick
    #[value(name = "matrixmultiply")]
    MatrixMultiply,
}
