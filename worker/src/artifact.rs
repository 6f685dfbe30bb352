//! Files that a trainer left, on their way to the coordinator: hashed first, then streamed in bounded pieces.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::Stream;
use futures::stream;
use sweep_proto::v1::put_artifact_request::Part;
use sweep_proto::v1::{ArtifactHeader, ArtifactKind, PutArtifactRequest};
use sweep_spec::Digest;
use tokio::io::AsyncReadExt;

use crate::files;
use crate::wire::Lease;

/// Bytes in one message; the contract allows 1 MiB.
const CHUNK_BYTES: usize = 512 * 1024;

/// A file to be handed in.
#[derive(Debug, Clone)]
pub(crate) struct Artifact {
    pub(crate) kind: ArtifactKind,
    pub(crate) path: PathBuf,
    /// Whose attempt left it.
    pub(crate) lease: Lease,
    /// Of which data set, for thumbnails.
    pub(crate) data_digest: Digest,
}

/// Parts of an artifact's path that a trainer can make to be links: the folder of all, the attempt's, and the file.
const DEPTH: usize = 3;

/// Where the trainer leaves files of an attempt.
pub(crate) fn folder(state_folder: &Path, lease: &Lease) -> PathBuf {
    state_folder.join("artifacts").join(lease.folder_name())
}

/// Removes the folders of an earlier run, but for those that are `waited_for`.
pub(crate) fn sweep(state_folder: &Path, waited_for: impl Fn(&Path) -> bool) {
    // There is none before the first trial.
    let Ok(entries) = std::fs::read_dir(state_folder.join("artifacts")) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| !waited_for(path)) {
        if let Err(error) = std::fs::remove_dir_all(&path) {
            tracing::warn!(folder = %path.display(), error = %error, "files of an earlier run cannot be removed");
        }
    }
}

/// What a trainer calls a file of this kind; `None` where it leaves none.
pub(crate) fn file_name(kind: ArtifactKind) -> Option<&'static str> {
    match kind {
        ArtifactKind::Weights => Some("weights.safetensors"),
        ArtifactKind::Thumbnails => Some("thumbnails.png"),
        ArtifactKind::Log | ArtifactKind::Unspecified => None,
    }
}

/// Why a file cannot be handed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    #[error("it has {size} bytes, and the coordinator takes {limit} at most")]
    TooLarge { size: u64, limit: u64 },
}

impl Artifact {
    /// The messages that carry the file, header first; it may have `limit` bytes. A file that shrinks meanwhile ends the
    /// stream early, which the other side notices by the size.
    pub(crate) async fn messages(
        &self,
        session: u64,
        limit: u64,
    ) -> Result<impl Stream<Item = PutArtifactRequest> + Send + 'static, Error> {
        let path = self.path.clone();
        let hashed = tokio::task::spawn_blocking(move || hash(&path, limit)).await;
        // The file that was hashed is the one that is sent, whatever its name leads to by then.
        let Hashed { file, size_bytes, digest } = hashed.map_err(std::io::Error::other)??;
        let thumbnails = self.kind == ArtifactKind::Thumbnails;
        let header = ArtifactHeader {
            session,
            kind: self.kind.into(),
            lease: (!thumbnails).then(|| self.lease.to_wire()),
            data_digest: if thumbnails { Bytes::copy_from_slice(self.data_digest.as_bytes()) } else { Bytes::new() },
            size_bytes,
            digest: Bytes::copy_from_slice(&digest),
        };
        let file = tokio::fs::File::from_std(file).take(size_bytes);
        let header = stream::iter([PutArtifactRequest { part: Some(Part::Header(header)) }]);
        let chunks = stream::unfold(file, |mut file| async move {
            let mut chunk = vec![0; CHUNK_BYTES];
            let count = file.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
            chunk.truncate(count);
            Some((PutArtifactRequest { part: Some(Part::Chunk(chunk.into())) }, file))
        });
        Ok(futures::StreamExt::chain(header, chunks))
    }
}

/// A file that is at its beginning.
struct Hashed {
    file: File,
    size_bytes: u64,
    digest: [u8; 32],
}

fn hash(path: &Path, limit: u64) -> Result<Hashed, Error> {
    let mut file = files::open_plain(path, DEPTH)?;
    let size = file.metadata()?.len();
    if size > limit {
        return Err(Error::TooLarge { size, limit });
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.by_ref().take(limit.saturating_add(1)))?;
    if hasher.count() > limit {
        return Err(Error::TooLarge { size: hasher.count(), limit });
    }
    file.rewind()?;
    Ok(Hashed { file, size_bytes: hasher.count(), digest: *hasher.finalize().as_bytes() })
}

/// Has an artifact written to disk, with the folders that name it: an ending that names a file survives a loss of power only if
/// the file does.
pub(crate) async fn synced(path: &Path) -> std::io::Result<()> {
    let path = path.to_owned();
    let synced = tokio::task::spawn_blocking(move || {
        files::open_plain(&path, DEPTH)?.sync_all()?;
        path.ancestors().skip(1).take(DEPTH).try_for_each(|folder| File::open(folder)?.sync_all())
    });
    synced.await.map_err(std::io::Error::other)?
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use sweep_spec::TrialId;

    use super::*;

    #[tokio::test]
    async fn a_file_travels_in_pieces_behind_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let content: Vec<u8> = (0..CHUNK_BYTES + 7).map(|n| n as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let lease = Lease { trial_id: TrialId::of(b"t"), round: 1, attempt: 1 };
        let artifact = Artifact { kind: ArtifactKind::Weights, path, lease, data_digest: Digest::of(b"d") };
        let messages: Vec<_> = artifact.messages(3, content.len() as u64).await.unwrap().collect().await;
        let mut received = Vec::new();
        let mut headers = Vec::new();
        for message in messages {
            match message.part.unwrap() {
                Part::Header(header) => headers.push(header),
                Part::Chunk(chunk) => received.extend_from_slice(&chunk),
            }
        }
        assert_eq!(received, content);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[0].size_bytes, content.len() as u64);
        assert_eq!(&headers[0].digest[..], Digest::of(&content).as_bytes());
        let small = artifact.messages(3, content.len() as u64 - 1).await.map(drop).unwrap_err().to_string();
        assert_eq!(
            small,
            format!("it has {} bytes, and the coordinator takes {} at most", content.len(), content.len() - 1)
        );
        let missing = Artifact { path: folder.path().join("none"), ..artifact };
        assert!(missing.messages(3, u64::MAX).await.is_err());
    }
}
