//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// After every command's help.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a check that was asked for has failed (gradcheck)
  2  the command line makes no sense
  3  an input file, a model or an option cannot be used
  4  training or inference met a number that is not finite
  5  a result could not be written
  6  a download failed";

/// An autoencoder one can see inside.
///
/// Reproduces the Keras tutorial "Timeseries anomaly detection using an autoencoder" on an engine written
/// from scratch. Without a command it runs the whole tutorial.
#[derive(Debug, Parser)]
#[command(name = "glassbox", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) tutorial: TutorialArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole tutorial: load, train, find the anomaly (the default)
    ///
    /// Loads the two series, normalises by the training moments, trains the autoencoder on windows of a
    /// day, takes the largest training error as the threshold, and looks for windows and points of the test
    /// series above it. Prints every step with the tutorial's numbers and leaves the results in --out.
    ///
    /// The data is the first of: --data DIR, $GLASSBOX_NAB, files fetched by `glassbox data fetch`, and the
    /// built-in twin, a synthetic copy that needs no download.
    #[command(after_help = EXIT_CODES)]
    Tutorial(TutorialArgs),

    /// Train a detector on a CSV of your own
    ///
    /// Reads `timestamp,value` rows that show normal behaviour, trains an autoencoder on all windows of
    /// --time-steps rows, and writes a model file that carries its scaler and its threshold: all that
    /// `glassbox detect` needs.
    ///
    /// With --checkpoint-dir the run is saved after each epoch; if it is killed, the same command with
    /// --resume goes on and ends with the same bits as a run that was not.
    #[command(after_help = EXIT_CODES)]
    Train(TrainArgs),

    /// Train on an array, for comparing with other systems
    ///
    /// The same training on an .npy array of shape (n, steps, channels), which is both input and target,
    /// with no scaling: given an architecture and start weights of Keras, the losses are those of Keras.
    #[command(after_help = EXIT_CODES)]
    FitArrays(FitArraysArgs),

    /// Find anomalies in a CSV with a trained detector
    ///
    /// Normalises with the detector's own scaler, reconstructs every window, and reports the windows whose
    /// mean absolute error is above the threshold and the points that all their windows agree on.
    #[command(after_help = EXIT_CODES)]
    Detect(DetectArgs),

    /// Reconstruct raw windows: .npy in, .npy out
    #[command(after_help = EXIT_CODES)]
    Predict(PredictArgs),

    /// Print a model as Keras's summary() does
    #[command(after_help = EXIT_CODES)]
    Summary(SummaryArgs),

    /// Hold backpropagation against central differences
    ///
    /// In 64 bits, on the reference backend, with random weights, samples and targets and dropout masks held
    /// still: every weight and every input is moved up and down, and the change of the loss compared with
    /// the gradient. Prints the largest relative error of each tensor; fails if one is above 1e-7.
    #[command(after_help = EXIT_CODES)]
    Gradcheck(GradcheckArgs),

    /// See where the time of a training step goes
    ///
    /// Takes training steps with a clock around each part of them, and others without to hold against the sum of
    /// the parts, and measures what the machine can do: its arithmetic, and its traffic with the cache where a
    /// window's values lie. Prints, for each layer and direction, its time, its work, and how close it comes to
    /// the ceiling that binds it.
    ///
    /// How to read it: a part with a large share of the time and a small one of its ceiling is worth some work.
    /// `glassbox summary --program` shows the instructions that are the lines of the table.
    ///
    /// Times are those of this machine at this moment: quartiles that are far apart say that it was busy.
    #[command(after_help = EXIT_CODES)]
    Profile(ProfileArgs),

    /// The tutorial's data: where it is, and how to get it
    #[command(after_help = EXIT_CODES)]
    Data {
        #[command(subcommand)]
        command: DataCommand,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TutorialArgs {
    /// The `data` folder of a checkout of numenta/NAB [else $GLASSBOX_NAB, the cache, the twin]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Decides initial weights, shuffles, dropout masks (and the twin's noise)
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

    /// Where the results go
    #[arg(long, value_name = "DIR", default_value = "glassbox-out")]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// The training series: CSV with a timestamp and a value in each row
    #[arg(value_name = "CSV")]
    pub(crate) input: PathBuf,

    /// The model to train: Keras's JSON (`model.to_json()`), or a safetensors file of ours to start from
    /// [the tutorial's model]
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,

    /// Rows in a window [the model's own, or 288]
    #[arg(long, value_name = "N")]
    pub(crate) time_steps: Option<usize>,

    /// The model file to write
    #[arg(long, value_name = "FILE", default_value = "model.safetensors")]
    pub(crate) out: PathBuf,

    /// Where the losses go, as {"loss": [...], "val_loss": [...]} [history.json beside the model file]
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) columns: ColumnArgs,

    #[command(flatten)]
    pub(crate) fit: FitArgs,

    #[command(flatten)]
    pub(crate) early_stopping: EarlyStoppingArgs,

    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FitArraysArgs {
    /// Keras's JSON (`model.to_json()`)
    #[arg(long, value_name = "FILE")]
    pub(crate) architecture: PathBuf,

    /// Start weights: safetensors with tensors {layer}.kernel and {layer}.bias [drawn from --seed]
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,

    /// The samples: .npy of shape (n, steps, channels)
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,

    /// Where the losses go, as {"loss": [...], "val_loss": [...]}
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,

    /// Where the trained weights go, named as in --weights
    #[arg(long, value_name = "FILE", default_value = "final.safetensors")]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) fit: FitArgs,

    #[command(flatten)]
    pub(crate) checkpoint: CheckpointArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// The series to look at: CSV with a timestamp and a value in each row
    #[arg(value_name = "CSV")]
    pub(crate) input: PathBuf,

    /// A model file written by `glassbox train` or `glassbox tutorial`
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,

    /// What to write: a row for each anomalous point, for each window, or all of it as JSON
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,

    /// Where to write it [standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Which windows a point's verdict asks
    #[arg(long, value_enum, default_value_t)]
    pub(crate) rule: Rule,

    /// Another threshold than the model's: mean absolute error in standard deviations of the training series
    #[arg(long, value_name = "MAE")]
    pub(crate) threshold: Option<f64>,

    #[command(flatten)]
    pub(crate) columns: ColumnArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// Print nothing but the result and errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Windows: .npy of shape (n, steps, channels), as the model reads them (normalised)
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,

    /// Where the reconstructions go: .npy, float32
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
}

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
pub(crate) struct GradcheckArgs {
    #[command(flatten)]
    pub(crate) model: ArchitectureArgs,

    /// Samples in the batch
    #[arg(long, default_value_t = 3)]
    pub(crate) batch_size: usize,

    /// Decides weights, samples, targets and dropout masks
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Check no more than N elements of each tensor, evenly spaced [every one]
    #[arg(long, value_name = "N")]
    pub(crate) elements: Option<usize>,

    /// Threads [one for each core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,

    /// Print a JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
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

    /// Windows in a batch
    #[arg(long, default_value_t = 128)]
    pub(crate) batch_size: usize,

    /// Training steps to take the medians of: so many with clocks, and as many without
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) steps: usize,

    /// Decides initial weights, dropout masks and data
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// The instruction set [$GLASSBOX_SIMD, or the best that the processor has]
    #[arg(long, value_enum, value_name = "PATH")]
    pub(crate) simd: Option<SimdPath>,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// Print a JSON object instead; docs/profile.md says what is in it
    #[arg(long)]
    pub(crate) json: bool,

    /// Also draw a roofline plot: each line of the program under the ceilings, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Download the two published files into the cache and verify them
    ///
    /// They come from the Numenta Anomaly Benchmark (MIT licence), 280 KB in all. Afterwards
    /// `glassbox tutorial` uses them. Nothing is written unless both files have their known SHA-256.
    Fetch {
        /// Download also what the cache already has
        #[arg(long)]
        force: bool,

        /// Where the files are published
        #[arg(long, value_name = "URL", env = "GLASSBOX_BASE_URL", default_value = glassbox_pipeline::nab::BASE_URL)]
        base_url: String,

        /// Seconds after which a whole download is given up
        #[arg(long, value_name = "SECONDS", default_value_t = 120.0, value_parser = seconds)]
        timeout: f64,
    },

    /// Say which data `glassbox tutorial` would use, and its SHA-256
    Show {
        /// The `data` folder of a checkout of numenta/NAB
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,

        /// Decides the twin's noise
        #[arg(long, default_value_t = 1)]
        seed: u64,

        /// Print a JSON object instead
        #[arg(long)]
        json: bool,
    },

    /// Write the built-in twin of the two files as CSV
    Twin {
        /// Where to: gets NAB's own folders and file names
        #[arg(value_name = "DIR")]
        out: PathBuf,

        /// Decides the noise
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

/// A model to compute with.
#[derive(Debug, Args)]
#[group(id = "model_source", required = true, multiple = true)]
pub(crate) struct ModelArgs {
    /// A model file of ours (safetensors)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["architecture", "weights"])]
    pub(crate) model: Option<PathBuf>,

    /// Keras's JSON (`model.to_json()`)
    #[arg(long, value_name = "FILE", requires = "weights")]
    pub(crate) architecture: Option<PathBuf>,

    /// Its weights: safetensors with tensors {layer}.kernel and {layer}.bias
    #[arg(long, value_name = "FILE", requires = "architecture")]
    pub(crate) weights: Option<PathBuf>,
}

/// A model to look at.
#[derive(Debug, Args)]
pub(crate) struct ArchitectureArgs {
    /// Keras's JSON (`model.to_json()`) or a model file of ours (safetensors) [the tutorial's model]
    #[arg(long, visible_alias = "model", value_name = "FILE")]
    pub(crate) architecture: Option<PathBuf>,

    /// Steps of the input, where the architecture leaves them open, or of the tutorial's model
    #[arg(long, value_name = "N")]
    pub(crate) time_steps: Option<usize>,
}

/// The columns of a CSV.
#[derive(Debug, Args)]
pub(crate) struct ColumnArgs {
    /// The column with the timestamps (RFC 3339 or YYYY-MM-DD HH:MM:SS)
    #[arg(long, value_name = "NAME", default_value = "timestamp")]
    pub(crate) timestamp_column: String,

    /// The column with the values
    #[arg(long, value_name = "NAME", default_value = "value")]
    pub(crate) value_column: String,
}

/// The arguments of Keras's `fit` and of Adam.
#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    /// Epochs at most
    #[arg(long, default_value_t = 50)]
    pub(crate) epochs: usize,

    /// Windows in a batch
    #[arg(long, default_value_t = 128)]
    pub(crate) batch_size: usize,

    /// The fraction of the windows, from the end, that val_loss is taken of
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1)]
    pub(crate) validation_split: f64,

    /// Keep the windows in order
    #[arg(long)]
    pub(crate) no_shuffle: bool,

    /// Decides initial weights, shuffles and dropout masks
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Adam's learning rate
    #[arg(long, default_value_t = 0.001)]
    pub(crate) learning_rate: f64,
}

