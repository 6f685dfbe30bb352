//! Backups in their folders: a store is restored from a backup, or checked inside it. A restore copies the artifacts
//! first and completes the store last, in one step: until the file has its final name, or the rows are committed, a
//! coordinator finds no store there. So an interrupted restore can be run again, and continues.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sweep_shapes::backup::{
    ARTIFACTS, ArtifactFiles, FORMAT, MANIFEST, Manifest, MissingArtifact, NEXT_MANIFEST, STORE,
};
use sweep_spec::Digest;
use sweep_store::artifacts::{self, Folder, Refused as ArtifactRefused};
use sweep_store::check::{Report, check_copy};
use sweep_store::copy;
use sweep_store::location::Location;
use sweep_store::private::{close, folder_of};
use sweep_store::sqlite::{self, Options, SqliteStore, copied};
use sweep_store::{Error, Store};
use sweep_trust::lock::Lock;
use sweep_trust::private::Sharing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The manifest, and the one that is about to replace it.
const MANIFESTS: [&str; 2] = [MANIFEST, NEXT_MANIFEST];
/// The largest manifest, in bytes: enough for 10,000 missing artifacts.
const MAX_MANIFEST_BYTES: u64 = 16 * 1024 * 1024;
/// Artifacts that are read at a time.
const PAGE: u32 = 10_000;
const CHUNK_BYTES: usize = 256 * 1024;

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The folder has no manifest, or one that is invalid.
    #[error("{path} is not a complete backup: {problem}")]
    Unfinished {
        /// The folder.
        path: String,
        /// The problem.
        problem: String,
    },
    /// The manifest cannot be parsed.
    #[error("{path} is not the manifest of a backup")]
    Manifest {
        /// The manifest.
        path: String,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// A newer release made the backup.
    #[error("the backup has format {found}, but this program reads format {known}: use a newer sweepctl")]
    Newer {
        /// The version of its format.
        found: u32,
        /// The newest version that this release reads.
        known: u32,
    },
    /// The content of a file does not match its hash.
    #[error("{path} does not match its hash in the backup")]
    Damaged {
        /// The file.
        path: String,
    },
    /// There is already a store in this place.
    #[error("{place} already contains a store, but a backup is only restored into a new one")]
    NotEmpty {
        /// The place.
        place: String,
    },
    /// There is a log of an earlier store beside the file.
    #[error("{path} belongs to an earlier store")]
    Log {
        /// The log.
        path: String,
    },
    /// The store or the folder of artifacts failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// The database could not be filled.
    #[error(transparent)]
    Copy(copy::Refused),
    /// A file could not be read or written.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// When the backup began. It includes everything that was acknowledged before.
    pub created_unix_ms: i64,
    /// The size of the store's copy, in bytes.
    pub store_bytes: u64,
    /// The number of artifacts.
    pub artifacts: u64,
    /// Their size in bytes.
    pub artifact_bytes: u64,
    /// Artifacts that are missing in the backup, because the coordinator could not read their files.
    pub missing: Vec<MissingArtifact>,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Refused + use<'_> {
    move |source| Refused::Io { path: path.display().to_string(), source }
}

/// Restores a store from the backup in `input`. Artifacts go into `folder`, or into the folder that a coordinator on
/// that store uses.
///
/// # Errors
/// The backup is incomplete or damaged, there is a store in that place, or a file cannot be written.
pub async fn restore(input: &Path, store: &Location, folder: Option<&Path>) -> Result<Restored, Refused> {
    let manifest = manifest(input).await?;
    let folder = folder.map_or_else(|| store.artifacts(), Path::to_owned);
    let (files, missing) = match store {
        Location::File(path) => {
            let made = File::begin(path)?;
            copy_store(&input.join(STORE), &made.part, &manifest).await?;
            let filled = artifacts(&made.part, (input, &manifest.missing), &folder).await?;
            made.finish().await?;
            filled
        }
        Location::Postgres(_) => {
            if copy::is_filled(store).await.map_err(Refused::Copy)? {
                return Err(Refused::NotEmpty { place: store.to_string() });
            }
            // A copy is needed: opening a file as a store writes to it, and the backup may be on a read-only disk.
            // Creates the folder, which only its owner may read.
            Folder::open(&folder)?;
            let spool = folder.join(".restore");
            // An interrupted restore left its copy, with a log that belongs only to that copy.
            match tokio::fs::remove_dir_all(&spool).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&spool)(error)),
                Ok(()) | Err(_) => {}
            }
            tokio::fs::create_dir_all(&spool).await.map_err(io(&spool))?;
            let part = spool.join(STORE);
            copy_store(&input.join(STORE), &part, &manifest).await?;
            let filled = artifacts(&part, (input, &manifest.missing), &folder).await?;
            let copied = copy::copy(&Location::File(part), store).await;
            tokio::fs::remove_dir_all(&spool).await.map_err(io(&spool))?;
            copied.map_err(Refused::Copy)?;
            filled
        }
    };
    Ok(Restored {
        created_unix_ms: manifest.created_unix_ms,
        store_bytes: manifest.store.bytes,
        artifacts: files.files,
        artifact_bytes: files.bytes,
        missing,
    })
}

