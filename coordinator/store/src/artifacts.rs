//! The folder of artifacts beside the store: a file for each content, named by its hash, written whole or not at all.

pub mod strays;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::OFlags;
use sweep_spec::Digest;
use sweep_trust::private::Sharing;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::{Error, private};

/// The largest artifact, in bytes: VGG19's weights in full precision with room to spare.
pub const MAX_ARTIFACT_BYTES: u64 = 512 * 1024 * 1024;

/// How files begin that are not whole yet.
const UNFINISHED: &str = "incoming-";

/// Artifacts by the hash of their content.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    sharing: Sharing,
    /// Held together by those that bring a file and its row in the store, alone by whoever removes a file that no row has.
    changes: Arc<RwLock<()>>,
    /// How many want every file to stay that is there.
    holds: Arc<AtomicUsize>,
}

/// As long as it is there, files of artifacts that were forgotten stay.
#[derive(Debug)]
pub struct Hold(Arc<AtomicUsize>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An artifact that is being written. Dropped before it is kept, it leaves nothing.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    temporary: tempfile::TempPath,
    hasher: blake3::Hasher,
    written: u64,
    size: u64,
    digest: Digest,
    place: PathBuf,
}

/// Why an artifact was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is longer than was said.
    #[error("the content is longer than the announced {size} bytes")]
    TooLong {
        /// What was said.
        size: u64,
    },
    /// It is not what was said.
    #[error("the content does not match the announced hash or size ({size} bytes)")]
    NotTheContent {
        /// What was said.
        size: u64,
    },
    /// The folder.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Folder {
    /// The folder at `root`, made if it is not there, and closed to other users.
    ///
    /// # Errors
    /// It cannot be made or closed, or belongs to another user.
    pub fn open(root: &Path) -> Result<Self, Error> {
        private::close_folder(root)?;
        Ok(Self::at(root))
    }

    /// The folder at `root`, which may not be there.
    pub fn at(root: &Path) -> Self {
        let (changes, holds) = (Arc::default(), Arc::default());
        Self { root: root.to_owned(), sharing: Sharing::of(root), changes, holds }
    }

    /// Where the content of this hash lies, or will.
    pub fn place(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// Begins to take an artifact of `size` bytes.
    ///
    /// # Errors
    /// A file cannot be made.
    pub async fn begin(&self, digest: Digest, size: u64) -> Result<Incoming, Error> {
        let place = self.place(digest);
        let folder = place.parent().unwrap_or(&self.root).to_owned();
        let mut builder = tokio::fs::DirBuilder::new();
        builder.recursive(true).mode(self.sharing.folder_mode());
        builder.create(&folder).await.map_err(|source| io(&folder, source))?;
        let mode = Permissions::from_mode(self.sharing.file_mode());
        let named = tempfile::Builder::new().prefix(UNFINISHED).permissions(mode).tempfile_in(&folder);
        let (file, temporary) = named.map_err(|source| io(&folder, source))?.into_parts();
        let hasher = blake3::Hasher::new();
        Ok(Incoming { file: File::from_std(file), temporary, hasher, written: 0, size, digest, place })
    }

    /// While this is held no file is removed: what is kept now still has its file when the store has its row.
    pub async fn adding(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.changes).read_owned().await
    }

    /// While this is held no file and no row of one is added.
    pub async fn removing(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.changes).write_owned().await
    }

    /// Lets files stay until what is returned is dropped.
    pub fn hold(&self) -> Hold {
        self.holds.fetch_add(1, Ordering::SeqCst);
        Hold(Arc::clone(&self.holds))
    }

    /// Whether files have to stay.
    pub fn is_held(&self) -> bool {
        self.holds.load(Ordering::SeqCst) > 0
    }

    /// Where copies of the store lie that backups read.
    pub fn spool(&self) -> PathBuf {
        self.root.join(".backup")
    }

    /// Removes a file; one that is gone already is as good.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn remove(&self, digest: Digest) -> Result<(), Error> {
        let place = self.place(digest);
        match tokio::fs::remove_file(&place).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(&place, error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Opens an artifact to be read.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    pub async fn read(&self, digest: Digest) -> Result<File, Error> {
        let place = self.place(digest);
        // A file of ours is no link, and a pipe under its name would be waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let opened = File::options().read(true).custom_flags(flags).open(&place).await;
        let file = opened.map_err(|source| io(&place, source))?;
        if !file.metadata().await.map_err(|source| io(&place, source))?.is_file() {
            return Err(io(&place, std::io::Error::other("it is not a regular file")));
        }
        Ok(file)
    }

    /// Removes what a process that ended had begun to take; says how many files there were. Only for who alone writes here.
    ///
    /// # Errors
    /// The folder cannot be read, or a file not be removed.
    pub async fn remove_unfinished(&self) -> Result<u64, Error> {
        let root = self.root.clone();
        let removed = tokio::task::spawn_blocking(move || remove_unfinished(&root)).await;
        removed.map_err(std::io::Error::other).and_then(|removed| removed).map_err(|source| io(&self.root, source))
    }
}

