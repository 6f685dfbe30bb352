//! Online backups. A backup is a consistent copy of the store, and the artifacts that this copy refers to. The copy is
//! a SQLite file for every kind of store. The coordinator makes it in a folder of its own, and the client reads it from
//! there piece by piece. While a backup is open, no artifact's file is removed. A backup from which no client has read
//! for an hour is closed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sweep_spec::Digest;
use sweep_store as store;
use sweep_store::artifacts::{Folder, Hold};
use sweep_store::codes::AuditAction;
use sweep_store::sqlite::copied::{self, Owners};
use sweep_store::write::{AuditRow, Commit};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::convert::Invalid;
use crate::engine::{Error, Handle, audit};
use crate::unix_ms;

/// After this time without a read, the coordinator assumes that the client is gone, and another client may begin a
/// backup.
const QUIET: Duration = Duration::from_secs(60);
/// A backup from which no client has read for this long is closed.
const IDLE: Duration = Duration::from_secs(3600);
/// Interval of the check for idle backups.
const LOOK: Duration = Duration::from_secs(30);
const CHUNK_BYTES: usize = 256 * 1024;
/// The longest name of a backup.
const MAX_NAME: usize = 64;
/// The name of the copy in the folder of a backup.
const STORE: &str = "store.db";

/// The progress of the copy.
#[derive(Debug, Clone)]
enum State {
    Copying,
    Failed(String),
    Ready(Copied),
}

/// The copy of the store.
#[derive(Debug, Clone)]
pub(crate) struct Copied {
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// The hash of its content.
    pub(crate) digest: Digest,
    /// The number of its newest migration.
    pub(crate) layout: i64,
    /// The number of artifacts that it refers to.
    pub(crate) artifacts: u64,
    /// The size of these artifacts in bytes.
    pub(crate) artifact_bytes: u64,
}

/// An open backup.
pub(crate) struct Backup {
    /// The name that the client chose.
    pub(crate) id: String,
    /// When it began. It includes everything that was acknowledged before.
    pub(crate) created_ms: i64,
    folder: PathBuf,
    state: watch::Receiver<State>,
    used: Mutex<Instant>,
    /// Keeps the files of artifacts until the backup is closed.
    hold: Mutex<Option<Hold>>,
}

