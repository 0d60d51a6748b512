//! What a configuration says, typed.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use adit_controller::policy::PolicyConfig;
use adit_proxy::blueprint::{ListenerSpec, TlsDefaults, TracingSpec};
use adit_proxy::limits::Limits;
use adit_route::{ExposureRules, Place, RouteSet};

/// One whole configuration without errors.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Data workers; `None` is one per usable CPU.
    pub(crate) workers: Option<NonZeroUsize>,
    /// Own events.
    pub(crate) log: Log,
    /// Requests.
    pub(crate) access_log: AccessLog,
    /// The doors.
    pub(crate) listeners: Vec<Arc<ListenerSpec>>,
    /// Defaults of terminated hosts.
    pub(crate) tls: TlsDefaults,
    /// Where certificates are found; not loaded yet.
    pub(crate) certificates: CertificateSources,
    /// What is served.
    pub(crate) routes: RouteSet,
    /// To whom, as it was written.
    pub(crate) policy: PolicyConfig,
    /// To whom, compiled.
    pub(crate) exposure: ExposureRules,
    /// Every limit.
    pub(crate) limits: Limits,
    /// What becomes of traces.
    pub(crate) tracing: Option<TracingSpec>,
    /// Files and directories whose change can change the configuration.
    pub(crate) watched: Vec<PathBuf>,
    /// SHA-256 of everything that was read, in hexadecimal digits.
    pub(crate) source_digest: String,
}

/// adit's own events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// The least severe event that is written.
    pub(crate) level: LogLevel,
    /// How.
    pub(crate) format: LogFormat,
}

/// Severity of own events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Form of own events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The log of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessLog {
    /// How.
    pub(crate) format: AccessFormat,
    /// Where to.
    pub(crate) target: AccessTarget,
}

/// Form of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessFormat {
    /// One JSON object per request.
    Json,
    /// The combined log format.
    Combined,
    /// Nothing is written.
    Off,
}

/// Destination of the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccessTarget {
    /// Standard output.
    Stdout,
    /// A file that is appended to.
    File(PathBuf),
}

/// Where certificates are found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CertificateSources {
    /// Named pairs.
    pub(crate) files: Vec<CertificateFile>,
    /// Directories of pairs.
    pub(crate) directories: Vec<CertificateDirectory>,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFile {
    /// Unique name.
    pub(crate) name: Arc<str>,
    /// PEM chain.
    pub(crate) cert: PathBuf,
    /// PEM key.
    pub(crate) key: PathBuf,
    /// Where it was written.
    pub(crate) place: Place,
}

/// A directory of certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateDirectory {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Where it was written.
    pub(crate) place: Place,
}
