//! Online backups, and stores that are restored from them.

use std::path::Path;

use sweep_coordinator::restore::{Refused, restore};
use sweep_coordinator::store::check::check;
use sweep_coordinator::store::location::Location;
use sweep_proto::v1;
use sweep_proto::v1::store_service_client::StoreServiceClient;
use sweep_shapes::backup::MissingArtifact;
use sweep_spec::Digest;
use tonic::Code;
use tonic::transport::Channel;

use crate::env::{Env, SPEC, by_filters, reference};

type Client = StoreServiceClient<Channel>;

async fn begin(client: &mut Client) -> v1::BeginBackupResponse {
    let request = v1::BeginBackupRequest { backup: "first".into(), user: "me".into() };
    loop {
        let answer = client.begin_backup(request.clone()).await.unwrap().into_inner();
        if answer.ready {
            return answer;
        }
    }
}

async fn read(client: &mut Client, backup: &str, digest: &[u8], offset: u64) -> Vec<u8> {
    let request = v1::ReadBackupRequest { backup: backup.into(), digest: digest.to_vec().into(), offset };
    let mut pieces = client.read_backup(request).await.unwrap().into_inner();
    let mut content = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        assert_eq!(piece.lost, None);
        content.extend_from_slice(&piece.chunk);
    }
    content
}

/// The coordinator's reason why it cannot read a content.
async fn lost(client: &mut Client, backup: &str, digest: &[u8], offset: u64) -> Option<v1::LostContent> {
    let request = v1::ReadBackupRequest { backup: backup.into(), digest: digest.to_vec().into(), offset };
    let mut pieces = client.read_backup(request).await.unwrap().into_inner();
    let mut last = None;
    while let Some(piece) = pieces.message().await.unwrap() {
        assert_eq!(last, None, "it is the last message");
        last = piece.lost;
    }
    last
}

/// Writes a backup as `sweepctl backup` does.
async fn write(client: &mut Client, open: &v1::BeginBackupResponse, folder: &Path) {
    let store = read(client, &open.backup, &[], 0).await;
    assert_eq!(
        (store.len() as u64, Digest::of(&store).as_bytes().to_vec()),
        (open.store_bytes, open.store_digest.to_vec())
    );
    std::fs::write(folder.join("store.db"), &store).unwrap();
    let request = v1::ListBackupRequest { backup: open.backup.clone(), ..Default::default() };
    let contents = client.list_backup(request).await.unwrap().into_inner().contents;
    assert_eq!(contents.len() as u64, open.artifacts);
    let mut missing = Vec::new();
    for content in contents {
        if let Some(lost) = lost(client, &open.backup, &content.digest, 0).await {
            let digest = Digest::try_from(&content.digest[..]).unwrap().to_string();
            missing.push(MissingArtifact::new(digest, content.size_bytes, lost));
            continue;
        }
        let name = Digest::try_from(&content.digest[..]).unwrap().to_string();
        let part = folder.join("artifacts").join(&name[..2]);
        std::fs::create_dir_all(&part).unwrap();
        std::fs::write(part.join(&name), read(client, &open.backup, &content.digest, 0).await).unwrap();
    }
    manifest(folder, open, ("backup.json", &missing));
}

fn manifest(folder: &Path, open: &v1::BeginBackupResponse, (name, missing): (&str, &[MissingArtifact])) {
    let text = serde_json::json!({
        "format": 1,
        "version": open.version,
        "created_unix_ms": open.created_unix_ms,
        "store": {
            "bytes": open.store_bytes,
            "blake3": Digest::try_from(&open.store_digest[..]).unwrap().to_string(),
            "layout": open.layout,
        },
        "artifacts": { "files": open.artifacts - missing.len() as u64, "bytes": open.artifact_bytes },
        "missing": missing,
    });
    std::fs::write(folder.join(name), text.to_string()).unwrap();
}

/// Uploads weights of the running trial.
async fn leave_weights(worker: &mut crate::env::Worker, content: &[u8]) {
    use v1::put_artifact_request::Part;
    let (lease, ..) = worker.running.values().next().unwrap().clone();
    let header = v1::ArtifactHeader {
        session: worker.session,
        kind: v1::ArtifactKind::Weights.into(),
        lease: Some(lease),
        size_bytes: content.len() as u64,
        digest: Digest::of(content).as_bytes().to_vec().into(),
        ..Default::default()
    };
    let parts = [Part::Header(header), Part::Chunk(content.to_vec().into())];
    let parts = parts.map(|part| v1::PutArtifactRequest { part: Some(part) });
    worker.client.put_artifact(tokio_stream::iter(parts)).await.unwrap();
}