/// Makes backups, one at a time.
pub(crate) struct Backups {
    engine: Handle,
    artifacts: Folder,
    current: Mutex<Option<Arc<Backup>>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Backups {
    /// Backups of this engine's store.
    pub(crate) fn new(engine: Handle, artifacts: Folder, tasks: TaskTracker, shutdown: CancellationToken) -> Arc<Self> {
        Arc::new(Self { engine, artifacts, current: Mutex::default(), tasks, shutdown })
    }

    /// Begins a backup with this name, or returns the open one of that name. The client chooses the name, so it can
    /// repeat a request whose response was lost.
    ///
    /// # Errors
    /// The name is invalid, or a client is reading another backup.
    pub(crate) fn begin(self: &Arc<Self>, id: &str, actor: &str) -> Result<Arc<Backup>, Error> {
        if let Ok(open) = self.find(id) {
            return Ok(open);
        }
        // The name is also the name of a folder.
        let sound = (1..=MAX_NAME).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !sound {
            let problem = format!("expected 1 to {MAX_NAME} letters and digits");
            return Err(Invalid { field: "backup", problem }.into());
        }
        let (sender, state) = watch::channel(State::Copying);
        let id = id.to_owned();
        let backup = Arc::new(Backup {
            folder: self.artifacts.spool().join(&id),
            id,
            created_ms: unix_ms(),
            state,
            used: Mutex::new(Instant::now()),
            hold: Mutex::new(Some(self.artifacts.hold())),
        });
        let before = self.replace(&backup)?;
        let row = audit(actor, AuditAction::BackedUp);
        let commit = Commit { audit: vec![AuditRow { detail: backup.id.clone(), ..row }], ..Commit::default() };
        // From here on the copy continues even if the client disconnects: its next request finds this backup.
        let (backups, made) = (Arc::clone(self), Arc::clone(&backup));
        self.tasks.spawn(async move {
            if let Some(before) = before {
                before.close().await;
            }
            tokio::select! {
                () = backups.shutdown.cancelled() => {}
                () = backups.make(&made, &commit, &sender) => {}
            }
            backups.close_when_idle(&made).await;
        });
        Ok(backup)
    }

    /// Makes this the open backup. It replaces one that no client reads any more, and returns that one.
    fn replace(&self, backup: &Arc<Backup>) -> Result<Option<Arc<Backup>>, Error> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|before| before.idle() < QUIET) {
            return Err(Error::TooMany { what: "another backup is running: try again when it has ended".into() });
        }
        Ok(current.replace(Arc::clone(backup)))
    }

    /// The open backup with this name.
    ///
    /// # Errors
    /// The backup is closed or never existed.
    pub(crate) fn find(&self, id: &str) -> Result<Arc<Backup>, Error> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let found = current.as_ref().filter(|backup| backup.id == id).cloned();
        let found = found.ok_or_else(|| Error::not_found(format!("backup `{id}` that is open")))?;
        found.touch();
        Ok(found)
    }

    /// Closes a backup. A backup that is closed already is not an error.
    pub(crate) async fn end(&self, id: &str) -> Result<(), Error> {
        let ended = {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if current.as_ref().is_none_or(|backup| backup.id != id) { None } else { current.take() }
        };
        let Some(ended) = ended else { return Ok(()) };
        ended.close().await;
        // Remove the files that the open backup kept.
        self.engine.remove_files().await
    }

    async fn make(&self, backup: &Backup, begun: &Commit, state: &watch::Sender<State>) {
        let since = Instant::now();
        let now = match self.copy(backup, begun).await {
            Ok(copied) => {
                let took = since.elapsed().as_millis();
                info!(backup = backup.id, bytes = copied.bytes, ms = took, "a backup has its copy of the store");
                State::Ready(copied)
            }
            Err(error) => {
                let why = crate::chain(&error);
                warn!(backup = backup.id, error = why, "a backup could not copy the store");
                State::Failed(why)
            }
        };
        state.send_replace(now);
    }

    /// Records the begin of the backup in the audit log, and copies the store.
    async fn copy(&self, backup: &Backup, begun: &Commit) -> Result<Copied, store::Error> {
        self.engine.store().commit(begun).await?;
        let unusable = |source| store::Error::Io { path: backup.folder.display().to_string(), source };
        tokio::fs::create_dir_all(&backup.folder).await.map_err(unusable)?;
        let path = backup.store();
        self.engine.store().snapshot(&path).await?;
        weigh(&path).await
    }

    async fn close_when_idle(&self, backup: &Backup) {
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return backup.close().await,
                () = tokio::time::sleep(LOOK) => {}
            }
            let open = self.current.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|open| open.id.clone());
            if open.as_deref() != Some(&backup.id) {
                return;
            }
            if backup.idle() > IDLE {
                warn!(
                    backup = backup.id,
                    "the coordinator closed this backup, because no client has read it for an hour"
                );
                if let Err(error) = self.end(&backup.id).await {
                    warn!(error = %crate::chain(&error), "files of artifacts cannot be removed now");
                }
                return;
            }
        }
    }
}

impl Backup {
    fn store(&self) -> PathBuf {
        self.folder.join(STORE)
    }

    /// Closes the backup. A client that still reads gets an error for the next file.
    async fn close(&self) {
        drop(self.hold.lock().unwrap_or_else(PoisonError::into_inner).take());
        remove(&self.folder).await;
    }

