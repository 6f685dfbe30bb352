//! An artifact: a file that a sweep left, addressed by its content.

use serde::Serialize;
use sweep_proto::v1;
use utoipa::ToSchema;

use crate::sweep::some_text;
use crate::text::hex;

/// An artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Artifact {
    /// The BLAKE3 hash of the content.
    pub digest: String,
    /// `thumbnails`, `log`, `weights`.
    pub kind: &'static str,
    pub size_bytes: u64,
    /// For logs and weights.
    pub trial_id: Option<String>,
    pub attempt: Option<u32>,
}

pub(crate) fn kind(kind: v1::ArtifactKind) -> &'static str {
    match kind {
        v1::ArtifactKind::Unspecified => "unknown",
        v1::ArtifactKind::Thumbnails => "thumbnails",
        v1::ArtifactKind::Log => "log",
        v1::ArtifactKind::Weights => "weights",
    }
}

impl From<v1::Artifact> for Artifact {
    fn from(artifact: v1::Artifact) -> Self {
        Self {
            digest: hex(&artifact.digest),
            kind: kind(artifact.kind()),
            size_bytes: artifact.size_bytes,
            trial_id: some_text(hex(&artifact.trial_id)),
            attempt: (artifact.attempt > 0).then_some(artifact.attempt),
        }
    }
}
