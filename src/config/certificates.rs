//! What is wrong with certificates, told like everything else that is wrong with a configuration.
//!
//! A file that the configuration names must be good when it is first read; one that breaks later
//! keeps its last good content. A bundle in a directory concerns itself alone: it is left out and
//! spoken of.

use std::collections::HashMap;
use std::sync::Arc;

use adit_proxy::blueprint::{ListenerKind, ListenerSpec};
use adit_proxy::snapshot::BuildError;
use adit_proxy::tls::{CertificateFault, CertificateProblem, CertificateSet, Outcome};
use adit_route::{HostPattern, HostRoutes, HostTls, Place};

use super::model::Config;
use super::problem::{Code, Severity};
use super::report::{Diagnostic, Location};

/// The problems of loading the certificates of a configuration.
pub(crate) fn certificate_diagnostics(
    config: &Config,
    problems: &[CertificateProblem],
) -> Vec<Diagnostic> {
    problems
        .iter()
        .map(|problem| diagnostic(config, problem))
        .collect()
}

fn diagnostic(config: &Config, problem: &CertificateProblem) -> Diagnostic {
    let sources = &config.certificates;
    let named = sources
        .files
        .iter()
        .position(|file| problem.source == file.cert || problem.source == file.key);
    let held = sources
        .directories
        .iter()
        .position(|directory| problem.source.starts_with(&directory.path));
    let (place, path) = match (named, held) {
        (Some(at), _) => (
            sources.files.get(at).map(|file| &file.place),
            format!("certificates.files[{at}]"),
        ),
        (None, Some(at)) => (
            sources
                .directories
                .get(at)
                .map(|directory| &directory.place),
            format!("certificates.directories[{at}]"),
        ),
        (None, None) => (None, "certificates".to_owned()),
    };
    let severity = match (named, problem.outcome) {
        (Some(_), Outcome::Refused) => Severity::Error,
        _ => Severity::Warning,
    };
    let (source, fault) = (problem.source.display(), &problem.fault);
    let (code, message) = match fault {
        CertificateFault::Unreadable(error) => {
            (Code::FILE_UNREADABLE, format!("{source}: {fault}: {error}"))
        }
        CertificateFault::KeyExposed { .. } => (Code::FILE_MODE, format!("{source}: {fault}")),
        _ => (Code::FILE_CONTENT, format!("{source}: {fault}")),
    };
    Diagnostic {
        severity,
        code,
        message,
        why: Some(match problem.outcome {
            Outcome::Refused => "it is not served",
            Outcome::KeptPrevious => "the last good one is served on",
            Outcome::Served => "it is served all the same",
        }),
        place: location(place),
        path,
        found: None,
        allowed: None,
        nearest: None,
        help: Some(match named.and_then(|at| sources.files.get(at)) {
            Some(file) if matches!(fault, CertificateFault::KeyExposed { .. }) => {
                format!("the key is {}: {}", file.key.display(), fault.remedy())
            }
            _ => fault.remedy().to_owned(),
        }),
        related: Vec::new(),
    }
}

/// Warnings about hosts whose TLS ends here and that no certificate names: their clients meet a TLS
/// alert. Certificates may come later, so it is no error.
pub(crate) fn uncovered_hosts(config: &Config, certificates: &CertificateSet) -> Vec<Diagnostic> {
    let speaks_tls = |spec: &Arc<ListenerSpec>| matches!(spec.kind, ListenerKind::Https);
    if !config.listeners.iter().any(speaks_tls) {
        return Vec::new();
    }
    let ends_here = |host: &&HostRoutes| matches!(host.tls, HostTls::Terminate { .. });
    let hosts = config.routes.hosts.iter().filter(ends_here);
    let mut sources = HashMap::new();
    hosts
        .filter_map(|host| {
            let example = name_under(&host.pattern)?;
            certificates.find(&example).is_none().then(|| Diagnostic {
                severity: Severity::Warning,
                code: Code::NO_CERTIFICATE,
                message: format!("no certificate names `{}`", host.pattern),
                why: Some("clients of the TLS listeners get an alert instead of the host"),
                place: {
                    let source = &host.place.source;
                    let text = sources.entry(source).or_insert_with(|| text_of(source));
                    line_of(&host.place, text)
                },
                path: String::new(),
                found: None,
                allowed: None,
                nearest: None,
                help: Some(
                    "add one under `certificates`; `*.example.com` names one label, not \
                     `a.b.example.com`, and not `example.com`"
                        .to_owned(),
                ),
                related: Vec::new(),
            })
        })
        .collect()
}

/// A name that a certificate for this pattern must cover: any name of one label stands for all of
/// them. `None` where it is open which names will be asked for, or where clients send none.
fn name_under(pattern: &HostPattern) -> Option<String> {
    match pattern {
        HostPattern::Exact(name) if name.is_ip_literal() => None,
        HostPattern::Exact(name) => Some(name.to_string()),
        HostPattern::OneLabel(suffix) => Some(format!("any.{suffix}")),
        HostPattern::Subtree(_) | HostPattern::Any => None,
    }
}

/// What only shows when everything is put together.
pub(crate) fn build_diagnostic(error: &BuildError) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: Code::COMBINATION,
        message: error.message.clone(),
        why: None,
        place: location(Some(&error.place)),
        path: String::new(),
        found: None,
        allowed: None,
        nearest: None,
        help: None,
        related: Vec::new(),
    }
}

/// The line that names the source; its text is shown where the file is at hand.
fn location(place: Option<&Place>) -> Location {
    let place = place.cloned().unwrap_or_default();
    let text = text_of(&place.source);
    line_of(&place, &text)
}

fn text_of(source: &str) -> String {
    std::fs::read_to_string(source).unwrap_or_default()
}

fn line_of(place: &Place, text: &str) -> Location {
    let line = (place.line as usize).checked_sub(1);
    let line = line.and_then(|line| text.lines().nth(line)).unwrap_or("");
    let indent = line.chars().take_while(|c| c.is_whitespace()).count();
    let length = line.trim().chars().count();
    Location {
        file: Arc::clone(&place.source),
        line: place.line,
        column: indent as u32 + 1,
        end_line: place.line,
        end_column: (indent + length) as u32 + 1,
        text: line.into(),
    }
}
