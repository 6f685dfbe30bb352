//! `kill -9` at random points of a deletion. What a sweep that is left refers to is whole after each, and in the end
//! nothing is left of the deleted one.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sweep_scheduler::SweepId;
use sweep_store::Store;
use sweep_store::check::check;
use sweep_store::codes::SweepState;
use sweep_store::deletions::{DeletionRow, Deletions, Step};
use sweep_store::record::AttemptKey;
use sweep_store::sqlite::{Options, SqliteStore};
use sweep_store::write::{Commit, SweepEndRow};

use crate::child::{STORE, start};
use crate::env::{Folder, Random, SWEEP, begin, fill};

const DELETED: SweepId = SweepId(9);
/// Its first trials are also the other sweep's.
const TRIALS: u64 = 4_000;

/// Not a test of its own: what the other one starts and kills. It says when it has removed a piece, and when all are gone.
#[test]
fn a_child_that_deletes() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(&Options::new(PathBuf::from(path))).await.unwrap();
        store.load().await.unwrap();
        let mut out = std::io::stdout();
        let mut say = |word: &str| writeln!(out, "{word}").and_then(|()| out.flush()).is_ok();
        for sweep in store.unfinished_deletions().await.unwrap() {
            loop {
                let trials = store.next_to_go(sweep).await.unwrap();
                match store.delete_piece(sweep, &trials).await.unwrap() {
                    Step::More => drop(say("piece")),
                    Step::Nothing => break,
                    Step::Waits => panic!("no worker runs anything of it"),
                }
            }
            let room = store.shrink().await.unwrap();
            store.finish_deletion(sweep, 20, room.returned).await.unwrap();
        }
        say("gone");
        store.close().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_killed_goes_on_and_takes_nothing_that_another_sweep_has() {
    let _alone = crate::ALONE.lock().await;
    let folder = Folder::new();
    let store = folder.open().await;
    fill(&store).await;
    begin(&store, DELETED, 0..TRIALS).await;
    let end = SweepEndRow { sweep: DELETED, state: SweepState::Cancelled, reason: String::new(), at_ms: 10 };
    let deletion = DeletionRow { sweep: DELETED, actor: "me".into(), at_ms: 11 };
    store.commit(&Commit { sweeps_ended: vec![end], ..Commit::default() }).await.unwrap();
    store.commit(&Commit { sweeps_deleted: vec![deletion], ..Commit::default() }).await.unwrap();
    store.close().await;
    drop(store);
    let full = std::fs::metadata(folder.path()).unwrap().len();
    let seed = std::env::var("SWEEP_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut random = Random(seed);
    let mut kills = 0;
    loop {
        let wait = Duration::from_micros(random.below(30_000));
        let path = folder.path();
        let gone = tokio::task::spawn_blocking(move || delete_and_kill(&path, wait)).await.unwrap();
        let report = check(&folder.path()).await.unwrap();
        assert!(
            report.problems.iter().all(|problem| problem.place == "artifacts"),
            "kill {kills}, seed {seed}: {report}"
        );
        let store = folder.open().await;
        assert!(store.sweep(DELETED).await.unwrap().is_none(), "kill {kills}, seed {seed}");
        assert_eq!(store.points(AttemptKey(1)).await.unwrap().len(), 3, "kill {kills}, seed {seed}");
        assert!(store.result(AttemptKey(1)).await.unwrap().is_some(), "kill {kills}, seed {seed}");
        assert_eq!(
            store.replicates(SWEEP).try_collect::<Vec<_>>().await.unwrap().len(),
            6,
            "kill {kills}, seed {seed}"
        );
        store.close().await;
        drop(store);
        if gone {
            break;
        }
        kills += 1;
    }
    assert!(kills > 2, "{kills} kills");
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(folder.path())).await.unwrap();
    for (table, expected) in [("trials", 8), ("sweep_trials", 8), ("configurations", 2), ("stages", 4)] {
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")))
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(rows, expected, "{table}");
    }
    pool.close().await;
    let left = std::fs::metadata(folder.path()).unwrap().len();
    assert!(left * 2 < full, "the file had {full} bytes and has {left}");
    eprintln!("{kills} kills, {TRIALS} trials, {full} bytes before and {left} after");
}

/// Starts this very program as a child that deletes, and kills it after its first piece; true if all was gone before.
fn delete_and_kill(path: &std::path::Path, wait: Duration) -> bool {
    let (mut child, mut lines) = start("deleting::a_child_that_deletes", path);
    let first = lines.find(|line| line.contains("piece") || line.contains("gone"));
    if first.is_some_and(|line| line.contains("gone")) {
        return child.wait().unwrap().success();
    }
    // The moment of the kill is what is random here; nothing is waited for.
    std::thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    lines.any(|line| line.contains("gone"))
}
