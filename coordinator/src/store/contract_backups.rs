//! A copy of a store at one moment, on every backend, and stores that are made of it.

use super::super::copy::{self, Report};
use super::super::location::Location;
use super::*;
use crate::restore::{Refused, restore};

pub(super) async fn a_snapshot_is_a_store_of_its_own(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    store.commit(&started(0, 1)).await.unwrap();
    store.commit(&finished(0, 1)).await.unwrap();
    let before = store.sweep(SWEEP).await.unwrap().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.db");
    store.snapshot(&path).await.unwrap();
    // What comes later is not in it, and the store goes on.
    store.commit(&started(1, 2)).await.unwrap();
    let copied = SqliteStore::open(&Options::new(&path)).await.unwrap();
    assert_eq!(copied.sweep(SWEEP).await.unwrap().unwrap(), before);
    assert_eq!(copied.points(AttemptKey(1)).await.unwrap(), store.points(AttemptKey(1)).await.unwrap());
    assert_eq!(
        copied.result(AttemptKey(1)).await.unwrap().unwrap(),
        store.result(AttemptKey(1)).await.unwrap().unwrap()
    );
    assert!(copied.attempts(lease(1).trial).await.unwrap().is_empty());
    let loaded = copied.load().await.unwrap();
    assert_eq!((loaded.last_sweep, loaded.last_attempt), (1, 1));
    copied.close().await;
    drop(copied);
    assert!(crate::store::check::check(&path).await.unwrap().is_sound());
}

/// A backup of a store with a sweep, as its folder.
async fn backup(store: &dyn Store) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    store.snapshot(&path).await.unwrap();
    let (bytes, digest) = crate::backup::hash(&path).await.unwrap();
    let text = serde_json::json!({
        "format": 1, "version": "0.1.0", "created_unix_ms": 5,
        "store": { "bytes": bytes, "blake3": digest.to_string(), "layout": 12 },
        "artifacts": { "files": 0, "bytes": 0 },
    });
    std::fs::write(folder.path().join("backup.json"), text.to_string()).unwrap();
    folder
}

fn rows(report: &Report) -> Vec<(String, u64, String)> {
    report.tables.iter().map(|table| (table.table.clone(), table.rows, table.checksum.clone())).collect()
}

#[tokio::test]
async fn a_database_comes_back_from_its_backup_and_only_into_an_empty_one() {
    let Some(server) = super::server::shared() else { return };
    let url = server.database();
    let led = postgres_tests::lead(&url, "here").await;
    led.store.prepare(&preparation(SWEEP, 0..3)).await.unwrap();
    for commit in [begin(SWEEP), started(0, 1), finished(0, 1)] {
        led.store.commit(&commit).await.unwrap();
    }
    let folder = backup(led.store.as_ref()).await;
    led.store.close().await;
    let scratch = tempfile::tempdir().unwrap();
    let artifacts = scratch.path().join("artifacts");
    let into: Location = server.database().parse().unwrap();
    restore(folder.path(), &into, Some(&artifacts)).await.unwrap();
    assert!(!artifacts.join(".restore").exists());
    let compare = async |place: &Location, name: &str| {
        let file = Location::File(scratch.path().join(name));
        rows(&copy::copy(place, &file).await.unwrap())
    };
    let original = compare(&url.parse().unwrap(), "original.db").await;
    assert_eq!(compare(&into, "restored.db").await, original);
    let again = restore(folder.path(), &into, Some(&artifacts)).await;
    assert!(matches!(again, Err(Refused::NotEmpty { .. })), "{again:?}");
    // And into a file: whatever it came from, it is a store.
    let file = Location::File(scratch.path().join("sweep.db"));
    restore(folder.path(), &file, None).await.unwrap();
    assert_eq!(compare(&file, "from_file.db").await, original);
}
