//! Whether a store's file still is the one that was opened. A file that was removed goes on taking writes, which are gone with
//! the last process that has it open; so every commit looks at the name before and after.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// The file that was opened: its name, and what the file system knows it by.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// Of a file that is there.
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.display().to_string(), source };
        // A folder that is left later does not matter then.
        let path = std::path::absolute(path).map_err(io)?;
        let found = std::fs::metadata(&path).map_err(io)?;
        Ok(Self { device: found.dev(), inode: found.ino(), path })
    }

    /// Fails if the name leads nowhere, or to another file.
    pub(super) fn check(&self) -> Result<(), Error> {
        let vanished = || Error::Vanished { path: self.path.display().to_string() };
        match std::fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => Ok(()),
            Ok(_) => Err(vanished()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(vanished()),
            Err(source) => Err(Error::Io { path: self.path.display().to_string(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_removed_or_replaced_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sweep.db");
        std::fs::write(&path, "one").unwrap();
        let place = Place::of(&path).unwrap();
        std::fs::write(&path, "the same file").unwrap();
        assert!(place.check().is_ok());
        std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        assert!(place.check().unwrap_err().is_gone());
        std::fs::write(&path, "another").unwrap();
        assert!(place.check().unwrap_err().is_gone());
        std::fs::rename(folder.path().join("elsewhere"), &path).unwrap();
        assert!(place.check().is_ok());
    }
}
