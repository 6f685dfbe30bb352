//! The small form of the chaos, and that its count can fail.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use sweep_tests::chaos::{Counts, Options, Witness, run};
use sweep_tests::scripted::Script;

use super::env::{Env, program};

const NOTHING: Counts =
    Counts { worker_kills: 0, coordinator_kills: 0, worker_pauses: 0, coordinator_pauses: 0, drains: 0 };

fn options(trials: u32, seed: u64, counts: Counts) -> Options {
    Options { trials, workers: 3, seed, counts, poison: 0, scribes: 1, faults: 0.15, epoch_ms: 12, folder: None }
}

#[tokio::test]
async fn each_trial_is_answered_once_whoever_is_killed() {
    let counts = Counts { worker_kills: 12, coordinator_kills: 3, worker_pauses: 1, coordinator_pauses: 1, drains: 2 };
    let report = run(program(), &options(150, 3, counts)).await.unwrap();
    assert!(report.problems.is_empty(), "{report:#?}");
    assert_eq!((report.done.worker_kills, report.done.coordinator_kills), (12, 3), "{report:#?}");
    assert!(report.acknowledged > 0, "nothing was acknowledged to the scribe: {report:#?}");
    assert!(report.count.endings["expired"] > 0, "nobody was met at work: {report:#?}");
}

#[tokio::test]
async fn a_trial_that_kills_its_workers_is_given_up_and_the_others_are_unharmed() {
    let report = run(program(), &Options { poison: 1, ..options(60, 4, NOTHING) }).await.unwrap();
    assert!(report.problems.is_empty(), "{report:#?}");
    let poison = report.poison.as_ref().unwrap();
    assert!(poison.reasons[0].contains("quarantined"), "{report:#?}");
    assert_eq!(report.done.poisoned, 12, "as often as a trial may lose its worker: {report:#?}");
}

#[tokio::test]
async fn the_count_sees_what_is_wrong() {
    const TRIALS: i64 = 12;
    let env = Env::new(&Script { epoch_ms: 1, ..Script::default() });
    let _worker = env.worker("w1");
    let sweep = env.submit(TRIALS as u32).await;
    env.ended(sweep).await;
    let sound = env.exactly_once(sweep, TRIALS).await;
    assert_eq!((sound.attempts, sound.attempts_max), (TRIALS, 1));
    let damages = [
        ("DELETE FROM results WHERE attempt = 1", &["accepted", "lost"][..]),
        ("DELETE FROM points WHERE attempt = 2 AND sequence = 1", &["incomplete"]),
        ("UPDATE points SET images_per_second = 2 WHERE attempt = 3", &["mixed"]),
        ("UPDATE attempts SET state = 0 WHERE key = 4", &["accepted", "live"]),
        ("UPDATE rounds SET state = 2 WHERE trial = (SELECT trial FROM attempts WHERE key = 5)", &["accepted", "lost"]),
        ("DELETE FROM attempts WHERE key = 6", &["accepted", "orphans"]),
        ("DELETE FROM sweep_trials WHERE trial = (SELECT trial FROM attempts WHERE key = 7)", &["trials"]),
        (
            "INSERT INTO attempts (key, trial, round, attempt, worker, session, slot, device, state, assigned_ms)
             SELECT 1000, trial, round, 2, worker, session, slot, device, 1, assigned_ms FROM attempts WHERE key = 8",
            &["accepted_twice"],
        ),
    ];
    for (damage, seen) in damages {
        let copy = env.path("copy.db");
        let options = SqliteConnectOptions::new().filename(env.fleet.store());
        let mut whole = options.connect().await.unwrap();
        drop(std::fs::remove_file(&copy));
        sqlx::query("VACUUM INTO ?").bind(copy.to_str().unwrap()).execute(&mut whole).await.unwrap();
        let mut damaged = SqliteConnectOptions::new().filename(&copy).connect().await.unwrap();
        let changed = sqlx::query(damage).execute(&mut damaged).await.unwrap().rows_affected();
        assert!(changed > 0, "{damage}");
        damaged.close().await.unwrap();
        let count = Witness::open(&copy).await.unwrap().count(sweep).await.unwrap();
        let problems = count.problems(TRIALS);
        for name in seen {
            assert!(problems.iter().any(|problem| problem.starts_with(name)), "{damage}: {problems:?}");
        }
    }
}
