//! The command `glassbox`: arguments in, exit codes and JSON out. What it does is in the crates below.

#![forbid(unsafe_code)]

mod args;
mod arrays;
mod commands;
mod device;
mod failure;
mod files;
mod interrupt;
mod options;
mod plot;
mod progress;
mod terminal;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let cli = args::parse();
    let done = match cli.command {
        None => commands::tutorial::run(&cli.tutorial),
        Some(Command::Tutorial(args)) => commands::tutorial::run(&args),
        Some(Command::Report(args)) => commands::report::run(&args),
        Some(Command::Replicate(args)) => commands::replicate::run(&args),
        Some(Command::Nab { command }) => commands::nab::run(&command),
        Some(Command::Train(args)) => commands::train::run(&args),
        Some(Command::FitArrays(args)) => commands::fit_arrays::run(&args),
        Some(Command::Detect(args)) => commands::detect::run(&args),
        Some(Command::Watch(args)) => commands::watch::run(&args),
        Some(Command::Predict(args)) => commands::predict::run(&args),
        Some(Command::Convert(args)) => commands::convert::run(&args),
        Some(Command::Summary(args)) => commands::summary::run(&args),
        Some(Command::Gradcheck(args)) => commands::gradcheck::run(&args),
        Some(Command::Profile(args)) => commands::profile::run(&args),
        Some(Command::Devices(args)) => commands::devices::run(&args),
        Some(Command::Data { command }) => commands::data::run(&command),
        Some(Command::Completions(args)) => commands::shell::completions(&args),
        Some(Command::Man(args)) => commands::shell::man(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::error(&failure.to_string());
            failure.code()
        }
    }
}
