//! Tests of copies between local folders and stores.

use object_store::memory::InMemory;
use object_store::path::Path as Key;
use sweep_spec::TrialId;

use super::*;

mod bucket;

fn lease() -> Lease {
    Lease { trial_id: TrialId::of(b"trial"), round: 1, attempt: 1 }
}

fn in_a_bucket() -> Store {
    Store::Bucket { bucket: Arc::new(InMemory::new()), prefix: Key::from("some/where") }
}

fn write(folder: &Path, names: &[&str]) {
    std::fs::create_dir_all(folder).unwrap();
    for name in names {
        std::fs::write(folder.join(name), format!("content of {name}")).unwrap();
    }
}

async fn names(store: &Store) -> Vec<String> {
    let mut names: Vec<_> = store.list("t/1").await.unwrap().into_iter().map(|found| found.name).collect();
    names.sort();
    names
}

#[test]
fn a_name_says_how_far_its_trial_had_come() {
    let position = |epochs, steps| Some(Position { epochs, steps });
    assert_eq!(Position::of("epoch-000012.checkpoint"), position(12, 0));
    assert_eq!(Position::of("epoch-000012-step-000345.checkpoint"), position(12, 345));
    assert_eq!(Position::of("epoch-1000000.checkpoint"), position(1_000_000, 0));
    for other in [
        "epoch-12.checkpoint",
        "epoch-0000012.checkpoint",
        "epoch-+00012.checkpoint",
        "epoch-000012.checkpoint.damaged",
        ".copying-1-epoch-000012.checkpoint",
        "epoch-000012-step-.checkpoint",
        "epoch-99999999999.checkpoint",
        "",
    ] {
        assert_eq!(Position::of(other), None, "{other}");
    }
}