fn keeping() -> String {
    SPEC.replace("{ epochs: 3 }", "{ epochs: 3, keep_weights: all }")
}

#[tokio::test]
async fn a_backup_is_one_moment_of_a_store_that_goes_on_and_a_store_is_made_of_it() {
    let env = Env::new().await;
    let mut worker = env.worker("w1", 1).await;
    let sweep = env.submit(&keeping()).await.id;
    worker.until_running().await;
    leave_weights(&mut worker, b"some weights").await;
    worker.finish_all(&by_filters()).await;
    let mut client = StoreServiceClient::new(env.channel().await);
    let open = begin(&mut client).await;
    let at_the_moment = env.status(sweep).await.counts.unwrap();
    // Before the backup is read, the sweep continues, ends, and is deleted with its files.
    worker.work(&env, sweep, &by_filters()).await;
    let delete = v1::DeleteSweepRequest { sweep: reference(sweep), ..Default::default() };
    let asked = v1::DeleteSweepRequest { dry_run: true, ..delete.clone() };
    let would = env.sweeps().await.delete_sweep(asked).await.unwrap().into_inner();
    let would_wait = "a backup is open: files of removed artifacts would be removed when it ends";
    assert_eq!((would.deletion.unwrap().artifacts, would.notes), (1, vec![would_wait.to_owned()]));
    let deleted = env.sweeps().await.delete_sweep(delete.clone()).await.unwrap().into_inner();
    let waits = "a backup is open: 1 file of a removed artifact will be removed when it ends";
    assert_eq!((deleted.deletion.unwrap().artifacts, deleted.notes[0].as_str()), (1, waits));
    let collected = client.collect_garbage(v1::CollectGarbageRequest::default()).await.unwrap().into_inner();
    assert_eq!(collected.notes[0], waits);
    let folder = tempfile::tempdir().unwrap();
    write(&mut client, &open, folder.path()).await;
    // A client that was interrupted continues in the middle of a file.
    let whole = read(&mut client, &open.backup, &[], 0).await;
    assert_eq!(read(&mut client, &open.backup, &[], 5000).await, whole[5000..]);
    for (name, code) in
        [("second", Code::ResourceExhausted), ("", Code::InvalidArgument), ("../x", Code::InvalidArgument)]
    {
        let other = v1::BeginBackupRequest { backup: name.into(), ..Default::default() };
        assert_eq!(client.begin_backup(other).await.unwrap_err().code(), code, "{name}");
    }
    client.end_backup(v1::EndBackupRequest { backup: open.backup.clone() }).await.unwrap();
    let closed = v1::ListBackupRequest { backup: open.backup.clone(), ..Default::default() };
    assert_eq!(client.list_backup(closed).await.unwrap_err().code(), Code::NotFound);
    let weights = Digest::of(b"some weights").to_string();
    assert!(!env.artifacts().join(&weights[..2]).join(&weights).exists(), "its file went when the backup was closed");
    assert!(!env.artifacts().join(".backup").join(&open.backup).exists());
    let later = env.sweeps().await.delete_sweep(delete).await.unwrap().into_inner();
    assert!(!later.notes.iter().any(|note| note.contains("file")), "{:?}", later.notes);
    env.stop().await;
    let target = tempfile::tempdir().unwrap();
    let place = Location::File(target.path().join("sweep.db"));
    let restored = restore(folder.path(), &place, None).await.unwrap();
    assert_eq!((restored.artifacts, restored.artifact_bytes), (1, 12));
    let report = check(&target.path().join("sweep.db")).await.unwrap();
    assert!(report.is_sound() && report.artifacts == 1, "{report}");
    assert!(matches!(restore(folder.path(), &place, None).await, Err(Refused::NotEmpty { .. })));
    let env = Env::on(target, sweep_coordinator::Args::default()).await;
    let counts = env.status(sweep).await.counts.unwrap();
    assert_eq!((counts.succeeded, at_the_moment.succeeded), (1, 1), "no more than there was at that moment");
    // The restored sweep continues from the state at the backup.
    let mut worker = env.worker("w2", 2).await;
    assert_eq!(worker.work(&env, sweep, &by_filters()).await.state(), v1::SweepState::Succeeded);
}

