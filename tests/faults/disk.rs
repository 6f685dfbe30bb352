//! A slow store, or one with a full disk: everything waits for it, nothing is lost, and the coordinator reports it.

use std::process::Command;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use sweep_require::Part;
use sweep_tests::scripted::Script;

use super::env::Env;

const TRIALS: u32 = 12;

/// Trials with a result.
const SOME: &str = "SELECT COUNT(*) >= 4 FROM sweep_trials t JOIN rounds r ON r.trial = t.trial
    WHERE t.sweep = ?1 AND r.state = 1";

/// The value of a metric without labels.
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

/// A lease that is shorter than the delay of the store, and longer than a busy machine delays a poll.
const LEASE_MS: u64 = 4000;

/// Takes the store's write lock for this long in the middle of a sweep, as another process or a slow disk would.
async fn held_up(hold: Duration) -> Env {
    let script = Script { epoch_ms: 5, ..Script::default() };
    let env = Env::with(&script, |fleet| fleet.coordinator_key("lease_ttl_ms", LEASE_MS.into()));
    let _worker = env.worker("w1");
    let sweep = env.submit(TRIALS).await;
    env.stored(sweep, SOME).await;
    let mut other = SqliteConnectOptions::new().filename(env.fleet.store()).connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    tokio::time::sleep(hold).await;
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    env.ended(sweep).await;
    let count = env.exactly_once(sweep, TRIALS.into()).await;
    assert_eq!(count.attempts_max, 1, "nobody loses a lease while the coordinator cannot write: {count:?}");
    env
}

#[tokio::test]
async fn a_commit_that_takes_seconds_loses_nothing_and_shows() {
    let env = held_up(Duration::from_millis(LEASE_MS + 2000)).await;
    let metrics = env.http("/metrics").await;
    assert!(value(&metrics, "sweep_commit_seconds_sum") > 2.0, "{metrics}");
    assert!(env.fleet.log("coordinator").contains("the store is slow"), "it says so");
}

#[tokio::test]
async fn a_commit_that_is_given_up_is_made_again() {
    // SQLite waits ten seconds for a lock.
    held_up(Duration::from_secs(13)).await;
}

/// A small separate disk, if this machine allows it.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::options().create(true).append(true).open(self.0.path().join("filler")).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while std::io::Write::write_all(&mut file, &vec![1; size]).is_ok() {}
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_new_work_with_words_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::new(24) else {
        sweep_require::skip(Part::Mount, "a tmpfs cannot be mounted here; root can mount one");
        return;
    };
    let script = Script { epoch_ms: 20, ..Script::default() };
    let store = disk.0.path().join("sweep.db");
    let env = Env::with(&script, |fleet| {
        fleet.coordinator_key("store", store.to_str().unwrap().into()).coordinator_key("lease_ttl_ms", 2000.into())
    });
    let _worker = env.worker("w1");
    let sweep = env.submit(TRIALS).await;
    env.stored(sweep, SOME).await;
    disk.fill();
    env.logged("coordinator", "the store cannot be written").await;
    let refused = sweep_tests::chaos::submit(env.address, sweep_tests::chaos::grid(2)).await.unwrap_err().to_string();
    assert!(refused.contains("cannot commit now") && refused.contains("full"), "{refused}");
    let ready = env.http("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    disk.empty();
    env.ended(sweep).await;
    let count = env.exactly_once(sweep, TRIALS.into()).await;
    assert_eq!(count.attempts_max, 1, "workers went on meanwhile: {count:?}");
    let ready = env.http("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
}
