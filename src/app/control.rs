//! The control loop: signals, changed files, successors, and the orderly end.
//!
//! A change is whole or nothing. What cannot be published leaves everything as it was, is said once
//! in the log, and shows on `/readyz` and in metrics until it is put right.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use adit_proxy::Proxy;
use adit_proxy::access_log::AccessLog;
use adit_proxy::listen::Inherited;
use adit_proxy::metrics::{CertificateSpan, Metrics};
use adit_proxy::tls::{CertificateProblem, CertificateSet, TicketSecrets};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::admin::{Admin, Inspect, Phase, Status};
use crate::commands::{Exit, colors_on_stderr};
use crate::config::{Config, Loaded, Report, Severity, certificate_diagnostics};
use crate::telemetry::LevelControl;

use super::handover::{self, Predecessor, Succession};
use super::state::State;
use super::watch::Watch;
use super::{First, Options, Source, failed, publish, write_ready_file};

/// Everything that lives from start to end.
pub(super) struct Control {
    pub options: Options,
    pub state: State,
    pub proxy: Rc<Proxy>,
    pub metrics: Arc<Metrics>,
    pub access_log: AccessLog,
    pub admin: Arc<Admin>,
    pub tickets: Arc<TicketSecrets>,
    pub level: Option<LevelControl>,
    pub inspections: mpsc::Receiver<Inspect>,
    pub certificates: Arc<CertificateSet>,
    pub config: Arc<Config>,
    /// The refusal that the log has been told of.
    pub said: Option<String>,
    pub predecessor: Option<Predecessor>,
    pub watch: Watch,
    pub signals: Signals,
    pub next_look: tokio::time::Instant,
}

/// How often files are looked at without a notification.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(30);

enum Wake {
    Terminate,
    Reload,
    Changed,
    Look,
    Inspect(Inspect),
    Successor(tokio::net::UnixStream),
    SuccessorReady(bool),
}

