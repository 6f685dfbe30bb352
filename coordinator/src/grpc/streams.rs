//! What is sent in pieces: a watched sweep, an export, an artifact.

use std::time::Duration;

use sweep_proto::v1;
use sweep_scheduler::SweepId;
use sweep_spec::Digest;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tonic::Status;

use super::status;
use super::sweep::Sweeps;
use super::sweep_questions::MAX_PAGE;
use crate::convert::{bytes, metrics_message};
use crate::engine::Error;
use crate::store::artifacts;
use crate::store::record::TrialPage;

/// A watched sweep's status is sent at most this often.
const WATCH_PAUSE: Duration = Duration::from_millis(250);
/// Though nothing changed, a watched sweep's status is sent this often: its estimate of the time left goes down.
const WATCH_LONGEST: Duration = Duration::from_secs(5);
/// Points of one message of an export.
const EXPORT_POINTS: usize = 1000;
const CHUNK_BYTES: usize = 256 * 1024;

impl Sweeps {
    /// Sends a sweep's status on every change until it has ended.
    pub(super) async fn watch(&self, sweep: SweepId, answers: &mpsc::Sender<Result<v1::WatchSweepResponse, Status>>) {
        let mut changes = self.engine.changes();
        loop {
            changes.mark_unchanged();
            let answer = self.status(sweep).await.map_err(status);
            let running = answer.as_ref().is_ok_and(|status| status.state == i32::from(v1::SweepState::Running));
            let answer = answer.map(|sweep| v1::WatchSweepResponse { sweep: Some(sweep) });
            if answers.send(answer).await.is_err() || !running {
                return;
            }
            tokio::select! {
                () = answers.closed() => return,
                () = tokio::time::sleep(WATCH_PAUSE) => {}
            }
            tokio::select! {
                () = answers.closed() => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(WATCH_LONGEST) => {}
            }
        }
    }

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
