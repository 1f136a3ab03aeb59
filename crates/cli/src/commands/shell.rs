//! `glassbox completions` and `glassbox man`, both generated from the definitions of the arguments.

use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use glassbox_formats::atomic;

use super::{print, print_data};
use crate::args::{self, CompletionsArgs, ManArgs};
use crate::failure::{Failure, Kind, OrFail as _};

const NAME: &str = "glassbox";

pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut args::command(), NAME, &mut script);
    print_data(&script)
}

pub(crate) fn man(args: &ManArgs) -> Result<(), Failure> {
    // Built: each subcommand then knows its whole name.
    let mut command = args::command();
    command.build();
    match &args.out {
        None => {
            let mut page = vec![];
            Man::new(command).render(&mut page).or_fail(Kind::Output)?;
            print_data(&page)
        }
        Some(folder) => pages(&command, folder),
    }
}

/// The page of a command and, below it, those of its subcommands: `glassbox-data-fetch.1`.
fn pages(command: &Command, folder: &Path) -> Result<(), Failure> {
    let man = Man::new(command.clone());
    let path = folder.join(man.get_filename());
    atomic::write_with(&path, |out| man.render(out)).or_fail(Kind::Output)?;
    print(&format!("{}\n", path.display()))?;
    let mut subcommands = command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help");
    subcommands.try_for_each(|subcommand| pages(subcommand, folder))
}