/// The backup's folder for a path: the folder itself, or the folder of a store with a manifest beside it.
pub(crate) fn backup_of(path: &Path) -> Option<&Path> {
    if path.is_dir() {
        return Some(path);
    }
    let folder = folder_of(path);
    let is_copy = path.file_name().is_some_and(|name| name == STORE);
    (is_copy && MANIFESTS.iter().any(|name| folder.join(name).exists())).then_some(folder)
}

/// Checks the store in a backup's folder, and the artifacts there.
pub(crate) async fn check(input: &Path) -> Result<Report, Refused> {
    let (missing, damaged) = match manifest(input).await {
        Ok(manifest) => (manifest.missing, None),
        // A problem inside the store explains more than this one.
        Err(error @ Refused::Damaged { .. }) => (Vec::new(), Some(error)),
        Err(error) => return Err(error),
    };
    let missing = missing.iter().filter_map(|one| one.digest.parse().ok()).collect();
    let mut report = check_copy(&input.join(STORE), &input.join(ARTIFACTS), &missing).await?;
    if let Some(error) = damaged {
        report.problem("file", error.to_string());
    }
    Ok(report)
}

/// The manifest of the store in the folder. A backup that was interrupted between its last two steps has two manifests.
async fn manifest(input: &Path) -> Result<Manifest, Refused> {
    let unfinished = |problem: &str| Refused::Unfinished { path: input.display().to_string(), problem: problem.into() };
    let store = input.join(STORE);
    match tokio::fs::metadata(&store).await {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(unfinished("it has no store.db")),
        Err(error) => return Err(io(&store)(error)),
    }
    let mut found = Vec::new();
    for name in MANIFESTS {
        let path = input.join(name);
        match tokio::fs::metadata(&path).await {
            Ok(metadata) if metadata.len() <= MAX_MANIFEST_BYTES => {}
            Ok(_) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(io(&path)(error)),
        }
        let text = tokio::fs::read(&path).await.map_err(io(&path))?;
        let read: Manifest = serde_json::from_slice(&text)
            .map_err(|source| Refused::Manifest { path: path.display().to_string(), source })?;
        if read.format > FORMAT {
            return Err(Refused::Newer { found: read.format, known: FORMAT });
        }
        found.push(read);
    }
    if found.is_empty() {
        return Err(unfinished("it has no backup.json, the file that is written last"));
    }
    let (bytes, digest) = crate::backup::hash(&store).await?;
    let right = |manifest: &Manifest| manifest.store.bytes == bytes && manifest.store.blake3 == digest.to_string();
    found.into_iter().find(right).ok_or_else(|| Refused::Damaged { path: store.display().to_string() })
}

/// Copies the store, and compares its hash with the manifest once more.
async fn copy_store(from: &Path, to: &Path, manifest: &Manifest) -> Result<(), Refused> {
    let mut source = tokio::fs::File::open(from).await.map_err(io(from))?;
    // Private from its first byte: it contains hashes of tokens and the key of sessions.
    let made = Sharing::of(folder_of(to)).open(to).map_err(io(to))?;
    made.set_len(0).map_err(io(to))?;
    let mut target = tokio::fs::File::from_std(made);
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; CHUNK_BYTES]);
    loop {
        let read = source.read(&mut buffer).await.map_err(io(from))?;
        if read == 0 {
            break;
        }
        let chunk = buffer.get(..read).unwrap_or_default();
        hasher.update(chunk);
        target.write_all(chunk).await.map_err(io(to))?;
    }
    target.flush().await.map_err(io(to))?;
    target.sync_all().await.map_err(io(to))?;
    let digest = Digest::try_from(hasher.finalize().as_bytes().as_slice());
    if digest.is_ok_and(|digest| digest.to_string() == manifest.store.blake3) {
        return Ok(());
    }
    Err(Refused::Damaged { path: from.display().to_string() })
}

