//! Network namespaces, for tests in which the network itself is the point.
//!
//! They need root. Without it a test says so on its standard error and passes: everything else
//! in the suite must stay runnable by an ordinary user.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether namespaces can be made here; says why not.
pub(crate) fn available(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("{test}: skipped, network namespaces need root");
    }
    root
}

/// A network of its own.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("adit{}n{number}", std::process::id());
        ip(&format!("netns add {name}"));
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs `ip` inside.
    pub(crate) fn ip(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.name));
    }

    /// Names are asked of this server inside.
    pub(crate) fn resolver(&self, address: &str) {
        let dir = Path::new("/etc/netns").join(&self.name);
        fs::create_dir_all(&dir).unwrap();
        let line = format!("nameserver {address}\noptions timeout:1 attempts:1\n");
        fs::write(dir.join("resolv.conf"), line).unwrap();
    }

    /// A command that runs inside.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// A link to another namespace, with an address (`10.1.0.1/24`) at either end.
    pub(crate) fn link(&self, other: &Self, name: &str, here: &str, there: &str) {
        let (a, b) = (&self.name, &other.name);
        ip(&format!(
            "link add {name} netns {a} type veth peer name {name} netns {b}"
        ));
        for (end, address) in [(self, here), (other, there)] {
            // Duplicate address detection would hold the address back for a second.
            let nodad = if address.contains(':') { "nodad" } else { "" };
            end.ip(&format!("address add {address} dev {name} {nodad}"));
            end.ip(&format!("link set {name} up"));
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(Path::new("/etc/netns").join(&self.name));
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.name])
            .status();
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {error}");
}
