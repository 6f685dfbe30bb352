//! Checkpoints of this worker's trials: the local folders in which trainers write them, and copies in a shared store.
//! Their content is the trainer's; here they are files with names.
//!
//! ```text
//! <folder or store>/<trial id>/<round>/epoch-000012.checkpoint              after an epoch
//!                                     /epoch-000012-step-000345.checkpoint  in the middle of the next one
//! ```
//! No failure here fails a trial: without a checkpoint it starts at the first epoch.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::metrics::Metrics;
use crate::wire::Lease;

mod files;
mod store;

use store::Store;
pub(crate) use store::problem;

/// Checkpoints of a round that the shared store keeps.
const KEPT: usize = 2;

/// Larger files are not treated as checkpoints, in bytes.
const MAX_BYTES: u64 = 16 << 30;

/// Time limit for fetching the checkpoints of a trial's last attempt.
const FETCH_TIMEOUT: Duration = Duration::from_secs(300);

/// Time limit for removing a round's copies.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(60);

/// Local folders without changes for this long are removed when a worker starts.
const LOCAL_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// The position of a checkpoint: completed epochs, and steps of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    epochs: u32,
    steps: u32,
}

impl Position {
    /// Parses a file name; `None` if it is not the name of a checkpoint.
    fn of(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("epoch-")?.strip_suffix(".checkpoint")?;
        let (epochs, steps) = digits.split_once("-step-").unwrap_or((digits, "000000"));
        let number = |text: &str| {
            // Accepts one spelling of each number only: leading zeros could make a name too long to copy.
            text.parse().ok().filter(|number: &u32| format!("{number:06}") == text)
        };
        Some(Self { epochs: number(epochs)?, steps: number(steps)? })
    }
}

/// A checkpoint file in a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct CheckpointFile {
    position: Position,
    name: String,
    bytes: u64,
}

/// The newest `KEPT` checkpoints of a listing, newest first.
fn newest(mut found: Vec<CheckpointFile>) -> Vec<CheckpointFile> {
    found.sort();
    found.dedup_by(|one, other| one.position == other.position);
    found.reverse();
    found.truncate(KEPT);
    found
}

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Store(#[from] object_store::Error),
    #[error("a checkpoint in the store is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("no answer within {} s", .0.as_secs())]
    TooLong(Duration),
}

impl Error {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

/// The checkpoint settings of a worker, with its local folder and its shared store.
pub(crate) struct Checkpoints {
    /// The folder in which trainers write.
    local: PathBuf,
    /// The store that other workers share, if one is configured.
    store: Option<Store>,
    /// Epochs between two checkpoints; 0 disables them.
    pub(crate) every: u32,
    metrics: Arc<Metrics>,
}

impl Checkpoints {
    /// `store` is empty, a folder, or a URL. Removes old local folders.
    pub(crate) fn open(state_folder: &Path, store: &str, every: u32, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let local = state_folder.join("checkpoints");
        files::remove_old(&local, SystemTime::now(), LOCAL_RETENTION);
        let store = if store.is_empty() { None } else { Some(Store::open(store)?) };
        Ok(Self { local, store, every, metrics })
    }

    fn round(lease: &Lease) -> String {
        format!("{}/{}", lease.trial_id, lease.round)
    }

    /// The folder in which the trainer of an attempt writes checkpoints. It also contains those of earlier attempts of
    /// the round.
    pub(crate) fn folder(&self, lease: &Lease) -> Option<PathBuf> {
        (self.every > 0).then(|| self.local.join(Self::round(lease)))
    }

    fn said<T>(&self, operation: &'static str, lease: &Lease, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(done) => Some(done),
            Err(error) => {
                self.metrics.checkpoint_failures.with_label_values(&[operation]).inc();
                let (trial_id, reason) = (&lease.trial_id, error.to_string());
                tracing::warn!(trial_id = %trial_id, operation, reason, "cannot access the checkpoint store, training continues");
                None
            }
        }
    }

