//! Deletes sweeps and unreferenced data. The owner task records a deletion; a background task then removes the data of the sweep
//! in pieces, and continues after a restart.

use std::collections::HashSet;
use std::time::Duration;

use sweep_scheduler::SweepId;
use sweep_spec::Digest;
use sweep_store::artifacts::strays::Found;
use sweep_store::codes::{AuditAction, SweepState};
use sweep_store::deletions::{Deletion, Gone, PIECE, Step, Strays};
use sweep_store::write::{AuditRow, Commit};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::engine::audit::audit;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::command::Command;
use crate::unix_ms;

/// Delay before the next attempt to remove data: by then a worker may have stopped its trial, or the store may answer
/// again.
const AGAIN: Duration = Duration::from_secs(5);
/// Files that changed within this time are kept, because they may belong to an upload.
const QUIET: Duration = Duration::from_secs(3600);
/// The most unreferenced trials of one collection.
const MOST_ORPHANS: u32 = 1_000_000;

/// Unreferenced data of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbage {
    /// `trials`, `settings`, `thumbnails`, `files` or `uploads`.
    pub kind: &'static str,
    /// The number of items.
    pub count: u64,
    /// Their size in bytes; 0 for trials and settings, which are rows.
    pub bytes: u64,
}

/// The result of a garbage collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The data that was found, by kind.
    pub found: Vec<Garbage>,
    /// Bytes that the store gave back to the file system.
    pub store_bytes: u64,
    /// Bytes inside the store that later rows can use; `None` if the database does not report it.
    pub reusable: Option<u64>,
}

/// Removes the data of deleted sweeps, until the token is cancelled.
pub(in crate::engine) async fn run(handle: Handle, shutdown: CancellationToken) {
    let mut ready = handle.ready();
    tokio::select! {
        () = shutdown.cancelled() => return,
        ready = ready.wait_for(|ready| *ready) => if ready.is_err() { return },
    }
    loop {
        let waits = tokio::select! {
            () = shutdown.cancelled() => return,
            waits = handle.remove_deleted() => waits,
        };
        let again = async { if waits { tokio::time::sleep(AGAIN).await } else { std::future::pending().await } };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = handle.deleting.due.notified() => {}
            () = again => {}
        }
    }
}

impl Handle {
    /// Deletes a sweep that has ended. From the answer on, no query finds it. Data that only it referred to is removed
    /// in pieces.
    ///
    /// # Errors
    /// There is no such sweep, it has not ended, or the commit failed.
    pub async fn delete(&self, sweep: SweepId, actor: &str) -> Result<(), Error> {
        let (handle, actor) = (self.clone(), actor.to_owned());
        to_its_end(async move { handle.begin_deletion(sweep, &actor).await }).await
    }

    async fn begin_deletion(&self, sweep: SweepId, actor: &str) -> Result<(), Error> {
        // With this lock, no stage of it is prepared and no sweep extends it.
        let one = self.expansions.lock().await;
        let record = self.store.sweep(sweep).await?.ok_or_else(|| Error::not_found(format!("sweep {sweep}")))?;
        if matches!(record.state, SweepState::Preparing | SweepState::Running) {
            return Err(Error::StillRuns { sweep });
        }
        let detail = format!("{}, submitted by {}", record.name, record.submitter);
        let row = AuditRow { sweep: Some(sweep), detail, ..audit(actor, AuditAction::Deleted) };
        self.ask(|reply| Command::Delete(sweep, Box::new(row), reply)).await?;
        drop(one);
        self.forget(sweep);
        self.deleting.due.notify_one();
        Ok(())
    }

    /// The progress of a deletion; waits for its end at most this long.
    ///
    /// # Errors
    /// The store failed, or the sweep was never deleted.
    pub async fn deleted(&self, sweep: SweepId, wait: Duration) -> Result<Deletion, Error> {
        let until = tokio::time::Instant::now() + wait;
        let mut progress = self.deleting.progress.subscribe();
        loop {
            progress.mark_unchanged();
            let found = self.store.deletion(sweep).await?;
            let found = found.ok_or_else(|| Error::not_found(format!("sweep {sweep}")))?;
            if found.finished_ms > 0 || !matches!(tokio::time::timeout_at(until, progress.changed()).await, Ok(Ok(())))
            {
                return Ok(found);
            }
        }
    }

    /// Removes the data of deleted sweeps. Returns whether some of it has to wait.
    async fn remove_deleted(&self) -> bool {
        let due = match self.store.unfinished_deletions().await {
            Ok(due) => due,
            Err(error) => {
                warn!(error = %crate::chain(&error), "cannot read which sweeps were deleted");
                return true;
            }
        };
        let mut waits = false;
        for sweep in due {
            match self.remove_rest(sweep).await {
                Ok(true) => info!(sweep_id = %sweep, "a deleted sweep is completely removed"),
                Ok(false) => waits = true,
                Err(error) => {
                    warn!(sweep_id = %sweep, error = %crate::chain(&error), "a deletion continues later");
                    waits = true;
                }
            }
            self.deleting.progress.send_modify(|count| *count += 1);
        }
        waits
    }

