//! What the tests stand on: the real executable, real parts around it, and deadlines.
//!
//! Nothing here waits for a fixed time: a test asks until the answer is there or [`PATIENCE`] is
//! over. Ports are given out by the system. What was started is killed when it is dropped, and a
//! failing test prints what its processes wrote.

pub(crate) mod adit;
pub(crate) mod backend;
pub(crate) mod bridge;
pub(crate) mod curl;
pub(crate) mod grpc;
pub(crate) mod h2client;
pub(crate) mod h2raw;
pub(crate) mod load;
pub(crate) mod netns;
pub(crate) mod pki;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod servers;
pub(crate) mod site;
pub(crate) mod websocket;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs, process as std_process};

use adit_bench::{Kind, Origin};

/// How long a test waits for anything; generous, because two cores run all tests at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until there is an answer.
pub(crate) fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe)
}

/// Asks until there is an answer, for so long.
pub(crate) fn within<T>(patience: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {patience:?}");
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// Asks for a moment; for what is told even if it does not come.
pub(crate) fn poll<T>(mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE / 4;
    loop {
        match probe() {
            None if Instant::now() < deadline => thread::park_timeout(Duration::from_millis(20)),
            answer => return answer,
        }
    }
}

/// Lets time pass, where the test is about time.
pub(crate) fn pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

/// Whether the long forms of the tests were asked for (`./test --soak`).
pub(crate) fn soak() -> bool {
    env::var_os("ADIT_TEST_SOAK").is_some()
}

/// An address of loopback that was free a moment ago, for programs that cannot bind port 0.
pub(crate) fn free_addr() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// An origin on a loopback port.
pub(crate) fn origin(kind: Kind, name: &str) -> Origin {
    Origin::start(kind, name, (Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

/// A directory that goes away with its owner.
#[derive(Debug)]
pub(crate) struct Dir {
    path: PathBuf,
}

impl Dir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("adit-test-{}-{number}", std_process::id()));
        fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file as an editor does: beside it, then renamed into place.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let beside = self.join(&format!("{name}.new"));
        fs::write(&beside, content).unwrap();
        fs::rename(&beside, &path).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.join(name)).unwrap_or_default()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
