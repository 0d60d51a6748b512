//! The executable under test.
//!
//! Started with a file in a directory of its own and ready when it says so in its ready file,
//! from which the real ports are read. It is stopped by SIGTERM and must exit 0; dropping it
//! kills it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::Value;

use super::process::Process;
use super::{Dir, eventually};

/// Path of the executable.
pub(crate) const ADIT: &str = env!("CARGO_BIN_EXE_adit");

#[derive(Debug)]
pub(crate) struct Adit {
    process: Process,
    config: PathBuf,
    ready: Value,
}

impl Adit {
    /// Runs `config`, written as `adit.yaml` into `dir`, and waits until it serves.
    pub(crate) fn run(dir: &Dir, config: &str) -> Self {
        let file = dir.write("adit.yaml", config);
        Self::run_with(dir, &file, &[])
    }

    /// Runs a file or directory that is there, with more arguments.
    pub(crate) fn run_with(dir: &Dir, config: &Path, arguments: &[&str]) -> Self {
        let ready_file = dir.join("ready.json");
        let _ = fs::remove_file(&ready_file);
        let mut command = command();
        command
            .arg("run")
            .arg("--config")
            .arg(config)
            .arg("--ready-file")
            .arg(&ready_file)
            .args(arguments);
        Self::start(&mut command, config, &ready_file)
    }

    /// Starts a prepared command and waits for its ready file.
    pub(crate) fn start(command: &mut Command, config: &Path, ready_file: &Path) -> Self {
        let mut process = Process::start(command);
        let ready = eventually("ready file", || {
            if let Some(status) = process.ended() {
                panic!("adit ended with {status} before it was ready");
            }
            serde_json::from_slice(&fs::read(ready_file).ok()?).ok()
        });
        Self {
            process,
            config: config.to_owned(),
            ready,
        }
    }

    /// First address of a listener.
    pub(crate) fn addr(&self, listener: &str) -> SocketAddr {
        let addr = self.ready["listeners"][listener][0].as_str();
        let addr = addr.unwrap_or_else(|| panic!("listener {listener} in {}", self.ready));
        addr.parse().unwrap()
    }

    /// The process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// The process, to wait for it.
    pub(crate) fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Replaces the file by renaming; the file watch sees it.
    pub(crate) fn rewrite(&self, config: &str) {
        let beside = self.config.with_extension("yaml.new");
        fs::write(&beside, config).unwrap();
        fs::rename(&beside, &self.config).unwrap();
    }

    /// Asks for a reload.
    pub(crate) fn hup(&self) {
        self.process.signal(Signal::HUP);
    }

    /// Lines of the access log that hold `part`.
    pub(crate) fn access(&self, part: &str) -> Vec<Value> {
        let log = self.process.stdout();
        log.lines()
            .filter(|line| line.contains(part))
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Stops by SIGTERM and requires a clean end.
    pub(crate) fn stop(mut self) {
        self.process.signal(Signal::TERM);
        let status = self.process.wait();
        assert!(status.success(), "SIGTERM ended in {status}");
    }
}

/// A command of the executable with an environment of its own.
pub(crate) fn command() -> Command {
    let mut command = Command::new(ADIT);
    command
        .env_remove("ADIT_CONFIG")
        .env_remove("STATE_DIRECTORY")
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_PID")
        .env("NO_COLOR", "1");
    command
}

/// Runs a command to its end.
pub(crate) fn adit(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}
