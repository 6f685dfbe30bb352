//! Chunks of a streamed answer: their size, and a document cut into them.

use bytes::Bytes;
use sweep_proto::v1;
use tokio::sync::mpsc;
use tonic::Status;

/// The size of a chunk, in bytes.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// Sends a document, until the client stops reading.
pub(super) async fn send_report(document: Bytes, answers: &mpsc::Sender<Result<v1::GetReportResponse, Status>>) {
    let mut rest = document;
    while !rest.is_empty() {
        let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
        if answers.send(Ok(v1::GetReportResponse { chunk })).await.is_err() {
            return;
        }
    }
}
