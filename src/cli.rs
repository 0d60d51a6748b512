//! The command line: names, options and their help.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// One level entrance: routes, TLS and exposure policy for a LAN edge box or a small cluster.
#[derive(Debug, Parser)]
#[command(name = "adit", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve what the configuration says.
    Run(RunArgs),
    /// Show adit at work: an embedded configuration, embedded backends, unprivileged ports.
    Demo(DemoArgs),
    /// Read the configuration and report every error at once.
    Check(CheckArgs),
    /// Walk a request through listener, TLS name, policy and route, and say what would answer it.
    Explain(ExplainArgs),
    /// Ask the running adit how it is.
    Status(StatusArgs),
    /// Print the completion script of a shell.
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// Print the version.
    Version(OutputArgs),
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArgs {
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file, or a directory of *.yaml files that are read as one.
    #[arg(
        short,
        long,
        value_name = "FILE|DIR",
        env = "ADIT_CONFIG",
        default_value = "/etc/adit/adit.yaml"
    )]
    pub config: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where the last good configuration and the ticket secrets are kept.
    #[arg(long, value_name = "DIR", env = "STATE_DIRECTORY")]
    pub state_dir: Option<PathBuf>,
    /// Written when serving: the listeners and their addresses as JSON.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Take the listening sockets and ticket secrets over from the adit that runs with the same
    /// state directory; it drains once this one is ready.
    #[arg(long, requires = "state_dir")]
    pub take_over: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DemoArgs {
    /// First of the ports to use; 0 takes free ones.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Written when serving: the listeners and their addresses as JSON.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CheckArgs {
    /// Configuration file or directory.
    #[arg(value_name = "FILE|DIR", env = "ADIT_CONFIG", default_value = "/etc/adit/adit.yaml")]
    pub config: PathBuf,
    /// Show every limit with its value and where it comes from.
    #[arg(long)]
    pub limits: bool,
    /// Warnings count: exit with 4.
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The URL, such as https://www.example.test/path.
    pub url: String,
    /// The listener through which the request comes, or `lan` or `internet` for the first of that role.
    #[arg(long, value_name = "LISTENER")]
    pub from: String,
    /// The client's address.
    #[arg(long, value_name = "ADDRESS")]
    pub client: Option<IpAddr>,
    /// The method.
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// A header field, `Name: value`; may be repeated.
    #[arg(long = "header", value_name = "FIELD")]
    pub headers: Vec<String>,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct StatusArgs {
    /// The admin listener, such as http://127.0.0.1:9090; else the one that the configuration names.
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}
