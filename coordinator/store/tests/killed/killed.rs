//! `kill -9` at random points of the write path. `SWEEP_KILLS=200` asks for more than CI does.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use sweep_store::Store;
use sweep_store::check::check;
use sweep_store::record::{AttemptKey, AuditFilter};
use sweep_store::sqlite::{Options, SqliteStore};
use sweep_store::write::Commit;

use crate::child::{STORE, start};
use crate::env::{Folder, Random, SWEEP, audit, begin, fill, points};

const KILLS: u64 = 25;
/// Points of each batch.
const POINTS: u64 = 40;

/// Batches up to which the store is whole: their audit rows, in order and without a gap.
async fn batches(store: &SqliteStore) -> u64 {
    let filter = AuditFilter { limit: u32::MAX, sweep: None, ..AuditFilter::default() };
    let rows = store.audit(&filter).await.unwrap();
    let numbers: Vec<u64> = rows.iter().filter_map(|row| row.detail.strip_prefix("batch ")?.parse().ok()).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "a batch is missing");
    numbers.len() as u64
}

fn batch(number: u64) -> Commit {
    let first = 3 + (number - 1) * POINTS;
    Commit {
        audit: vec![audit(10 + number as i64, format!("batch {number}"))],
        points: points(2, first..=first + POINTS - 1),
        ..Commit::default()
    }
}

/// Not a test of its own: what the other one starts and kills.
#[test]
fn a_child_that_writes() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(&Options::new(PathBuf::from(path))).await.unwrap();
        store.load().await.unwrap();
        let mut number = batches(&store).await;
        let mut out = std::io::stdout();
        loop {
            number += 1;
            if number % 16 == 0 {
                let sweep = sweep_scheduler::SweepId(1_000 + number);
                begin(&store, sweep, number * 100..number * 100 + 20).await;
            }
            store.commit(&batch(number)).await.unwrap();
            // Whoever reads is gone when this fails.
            if writeln!(out, "acknowledged {number}").and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_it_opens_and_nothing_acknowledged_is_missing() {
    let _alone = crate::ALONE.lock().await;
    let kills = std::env::var("SWEEP_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    store.close().await;
    drop(store);
    let seed = std::env::var("SWEEP_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut random = Random(seed);
    let mut last = 0;
    for kill in 0..kills {
        // Some are killed while they open the store, before they say anything.
        let wait = Duration::from_micros(random.below(60_000));
        let early = random.below(5) == 0;
        let acknowledged = tokio::task::spawn_blocking({
            let path = folder.path();
            move || write_and_kill(&path, wait, early)
        });
        last = acknowledged.await.unwrap().unwrap_or(last);
        let said = std::fs::read(folder.beside(".acknowledged")).unwrap();
        let said = u64::from_le_bytes(said[8..16].try_into().unwrap());
        assert!(said >= last, "kill {kill}, seed {seed}: the file beside the store is behind");
        let store = SqliteStore::open(&folder.options(false)).await;
        let store = store.unwrap_or_else(|error| panic!("kill {kill}, seed {seed}: {error}"));
        store.load().await.unwrap();
        let found = batches(&store).await;
        assert!(found >= last, "kill {kill}, seed {seed}: {found} of {last} acknowledged batches");
        assert_eq!(store.points(AttemptKey(2)).await.unwrap().len() as u64, 2 + found * POINTS);
        assert!(store.sweep(SWEEP).await.unwrap().is_some());
        store.close().await;
        drop(store);
        last = found;
    }
    let report = check(&folder.path()).await.unwrap();
    assert!(report.problems.iter().all(|problem| problem.place == "artifacts"), "{report}");
    assert!(last > 0);
    eprintln!("{kills} kills, {last} batches, {} commits, none lost", report.commits);
}

/// Starts this very program as a child that writes, kills it, and says what it acknowledged last.
fn write_and_kill(path: &std::path::Path, wait: Duration, early: bool) -> Option<u64> {
    let (mut child, mut lines) = start("killed::a_child_that_writes", path);
    let number = |line: String| line.split("acknowledged ").nth(1)?.trim().parse::<u64>().ok();
    let mut last = if early { None } else { lines.find_map(number) };
    // The moment of the kill is what is random here; nothing is waited for.
    std::thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    last = lines.filter_map(number).last().or(last);
    last
}
