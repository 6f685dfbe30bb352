//! How much room there is where the coordinator keeps things.

use std::path::{Path, PathBuf};

use tracing::debug;

use crate::config::Config;

/// The room of one file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What is kept there: `store` or `artifacts`.
    pub place: &'static str,
    /// What may still be written.
    pub free: u64,
    /// All of it.
    pub all: u64,
}

/// Folders of which the room is told.
#[derive(Debug, Clone, Default)]
pub struct Places(Vec<(&'static str, PathBuf)>);

impl Places {
    /// Those of a configuration. A database has its disk elsewhere, and tells nothing of it.
    pub fn of(config: &Config) -> Self {
        let store = config.store.file().map(|file| ("store", folder_of(file)));
        Self(store.into_iter().chain([("artifacts", config.artifacts())]).collect())
    }

    /// Asks the file systems; one that does not answer is left out. May block as long as they do.
    pub fn rooms(&self) -> Vec<Room> {
        self.0.iter().filter_map(|(place, folder)| room(place, folder)).collect()
    }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

fn room(place: &'static str, folder: &Path) -> Option<Room> {
    match rustix::fs::statvfs(folder) {
        Ok(found) => {
            let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
            Some(Room { place, free: bytes(found.f_bavail), all: bytes(found.f_blocks) })
        }
        Err(error) => {
            debug!(place, folder = %folder.display(), %error, "cannot read the free disk space");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_room_and_one_that_is_not_there_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places(vec![("store", folder.path().to_owned()), ("artifacts", folder.path().join("none"))]);
        let rooms = places.rooms();
        assert_eq!(rooms.len(), 1);
        assert!(rooms[0].place == "store" && rooms[0].free <= rooms[0].all && rooms[0].all > 0, "{rooms:?}");
    }

    #[test]
    fn the_store_of_a_bare_name_lies_in_the_working_folder() {
        assert_eq!(folder_of(Path::new("sweep.db")), Path::new("."));
        assert_eq!(folder_of(Path::new("/a/sweep.db")), Path::new("/a"));
    }
}
