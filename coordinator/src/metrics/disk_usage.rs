//! The free and total space of the disks that the coordinator writes to.

use std::path::{Path, PathBuf};

use tracing::debug;

use crate::config::Config;

/// The space of one file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsage {
    /// `store` or `artifacts`: a label of the metrics.
    pub place: &'static str,
    /// The bytes that this process may still write.
    pub free: u64,
    /// The capacity.
    pub size: u64,
}

/// The folders whose disks are measured, with the value of the label `place`.
#[derive(Debug, Clone, Default)]
pub struct Folders(Vec<(&'static str, PathBuf)>);

impl Folders {
    /// The folders of a configuration. A database server has its own disk, which the coordinator cannot measure.
    pub fn of(config: &Config) -> Self {
        let store = config.store.file().map(|file| ("store", folder_of(file)));
        Self(store.into_iter().chain([("artifacts", config.artifacts())]).collect())
    }

    /// Asks the file systems, and leaves out those that fail. Blocks as long as they do.
    pub fn disk_usage(&self) -> Vec<DiskUsage> {
        self.0.iter().filter_map(|(place, folder)| usage(place, folder)).collect()
    }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

fn usage(place: &'static str, folder: &Path) -> Option<DiskUsage> {
    match rustix::fs::statvfs(folder) {
        Ok(found) => {
            let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
            Some(DiskUsage { place, free: bytes(found.f_bavail), size: bytes(found.f_blocks) })
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
    fn a_missing_folder_has_no_disk_usage() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders(vec![("store", folder.path().to_owned()), ("artifacts", folder.path().join("none"))]);
        let disks = folders.disk_usage();
        assert_eq!(disks.len(), 1);
        assert!(disks[0].place == "store" && disks[0].free <= disks[0].size && disks[0].size > 0, "{disks:?}");
    }

    #[test]
    fn the_store_of_a_bare_name_lies_in_the_working_folder() {
        assert_eq!(folder_of(Path::new("sweep.db")), Path::new("."));
        assert_eq!(folder_of(Path::new("/a/sweep.db")), Path::new("/a"));
    }
}
