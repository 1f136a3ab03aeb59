//! What can be said on the command line. A file for each command or two, and one for what they share.

mod data;
mod detect;
mod inspect;
mod replicate;
mod shared;
mod shell;
mod train;
mod tutorial;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub(crate) use data::DataCommand;
pub(crate) use detect::{DetectArgs, Format, ModelArgs, PredictArgs};
pub(crate) use inspect::{ArchitectureArgs, DevicesArgs, GradcheckArgs, ProfileArgs, SimdPath, SummaryArgs};
pub(crate) use replicate::ReplicateArgs;
pub(crate) use shared::{
    CheckpointArgs, ColumnArgs, ComputeArgs, EarlyStoppingArgs, FitArgs, LossName, Rule,
};
pub(crate) use shell::{CompletionsArgs, ManArgs};
pub(crate) use train::{FitArraysArgs, TrainArgs};
pub(crate) use tutorial::{ReportArgs, TutorialArgs};

/// After every command's help.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a check that was asked for has failed (gradcheck)
  2    the command line makes no sense
  3    an input file, a model or an option cannot be used
  4    training or inference met a number that is not finite
  5    a result could not be written
  6    a download failed
  7    the device that was asked for cannot be used, or failed
  130  interrupted by Ctrl-C; the message says how to go on";

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

/// What this process was told; ends it where that makes no sense, or was a request for help.
pub(crate) fn parse() -> Cli {
    let mut matches = with_negative_numbers(Cli::command()).get_matches();
    Cli::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit())
}

/// Takes `-1` for a value where one is due: what is wrong with it is for the option to say, that knows what it
/// expects.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| {
            let takes = argument.get_action().takes_values() && !argument.is_positional();
            argument.allow_negative_numbers(takes)
        })
        .mut_subcommands(with_negative_numbers)
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

    /// Make the page of a run again, from its results
    ///
    /// Reads the folder that `glassbox tutorial` wrote and writes report.html and plots/ into it: the same page
    /// that the tutorial leaves at its end.
    #[command(after_help = EXIT_CODES)]
    Report(ReportArgs),
    /// Run the tutorial with many seeds and hold it against Keras
    ///
    /// What depends on the seed cannot be equal in two systems with different random generators; it can be
    /// equally distributed. Trains with each seed, several side by side, and compares epochs, threshold, windows,
    /// points and losses with 60 recorded runs of Keras by the test of Kolmogorov and Smirnov. Leaves a row for
    /// each seed, a JSON document, and plots of the distributions in --out.
    ///
    /// The same command again goes on where it was stopped: a seed that has a row is not run again.
    #[command(after_help = EXIT_CODES)]
    Replicate(ReplicateArgs),

    /// Train a detector on a CSV of your own
    ///
    /// Reads `timestamp,value` rows that show normal behaviour, trains an autoencoder on all windows of
    /// --time-steps rows, and writes a model file that carries its scaler and its threshold: all that
    /// `glassbox detect` needs.
    ///
    /// With --checkpoint-dir the run is saved after each epoch; if it is killed, the same command with
    /// --resume goes on and, on the same kind of device and instruction set, ends with the same bits as a run that
    /// was not.
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

    /// List what can compute, and why a device cannot be used
    ///
    /// The CPU and every NVIDIA GPU that the driver sees, and which of them --device auto takes. Without a driver,
    /// without NVRTC (the compiler for CUDA kernels), or with a GPU that is too old, it says so.
    #[command(after_help = EXIT_CODES)]
    Devices(DevicesArgs),

    /// The tutorial's data: where it is, and how to get it
    #[command(after_help = EXIT_CODES)]
    Data {
        #[command(subcommand)]
        command: DataCommand,
    },

    /// Print a script that completes this command's words in a shell
    ///
    /// For bash: glassbox completions bash > ~/.local/share/bash-completion/completions/glassbox
    #[command(after_help = EXIT_CODES)]
    Completions(CompletionsArgs),

    /// Print the manual page, or write those of all commands
    ///
    /// To read one: glassbox man --out man && man man/glassbox-tutorial.1
    #[command(after_help = EXIT_CODES)]
    Man(ManArgs),
}
