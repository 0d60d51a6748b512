//! The configuration file: read, checked, reported, typed.
//!
//! A file becomes a tree in which every node knows its place (`tree`), the tree is compared with
//! one table of keys (`schema`, `check`), and the readers turn it into what the data plane takes
//! (`read`). All errors are reported at once. The reference page and the JSON Schema come out of
//! the same table.

mod certificates;
mod check;
mod model;
mod problem;
mod read;
mod reference;
mod report;
mod saved;
mod scalar;
mod schema;
mod source;
mod spelling;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

pub(crate) use certificates::{build_diagnostic, certificate_diagnostics, uncovered_hosts};
pub(crate) use model::{AccessFormat, AccessTarget, Config, Log, LogFormat, LogLevel};
pub(crate) use problem::Severity;
pub(crate) use read::{LimitValue, limit_values};
pub(crate) use reference::{json_schema, limits_markdown, reference_markdown};
pub(crate) use report::{Diagnostic, Report};
pub(crate) use saved::Saved;

use problem::Problems;
use read::Reader;
use schema::{Kind, ROOT};
use source::Sources;

/// A configuration without errors.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) warnings: Vec<Diagnostic>,
    /// What is kept for a restart.
    pub(crate) saved: Saved,
}

impl Loaded {
    /// Settings that give up a protection, each with how often it is written.
    pub(crate) fn relaxed(&self) -> Vec<(&'static str, usize)> {
        let relaxed = |part: &str| {
            let found = self.warnings.iter().filter(|warning| {
                warning.code == problem::Code::RELAXED && warning.path.contains(part)
            });
            found.count()
        };
        // The words of metrics are fixed, whatever a path is called.
        [
            ("trust_forwarded_everyone", "trustForwarded"),
            ("backend_tls_insecure", "insecure"),
        ]
        .map(|(option, part)| (option, relaxed(part)))
        .to_vec()
    }
}

/// Loads a file, or the files of a directory, with everything that they refer to.
pub(crate) fn load(path: &Path) -> Result<Loaded, Report> {
    let mut problems = Problems::default();
    let sources = Sources::open(path, &mut problems);
    finish(&sources, problems)
}

/// Where the admin listeners are. A file with errors tells it too, as long as it is YAML: that is
/// when people ask.
pub(crate) fn admin_addresses(path: &Path) -> Result<Vec<SocketAddr>, Report> {
    let mut problems = Problems::default();
    let sources = Sources::open(path, &mut problems);
    match sources.document(&mut problems) {
        Some(root) => Ok(read::admin_binds(&root)),
        None => Err(Report {
            diagnostics: report::resolve(problems.into_sorted(), &sources, None),
        }),
    }
}

/// Loads a text that is not in a file; relative paths are relative to `base`.
pub(crate) fn load_str(name: &str, text: &str, base: &Path) -> Result<Loaded, Report> {
    finish(&Sources::embedded(name, text, base), Problems::default())
}

/// Loads what was kept.
pub(crate) fn load_saved(saved: &Saved) -> Result<Loaded, Report> {
    finish(&saved.sources(), Problems::default())
}

fn finish(sources: &Sources, mut problems: Problems) -> Result<Loaded, Report> {
    let root = sources.document(&mut problems);
    let config = root.as_ref().map(|root| {
        check::value(root, &Kind::Table(&ROOT), &mut problems);
        let mut reader = Reader::new(sources, &mut problems);
        let config = reader.config(root);
        let texts = sources
            .files
            .iter()
            .filter_map(|source| source.text.as_deref())
            .map(str::as_bytes);
        let source_digest = digest(texts.chain(reader.contents()));
        let mut watched = sources.watched.clone();
        watched.append(&mut reader.referenced);
        Config {
            watched,
            source_digest,
            ..config
        }
    });
    let refused = problems.has_errors();
    let diagnostics = report::resolve(problems.into_sorted(), sources, root.as_ref());
    match config {
        Some(config) if !refused => Ok(Loaded {
            config,
            warnings: diagnostics,
            saved: Saved::new(sources),
        }),
        _ => Err(Report { diagnostics }),
    }
}

/// SHA-256 over the parts, each behind its length so that moving a border changes the digest.
fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let Some(suite) = suite.tls13() else {
        return String::new();
    };
    let mut hash = suite.common.hash_provider.start();
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finish()
        .as_ref()
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
