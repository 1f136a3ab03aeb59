//! The command line. A file for each command or two, one for the options they share, one for mistakes.

mod convert;
mod data;
mod detect;
mod inspect;
mod mistakes;
mod nab;
mod replicate;
mod shared;
mod shell;
mod train;
mod tutorial;
mod watch;

use std::ffi::OsString;

use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub(crate) use convert::ConvertArgs;
pub(crate) use data::DataCommand;
pub(crate) use detect::{DetectArgs, Format, ModelArgs, PredictArgs, Rule, ThresholdChoice};
pub(crate) use inspect::{ArchitectureArgs, DevicesArgs, GradcheckArgs, ProfileArgs, SummaryArgs};
pub(crate) use nab::{BenchmarkArgs, NabCommand, NabRunArgs};
pub(crate) use replicate::ReplicateArgs;
pub(crate) use shared::{CheckpointArgs, ColumnArgs, ComputeArgs, EarlyStoppingArgs, FitArgs, ReduceLrArgs};
pub(crate) use shell::{CompletionsArgs, ManArgs};
pub(crate) use train::{FitArraysArgs, TrainArgs};
pub(crate) use tutorial::{ReportArgs, TutorialArgs};
pub(crate) use watch::WatchArgs;

/// The end of `glassbox --help`.
const EXIT_CODES: &str = "\
Exit codes:
  0    success
  1    a requested check failed (gradcheck)
  2    the command line is invalid
  3    an input file, a model or an option cannot be used
  4    training or inference produced NaN or infinity
  5    an output could not be written
  6    a download failed
  7    the requested device cannot be used, or it failed
  130  interrupted by Ctrl-C or SIGTERM; the message says how to continue";

/// The end of the help of every other command.
const SEE_EXIT_CODES: &str = "Exit codes: see `glassbox --help`.";

/// An autoencoder one can see inside.
///
/// Reproduces the Keras tutorial "Timeseries anomaly detection using an autoencoder" on a numeric engine written from
/// scratch. Without a command, glassbox runs the whole tutorial.
#[derive(Debug, Parser)]
#[command(name = "glassbox", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) tutorial: TutorialArgs,
}

/// Parses the command line of this process. Exits if it is invalid, or asks for help.
pub(crate) fn parse() -> Cli {
    let mut command = command();
    let words = command_first(&command, std::env::args_os().collect());
    let parsed = command
        .try_get_matches_from_mut(words)
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    parsed.unwrap_or_else(|error| mistakes::explain(error, &mut command).exit())
}

/// The definition of the whole command line.
pub(crate) fn command() -> clap::Command {
    with_negative_numbers(Cli::command()).mut_subcommands(complete)
}

/// Adds what every subcommand has.
fn complete(subcommand: clap::Command) -> clap::Command {
    with_negative_numbers(subcommand).after_help(SEE_EXIT_CODES).mut_subcommands(complete)
}

/// Takes `-1` as a value where an option needs one. The option knows what it expects, and says so.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| {
        let takes = argument.get_action().takes_values() && !argument.is_positional();
        argument.allow_negative_numbers(takes)
    })
}

/// Moves a command before the options that precede it: `glassbox --threads 1 profile` becomes
/// `glassbox profile --threads 1`. The command then accepts or refuses them.
fn command_first(command: &clap::Command, mut words: Vec<OsString>) -> Vec<OsString> {
    let mut at = 1;
    while let Some(word) = words.get(at).and_then(|word| word.to_str()) {
        if let Some(mut found) = command.find_subcommand(word) {
            let mut end = at + 1;
            // `data` has commands of its own.
            while let Some(inner) =
                words.get(end).and_then(|word| word.to_str()).and_then(|word| found.find_subcommand(word))
            {
                (found, end) = (inner, end + 1);
            }
            words[1..end].rotate_right(end - at);
            break;
        }
        let Some(length) = words_of_option(command, word) else { break };
        at += length;
    }
    words
}

