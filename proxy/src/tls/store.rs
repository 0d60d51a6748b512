//! The certificates of one generation, found by host.
//!
//! A set is immutable: a reload makes the next one from the sources and from what was good before,
//! and everything that did not change keeps its `Arc`. A source that breaks keeps its last good
//! certificate for as long as the configuration names it (TL-14). Nobody is ever served with a
//! certificate that does not name the host.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use adit_route::HostPattern;
use smallvec::SmallVec;

use super::certificate::{Certificate, ContentDigest};
use super::fault::{CertificateFault, CertificateProblem, Outcome};
use super::source::{self, PairPaths};

/// A place that certificates are read from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateSource {
    /// A chain and its key.
    Pair {
        /// Name; else that of the file, or of its directory if the file's says nothing.
        name: Option<Arc<str>>,
        /// The chain, leaf first.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// `X.crt` or `X.pem` with `X.key`, or certbot's `live/NAME/{fullchain,privkey}.pem`.
    Directory(PathBuf),
}

/// Certificates, indexed by the hosts that they name.
#[derive(Debug, Default)]
pub struct CertificateSet {
    entries: Vec<Entry>,
    exact: Index,
    /// By suffix: `*.a.test` is under `a.test`.
    one_label: Index,
}

/// Entries that name a host, the preferred one first.
type Candidates = SmallVec<[u32; 2]>;
type Index = HashMap<Box<str>, Candidates, foldhash::fast::RandomState>;

#[derive(Clone, Debug)]
struct Entry {
    origin: Origin,
    certificate: Arc<Certificate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Memory,
    Files {
        paths: PairPaths,
        directory: Option<PathBuf>,
    },
}

impl CertificateSet {
    /// A set of certificates that come from no file.
    pub fn new(certificates: impl IntoIterator<Item = Arc<Certificate>>) -> Self {
        let entry = |certificate| Entry {
            origin: Origin::Memory,
            certificate,
        };
        Self::index(certificates.into_iter().map(entry).collect())
    }

    /// Reads the sources. What is broken is reported, and served from `previous` if it was good
    /// there. Reads files: not for a data worker.
    pub fn load(sources: &[CertificateSource], previous: &Self) -> (Self, Vec<CertificateProblem>) {
        Self::load_at(sources, previous, SystemTime::now())
    }

    pub(super) fn load_at(
        sources: &[CertificateSource],
        previous: &Self,
        now: SystemTime,
    ) -> (Self, Vec<CertificateProblem>) {
        let mut loading = Loading::new(previous, now);
        // Single pairs first: the name that an operator gave wins over a directory's.
        for source in sources {
            if let CertificateSource::Pair { name, cert, key } = source {
                let paths = PairPaths {
                    cert: cert.clone(),
                    key: key.clone(),
                };
                loading.pair(paths, name.clone(), None);
            }
        }
        for source in sources {
            if let CertificateSource::Directory(directory) = source {
                loading.directory(directory);
            }
        }
        loading.finish()
    }

    /// The certificate for a host in canonical form: one that names it, else a wildcard; one whose
    /// time it is before others, ECDSA before RSA, then the one that lasts longest.
    pub fn find(&self, host: &str) -> Option<&Arc<Certificate>> {
        let wildcard = || self.one_label.get(host.split_once('.')?.1);
        let mut candidates = self.exact.get(host).into_iter().chain(wildcard()).flatten();
        let first = self.at(*candidates.next()?)?;
        let Some(second) = candidates.next() else {
            return Some(first);
        };
        // The clock matters only if there is a choice.
        let now = SystemTime::now();
        let others = std::iter::once(second)
            .chain(candidates)
            .filter_map(|index| self.at(*index));
        std::iter::once(first)
            .chain(others)
            .find(|certificate| certificate.is_valid_at(now))
            .or(Some(first))
    }

    /// Whether some certificate names the host.
    pub fn covers(&self, host: &str) -> bool {
        self.find(host).is_some()
    }

    /// The certificate of this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Certificate>> {
        self.iter()
            .find(|certificate| certificate.name().as_ref() == name)
    }

    /// All of them, in the order of their sources.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.entries.iter().map(|entry| &entry.certificate)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether this is the same as another set, certificate for certificate.
    pub fn is_same(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|(mine, theirs)| Arc::ptr_eq(mine, theirs))
    }

    fn at(&self, index: u32) -> Option<&Arc<Certificate>> {
        self.entries
            .get(index as usize)
            .map(|entry| &entry.certificate)
    }

    fn index(entries: Vec<Entry>) -> Self {
        let mut set = Self {
            entries,
            ..Self::default()
        };
        let mut order: Vec<_> = set
            .iter()
            .map(|certificate| certificate.preference())
            .zip(0_u32..)
            .collect();
        order.sort_by(|(one, first), (other, second)| other.cmp(one).then(first.cmp(second)));
        for (_, index) in order {
            let Some(certificate) = set.at(index).map(Arc::clone) else {
                continue;
            };
            for host in certificate.hosts() {
                let (map, name) = match host {
                    HostPattern::Exact(name) => (&mut set.exact, name),
                    HostPattern::OneLabel(suffix) => (&mut set.one_label, suffix),
                    HostPattern::Subtree(_) | HostPattern::Any => continue,
                };
                map.entry(name.as_str().into()).or_default().push(index);
            }
        }
        set
    }
}

