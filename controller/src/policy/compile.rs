//! From the policy as written to the rules as enforced, with every error and warning.
//!
//! All checks run and report together. They look at the rules in their order: what a rule above has
//! decided is no longer a later rule's business, neither its fault nor its merit.

use std::sync::Arc;

use adit_route::path::check_rule_path;
use adit_route::{
    CidrSet, ExposureRule, ExposureRules, HostPattern, HostRoutes, HostTls, Place, RouteSet,
    Verdict, spelling,
};

use super::addresses::{check_networks, resolve_addresses};
use super::coverage::{answers, decided_above, is_open, meet, paths_of};
use super::finding::{
    GUARDED, NO_HOSTS, NOT_PASSED_THROUGH, PATHS_NEED_EXACT_HOSTS, PATHS_PASSED_THROUGH,
    PUBLIC_DEFAULT, PUBLIC_NOTHING, PUBLIC_WITHOUT_DOOR, RULE_NAME, RULE_PATH, SHADOWED,
};
use super::{Finding, PolicyConfig, RuleConfig, guards};

/// The name under which the default appears in verdicts.
const DEFAULT: &str = "default";

/// Checks the policy against the routes and compiles it: the rules with warnings, or every error.
pub fn compile(
    config: &PolicyConfig,
    routes: &RouteSet,
) -> Result<(ExposureRules, Vec<Finding>), Vec<Finding>> {
    let mut errors = check_networks(&config.networks);
    if config.default.is_public() {
        let message = format!("the default exposure is `{}`", config.default);
        errors.push(PUBLIC_DEFAULT.at(
            DEFAULT,
            message,
            "write `lan` or `off`, and a rule for each public host",
        ));
    }
    let mut rules = Vec::with_capacity(config.rules.len());
    let mut warnings = Vec::new();
    for position in 0..config.rules.len() {
        let (above, rest) = config.rules.split_at(position);
        let Some(rule) = rest.first() else { continue };
        let checked = Checked {
            config,
            routes,
            above,
            rule,
            key: format!("rules[{position}]"),
        };
        errors.extend(checked.errors());
        match checked.addresses() {
            Ok(from) => rules.push(exposure_rule(rule, from)),
            Err(unknown) => errors.extend(unknown),
        }
        warnings.extend(checked.warnings());
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let (line, class) = (config.default_place.line, config.default);
    let default = Arc::new(Verdict {
        rule: DEFAULT.into(),
        line,
        class,
        from: None,
    });
    let rules = guards::enforce(rules, &config.guards.never_public);
    Ok((ExposureRules { rules, default }, warnings))
}

fn exposure_rule(rule: &RuleConfig, from: Option<CidrSet>) -> ExposureRule {
    let (name, line, class) = (rule.name.as_str().into(), rule.place.line, rule.exposure);
    ExposureRule {
        hosts: rule.hosts.clone(),
        paths: rule.paths.clone(),
        requires_passthrough: rule.tls_passthrough,
        verdict: Arc::new(Verdict {
            rule: name,
            line,
            class,
            from: from.map(Arc::new),
        }),
    }
}

/// One rule under examination.
struct Checked<'a> {
    config: &'a PolicyConfig,
    routes: &'a RouteSet,
    above: &'a [RuleConfig],
    rule: &'a RuleConfig,
    /// Where it stands, in the keys of the file.
    key: String,
}

