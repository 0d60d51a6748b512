//! The command line of `adit bench`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::OutputArgs;

pub(crate) const BENCH: &str = "\
Examples:
  adit bench run W1 W2 W4 --peer nginx --peer haproxy
  adit bench run --quick                       everything, in a few minutes
  adit bench run W1 --rounds 9 --save after.json && adit bench compare before.json after.json
  adit bench run --budget bench/must.budget    for CI: exit 3 if one is missed
  adit bench load https://127.0.0.1:8443/ --host www.example.test --insecure -c 32
  adit bench load http://127.0.0.1:8080/ --rate 5000 --seconds 10

Exit codes: 0 fine, 1 something failed while it ran or no round of a row was without errors,
2 wrong usage, 3 a budget was missed, or `compare --strict` found something worse.";

const RUN: &str = "\
Rows: `adit bench list`. W1 is that row, W1* and W6 are all whose names begin so.

The deciding figure is CPU time of the proxy's processes per unit of work: on a machine that does
other things, too, requests per second say who else was at work. Rounds are interleaved; medians
count; a round with any failure, or with more than 2 % of the time stolen, is run again. A round
with failures never counts.

Exit codes: 0 fine, 1 it failed or a row had no good round, 2 wrong usage, 3 a budget was missed.";

const LOAD: &str = "\
Without --rate the load is closed: each connection asks again as soon as it was answered, which
shows what a server can do. With --rate it is open: units begin by the clock whether or not those
before them are done, and latency counts from the moment that was meant.

Exit codes: 0 fine, 1 units failed, 2 wrong usage.";

const AGAINST: &str = "\
Examples:
  adit bench against old=http://127.0.0.1:8080/ new=http://127.0.0.1:8081/ --watch 1201 --watch 1377
  adit bench against https://a.example.test/ https://b.example.test/ --rate 200 --ca ca.pem";