fn remove_unfinished(root: &Path) -> std::io::Result<u64> {
    let mut removed = 0;
    for folder in std::fs::read_dir(root)? {
        let folder = folder?;
        if !folder.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(folder.path())? {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with(UNFINISHED) {
                std::fs::remove_file(file.path())?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

/// An artifact that is not what its name says.
pub fn damaged(digest: Digest) -> Error {
    Error::damaged(format!("the artifact {digest} does not match its name"))
}

/// Reads an artifact and says how long it is; `None` if it is not what its name says.
///
/// # Errors
/// It is not there or cannot be read.
pub async fn verify(folder: &Folder, digest: Digest) -> Result<Option<u64>, Error> {
    let place = folder.place(digest);
    let mut file = folder.read(digest).await?;
    let (mut hasher, mut buffer, mut length) = (blake3::Hasher::new(), vec![0; 128 * 1024], 0);
    loop {
        let read = file.read(&mut buffer).await.map_err(|source| io(&place, source))?;
        if read == 0 {
            return Ok((hasher.finalize().as_bytes() == digest.as_bytes()).then_some(length));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        length += read as u64;
    }
}

impl Incoming {
    /// Takes the next piece.
    ///
    /// # Errors
    /// It is too long, or cannot be written.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), Refused> {
        self.written = self.written.saturating_add(chunk.len() as u64);
        if self.written > self.size {
            return Err(Refused::TooLong { size: self.size });
        }
        self.hasher.update(chunk);
        self.file.write_all(chunk).await.map_err(|source| io(&self.place, source))?;
        Ok(())
    }

    /// Keeps it, on disk when this returns, with the folders that name it.
    ///
    /// # Errors
    /// It is not what was announced, or cannot be written.
    pub async fn keep(mut self) -> Result<(), Refused> {
        if self.written != self.size || self.hasher.finalize().as_bytes() != self.digest.as_bytes() {
            return Err(Refused::NotTheContent { size: self.size });
        }
        let failed = |source| Refused::Store(io(&self.place, source));
        self.file.flush().await.map_err(failed)?;
        self.file.sync_all().await.map_err(failed)?;
        drop(self.file);
        self.temporary.persist(&self.place).map_err(|error| io(&self.place, error.error))?;
        // The folder of this file, and the one that names that: it may be new.
        for folder in self.place.ancestors().skip(1).take(2) {
            File::open(folder).await.map_err(failed)?.sync_all().await.map_err(failed)?;
        }
        Ok(())
    }
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const CONTENT: &[u8] = b"weights of a network";

    async fn kept(folder: &Folder) -> Digest {
        let digest = Digest::of(CONTENT);
        let mut incoming = folder.begin(digest, CONTENT.len() as u64).await.unwrap();
        incoming.write(CONTENT).await.unwrap();
        incoming.keep().await.unwrap();
        digest
    }

    #[tokio::test]
    async fn what_a_process_began_and_did_not_end_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let digest = kept(&folder).await;
        let other = Digest::of(b"other");
        let mut incoming = folder.begin(other, 5).await.unwrap();
        incoming.write(b"ot").await.unwrap();
        // As a process that is killed leaves it.
        std::mem::forget(incoming);
        assert_eq!(folder.remove_unfinished().await.unwrap(), 1);
        assert_eq!(folder.remove_unfinished().await.unwrap(), 0);
        assert_eq!(verify(&folder, digest).await.unwrap(), Some(CONTENT.len() as u64));
        assert_eq!(std::fs::read_dir(folder.place(other).parent().unwrap()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_link_or_a_pipe_under_the_name_of_an_artifact_is_refused_without_waiting() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let place = folder.place(kept(&folder).await);
        let aside = root.path().join("aside");
        std::fs::rename(&place, &aside).unwrap();
        symlink(&aside, &place).unwrap();
        assert!(folder.read(Digest::of(CONTENT)).await.is_err());
        std::fs::remove_file(&place).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &place, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let reason = crate::chain(&folder.read(Digest::of(CONTENT)).await.unwrap_err());
        assert!(reason.contains("not a regular file"), "{reason}");
    }

    #[tokio::test]
    async fn more_than_was_announced_is_refused_and_leaves_no_file() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let digest = Digest::of(CONTENT);
        let mut incoming = folder.begin(digest, 3).await.unwrap();
        assert!(matches!(incoming.write(CONTENT).await, Err(Refused::TooLong { size: 3 })));
        drop(incoming);
        let incoming = folder.begin(digest, CONTENT.len() as u64).await.unwrap();
        assert!(matches!(incoming.keep().await, Err(Refused::NotTheContent { .. })));
        assert_eq!(std::fs::read_dir(folder.place(digest).parent().unwrap()).unwrap().count(), 0);
    }
}
