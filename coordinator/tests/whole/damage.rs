//! A coordinator on a damaged store: it reports the damage and stops, or continues without the damaged parts until the
//! sweep ends.

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sweep_coordinator::Args;
use sweep_proto::v1;

use crate::env::{Env, SPEC, by_filters};

/// One row of each kind that a sweep depends on.
const DAMAGES: &[&str] = &[
    "UPDATE attempts SET worker = 'x' WHERE key = (SELECT MIN(key) FROM attempts WHERE state = 1)",
    "UPDATE attempts SET slot = 9 WHERE key = (SELECT MIN(key) FROM attempts WHERE state = 0)",
    "UPDATE attempts SET log_tail = 'x' WHERE key = (SELECT MIN(key) FROM attempts WHERE state = 1)",
    "UPDATE rounds SET outcome = 2 WHERE trial = (SELECT MIN(trial) FROM rounds WHERE state = 1)",
    "UPDATE rounds SET state = 2 WHERE trial = (SELECT MIN(trial) FROM rounds WHERE state = 0)",
    "UPDATE results SET seconds = 99 WHERE attempt = (SELECT MIN(attempt) FROM results)",
    "UPDATE sweep_trials SET reused = 1 WHERE seed = 1 AND configuration = (SELECT MAX(configuration) FROM sweep_trials)",
    "UPDATE configurations SET label = 'x' WHERE position = (SELECT MAX(position) FROM configurations)",
    "UPDATE stages SET choice = 'x' WHERE position = 0",
    "UPDATE trials SET seed = 77 WHERE id = (SELECT MIN(id) FROM trials)",
    "UPDATE points SET val_loss = 9 WHERE attempt IN (SELECT key FROM attempts WHERE state = 0) AND sequence = 1",
    "UPDATE counters SET value = 0 WHERE name = 'session'",
];

#[tokio::test]
async fn a_sweep_ends_without_what_was_damaged() {
    for damage in DAMAGES {
        let env = Env::new().await;
        let sweep = env.submit(SPEC).await.id;
        let mut worker = env.worker("w1", 2).await;
        for _ in 0..3 {
            worker.until_running().await;
            worker.finish_all(&by_filters()).await;
        }
        worker.until_running().await;
        let (lease, ..) = worker.running.values().next().unwrap().clone();
        worker.report(&lease, 1..=2).await;
        let folder = env.stop().await;
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(folder.path().join("sweep.db")));
        let pool = pool.await.unwrap();
        assert_eq!(sqlx::query(*damage).execute(&pool).await.unwrap().rows_affected(), 1, "{damage}");
        pool.close().await;

        let env = Env::on(folder, Args { accept_loss: true, ..Args::default() }).await;
        worker.client = env.worker("someone else", 0).await.client;
        worker.register().await;
        let ended = worker.work(&env, sweep, &by_filters()).await;
        assert_eq!(ended.state(), v1::SweepState::Succeeded, "{damage}: {ended:?}");
        let counts = ended.counts.unwrap();
        let gone = match *damage {
            text if text.contains("UPDATE sweep_trials") => 1,
            text if text.contains("UPDATE configurations") => 2,
            _ => 0,
        };
        assert_eq!(counts.succeeded, 14 - gone, "{damage}");
    }
}
