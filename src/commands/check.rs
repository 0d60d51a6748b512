//! `adit check`: every error of the configuration at once, each with its place and the way out.

use std::fmt::Write as _;
use std::sync::Arc;

use adit_proxy::explain::Explainer;
use adit_proxy::tls::CertificateSet;
use serde_json::json;

use super::{Exit, colors_on_stderr, say};
use crate::app::publish;
use crate::cli::{CheckArgs, Output};
use crate::config::{
    self, Loaded, Report, Severity, build_diagnostic, certificate_diagnostics, limit_values,
    uncovered_hosts,
};

pub(super) fn run(args: &CheckArgs) -> Exit {
    if args.schema {
        say(&format!("{}\n", config::json_schema()));
        return Exit::Fine;
    }
    if args.reference {
        let (reference, limits) = (config::reference_markdown(), config::limits_markdown());
        say(&format!("{reference}\n{limits}\n"));
        return Exit::Fine;
    }
    match config::load(&args.config) {
        Err(report) => refused(&report, args.output.output),
        Ok(loaded) => match compile(loaded) {
            Ok((mut loaded, certificates, _)) => {
                // Not told by a start or `explain`: there it is the host in question that counts.
                let uncovered = uncovered_hosts(&loaded.config, &certificates);
                loaded.warnings.extend(uncovered);
                accepted(&loaded, args)
            }
            Err(report) => refused(&report, args.output.output),
        },
    }
}

/// Does what a start would do, short of listening: loads the certificates and compiles the whole.
pub(super) fn compile(
    mut loaded: Loaded,
) -> Result<(Loaded, Arc<CertificateSet>, Explainer), Report> {
    let config = &loaded.config;
    let (certificates, problems) = publish::load_certificates(config, &CertificateSet::default());
    let found = certificate_diagnostics(config, &problems);
    loaded.warnings.extend(found);
    if loaded
        .warnings
        .iter()
        .any(|found| found.severity == Severity::Error)
    {
        return Err(Report {
            diagnostics: loaded.warnings,
        });
    }
    let certificates = Arc::new(certificates);
    let blueprint = publish::blueprint(config, &certificates);
    match Explainer::new(&blueprint) {
        Ok(explainer) => Ok((loaded, certificates, explainer)),
        Err(errors) => Err(Report {
            diagnostics: errors.iter().map(build_diagnostic).collect(),
        }),
    }
}

pub(super) fn refused(report: &Report, output: Output) -> Exit {
    match output {
        Output::Text => eprint!("{}", report.render(colors_on_stderr())),
        Output::Json => say(&format!("{}\n", report.json())),
    }
    Exit::Invalid
}

fn accepted(loaded: &Loaded, args: &CheckArgs) -> Exit {
    let warnings = &loaded.warnings;
    match args.output.output {
        Output::Json => {
            let list: Vec<_> = warnings.iter().map(config::Diagnostic::json).collect();
            let limits: Vec<_> = limit_values(&loaded.config.limits)
                .into_iter()
                .filter(|_| args.limits)
                .map(|limit| {
                    json!({"key": limit.key, "id": limit.id, "value": limit.value, "default": limit.default,
                        "source": source(&limit)})
                })
                .collect();
            let valid = json!({"valid": true, "warnings": list, "limits": limits});
            say(&format!("{valid}\n"));
        }
        Output::Text => {
            for warning in warnings {
                eprintln!("{}", warning.render(colors_on_stderr()));
            }
            if args.limits {
                show_limits(loaded);
            }
            let config = &loaded.config;
            say(&format!(
                "{}: valid, {}, {}, {}\n",
                args.config.display(),
                counted(config.listeners.len(), "listener"),
                counted(config.routes.hosts.len(), "host"),
                counted(warnings.len(), "warning")
            ));
        }
    }
    if args.strict && !warnings.is_empty() {
        Exit::Warnings
    } else {
        Exit::Fine
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn source(limit: &config::LimitValue) -> &'static str {
    if limit.value == limit.default {
        "default"
    } else {
        "file"
    }
}

fn show_limits(loaded: &Loaded) {
    let mut text = format!(
        "{:<26} {:<6} {:>10} {:>10}  source\n",
        "limit", "id", "value", "default"
    );
    for limit in limit_values(&loaded.config.limits) {
        let _ = writeln!(
            text,
            "{:<26} {:<6} {:>10} {:>10}  {}",
            limit.key,
            limit.id,
            limit.value,
            limit.default,
            source(&limit)
        );
    }
    say(&text);
}