/// Copies every artifact that the store refers to and that is not there yet. Returns the number and the size of all
/// artifacts, and those that the manifest lists as missing.
async fn artifacts(
    store: &Path,
    (input, missing): (&Path, &[MissingArtifact]),
    folder: &Path,
) -> Result<(ArtifactFiles, Vec<MissingArtifact>), Refused> {
    let target = Folder::open(folder)?;
    let source = Folder::at(&input.join(ARTIFACTS));
    let expected: HashMap<&str, &MissingArtifact> = missing.iter().map(|one| (one.digest.as_str(), one)).collect();
    let (mut filled, mut lacks) = (ArtifactFiles { files: 0, bytes: 0 }, Vec::new());
    let mut after = None;
    loop {
        let page = copied::contents(store, after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok((filled, lacks)) };
        after = Some(*last);
        for (digest, bytes) in page {
            let there = tokio::fs::metadata(target.place(digest)).await.is_ok_and(|found| found.len() == bytes)
                && artifacts::verify(&target, digest).await? == Some(bytes);
            if !there {
                // A file that was added to the backup later is used.
                if let Some(missing) = expected.get(digest.to_string().as_str())
                    && is_gone(&source.place(digest)).await
                {
                    lacks.push((*missing).clone());
                    continue;
                }
                artifact(&source, &target, (digest, bytes)).await?;
            }
            filled.files += 1;
            filled.bytes = filled.bytes.saturating_add(bytes);
        }
    }
}

async fn is_gone(path: &Path) -> bool {
    matches!(tokio::fs::symlink_metadata(path).await, Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}

async fn artifact(source: &Folder, target: &Folder, (digest, bytes): (Digest, u64)) -> Result<(), Refused> {
    let place = source.place(digest);
    let damaged = |refused| match refused {
        ArtifactRefused::Store(error) => Refused::Store(error),
        ArtifactRefused::TooLong { .. } | ArtifactRefused::NotTheContent { .. } => {
            Refused::Damaged { path: place.display().to_string() }
        }
    };
    let mut reading = source.read(digest).await?;
    let mut writing = target.begin(digest, bytes).await?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = reading.read(&mut buffer).await.map_err(io(&place))?;
        if read == 0 {
            return writing.keep().await.map_err(damaged);
        }
        writing.write(buffer.get(..read).unwrap_or_default()).await.map_err(damaged)?;
    }
}

/// A SQLite file that is being made.
struct File {
    place: PathBuf,
    part: PathBuf,
    /// Excludes coordinators until the file has its final name.
    lock: Lock,
}

impl File {
    fn begin(place: &Path) -> Result<Self, Refused> {
        close(place)?;
        let lock = sqlite::lock(place)?;
        if std::fs::metadata(place).is_ok_and(|found| found.len() > 0) {
            return Err(Refused::NotEmpty { place: place.display().to_string() });
        }
        // SQLite would apply this log to any file with that name.
        let log = sqlite::beside(place, "-wal");
        if std::fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
            return Err(Refused::Log { path: log.display().to_string() });
        }
        Ok(Self { place: place.to_owned(), part: sqlite::beside(place, ".restoring"), lock })
    }

    async fn finish(self) -> Result<(), Refused> {
        // It contains the number of the last commit of the earlier store.
        let number = sqlite::beside(&self.place, ".acknowledged");
        match std::fs::remove_file(&number) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&number)(error)),
            Ok(()) | Err(_) => {}
        }
        std::fs::rename(&self.part, &self.place).map_err(io(&self.place))?;
        let folder = folder_of(&self.place);
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io(folder))?;
        drop(self.lock);
        // Opens it once, so that problems appear now.
        SqliteStore::open(&Options::new(&self.place)).await?.close().await;
        Ok(())
    }
}
