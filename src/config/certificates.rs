//! What is wrong with certificates, told like everything else that is wrong with a configuration.
//!
//! A file that the configuration names must be good when it is first read; one that breaks later
//! keeps its last good content. A bundle in a directory concerns itself alone: it is left out and
//! spoken of.

use std::sync::Arc;

use adit_proxy::snapshot::BuildError;
use adit_proxy::tls::{CertificateFault, CertificateProblem, Outcome};
use adit_route::Place;

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
        help: Some(fault.remedy().to_owned()),
        related: Vec::new(),
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
    let text: Arc<str> = std::fs::read_to_string(&*place.source)
        .ok()
        .and_then(|text| {
            let line = (place.line as usize).checked_sub(1)?;
            text.lines().nth(line).map(Arc::from)
        })
        .unwrap_or_else(|| Arc::from(""));
    let indent = text.chars().take_while(|c| c.is_whitespace()).count();
    let length = text.trim().chars().count();
    Location {
        file: place.source,
        line: place.line,
        column: indent as u32 + 1,
        end_line: place.line,
        end_column: (indent + length) as u32 + 1,
        text,
    }
}
