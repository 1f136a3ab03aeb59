//! `glassbox completions` and `glassbox man`

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to print the script for
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder [default: print the page of glassbox itself]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}
