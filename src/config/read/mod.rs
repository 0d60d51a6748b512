//! From the checked tree to typed settings.
//!
//! Readers report what only the whole can show: names that nothing bears, keys that do not go
//! together, files that are not there. A value of a wrong form was reported by the check before and
//! counts as absent here.

mod backends;
mod certificates;
mod hosts;
mod limits;
mod listeners;
mod policies;
mod policy;
mod respond;
mod routes;
mod rules;
mod tracing;
mod upstreams;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use adit_route::policy::Tracing;
use adit_route::{CidrSet, Place, UpstreamSpec};

use super::model::{AccessFormat, AccessLog, AccessTarget, Config, Log, LogFormat, LogLevel};
use super::problem::{Code, Problem, Problems};
use super::scalar;
use super::source::Sources;
use super::spelling::nearest;
use super::tree::{Node, Span};

pub(crate) use limits::{LimitValue, limit_values};
pub(super) use listeners::admin_binds;

/// What the readers share.
pub(super) struct Reader<'a> {
    sources: &'a Sources,
    problems: &'a mut Problems,
    networks: HashMap<&'a str, CidrSet>,
    contents: HashMap<PathBuf, Option<Arc<[u8]>>>,
    /// Servers that decide about requests.
    servers: Vec<Arc<UpstreamSpec>>,
    /// Counters of rate limits, by where they are written.
    zones: policies::Zones,
    /// What a route has that writes nothing about traces.
    traced: Option<Tracing>,
    /// Files and directories that the document refers to, in the order of their first mention.
    pub(super) referenced: Vec<PathBuf>,
}

impl<'a> Reader<'a> {
    /// A reader of the document in these sources.
    pub(super) fn new(sources: &'a Sources, problems: &'a mut Problems) -> Self {
        Self {
            sources,
            problems,
            networks: HashMap::new(),
            contents: HashMap::new(),
            servers: Vec::new(),
            zones: policies::Zones::default(),
            traced: None,
            referenced: Vec::new(),
        }
    }

    /// The whole document.
    pub(super) fn config(&mut self, root: &'a Node) -> Config {
        self.version(root);
        self.networks = networks(root);
        self.host_bits(root);
        let certificates = certificates::certificates(self, root);
        let tls = certificates::tls_defaults(self, root, &certificates);
        let listeners = listeners::listeners(self, root);
        self.traced = tracing::of_every_route(root);
        let routes = routes::routes(self, root);
        let (policy, exposure) = policy::policy(self, root, &listeners, &routes);
        Config {
            workers: root
                .field("workers")
                .and_then(Node::integer)
                .and_then(|count| NonZeroUsize::new(count as usize)),
            log: log(root),
            access_log: self.access_log(root),
            listeners,
            tls,
            certificates,
            routes,
            policy,
            exposure,
            limits: limits::limits(root),
            tracing: tracing::tracing(self, root),
            watched: Vec::new(),
            source_digest: String::new(),
        }
    }

    /// Content of the files that were read for the document, in a stable order.
    pub(super) fn contents(&self) -> impl Iterator<Item = &[u8]> {
        self.referenced
            .iter()
            .filter_map(|path| self.contents.get(path)?.as_deref())
    }

    fn version(&mut self, root: &Node) {
        const KNOWN: u64 = 1;
        let Some(node) = root.field("version") else {
            return;
        };
        if let Some(version) = node.integer().filter(|version| *version > KNOWN) {
            let problem = Problem::error(
                Code::VERSION,
                node.span,
                format!("version {version} is not known to this adit"),
            );
            self.push(
                problem
                    .found(version.to_string())
                    .allowed(KNOWN.to_string())
                    .help("update adit before the file"),
            );
        }
    }

    /// A block with host bits is read as its network; whoever wrote it may have meant one address.
    fn host_bits(&mut self, root: &Node) {
        let lists = root
            .field("networks")
            .into_iter()
            .flat_map(Node::entries)
            .map(|entry| (&entry.value, "cidrs"));
        let listeners = root.field("listeners").into_iter().flat_map(Node::items);
        let doors = listeners.flat_map(|node| {
            ["allow", "deny", "trustProxy", "trustForwarded"].map(|key| (node, key))
        });
        let rules = root
            .field("rules")
            .into_iter()
            .flat_map(Node::items)
            .map(|node| (node, "from"));
        for (node, key) in lists.chain(doors).chain(rules) {
            if let Some(list) = node.field(key) {
                self.host_bits_of(list);
            }
        }
    }

    fn host_bits_of(&mut self, list: &Node) {
        for item in list.items() {
            let Some(block) = item.text().and_then(|text| scalar::cidr(text).ok()) else {
                continue;
            };
            if block.addr() != block.network() {
                let message = format!(
                    "the block has bits behind its prefix; it is read as {}",
                    block.trunc()
                );
                let help = format!(
                    "write `{}`, or `{}` for the one address",
                    block.trunc(),
                    block.addr()
                );
                let problem =
                    Problem::warning(Code::HOST_BITS, item.span, message).found(block.to_string());
                self.push(problem.nearest(Some(block.trunc().to_string())).help(help));
            }
        }
    }