/// The number of words of an option, its value included. `None` if the command has no such option.
fn words_of_option(command: &clap::Command, word: &str) -> Option<usize> {
    let (name, has_value) = word.split_once('=').map_or((word, false), |(name, _)| (name, true));
    let is_named = |argument: &&clap::Arg| match name.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => argument.get_short().is_some_and(|short| *name == format!("-{short}")),
    };
    let argument = command.get_arguments().find(is_named)?;
    let next_is_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) && !has_value;
    Some(if next_is_value { 2 } else { 1 })
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole tutorial: load, train, detect (the default)
    ///
    /// Loads the two series, normalises them by the mean and standard deviation of the training series, trains the
    /// autoencoder on windows of one day, and takes the largest training error as the threshold. Windows and points of
    /// the test series above the threshold are anomalous. Prints the numbers of every step and writes the results to
    /// --out.
    ///
    /// The data comes from --data DIR, else from $GLASSBOX_NAB, else from the files that `glassbox data fetch`
    /// downloaded, else from the built-in synthetic copy (no download needed).
    Tutorial(TutorialArgs),

    /// Rebuild the page of a tutorial run from its results
    ///
    /// Reads the folder that `glassbox tutorial` wrote and writes report.html and plots/ into it, as the tutorial does
    /// at its end.
    Report(ReportArgs),

    /// Run the tutorial with many seeds and compare the results with Keras
    ///
    /// Two systems with different random generators cannot give the same numbers for one seed, but their results can
    /// have the same distribution. Trains with each seed, several at a time, and compares epochs, threshold, windows,
    /// points and losses with 60 recorded Keras runs (Kolmogorov-Smirnov test). Writes a CSV row for each seed, a JSON
    /// document, and plots of the distributions to --out.
    ///
    /// If interrupted, run the same command again: seeds that already have a row are skipped.
    Replicate(ReplicateArgs),

    /// Judge detectors on the Numenta Anomaly Benchmark
    ///
    /// Runs a detector online on the 58 labelled series of NAB, or takes the results of any detector, and computes
    /// NAB's score under its three profiles, as NAB's own scorer does.
    Nab {
        #[command(subcommand)]
        command: NabCommand,
    },

    /// Train an anomaly detector on your own CSV
    ///
    /// Reads `timestamp,value` rows of normal behaviour, trains an autoencoder on all windows of --time-steps rows, and
    /// writes a model file with the weights, the scaler and the calibration: everything that `glassbox detect` needs. No
    /// window runs across a gap.
    ///
    /// With --checkpoint-dir, the run is saved after each epoch. If it is killed, the same command with --resume
    /// continues it. On the same kind of device and instruction set, the result is bit-identical to that of an
    /// uninterrupted run.
    Train(TrainArgs),

    /// Train on a .npy array, to compare with other systems
    ///
    /// Trains on an array of shape (n, steps, channels) that is both input and target, without scaling. With the
    /// architecture and the initial weights of a Keras model, the losses are those of Keras.
    FitArrays(FitArraysArgs),

    /// Find anomalies in a CSV with a trained detector
    ///
    /// Normalises the series with the detector's scaler, reconstructs every window, and gives each row a score and a
    /// verdict. `score` uses all windows that hold the row, `live_score` only the one that ends at it. Above 1 a row is
    /// anomalous. A row is not judged if it has no usable value, or if it is in a stretch between gaps that is shorter than a
    /// window. --rule published and --rule inclusive judge points as the tutorial does.
    ///
    /// No window runs across a gap. A series with another sampling step than the training series is refused, or resampled
    /// with --resample.
    Detect(DetectArgs),

    /// Judge the rows of a series as they arrive
    ///
    /// Reads a CSV from a pipe or a file and writes two lines for each row. The live line comes at once: `live_score` is
    /// that of the window that ends at the row. The settled line comes when no later window holds the row, or at a gap or
    /// at the end of the input: `score` uses all windows that hold it. Both are those of `glassbox detect`, to the bit, and
    /// above 1 the row is anomalous. Memory does not grow with the number of rows.
    ///
    /// No window runs across a gap: rows after it have no live score until a whole window has passed. A series with another
    /// sampling step than the training series is refused after its first 32 rows. With --on-bad-rows skip, rows that cannot
    /// be read are reported and left out too.
    ///
    /// SIGTERM and Ctrl-C end the watch in good order, with exit code 0: all lines are written and the state is saved.
    Watch(WatchArgs),

    /// Reconstruct windows: .npy in, .npy out
    Predict(PredictArgs),

    /// Convert a model between the formats of Keras and glassbox, and to ONNX
    ///
    /// Prints which parts of the model the new file holds, and which have no place in it.
    Convert(ConvertArgs),

    /// Print a model as Keras's summary() does
    Summary(SummaryArgs),

    /// Compare backpropagation with central differences
    ///
    /// Computes in 64 bits on the reference backend, with random weights, samples and targets, and fixed dropout masks.
    /// Moves every weight and every input up and down, and compares the change of the loss with the gradient. Prints
    /// the largest relative error of each tensor. Fails if one is above 1e-7.
    Gradcheck(GradcheckArgs),

    /// Show where the time of a training step goes
    ///
    /// Times each part of a training step, and whole steps for comparison, and measures the machine's limits: its
    /// arithmetic, and its bandwidth to the cache level that holds a window. Prints the time and the work of each layer
    /// and direction, and how close each comes to the limit that applies.
    ///
    /// A part with a large share of the time, far from its limit, is worth optimising. The lines of the table are the
    /// instructions that `glassbox summary --program` prints.
    ///
    /// Timings vary: if the quartiles are far apart, the machine was busy.
    Profile(ProfileArgs),

    /// List the devices, and why one cannot be used
    ///
    /// Lists the CPU, every NVIDIA GPU that the driver reports, and the device that --device auto selects. Reports a
    /// missing driver, a missing NVRTC (the compiler for CUDA kernels), and GPUs that are too old.
    Devices(DevicesArgs),

    /// Download, show or generate the tutorial's data
    Data {
        #[command(subcommand)]
        command: DataCommand,
    },

    /// Print a shell completion script
    ///
    /// For bash: glassbox completions bash > ~/.local/share/bash-completion/completions/glassbox
    Completions(CompletionsArgs),

    /// Print the manual page, or write the pages of all commands
    ///
    /// To read one: glassbox man --out man && man man/glassbox-tutorial.1
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_the_command() {
        for (typed, meant) in [
            ("--threads 1 profile --json", "profile --threads 1 --json"),
            ("--threads=1 -q train x.csv", "train --threads=1 -q x.csv"),
            ("--json --seed 2 data show", "data show --json --seed 2"),
            // The value of an option is no command.
            ("--out profile", "--out profile"),
            ("--out train profile", "profile --out train"),
            // Nothing to move.
            ("profile --threads 1", "profile --threads 1"),
            ("--plot profile", "--plot profile"),
            ("x.csv profile", "x.csv profile"),
            ("--help profile", "--help profile"),
            ("--threads", "--threads"),
        ] {
            let words = |line: &str| -> Vec<OsString> {
                ["glassbox"].into_iter().chain(line.split(' ')).map(OsString::from).collect()
            };
            assert_eq!(command_first(&command(), words(typed)), words(meant), "{typed}");
        }
    }
}
