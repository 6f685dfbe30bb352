//! The canned coordinator's answers about its store: garbage, and a failed backup.

use std::path::PathBuf;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sweep_proto::v1::store_service_server::StoreService;
use sweep_proto::v1::*;
use sweep_spec::Digest;
use tonic::{Request, Response, Status};

use super::{ARTIFACT, Answer};

/// The copy of the store.
const STORE: &[u8] = b"a store, word for word";

#[derive(Default)]
pub(super) struct CannedStore {
    /// The file in which a command keeps the name of its backup. The backup ends only while it exists.
    pub(super) name: Option<PathBuf>,
}

fn digest(content: &[u8]) -> Vec<u8> {
    Digest::of(content).as_bytes().to_vec()
}

#[tonic::async_trait]
impl StoreService for CannedStore {
    type ReadBackupStream = BoxStream<'static, Result<ReadBackupResponse, Status>>;

    async fn collect_garbage(&self, request: Request<CollectGarbageRequest>) -> Answer<CollectGarbageResponse> {
        let garbage = |kind: &str, count, bytes| Garbage { kind: kind.into(), count, bytes };
        Ok(Response::new(CollectGarbageResponse {
            found: vec![
                garbage("trials", 12, 0),
                garbage("settings", 1, 0),
                garbage("files", 3, 1 << 20),
                garbage("uploads", 0, 0),
            ],
            store_bytes: if request.into_inner().dry_run { 0 } else { 1 << 16 },
            notes: Vec::new(),
        }))
    }

    async fn begin_backup(&self, request: Request<BeginBackupRequest>) -> Answer<BeginBackupResponse> {
        Ok(Response::new(BeginBackupResponse {
            backup: request.into_inner().backup,
            ready: true,
            created_unix_ms: 1_700_000_000_000,
            store_bytes: STORE.len() as u64,
            store_digest: digest(STORE).into(),
            layout: 12,
            artifacts: 1,
            artifact_bytes: ARTIFACT.len() as u64,
            version: "0.1.0".into(),
        }))
    }

    async fn list_backup(&self, request: Request<ListBackupRequest>) -> Answer<ListBackupResponse> {
        let content = BackupContent { digest: digest(ARTIFACT).into(), size_bytes: ARTIFACT.len() as u64 };
        let contents = if request.into_inner().after.is_empty() { vec![content] } else { Vec::new() };
        Ok(Response::new(ListBackupResponse { contents }))
    }

    async fn read_backup(&self, request: Request<ReadBackupRequest>) -> Answer<Self::ReadBackupStream> {
        let request = request.into_inner();
        let content = if request.digest.is_empty() { STORE } else { ARTIFACT };
        let rest = content.get(request.offset as usize..).unwrap_or_default();
        let pieces: Vec<_> =
            rest.chunks(5).map(|chunk| Ok(ReadBackupResponse { chunk: chunk.to_vec().into(), lost: None })).collect();
        Ok(Response::new(stream::iter(pieces).boxed()))
    }

    async fn end_backup(&self, _: Request<EndBackupRequest>) -> Answer<EndBackupResponse> {
        if self.name.as_ref().is_some_and(|name| !name.exists()) {
            return Err(Status::failed_precondition("the name of the backup was removed first"));
        }
        Ok(Response::new(EndBackupResponse {}))
    }
}
