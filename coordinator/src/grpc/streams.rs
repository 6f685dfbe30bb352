//! What is sent in pieces: an export, an artifact.

use futures::future::BoxFuture;
use sweep_proto::v1;
use sweep_scheduler::SweepId;
use sweep_spec::Digest;
use sweep_store::artifacts;
use sweep_store::record::TrialPage;
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::chunks::CHUNK_BYTES;
use super::sweep::Sweeps;
use super::sweep_questions::MAX_PAGE;
use super::watching::Source;
use crate::convert::{bytes, metrics_message};
use crate::engine::Error;

/// Points of one message of an export.
const EXPORT_POINTS: usize = 1000;

impl Source for Sweeps {
    fn ask(&self, sweep: SweepId) -> BoxFuture<'_, Result<v1::SweepStatus, Error>> {
        Box::pin(self.status(sweep))
    }

    fn changes(&self, sweep: SweepId) -> watch::Receiver<u64> {
        self.engine.changes_of(sweep)
    }
}

impl Sweeps {
    pub(super) async fn export(
        &self,
        sweep: SweepId,
        answers: &mpsc::Sender<Result<v1::ExportPointsResponse, Status>>,
    ) -> Result<(), Error> {
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
                if points.len() >= EXPORT_POINTS {
                    let points = std::mem::take(&mut points);
                    if answers.send(Ok(v1::ExportPointsResponse { points })).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        if !points.is_empty() {
            let _ = answers.send(Ok(v1::ExportPointsResponse { points })).await;
        }
        Ok(())
    }

    pub(super) async fn send_artifact(
        &self,
        digest: Digest,
        answers: &mpsc::Sender<Result<v1::GetArtifactResponse, Status>>,
    ) -> Result<(), Error> {
        let mut file = self.artifacts.read(digest).await?;
        let mut hasher = blake3::Hasher::new();
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = file.read(&mut chunk).await.map_err(|error| Error::Internal(error.to_string()))?;
            if read == 0 {
                // Whoever reads throws away what he got before an error.
                let sound = hasher.finalize().as_bytes() == digest.as_bytes();
                return if sound { Ok(()) } else { Err(artifacts::damaged(digest).into()) };
            }
            chunk.truncate(read);
            hasher.update(&chunk);
            if answers.send(Ok(v1::GetArtifactResponse { chunk: chunk.into() })).await.is_err() {
                return Ok(());
            }
        }
    }
}
