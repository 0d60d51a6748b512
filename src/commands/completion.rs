//! `adit completion`: the script that completes commands and options.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Exit;
use crate::cli::Cli;

pub(super) fn run(shell: Shell) -> Exit {
    clap_complete::generate(shell, &mut Cli::command(), "adit", &mut std::io::stdout());
    Exit::Fine
}
