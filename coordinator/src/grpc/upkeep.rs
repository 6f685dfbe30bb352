//! The service that keeps a store in order, and what deletes sweeps.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use sweep_proto::v1;
use sweep_proto::v1::store_service_server::StoreService;
use sweep_scheduler::SweepId;
use sweep_spec::{Digest, TrialId};
use sweep_store::artifacts::Folder;
use sweep_store::deletions::{Deletion, Gone};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use tracing::warn;

use super::status;
use super::sweep::Sweeps;
use super::sweep_questions::reference;
use crate::access::Caller;
use crate::access::grpc::named;
use crate::backup::{Backup, Backups, Stopped};
use crate::convert::{self, MAX_NAME_BYTES, bytes};
use crate::engine::{Collected, Error, FilesLeft, Garbage, Handle};

/// How long the end of a deletion is waited for before it is said how far it is.
const DELETED_WITHIN: Duration = Duration::from_secs(20);

/// How long the copy of a backup is waited for before it is said that it is not there yet.
const COPIED_WITHIN: Duration = Duration::from_secs(20);
/// Artifacts of one page.
const BACKUP_PAGE: u32 = 10_000;
/// Pieces that wait for a slow reader.
const STREAM_QUEUE: usize = 4;

/// Answers admins about the store.
#[derive(Clone)]
pub(crate) struct Upkeep {
    people: Sweeps,
    artifacts: Folder,
    backups: Arc<Backups>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Upkeep {
    /// Beside the service that answers people. Streams are run on `tasks` and end with `shutdown`.
    pub(crate) fn new(
        people: Sweeps,
        (engine, artifacts): (Handle, Folder),
        (tasks, shutdown): (TaskTracker, CancellationToken),
    ) -> Self {
        let backups = Backups::new(engine, artifacts.clone(), tasks.clone(), shutdown.clone());
        Self { people, artifacts, backups, tasks, shutdown }
    }

    async fn begin(&self, request: v1::BeginBackupRequest) -> Result<v1::BeginBackupResponse, Error> {
        let user = convert::name("user", request.user, MAX_NAME_BYTES)?;
        let backup = self.backups.begin(&request.backup, &user)?;
        let copied = backup.copied(COPIED_WITHIN).await;
        if copied.is_err() {
            self.backups.end(&backup.id).await?;
        }
        let begun = v1::BeginBackupResponse {
            backup: backup.id.clone(),
            created_unix_ms: backup.created_ms,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..v1::BeginBackupResponse::default()
        };
        Ok(match copied? {
            None => begun,
            Some(copied) => v1::BeginBackupResponse {
                ready: true,
                store_bytes: copied.bytes,
                store_digest: bytes(copied.digest.as_bytes()),
                layout: copied.layout,
                artifacts: copied.artifacts,
                artifact_bytes: copied.artifact_bytes,
                ..begun
            },
        })
    }

    async fn list(&self, request: v1::ListBackupRequest) -> Result<v1::ListBackupResponse, Error> {
        let backup = self.backups.find(&request.backup)?;
        let contents = backup.artifacts(digest_or_none("after", &request.after)?, BACKUP_PAGE).await?;
        let content =
            |(digest, size_bytes): (Digest, u64)| v1::BackupContent { digest: bytes(digest.as_bytes()), size_bytes };
        Ok(v1::ListBackupResponse { contents: contents.into_iter().map(content).collect() })
    }

    fn read(&self, request: v1::ReadBackupRequest) -> Result<Pieces, Error> {
        let backup = self.backups.find(&request.backup)?;
        let content = digest_or_none("digest", &request.digest)?;
        let (answers, stream) = mpsc::channel(STREAM_QUEUE);
        let (service, offset) = (self.clone(), request.offset);
        self.tasks.spawn(async move {
            let done = tokio::select! {
                () = service.shutdown.cancelled() => Err(Error::Unavailable),
                done = service.send(backup, (content, offset), &answers) => done,
            };
            if let Err(error) = done {
                let _ = answers.send(Err(status(error))).await;
            }
        });
        Ok(Box::pin(ReceiverStream::new(stream)))
    }

    async fn send(&self, backup: Arc<Backup>, wanted: (Option<Digest>, u64), answers: &Answers) -> Result<(), Error> {
        let reason = match self.send_pieces(&backup, wanted, answers).await {
            Ok(()) => return Ok(()),
            Err(Stopped::Failed(error)) => return Err(error),
            Err(Stopped::Lost(reason)) => reason,
        };
        let Some(digest) = wanted.0 else { return Err(Error::Internal(reason)) };
        warn!(%digest, reason, "an artifact cannot be backed up");
        let owners = backup.owners(digest).await?;
        let owner = |(kind, trial, sweep): (i32, Option<TrialId>, Option<u64>)| v1::ContentOwner {
            kind,
            trial_id: trial.map(|trial| bytes(trial.as_bytes())).unwrap_or_default(),
            sweep: sweep.unwrap_or(0),
        };
        let owner_count = owners.count;
        let owners = owners.some.into_iter().map(owner).collect();
        let lost = Some(v1::LostContent { reason, owners, owner_count });
        // A client that has gone hears nothing more.
        let _ = answers.send(Ok(v1::ReadBackupResponse { lost, ..v1::ReadBackupResponse::default() })).await;
        Ok(())
    }

    async fn send_pieces(
        &self,
        backup: &Arc<Backup>,
        (content, offset): (Option<Digest>, u64),
        answers: &Answers,
    ) -> Result<(), Stopped> {
        let mut reading = Arc::clone(backup).open((&self.artifacts, content), offset).await?;
        loop {
            let chunk = reading.next().await?;
            let is_last = chunk.is_empty();
            let answer = v1::ReadBackupResponse { chunk: chunk.into(), lost: None };
            // At the end, or when the client has gone.
            if is_last || answers.send(Ok(answer)).await.is_err() {
                return Ok(());
            }
        }
    }
}

type Answers = mpsc::Sender<Result<v1::ReadBackupResponse, Status>>;

type Pieces = Pin<Box<dyn Stream<Item = Result<v1::ReadBackupResponse, Status>> + Send>>;

/// A digest; nothing where none was said.
fn digest_or_none(field: &'static str, said: &[u8]) -> Result<Option<Digest>, Error> {
    if said.is_empty() { Ok(None) } else { Ok(Some(convert::digest(field, said)?)) }
}

impl Sweeps {
    /// Deletes a sweep, or says what would go, or how far a deletion is.
    pub(crate) async fn delete(
        &self,
        request: v1::DeleteSweepRequest,
        caller: Option<&Caller>,
    ) -> Result<v1::DeleteSweepResponse, Error> {
        let text = reference(request.sweep)?;
        let user = convert::name("user", request.user, MAX_NAME_BYTES)?;
        let store = self.engine.store();
        if let Ok(number) = text.parse()
            && let Some(deletion) = store.deletion(SweepId(number)).await?
        {
            may_delete(caller, SweepId(number), &deletion.submitter)?;
            return self.deleted(SweepId(number)).await;
        }
        let id = self.engine.find(&text).await?;
        let record = store.sweep(id).await?.ok_or_else(|| Error::not_found(format!("sweep `{text}`")))?;
        may_delete(caller, id, &record.submitter)?;
        if request.dry_run {
            let deletion = message(id, record.name, store.weigh(id).await?);
            return Ok(v1::DeleteSweepResponse { deletion: Some(deletion), notes: Vec::new() });
        }
        self.engine.delete(id, &user).await?;
        self.deleted(id).await
    }