    /// Creates the folder of an attempt, and fetches the newest checkpoints of the round if the store has newer ones.
    pub(crate) async fn fetch(&self, lease: &Lease) -> io::Result<Option<PathBuf>> {
        let Some(folder) = self.folder(lease) else { return Ok(None) };
        tokio::fs::create_dir_all(&folder).await?;
        if let Some(store) = &self.store {
            let fetched = timeout(FETCH_TIMEOUT, fetch(store, &Self::round(lease), &folder)).await;
            let fetched = self.said("fetch", lease, fetched.unwrap_or(Err(Error::TooLong(FETCH_TIMEOUT))));
            if let Some(newest) = fetched.flatten() {
                let attempt = lease.attempt;
                tracing::info!(trial_id = %lease.trial_id, attempt, checkpoint = newest, "fetched a checkpoint");
            }
        }
        Ok(Some(folder))
    }

    /// Copies checkpoints to the store on every notification from `written`. If several arrive during a copy, only the
    /// newest is copied next.
    pub(crate) async fn keep_copying(&self, lease: &Lease, written: &Notify) -> std::convert::Infallible {
        loop {
            written.notified().await;
            if let (Some(store), Some(folder)) = (&self.store, self.folder(lease)) {
                let copied = copy(store, &Self::round(lease), &folder).await;
                self.copied(lease, copied);
            }
        }
    }

    /// Copies the remaining checkpoints after an attempt that ended without a result.
    pub(crate) async fn copy_last(&self, lease: &Lease, limit: Duration) {
        let (Some(store), Some(folder)) = (&self.store, self.folder(lease)) else { return };
        let copied = timeout(limit, copy(store, &Self::round(lease), &folder)).await;
        self.copied(lease, copied.unwrap_or(Err(Error::TooLong(limit))));
    }

    fn copied(&self, lease: &Lease, copied: Result<u64, Error>) {
        let count = self.said("copy", lease, copied).unwrap_or(0);
        self.metrics.checkpoints_copied.inc_by(count);
    }

    /// Removes the checkpoints of a round that has a result.
    pub(crate) async fn remove(&self, lease: Lease) {
        let round = Self::round(&lease);
        let folder = self.local.join(&round);
        let removed = tokio::task::spawn_blocking(move || files::remove_round(&folder)).await;
        self.said("remove", &lease, removed.unwrap_or_else(|error| Err(io::Error::other(error).into())));
        if let Some(store) = &self.store {
            let removed = timeout(REMOVE_TIMEOUT, store.remove_round(&round)).await;
            self.said("remove", &lease, removed.unwrap_or(Err(Error::TooLong(REMOVE_TIMEOUT))));
        }
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self::File { path: PathBuf::new(), source }
    }
}

/// Returns the newest checkpoint that was fetched, if the store had newer ones than the folder.
async fn fetch(store: &Store, round: &str, folder: &Path) -> Result<Option<String>, Error> {
    let there = newest(store.list(round).await?);
    let here = files::list(folder).await?;
    let newest_here = here.iter().map(|found| found.position).max();
    if there.first().is_none_or(|found| Some(found.position) <= newest_here) {
        return Ok(None);
    }
    // The newest is copied last, so that its predecessor is present when it appears.
    for found in there.iter().rev().filter(|found| here.iter().all(|known| known.position != found.position)) {
        store.get(round, &found.name, folder).await?;
    }
    Ok(there.into_iter().next().map(|found| found.name))
}

/// Copies the newest checkpoints that the store lacks, and removes all but the newest from the store. Returns how many
/// were copied.
async fn copy(store: &Store, round: &str, folder: &Path) -> Result<u64, Error> {
    let here = newest(files::list(folder).await?);
    let there = store.list(round).await?;
    let mut copied = 0;
    for found in here.iter().rev().filter(|found| there.iter().all(|known| known.position != found.position)) {
        match store.put(round, &found.name, folder).await {
            Ok(()) => copied += 1,
            // The trainer has removed it because newer ones exist; they are copied next.
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let all: Vec<CheckpointFile> = there.iter().chain(&here).cloned().collect();
    let kept = newest(all);
    for old in there.iter().filter(|found| kept.iter().all(|known| known.position != found.position)) {
        store.remove(round, &old.name).await?;
    }
    Ok(copied)
}

#[cfg(test)]
mod tests;
