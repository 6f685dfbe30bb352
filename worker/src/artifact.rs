//! Uploads of files that a trainer wrote: hashed first, then streamed in bounded chunks.

use std::fs::{DirEntry, File};
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

/// Bytes in one message; the protocol allows 1 MiB.
const CHUNK_BYTES: usize = 512 * 1024;

/// A file to upload.
#[derive(Debug, Clone)]
pub(crate) struct Artifact {
    pub(crate) kind: ArtifactKind,
    pub(crate) path: PathBuf,
    /// The attempt that wrote it.
    pub(crate) lease: Lease,
    /// The data set that thumbnails belong to.
    pub(crate) data_digest: Digest,
}

/// Path components that a trainer could replace by links: the folder of all artifacts, the attempt's folder, and the
/// file.
const DEPTH: usize = 3;

/// The folder in which a trainer writes the files of an attempt.
pub(crate) fn folder(state_folder: &Path, lease: &Lease) -> PathBuf {
    state_folder.join("artifacts").join(lease.folder_name())
}

/// Removes the folders of an earlier run, except those of attempts in `waited_for`.
pub(crate) fn remove_leftovers(state_folder: &Path, waited_for: impl Fn(&Path) -> bool) {
    // The folder does not exist before the first trial. If it is a link, it contains none of our files.
    let entries = files::entries(&state_folder.join("artifacts")).unwrap_or_default();
    for path in entries.iter().map(DirEntry::path).filter(|path| !waited_for(path)) {
        if let Err(error) = files::remove_folder(&path) {
            tracing::warn!(folder = %path.display(), %error, "cannot remove the files of an earlier run");
        }
    }
}

/// The name that trainers give to files of this kind; `None` for kinds that trainers do not write.
pub(crate) fn file_name(kind: ArtifactKind) -> Option<&'static str> {
    match kind {
        ArtifactKind::Weights => Some("weights.safetensors"),
        ArtifactKind::Thumbnails => Some("thumbnails.png"),
        ArtifactKind::Log | ArtifactKind::Unspecified => None,
    }
}

/// Why a file cannot be uploaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    #[error("it has {size} bytes, but the coordinator accepts at most {limit}")]
    TooLarge { size: u64, limit: u64 },
}

impl Artifact {
    /// The upload messages of a file of at most `limit` bytes, header first. If the file shrinks during the upload, the
    /// stream ends early and the coordinator rejects it by its size.
    pub(crate) async fn messages(
        &self,
        session: u64,
        limit: u64,
    ) -> Result<impl Stream<Item = PutArtifactRequest> + Send + 'static, Error> {
        let path = self.path.clone();
        let hashed = tokio::task::spawn_blocking(move || hash(&path, limit)).await;
        // The open file is sent, so that its name cannot lead to another one after the hash.
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

/// An open file, positioned at its beginning, with its hash.
struct Hashed {
    file: File,
    size_bytes: u64,
    digest: [u8; 32],
}

fn hash(path: &Path, limit: u64) -> Result<Hashed, Error> {
    let mut file = files::open_regular(path, DEPTH)?.file;
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

/// Syncs an artifact and its folders to disk: the journal entry of an ending that refers to it must survive a power
/// loss together with it.
pub(crate) async fn synced(path: &Path) -> std::io::Result<()> {
    let path = path.to_owned();
    let synced = tokio::task::spawn_blocking(move || files::open_regular(&path, DEPTH)?.sync());
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
            format!("it has {} bytes, but the coordinator accepts at most {}", content.len(), content.len() - 1)
        );
        let missing = Artifact { path: folder.path().join("none"), ..artifact };
        assert!(missing.messages(3, u64::MAX).await.is_err());
    }

    /// An attempt's folder with a file of weights.
    fn left(state: &Path) -> Artifact {
        let lease = Lease { trial_id: TrialId::of(b"t"), round: 1, attempt: 1 };
        let folder = folder(state, &lease);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(file_name(ArtifactKind::Weights).unwrap());
        Artifact { kind: ArtifactKind::Weights, path, lease, data_digest: Digest::of(b"d") }
    }

    /// The announced size and the received content.
    async fn received(messages: impl Stream<Item = PutArtifactRequest> + Send) -> (u64, Vec<u8>) {
        let (mut size, mut content) = (0, Vec::new());
        for message in messages.collect::<Vec<_>>().await {
            match message.part.unwrap() {
                Part::Header(header) => size = header.size_bytes,
                Part::Chunk(chunk) => content.extend_from_slice(&chunk),
            }
        }
        (size, content)
    }

