//! What survives a restart: the last good configuration and the secrets of session tickets.
//!
//! Everything is written whole beside its place and then renamed, readable by the owner alone; what
//! cannot be read counts as absent.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use adit_proxy::tls::{TicketSecrets, TlsError};

use crate::config::{self, Loaded, Saved};

/// The state directory, if there is one.
#[derive(Debug)]
pub(super) struct State {
    directory: Option<PathBuf>,
    /// Digest of the configuration that is stored.
    stored: Option<String>,
}

const LAST_GOOD: &str = "last-good.json";
const TICKETS: &str = "tickets";
const SOCKET: &str = "take-over.sock";

impl State {
    pub(super) fn open(directory: Option<&Path>) -> io::Result<Self> {
        if let Some(directory) = directory {
            fs::create_dir_all(directory)?;
            sweep(directory);
        }
        Ok(Self {
            directory: directory.map(Path::to_owned),
            stored: None,
        })
    }

    pub(super) fn exists(&self) -> bool {
        self.directory.is_some()
    }

    /// Where a successor asks for the sockets.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        self.file(SOCKET)
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        self.directory
            .as_ref()
            .map(|directory| directory.join(name))
    }

    /// The configuration that was served last, if it still holds.
    pub(super) fn last_good(&self) -> Option<Loaded> {
        let text = fs::read_to_string(self.file(LAST_GOOD)?).ok()?;
        let saved = Saved::from_json(&text)?;
        config::load_saved(&saved).ok()
    }

    /// Keeps a configuration that is being served.
    pub(super) fn keep(&mut self, loaded: &Loaded) {
        let Some(path) = self.file(LAST_GOOD) else {
            return;
        };
        let digest = &loaded.config.source_digest;
        if self.stored.as_ref() == Some(digest) {
            return;
        }
        match write_whole(&path, loaded.saved.to_json().as_bytes(), 0o600) {
            Ok(()) => self.stored = Some(digest.clone()),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the last good configuration cannot be kept");
            }
        }
    }

    /// Ticket secrets: those of the process before us, else the stored ones, else new ones.
    pub(super) fn tickets(
        &mut self,
        handed: Option<&[u8]>,
    ) -> Result<Arc<TicketSecrets>, TlsError> {
        let now = SystemTime::now();
        let stored = self.file(TICKETS).and_then(|path| fs::read(path).ok());
        let known = handed.or(stored.as_deref());
        let imported = known.and_then(|bytes| TicketSecrets::import(bytes, now).ok());
        let secrets = match imported {
            Some(secrets) => secrets,
            None => TicketSecrets::generate(now)?,
        };
        let secrets = Arc::new(secrets);
        self.keep_tickets(&secrets);
        Ok(secrets)
    }

    pub(super) fn keep_tickets(&self, secrets: &TicketSecrets) {
        let Some(path) = self.file(TICKETS) else {
            return;
        };
        if let Err(error) = write_whole(&path, &secrets.export(), 0o600) {
            tracing::warn!(%error, path = %path.display(), "ticket secrets cannot be kept");
        }
    }
}

/// Removes what processes that were killed have left half written. Another adit may be writing here:
/// what a living process has begun stays.
fn sweep(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let begun = path.extension().is_some_and(|ending| ending == "new");
        let writer = path.file_stem().map(Path::new).and_then(Path::extension);
        let gone = |pid: &OsStr| !Path::new("/proc").join(pid).exists();
        if begun && writer.is_some_and(gone) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Writes a file so that a reader sees the old content or the new, never a part.
pub(super) fn write_whole(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is half written must not stay behind.
        let _ = fs::remove_file(&beside);
    }
    written
}
