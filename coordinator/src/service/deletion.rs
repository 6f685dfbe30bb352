//! Deletes sweeps, and data that no sweep refers to.

use std::time::Duration;

use sweep_proto::v1;
use sweep_scheduler::SweepId;
use sweep_store::codes::SweepState;
use sweep_store::deletions::{Deletion, Gone};
use sweep_store::record::SweepRecord;

use super::Sweeps;
use super::operations::user;
use super::requests::reference;
use crate::access::Caller;
use crate::engine::{Collected, Error, FilesLeft, Garbage};

/// Timeout for a deletion. After it the answer reports how far the deletion is.
const DELETE_TIMEOUT: Duration = Duration::from_secs(20);

/// The note on a store that returned no space to the file system.
const SPACE_KEPT: &str = "the store keeps the space of removed rows for later rows";

impl Sweeps {
    /// Deletes a sweep, lists what would be deleted, or reports how far an earlier deletion is.
    pub(crate) async fn delete(
        &self,
        request: v1::DeleteSweepRequest,
        caller: Option<&Caller>,
    ) -> Result<v1::DeleteSweepResponse, Error> {
        let text = reference(request.sweep)?;
        let user = user(request.user)?;
        let store = self.engine.store();
        if let Ok(number) = text.parse()
            && let Some(deletion) = store.deletion(SweepId(number)).await?
        {
            may_delete(caller, SweepId(number), &deletion.submitter)?;
            return self.deleted(SweepId(number)).await;
        }
        let record = self.deletable(&text, caller).await?;
        let id = record.id;
        if request.dry_run {
            let gone = store.weigh(id).await?;
            let runs = matches!(record.state, SweepState::Preparing | SweepState::Running);
            let refused = runs.then(|| Error::StillRuns { sweep: id }.to_string());
            let notes = refused.into_iter().chain(self.files_would_stay(gone.artifacts)).collect();
            return Ok(v1::DeleteSweepResponse { deletion: Some(message(id, record.name, gone)), notes });
        }
        self.engine.delete(id, &user).await?;
        self.deleted(id).await
    }

    /// The record of a sweep that the caller may delete.
    ///
    /// # Errors
    /// There is no such sweep, or it belongs to another user.
    pub(crate) async fn deletable(&self, text: &str, caller: Option<&Caller>) -> Result<SweepRecord, Error> {
        let id = self.engine.find(text).await?;
        let record = self.engine.store().sweep(id).await?;
        let record = record.ok_or_else(|| Error::not_found(format!("sweep `{text}`")))?;
        may_delete(caller, id, &record.submitter)?;
        Ok(record)
    }

    async fn deleted(&self, id: SweepId) -> Result<v1::DeleteSweepResponse, Error> {
        let Deletion { sweep, name, actor, asked_ms, finished_ms, gone, store_bytes, .. } =
            self.engine.deleted(id, DELETE_TIMEOUT).await?;
        let deletion = v1::Deletion {
            actor,
            asked_unix_ms: asked_ms,
            finished_unix_ms: finished_ms,
            store_bytes,
            ..message(sweep, name, gone)
        };
        let mut notes = Vec::new();
        if finished_ms > 0 {
            notes.extend(self.files_left().await?);
            notes.extend((store_bytes == 0).then(|| SPACE_KEPT.to_owned()));
        }
        Ok(v1::DeleteSweepResponse { deletion: Some(deletion), notes })
    }

    /// The note of a dry run on an open backup, which keeps the files of removed artifacts.
    fn files_would_stay(&self, artifacts: u64) -> Option<String> {
        let held = artifacts > 0 && self.engine.is_backed_up();
        held.then(|| "a backup is open: files of removed artifacts would be removed when it ends".to_owned())
    }

    /// A note on files that were deleted from the store and still exist.
    async fn files_left(&self) -> Result<Option<String>, Error> {
        let FilesLeft { count, held } = self.engine.files_left().await?;
        let files = match count {
            0 => return Ok(None),
            1 => "1 file of a removed artifact".to_owned(),
            count => format!("{count} files of removed artifacts"),
        };
        Ok(Some(match held {
            true => format!("a backup is open: {files} will be removed when it ends"),
            false => format!("not removed yet: {files}; if this persists, see the coordinator's log"),
        }))
    }

    /// Deletes data that no sweep refers to.
    pub(crate) async fn collect(
        &self,
        request: v1::CollectGarbageRequest,
    ) -> Result<v1::CollectGarbageResponse, Error> {
        let user = user(request.user)?;
        let older_than = Duration::from_millis(request.older_than_ms);
        let Collected { found, store_bytes, reusable } =
            self.engine.collect(request.dry_run, older_than, &user).await?;
        let mut notes = Vec::new();
        if request.dry_run {
            // Trials may have artifacts, and thumbnails are artifacts.
            let may_have_files = |row: &&Garbage| ["trials", "thumbnails"].contains(&row.kind);
            let rows = found.iter().filter(may_have_files).map(|row| row.count).sum();
            notes.extend(self.files_would_stay(rows));
        } else {
            notes.extend(self.files_left().await?);
            match reusable {
                Some(0) => {}
                Some(bytes) => notes.push(format!(
                    "{bytes} bytes inside the store's file are free for later rows; `sweepctl store compact FILE` \
                    returns them to the file system while no coordinator uses the store"
                )),
                None => notes.push(SPACE_KEPT.to_owned()),
            }
        }
        let row = |row: Garbage| v1::Garbage { kind: row.kind.to_owned(), count: row.count, bytes: row.bytes };
        Ok(v1::CollectGarbageResponse { found: found.into_iter().map(row).collect(), store_bytes, notes })
    }
}

/// Checks that the caller may delete a sweep of this submitter. If no token is required, every caller may.
fn may_delete(caller: Option<&Caller>, sweep: SweepId, submitter: &str) -> Result<(), Error> {
    match caller {
        Some(caller) if !caller.may_delete(submitter) => {
            Err(Error::NotYours { sweep, submitter: submitter.to_owned() })
        }
        Some(_) | None => Ok(()),
    }
}

fn message(sweep: SweepId, name: String, gone: Gone) -> v1::Deletion {
    v1::Deletion {
        sweep: sweep.0,
        name,
        trials: gone.trials,
        kept: gone.kept,
        artifacts: gone.artifacts,
        artifact_bytes: gone.artifact_bytes,
        ..v1::Deletion::default()
    }
}
