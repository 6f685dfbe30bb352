//! The service of the store: garbage collection and backups.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use sweep_proto::v1;
use sweep_proto::v1::store_service_server::StoreService;
use sweep_spec::{Digest, TrialId};
use sweep_store::artifacts::Folder;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use tracing::warn;

use super::status;
use crate::access::grpc::named;
use crate::backup::{Backup, Backups, Stopped};
use crate::convert::{self, MAX_NAME_BYTES, bytes};
use crate::engine::Error;
use crate::service::Sweeps;

/// Timeout for the copy of a store. After it the client asks again.
const COPY_TIMEOUT: Duration = Duration::from_secs(20);
/// The most artifacts of one page.
const BACKUP_PAGE: u32 = 10_000;
/// Chunks that wait for a slow reader.
const STREAM_QUEUE: usize = 4;

/// The handlers of the service.
#[derive(Clone)]
pub(crate) struct Maintenance {
    sweeps: Sweeps,
    artifacts: Folder,
    backups: Arc<Backups>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Maintenance {
    /// Streams run on `tasks` and end with `shutdown`.
    pub(crate) fn new(sweeps: Sweeps, (tasks, shutdown): (TaskTracker, CancellationToken)) -> Self {
        let artifacts = sweeps.artifacts.clone();
        let backups = Backups::new(sweeps.engine.clone(), artifacts.clone(), tasks.clone(), shutdown.clone());
        Self { sweeps, artifacts, backups, tasks, shutdown }
    }

    async fn begin(&self, request: v1::BeginBackupRequest) -> Result<v1::BeginBackupResponse, Error> {
        let user = convert::name("user", request.user, MAX_NAME_BYTES)?;
        let backup = self.backups.begin(&request.backup, &user)?;
        let copied = backup.copied(COPY_TIMEOUT).await;
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
        // Fails only if the client has stopped reading.
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
            // The end, or the client has stopped reading.
            if is_last || answers.send(Ok(answer)).await.is_err() {
                return Ok(());
            }
        }
    }
}

type Answers = mpsc::Sender<Result<v1::ReadBackupResponse, Status>>;

type Pieces = Pin<Box<dyn Stream<Item = Result<v1::ReadBackupResponse, Status>> + Send>>;

/// A digest, or none for an empty field.
fn digest_or_none(field: &'static str, said: &[u8]) -> Result<Option<Digest>, Error> {
    if said.is_empty() { Ok(None) } else { Ok(Some(convert::digest(field, said)?)) }
}

#[tonic::async_trait]
impl StoreService for Maintenance {
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
        self.sweeps.collect(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }
}
