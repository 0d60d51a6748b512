//! The proxies that are compared, each started from a configuration made for it.
//!
//! Fairness is the point: one worker each, the same backends, certificate and forwarding fields,
//! connections kept as long by all, logs off, and each one's own advice for speed followed. What a
//! proxy cannot do has no door, and its row stays empty.

mod adit;
mod caddy;
mod envoy;
mod haproxy;
mod nginx;
mod traefik;

use std::fmt::Write;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::pki::Identity;
use crate::process::{Cpus, Process, free_addr};

/// The host whose requests go to the HTTP/1.1 origin.
pub(crate) const WWW: &str = "www.bench.test";
/// The host whose requests go to the HTTP/2 origin.
pub(crate) const GRPC: &str = "grpc.bench.test";
/// The host whose TLS is not ended.
pub(crate) const PASS: &str = "pass.bench.test";

/// Connections that each must be able to hold.
pub(crate) const CONNECTIONS: usize = 24_000;

/// A proxy that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// This program.
    Adit,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Caddy.
    Caddy,
    /// Envoy.
    Envoy,
    /// Traefik.
    Traefik,
}

/// A proxy and where its program lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which one.
    pub kind: Kind,
    /// What it is called in the results; two builds of one can be compared.
    pub name: String,
    /// Path of the program, or its name.
    pub program: PathBuf,
}

/// Ways into a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Door {
    /// HTTP/1.1 in clear text.
    Plain,
    /// TLS with HTTP/1.1 and HTTP/2.
    Tls,
    /// TLS that is relayed by name.
    Pass,
    /// Bytes that are relayed.
    Tcp,
}

/// What a configuration is made from.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) folder: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) origins: Origins,
    pub(crate) doors: Doors,
    pub(crate) features: Features,
}

/// Where requests go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origins {
    pub(crate) http: SocketAddr,
    pub(crate) h2c: SocketAddr,
    pub(crate) raw: SocketAddr,
    pub(crate) tls: SocketAddr,
}

/// Where requests come in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doors {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) pass: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// What is asked of a configuration beyond the plain case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    /// Write the access log, into a file.
    pub(crate) log: bool,
    /// Windows of HTTP/2 for uploads over a long way.
    pub(crate) windows: bool,
    /// Fixed hosts besides, each with a route.
    pub(crate) hosts: usize,
    /// A route by regular expression, fields set and taken, a rate that is never reached.
    pub(crate) edits: bool,
    /// Thousands of connections that are requests in flight.
    pub(crate) many: bool,
}

impl Doors {
    pub(crate) fn free() -> io::Result<Self> {
        Ok(Self {
            plain: free_addr()?,
            tls: free_addr()?,
            pass: free_addr()?,
            tcp: free_addr()?,
            admin: free_addr()?,
        })
    }
}

impl Origins {
    /// Where the load would go without a proxy.
    pub(crate) fn direct(&self, door: Door) -> SocketAddr {
        match door {
            Door::Plain => self.http,
            Door::Tls => self.tls,
            Door::Pass | Door::Tcp => self.raw,
        }
    }
}

impl Site {
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

/// Files of a configuration, and the command that runs it.
pub(crate) struct Setup {
    pub(crate) files: Vec<(&'static str, String)>,
    pub(crate) command: Command,
}

impl Kind {
    /// The name of its program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adit => "adit",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
            Self::Traefik => "traefik",
        }
    }

    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Adit,
        Self::Nginx,
        Self::Haproxy,
        Self::Caddy,
        Self::Envoy,
        Self::Traefik,
    ];

    fn setup(self, program: &Path, site: &Site) -> Setup {
        match self {
            Self::Adit => adit::setup(program, site),
            Self::Nginx => nginx::setup(program, site),
            Self::Haproxy => haproxy::setup(program, site),
            Self::Caddy => caddy::setup(program, site),
            Self::Envoy => envoy::setup(program, site),
            Self::Traefik => traefik::setup(program, site),
        }
    }

    /// Whether it has such a door.
    pub(crate) fn has(self, door: Door) -> bool {
        match (self, door) {
            (Self::Caddy, Door::Pass | Door::Tcp) => false,
            (Self::Nginx, Door::Pass | Door::Tcp) => nginx::stream_module().is_some(),
            _ => true,
        }
    }

    /// Whether it reads its configuration again without an API.
    pub(crate) fn reloads(self) -> bool {
        matches!(self, Self::Adit | Self::Nginx | Self::Haproxy)
    }

    fn version_argument(self) -> &'static str {
        match self {
            Self::Adit | Self::Caddy | Self::Traefik => "version",
            Self::Nginx | Self::Haproxy => "-v",
            Self::Envoy => "--version",
        }
    }
}

