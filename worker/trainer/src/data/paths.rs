//! Restricts the paths of a spec to the data roots, the folders that the owner of this machine allows. Neither `..` nor
//! a link may lead out of them; a link from one data root into another is allowed.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::regular_file::{self, RegularFile};
use crate::failure::Failure;

/// The data roots and a folder in one of them, with links resolved.
#[derive(Debug)]
pub(super) struct DataFolder {
    roots: Vec<PathBuf>,
    pub(super) folder: PathBuf,
}

impl DataFolder {
    /// The folder `path` of the first data root that contains it.
    ///
    /// # Errors
    /// It does not exist, is not a folder, or is not inside the data roots.
    pub(super) fn open(roots: &[PathBuf], path: &str) -> Result<Self, Failure> {
        let roots = roots.iter().map(|root| real_root(root)).collect::<Result<Vec<_>, _>>()?;
        let inner = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        // Rejected without access, so that it does not reveal whether a file outside the data roots exists.
        if !Path::new(path).components().all(inner) {
            let roots = listed(&roots);
            return Err(Failure::data(format!("the path {path} of the data set leads out of the data root {roots}")));
        }
        let candidates = || roots.iter().map(|root| root.join(path));
        let Some(folder) = candidates().find(|folder| fs::symlink_metadata(folder).is_ok()) else {
            let places: Vec<_> = candidates().map(|folder| folder.display().to_string()).collect();
            return Err(Failure::data(format!(
                "{} does not exist: name the folder that contains the data set's path {path} with --data-root",
                places.join(" or ")
            )));
        };
        let data_folder = Self { roots, folder };
        let folder = data_folder.inside(&data_folder.folder)?;
        if !folder.is_dir() {
            return Err(Failure::data(format!("{} is a file, but a data set is a folder", folder.display())));
        }
        Ok(Self { folder, ..data_folder })
    }

    /// `path` with links resolved, if it is inside the data roots.
    pub(super) fn inside(&self, path: &Path) -> Result<PathBuf, Failure> {
        let real = fs::canonicalize(path).map_err(|error| unreadable(path).because(error))?;
        if self.contains(&real) { Ok(real) } else { Err(self.leads_out(path, &real)) }
    }

    /// Reads a whole file of the folder, of at most `limit` bytes.
    pub(super) fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
        regular_file::read(&self.inside(path)?, limit)
    }

    /// Opens a file of the folder, of at most `limit` bytes.
    pub(super) fn open_file(&self, path: &Path, limit: u64) -> Result<RegularFile, Failure> {
        regular_file::open(&self.inside(path)?, limit)
    }

    /// Hashes a file of the folder, of at most `limit` bytes, without keeping it in memory.
    pub(super) fn hash(&self, path: &Path, limit: u64) -> Result<blake3::Hash, Failure> {
        let unreadable = |error| Failure::data(format!("cannot read {}", path.display())).because(error);
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(self.open_file(path, limit)?.bounded()).map_err(unreadable)?;
        Ok(hasher.finalize())
    }

    fn contains(&self, real: &Path) -> bool {
        self.roots.iter().any(|root| real.starts_with(root))
    }

    /// Names the link that leads out, its target, and the flags that allow it.
    fn leads_out(&self, path: &Path, real: &Path) -> Failure {
        let ancestors: Vec<&Path> = path.ancestors().collect();
        let links = ancestors.into_iter().rev().filter(|part| part.is_symlink());
        let mut leading = links.filter_map(|link| Some((link, fs::canonicalize(link).ok()?)));
        let (link, target) = leading.find(|(_, target)| !self.contains(target)).unwrap_or((path, real.to_owned()));
        let allowed = if target.is_dir() { target.as_path() } else { target.parent().unwrap_or(&target) };
        let roots = self.roots.iter().map(PathBuf::as_path).chain([allowed]);
        let flags: Vec<_> = roots.map(|root| format!("--data-root {}", root.display())).collect();
        Failure::data(format!(
            "{} is a link to {}, which leads out of the data root {}; to allow it: {}",
            link.display(),
            target.display(),
            listed(&self.roots),
            flags.join(" ")
        ))
    }
}

fn real_root(root: &Path) -> Result<PathBuf, Failure> {
    let failed = |what: &str| Failure::data(format!("the data root {} {what}", root.display()));
    let real = fs::canonicalize(root).map_err(|error| failed("cannot be read").because(error))?;
    if real.is_dir() { Ok(real) } else { Err(failed("is a file: name a folder with --data-root")) }
}

