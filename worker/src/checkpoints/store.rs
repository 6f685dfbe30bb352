//! The shared store of checkpoints: a folder that all workers can reach, or a cloud bucket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{CheckpointFile, Error, MAX_BYTES, Position, files};
use crate::files::{create_anew, open_regular};

/// Bytes of one part of a multipart upload.
const PART_BYTES: usize = 8 << 20;

/// The most objects of a round that are listed; a round has a few.
const MAX_LISTED: usize = 10_000;

/// Only variables with these prefixes reach the library: it also reads short names with other meanings, such as
/// `region`.
const VARIABLES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// URL prefixes of buckets.
const CLOUDS: [&str; 3] = ["s3://", "gs://", "az://"];

pub(super) enum Store {
    Folder(PathBuf),
    Bucket { bucket: Arc<dyn ObjectStore>, prefix: Key },
}

/// The problem of a store's name, if it is invalid.
pub(crate) fn problem(store: &str) -> Option<String> {
    let known = || CLOUDS.iter().any(|cloud| store.strip_prefix(cloud).is_some_and(|bucket| !bucket.is_empty()));
    let folder = |path: &str| !path.contains("://") && (path.is_empty() || Path::new(path).is_absolute());
    let file = |path: &str| Path::new(path).is_absolute();
    let good = store.strip_prefix("file://").map_or_else(|| folder(store) || known(), file);
    (!good).then(|| {
        format!(
            "expected an absolute folder, file:///folder, s3://bucket, gs://bucket or az://container; found {store:?}"
        )
    })
}

impl Store {
    pub(super) fn open(name: &str) -> Result<Self, Error> {
        let settings =
            std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        let settings = settings.filter(|(key, _)| VARIABLES.iter().any(|prefix| key.starts_with(prefix)));
        Self::with_settings(name, settings)
    }

    /// Opens a store; `settings` has the settings of the cloud client, under the names of the usual environment variables.
    pub(super) fn with_settings(
        name: &str,
        settings: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let path = name.strip_prefix("file://").unwrap_or(name);
        if !path.contains("://") {
            std::fs::create_dir_all(path).map_err(Error::at(Path::new(path)))?;
            return Ok(Self::Folder(path.into()));
        }
        let url =
            name.parse().map_err(|error| object_store::Error::Generic { store: "URL", source: Box::new(error) })?;
        let (bucket, prefix) = object_store::parse_url_opts(&url, settings)?;
        Ok(Self::Bucket { bucket: bucket.into(), prefix })
    }

    /// Lists the checkpoints of a round.
    pub(super) async fn list(&self, round: &str) -> Result<Vec<CheckpointFile>, Error> {
        let (bucket, folder) = match self {
            Self::Folder(root) => return files::list(&root.join(round)).await,
            Self::Bucket { bucket, prefix } => (bucket, key(prefix, round)),
        };
        let objects: Vec<_> = bucket.list(Some(&folder)).take(MAX_LISTED).try_collect().await?;
        let found = objects.into_iter().filter_map(|object| {
            let name = object.location.filename()?.to_owned();
            Some(CheckpointFile { position: Position::of(&name)?, name, bytes: object.size })
        });
        Ok(found.filter(|found| found.bytes <= MAX_BYTES).collect())
    }

    /// Uploads a checkpoint from a local folder; it becomes visible when it is complete.
    pub(super) async fn put(&self, round: &str, name: &str, folder: &Path) -> Result<(), Error> {
        let (bucket, key) = match self {
            Self::Folder(root) => return files::copy(folder, &root.join(round), name).await,
            Self::Bucket { bucket, prefix } => (bucket, key(prefix, &format!("{round}/{name}"))),
        };
        let path = folder.join(name);
        let opened = open_regular(&path, files::DEPTH).map_err(Error::at(&path))?;
        let mut file = File::from_std(opened.file);
        let first = part(&mut file).await.map_err(Error::at(&path))?;
        if first.len() < PART_BYTES {
            bucket.put(&key, first.into()).await?;
            return Ok(());
        }
        let mut upload = bucket.put_multipart(&key).await?;
        let sent = send(upload.as_mut(), first, &mut file, &path).await;
        if sent.is_err() {
            // Uploaded parts cost money until the upload is aborted. A failure of the abort changes nothing else.
            drop(upload.abort().await);
        }
        sent
    }

    /// Downloads a checkpoint to a local folder; it becomes visible when it is complete and synced.
    pub(super) async fn get(&self, round: &str, name: &str, folder: &Path) -> Result<(), Error> {
        let (bucket, key) = match self {
            Self::Folder(root) => return files::copy(&root.join(round), folder, name).await,
            Self::Bucket { bucket, prefix } => (bucket, key(prefix, &format!("{round}/{name}"))),
        };
        let mut chunks = bucket.get(&key).await?.into_stream();
        let path = files::unfinished(folder, name);
        // A trainer can also write here: this name may be a link.
        let mut file = File::from_std(create_anew(&path).map_err(Error::at(&path))?);
        let mut left = MAX_BYTES;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            // The object may have been replaced after its size was read.
            left = left.checked_sub(chunk.len() as u64).ok_or(Error::TooLarge)?;
            file.write_all(&chunk).await.map_err(Error::at(&path))?;
        }
        file.flush().await.map_err(Error::at(&path))?;
        let (file, folder, name) = (file.into_std().await, folder.to_owned(), name.to_owned());
        let finished = tokio::task::spawn_blocking(move || files::finish(&file, &folder, &name)).await;
        finished.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(Error::at(&path))
    }

    /// Removes one checkpoint; a missing one counts as removed.
    pub(super) async fn remove(&self, round: &str, name: &str) -> Result<(), Error> {
        match self {
            Self::Folder(root) => {
                let path = root.join(round).join(name);
                match tokio::fs::remove_file(&path).await {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::at(&path)(error)),
                    Ok(()) | Err(_) => Ok(()),
                }
            }
            Self::Bucket { bucket, prefix } => match bucket.delete(&key(prefix, &format!("{round}/{name}"))).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            },
        }
    }

    pub(super) async fn remove_round(&self, round: &str) -> Result<(), Error> {
        match self {
            Self::Folder(root) => {
                let folder = root.join(round);
                let removed = tokio::task::spawn_blocking(move || files::remove_round(&folder)).await;
                removed.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
            }
            Self::Bucket { .. } => {
                for found in self.list(round).await? {
                    self.remove(round, &found.name).await?;
                }
                Ok(())
            }
        }
    }
}

/// Reads the next part of a file; only the last part is shorter than `PART_BYTES`.
async fn part(file: &mut File) -> std::io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(PART_BYTES);
    file.take(PART_BYTES as u64).read_to_end(&mut bytes).await?;
    Ok(bytes.into())
}

async fn send(upload: &mut dyn MultipartUpload, first: Bytes, file: &mut File, path: &Path) -> Result<(), Error> {
    let mut next = first;
    while !next.is_empty() {
        upload.put_part(next.into()).await?;
        next = part(file).await.map_err(Error::at(path))?;
    }
    upload.complete().await?;
    Ok(())
}

fn key(prefix: &Key, below: &str) -> Key {
    Key::from_iter(prefix.parts().chain(Key::from(below).parts()))
}