/// When to stop before all epochs are done.
#[derive(Debug, Args)]
pub(crate) struct EarlyStoppingArgs {
    /// Epochs without a better loss after which training stops
    #[arg(long, default_value_t = 5)]
    pub(crate) patience: usize,

    /// A change of no more than this is no improvement
    #[arg(long, default_value_t = 0.0)]
    pub(crate) min_delta: f64,

    /// Take back the weights of the best epoch when training ends
    #[arg(long)]
    pub(crate) restore_best_weights: bool,

    /// Train all epochs
    #[arg(long, conflicts_with_all = ["patience", "min_delta", "restore_best_weights"])]
    pub(crate) no_early_stopping: bool,
}

/// Saving a run.
#[derive(Debug, Args)]
pub(crate) struct CheckpointArgs {
    /// Save the run in this folder after each epoch
    #[arg(long, value_name = "DIR")]
    pub(crate) checkpoint_dir: Option<PathBuf>,

    /// Go on from the checkpoint in --checkpoint-dir; start anew if there is none yet
    #[arg(long, requires = "checkpoint_dir")]
    pub(crate) resume: bool,
}

/// What computes.
#[derive(Debug, Args)]
pub(crate) struct ComputeArgs {
    /// Threads [one for each core]; the results do not depend on it
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

/// What is printed.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Print the result as a JSON object and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which windows a point's verdict asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Rule {
    /// As the published loop does: all windows that hold the point but the one that starts at it
    #[default]
    Published,
    /// All windows that hold the point
    Inclusive,
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

/// What `detect` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// index,timestamp,value: a row for each anomalous point
    #[default]
    Csv,
    /// window,first,last,mae,anomalous: a row for each window
    Windows,
    /// An object with both, and the threshold
    Json,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 86_400.0 => Ok(value),
        _ => Err("expected seconds above 0, and a day at most".into()),
    }
}
