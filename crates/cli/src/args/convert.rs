//! `glassbox convert`

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// Model: .keras, .h5 of Keras 2, safetensors written by glassbox, or, with --weights, JSON from Keras's
    /// `model.to_json()`
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,

    /// File to write: NAME.keras, NAME.weights.h5 (weights and optimizer state), NAME.json (architecture), NAME.onnx
    /// (predictions, for other programs), else safetensors
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,

    /// Take the weights from this file: .weights.h5, .keras, or safetensors with tensors {layer}.kernel and {layer}.bias
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,

    /// Input length in steps, for an architecture that leaves it open
    #[arg(long, value_name = "N")]
    pub(crate) time_steps: Option<usize>,

    /// Limit on what the compressed content of a file may unpack to, in MiB. Files of Keras are not compressed
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) max_unpacked: usize,

    /// Print only errors
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Print a JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}