/// Why a configuration is not published.
enum Refusal {
    /// It is wrong.
    Invalid(Report),
    /// It is right, and cannot be served here and now.
    Failed(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(report) => f.write_str(&report.render(false)),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// The signals that are taken, from before the first file is read.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Control {
    /// Publishes the first generation and tells whoever waits for it.
    pub(super) async fn first(
        &mut self,
        first: First,
        mut inherited: Inherited,
    ) -> Result<(), Exit> {
        let refusal = first.refused.map(|report| report.render(false));
        let taken = taken_addresses(&first.loaded.config, &inherited);
        if !taken.is_empty() {
            let help = "`ss -ltnp` shows who it is; `--take-over` replaces an adit that runs";
            eprintln!("adit: it cannot listen:\n{taken}\n{help}");
            return Err(Exit::Failed);
        }
        match self.publish(&first.loaded, &mut inherited).await {
            Ok(_) => {}
            Err(Refusal::Invalid(report)) => {
                eprint!("{}", report.render(colors_on_stderr()));
                return Err(Exit::Invalid);
            }
            Err(Refusal::Failed(why)) => {
                return Err(failed("the configuration cannot be served", &why));
            }
        }
        for address in inherited.unused() {
            tracing::warn!(%address, "an inherited socket belongs to no listener and was closed");
        }
        if let Some(refusal) = refusal {
            self.refuse(refusal);
        } else {
            self.state.keep(&first.loaded);
        }
        if !self.state.exists() && self.options.managed {
            tracing::warn!(
                "no state directory: a restart with a broken configuration will not start"
            );
        }
        self.watch();
        // What changed between reading and watching is not lost.
        self.reload(false).await;
        if let Some(path) = &self.options.ready_file
            && let Err(error) = write_ready_file(path, &self.proxy)
        {
            return Err(failed("the ready file cannot be written", &error));
        }
        if let Some(predecessor) = self.predecessor.take() {
            predecessor.release();
        }
        self.say_where();
        let mainpid = std::process::id();
        handover::notify(self.options.managed, &format!("READY=1\nMAINPID={mainpid}"));
        Ok(())
    }

    /// Says that it serves, and where.
    fn say_where(&self) {
        let doors = self.proxy.addresses().into_iter().map(|(name, at)| {
            let at: Vec<_> = at.iter().map(ToString::to_string).collect();
            format!("{name} {}", at.join(" "))
        });
        let listeners = doors.collect::<Vec<_>>().join(", ");
        tracing::info!(listeners, hosts = self.config.routes.hosts.len(), "serving");
    }

    /// Serves until told to stop.
    pub(super) async fn run(mut self) -> Exit {
        let succession = self.succession();
        let mut successor: Option<tokio::net::UnixStream> = None;
        loop {
            match self.wake(succession.as_ref(), &mut successor).await {
                Wake::Terminate => {
                    let grace = self.config.limits.shutdown_grace;
                    return self.stop(grace).await;
                }
                Wake::Reload => {
                    self.access_log.reopen();
                    self.reload(true).await;
                    self.watch();
                }
                Wake::Changed => {
                    settle(&mut self.watch).await;
                    self.reload(false).await;
                    self.watch();
                }
                Wake::Look => {
                    self.next_look = tokio::time::Instant::now() + LOOK_EVERY;
                    self.rotate_tickets();
                    self.reload(false).await;
                    self.watch();
                }
                Wake::Inspect(answer) => {
                    let proxy = Rc::clone(&self.proxy);
                    tokio::task::spawn_local(async move {
                        const MOST_PER_WORKER: usize = 1000;
                        // Whoever asked may have gone.
                        let _ = answer.send(proxy.inspect(MOST_PER_WORKER).await);
                    });
                }
                Wake::Successor(stream) => {
                    let tickets = self.tickets.export();
                    match handover::hand_over(stream, &self.proxy, &tickets).await {
                        Ok(stream) => successor = Some(stream),
                        Err(error) => tracing::warn!(%error, "a hand-over failed; serving on"),
                    }
                }
                Wake::SuccessorReady(true) => {
                    tracing::info!("the successor is ready, draining");
                    return self.stop(Duration::ZERO).await;
                }
                Wake::SuccessorReady(false) => {
                    tracing::warn!("the successor went away before it was ready; serving on");
                }
            }
        }
    }

    async fn wake(
        &mut self,
        succession: Option<&Succession>,
        successor: &mut Option<tokio::net::UnixStream>,
    ) -> Wake {
        let next = async {
            match succession {
                Some(succession) => succession.next().await,
                None => std::future::pending().await,
            }
        };
        let ready = async {
            match successor.as_mut() {
                Some(stream) => handover::became_ready(stream).await,
                None => std::future::pending().await,
            }
        };
        // Each branch can be dropped at any point: nothing is taken before it completes, but for
        // the word of a successor, which is all that it ever says.
        let wake = tokio::select! {
            _ = self.signals.terminate.recv() => Wake::Terminate,
            _ = self.signals.interrupt.recv() => Wake::Terminate,
            _ = self.signals.hangup.recv() => Wake::Reload,
            () = self.watch.changed() => Wake::Changed,
            Some(answer) = self.inspections.recv() => Wake::Inspect(answer),
            stream = next => Wake::Successor(stream),
            ready = ready => Wake::SuccessorReady(ready),
            () = tokio::time::sleep_until(self.next_look) => Wake::Look,
        };
        if matches!(wake, Wake::SuccessorReady(_)) {
            *successor = None;
        }
        wake
    }

    fn succession(&self) -> Option<Succession> {
        let path = self.state.socket()?;
        Succession::open(&path)
            .inspect_err(|error| tracing::warn!(%error, path = %path.display(), "no successor can take over"))
            .ok()
    }

    fn watch(&mut self) {
        let config = Arc::clone(&self.config);
        let files = config
            .certificates
            .files
            .iter()
            .flat_map(|file| [file.cert.clone(), file.key.clone()]);
        let directories = config
            .certificates
            .directories
            .iter()
            .map(|directory| directory.path.clone());
        let source = match &self.options.source {
            Source::Path(path) => Some(path.clone()),
            Source::Embedded { .. } => None,
        };
        let files: Vec<PathBuf> = config
            .watched
            .iter()
            .cloned()
            .chain(files)
            .chain(directories)
            .chain(source)
            .collect();
        self.watch.set(files);
    }

    /// Reads everything anew and publishes it if anything is different.
    async fn reload(&mut self, said_so: bool) {
        let loaded = match self.options.source.load() {
            Ok(loaded) => loaded,
            Err(report) => {
                self.metrics.rejected();
                return self.refuse(report.render(false));
            }
        };
        let (certificates, _) = publish::load_certificates(&loaded.config, &self.certificates);
        let same = loaded.config.source_digest == self.config.source_digest
            && certificates.is_same(&self.certificates)
            && self.said.is_none();
        if same && !said_so {
            return;
        }
        handover::notify(self.options.managed, "RELOADING=1");
        match self.publish(&loaded, &mut Inherited::default()).await {
            Ok(generation) => {
                self.state.keep(&loaded);
                tracing::info!(generation, "published");
            }
            Err(refusal) => {
                self.metrics.rejected();
                self.refuse(refusal.to_string());
            }
        }
        handover::notify(self.options.managed, "READY=1");
    }

    /// Says once that the newest configuration is not served.
    fn refuse(&mut self, why: String) {
        if self.said.as_ref() != Some(&why) {
            tracing::error!(
                "the new configuration is refused, the last good one is served on:\n{why}"
            );
        }
        self.said = Some(why);
        self.tell(Phase::Serving, &[]);
    }

    async fn publish(
        &mut self,
        loaded: &Loaded,
        inherited: &mut Inherited,
    ) -> Result<u64, Refusal> {
        let config = &loaded.config;
        let (certificates, problems) = publish::load_certificates(config, &self.certificates);
        let found = certificate_diagnostics(config, &problems);
        if found
            .iter()
            .any(|problem| problem.severity == Severity::Error)
        {
            return Err(Refusal::Invalid(Report { diagnostics: found }));
        }
        let certificates = Arc::new(certificates);
        let blueprint = publish::blueprint(config, &certificates);
        let generation = self
            .proxy
            .publish(&blueprint, inherited)
            .await
            .map_err(|errors| {
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                Refusal::Failed(lines.join("\n"))
            })?;
        for key in fixed_at_start(&self.config, config) {
            tracing::warn!("`{key}` has changed: it takes hold after a restart");
        }
        self.certificates = certificates;
        self.config = Arc::new(config.clone());
        self.said = None;
        let spans = self.certificates.iter().map(|certificate| CertificateSpan {
            name: Arc::clone(certificate.name()),
            since: certificate.not_before(),
            until: certificate.not_after(),
        });
        self.metrics.set_certificates(spans.collect());
        self.metrics.set_relaxed(loaded.relaxed());
        self.metrics.set_config_digest(&config.source_digest);
        if let Some(level) = &self.level {
            level.set(config.log.level);
        }
        self.tell(Phase::Serving, &problems);
        Ok(generation)
    }

    /// Renews what the admin surface knows.
    fn tell(&self, phase: Phase, problems: &[CertificateProblem]) {
        let before = self.admin.status.load();
        let degraded = if problems.is_empty() && self.said.is_some() {
            before.degraded.clone()
        } else {
            problems.iter().map(ToString::to_string).collect()
        };
        for problem in degraded
            .iter()
            .filter(|problem| !before.degraded.contains(problem))
        {
            tracing::warn!("{problem}");
        }
        self.admin.status.store(Arc::new(Status {
            phase,
            config_error: self.said.clone(),
            degraded,
            published: SystemTime::now(),
            snapshot: Some(self.proxy.snapshot()),
            config: Some(Arc::clone(&self.config)),
            addresses: self.proxy.addresses(),
        }));
    }

    fn rotate_tickets(&self) {
        match self.tickets.rotate(SystemTime::now()) {
            Ok(true) => self.state.keep_tickets(&self.tickets),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "ticket secrets cannot be rotated"),
        }
    }

