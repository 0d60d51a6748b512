//! Processes that the suite starts: where they run, that they are up, and that they end.
//!
//! Each is ended by its own id when its owner drops it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::watch::pause;

/// How long a server may take to be up or to be gone.
const PATIENCE: Duration = Duration::from_secs(15);

/// A child that ends with its owner.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command on the given processors; what it says goes into `log`.
    pub(crate) fn start(command: &mut Command, cpus: &Cpus, log: &Path) -> io::Result<Self> {
        let out = fs::File::create(log)?;
        let child = cpus.within(|| {
            command
                .stdin(Stdio::null())
                .stdout(out.try_clone()?)
                .stderr(out)
                .spawn()
        });
        let program = command.get_program().to_string_lossy().into_owned();
        let child =
            child.map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            Some(pid) => Ok(kill_process(pid, signal)?),
            None => Ok(()),
        }
    }

    /// Waits until all of these accept connections.
    pub(crate) fn await_doors(&mut self, doors: &[SocketAddr]) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for door in doors {
            while TcpStream::connect_timeout(door, Duration::from_millis(200)).is_err() {
                if let Some(status) = self.child.try_wait()? {
                    return Err(self.blame(&format!("it ended with {status}")));
                }
                if Instant::now() > deadline {
                    return Err(self.blame("it does not accept connections"));
                }
                pause(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    /// An error with the last that it said.
    pub(crate) fn blame(&self, what: &str) -> io::Error {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        io::Error::other(format!("{what}; it said:\n{}", last.join("\n")))
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Servers of several processes end their children themselves if they are asked.
        let _ = self.signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(3);
        while self.runs() && Instant::now() < deadline {
            pause(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processors on which something runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cpus(Option<CpuSet>);

impl Cpus {
    /// The first processor for what is measured, the others for what loads it. A machine with one
    /// has no choice.
    pub(crate) fn split(pin: bool) -> (Self, Self) {
        let Ok(all) = sched_getaffinity(None) else {
            return (Self(None), Self(None));
        };
        if !pin || all.count() < 2 {
            return (Self(None), Self(None));
        }
        let (mut first, mut others) = (CpuSet::new(), CpuSet::new());
        for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)) {
            if first.count() == 0 {
                first.set(cpu);
            } else {
                others.set(cpu);
            }
        }
        (Self(Some(first)), Self(Some(others)))
    }

    /// Does something, usually starting a process, that keeps to these processors.
    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = self.0.as_ref().and_then(|cpus| {
            let before = sched_getaffinity(None).ok()?;
            sched_setaffinity(None, cpus).ok()?;
            Some(before)
        });
        let done = work();
        if let Some(before) = before {
            // It was allowed a moment ago.
            let _ = sched_setaffinity(None, &before);
        }
        done
    }
}

/// An address of loopback that was free a moment ago: servers cannot tell which port they took.
pub(crate) fn free_addr() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Allows as many descriptors as can be had, up to `wanted`; how many there are.
pub(crate) fn descriptors(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.unwrap_or(u64::MAX);
    let mut more = now;
    more.current = Some(wanted);
    more.maximum = Some(most.max(wanted));
    // Only root may raise the maximum.
    if setrlimit(Resource::Nofile, more).is_err() {
        more.current = Some(most.min(wanted));
        more.maximum = now.maximum;
        let _ = setrlimit(Resource::Nofile, more);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(wanted)
}

/// A directory that goes away with its owner.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;

        let unique = format!(
            "adit-bench-{}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        );
        let path = std::env::temp_dir().join(unique);
        fs::DirBuilder::new().mode(0o755).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It lies in the system's temporary directory; what stays is cleared from there.
        let _ = fs::remove_dir_all(&self.0);
    }
}
