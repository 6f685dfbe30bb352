//! The files of a store are their owner's alone: who can read them reads every result, and who can lock one keeps a
//! coordinator from starting. What others could use is closed at every opening, with a word in the log.

use std::path::{Path, PathBuf};

use sweep_trust::private::{Open, Sharing, keep_writers_out};
use tracing::warn;

use super::Error;
use super::sqlite::beside;

/// What lies beside a store's file and belongs to it.
const BESIDE: [&str; 4] = ["-wal", "-shm", ".lock", ".acknowledged"];

/// The folder that a file lies in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Every file of a store, whether it is there or not.
fn files(store: &Path) -> impl Iterator<Item = PathBuf> {
    std::iter::once(store.to_owned()).chain(BESIDE.iter().map(|suffix| beside(store, suffix)))
}

/// Makes the folder where it is missing, and closes what is there to others.
///
/// # Errors
/// A file belongs to another user, or its mode cannot be changed.
pub fn close(store: &Path) -> Result<Sharing, Error> {
    let folder = folder_of(store);
    let sharing = Sharing::of(folder);
    sharing.make_folder(folder).map_err(|source| Error::Io { path: folder.display().to_string(), source })?;
    tell(keep_writers_out(folder)?);
    for file in files(store) {
        tell(sharing.mend(&file)?);
    }
    Ok(sharing)
}

/// Closes a folder that holds nothing but what is ours.
///
/// # Errors
/// It cannot be made, belongs to another user, or its mode cannot be changed.
pub(super) fn close_folder(folder: &Path) -> Result<Sharing, Error> {
    let sharing = Sharing::of(folder);
    sharing.make_folder(folder).map_err(|source| Error::Io { path: folder.display().to_string(), source })?;
    tell(sharing.mend(folder)?);
    Ok(sharing)
}

/// What others could use of a store and its artifacts, in sentences; changes nothing.
pub fn findings(store: &Path, artifacts: &Path) -> Vec<String> {
    let look = |path: PathBuf, sharing: Sharing| match sharing.look(&path) {
        Ok(None) => None,
        Ok(Some(Open { mode, wanted, .. })) => {
            let path = path.display();
            Some(format!("other users can use {path} (mode {mode:o}): the next start changes the mode to {wanted:o}"))
        }
        Err(error) => Some(crate::chain(&error)),
    };
    let sharing = Sharing::of(folder_of(store));
    let of_store = files(store).filter_map(|file| look(file, sharing));
    of_store.chain(look(artifacts.to_owned(), Sharing::of(artifacts))).collect()
}

fn tell(open: Option<Open>) {
    if let Some(open) = open {
        warn!("{open}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::Store;
    use crate::artifacts::Folder;
    use crate::sqlite::{Options, SqliteStore};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    /// The usual umask of a test lets others read, so it is the store that keeps them out.
    #[tokio::test]
    async fn a_store_is_made_for_its_owner_alone_and_one_that_was_open_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let (store, artifacts) = (folder.path().join("new/store.db"), folder.path().join("new/artifacts"));
        let opened = SqliteStore::open(&Options::new(&store)).await.unwrap();
        Folder::open(&artifacts).unwrap();
        let modes = |names: Vec<PathBuf>| names.iter().map(|name| mode(name)).collect::<Vec<u32>>();
        assert_eq!(modes(files(&store).collect()), [0o600; 5]);
        assert_eq!((mode(folder_of(&store)), mode(&artifacts)), (0o700, 0o700));
        assert_eq!(findings(&store, &artifacts), Vec::<String>::new());
        opened.close().await;
        drop(opened);

        // As an earlier release left it.
        let there: Vec<PathBuf> = files(&store).filter(|file| file.exists()).collect();
        assert!(there.len() >= 3, "{there:?}");
        for file in &there {
            fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        }
        fs::set_permissions(folder_of(&store), fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(&artifacts, fs::Permissions::from_mode(0o755)).unwrap();
        let found = findings(&store, &artifacts);
        assert_eq!(found.len(), there.len() + 1, "{found:?}");
        assert!(found[0].ends_with("(mode 644): the next start changes the mode to 600"), "{found:?}");
        let opened = SqliteStore::open(&Options::new(&store)).await.unwrap();
        Folder::open(&artifacts).unwrap();
        assert_eq!(modes(files(&store).collect()), [0o600; 5]);
        assert_eq!(mode(&artifacts), 0o700);
        assert_eq!(mode(folder_of(&store)), 0o775, "it may hold other things: only the right to replace files goes");
        opened.close().await;
    }
}
