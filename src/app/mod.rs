//! `adit run`: from a configuration to a serving process, and back to nothing.
//!
//! Read top to bottom: load, make what outlives generations, start the workers, publish, serve until
//! told to stop. `control` is the loop in between; `publish` turns a configuration into what the
//! data plane takes; `state` is what survives a restart; `watch` notices changes; `handover` passes
//! the sockets to a successor.

mod control;
mod handover;
pub(crate) mod publish;
mod state;
mod watch;

use std::path::{Path, PathBuf};
use std::process;
use std::rc::Rc;
use std::sync::Arc;

use adit_proxy::access_log::{AccessLog, AccessLogFormat, AccessLogTarget};
use adit_proxy::metrics::Metrics;
use adit_proxy::{AdminSurface, Proxy};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use crate::admin::Admin;
use crate::cli::RunArgs;
use crate::commands::{Exit, colors_on_stderr};
use crate::config::{self, AccessFormat, AccessTarget, Config, Loaded, Report};
use crate::telemetry;

use control::{Control, LOOK_EVERY, Signals};
use handover::Predecessor;
use state::State;
use watch::Watch;

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A file or directory, watched.
    Path(PathBuf),
    /// A text in the executable.
    Embedded {
        name: &'static str,
        text: String,
        base: PathBuf,
    },
}

/// What a run is started with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub source: Source,
    pub state_dir: Option<PathBuf>,
    pub ready_file: Option<PathBuf>,
    pub take_over: bool,
    /// Whether sockets and notifications of the service manager are used.
    pub managed: bool,
}

impl From<RunArgs> for Options {
    fn from(args: RunArgs) -> Self {
        Self {
            source: Source::Path(args.config.config),
            state_dir: args.state_dir,
            ready_file: args.ready_file,
            take_over: args.take_over,
            managed: true,
        }
    }
}

impl Source {
    pub(crate) fn load(&self) -> Result<Loaded, Report> {
        match self {
            Self::Path(path) => config::load(path),
            Self::Embedded { name, text, base } => config::load_str(name, text, base),
        }
    }
}

/// Serves until told to stop.
pub(crate) fn run(options: &Options) -> Exit {
    run_with(options, |_| {})
}

/// Serves until told to stop; `serving` is called once the first generation is published.
pub(crate) fn run_with(options: &Options, serving: impl FnOnce(&Proxy)) -> Exit {
    adit_sys::limits::raise_descriptor_limit();
    let inherited = handover::from_service_manager(options.managed);
    let state = match State::open(options.state_dir.as_deref()) {
        Ok(state) => state,
        Err(error) => {
            eprintln!("adit: the state directory cannot be used: {error}");
            return Exit::Failed;
        }
    };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed("the runtime cannot be started", &error),
    };
    // From here on a signal is kept for the control loop and no longer ends the process.
    let signals = match runtime.block_on(async { Signals::new() }) {
        Ok(signals) => signals,
        Err(error) => return failed("signals cannot be received", &error),
    };
    let first = match first_configuration(options, &state) {
        Ok(first) => first,
        Err(exit) => return exit,
    };
    runtime.block_on(async {
        let control = match start(options, state, inherited, first, signals).await {
            Ok(control) => control,
            Err(exit) => return exit,
        };
        serving(&control.proxy);
        control.run().await
    })
}

/// The configuration to start with, and why it is not the newest, if it is not.
struct First {
    loaded: Loaded,
    refused: Option<Report>,
}

