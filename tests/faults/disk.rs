//! A store that is slow: everything waits for it, nothing is lost over it, and the coordinator says so.

use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use sweep_tests::scripted::Script;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::env::Env;

const TRIALS: u32 = 12;

/// Trials with a result.
const SOME: &str = "SELECT COUNT(*) >= 4 FROM sweep_trials t JOIN rounds r ON r.trial = t.trial
    WHERE t.sweep = ?1 AND r.state = 1";

/// The coordinator's metrics, as Prometheus reads them.
async fn metrics(env: &Env) -> String {
    let log = env.fleet.log("coordinator");
    let address = log.split("http=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("where it listens");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// The value of a metric without labels.
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

/// Holds the store's write lock for so long in the middle of a sweep, as another process would, or a disk that stands still.
async fn held_up(hold: Duration) -> Env {
    let script = Script { epoch_ms: 5, ..Script::default() };
    let env = Env::with(&script, |fleet| fleet.coordinator_key("lease_ttl_ms", 1000.into()));
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
    let env = held_up(Duration::from_secs(3)).await;
    let metrics = metrics(&env).await;
    assert!(value(&metrics, "sweep_commit_seconds_sum") > 2.0, "{metrics}");
}

#[tokio::test]
async fn a_commit_that_is_given_up_is_made_again() {
    // SQLite waits ten seconds for a lock.
    held_up(Duration::from_secs(13)).await;
}
