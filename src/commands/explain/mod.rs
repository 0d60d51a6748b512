//! `adit explain`: the way of a request through the configuration, and where it ends.
//!
//! The data plane's own functions decide; here the question is read, the listener is found and the
//! answer is printed. Nothing is bound and no backend is asked, so it can be run beside a serving
//! adit and before a new file is rolled out.

mod render;
mod url;

use std::sync::Arc;

use adit_proxy::blueprint::{ListenerKind, ListenerSpec};
use adit_proxy::explain::{Explainer, Question};
use adit_route::{Role, spelling};

use self::url::Url;
use super::{Exit, check, colors_on_stderr, colors_on_stdout, say};
use crate::cli::{ExplainArgs, Output};
use crate::config::{self, Config, Loaded, Report};

pub(super) fn run(args: &ExplainArgs) -> Exit {
    let output = args.output.output;
    let url = match asked(args) {
        Ok(url) => url,
        Err(error) => return misused(&error),
    };
    let (loaded, explainer) = match explainer(args) {
        Ok(both) => both,
        Err(report) => return check::refused(&report, output),
    };
    let listener = match listener(&loaded.config, &args.from, &url) {
        Ok(listener) => Arc::clone(&listener.name),
        Err(error) => return misused(&error),
    };
    let question = Question {
        listener,
        secure: url.secure,
        host: url.host,
        port: url.port,
        target: url.target,
        method: args.method.clone(),
        fields: args.headers.clone(),
        client: args.client,
    };
    let Some(explanation) = explainer.explain(&question) else {
        return misused(&format!("no listener is named `{}`", question.listener));
    };
    match output {
        Output::Text => {
            for warning in &loaded.warnings {
                eprintln!("{}", warning.render(colors_on_stderr()));
            }
            say(&render::text(&explanation, colors_on_stdout()));
        }
        Output::Json => say(&format!("{}\n", render::json(&question, &explanation))),
    }
    Exit::Fine
}

/// The URL, once everything that was typed can be sent at all.
fn asked(args: &ExplainArgs) -> Result<Url, String> {
    let url = Url::parse(&args.url)?;
    let token = |text: &str| !text.is_empty() && !text.contains([' ', '\t', '\r', '\n', ':']);
    if !token(&args.method) {
        return Err(format!("`{}` is no method", args.method));
    }
    for field in &args.headers {
        let named = field.split_once(':').is_some_and(|(name, _)| token(name));
        if !named || field.contains(['\r', '\n']) {
            return Err(format!("`{field}` is no header field; write `Name: value`"));
        }
    }
    Ok(url)
}

fn misused(error: &str) -> Exit {
    eprintln!("adit explain: {error}");
    Exit::Usage
}

/// The listener of this name, or the first of this role that fits the scheme; among these one that
/// is bound to the URL's port goes first.
fn listener<'a>(
    config: &'a Config,
    from: &str,
    url: &Url,
) -> Result<&'a Arc<ListenerSpec>, String> {
    let all = &config.listeners;
    if let Some(named) = all.iter().find(|spec| &*spec.name == from) {
        return Ok(named);
    }
    let role = match from {
        "lan" => Role::Lan,
        "internet" => Role::Internet,
        _ => return Err(no_listener(config, from)),
    };
    let port = url.port.unwrap_or(if url.secure { 443 } else { 80 });
    let rank = |spec: &ListenerSpec| {
        let kind = match (&spec.kind, url.secure) {
            (ListenerKind::Http, false) | (ListenerKind::Https, true) => 0,
            (ListenerKind::H2c, false) => 1,
            _ => return None,
        };
        let elsewhere = spec.binds.iter().all(|bind| bind.port() != port);
        (spec.role == role).then_some((kind, elsewhere))
    };
    let fitting = all.iter().filter_map(|spec| Some((rank(spec)?, spec)));
    let first = fitting.min_by_key(|(rank, _)| *rank);
    first.map(|(_, spec)| spec).ok_or_else(|| {
        let scheme = if url.secure { "https" } else { "http" };
        format!(
            "no listener of role {role} speaks {scheme}{}",
            names(config)
        )
    })
}

fn no_listener(config: &Config, from: &str) -> String {
    let known = config.listeners.iter().map(|spec| &*spec.name);
    let near = spelling::nearest(from, known.chain(["lan", "internet"]), 1);
    let meant = near
        .first()
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default();
    format!("no listener is named `{from}`{meant}{}", names(config))
}

fn names(config: &Config) -> String {
    let names: Vec<_> = config
        .listeners
        .iter()
        .map(|spec| format!("{} ({})", spec.name, spec.role))
        .collect();
    format!("\nlisteners: {}", names.join(", "))
}

/// What answers questions about the configuration, with the places of its rules.
fn explainer(args: &ExplainArgs) -> Result<(Loaded, Explainer), Report> {
    let (loaded, _, explainer) = check::compile(config::load(&args.config.config)?)?;
    let policy = &loaded.config.policy;
    let rules = policy.rules.iter();
    let places = rules.map(|rule| (Arc::from(rule.name.as_str()), rule.place.clone()));
    let default = (Arc::from("default"), policy.default_place.clone());
    let explainer = explainer.with_rule_places(places.chain([default]));
    Ok((loaded, explainer))
}