/// A set in the making.
struct Loading<'a> {
    now: SystemTime,
    previous: &'a CertificateSet,
    by_paths: HashMap<&'a PairPaths, &'a Arc<Certificate>>,
    entries: Vec<Entry>,
    seen: HashSet<PairPaths>,
    names: HashSet<Arc<str>>,
    problems: Vec<CertificateProblem>,
}

impl<'a> Loading<'a> {
    fn new(previous: &'a CertificateSet, now: SystemTime) -> Self {
        let by_paths = previous
            .entries
            .iter()
            .filter_map(|entry| match &entry.origin {
                Origin::Files { paths, .. } => Some((paths, &entry.certificate)),
                Origin::Memory => None,
            });
        Self {
            now,
            previous,
            by_paths: by_paths.collect(),
            entries: Vec::new(),
            seen: HashSet::new(),
            names: HashSet::new(),
            problems: Vec::new(),
        }
    }

    /// Reads one pair. Content that is as it was is not judged again, except by the clock.
    fn pair(&mut self, paths: PairPaths, name: Option<Arc<str>>, directory: Option<&Path>) {
        if !self.seen.insert(paths.clone()) {
            return;
        }
        let name = name.unwrap_or_else(|| paths.default_name());
        let held = self.by_paths.get(&paths).map(|certificate| {
            if certificate.name() == &name {
                Arc::clone(certificate)
            } else {
                Arc::new(certificate.renamed(Arc::clone(&name)))
            }
        });
        let certificate = match (self.read(&paths, &name, held.as_ref()), held) {
            (Ok(fresh), _) => fresh,
            (Err(fault), held) => {
                let outcome = if held.is_some() {
                    Outcome::KeptPrevious
                } else {
                    Outcome::Refused
                };
                self.report(&paths.cert, Some(&name), fault, outcome);
                let Some(held) = held else { return };
                held
            }
        };
        if certificate.not_before() > self.now {
            let fault = CertificateFault::NotYetValid {
                until: certificate.not_before(),
            };
            self.report(&paths.cert, Some(&name), fault, Outcome::Served);
        }
        if !self.names.insert(Arc::clone(&name)) {
            self.report(
                &paths.cert,
                Some(&name),
                CertificateFault::NameTaken,
                Outcome::Served,
            );
        }
        let directory = directory.map(Path::to_path_buf);
        self.entries.push(Entry {
            origin: Origin::Files { paths, directory },
            certificate,
        });
    }

    fn read(
        &self,
        paths: &PairPaths,
        name: &Arc<str>,
        held: Option<&Arc<Certificate>>,
    ) -> Result<Arc<Certificate>, CertificateFault> {
        let (chain, key) = paths.read()?;
        match held {
            Some(held) if held.content() == ContentDigest::of(&chain, &key) => {
                if held.not_after() < self.now {
                    return Err(CertificateFault::Expired {
                        since: held.not_after(),
                    });
                }
                Ok(Arc::clone(held))
            }
            _ => {
                Certificate::from_pem(Arc::clone(name), &chain, &key, paths.cert.clone(), self.now)
                    .map(Arc::new)
            }
        }
    }

    fn directory(&mut self, directory: &Path) {
        let found = match source::scan(directory) {
            Ok(found) => found,
            Err(error) => {
                let held = self.held_from(directory);
                let outcome = if held.is_empty() {
                    Outcome::Refused
                } else {
                    Outcome::KeptPrevious
                };
                self.report(
                    directory,
                    None,
                    CertificateFault::Unreadable(error),
                    outcome,
                );
                for entry in held {
                    self.keep(entry);
                }
                return;
            }
        };
        for (paths, name) in found.pairs {
            self.pair(paths, Some(name), Some(directory));
        }
        // A pair of which one half is gone is broken; one that is gone altogether was taken away.
        for entry in self.held_from(directory) {
            let Origin::Files { paths, .. } = &entry.origin else {
                continue;
            };
            if self.seen.contains(paths) || !paths.exist() {
                continue;
            }
            let name = Arc::clone(entry.certificate.name());
            self.pair(paths.clone(), Some(name), Some(directory));
        }
        for (cert, expected) in found.without_key {
            if self.seen.iter().any(|paths| paths.cert == cert) {
                continue;
            }
            let fault = CertificateFault::NoKeyFile { expected };
            self.report(&cert, None, fault, Outcome::Refused);
        }
    }

    fn held_from(&self, directory: &Path) -> Vec<Entry> {
        let from_here = |entry: &&Entry| match &entry.origin {
            Origin::Files {
                directory: Some(held),
                ..
            } => held == directory,
            Origin::Files {
                directory: None, ..
            }
            | Origin::Memory => false,
        };
        self.previous
            .entries
            .iter()
            .filter(from_here)
            .cloned()
            .collect()
    }

    fn keep(&mut self, entry: Entry) {
        if let Origin::Files { paths, .. } = &entry.origin
            && self.seen.insert(paths.clone())
        {
            self.entries.push(entry);
        }
    }

    fn report(
        &mut self,
        source: &Path,
        name: Option<&Arc<str>>,
        fault: CertificateFault,
        outcome: Outcome,
    ) {
        self.problems.push(CertificateProblem {
            source: source.to_path_buf(),
            name: name.map(Arc::clone),
            fault,
            outcome,
        });
    }

    fn finish(self) -> (CertificateSet, Vec<CertificateProblem>) {
        (CertificateSet::index(self.entries), self.problems)
    }
}