    fn idle(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// The copy of the store, if it is complete within that time.
    ///
    /// # Errors
    /// The copy failed.
    pub(crate) async fn copied(&self, within: Duration) -> Result<Option<Copied>, Error> {
        let mut state = self.state.clone();
        let waited = tokio::time::timeout(within, state.wait_for(|state| !matches!(state, State::Copying))).await;
        match waited {
            Err(_) => Ok(None),
            Ok(Err(_)) => Err(Error::Unavailable),
            Ok(Ok(state)) => match &*state {
                State::Copying => Ok(None),
                State::Ready(copied) => Ok(Some(copied.clone())),
                State::Failed(why) => Err(Error::Troubled { why: format!("cannot copy the store: {why}") }),
            },
        }
    }

    /// A page of the artifacts that the copy refers to, in the order of their digests.
    ///
    /// # Errors
    /// The copy cannot be read.
    pub(crate) async fn artifacts(&self, after: Option<Digest>, limit: u32) -> Result<Vec<(Digest, u64)>, Error> {
        self.touch();
        Ok(copied::contents(&self.store(), after, limit).await?)
    }

    /// The owners of the artifacts with this content.
    ///
    /// # Errors
    /// The copy cannot be read.
    pub(crate) async fn owners(&self, content: Digest) -> Result<Owners, Error> {
        Ok(copied::owners(&self.store(), content).await?)
    }

    /// Opens the copy of the store or an artifact, for reading from an offset.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) async fn open(
        self: Arc<Self>,
        (artifacts, content): (&Folder, Option<Digest>),
        offset: u64,
    ) -> Result<Reading, Stopped> {
        let mut file = match content {
            Some(digest) => artifacts.read(digest).await.map_err(|error| Stopped::Lost(lost(&error)))?,
            None => tokio::fs::File::open(self.store()).await.map_err(|error| stopped(content, error))?,
        };
        file.seek(std::io::SeekFrom::Start(offset)).await.map_err(|error| stopped(content, error))?;
        let hasher = (offset == 0).then(blake3::Hasher::new);
        Ok(Reading { backup: self, file, content, hasher })
    }
}

/// A file of a backup that a client reads.
pub(crate) struct Reading {
    backup: Arc<Backup>,
    file: tokio::fs::File,
    /// The digest of the artifact; `None` for the copy of the store.
    content: Option<Digest>,
    /// Hashes the file if it is read from its start.
    hasher: Option<blake3::Hasher>,
}

/// Why a file was not read to its end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The content of this artifact cannot be read, for this reason. The rest of the backup can.
    Lost(String),
    /// Any other failure.
    Failed(Error),
}

impl Reading {
    /// The next piece; empty at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read, or an artifact's content does not match its hash.
    pub(crate) async fn next(&mut self) -> Result<Vec<u8>, Stopped> {
        self.backup.touch();
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = self.file.read(&mut chunk).await.map_err(|error| stopped(self.content, error))?;
        chunk.truncate(read);
        let (Some(content), Some(hasher)) = (self.content, &mut self.hasher) else { return Ok(chunk) };
        hasher.update(&chunk);
        if chunk.is_empty() && hasher.finalize().as_bytes() != content.as_bytes() {
            return Err(Stopped::Lost("its file is damaged: the content does not match the name".to_owned()));
        }
        Ok(chunk)
    }
}

fn stopped(content: Option<Digest>, error: std::io::Error) -> Stopped {
    match content {
        Some(_) => Stopped::Lost(unreadable(&error)),
        None => Stopped::Failed(Error::Internal(format!("a backup's copy of the store cannot be read: {error}"))),
    }
}

fn lost(error: &store::Error) -> String {
    match error {
        store::Error::Io { source, .. } => unreadable(source),
        other => crate::chain(other),
    }
}

/// The error without the path, because the file's name is the hash of its content.
fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "its file is missing".to_owned(),
        _ => format!("its file cannot be read: {error}"),
    }
}

async fn weigh(path: &Path) -> Result<Copied, store::Error> {
    let (bytes, digest) = hash(path).await?;
    let (layout, artifacts, artifact_bytes) = copied::weigh(path).await?;
    Ok(Copied { bytes, digest, layout, artifacts, artifact_bytes })
}

/// The length and the hash of a file.
pub(crate) async fn hash(path: &Path) -> Result<(u64, Digest), store::Error> {
    let io = |source| store::Error::Io { path: path.display().to_string(), source };
    let mut file = tokio::fs::File::open(path).await.map_err(io)?;
    let (mut hasher, mut buffer, mut bytes) = (blake3::Hasher::new(), vec![0; CHUNK_BYTES], 0);
    loop {
        let read = file.read(&mut buffer).await.map_err(io)?;
        if read == 0 {
            let digest = Digest::try_from(hasher.finalize().as_bytes().as_slice());
            return Ok((bytes, digest.map_err(|error| store::Error::damaged(error.to_string()))?));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
}

/// Removes the copies of the store that an earlier coordinator left.
pub(crate) async fn clear(artifacts: &Folder) {
    remove(&artifacts.spool()).await;
}

async fn remove(folder: &Path) {
    if let Err(error) = tokio::fs::remove_dir_all(folder).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        warn!(path = %folder.display(), %error, "a backup's copy of the store cannot be removed");
    }
}
