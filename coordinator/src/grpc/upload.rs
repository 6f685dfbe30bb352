//! Validates the messages of an upload: a header that announces the artifact, then chunks of its content.

use bytes::Bytes;
use sweep_proto::v1;
use sweep_scheduler::Lease;
use sweep_spec::Digest;
use sweep_store::artifacts::MAX_ARTIFACT_BYTES;
use sweep_store::codes::ArtifactKind;

use super::MAX_CHUNK_BYTES;
use crate::convert::{self, Invalid};
use crate::engine::Error;

/// One message of an upload.
pub(crate) enum Piece {
    Announced(Announced),
    Chunk(Bytes),
}

/// The announced artifact.
pub(crate) struct Announced {
    pub(super) session: u64,
    pub(super) digest: Digest,
    pub(super) kind: ArtifactKind,
    pub(super) of: Of,
    pub(super) size_bytes: u64,
}

/// The owner of an artifact: the content of a data set, or an attempt.
pub(super) enum Of {
    Data(Digest),
    Attempt(Lease),
}

/// Validates one message of an upload.
///
/// # Errors
/// A field is invalid, or the chunk or the artifact is too large.
pub(crate) fn piece(message: v1::PutArtifactRequest) -> Result<Piece, Error> {
    use v1::put_artifact_request::Part;
    match message.part {
        Some(Part::Header(header)) => announced(header).map(Piece::Announced),
        Some(Part::Chunk(chunk)) if chunk.len() <= MAX_CHUNK_BYTES => Ok(Piece::Chunk(chunk)),
        Some(Part::Chunk(_)) => {
            Err(Invalid { field: "chunk", problem: format!("longer than {MAX_CHUNK_BYTES} bytes") }.into())
        }
        None => Err(Invalid { field: "part", problem: "absent".into() }.into()),
    }
}

fn announced(header: v1::ArtifactHeader) -> Result<Announced, Error> {
    if header.size_bytes > MAX_ARTIFACT_BYTES {
        return Err(Invalid { field: "size_bytes", problem: format!("more than {MAX_ARTIFACT_BYTES}") }.into());
    }
    let digest = convert::digest("digest", &header.digest)?;
    let kind = convert::artifact_kind(header.kind);
    let kind = kind.ok_or_else(|| Invalid { field: "kind", problem: "unknown".into() })?;
    let of = match kind {
        ArtifactKind::Thumbnails => Of::Data(convert::digest("data_digest", &header.data_digest)?),
        ArtifactKind::Log | ArtifactKind::Weights => Of::Attempt(convert::lease("lease", header.lease)?),
    };
    Ok(Announced { session: header.session, digest, kind, of, size_bytes: header.size_bytes })
}