    /// Removes the data of one deleted sweep. Returns false while workers still run trials of it.
    async fn remove_rest(&self, sweep: SweepId) -> Result<bool, Error> {
        loop {
            let trials = self.store.next_to_go(sweep).await?;
            if !trials.is_empty() {
                // A concurrent submission must not reuse what it has read about these trials.
                let forget = trials.clone();
                self.ask(|reply| Command::Forget(forget, reply)).await?;
            }
            match self.store.delete_piece(sweep, &trials).await? {
                Step::More => {}
                Step::Waits => return Ok(false),
                Step::Nothing => break,
            }
        }
        self.remove_files().await?;
        let room = self.store.shrink().await?;
        self.store.finish_deletion(sweep, unix_ms(), room.returned).await?;
        Ok(true)
    }

    /// Finds unreferenced data, and removes it unless `dry_run`.
    ///
    /// # Errors
    /// The store or the folder of artifacts failed.
    pub async fn collect(&self, dry_run: bool, older_than: Duration, actor: &str) -> Result<Collected, Error> {
        let older_ms = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
        let before_ms = unix_ms().saturating_sub(older_ms);
        let mut found = Vec::new();
        if dry_run {
            self.collect_all(true, before_ms, &mut found).await?;
            return Ok(Collected { found, store_bytes: 0, reusable: None });
        }
        let (handle, actor) = (self.clone(), actor.to_owned());
        to_its_end(async move {
            let collected = handle.collect_all(false, before_ms, &mut found).await;
            // The audit log gets a row even after a failure, because some data was removed.
            let words: Vec<String> = found.iter().map(|row| format!("{} {}", row.count, row.kind)).collect();
            let row = AuditRow { detail: words.join(", "), ..audit(&actor, AuditAction::Collected) };
            handle.store.commit(&Commit { audit: vec![row], ..Commit::default() }).await?;
            collected?;
            let room = handle.store.shrink().await?;
            Ok(Collected { found, store_bytes: room.returned, reusable: room.reusable })
        })
        .await
    }

    async fn collect_all(&self, dry_run: bool, before_ms: i64, found: &mut Vec<Garbage>) -> Result<(), Error> {
        if dry_run {
            let Strays { trials, settings, thumbnails, thumbnail_bytes } =
                self.store.strays(before_ms, MOST_ORPHANS).await?;
            found.push(Garbage { kind: "trials", count: trials, bytes: 0 });
            found.push(Garbage { kind: "settings", count: settings, bytes: 0 });
            found.push(Garbage { kind: "thumbnails", count: thumbnails, bytes: thumbnail_bytes });
        } else {
            found.push(self.collect_trials(before_ms).await?);
            // A removed trial may have been the last one with its settings.
            let settings = self.store.delete_settings().await?;
            found.push(Garbage { kind: "settings", count: settings, bytes: 0 });
            found.push(self.collect_thumbnails().await?);
            self.remove_files().await?;
        }
        found.extend(self.collect_files(dry_run).await?);
        Ok(())
    }

    async fn collect_trials(&self, before_ms: i64) -> Result<Garbage, Error> {
        let trials = self.store.orphans(before_ms, MOST_ORPHANS).await?;
        let mut gone = Gone::default();
        for piece in trials.chunks(PIECE as usize) {
            let forget = piece.to_vec();
            self.ask(|reply| Command::Forget(forget, reply)).await?;
            gone.add(self.store.delete_orphans(piece).await?);
        }
        Ok(Garbage { kind: "trials", count: gone.trials, bytes: 0 })
    }

    async fn collect_thumbnails(&self) -> Result<Garbage, Error> {
        let found = self.store.stray_thumbnails().await?;
        let digests: Vec<_> = found.iter().map(|(digest, _)| *digest).collect();
        let gone = self.store.forget_thumbnails(&digests).await?;
        Ok(Garbage { kind: "thumbnails", count: gone.artifacts, bytes: gone.artifact_bytes })
    }

    /// Files that no artifact has, and uploads that were never completed.
    async fn collect_files(&self, dry_run: bool) -> Result<[Garbage; 2], Error> {
        let mut files = Garbage { kind: "files", count: 0, bytes: 0 };
        let mut uploads = Garbage { kind: "uploads", count: 0, bytes: 0 };
        for part in self.artifacts.parts().await? {
            let found = self.artifacts.files(&part, QUIET).await?;
            let digests: Vec<Digest> = found.iter().filter_map(|file| file.digest).collect();
            let known: HashSet<Digest> = self.store.known_contents(&digests).await?.into_iter().collect();
            for file in found.iter().filter(|file| file.digest.is_none_or(|digest| !known.contains(&digest))) {
                if !dry_run && !self.remove_stray(file).await? {
                    continue;
                }
                let row = if file.digest.is_some() { &mut files } else { &mut uploads };
                row.count += 1;
                row.bytes += file.bytes;
            }
        }
        Ok([files, uploads])
    }

    /// Removes an unreferenced file. Returns false if it is referenced again.
    async fn remove_stray(&self, file: &Found) -> Result<bool, Error> {
        let Some(digest) = file.digest else {
            self.artifacts.remove_upload(file).await?;
            return Ok(true);
        };
        let _alone = self.artifacts.removing().await;
        // The content may have been uploaded again, and a backup that began since may refer to it.
        if !self.store.known_contents(&[digest]).await?.is_empty() {
            return Ok(false);
        }
        self.artifacts.remove(digest).await?;
        Ok(true)
    }
}

/// Completes `work` even if the client disconnects.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
}