#[derive(Clone, Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub command: BenchCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Run workloads against adit and other proxies, side by side.
    #[command(after_help = RUN)]
    Run(Box<RunSuiteArgs>),
    /// List the workloads.
    List(OutputArgs),
    /// Load any server.
    #[command(after_help = LOAD)]
    Load(Box<LoadArgs>),
    /// Serve what workloads ask for: HTTP/1.1, HTTP/2, plain bytes, and TLS if there is a
    /// certificate.
    Origin(OriginArgs),
    /// Load servers that run already, in turn, and compare them.
    ///
    /// CPU time is the deciding figure if their processes are named; else latency is.
    #[command(after_help = AGAINST)]
    Against(Box<AgainstArgs>),
    /// Draw the results of a run.
    Report(ReportArgs),
    /// What has changed between two runs.
    ///
    /// A difference counts when it is more than 5 % and the Mann-Whitney test gives it a chance of
    /// less than 5 % to be noise.
    Compare(CompareArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RunSuiteArgs {
    /// Rows to run; all without.
    #[arg(value_name = "ROW")]
    pub rows: Vec<String>,
    /// A proxy to compare with, by name or as NAME=PATH: nginx, haproxy, caddy, envoy, traefik,
    /// adit (`adit-old=PATH` is another build). May be repeated. Without: nginx and haproxy, if
    /// they are installed.
    #[arg(long = "peer", value_name = "PEER", value_delimiter = ',')]
    pub peers: Vec<String>,
    /// Compare with nobody.
    #[arg(long, conflicts_with = "peers")]
    pub alone: bool,
    /// The adit that is measured; else this program.
    #[arg(long, value_name = "PATH")]
    pub adit: Option<PathBuf>,
    /// Rounds of each row.
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Seconds of each window.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Seconds before each window.
    #[arg(long, default_value_t = 0.3)]
    pub warmup: f64,
    /// 3 rounds of 1 second, and fewer idle connections.
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    pub quick: bool,
    /// Connections, instead of those of the row.
    #[arg(long)]
    pub connections: Option<usize>,
    /// Let the kernel choose processors. Else the proxy has the first one, origin and generator
    /// the others.
    #[arg(long)]
    pub no_pin: bool,
    /// Count system calls per unit as well, by strace, in one more round.
    #[arg(long)]
    pub syscalls: bool,
    /// Leave out the load without a proxy.
    #[arg(long)]
    pub no_direct: bool,
    /// Write the results as JSON into this file.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Write a page with drawings into this file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// What rows may cost; see docs/performance.md.
    #[arg(long, value_name = "FILE")]
    pub budget: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Speaks {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, by ALPN or prior knowledge.
    Http2,
    /// gRPC: a call with one message.
    Grpc,
    /// WebSocket: a message and its echo.
    WebSocket,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct LoadArgs {
    /// http:// or https://, also ws:// and wss://.
    #[arg(required_unless_present = "plan")]
    pub url: Option<String>,
    #[command(flatten)]
    pub how: HowArgs,
    /// Watch this process and its children: CPU, memory, switches.
    #[arg(long, value_name = "PID")]
    pub watch: Option<u32>,
    /// Where to connect to, instead of the URL's host and port.
    #[arg(long, value_name = "ADDRESS")]
    pub connect: Option<SocketAddr>,
    /// Read everything from a plan, as JSON; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub plan: Option<PathBuf>,
    /// Print the plan that the options make, and do nothing.
    #[arg(long)]
    pub print_plan: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AgainstArgs {
    /// The servers, at least two; NAME=URL gives one a name.
    #[arg(required = true, num_args = 2.., value_name = "URL")]
    pub urls: Vec<String>,
    #[command(flatten)]
    pub how: HowArgs,
    /// Their processes, in the same order.
    #[arg(long = "watch", value_name = "PID")]
    pub watch: Vec<u32>,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Write the results as JSON into this file.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ReportArgs {
    /// Results of a run.
    pub results: PathBuf,
    /// Write a page with drawings into this file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write a drawing into this file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Rows of the drawing; all without.
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    pub rows: Vec<String>,
}

/// How a load is made, whomever it is for.
#[derive(Clone, Debug, Args)]
pub(crate) struct HowArgs {
    /// What is spoken.
    #[arg(long, value_enum, default_value_t = Speaks::Http1)]
    pub protocol: Speaks,
    /// Connections.
    #[arg(short = 'c', long, default_value_t = 32)]
    pub connections: usize,
    /// Streams at once on each HTTP/2 connection.
    #[arg(short = 'm', long, default_value_t = 16)]
    pub streams: usize,
    /// Units per second; else as many as there can be.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Random gaps, as independent clients make them, instead of even ones.
    #[arg(long, requires = "rate")]
    pub poisson: bool,
    /// Seconds that count.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Seconds before.
    #[arg(long, default_value_t = 0.5)]
    pub warmup: f64,
    /// A new connection for each unit.
    #[arg(long)]
    pub churn: bool,
    /// Bytes to send with each request, or of each message.
    #[arg(long, default_value_t = 0)]
    pub upload: u64,
    /// Name for `Host`, `:authority` and TLS, instead of the URL's.
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// More header fields, `Name: value`; may be repeated.
    #[arg(long = "header", value_name = "FIELD")]
    pub headers: Vec<String>,
    /// Take TLS sessions up again.
    #[arg(long)]
    pub resume: bool,
    /// Offer X25519MLKEM768 before X25519.
    #[arg(long)]
    pub post_quantum: bool,
    /// PEM file of the authorities that are believed; else those of the system are not asked, and
    /// --insecure must say so.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<String>,
    /// Believe any certificate.
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
    /// Length that each body must have.
    #[arg(long, value_name = "BYTES")]
    pub expect_length: Option<u64>,
    /// Each body must be the pattern of `adit bench origin`.
    #[arg(long)]
    pub expect_pattern: bool,
    /// Any status is good.
    #[arg(long)]
    pub any_status: bool,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct OriginArgs {
    /// Where HTTP/1.1 is served; HTTP/2 in clear text, plain bytes and TLS are on the ports after
    /// it. Port 0 takes free ones.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub bind: SocketAddr,
    /// PEM file of the certificate for TLS.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// PEM file of its key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// End when standard input ends.
    #[arg(long)]
    pub leash: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CompareArgs {
    /// Results of the run before.
    pub before: PathBuf,
    /// Results of the run after.
    pub after: PathBuf,
    /// Exit with 3 if something got worse.
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}