    fn access_log(&mut self, root: &Node) -> AccessLog {
        let node = root.field("accessLog");
        let format = node
            .and_then(|node| node.field("format"))
            .and_then(|node| node.word(&["json", "combined", "off"]));
        let target = match node.and_then(|node| node.field("path")) {
            Some(path) if path.word(&["stdout"]).is_none() => {
                self.path(path).map(AccessTarget::File)
            }
            _ => None,
        };
        AccessLog {
            format: match format {
                Some("combined") => AccessFormat::Combined,
                Some("off") => AccessFormat::Off,
                _ => AccessFormat::Json,
            },
            target: target.unwrap_or(AccessTarget::Stdout),
        }
    }

    fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Refuses keys that mean nothing beside what else is written.
    fn forbid(&mut self, node: &Node, keys: &[&str], why: &str) {
        for entry in node
            .entries()
            .iter()
            .filter(|entry| keys.contains(&&*entry.key))
        {
            let message = format!("the key `{}` cannot be used here: {why}", entry.key);
            let problem = Problem::error(Code::COMBINATION, entry.key_span, message)
                .found(format!("`{}`", entry.key));
            self.push(problem.help("remove the key: it would do nothing"));
        }
    }

    /// Refuses a name that is already taken, and remembers it otherwise.
    fn unique<'n>(
        &mut self,
        seen: &mut HashMap<&'n str, Span>,
        node: Option<&'n Node>,
        what: &str,
    ) {
        let Some((node, name)) = node.and_then(|node| Some((node, node.text()?))) else {
            return;
        };
        match seen.get(name) {
            Some(&first) => self.push(
                Problem::error(
                    Code::DUPLICATE_NAME,
                    node.span,
                    format!("the {what} `{name}` is there twice"),
                )
                .found(format!("`{name}`"))
                .related(first, "first written here")
                .help("give one of them another name"),
            ),
            None => {
                seen.insert(name, node.span);
            }
        }
    }

    fn place(&self, span: Span) -> Place {
        let source = self
            .sources
            .file(span.file)
            .map_or_else(|| "".into(), |source| Arc::clone(&source.name));
        Place {
            source,
            line: span.line,
        }
    }

    /// A path, relative to the file that names it.
    fn path(&self, node: &Node) -> Option<PathBuf> {
        let text = scalar::file_path(node.text()?).ok()?;
        let source = self.sources.file(node.span.file)?;
        Some(source.base.join(text))
    }

    /// The addresses that a list of networks and blocks stands for; `None` if there is no list.
    fn peers(&mut self, list: Option<&Node>) -> Option<CidrSet> {
        let mut set = CidrSet::default();
        for item in list?.items() {
            match item.text().map(scalar::peers) {
                Some(Ok(scalar::Peers::Block(block))) => set.extend(&CidrSet::new([block])),
                Some(Ok(scalar::Peers::Network(name))) => match self.networks.get(name) {
                    Some(network) => set.extend(network),
                    None => self.unknown_network(item.span, name),
                },
                Some(Err(_)) | None => {}
            }
        }
        Some(set)
    }

    fn unknown_network(&mut self, span: Span, name: &str) {
        let mut known: Vec<_> = self.networks.keys().copied().collect();
        known.sort_unstable();
        let near = nearest(name, known.iter().copied());
        let allowed = if known.is_empty() {
            "a block; no networks are written".to_owned()
        } else {
            known.join(", ")
        };
        let problem = Problem::error(
            Code::UNKNOWN_REFERENCE,
            span,
            format!("there is no network `{name}`"),
        )
        .found(format!("`{name}`"))
        .allowed(allowed)
        .nearest(near);
        self.push(
            problem.help("write the network under `networks`, or a block such as `192.168.1.0/24`"),
        );
    }
}

fn networks(root: &Node) -> HashMap<&str, CidrSet> {
    let entries = root.field("networks").into_iter().flat_map(Node::entries);
    let blocks = |node: &Node| CidrSet::new(node.field("cidrs").into_iter().flat_map(cidrs));
    entries
        .map(|entry| (&*entry.key, blocks(&entry.value)))
        .collect()
}

/// The blocks of a list; what is no block was reported by the check.
fn cidrs(list: &Node) -> impl Iterator<Item = ipnet::IpNet> {
    list.items()
        .iter()
        .filter_map(|item| scalar::cidr(item.text()?).ok())
}

fn log(root: &Node) -> Log {
    let field = |key| {
        root.field("log")
            .and_then(|node| node.field(key))
            .and_then(Node::text)
    };
    Log {
        level: match field("level") {
            Some("error") => LogLevel::Error,
            Some("warn") => LogLevel::Warn,
            Some("debug") => LogLevel::Debug,
            Some("trace") => LogLevel::Trace,
            _ => LogLevel::Info,
        },
        format: if field("format") == Some("json") {
            LogFormat::Json
        } else {
            LogFormat::Text
        },
    }
}