    async fn deleted(&self, id: SweepId) -> Result<v1::DeleteSweepResponse, Error> {
        let Deletion { sweep, name, actor, asked_ms, finished_ms, gone, store_bytes, .. } =
            self.engine.deleted(id, DELETED_WITHIN).await?;
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
            notes.extend((store_bytes == 0).then(|| ROOM.to_owned()));
        }
        Ok(v1::DeleteSweepResponse { deletion: Some(deletion), notes })
    }

    /// Files that should be gone and are not, in a sentence.
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

    /// Removes what nothing refers to.
    pub(crate) async fn collect(
        &self,
        request: v1::CollectGarbageRequest,
    ) -> Result<v1::CollectGarbageResponse, Error> {
        let user = convert::name("user", request.user, MAX_NAME_BYTES)?;
        let older_than = Duration::from_millis(request.older_than_ms);
        let Collected { found, store_bytes, reusable } =
            self.engine.collect(request.dry_run, older_than, &user).await?;
        let mut notes = Vec::new();
        if !request.dry_run {
            notes.extend(self.files_left().await?);
            match reusable {
                Some(0) => {}
                Some(bytes) => notes.push(format!(
                    "{bytes} bytes inside the store's file are free for later rows; `sweepctl store compact FILE` \
                    returns them to the file system while no coordinator uses the store"
                )),
                None => notes.push(ROOM.to_owned()),
            }
        }
        let row = |row: Garbage| v1::Garbage { kind: row.kind.to_owned(), count: row.count, bytes: row.bytes };
        Ok(v1::CollectGarbageResponse { found: found.into_iter().map(row).collect(), store_bytes, notes })
    }
}

/// Where nothing went back to the file system.
const ROOM: &str = "the store keeps the space of removed rows for later rows";

/// Whether this caller may delete a sweep of this submitter. Without tokens every caller may.
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

#[tonic::async_trait]
impl StoreService for Upkeep {
    type ReadBackupStream = Pieces;

    async fn begin_backup(
        &self,
        request: Request<v1::BeginBackupRequest>,
    ) -> Result<Response<v1::BeginBackupResponse>, Status> {
        self.begin(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn list_backup(
        &self,
        request: Request<v1::ListBackupRequest>,
    ) -> Result<Response<v1::ListBackupResponse>, Status> {
        self.list(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn read_backup(
        &self,
        request: Request<v1::ReadBackupRequest>,
    ) -> Result<Response<Self::ReadBackupStream>, Status> {
        self.read(request.into_inner()).map(Response::new).map_err(status)
    }

    async fn end_backup(
        &self,
        request: Request<v1::EndBackupRequest>,
    ) -> Result<Response<v1::EndBackupResponse>, Status> {
        self.backups.end(&request.into_inner().backup).await.map_err(status)?;
        Ok(Response::new(v1::EndBackupResponse {}))
    }

    async fn collect_garbage(
        &self,
        request: Request<v1::CollectGarbageRequest>,
    ) -> Result<Response<v1::CollectGarbageResponse>, Status> {
        self.people.collect(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }
}
