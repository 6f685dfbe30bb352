//! A store that is made of the backup of a database.

use sweep_coordinator::restore::{Refused, restore};
use sweep_spec::Digest;
use sweep_store::Store;
use sweep_store::copy::{self, Report};
use sweep_store::location::Location;

use crate::env::fill;
use crate::place::lead;
use crate::server;

/// A backup of a store, as its folder.
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

fn rows(report: &Report) -> Vec<(String, u64, String)> {
    report.tables.iter().map(|table| (table.table.clone(), table.rows, table.checksum.clone())).collect()
}

#[tokio::test]
async fn a_database_comes_back_from_its_backup_and_only_into_an_empty_one() {
    let Some(server) = server::shared() else { return };
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
