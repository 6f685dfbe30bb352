//! A store that is restored from the backup of a database.

use sweep_coordinator::offline::check;
use sweep_coordinator::restore::{Refused, restore};
use sweep_require::postgres;
use sweep_spec::Digest;
use sweep_store::Store;
use sweep_store::copy::{self, Report};
use sweep_store::location::Location;

use crate::env::{Folder, fill};
use crate::place::lead;

/// A backup of a store, in a folder.
async fn backup(store: &dyn Store) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    store.snapshot(&path).await.unwrap();
    let content = std::fs::read(&path).unwrap();
    let text = serde_json::json!({
        "format": 1, "version": "0.1.0", "created_unix_ms": 5,
        "store": { "bytes": content.len(), "blake3": Digest::of(&content).to_string(), "layout": 12 },
        "artifacts": { "files": 1, "bytes": 3 },
    });
    std::fs::write(folder.path().join("backup.json"), text.to_string()).unwrap();
    let digest = Digest::of(b"log").to_string();
    let artifacts = folder.path().join("artifacts").join(&digest[..2]);
    std::fs::create_dir_all(&artifacts).unwrap();
    std::fs::write(artifacts.join(&digest), b"log").unwrap();
    folder
}

/// The backup is checked with its own artifacts, although the store would look for them in another folder.
#[tokio::test]
async fn a_backup_is_checked_with_its_own_artifacts_and_no_file_is_written_into_it() {
    let live = Folder::new();
    let store = live.open().await;
    fill(&store).await;
    let folder = backup(&store).await;
    store.close().await;
    let digest = Digest::of(b"log").to_string();
    let artifact = folder.path().join("artifacts").join(&digest[..2]).join(&digest);
    let path = folder.path().join("store.db");
    for place in [folder.path(), path.as_path()] {
        let report = check(place, Some(live.0.path())).await.unwrap();
        assert!(report.is_sound() && report.artifacts == 1, "{report}");
    }
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["artifacts", "backup.json", "store.db"]);
    std::fs::write(&artifact, b"lag").unwrap();
    let report = check(folder.path(), None).await.unwrap();
    assert!(!report.is_sound() && report.problems[0].what.contains("does not match its name"), "{report}");
    std::fs::remove_file(&artifact).unwrap();
    let report = check(folder.path(), None).await.unwrap();
    assert!(!report.is_sound() && report.problems[0].what.contains("cannot read"), "{report}");
    // An artifact that the manifest names as missing is missing from the store, not from the backup.
    let manifest = folder.path().join("backup.json");
    let mut text: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    text["missing"] =
        serde_json::json!([{ "digest": digest, "bytes": 3, "reason": "gone", "owners": [], "owner_count": 0 }]);
    std::fs::write(&manifest, text.to_string()).unwrap();
    let report = check(folder.path(), None).await.unwrap();
    assert!(report.is_sound() && report.artifacts == 0, "{report}");
    assert!(report.notes[0].starts_with("not in this copy: 1 artifact"), "{report}");
    text["store"]["blake3"] = Digest::of(b"another").to_string().into();
    std::fs::write(&manifest, text.to_string()).unwrap();
    let report = check(folder.path(), None).await.unwrap();
    assert!(report.problems.iter().any(|problem| problem.what.contains("does not match its hash")), "{report}");
    std::fs::remove_file(&manifest).unwrap();
    assert!(matches!(check(folder.path(), None).await, Err(Refused::Unfinished { .. })));
}

/// The coordinator's configuration may name any folder of artifacts.
#[tokio::test]
async fn a_store_is_checked_with_the_artifacts_in_the_folder_that_is_named() {
    let live = Folder::new();
    let store = live.open().await;
    fill(&store).await;
    let folder = backup(&store).await;
    store.close().await;
    drop(store);
    assert!(!check(&live.path(), None).await.unwrap().is_sound(), "there is no artifact beside it");
    let report = check(&live.path(), Some(&folder.path().join("artifacts"))).await.unwrap();
    assert!(report.is_sound() && report.artifacts == 1, "{report}");
}

fn rows(report: &Report) -> Vec<(String, u64, String)> {
    report.tables.iter().map(|table| (table.table.clone(), table.rows, table.checksum.clone())).collect()
}

#[tokio::test]
async fn a_database_comes_back_from_its_backup_and_only_into_an_empty_one() {
    let Some(server) = postgres::shared() else { return };
    let url = server.database();
    let store = lead(&url).await;
    fill(store.as_ref()).await;
    let folder = backup(store.as_ref()).await;
    store.close().await;
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
    // The backup of a database can be restored as a file.
    let file = Location::File(scratch.path().join("sweep.db"));
    restore(folder.path(), &file, None).await.unwrap();
    assert_eq!(compare(&file, "from_file.db").await, original);
}