/// The configuration; else the last good one; else nothing is served (exit code 3).
fn first_configuration(options: &Options, state: &State) -> Result<First, Exit> {
    let report = match options.source.load() {
        Ok(loaded) => {
            return Ok(First {
                loaded,
                refused: None,
            });
        }
        Err(report) => report,
    };
    eprint!("{}", report.render(colors_on_stderr()));
    // A successor that cannot serve what it was told to leaves the place to who serves now.
    let last_good = state.last_good().filter(|_| !options.take_over);
    match last_good {
        Some(loaded) => {
            eprintln!("adit: serving the last good configuration from the state directory");
            Ok(First {
                loaded,
                refused: Some(report),
            })
        }
        None => Err(Exit::Invalid),
    }
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> Exit {
    eprintln!("adit: {what}: {error}");
    Exit::Failed
}

async fn start(
    options: &Options,
    mut state: State,
    inherited: handover::Inheritance,
    first: First,
    signals: Signals,
) -> Result<Control, Exit> {
    let config = &first.loaded.config;
    let level = telemetry::install(config.log);
    let predecessor = if options.take_over {
        let connected = Predecessor::connect(&state);
        Some(connected.map_err(|error| {
            failed(
                "there is no adit to take over from (without --take-over it starts by itself)",
                &error,
            )
        })?)
    } else {
        None
    };
    let (sockets, predecessor) = inherited.with(predecessor);
    let handed = predecessor.as_ref().and_then(Predecessor::tickets);
    let tickets = state
        .tickets(handed)
        .map_err(|error| failed("ticket secrets cannot be made", &error))?;
    let workers = config
        .workers
        .map_or_else(adit_sys::limits::usable_cpus, std::num::NonZeroUsize::get);
    let metrics = Arc::new(Metrics::new(workers));
    count_panics(&metrics);
    let access_log = start_access_log(config)
        .map_err(|error| failed("the access log cannot be opened", &error))?;
    metrics.set_access_log(access_log.clone());
    let (inspect, inspections) = mpsc::channel(8);
    let admin = Arc::new(Admin::new(Arc::clone(&metrics), inspect));
    let proxy = Proxy::start(adit_proxy::Options {
        workers,
        access_log: access_log.clone(),
        metrics: Arc::clone(&metrics),
        tickets: Arc::clone(&tickets),
        admin: Arc::clone(&admin) as Arc<dyn AdminSurface>,
        resolver: adit_proxy::upstream::resolve::ResolverOptions::default(),
    })
    .map_err(|error| failed("the data plane cannot be started", &error))?;
    let mut control = Control {
        options: options.clone(),
        state,
        proxy: Rc::new(proxy),
        metrics,
        access_log,
        admin,
        tickets,
        level,
        inspections,
        certificates: Arc::default(),
        config: Arc::new(config.clone()),
        said: None,
        predecessor,
        watch: Watch::new(),
        signals,
        next_look: tokio::time::Instant::now() + LOOK_EVERY,
    };
    control.first(first, sockets).await?;
    Ok(control)
}

/// A panic costs one connection; how many there were is told.
fn count_panics(metrics: &Arc<Metrics>) {
    let metrics = Arc::clone(metrics);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let worker = std::thread::current()
            .name()
            .and_then(|name| name.strip_prefix("adit-worker-"))
            .and_then(|index| index.parse().ok())
            .unwrap_or(0);
        metrics.panicked(worker);
        usual(info);
    }));
}

fn start_access_log(config: &Config) -> std::io::Result<AccessLog> {
    let format = match config.access_log.format {
        AccessFormat::Json => AccessLogFormat::Json,
        AccessFormat::Combined => AccessLogFormat::Combined,
        AccessFormat::Off => AccessLogFormat::Off,
    };
    let target = match &config.access_log.target {
        AccessTarget::Stdout => AccessLogTarget::Stdout,
        AccessTarget::File(path) => AccessLogTarget::File(path.clone()),
    };
    AccessLog::start(format, target)
}

/// Writes the addresses of the listeners, for whoever started us with port 0.
fn write_ready_file(path: &Path, proxy: &Proxy) -> std::io::Result<()> {
    let listeners: serde_json::Map<String, serde_json::Value> = proxy
        .addresses()
        .into_iter()
        .map(|(name, addresses)| {
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            (name.to_string(), addresses.into())
        })
        .collect();
    let ready = serde_json::json!({"listeners": listeners, "pid": process::id()});
    state::write_whole(path, ready.to_string().as_bytes(), 0o644)
}