    #[tokio::test]
    async fn what_was_hashed_is_sent_whatever_happens_to_the_file_and_its_folder_meanwhile() {
        let state = tempfile::tempdir().unwrap();
        let artifact = left(state.path());
        let content = vec![7; CHUNK_BYTES + 7];
        std::fs::write(&artifact.path, &content).unwrap();
        let secret = state.path().join("token");
        std::fs::write(&secret, vec![9; content.len()]).unwrap();
        // The file grows.
        let messages = artifact.messages(3, u64::MAX).await.unwrap();
        std::io::Write::write_all(&mut File::options().append(true).open(&artifact.path).unwrap(), b"more").unwrap();
        assert_eq!(received(messages).await, (content.len() as u64, content.clone()));
        // First the file's name, then its folder's becomes a link to another place.
        let messages = artifact.messages(3, u64::MAX).await.unwrap();
        std::fs::remove_file(&artifact.path).unwrap();
        std::os::unix::fs::symlink(&secret, &artifact.path).unwrap();
        let whole = [&content[..], b"more"].concat();
        assert_eq!(received(messages).await, (whole.len() as u64, whole.clone()));
        std::fs::remove_file(&artifact.path).unwrap();
        std::fs::write(&artifact.path, &whole).unwrap();
        let messages = artifact.messages(3, u64::MAX).await.unwrap();
        let attempt = artifact.path.parent().unwrap();
        std::fs::rename(attempt, state.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(state.path(), attempt).unwrap();
        assert_eq!(received(messages).await, (whole.len() as u64, whole));
    }

    #[tokio::test]
    async fn a_file_that_shrinks_ends_its_stream_before_the_size_that_was_said() {
        let state = tempfile::tempdir().unwrap();
        let artifact = left(state.path());
        std::fs::write(&artifact.path, "0123456789").unwrap();
        let messages = artifact.messages(3, u64::MAX).await.unwrap();
        File::options().write(true).open(&artifact.path).unwrap().set_len(4).unwrap();
        assert_eq!(received(messages).await, (10, b"0123".to_vec()));
    }

    #[tokio::test]
    async fn a_second_name_of_another_file_and_a_file_of_holes_are_refused_unread() {
        let state = tempfile::tempdir().unwrap();
        let artifact = left(state.path());
        std::fs::write(state.path().join("token"), "secret").unwrap();
        std::fs::hard_link(state.path().join("token"), &artifact.path).unwrap();
        let error = artifact.messages(3, u64::MAX).await.map(drop).unwrap_err();
        let Error::Read(reason) = &error else { panic!("{error}") };
        assert!(reason.to_string().contains("has 2 hard links"), "{reason}");
        assert!(synced(&artifact.path).await.is_err());
        std::fs::remove_file(&artifact.path).unwrap();
        // A sparse file of one terabyte.
        File::create(&artifact.path).unwrap().set_len(1 << 40).unwrap();
        let error = artifact.messages(3, 512 << 20).await.map(drop).unwrap_err();
        assert!(matches!(error, Error::TooLarge { size, .. } if size == 1 << 40), "{error}");
    }

    #[tokio::test]
    async fn a_folder_that_has_become_a_pipe_is_not_waited_for() {
        let state = tempfile::tempdir().unwrap();
        let artifact = left(state.path());
        let attempt = artifact.path.parent().unwrap();
        std::fs::remove_dir(attempt).unwrap();
        let mode = rustix::fs::Mode::from(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, attempt, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let reason = synced(&artifact.path).await.unwrap_err().to_string();
        assert!(reason.ends_with("is a pipe: make it a folder"), "{reason}");
    }

    #[test]
    fn the_folders_of_an_earlier_run_go_and_those_that_a_link_leads_to_stay() {
        let state = tempfile::tempdir().unwrap();
        let (artifacts, elsewhere) = (state.path().join("artifacts"), state.path().join("elsewhere"));
        std::fs::create_dir_all(elsewhere.join("inner")).unwrap();
        for name in ["one", "two"] {
            std::fs::create_dir_all(artifacts.join(name).join("deep/er")).unwrap();
        }
        std::fs::write(artifacts.join("file"), "").unwrap();
        std::os::unix::fs::symlink(&elsewhere, artifacts.join("link")).unwrap();
        remove_leftovers(state.path(), |path| path.ends_with("two"));
        assert_eq!(std::fs::read_dir(&artifacts).unwrap().count(), 1);
        // The folder of all artifacts is a link.
        std::fs::remove_dir_all(&artifacts).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &artifacts).unwrap();
        remove_leftovers(state.path(), |_| false);
        assert!(elsewhere.join("inner").exists());
    }
}