    /// Not ready, then a pause for balancers, then the drain, then the end. A second signal ends at
    /// once.
    async fn stop(mut self, grace: Duration) -> Exit {
        let started = Instant::now();
        handover::notify(self.options.managed, "STOPPING=1");
        self.tell(Phase::Draining, &[]);
        let patience = self.config.limits.drain_timeout;
        tracing::info!(
            connections = self.proxy.connections(),
            grace_seconds = grace.as_secs_f32(),
            "stopping; a second signal ends it at once"
        );
        let ending = async {
            tokio::time::sleep(grace).await;
            self.proxy.drain(patience).await;
        };
        tokio::select! {
            () = ending => {}
            () = self.signals.stop() => tracing::warn!("second signal, ending at once"),
        }
        self.proxy.stop().await;
        self.access_log.finish(Duration::from_secs(2));
        tracing::info!(seconds = started.elapsed().as_secs_f32(), "stopped");
        Exit::Fine
    }
}

/// What has changed and is set up once for the life of the process.
fn fixed_at_start(before: &Config, after: &Config) -> impl Iterator<Item = &'static str> {
    let changes = [
        ("workers", before.workers != after.workers),
        ("log.format", before.log.format != after.log.format),
        ("accessLog", before.access_log != after.access_log),
    ];
    let changed = changes.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(key, _)| key)
}

/// Addresses at which somebody listens already, one to a line. Workers share their addresses
/// (SO_REUSEPORT), so the kernel would let a second adit of the same user in beside the first one,
/// and each would be given a part of the clients.
fn taken_addresses(config: &Config, inherited: &Inherited) -> String {
    let ours = |address: &SocketAddr| inherited.unused().any(|unused| unused == address);
    let is_taken = |address: &SocketAddr| {
        let tried = std::net::TcpListener::bind(address);
        tried.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    };
    let unbound = config
        .listeners
        .iter()
        // What is bound to an interface may have the address of another interface beside it.
        .filter(|spec| spec.interface.is_none());
    let taken = unbound.flat_map(|spec| {
        let addresses = spec.binds.iter().filter(|address| address.port() != 0);
        let taken = addresses.filter(|address| !ours(address) && is_taken(address));
        taken.map(|address| {
            let name = &spec.name;
            format!("  listener {name}: somebody listens on {address} already")
        })
    });
    taken.collect::<Vec<_>>().join("\n")
}

/// Waits until nothing has changed for 50 ms, at most 250 ms.
async fn settle(watch: &mut Watch) {
    const QUIET: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_millis(250);
    let until = Instant::now() + LONGEST;
    loop {
        tokio::time::sleep(QUIET).await;
        if !watch.changed_again() || Instant::now() >= until {
            return;
        }
    }
}
