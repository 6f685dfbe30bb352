//! The announcement of the process that uses a local store: a private file beside the store with its address, which
//! exists as long as the process. A killed process leaves its file behind; the store is then free, and its next user
//! replaces the file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::sibling;
use crate::coordinator::Coordinator;

/// The largest announcement, in bytes.
const MAX_BYTES: u64 = 4096;

/// The content of the file.
#[derive(Serialize, Deserialize)]
pub(super) struct Content {
    /// The process id.
    pub(super) process: u32,
    /// The gRPC address.
    pub(super) address: SocketAddr,
    /// The token that it requires.
    pub(super) token: String,
}

impl Content {
    /// Reads a valid announcement: the file belongs to this user and no other user can read it, and the address is on
    /// this machine.
    pub(super) fn read(store: &Path) -> Option<Self> {
        let file = File::open(path(store)).ok()?;
        let found = file.metadata().ok()?;
        if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o077 != 0 {
            return None;
        }
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text).ok()?;
        let content: Self = serde_json::from_slice(&text).ok()?;
        content.address.ip().is_loopback().then_some(content)
    }

    /// A client configuration for the process.
    pub(super) fn coordinator(&self) -> Coordinator {
        Coordinator::local(format!("http://{}", self.address), &self.token)
    }
}

/// The file, removed when this is dropped.
pub(super) struct Announcement(PathBuf);

impl Announcement {
    /// Creates the file, or replaces one that was left behind. The caller must have locked the store.
    pub(super) fn make(store: &Path, content: &Content) -> io::Result<Self> {
        let (path, new) = (path(store), sibling(store, ".running.new"));
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(content)?)?;
        // Renamed, so that readers see a complete file.
        std::fs::rename(&new, &path)?;
        Ok(Self(path))
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // A file that stays is replaced by the next user of the store.
        std::fs::remove_file(&self.0).ok();
    }
}

fn path(store: &Path) -> PathBuf {
    sibling(store, ".running")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn content(address: &str) -> Content {
        Content { process: 7, address: address.parse().unwrap(), token: "secret".to_owned() }
    }

    #[test]
    fn it_is_there_as_long_as_its_process_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("sweep.db");
        std::fs::write(path(&store), "left behind").unwrap();
        assert!(Content::read(&store).is_none());
        let made = Announcement::make(&store, &content("127.0.0.1:5")).unwrap();
        assert_eq!(std::fs::metadata(path(&store)).unwrap().mode() & 0o777, 0o600);
        let read = Content::read(&store).unwrap();
        assert_eq!((read.process, read.address.port(), read.token.as_str()), (7, 5, "secret"));
        drop(made);
        assert!(Content::read(&store).is_none() && !path(&store).exists());
    }

    #[test]
    fn a_file_that_others_read_or_that_leads_elsewhere_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("sweep.db");
        let made = Announcement::make(&store, &content("127.0.0.1:5")).unwrap();
        std::fs::set_permissions(path(&store), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Content::read(&store).is_none());
        drop(made);
        let _elsewhere = Announcement::make(&store, &content("10.0.0.2:5")).unwrap();
        assert!(Content::read(&store).is_none());
    }
}