fn unreadable(path: &Path) -> Failure {
    match fs::read_link(path) {
        Ok(target) => Failure::data(format!("cannot follow the link {} to {}", path.display(), target.display())),
        Err(_) => Failure::data(format!("cannot read {}", path.display())),
    }
}

fn listed(roots: &[PathBuf]) -> String {
    roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Disk(tempfile::TempDir);

    impl Disk {
        /// `root` with the folder `inside`, and `outside` with a file and a folder.
        fn new() -> Self {
            let disk = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(disk.path("root/inside")).unwrap();
            fs::create_dir_all(disk.path("outside/set")).unwrap();
            fs::write(disk.path("outside/file"), "secret").unwrap();
            disk
        }

        fn path(&self, path: &str) -> PathBuf {
            fs::canonicalize(self.0.path()).unwrap().join(path)
        }

        fn open(&self, roots: &[&str], path: &str) -> Result<DataFolder, String> {
            let roots: Vec<_> = roots.iter().map(|root| self.path(root)).collect();
            DataFolder::open(&roots, path).map_err(|failure| failure.reason)
        }
    }

    #[test]
    fn nothing_leads_out_of_the_data_root() {
        let disk = Disk::new();
        symlink(disk.path("outside"), disk.path("root/link")).unwrap();
        symlink(disk.path("outside/file"), disk.path("root/inside/file")).unwrap();
        let absolute = disk.path("outside");
        for path in ["../outside", "../absent", "link", "inside/../../outside", absolute.to_str().unwrap()] {
            let reason = disk.open(&["root"], path).unwrap_err();
            assert!(reason.contains("leads out of the data root"), "{reason}");
        }
        let data_folder = disk.open(&["root"], "inside").unwrap();
        assert!(data_folder.read(&data_folder.folder.join("file"), 100).is_err());
        assert!(disk.open(&["root"], "absent").unwrap_err().contains("absent does not exist"));
    }

    #[test]
    fn a_link_that_leads_out_is_named_with_its_target_and_the_flags_that_allow_it() {
        let disk = Disk::new();
        symlink(disk.path("outside"), disk.path("root/link")).unwrap();
        let reason = disk.open(&["root"], "link/set").unwrap_err();
        let (root, link, target) = (disk.path("root"), disk.path("root/link"), disk.path("outside"));
        let named = format!("{} is a link to {}", link.display(), target.display());
        let flags = format!("--data-root {} --data-root {}", root.display(), target.display());
        assert!(reason.starts_with(&named) && reason.ends_with(&flags), "{reason}");
    }

    #[test]
    fn a_link_into_another_data_root_holds() {
        let disk = Disk::new();
        symlink(disk.path("outside/set"), disk.path("root/link")).unwrap();
        symlink(disk.path("outside/file"), disk.path("root/inside/file")).unwrap();
        assert!(disk.open(&["root"], "link").is_err());
        let data_folder = disk.open(&["root", "outside"], "link").unwrap();
        assert_eq!(data_folder.folder, disk.path("outside/set"));
        let data_folder = disk.open(&["root", "outside"], "inside").unwrap();
        assert_eq!(data_folder.read(&data_folder.folder.join("file"), 100).unwrap(), b"secret");
        let other = disk.open(&["root", "outside"], "set").unwrap();
        assert_eq!(other.folder, disk.path("outside/set"), "a data set may lie in any of them");
    }

    #[test]
    fn what_is_no_folder_is_told_from_what_is_not_there() {
        let disk = Disk::new();
        fs::write(disk.path("root/file"), "").unwrap();
        symlink(disk.path("nowhere"), disk.path("root/dangling")).unwrap();
        symlink(disk.path("root/circle"), disk.path("root/circle")).unwrap();
        assert!(disk.open(&["root"], "file").unwrap_err().contains("is a file"));
        for link in ["dangling", "circle"] {
            assert!(disk.open(&["root"], link).unwrap_err().contains("cannot follow the link"));
        }
        assert!(disk.open(&["root/file"], "set").unwrap_err().contains("name a folder with --data-root"));
        assert!(disk.open(&["absent"], "set").unwrap_err().contains("cannot be read"));
    }
}