impl Checked<'_> {
    fn errors(&self) -> Vec<Finding> {
        let mut errors = Vec::new();
        errors.extend(self.name());
        if self.rule.hosts.is_empty() {
            let message = format!("the rule `{}` names no hosts", self.rule.name);
            let help = "list its hosts; what holds for all others is `default`";
            errors.push(NO_HOSTS.at(format!("{}.hosts", self.key), message, help));
        }
        errors.extend(self.paths());
        if self.rule.exposure.is_public() {
            errors.extend(self.door());
            errors.extend(self.guarded());
        }
        errors.extend(self.contradicting_routes());
        errors
    }

    fn name(&self) -> Option<Finding> {
        let name = &self.rule.name;
        let path = format!("{}.name", self.key);
        if [DEFAULT, guards::RULE].contains(&name.as_str()) {
            let message = format!("`{name}` is reserved");
            return Some(RULE_NAME.at(path, message, "choose another name"));
        }
        let first = self.above.iter().find(|other| other.name == *name)?;
        let message = format!(
            "two rules are named `{name}`; the first is in {}",
            written(&first.place)
        );
        Some(RULE_NAME.at(path, message, "rename one of them"))
    }

    fn paths(&self) -> Vec<Finding> {
        let RuleConfig {
            name, hosts, paths, ..
        } = self.rule;
        let mut errors = Vec::new();
        let wildcards = hosts
            .iter()
            .enumerate()
            .filter(|(_, host)| !paths.is_empty() && !host.is_exact());
        for (position, host) in wildcards {
            let message = format!("the rule `{name}` has paths and the wildcard host `{host}`");
            let help = "name the hosts one by one, or make the rule speak of whole hosts";
            errors.push(PATHS_NEED_EXACT_HOSTS.at(
                format!("{}.hosts[{position}]", self.key),
                message,
                help,
            ));
        }
        for (position, path) in paths.iter().enumerate() {
            if let Err(error) = check_rule_path(path) {
                let help = "write it as requests name it: from the root, in plain characters, without `//`, dots or `;`";
                let message = format!("`{path}` cannot be a path of a rule: {error}");
                errors.push(RULE_PATH.at(format!("{}.paths[{position}]", self.key), message, help));
            }
        }
        errors
    }

    fn door(&self) -> Option<Finding> {
        if self.config.has_internet_listener {
            return None;
        }
        let RuleConfig { name, exposure, .. } = self.rule;
        let message =
            format!("the rule `{name}` says `{exposure}`, but no listener has the role `internet`");
        let help = "add a listener with `role: internet`, or write `lan`";
        Some(PUBLIC_WITHOUT_DOOR.at(format!("{}.exposure", self.key), message, help))
    }

    fn guarded(&self) -> Vec<Finding> {
        let mut errors = Vec::new();
        for (position, host) in self.rule.hosts.iter().enumerate() {
            for (number, guard) in self.config.guards.never_public.iter().enumerate() {
                let Some(shared) = meet(host, guard) else {
                    continue;
                };
                if !is_open(self.above, self.rule, shared) {
                    continue;
                }
                let (name, class) = (&self.rule.name, self.rule.exposure);
                let message = format!(
                    "the rule `{name}` makes `{shared}` {class}, which guards.neverPublic.hosts[{number}] (`{guard}`) forbids"
                );
                let help = format!(
                    "take it out of one of them, or put a rule with `exposure: lan` for `{shared}` above this one"
                );
                errors.push(GUARDED.at(format!("{}.hosts[{position}]", self.key), message, help));
            }
        }
        errors
    }

    /// Routes that this rule decides for, but that end TLS where it must not end, or pass it through
    /// where paths must be seen.
    fn contradicting_routes(&self) -> Vec<Finding> {
        let RuleConfig {
            name,
            paths,
            tls_passthrough,
            ..
        } = self.rule;
        let mut errors = Vec::new();
        for (position, host) in self.rule.hosts.iter().enumerate() {
            for route in &self.routes.hosts {
                let passed = matches!(route.tls, HostTls::Passthrough(_));
                let contradiction = if passed {
                    !paths.is_empty()
                } else {
                    *tls_passthrough
                };
                if !contradiction || !self.decides(host, route) {
                    continue;
                }
                let (pattern, place) = (&route.pattern, written(&route.place));
                let path = format!("{}.hosts[{position}]", self.key);
                errors.push(if passed {
                    let message = format!("the rule `{name}` has paths, but `{pattern}` ({place}) is passed through");
                    PATHS_PASSED_THROUGH.at(path, message, "make the rule speak of the whole host")
                } else {
                    let message = format!("the rule `{name}` demands passthrough, but `{pattern}` ({place}) ends TLS here");
                    let help = "write `tls: passthrough` at the route, or remove it from the rule";
                    NOT_PASSED_THROUGH.at(path, message, help)
                });
            }
        }
        errors
    }

    /// Whether this rule, by this host, decides for some host that the route answers.
    fn decides(&self, host: &HostPattern, route: &HostRoutes) -> bool {
        meet(host, &route.pattern).is_some_and(|shared| {
            answers(self.routes, route, shared) && is_open(self.above, self.rule, shared)
        })
    }

    /// The addresses that clients must come from; the paths of findings are made whole.
    fn addresses(&self) -> Result<Option<CidrSet>, Vec<Finding>> {
        if self.rule.from.is_empty() {
            return Ok(None);
        }
        let found = resolve_addresses(&self.rule.from, &self.config.networks);
        found.map(Some).map_err(|errors| {
            let whole = |(_, error): (usize, Finding)| {
                let path = format!("{}.from{}", self.key, error.path);
                Finding { path, ..error }
            };
            errors.into_iter().map(whole).collect()
        })
    }

    fn warnings(&self) -> Vec<Finding> {
        let mut warnings = self.shadowed();
        let RuleConfig {
            name,
            hosts,
            exposure,
            ..
        } = self.rule;
        let served = |host| {
            self.routes
                .hosts
                .iter()
                .any(|route| route.pattern.overlaps(host))
        };
        if exposure.is_public() && !hosts.iter().any(served) {
            let names = self
                .routes
                .hosts
                .iter()
                .map(|route| route.pattern.to_string());
            let near = hosts
                .iter()
                .find_map(|host| spelling::nearest(&host.to_string(), names.clone(), 1).pop());
            let message =
                format!("the rule `{name}` says `{exposure}`, but no route has one of its hosts");
            let help = "add a route for the host, or remove the rule";
            let finding = PUBLIC_NOTHING.at(format!("{}.hosts", self.key), message, help);
            warnings.push(Finding {
                suggestion: near,
                ..finding
            });
        }
        warnings
    }

    /// Hosts, or all of the rule, that rules above have decided already.
    fn shadowed(&self) -> Vec<Finding> {
        let RuleConfig { name, hosts, .. } = self.rule;
        let by = |host| {
            paths_of(self.rule)
                .map(|path| decided_above(self.above, host, path))
                .collect::<Option<Vec<_>>>()
        };
        let shadows: Vec<_> = hosts.iter().map(by).collect();
        let help = "rules are read from the top: move this one up, or remove it";
        let deciding = |rules: &[&RuleConfig]| {
            let mut names: Vec<_> = rules
                .iter()
                .map(|rule| format!("`{}`", rule.name))
                .collect();
            names.dedup();
            names.join(", ")
        };
        if !shadows.is_empty() && shadows.iter().all(Option::is_some) {
            let rules: Vec<_> = shadows.into_iter().flatten().flatten().collect();
            let message = format!(
                "the rule `{name}` is never reached: {} above it decides all that it names",
                deciding(&rules)
            );
            return vec![SHADOWED.at(self.key.clone(), message, help)];
        }
        let partly = hosts.iter().zip(&shadows).enumerate();
        let partly =
            partly.filter_map(|(position, (host, rules))| Some((position, host, rules.as_ref()?)));
        partly
            .map(|(position, host, rules)| {
                let message = format!(
                    "the rule `{name}` never decides `{host}`: {} above it does",
                    deciding(rules)
                );
                SHADOWED.at(format!("{}.hosts[{position}]", self.key), message, help)
            })
            .collect()
    }
}

fn written(place: &Place) -> String {
    match place.line {
        0 => place.source.to_string(),
        line => format!("{}:{line}", place.source),
    }
}
