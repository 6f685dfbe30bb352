//! The files of the folder, as they lie there, for a garbage collection that looks for those without a reference.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sweep_spec::Digest;

use super::{Folder, UNFINISHED, io};
use crate::Error;

/// A file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it lies.
    pub path: PathBuf,
    /// The content that its name says; none for an upload that never became whole.
    pub digest: Option<Digest>,
    /// How long it is.
    pub bytes: u64,
}

impl Folder {
    /// The folders within it, in order. They are few, and each has a part of the files.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn parts(&self) -> Result<Vec<PathBuf>, Error> {
        let root = self.root.clone();
        blocking(move || {
            let mut parts = Vec::new();
            for entry in std::fs::read_dir(&root).map_err(|source| io(&root, source))? {
                let entry = entry.map_err(|source| io(&root, source))?;
                let name = entry.file_name();
                let hexadecimal = name.len() == 2 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit);
                if hexadecimal && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    parts.push(entry.path());
                }
            }
            parts.sort();
            Ok(parts)
        })
        .await
    }

    /// The plain files of one of them that have not been written to for so long. Names that are not ours are left out.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn files(&self, part: &Path, older_than: Duration) -> Result<Vec<Found>, Error> {
        let part = part.to_owned();
        blocking(move || {
            let mut found = Vec::new();
            for entry in std::fs::read_dir(&part).map_err(|source| io(&part, source))? {
                let entry = entry.map_err(|source| io(&part, source))?;
                // Of the entry itself: no link is followed. One that has gone in the meantime is none.
                let Ok(metadata) = entry.metadata() else { continue };
                let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
                if !metadata.is_file() || age.is_none_or(|age| age < older_than) {
                    continue;
                }
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let digest = name.parse().ok();
                if digest.is_some() || name.starts_with(UNFINISHED) {
                    found.push(Found { path: entry.path(), digest, bytes: metadata.len() });
                }
            }
            Ok(found)
        })
        .await
    }

    /// Removes an upload that never became whole; one that is gone already is as good.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn remove_upload(&self, found: &Found) -> Result<(), Error> {
        match tokio::fs::remove_file(&found.path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(&found.path, error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(Error::Io { path: "the folder of artifacts".to_owned(), source: std::io::Error::other(error) })
    })
}
