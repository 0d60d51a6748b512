//! System calls of a process tree, counted by strace for a while.
//!
//! strace slows what it traces, so that only the counts of such a window are worth anything, never
//! its times.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Tree, pause};

/// Counts the system calls of `tree` while `work` is done.
pub fn syscalls<T>(
    tree: Tree,
    work: impl FnOnce() -> io::Result<T>,
) -> io::Result<(T, BTreeMap<String, u64>)> {
    let mut command = Command::new("strace");
    command.args(["-c", "-f", "-q"]);
    for pid in tree.processes()? {
        command.args(["-p", &pid.to_string()]);
    }
    let strace = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    // It does not say when it is attached.
    pause(Duration::from_millis(300));
    let done = work();
    if let Some(pid) = i32::try_from(strace.id()).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::INT)?;
    }
    let output = strace.wait_with_output()?;
    let table = String::from_utf8_lossy(&output.stderr);
    Ok((done?, parse(&table)))
}

/// Reads strace's table: the calls are the fourth column, the name is the last.
fn parse(table: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some(share), Some(calls), Some(name)) = (words.first(), words.get(3), words.last())
        else {
            continue;
        };
        if share.parse::<f64>().is_err() || *name == "total" {
            continue;
        }
        if let Ok(calls) = calls.parse() {
            counts.insert((*name).to_owned(), calls);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_with_and_without_errors() {
        let counts = parse(
            "% time     seconds  usecs/call     calls    errors syscall\n\
             ------ ----------- ----------- --------- --------- ----------------\n\
              51.20    0.013230           1      9000           writev\n\
              40.10    0.010000           1      9003         3 recvfrom\n\
               8.70    0.002000           3       600           epoll_wait\n\
             100.00    0.025230           1     18603         3 total\n",
        );
        let all: Vec<(&str, u64)> = counts.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(
            all,
            [("epoll_wait", 600), ("recvfrom", 9003), ("writev", 9000)]
        );
    }
}