impl Peer {
    /// From `NAME` or `NAME=PATH`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, program) = text.split_once('=').unwrap_or((text, ""));
        // `nginx-new=/opt/nginx` is another nginx.
        let kind = Kind::ALL.into_iter().find(|kind| {
            name == kind.name()
                || name
                    .strip_prefix(kind.name())
                    .is_some_and(|rest| rest.starts_with('-'))
        });
        let Some(kind) = kind else {
            let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            return Err(format!("{name} is none of {}", known.join(", ")));
        };
        let program = if program.is_empty() {
            // Servers often lie where only root looks.
            let homes = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];
            let mut places = homes.iter().map(|home| Path::new(home).join(kind.name()));
            places
                .find(|path| path.exists())
                .unwrap_or_else(|| kind.name().into())
        } else {
            program.into()
        };
        Ok(Self {
            kind,
            name: name.to_owned(),
            program,
        })
    }

    /// What the program says of its version; an error if it cannot be run.
    pub fn version(&self) -> io::Result<String> {
        let output = Command::new(&self.program)
            .arg(self.kind.version_argument())
            .output()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", self.program.display()))
            })?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        Ok(text
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default()
            .trim()
            .to_owned())
    }
}

/// A proxy that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) site: Site,
    /// Its configuration, all files of it.
    pub(crate) configuration: String,
    /// From its start to its readiness.
    pub(crate) took: Duration,
    program: PathBuf,
    process: Process,
}

impl Running {
    pub(crate) fn start(peer: &Peer, site: Site, cpus: &Cpus) -> io::Result<Self> {
        let mut setup = peer.kind.setup(&peer.program, &site);
        let mut configuration = String::new();
        for (name, text) in &setup.files {
            fs::write(site.folder.join(name), text)?;
            // Writing to a String cannot fail.
            let _ = writeln!(configuration, "# {name}\n{text}");
        }
        let log = site.folder.join("said.log");
        let begun = Instant::now();
        let mut process = Process::start(&mut setup.command, cpus, &log)?;
        let mut doors = vec![site.doors.plain, site.doors.tls];
        if peer.kind.has(Door::Tcp) {
            doors.push(site.doors.tcp);
        }
        process
            .await_doors(&doors)
            .map_err(|error| io::Error::other(format!("{}: {error}", peer.name)))?;
        Ok(Self {
            kind: peer.kind,
            name: peer.name.clone(),
            site,
            configuration,
            took: begun.elapsed(),
            program: peer.program.clone(),
            process,
        })
    }

    /// Its configuration without what changes from start to start.
    pub(crate) fn neutral_configuration(&self) -> String {
        let (doors, origins) = (&self.site.doors, &self.site.origins);
        let mut text = self.configuration.clone();
        let addresses = [
            (doors.plain, "PLAIN"),
            (doors.tls, "TLS"),
            (doors.pass, "PASS"),
            (doors.tcp, "TCP"),
            (doors.admin, "ADMIN"),
            (origins.http, "HTTP"),
            (origins.h2c, "H2C"),
            (origins.raw, "RAW"),
        ];
        for (addr, name) in addresses {
            text = text.replace(&addr.to_string(), name);
            text = text.replace(&addr.port().to_string(), name);
        }
        text = text.replace(&self.site.folder.display().to_string(), "FOLDER");
        if let Some(base) = self.site.folder.parent() {
            text = text.replace(&base.display().to_string(), "FOLDER");
        }
        text
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Still there.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        if self.process.runs() {
            Ok(())
        } else {
            Err(self.process.blame(&format!("{} has ended", self.name)))
        }
    }

    /// Where a kind of traffic goes in.
    pub(crate) fn door(&self, door: Door) -> SocketAddr {
        let doors = &self.site.doors;
        match door {
            Door::Plain => doors.plain,
            // adit tells them apart by name, on one port.
            Door::Pass if self.kind == Kind::Adit => doors.tls,
            Door::Tls => doors.tls,
            Door::Pass => doors.pass,
            Door::Tcp => doors.tcp,
        }
    }

    /// Changes its configuration, by so many more hosts, and makes it read the file again.
    pub(crate) fn rewrite(&mut self, more: usize) -> io::Result<()> {
        let mut site = self.site.clone();
        site.features.hosts += more;
        for (name, text) in self.kind.setup(&self.program, &site).files {
            // As an editor does: nobody must read half of it.
            let beside = site.folder.join("beside");
            fs::write(&beside, text)?;
            fs::rename(beside, site.folder.join(name))?;
        }
        match self.kind {
            // It watches its file.
            Kind::Adit => Ok(()),
            Kind::Nginx => self.process.signal(Signal::HUP),
            Kind::Haproxy => self.process.signal(Signal::USR2),
            Kind::Caddy | Kind::Envoy | Kind::Traefik => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_name_and_perhaps_a_path() {
        let peer = |text| Peer::parse(text).map(|peer| (peer.kind, peer.name, peer.program));
        for (text, kind, name, program) in [
            ("traefik", Kind::Traefik, "traefik", "traefik"),
            ("envoy=/opt/envoy", Kind::Envoy, "envoy", "/opt/envoy"),
            ("nginx-1.29=/n", Kind::Nginx, "nginx-1.29", "/n"),
        ] {
            assert_eq!(peer(text), Ok((kind, name.to_owned(), program.into())));
        }
        assert!(peer("apache").unwrap_err().contains("none of adit, nginx"));
        assert!(peer("nginxx").is_err());
    }
}
