//! Notices changes of files: by the system's notification, and by looking every half minute, since
//! notifications get lost on network file systems and overlay mounts.
//!
//! Directories are watched, not files: an editor renames, and a ConfigMap mount swaps a link.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Watches the directories that hold what was read.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    directories: BTreeSet<PathBuf>,
    changes: mpsc::Receiver<()>,
}

impl Watch {
    pub(super) fn new() -> Self {
        let (tell, changes) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // A change that is not yet taken up covers this one.
                let _ = tell.try_send(());
            }
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "files are not watched, but looked at twice a minute"))
            .ok();
        Self {
            watcher,
            directories: BTreeSet::new(),
            changes,
        }
    }

    /// Watches what these files need and nothing else.
    pub(super) fn set(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let wanted: BTreeSet<PathBuf> = files
            .into_iter()
            .flat_map(|file| directories_of(&file))
            .collect();
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        for gone in self.directories.difference(&wanted) {
            // It may be gone from the disk too.
            let _ = watcher.unwatch(gone);
        }
        for fresh in wanted.difference(&self.directories) {
            if let Err(error) = watcher.watch(fresh, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, directory = %fresh.display(), "directory is not watched");
            }
        }
        self.directories = wanted;
    }

    /// Completes when something has changed.
    pub(super) async fn changed(&mut self) {
        match &self.watcher {
            Some(_) => {
                if self.changes.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
            }
            None => std::future::pending().await,
        }
    }

    /// Whether something more has changed, without waiting.
    pub(super) fn changed_again(&mut self) -> bool {
        self.changes.try_recv().is_ok()
    }
}

/// A directory itself with its subdirectories, or the directory of a file as it is named and as it
/// is behind links. Each by its real name: two names of one directory share one notification in the
/// kernel, and giving up one would silence the other.
fn directories_of(path: &Path) -> Vec<PathBuf> {
    let real = |directory: &Path| {
        directory
            .canonicalize()
            .unwrap_or_else(|_| directory.into())
    };
    let mut directories = Vec::new();
    if path.is_dir() {
        directories.push(real(path));
        let inner = std::fs::read_dir(path).into_iter().flatten().flatten();
        let inner = inner.map(|entry| entry.path());
        directories.extend(
            inner
                .filter(|entry| entry.is_dir())
                .map(|entry| real(&entry)),
        );
        return directories;
    }
    let parent = |path: &Path| {
        let parent = path.parent();
        parent
            .filter(|parent| !parent.as_os_str().is_empty())
            .map(Path::to_owned)
    };
    let named = parent(path).unwrap_or_else(|| PathBuf::from("."));
    directories.push(real(&named));
    if let Ok(file) = path.canonicalize() {
        directories.extend(parent(&file));
    }
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_two_names_is_watched_once_also_when_the_file_is_gone() {
        let dir = std::env::temp_dir().join(format!("adit-watch-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("real")).unwrap();
        std::os::unix::fs::symlink(dir.join("real"), dir.join("named")).unwrap();
        let file = dir.join("named/adit.yaml");
        std::fs::write(&file, "version: 1").unwrap();
        let real = dir.join("real").canonicalize().unwrap();
        let watched = |path: &Path| BTreeSet::from_iter(directories_of(path));
        assert_eq!(watched(&file), BTreeSet::from([real.clone()]));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(watched(&file), BTreeSet::from([real.clone()]));
        assert_eq!(watched(&dir.join("named")), BTreeSet::from([real]));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
