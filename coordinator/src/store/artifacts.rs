//! The folder of artifacts beside the store: a file for each content, named by its hash, written whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sweep_spec::Digest;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::Error;

/// The largest artifact, in bytes: VGG19's weights in full precision with room to spare.
pub const MAX_ARTIFACT_BYTES: u64 = 512 * 1024 * 1024;

/// Artifacts by the hash of their content.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    /// Held together by those that bring a file and its row in the store, alone by whoever removes a file that no row has.
    changes: Arc<RwLock<()>>,
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
    #[error("the content is longer than the {size} bytes that were announced")]
    TooLong {
        /// What was said.
        size: u64,
    },
    /// It is not what was said.
    #[error("the content is not the {size} bytes with the hash that were announced")]
    NotTheContent {
        /// What was said.
        size: u64,
    },
    /// The folder.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Folder {
    /// The folder at `root`, made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(root: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(root).map_err(|source| io(root, source))?;
        Ok(Self::at(root))
    }

    /// The folder at `root`, which may not be there.
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), changes: Arc::default() }
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
        tokio::fs::create_dir_all(&folder).await.map_err(|source| io(&folder, source))?;
        let named = tempfile::Builder::new().prefix("incoming-").tempfile_in(&folder);
        let (file, temporary) = named.map_err(|source| io(&folder, source))?.into_parts();
        let hasher = blake3::Hasher::new();
        Ok(Incoming { file: File::from_std(file), temporary, hasher, written: 0, size, digest, place })
    }

    /// While this is held no file is removed: what is kept now still has its file when the store has its row.
    pub(crate) async fn adding(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.changes).read_owned().await
    }

    /// While this is held no file and no row of one is added.
    pub(crate) async fn removing(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.changes).write_owned().await
    }

    /// Removes a file; one that is gone already is as good.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) async fn remove(&self, digest: Digest) -> Result<(), Error> {
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
        File::open(&place).await.map_err(|source| io(&place, source))
    }
}

/// An artifact that is not what its name says.
pub(crate) fn damaged(digest: Digest) -> Error {
    Error::damaged(format!("the artifact {digest} is not what its name says"))
}

/// Reads an artifact and says how long it is; `None` if it is not what its name says.
///
/// # Errors
/// It is not there or cannot be read.
pub(crate) async fn verify(folder: &Folder, digest: Digest) -> Result<Option<u64>, Error> {
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

    /// Keeps it, on disk when this returns.
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
        Ok(())
    }
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.display().to_string(), source }
}
