//! `adit completion`: the script that completes commands and options.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Exit, say};
use crate::cli::Cli;

pub(super) fn run(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "adit", &mut script);
    say(&String::from_utf8_lossy(&script));
    Exit::Fine
}
