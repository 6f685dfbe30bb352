//! Answers that are too long for one message: points, documents and artifacts. A task sends each of them piece by piece.

use bytes::Bytes;
use sweep_proto::v1;
use sweep_scheduler::SweepId;
use sweep_spec::Digest;
use sweep_store::artifacts;
use sweep_store::codes::ArtifactKind;
use sweep_store::record::TrialPage;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Sweeps;
use super::requests::MAX_PAGE;
use super::streams::Permit;
use crate::convert::{bytes, metrics_message};
use crate::engine::Error;

/// Pieces that wait for a slow reader.
const QUEUE: usize = 4;
/// Points of one piece of an export.
const EXPORT_POINTS: usize = 1000;
/// The size of a chunk, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// The reader of an answer. It is closed when the client stops reading.
type Reader<T> = mpsc::Sender<Result<T, Error>>;

impl Sweeps {
    /// Every point of every trial of a sweep.
    pub(crate) fn points(&self, sweep: SweepId, permit: Permit) -> ReceiverStream<Result<Vec<v1::TrialPoint>, Error>> {
        let service = self.clone();
        self.send(Some(permit), move |reader| async move { service.send_points(sweep, &reader).await })
    }

    /// A document in chunks.
    pub(crate) fn chunks(&self, document: Bytes, permit: Permit) -> ReceiverStream<Result<Bytes, Error>> {
        self.send(Some(permit), move |reader| async move {
            let mut rest = document;
            while !rest.is_empty() {
                let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
                if reader.send(Ok(chunk)).await.is_err() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The kind and the size of an artifact.
    ///
    /// # Errors
    /// There is no such artifact.
    pub(crate) async fn artifact(&self, digest: Digest) -> Result<(ArtifactKind, u64), Error> {
        let found = self.engine.store().artifact(digest).await?;
        found.ok_or_else(|| Error::not_found(format!("artifact {}", digest.short())))
    }

    /// The content of an artifact, in chunks. It ends with an error if the content does not match the digest.
    pub(crate) fn artifact_content(&self, digest: Digest) -> ReceiverStream<Result<Bytes, Error>> {
        let service = self.clone();
        self.send(None, move |reader| async move { service.send_artifact(digest, &reader).await })
    }

    /// Runs `send` in a task until it has sent everything or the term ends. The permit ends with the task.
    fn send<T, S>(&self, permit: Option<Permit>, send: impl FnOnce(Reader<T>) -> S) -> ReceiverStream<Result<T, Error>>
    where
        T: Send + 'static,
        S: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let (reader, stream) = mpsc::channel(QUEUE);
        let (sending, shutdown) = (send(reader.clone()), self.shutdown.clone());
        self.tasks.spawn(async move {
            let _held = permit;
            let sent = tokio::select! {
                () = shutdown.cancelled() => Err(Error::Unavailable),
                sent = sending => sent,
            };
            if let Err(error) = sent {
                let _ = reader.send(Err(error)).await;
            }
        });
        ReceiverStream::new(stream)
    }

    async fn send_points(&self, sweep: SweepId, reader: &Reader<Vec<v1::TrialPoint>>) -> Result<(), Error> {
        let mut page = TrialPage::first(sweep, MAX_PAGE);
        let mut points = Vec::new();
        loop {
            let rows = self.engine.store().trials(&page).await?;
            let Some(last) = rows.last() else { break };
            page.after = Some((last.configuration, last.seed));
            for row in &rows {
                let Some((number, key)) = row.newest else { continue };
                let found = self.engine.store().points(key).await?;
                points.extend(found.into_iter().map(|point| v1::TrialPoint {
                    trial_id: bytes(row.trial.as_bytes()),
                    attempt: number,
                    metrics: Some(metrics_message(&point.metrics)),
                }));
                if points.len() >= EXPORT_POINTS && reader.send(Ok(std::mem::take(&mut points))).await.is_err() {
                    return Ok(());
                }
            }
        }
        if !points.is_empty() {
            let _ = reader.send(Ok(points)).await;
        }
        Ok(())
    }

    async fn send_artifact(&self, digest: Digest, reader: &Reader<Bytes>) -> Result<(), Error> {
        let mut file = self.artifacts.read(digest).await?;
        let mut hasher = blake3::Hasher::new();
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = file.read(&mut chunk).await.map_err(|error| Error::Internal(error.to_string()))?;
            if read == 0 {
                // The reader discards the content if it ends with an error.
                let sound = hasher.finalize().as_bytes() == digest.as_bytes();
                return if sound { Ok(()) } else { Err(artifacts::damaged(digest).into()) };
            }
            chunk.truncate(read);
            hasher.update(&chunk);
            if reader.send(Ok(chunk.into())).await.is_err() {
                return Ok(());
            }
        }
    }
}
