//! Who may see a host: classes, roles of doors, and the ordered rules that decide.
//!
//! The one invariant of adit lives here: a request from the Internet is served only if a rule says
//! that its host is public. Rules are read top to bottom and the first that matches decides;
//! everything else gets the default, which can only be `lan` or `off`.

use std::fmt;
use std::sync::Arc;

use crate::cidr::CidrSet;
use crate::host::HostPattern;

/// Exposure of a host, or of a path of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nobody.
    Off,
    /// LAN doors only.
    Lan,
    /// LAN doors and the Internet; LAN clients go round through the edge.
    Public,
    /// LAN doors and the Internet, with a short path inside.
    Both,
}

/// What kind of clients come through a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The local network.
    Lan,
    /// The Internet, through a port that is reachable from there.
    Internet,
    /// The Internet, through a tunnel.
    Tunnel,
    /// Operators: health, metrics, status; never routes.
    Admin,
}

impl Class {
    /// Whether clients of such a door may see the host.
    pub fn reaches(self, role: Role) -> bool {
        match (self, role) {
            (Self::Off, _) | (_, Role::Admin) => false,
            (_, Role::Lan) => true,
            (Self::Lan, _) => false,
            (Self::Public | Self::Both, Role::Internet | Role::Tunnel) => true,
        }
    }

    /// Whether the class lets anybody on the Internet in.
    pub fn is_public(self) -> bool {
        matches!(self, Self::Public | Self::Both)
    }

    /// The word used in files and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Lan => "lan",
            Self::Public => "public",
            Self::Both => "both",
        }
    }
}

impl Role {
    /// The word used in files and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Internet => "internet",
            Self::Tunnel => "tunnel",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a rule, or the default, says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Name of the rule; `default` for the default.
    pub rule: Arc<str>,
    /// Line of the rule in its file; 0 for a default that was not written.
    pub line: u32,
    /// The class.
    pub class: Class,
    /// Clients must also come from here.
    pub from: Option<Arc<CidrSet>>,
}

/// One ordered rule.
#[derive(Clone, Debug, PartialEq)]
pub struct ExposureRule {
    /// Hosts it speaks of; empty means all.
    pub hosts: Vec<HostPattern>,
    /// Path prefixes, on element borders; empty means all. Only with exact hosts.
    pub paths: Vec<String>,
    /// Whether a route that ends TLS here contradicts the rule.
    pub requires_passthrough: bool,
    /// What it says.
    pub verdict: Arc<Verdict>,
}

/// The ordered rules and the default.
#[derive(Clone, Debug, PartialEq)]
pub struct ExposureRules {
    /// In order; the first match wins.
    pub rules: Vec<ExposureRule>,
    /// For everything else; never public.
    pub default: Arc<Verdict>,
}

impl Default for ExposureRules {
    fn default() -> Self {
        let default = Verdict {
            rule: "default".into(),
            line: 0,
            class: Class::Lan,
            from: None,
        };
        Self {
            rules: Vec::new(),
            default: Arc::new(default),
        }
    }
}

impl ExposureRules {
    /// What the rules say of a concrete host and path.
    pub fn decide(&self, host: &str, path: &str) -> &Arc<Verdict> {
        let matching = self
            .rules
            .iter()
            .find(|rule| rule.covers_host(host) && rule.covers_path(path));
        matching.map_or(&self.default, |rule| &rule.verdict)
    }

    /// Only the rules that can concern hosts under this pattern, up to the first that settles them all.
    #[must_use]
    pub fn narrowed(&self, pattern: &HostPattern) -> Self {
        let mut rules = Vec::new();
        for rule in &self.rules {
            if !rule.hosts.is_empty() && !rule.hosts.iter().any(|host| host.overlaps(pattern)) {
                continue;
            }
            let settles = rule.paths.is_empty()
                && (rule.hosts.is_empty() || rule.hosts.iter().any(|host| host.contains(pattern)));
            rules.push(rule.clone());
            if settles {
                break;
            }
        }
        Self {
            rules,
            default: Arc::clone(&self.default),
        }
    }

    /// The single verdict for every host and path under the pattern, if there is only one.
    pub fn settled(&self, pattern: &HostPattern) -> Option<&Arc<Verdict>> {
        let narrowed = self.rules.iter().find(|rule| {
            rule.hosts.is_empty() || rule.hosts.iter().any(|host| host.overlaps(pattern))
        });
        match narrowed {
            None => Some(&self.default),
            Some(rule) => {
                let covers =
                    rule.hosts.is_empty() || rule.hosts.iter().any(|host| host.contains(pattern));
                (covers && rule.paths.is_empty()).then_some(&rule.verdict)
            }
        }
    }

    /// Whether some host or path under the pattern can be seen through a door of this role.
    pub fn may_reach(&self, pattern: &HostPattern, role: Role) -> bool {
        let narrowed = self.narrowed(pattern);
        let settled = narrowed.rules.last().is_some_and(|rule| {
            rule.paths.is_empty()
                && (rule.hosts.is_empty() || rule.hosts.iter().any(|host| host.contains(pattern)))
        });
        narrowed
            .rules
            .iter()
            .any(|rule| rule.verdict.class.reaches(role))
            || (!settled && self.default.class.reaches(role))
    }
}

impl ExposureRule {
    /// Whether it speaks of this host.
    pub fn covers_host(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether it speaks of this path.
    pub fn covers_path(&self, path: &str) -> bool {
        self.paths.is_empty()
            || self
                .paths
                .iter()
                .any(|prefix| crate::path::has_prefix(path, prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, hosts: &[&str], paths: &[&str], class: Class) -> ExposureRule {
        ExposureRule {
            hosts: hosts
                .iter()
                .map(|host| HostPattern::parse(host).unwrap())
                .collect(),
            paths: paths.iter().map(ToString::to_string).collect(),
            requires_passthrough: false,
            verdict: Arc::new(Verdict {
                rule: name.into(),
                line: 1,
                class,
                from: None,
            }),
        }
    }

    #[test]
    fn the_first_matching_rule_decides() {
        let rules = ExposureRules {
            rules: vec![
                rule("db", &["db.apps.test"], &[], Class::Lan),
                rule("hook", &["git.test"], &["/hook"], Class::Public),
                rule("apps", &["*.apps.test"], &[], Class::Public),
            ],
            ..ExposureRules::default()
        };
        for (host, path, class) in [
            ("db.apps.test", "/", Class::Lan),
            ("web.apps.test", "/", Class::Public),
            ("git.test", "/hook/x", Class::Public),
            ("git.test", "/hooks", Class::Lan),
            ("other.test", "/", Class::Lan),
        ] {
            assert_eq!(rules.decide(host, path).class, class, "{host}{path}");
        }
        let apps = HostPattern::parse("*.apps.test").unwrap();
        assert!(rules.settled(&apps).is_none());
        assert!(rules.may_reach(&apps, Role::Internet));
        assert!(rules.may_reach(&HostPattern::parse("git.test").unwrap(), Role::Internet));
        assert!(!rules.may_reach(&HostPattern::parse("db.apps.test").unwrap(), Role::Internet));
    }

    #[test]
    fn only_public_classes_reach_the_internet() {
        for class in [Class::Off, Class::Lan, Class::Public, Class::Both] {
            for role in [Role::Internet, Role::Tunnel] {
                assert_eq!(class.reaches(role), class.is_public(), "{class} {role}");
            }
            assert!(!class.reaches(Role::Admin));
            assert_eq!(class.reaches(Role::Lan), class != Class::Off);
        }
    }
}
