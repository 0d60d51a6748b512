//! The commands, and what their exit codes mean.

pub(crate) mod bench;
mod check;
mod completion;
mod demo;
mod explain;
mod status;
mod version;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use crate::app;
use crate::cli::{Cli, Command};

/// How a command ended. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked.
    Fine = 0,
    /// Something failed while it ran.
    Failed = 1,
    /// It was called wrongly.
    Usage = 2,
    /// What was checked did not pass: a configuration has errors, a budget was not kept.
    Invalid = 3,
    /// The configuration has warnings, and they count.
    Warnings = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Runs the command.
pub(crate) fn run(cli: Cli) -> Exit {
    match cli.command {
        Command::Run(args) => app::run(&app::Options::from(args)),
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completion { shell } => completion::run(shell),
        Command::Version(args) => version::run(args.output),
    }
}

/// Writes an answer to standard output. Whoever reads may have seen enough (`| head`), which is no
/// failure; the exit code still tells.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

/// Whether colours may be written to standard error.
pub(crate) fn colors_on_stderr() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether colours may be written to standard output.
pub(crate) fn colors_on_stdout() -> bool {
    std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
