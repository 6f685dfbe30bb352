//! A copy of a store at one moment, on every backend.

use super::*;

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
    assert!(crate::check::check(&path).await.unwrap().is_sound());
}
