//! The origins of a comparison, in a process of their own.
//!
//! It is this program again, as `adit bench origin`. It ends when its standard input does, so that
//! it never outlives the suite.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::origin::{Kind, Origin, TlsIdentity};
use crate::pki::Identity;

/// Where the origins listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// HTTP/1.1 in clear text.
    pub http: SocketAddr,
    /// HTTP/2 in clear text.
    pub h2c: SocketAddr,
    /// Plain bytes.
    pub raw: SocketAddr,
    /// HTTP/1.1 and HTTP/2 over TLS, if there is a certificate.
    pub tls: Option<SocketAddr>,
}

/// The origins of this process.
#[derive(Debug)]
pub struct Serving {
    addresses: Addresses,
    _origins: Vec<Origin>,
}

impl Serving {
    /// Starts one origin of each kind; port 0 takes free ones, any other counts up.
    pub fn start(first: SocketAddr, identity: Option<TlsIdentity>) -> io::Result<Self> {
        let at = |offset: u16| {
            let mut addr = first;
            if addr.port() != 0 {
                addr.set_port(addr.port().saturating_add(offset));
            }
            addr
        };
        let http = Origin::start(Kind::Http1, "http", at(0))?;
        let h2c = Origin::start(Kind::H2c, "h2c", at(1))?;
        let raw = Origin::start(Kind::Raw, "raw", at(2))?;
        let tls = match identity {
            Some(identity) => Some(Origin::start(Kind::Tls(identity), "tls", at(3))?),
            None => None,
        };
        let addresses = Addresses {
            http: http.addr(),
            h2c: h2c.addr(),
            raw: raw.addr(),
            tls: tls.as_ref().map(Origin::addr),
        };
        let mut origins = vec![http, h2c, raw];
        origins.extend(tls);
        Ok(Self {
            addresses,
            _origins: origins,
        })
    }

    /// Where they listen.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until standard input ends.
    pub fn until_input_ends(&self) -> io::Result<()> {
        let mut rest = [0; 64];
        while io::stdin().lock().read(&mut rest)? > 0 {}
        Ok(())
    }
}

/// The process of the origins.
#[derive(Debug)]
pub(super) struct Origins {
    pub(super) addresses: Addresses,
    child: Child,
    leash: Option<ChildStdin>,
}

impl Origins {
    pub(super) fn start(program: &Path, identity: &Identity) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(["bench", "origin", "--leash", "--output", "json"])
            .arg("--cert")
            .arg(&identity.certificate)
            .arg("--key")
            .arg(&identity.key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let leash = child.stdin.take();
        let mut line = String::new();
        if let Some(said) = child.stdout.take() {
            BufReader::new(said).read_line(&mut line)?;
        }
        let addresses = serde_json::from_str(&line)
            .map_err(|error| io::Error::other(format!("the origins did not start: {error}")))?;
        Ok(Self {
            addresses,
            child,
            leash,
        })
    }
}

impl Drop for Origins {
    fn drop(&mut self) {
        if let Some(mut leash) = self.leash.take() {
            let _ = leash.flush();
        }
        let _ = self.child.wait();
    }
}
