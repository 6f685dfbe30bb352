//! The user's private folders: from the usual environment variable, or below the home folder. Without either, a private
//! folder below the temporary folder; its name can be guessed, so its owner and mode are checked first.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use sweep_trust::private::Sharing;

/// Only the owner may read, write and enter.
const PRIVATE: u32 = 0o700;

/// A folder, with the folder to check before it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserFolder {
    pub(crate) path: PathBuf,
    /// The private folder below the temporary folder that contains it, if no home folder is known.
    pub(crate) guard: Option<PathBuf>,
}

impl UserFolder {
    /// A folder that a setting names.
    pub(crate) fn named(path: &Path) -> Self {
        Self { path: path.to_owned(), guard: None }
    }

    /// The same place, one component deeper.
    pub(crate) fn join(self, name: impl AsRef<Path>) -> Self {
        Self { path: self.path.join(name), guard: self.guard }
    }

    /// Creates missing folders, private to this user or to the group of a volume that is shared on purpose.
    pub(crate) fn make(&self) -> io::Result<()> {
        if let Some(guard) = &self.guard {
            make_private(guard)?;
        }
        Sharing::of(&self.path).make_folder(&self.path)
    }

    /// Whether `make` would succeed; creates nothing.
    pub(crate) fn check(&self) -> io::Result<()> {
        if let Some(guard) = self.guard.as_ref().filter(|guard| guard.symlink_metadata().is_ok()) {
            is_private(guard)?;
        }
        let there = self.path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        if !there.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{} is not a folder", there.display())));
        }
        use rustix::fs::Access;
        let writable = rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from);
        writable
            .map_err(|error| io::Error::new(error.kind(), format!("{} cannot be written: {error}", there.display())))
    }
}

/// The folder that `variable` names, or the one below the home folder.
pub(crate) fn user_folder(variable: &str, below_home: &str) -> UserFolder {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let user = rustix::process::geteuid().as_raw();
    choose((variable, below_home), set, &std::env::temp_dir().join(format!("sweep-{user}")))
}

/// Relative paths are ignored, and so is `/`, the home of users without one.
fn choose((variable, below_home): (&str, &str), set: impl Fn(&str) -> Option<PathBuf>, guard: &Path) -> UserFolder {
    let usual = set(variable).filter(|path| path.is_absolute());
    let home = || set("HOME").filter(|path| path.is_absolute() && path.parent().is_some());
    match usual.or_else(|| home().map(|home| home.join(below_home))) {
        Some(path) => UserFolder::named(&path),
        None => UserFolder { path: guard.join(below_home), guard: Some(guard.to_owned()) },
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(PRIVATE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => is_private(folder),
    }
}

/// Another user may have created it first, or a link in its place.
fn is_private(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    let refused = |what: String| {
        let what = format!("{} {what}, so its files may be another user's", folder.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
    };
    if !found.is_dir() {
        return refused("is a link or a file".to_owned());
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refused(format!("belongs to user {}", found.uid()));
    }
    if found.mode() & 0o077 != 0 {
        return refused(format!("has mode {:03o} instead of {PRIVATE:03o}", found.mode() & 0o777));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn chosen(variables: &[(&str, &str)]) -> UserFolder {
        let set =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| PathBuf::from(value));
        choose(("XDG_CACHE_HOME", ".cache"), set, Path::new("/tmp/sweep-7"))
    }

    #[test]
    fn the_variable_comes_before_the_home_and_neither_may_be_empty_relative_or_the_root() {
        let usual = |path: &str| UserFolder::named(Path::new(path));
        assert_eq!(chosen(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]), usual("/c"));
        assert_eq!(chosen(&[("XDG_CACHE_HOME", ""), ("HOME", "/h")]), usual("/h/.cache"));
        assert_eq!(chosen(&[("XDG_CACHE_HOME", "here"), ("HOME", "/h")]), usual("/h/.cache"));
        let guard = Some(PathBuf::from("/tmp/sweep-7"));
        let private = UserFolder { path: "/tmp/sweep-7/.cache".into(), guard };
        for variables in [&[][..], &[("HOME", "")], &[("HOME", "/")], &[("HOME", "//")], &[("HOME", "home")]] {
            assert_eq!(chosen(variables), private, "{variables:?}");
        }
    }

    #[test]
    fn a_folder_among_the_temporary_files_is_this_users_alone_or_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let guard = temporary.path().join(name);
            UserFolder { path: guard.join(".cache/sweep"), guard: Some(guard) }
        };
        let fresh = place("fresh");
        fresh.check().unwrap();
        assert!(!temporary.path().join("fresh").exists(), "looking makes nothing");
        fresh.make().unwrap();
        fresh.make().unwrap();
        fresh.check().unwrap();
        for folder in fresh.path.ancestors().take(3) {
            assert_eq!(folder.metadata().unwrap().mode() & 0o777, PRIVATE, "{}", folder.display());
        }
        let open = place("open");
        fs::create_dir(temporary.path().join("open")).unwrap();
        fs::set_permissions(temporary.path().join("open"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(temporary.path().join("elsewhere")).unwrap();
        symlink(temporary.path().join("elsewhere"), temporary.path().join("link")).unwrap();
        fs::write(temporary.path().join("file"), "").unwrap();
        for (place, why) in [(open, "mode 755"), (place("link"), "a link"), (place("file"), "a file")] {
            for refused in [place.check().unwrap_err(), place.make().unwrap_err()] {
                assert!(refused.to_string().contains(why), "{refused}");
            }
            assert!(!place.path.exists());
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told_before_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let refused = UserFolder::named(&folder.path().join("file/below")).check().unwrap_err();
        assert!(refused.to_string().contains("is not a folder"), "{refused}");
        UserFolder::named(&folder.path().join("new/below")).check().unwrap();
    }
}
