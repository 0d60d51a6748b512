//! A process and its descendants.

use std::fs;
use std::io;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// A process and its descendants.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    root: u32,
}

/// Sums over a tree at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    at: Instant,
    /// CPU time of all threads, in nanoseconds.
    cpu: u64,
    /// Ticks in user and system mode, for their proportion.
    user: u64,
    system: u64,
    voluntary: u64,
    involuntary: u64,
    processes: u64,
    threads: u64,
    descriptors: u64,
    memory: Memory,
}

/// What a tree used between two samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Wall time between the samples, in seconds.
    pub seconds: f64,
    /// CPU time in user mode, in seconds.
    pub user: f64,
    /// CPU time in system mode, in seconds.
    pub system: f64,
    /// Times that a thread waited.
    pub voluntary: u64,
    /// Times that a thread was interrupted.
    pub involuntary: u64,
    /// Processes at the end.
    pub processes: u64,
    /// Threads at the end.
    pub threads: u64,
    /// Open descriptors at the end.
    pub descriptors: u64,
    /// Memory at the end.
    pub memory: Memory,
}

/// Memory of a tree, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Resident.
    pub rss: u64,
    /// Resident, what is shared counted in parts.
    pub pss: u64,
}

impl Usage {
    /// CPU time, in seconds.
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

impl Tree {
    /// The tree under a process.
    pub fn new(root: u32) -> Self {
        Self { root }
    }

    /// All of its processes, the root first.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // It may have ended since.
            if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat"))
                && let Some(stat) = Stat::parse(&stat)
            {
                parents.push((pid, stat.parent));
            }
        }
        let mut found = vec![self.root];
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            let children = parents.iter().filter(|(_, of)| *of == parent);
            found.extend(children.map(|(pid, _)| *pid));
            at += 1;
        }
        Ok(found)
    }

    /// What it has used so far.
    pub fn sample(&self) -> io::Result<Sample> {
        let mut sum = Sample {
            at: Instant::now(),
            cpu: 0,
            user: 0,
            system: 0,
            voluntary: 0,
            involuntary: 0,
            processes: 0,
            threads: 0,
            descriptors: 0,
            memory: Memory::default(),
        };
        for pid in self.processes()? {
            match sum.add(pid) {
                Ok(()) => {}
                Err(error) if pid == self.root => return Err(error),
                // A descendant that has ended took its time with it.
                Err(_) => {}
            }
        }
        Ok(sum)
    }

    /// Its memory, exactly.
    pub fn memory(&self) -> io::Result<Memory> {
        let mut sum = Memory::default();
        for pid in self.processes()? {
            match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
                Ok(text) => {
                    sum.rss += 1024 * field(&text, "Rss:");
                    sum.pss += 1024 * field(&text, "Pss:");
                }
                Err(error) if pid == self.root => return Err(error),
                Err(_) => {}
            }
        }
        Ok(sum)
    }
}

impl Sample {
    fn add(&mut self, pid: u32) -> io::Result<()> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let stat = Stat::parse(&text).ok_or(io::ErrorKind::InvalidData)?;
        self.user += stat.user;
        self.system += stat.system;
        self.memory.rss += stat.pages * rustix::param::page_size() as u64;
        self.processes += 1;
        let mut cpu = 0;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = thread?.path();
            self.threads += 1;
            if let Ok(text) = fs::read_to_string(path.join("schedstat")) {
                cpu += text.split(' ').next().map_or(0, number);
            }
            if let Ok(text) = fs::read_to_string(path.join("status")) {
                self.voluntary += field(&text, "voluntary_ctxt_switches:");
                self.involuntary += field(&text, "nonvoluntary_ctxt_switches:");
            }
        }
        // A kernel without these sums still has ticks.
        let ticks = (stat.user + stat.system) * (1_000_000_000 / ticks_per_second());
        self.cpu += if cpu == 0 { ticks } else { cpu };
        // Descriptors of another user's process cannot be counted.
        if let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) {
            self.descriptors += descriptors.count() as u64;
        }
        Ok(())
    }

    /// What was used since an earlier sample.
    pub fn since(&self, earlier: &Self) -> Usage {
        let cpu = self.cpu.saturating_sub(earlier.cpu) as f64 / 1e9;
        let user = self.user.saturating_sub(earlier.user) as f64;
        let system = self.system.saturating_sub(earlier.system) as f64;
        let share = if user + system > 0.0 {
            user / (user + system)
        } else {
            0.5
        };
        Usage {
            seconds: (self.at - earlier.at).as_secs_f64(),
            user: cpu * share,
            system: cpu * (1.0 - share),
            voluntary: self.voluntary.saturating_sub(earlier.voluntary),
            involuntary: self.involuntary.saturating_sub(earlier.involuntary),
            processes: self.processes,
            threads: self.threads,
            descriptors: self.descriptors,
            memory: self.memory,
        }
    }
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// The number after a name at the begin of a line.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .map_or(0, number)
}

/// Of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    user: u64,
    system: u64,
    pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program is in parentheses and may hold anything.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let field = |number: usize| fields.get(number - 3).map(|text| text.trim());
        Some(Self {
            parent: field(4)?.parse().ok()?,
            user: field(14)?.parse().ok()?,
            system: field(15)?.parse().ok()?,
            pages: field(24)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let text = "17 (a) b (c) S 9 17 17 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 4 0 1 1000 77 0";
        let stat = Stat {
            parent: 9,
            user: 250,
            system: 50,
            pages: 77,
        };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("17 (a"), None);
    }

    #[test]
    fn a_process_that_works_is_seen_to_work() {
        let tree = Tree::new(std::process::id());
        let before = tree.sample().unwrap();
        let mut sum = 0u64;
        let mut used = 0.0;
        while used < 0.03 {
            for value in 0..1_000_000u64 {
                sum = std::hint::black_box(sum.wrapping_mul(31) + value);
            }
            used = tree.sample().unwrap().since(&before).cpu();
        }
        let after = tree.sample().unwrap().since(&before);
        assert!(after.memory.rss > 1 << 20 && after.threads >= 1 && after.descriptors >= 3);
        assert!(tree.memory().unwrap().pss > 0);
    }
}
