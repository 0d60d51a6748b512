//! How much memory may be used, and how much is: from the cgroup, of version 1 or 2.
//!
//! The group with the smallest limit on the way up is the one that the kernel kills by. What it
//! counts is ours only if nobody else is in it; beside others, our own resident memory is measured
//! against the limit, because nothing that we shed would help against what others use. Files that
//! the kernel drops when it needs to (inactive page cache) do not count.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::limits::{plain_join, resident_memory};

/// Limits from here on mean that there is none.
const NONE: u64 = 1 << 50;

/// A group whose limit is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    directory: PathBuf,
    version: Version,
    limit: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    const fn limit(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }

    const fn used(self) -> &'static str {
        match self {
            Self::One => "memory.usage_in_bytes",
            Self::Two => "memory.current",
        }
    }

    /// The line of `memory.stat` that says what can be dropped.
    const fn dropped(self) -> &'static str {
        match self {
            Self::One => "total_inactive_file ",
            Self::Two => "inactive_file ",
        }
    }
}

impl Group {
    /// The group that limits this process; `None` if none does.
    pub fn find() -> Option<Self> {
        let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::find_in(Path::new("/sys/fs/cgroup"), &membership)
    }

    fn find_in(root: &Path, membership: &str) -> Option<Self> {
        let groups = membership
            .lines()
            .flat_map(|line| candidates(root, line))
            .filter_map(|(directory, version)| {
                let text = fs::read_to_string(directory.join(version.limit())).ok()?;
                let limit = text.trim().parse().ok().filter(|limit| *limit < NONE)?;
                Some(Self {
                    directory,
                    version,
                    limit,
                })
            });
        groups.min_by_key(|group| group.limit)
    }

    /// The limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// What counts against the limit, in bytes.
    pub fn used(&self) -> io::Result<u64> {
        if self.is_shared() {
            return resident_memory();
        }
        let used: Option<u64> = self.read(self.version.used())?.trim().parse().ok();
        let used = used.ok_or(io::ErrorKind::InvalidData)?;
        let stat = self.read("memory.stat")?;
        let dropped = stat
            .lines()
            .find_map(|line| line.strip_prefix(self.version.dropped())?.parse().ok());
        Ok(used.saturating_sub(dropped.unwrap_or(0)))
    }

    /// Whether there are other processes in it, or groups below that may hold some.
    fn is_shared(&self) -> bool {
        let processes = self.read("cgroup.procs").unwrap_or_default();
        let mut others = processes
            .lines()
            .filter(|line| line.parse::<u32>() != Ok(std::process::id()));
        let ours = processes.lines().count() == 1 && others.next().is_none();
        !ours || has_groups(&self.directory)
    }

    fn read(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(self.directory.join(name))
    }
}

fn has_groups(directory: &Path) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_type().ok())
        .any(|kind| kind.is_dir())
}

/// The directories of a line of `/proc/self/cgroup`, from the group up to the mount.
fn candidates(root: &Path, line: &str) -> Vec<(PathBuf, Version)> {
    let mut fields = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
    else {
        return Vec::new();
    };
    let (mounts, version) = match controllers {
        "" => ([root.to_owned(), root.join("unified")], Version::Two),
        _ if controllers.split(',').any(|name| name == "memory") => {
            ([root.join(controllers), root.join("memory")], Version::One)
        }
        _ => return Vec::new(),
    };
    let inside = Path::new(path.trim_start_matches('/'));
    let groups = |mount: &Path| {
        let above = inside.ancestors();
        let found = above.filter_map(|group| Some((plain_join(mount, group)?, version)));
        found.collect::<Vec<_>>()
    };
    mounts.iter().flat_map(|mount| groups(mount)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::tests::Tree;

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let v1 = "5:cpu:/x\n4:memory:/pods/one\n0::/x\n";
        let v2 = "0::/pods/one\n";
        for (number, (membership, files, limit)) in [
            (
                v1,
                vec![
                    (
                        "memory/pods/one/memory.limit_in_bytes",
                        "9223372036854771712\n",
                    ),
                    ("memory/pods/memory.limit_in_bytes", "268435456\n"),
                    ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ],
                Some(268_435_456),
            ),
            (
                v2,
                vec![
                    ("pods/one/memory.max", "134217728\n"),
                    ("pods/memory.max", "268435456\n"),
                ],
                Some(134_217_728),
            ),
            (
                v2,
                vec![("unified/pods/one/memory.max", "1000000\n")],
                Some(1_000_000),
            ),
            (v2, vec![("pods/one/memory.max", "max\n")], None),
            ("5:cpu:/x\n", vec![("memory.max", "5000\n")], None),
            ("", vec![("memory.max", "5000\n")], None),
        ]
        .into_iter()
        .enumerate()
        {
            let tree = Tree::new(&format!("memory-limit-{number}"), &files);
            let found = Group::find_in(tree.root(), membership);
            assert_eq!(found.map(|group| group.limit()), limit, "{membership}");
        }
    }

    #[test]
    fn what_can_be_dropped_and_what_others_use_does_not_count() {
        let own = std::process::id().to_string();
        let (alone, beside) = (format!("{own}\n"), format!("1\n{own}\n"));
        for (number, (version, processes, used)) in [
            (Version::Two, &alone, Some(700)),
            (Version::One, &alone, Some(700)),
            (Version::Two, &beside, None),
        ]
        .into_iter()
        .enumerate()
        {
            let files = [
                (version.used(), "1000\n"),
                (
                    "memory.stat",
                    "anon 5\ninactive_file 300\ntotal_inactive_file 300\n",
                ),
                ("cgroup.procs", processes.as_str()),
            ];
            let tree = Tree::new(&format!("memory-used-{number}"), &files);
            let group = Group {
                directory: tree.root().to_owned(),
                version,
                limit: 2000,
            };
            let found = group.used().unwrap();
            match used {
                Some(used) => assert_eq!(found, used),
                None => assert!(found > 100_000, "{found} is not our resident memory"),
            }
        }
    }

    #[test]
    fn this_machine_can_be_asked() {
        if let Some(group) = Group::find() {
            assert!(group.limit() > 0 && group.used().unwrap() > 0);
        }
    }
}