#[tokio::test]
async fn the_newest_two_are_copied_and_fetched_by_a_store_of_either_kind() {
    let shared = tempfile::tempdir().unwrap();
    for store in [in_a_bucket(), Store::open(shared.path().to_str().unwrap()).unwrap()] {
        let here = tempfile::tempdir().unwrap();
        write(here.path(), &["epoch-000001.checkpoint", "epoch-000002.checkpoint", "epoch-000003.checkpoint", "notes"]);
        assert_eq!(copy(&store, "t/1", here.path()).await.unwrap(), 2);
        assert_eq!(names(&store).await, ["epoch-000002.checkpoint", "epoch-000003.checkpoint"]);
        assert_eq!(copy(&store, "t/1", here.path()).await.unwrap(), 0, "nothing is new");
        write(here.path(), &["epoch-000003-step-000007.checkpoint"]);
        assert_eq!(copy(&store, "t/1", here.path()).await.unwrap(), 1);
        assert_eq!(names(&store).await, ["epoch-000003-step-000007.checkpoint", "epoch-000003.checkpoint"]);

        let there = tempfile::tempdir().unwrap();
        write(there.path(), &["epoch-000002.checkpoint"]);
        let newest = fetch(&store, "t/1", there.path()).await.unwrap();
        assert_eq!(newest.as_deref(), Some("epoch-000003-step-000007.checkpoint"));
        let content = std::fs::read_to_string(there.path().join("epoch-000003.checkpoint")).unwrap();
        assert_eq!(content, "content of epoch-000003.checkpoint");
        assert_eq!(std::fs::read_dir(there.path()).unwrap().count(), 3);
        assert_eq!(fetch(&store, "t/1", there.path()).await.unwrap(), None, "nothing is newer");
        assert_eq!(fetch(&store, "t/2", there.path()).await.unwrap(), None, "another round has none");

        store.remove_round("t/1").await.unwrap();
        store.remove_round("t/1").await.unwrap();
        assert!(names(&store).await.is_empty());
    }
    assert_eq!(std::fs::read_dir(shared.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_large_checkpoint_travels_in_parts() {
    let store = in_a_bucket();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let content: Vec<u8> = (0..(20 << 20)).map(|n: u32| (n / 7) as u8).collect();
    let name = "epoch-000009.checkpoint";
    std::fs::write(folders[0].path().join(name), &content).unwrap();
    copy(&store, "t/1", folders[0].path()).await.unwrap();
    fetch(&store, "t/1", folders[1].path()).await.unwrap();
    assert!(std::fs::read(folders[1].path().join(name)).unwrap() == content);
}

#[tokio::test]
async fn a_bucket_is_spoken_to_over_http() {
    let address = bucket::serve().await;
    let options = [
        ("AWS_ENDPOINT", format!("http://{address}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_REGION", "eu-central-1".to_owned()),
    ];
    let store =
        Store::with_settings("s3://bucket/some/where", options.map(|(key, value)| (key.to_owned(), value))).unwrap();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    write(folders[0].path(), &["epoch-000001.checkpoint"]);
    let large: Vec<u8> = (0..(17 << 20)).map(|n: u32| (n / 5) as u8).collect();
    std::fs::write(folders[0].path().join("epoch-000002.checkpoint"), &large).unwrap();
    assert_eq!(copy(&store, "t/1", folders[0].path()).await.unwrap(), 2);
    let newest = fetch(&store, "t/1", folders[1].path()).await.unwrap();
    assert_eq!(newest.as_deref(), Some("epoch-000002.checkpoint"));
    assert!(std::fs::read(folders[1].path().join("epoch-000002.checkpoint")).unwrap() == large);
    write(folders[0].path(), &["epoch-000003.checkpoint"]);
    copy(&store, "t/1", folders[0].path()).await.unwrap();
    assert_eq!(names(&store).await, ["epoch-000002.checkpoint", "epoch-000003.checkpoint"]);
    store.remove_round("t/1").await.unwrap();
    assert!(names(&store).await.is_empty());
}

#[tokio::test]
async fn a_store_that_fails_is_counted_and_nothing_else() {
    let state = tempfile::tempdir().unwrap();
    let shared = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::new("w1").unwrap());
    let open = || Checkpoints::open(state.path(), shared.path().to_str().unwrap(), 1, Arc::clone(&metrics)).unwrap();
    let checkpoints = open();
    // A file in the place of the trial's folder.
    std::fs::write(shared.path().join(lease().trial_id.to_string()), "in the way").unwrap();
    let folder = checkpoints.fetch(&lease()).await.unwrap().unwrap();
    write(&folder, &["epoch-000001.checkpoint"]);
    checkpoints.copy_last(&lease(), Duration::from_secs(60)).await;
    let text = metrics.render().unwrap();
    assert!(text.contains("sweep_worker_checkpoint_failures_total{operation=\"copy\",worker=\"w1\"} 1"), "{text}");
    assert!(text.contains("sweep_worker_checkpoints_copied_total{worker=\"w1\"} 0"), "{text}");
    checkpoints.remove(lease()).await;
    assert!(!folder.exists());
}

#[test]
fn only_folders_that_are_long_forgotten_are_swept() {
    let root = tempfile::tempdir().unwrap();
    let round = root.path().join("trial/1");
    write(&round, &["epoch-000001.checkpoint"]);
    let written = std::fs::metadata(&round).unwrap().modified().unwrap();
    files::remove_old(root.path(), written + LOCAL_RETENTION, LOCAL_RETENTION);
    files::remove_old(root.path(), written - LOCAL_RETENTION, LOCAL_RETENTION);
    assert!(round.exists());
    files::remove_old(root.path(), written + LOCAL_RETENTION + Duration::from_secs(1), LOCAL_RETENTION);
    assert!(!root.path().join("trial").exists());
    files::remove_old(&root.path().join("none"), written, LOCAL_RETENTION);
}

#[test]
fn folders_that_a_link_leads_to_are_not_swept() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&elsewhere.path().join("old/deep"), &["notes"]);
    write(&root.path().join("trial"), &[]);
    std::os::unix::fs::symlink(elsewhere.path(), root.path().join("link")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("old"), root.path().join("trial/1")).unwrap();
    files::remove_old(root.path(), SystemTime::now() + 2 * LOCAL_RETENTION, LOCAL_RETENTION);
    assert!(elsewhere.path().join("old/deep/notes").exists());
}

#[tokio::test]
async fn a_checkpoint_is_not_fetched_through_a_link() {
    let shared = tempfile::tempdir().unwrap();
    for store in [in_a_bucket(), Store::open(shared.path().to_str().unwrap()).unwrap()] {
        let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = "epoch-000001.checkpoint";
        write(there.path(), &[name]);
        copy(&store, "t/1", there.path()).await.unwrap();
        let victim = there.path().join("victim");
        std::fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, files::unfinished(here.path(), name)).unwrap();
        fetch(&store, "t/1", here.path()).await.unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
        assert!(here.path().join(name).symlink_metadata().unwrap().is_file());
        assert_eq!(std::fs::read_to_string(here.path().join(name)).unwrap(), format!("content of {name}"));
    }
}

#[tokio::test]
async fn a_file_of_another_program_is_not_copied_as_a_checkpoint() {
    let (shared, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(here.path().join("token"), "secret").unwrap();
    std::fs::hard_link(here.path().join("token"), here.path().join("epoch-000001.checkpoint")).unwrap();
    for store in [in_a_bucket(), Store::open(shared.path().to_str().unwrap()).unwrap()] {
        let reason = copy(&store, "t/1", here.path()).await.unwrap_err().to_string();
        assert!(reason.contains("has 2 hard links"), "{reason}");
        assert!(names(&store).await.is_empty());
    }
}

#[test]
fn the_name_of_a_store_is_a_folder_or_a_bucket() {
    for good in ["", "/mnt/checkpoints", "file:///mnt/x", "s3://bucket", "gs://bucket/folder", "az://container/a/b"] {
        assert_eq!(problem(good), None, "{good}");
    }
    for bad in ["checkpoints", "ftp://host/x", "s3://", "file://relative", "file:/x//y://z", "https://bucket"] {
        assert!(problem(bad).is_some(), "{bad}");
    }
}
