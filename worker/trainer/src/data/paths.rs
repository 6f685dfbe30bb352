//! Paths that a spec gives, held inside the data root: neither `..` nor a link may lead out of it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The data root and a folder in it, both without links.
#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
    pub(super) folder: PathBuf,
}

impl Place {
    /// The folder `path` of `data_root`.
    ///
    /// # Errors
    /// It is not there, or not in there.
    pub(super) fn open(data_root: &Path, path: &str) -> Result<Self, Failure> {
        let root = fs::canonicalize(data_root).map_err(|error| {
            Failure::data(format!("the data root {} cannot be read", data_root.display())).because(error)
        })?;
        let place = Self { folder: root.join(path), root };
        let folder = place.inside(&place.folder)?;
        if !folder.is_dir() {
            return Err(Failure::data(format!("{} is not a folder", folder.display())));
        }
        Ok(Self { folder, ..place })
    }

    /// `path` without links, where it lies inside the data root.
    pub(super) fn inside(&self, path: &Path) -> Result<PathBuf, Failure> {
        let real = fs::canonicalize(path)
            .map_err(|error| Failure::data(format!("{} cannot be read", path.display())).because(error))?;
        if !real.starts_with(&self.root) {
            let root = self.root.display();
            return Err(Failure::data(format!("{} leads out of the data root {root}", path.display())));
        }
        Ok(real)
    }

    /// The whole of a file of the folder.
    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>, Failure> {
        let path = self.inside(path)?;
        fs::read(&path).map_err(|error| Failure::data(format!("{} cannot be read", path.display())).because(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_data_root() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("root");
        let outside = temporary.path().join("outside");
        fs::create_dir_all(root.join("inside")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("file"), "secret").unwrap();
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("file"), root.join("inside/file")).unwrap();
        for path in ["../outside", "link", "inside/../../outside", outside.to_str().unwrap()] {
            let reason = Place::open(&root, path).unwrap_err().reason;
            assert!(reason.contains("leads out of the data root"), "{reason}");
        }
        let place = Place::open(&root, "inside").unwrap();
        assert!(place.read(&place.folder.join("file")).is_err());
        assert!(Place::open(&root, "absent").unwrap_err().reason.contains("absent"));
    }
}