#[tokio::test]
async fn what_the_coordinator_lost_is_named_and_the_rest_is_backed_up_and_restored() {
    let env = Env::new().await;
    let mut worker = env.worker("w1", 1).await;
    let sweep = env.submit(&keeping()).await.id;
    worker.until_running().await;
    let trial = worker.running.values().next().unwrap().0.trial_id.clone();
    for content in [&b"kept"[..], b"gone", b"damaged"] {
        leave_weights(&mut worker, content).await;
    }
    let place = |content: &[u8]| {
        let name = Digest::of(content).to_string();
        env.artifacts().join(&name[..2]).join(&name)
    };
    std::fs::remove_file(place(b"gone")).unwrap();
    std::fs::write(place(b"damaged"), b"damagex").unwrap();
    let mut client = StoreServiceClient::new(env.channel().await);
    let open = begin(&mut client).await;
    let weights = v1::ContentOwner { kind: v1::ArtifactKind::Weights.into(), trial_id: trial, sweep };
    for (content, reason) in [(&b"gone"[..], "is missing"), (b"damaged", "is damaged")] {
        let lost = lost(&mut client, &open.backup, Digest::of(content).as_bytes(), 0).await.unwrap();
        assert!(lost.reason.contains(reason), "{}", lost.reason);
        assert_eq!((lost.owners, lost.owner_count), (vec![weights.clone()], 1));
    }
    let folder = tempfile::tempdir().unwrap();
    write(&mut client, &open, folder.path()).await;
    let target = tempfile::tempdir().unwrap();
    let restored = restore(folder.path(), &Location::File(target.path().join("sweep.db")), None).await.unwrap();
    let mut missing: Vec<_> = restored.missing.iter().map(|one| one.bytes).collect();
    missing.sort_unstable();
    assert_eq!((restored.artifacts, restored.artifact_bytes, missing), (1, 4, vec![4, 7]));
    // An artifact that was added to the backup later is restored, although the manifest lists it as missing. An
    // artifact that the manifest does not list as missing must exist.
    let name = Digest::of(b"gone").to_string();
    let part = folder.path().join("artifacts").join(&name[..2]);
    std::fs::create_dir_all(&part).unwrap();
    std::fs::write(part.join(&name), b"gone").unwrap();
    let place = Location::File(target.path().join("second.db"));
    let restored = restore(folder.path(), &place, None).await.unwrap();
    assert_eq!((restored.artifacts, restored.missing.len()), (2, 1));
    manifest(folder.path(), &open, ("backup.json", &[]));
    let place = Location::File(target.path().join("third.db"));
    assert!(matches!(restore(folder.path(), &place, None).await, Err(Refused::Store(_))));
}

#[tokio::test]
async fn what_is_not_whole_or_not_what_it_says_is_not_restored() {
    let env = Env::new().await;
    let mut worker = env.worker("w1", 1).await;
    env.submit(&keeping()).await;
    worker.until_running().await;
    leave_weights(&mut worker, b"some weights").await;
    let mut client = StoreServiceClient::new(env.channel().await);
    let open = begin(&mut client).await;
    let folder = tempfile::tempdir().unwrap();
    write(&mut client, &open, folder.path()).await;
    let target = tempfile::tempdir().unwrap();
    let place = Location::File(target.path().join("sweep.db"));
    let again = async || restore(folder.path(), &place, None).await;
    let path = |name: &str| folder.path().join(name);
    // Without its manifest the backup is incomplete.
    std::fs::rename(path("backup.json"), path("elsewhere")).unwrap();
    assert!(matches!(again().await, Err(Refused::Unfinished { .. })));
    // The backup was interrupted between its last two steps: an old manifest, and the manifest of the store in the
    // folder.
    let older = v1::BeginBackupResponse { store_digest: vec![7; 32].into(), ..open.clone() };
    manifest(folder.path(), &older, ("backup.json", &[]));
    assert!(matches!(again().await, Err(Refused::Damaged { .. })));
    std::fs::rename(path("elsewhere"), path("backup.json.next")).unwrap();
    // An artifact that changed, then one that does not exist.
    let name = Digest::of(b"some weights").to_string();
    let artifact = path("artifacts").join(&name[..2]).join(&name);
    std::fs::write(&artifact, b"some weightz").unwrap();
    assert!(matches!(again().await, Err(Refused::Damaged { .. })));
    std::fs::remove_file(&artifact).unwrap();
    assert!(matches!(again().await, Err(Refused::Store(_))));
    assert!(!target.path().join("sweep.db").exists(), "until it is whole, there is no store");
    std::fs::write(&artifact, b"some weights").unwrap();
    // A file of an earlier store in the folder is not mixed with the new one.
    std::fs::write(target.path().join("sweep.db-wal"), b"a log").unwrap();
    assert!(matches!(again().await, Err(Refused::Log { .. })));
    std::fs::remove_file(target.path().join("sweep.db-wal")).unwrap();
    again().await.unwrap();
}
