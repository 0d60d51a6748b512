//! What a route says of its hosts as a whole, beside TLS: their profile, where their root leads, and
//! the twins whose requests they take over.

use std::collections::HashSet;
use std::sync::Arc;

use adit_route::policy::{AppRoot, Policies, Redirect, Template};
use adit_route::{
    Action, Conditions, HostPattern, HostRoutes, HostTls, PathMatch, Place, Profile, Rule,
    RuleTimeouts,
};
use http::StatusCode;

use super::super::problem::{Code, Problem};
use super::super::scalar;
use super::super::tree::{Node, Span};
use super::Reader;

/// The hosts under the profile nginx, which one of several routes may say.
pub(super) fn under_nginx(root: &Node) -> HashSet<HostPattern> {
    let routes = root.field("routes").into_iter().flat_map(Node::items);
    let nginx = |node: &&Node| node.field("profile").and_then(Node::text) == Some("nginx");
    let hosts = |node: &Node| {
        let written = node.field("host").into_iter();
        let listed = node.field("hosts").into_iter().flat_map(Node::items);
        let pattern = |item: &Node| scalar::host(item.text()?).ok();
        written
            .chain(listed)
            .filter_map(pattern)
            .collect::<Vec<_>>()
    };
    routes.filter(nginx).flat_map(hosts).collect()
}

/// Where the root of the hosts leads.
pub(super) fn app_root(node: &Node) -> Option<AppRoot> {
    let to = node.field("appRoot")?.text()?.into();
    Some(AppRoot { to })
}

/// A host whose twin is wanted.
pub(super) struct Twin {
    /// The host itself.
    pub(super) host: HostPattern,
    /// The other name.
    pub(super) other: HostPattern,
    place: Place,
}

/// The twins that a route asks for.
pub(super) fn twins(
    reader: &mut Reader<'_>,
    node: &Node,
    patterns: &[(HostPattern, Span)],
) -> Vec<Twin> {
    let Some(entry) = node.entry("wwwRedirect") else {
        return Vec::new();
    };
    if entry.value.truth() != Some(true) {
        return Vec::new();
    }
    let place = reader.place(node.span);
    let twin = |(pattern, _): &(HostPattern, Span)| {
        let HostPattern::Exact(name) = pattern else {
            return None;
        };
        let twin = match name.as_str().strip_prefix("www.") {
            Some(bare) => bare.to_owned(),
            None => format!("www.{name}"),
        };
        Some(Twin {
            host: pattern.clone(),
            other: HostPattern::parse(&twin).ok()?,
            place: place.clone(),
        })
    };
    let twins: Vec<_> = patterns.iter().filter_map(twin).collect();
    if twins.is_empty() && !patterns.is_empty() {
        let message = "`wwwRedirect` is for hosts with a name of their own";
        let problem = Problem::error(Code::COMBINATION, entry.key_span, message);
        reader.push(problem.help("a wildcard has no twin: remove the key"));
    }
    twins
}

impl Twin {
    /// The host that sends everything to its twin. In nginx the port is always there and a slash at
    /// the end never (section 2.1).
    pub(super) fn routes(self, profile: Profile) -> HostRoutes {
        let to = match profile {
            Profile::Nginx => "$scheme://$twin:$pass_port$request_uri",
            Profile::Strict => "$scheme://$twin$is_request_port$request_port$request_uri",
        };
        let to = Template::parse(to, &[("twin", &self.host.to_string())]);
        let redirect = Redirect {
            to: to.unwrap_or_default(),
            status: StatusCode::PERMANENT_REDIRECT,
            relative: false,
            cut_slash: profile == Profile::Nginx,
        };
        let rule = Rule {
            path: PathMatch::Prefix("/".into()),
            conditions: Conditions::default(),
            action: Action::Policy,
            timeouts: RuleTimeouts::default(),
            max_body: None,
            low_priority: false,
            websocket: false,
            policies: Some(Arc::new(Policies {
                redirect: Some(redirect),
                ..Policies::default()
            })),
            place: self.place.clone(),
        };
        HostRoutes {
            pattern: self.other,
            name: None,
            place: self.place,
            profile: Profile::Strict,
            tls: HostTls::default(),
            app_root: None,
            rules: vec![rule],
        }
    }
}
