//! What the system lets this process have: descriptors, processors, memory in use.
//!
//! Processors are counted as a container means them: the affinity mask bounds which may be used, a
//! cgroup quota, of version 1 or 2, how much of them. A quota of 1.5 is two workers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit};

/// Raises the soft limit of descriptors to the hard one; gives what is in force then.
pub fn raise_descriptor_limit() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // If it is refused the old one stays in force, and is what we report.
        let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    }
    descriptor_limit()
}

/// The soft limit of descriptors.
pub fn descriptor_limit() -> u64 {
    rustix::process::getrlimit(Resource::Nofile)
        .current
        .unwrap_or(u64::MAX)
}

/// How many processors this process can keep busy; at least 1.
pub fn usable_cpus() -> usize {
    let allowed = rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count() as usize);
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let quota = cpu_quota(Path::new("/sys/fs/cgroup"), &membership);
    quota.map_or(allowed, |quota| quota.min(allowed)).max(1)
}

/// Resident memory of this process in bytes.
pub fn resident_memory() -> io::Result<u64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or(io::ErrorKind::InvalidData)?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// The smallest quota of our cgroup and those above it, in whole processors, rounded up.
/// `membership` is the text of `/proc/self/cgroup`.
fn cpu_quota(root: &Path, membership: &str) -> Option<usize> {
    membership
        .lines()
        .filter_map(|line| line_quota(root, line))
        .min()
}

/// The quota of one line: `hierarchy:controllers:path` (cgroups(7)).
fn line_quota(root: &Path, line: &str) -> Option<usize> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    if controllers.is_empty() {
        // In a hybrid system version 2 is mounted below.
        let mounts = [root.to_owned(), root.join("unified")];
        return mounts
            .iter()
            .filter_map(|mount| smallest(mount, path, quota_v2))
            .min();
    }
    if !controllers.split(',').any(|controller| controller == "cpu") {
        return None;
    }
    let mounts = [root.join(controllers), root.join("cpu")];
    mounts
        .iter()
        .filter_map(|mount| smallest(mount, path, quota_v1))
        .min()
}

/// The smallest quota on the way from the group up to the mount. A container may see its own group
/// at the mount under a path that exists only outside; then the mount alone counts.
fn smallest(mount: &Path, path: &str, read: fn(&Path) -> Option<usize>) -> Option<usize> {
    let inside = Path::new(path.trim_start_matches('/'));
    inside
        .ancestors()
        .filter_map(|group| read(&plain_join(mount, group)?))
        .min()
}

/// A path under the mount; `None` for one that climbs out of it, as groups outside of our cgroup
/// namespace are shown.
pub(crate) fn plain_join(mount: &Path, group: &Path) -> Option<PathBuf> {
    use std::path::Component;
    group
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
        .then(|| mount.join(group))
}

/// `cpu.max`: `max 100000` or `150000 100000`.
fn quota_v2(group: &Path) -> Option<usize> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    processors(quota, period)
}

/// Quota and period in files of their own; the quota is -1 if there is none.
fn quota_v1(group: &Path) -> Option<usize> {
    let quota = fs::read_to_string(group.join("cpu.cfs_quota_us")).ok()?;
    let period = fs::read_to_string(group.join("cpu.cfs_period_us")).ok()?;
    processors(quota.trim(), period.trim())
}

fn processors(quota: &str, period: &str) -> Option<usize> {
    let (quota, period) = (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?);
    if quota == 0 || period == 0 {
        return None;
    }
    usize::try_from(quota.div_ceil(period)).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Paths and what stands there.
    type Files = Vec<(String, &'static str)>;

    /// A tree of control files that goes away with the test.
    pub(crate) struct Tree(PathBuf);

    impl Tree {
        pub(crate) fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("adit-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }

        pub(crate) fn root(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn quotas_are_found_wherever_they_are_set() {
        let v1 = "12:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n0::/system.slice\n";
        let quota = "docker/x/cpu.cfs_quota_us";
        let period = "docker/x/cpu.cfs_period_us";
        let under = |mount: &str, file: &str| format!("{mount}/{file}");
        let table: [(&str, Files, Option<usize>); 10] = [
            (
                "0::/a/b\n",
                vec![("a/b/cpu.max".into(), "150000 100000\n")],
                Some(2),
            ),
            (
                "0::/a/b\n",
                vec![("a/b/cpu.max".into(), "max 100000\n")],
                None,
            ),
            (
                "0::/a/b\n",
                vec![
                    ("a/cpu.max".into(), "100000 100000\n"),
                    ("a/b/cpu.max".into(), "400000 100000\n"),
                ],
                Some(1),
            ),
            (
                "0::/\n",
                vec![("cpu.max".into(), "50000 100000\n")],
                Some(1),
            ),
            (
                "0::/../../x\n",
                vec![("cpu.max".into(), "300000 100000\n")],
                Some(3),
            ),
            (
                "0::/a\n",
                vec![("unified/a/cpu.max".into(), "200000 100000\n")],
                Some(2),
            ),
            (
                v1,
                vec![
                    (under("cpu,cpuacct", quota), "250000\n"),
                    (under("cpu,cpuacct", period), "100000\n"),
                ],
                Some(3),
            ),
            (
                v1,
                vec![
                    (under("cpu", quota), "-1\n"),
                    (under("cpu", period), "100000\n"),
                ],
                None,
            ),
            (
                // Docker of old: the path is that of the host, the mount is the container's.
                v1,
                vec![
                    ("cpu/cpu.cfs_quota_us".into(), "200000\n"),
                    ("cpu/cpu.cfs_period_us".into(), "100000\n"),
                ],
                Some(2),
            ),
            ("", vec![("cpu.max".into(), "100000 100000\n")], None),
        ];
        for (number, (membership, files, expected)) in table.iter().enumerate() {
            let files: Vec<_> = files
                .iter()
                .map(|(path, text)| (path.as_str(), *text))
                .collect();
            let tree = Tree::new(&format!("cgroup-{number}"), &files);
            assert_eq!(
                cpu_quota(&tree.0, membership),
                *expected,
                "{membership:?} {files:?}"
            );
        }
    }

    #[test]
    fn the_machine_gives_sensible_figures() {
        let cpus = usable_cpus();
        assert!((1..=4096).contains(&cpus), "{cpus}");
        let memory = resident_memory().unwrap();
        assert!((100_000..100_000_000_000).contains(&memory), "{memory}");
        let before = descriptor_limit();
        let raised = raise_descriptor_limit();
        assert!(raised >= before);
        assert_eq!(raised, raise_descriptor_limit());
    }
}
