//! A disk without room.

use std::path::Path;
use std::process::Command;

use sweep_require::Part;
use sweep_store::check::check;
use sweep_store::record::AuditFilter;
use sweep_store::sqlite::{Options, SqliteStore};
use sweep_store::write::Commit;
use sweep_store::{Error, Store};

use crate::env::{audit, fill, points};

/// A small disk of its own, if this machine lets us have one.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(folder.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            _ => None,
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_a_commit_and_takes_it_when_there_is_room() {
    let _alone = crate::ALONE.lock().await;
    let Some(disk) = Disk::new(6) else {
        sweep_require::skip(Part::Mount, "a tmpfs cannot be mounted here; root can mount one");
        return;
    };
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![1; 3 << 20]).unwrap();
    let options = Options::new(disk.path().join("store.db"));
    let store = SqliteStore::open(&options).await.unwrap();
    fill(&store).await;
    let mut next = 4;
    let batch = |next: u64| Commit {
        points: points(2, next..=next + 999),
        audit: vec![audit(i64::try_from(next).unwrap(), format!("{next}"))],
        ..Commit::default()
    };
    let error = loop {
        match store.commit(&batch(next)).await {
            Ok(()) => next += 1_000,
            Err(error) => break error,
        }
        assert!(next < 10_000_000, "the disk never fills");
    };
    assert!(matches!(error, Error::Full(_)), "{error:?}");
    for _ in 0..3 {
        // It says so again and again, and what was there can be read meanwhile.
        let error = store.commit(&batch(next)).await.unwrap_err();
        assert!(matches!(error, Error::Full(_)), "{error:?}");
        assert_eq!(store.load().await.unwrap().attempts.len(), 1);
    }
    std::fs::remove_file(&filler).unwrap();
    store.commit(&batch(next)).await.unwrap();
    let filter = AuditFilter { limit: 100_000, since_ms: 4, ..AuditFilter::default() };
    let counted = store.audit(&filter).await.unwrap();
    let written = counted.iter().filter(|row| row.detail.parse::<u64>().is_ok()).count() as u64;
    assert_eq!(written, (next - 4) / 1_000 + 1, "every acknowledged batch, and no other");
    store.close().await;
    drop(store);
    let report = check(&options.path).await.unwrap();
    assert!(
        report
            .problems
            .iter()
            .all(|problem| problem.place == "artifacts" || problem.what.contains("follows a missing")),
        "{report}"
    );
    SqliteStore::open(&options).await.unwrap().load().await.unwrap();
}
