//! The command line: names, options and their help.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::commands::bench;

/// One level entrance: routes, TLS and exposure policy for a LAN edge box or a small cluster.
#[derive(Debug, Parser)]
#[command(name = "adit", version, propagate_version = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve what the configuration says.
    ///
    /// The configuration is watched: a change takes hold within a second, and one with an error
    /// changes nothing. SIGHUP reads it at once and opens the access log anew; SIGTERM or Ctrl-C
    /// drains and stops; a second signal ends everything at once.
    #[command(after_help = RUN)]
    Run(RunArgs),
    /// Show adit at work: an embedded configuration, embedded backends, unprivileged ports.
    ///
    /// Nothing is installed or left behind. The lines that it prints can be pasted into another
    /// terminal. Ctrl-C ends it.
    #[command(after_help = DEMO)]
    Demo(DemoArgs),
    /// Read the configuration and report every error at once.
    ///
    /// Certificates are loaded as a start would load them. Nothing is bound, and the running adit is
    /// not touched. Errors go to standard error, each with its place, what is allowed and the way
    /// out; docs/errors has a page for each code.
    #[command(after_help = CHECK)]
    Check(CheckArgs),
    /// Walk a request through listener, TLS name, policy and route, and say what would answer it.
    ///
    /// Reads the configuration and decides with the functions of the running adit, but sends
    /// nothing, asks no backend and does not touch the running adit.
    #[command(after_help = EXPLAIN)]
    Explain(ExplainArgs),
    /// Ask the running adit how it is.
    ///
    /// Hosts and who may see them, listeners, rates and errors, and what is not as it should be.
    #[command(after_help = STATUS)]
    Status(StatusArgs),
    /// Measure: loads, origins, and adit beside other proxies.
    #[command(after_help = bench::BENCH)]
    Bench(bench::BenchArgs),
    /// Print the completion script of a shell.
    #[command(after_help = COMPLETION)]
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// Print the version.
    Version(OutputArgs),
}

const EXAMPLES: &str = "\
Examples:
  adit demo                                    see it work, without a file and without privileges
  adit check /etc/adit/adit.yaml               what is wrong with the file
  adit explain https://www.example.com/ --from lan
  adit run --state-dir /var/lib/adit

Exit codes: 0 fine, 1 it failed while it ran, 2 wrong usage, 3 the configuration has errors,
4 it has warnings and --strict was given.";

const RUN: &str = "\
Examples:
  adit run --config /etc/adit/adit.yaml --state-dir /var/lib/adit
  adit run --state-dir /var/lib/adit --take-over     upgrade: the running one hands over and drains

Exit codes: 0 stopped when told to, 1 it failed (a port is taken, a directory cannot be used),
2 wrong usage, 3 the configuration has errors and there is no last good one.";

const DEMO: &str = "\
Examples:
  adit demo                 ports 8080, 8081, 8443, 8444 and 9090 of 127.0.0.1
  adit demo --port 18080    18080, 18081, 18443, 18444 and 19090
  adit demo --port 0        whatever is free";

const CHECK: &str = "\
Examples:
  adit check                        the file of ADIT_CONFIG, or /etc/adit/adit.yaml
  adit check --strict adit.yaml     for CI: warnings count
  adit check -o json adit.yaml | jq '.diagnostics[] | {code, line, message}'
  adit check --schema > adit.schema.json

Exit codes: 0 valid, 2 wrong usage, 3 errors, 4 warnings and --strict.";

const EXPLAIN: &str = "\
Examples:
  adit explain https://www.example.com/ --from webs
  adit explain https://www.example.com/ --from internet --client 203.0.113.7
  adit explain http://www.example.com/up --from lan --method POST --header 'Content-Length: 5000000'

Exit codes: 0 for every verdict, 2 for a question that cannot be asked, 3 the configuration has
errors.";

const STATUS: &str = "\
Examples:
  adit status
  adit status --admin 127.0.0.1:9090
  adit status -o json | jq .phase

Exit codes: 0 it serves, and serves the newest configuration; 1 it does not, or does not answer.";

const COMPLETION: &str = "\
Examples:
  adit completion bash > /etc/bash_completion.d/adit
  adit completion zsh > /usr/local/share/zsh/site-functions/_adit
  adit completion fish > ~/.config/fish/completions/adit.fish";

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
    /// Where the last good configuration and the secrets of TLS sessions are kept.
    ///
    /// Without it a start with a broken configuration serves nothing, and --take-over does not work.
    #[arg(long, value_name = "DIR", env = "STATE_DIRECTORY")]
    pub state_dir: Option<PathBuf>,
    /// Written when serving: the listeners and their addresses as JSON.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Take the sockets over from the adit that runs with the same state directory.
    ///
    /// The other one drains once this one is ready, and serves on if this one fails.
    #[arg(long, requires = "state_dir")]
    pub take_over: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DemoArgs {
    /// First of the ports; the others lie 1, 363, 364 and 1010 above it. 0 takes free ones.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Written when serving: the listeners and their addresses as JSON.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CheckArgs {
    /// Configuration file, or a directory of *.yaml files that are read as one.
    #[arg(
        value_name = "FILE|DIR",
        env = "ADIT_CONFIG",
        default_value = "/etc/adit/adit.yaml"
    )]
    pub config: PathBuf,
    /// Show every limit with its value and where it comes from.
    #[arg(long)]
    pub limits: bool,
    /// Warnings count: exit with 4.
    #[arg(long)]
    pub strict: bool,
    /// Print the JSON Schema of the configuration, for editors, and read nothing.
    #[arg(long)]
    pub schema: bool,
    /// Print the reference of every key as Markdown, and read nothing.
    #[arg(long, conflicts_with = "schema")]
    pub reference: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The URL, such as `https://www.example.test/path`.
    pub url: String,
    /// The listener through which the request comes, by name or by role (`lan`, `internet`).
    #[arg(long, value_name = "LISTENER")]
    pub from: String,
    /// The client's address; else one is assumed that `allow` and `from` let in.
    #[arg(long, value_name = "ADDRESS")]
    pub client: Option<IpAddr>,
    /// The method of the request.
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// A header field of the request, `Name: value`; may be repeated.
    #[arg(long = "header", value_name = "FIELD")]
    pub headers: Vec<String>,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct StatusArgs {
    /// The admin listener, such as 127.0.0.1:9090; else the one that the configuration names.
    #[arg(long, value_name = "HOST:PORT")]
    pub admin: Option<String>,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}
