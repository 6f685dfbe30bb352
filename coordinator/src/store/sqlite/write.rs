//! One batch of the engine as one transaction: one statement for each kind of row, whatever their number.

use prost::Message;
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use sweep_spec::trainer::EpochMetrics;

use super::audit;
use super::rows::{Bound, Statement, signed};
use crate::store::Error;
use crate::store::codes::{RoundState, SweepState, class_code, outcome_code};
use crate::store::record::ArtifactRecord;
use crate::store::write::{Commit, ResultRow, StageChange, WorkerRow};

const ROUND_OPENED: Statement = Statement {
    head: "INSERT INTO rounds (trial, round, opened_ms) VALUES",
    columns: 3,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
// The rows are there; by their key they are found in the order of the spec, five times as fast as by the trial's hash.
const BOUND: Statement = Statement {
    head: "INSERT INTO sweep_trials (sweep, configuration, seed, trial, round, reused) VALUES",
    columns: 6,
    constants: "",
    tail: "ON CONFLICT (sweep, configuration, seed) DO UPDATE SET round = excluded.round, reused = excluded.reused",
};
const ATTEMPT_STARTED: Statement = Statement {
    head: "INSERT INTO attempts (key, trial, round, attempt, worker, session, slot, device, \
           slot_memory_bytes, assigned_ms) VALUES",
    columns: 10,
    constants: "",
    tail: "",
};
const ATTEMPT_ADOPTED: Statement = Statement {
    head: "WITH v (key, session) AS (VALUES",
    columns: 2,
    constants: "",
    tail: ") UPDATE attempts SET session = v.session FROM v WHERE attempts.key = v.key",
};
const ATTEMPT_REVIVED: Statement = Statement {
    head: "WITH v (key, session) AS (VALUES",
    columns: 2,
    constants: "",
    tail: ") UPDATE attempts SET session = v.session, state = 0, ended_ms = 0, class = NULL, reason = '', \
           start_seconds = 0, run_seconds = 0, log_tail = '' FROM v WHERE attempts.key = v.key AND attempts.state = 4",
};
const POINT: Statement = Statement {
    head: "INSERT INTO points (attempt, sequence, epoch, train_loss, train_accuracy, val_loss, val_accuracy, \
           learning_rate, seconds, images_per_second) VALUES",
    columns: 10,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const RESULT: Statement = Statement {
    head: "INSERT INTO results (attempt, outcome, \
           last_epoch, last_train_loss, last_train_accuracy, last_val_loss, last_val_accuracy, last_learning_rate, \
           last_seconds, last_images_per_second, \
           best_epoch, best_train_loss, best_train_accuracy, best_val_loss, best_val_accuracy, best_learning_rate, \
           best_seconds, best_images_per_second, \
           params, images_per_second, seconds, peak_memory_bytes, data_digest, split_digest, device, device_name, \
           instruction_set, trainer, threads) VALUES",
    columns: 29,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const VALIDATION: Statement = Statement {
    head: "INSERT INTO validations (attempt, body) VALUES",
    columns: 2,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
// The rows of these two are there as well. An upsert finds them five times as fast as an update from a list of values
// does; what it would insert is never used.
const ATTEMPT_ENDED: Statement = Statement {
    head: "INSERT INTO attempts (key, trial, round, attempt, state, class, reason, ended_ms, start_seconds, \
           run_seconds, log_tail, worker, session, slot, device, assigned_ms) VALUES",
    columns: 11,
    constants: ", '', 0, 0, '', 0",
    tail: "ON CONFLICT DO UPDATE SET state = excluded.state, class = excluded.class, reason = excluded.reason, \
           ended_ms = excluded.ended_ms, start_seconds = excluded.start_seconds, run_seconds = excluded.run_seconds, \
           log_tail = excluded.log_tail WHERE attempts.state = 0",
};
const ROUND_ENDED: Statement = Statement {
    head: "INSERT INTO rounds (trial, round, state, attempt, outcome, class, reason, ended_ms, opened_ms) VALUES",
    columns: 8,
    constants: ", 0",
    tail: "ON CONFLICT (trial, round) DO UPDATE SET state = excluded.state, attempt = excluded.attempt, \
           outcome = excluded.outcome, class = excluded.class, reason = excluded.reason, ended_ms = excluded.ended_ms \
           WHERE rounds.state = 0",
};

pub(super) async fn commit(pool: &SqlitePool, commit: &Commit) -> Result<(), Error> {
    let mut transaction: Transaction<'_, Sqlite> = pool.begin_with("BEGIN IMMEDIATE").await?;
    sweeps(&mut transaction, commit).await?;
    trials(&mut transaction, commit).await?;
    endings(&mut transaction, commit).await?;
    audit::write(&mut transaction, &commit.audit).await?;
    transaction.commit().await?;
    Ok(())
}

async fn sweeps(tx: &mut SqliteConnection, commit: &Commit) -> Result<(), Error> {
    for sweep in &commit.sweeps_begun {
        let begin = sqlx::query("UPDATE sweeps SET state = ? WHERE id = ? AND state = ?");
        let begin = begin.bind(SweepState::Running.code()).bind(signed(sweep.0)).bind(SweepState::Preparing.code());
        begin.execute(&mut *tx).await?;
    }
    for sweep in &commit.sweeps_reopened {
        let reopen = sqlx::query("UPDATE sweeps SET state = ?, reason = '', ended_ms = 0 WHERE id = ? AND state > ?");
        let running = SweepState::Running.code();
        reopen.bind(running).bind(signed(sweep.0)).bind(running).execute(&mut *tx).await?;
    }
    for (sweep, paused) in &commit.paused {
        let update = sqlx::query("UPDATE sweeps SET paused = ? WHERE id = ?");
        update.bind(paused).bind(signed(sweep.0)).execute(&mut *tx).await?;
    }
    for (sweep, priority) in &commit.priorities {
        let update = sqlx::query("UPDATE sweeps SET priority = ? WHERE id = ?");
        update.bind(priority).bind(signed(sweep.0)).execute(&mut *tx).await?;
    }
    for (sweep, stage, state) in &commit.stages_reopened {
        let reopen = sqlx::query(
            "UPDATE stages SET state = ?, choice = '', winner = NULL, decided = NULL WHERE sweep = ? AND position = ?",
        );
        reopen.bind(state.code()).bind(signed(sweep.0)).bind(stage).execute(&mut *tx).await?;
    }
    for change in &commit.stages {
        stage(tx, change).await?;
    }
    for (sweep, digest) in &commit.pins {
        let pin = sqlx::query("UPDATE sweeps SET pin = ? WHERE id = ?");
        pin.bind(digest.as_bytes().as_slice()).bind(signed(sweep.0)).execute(&mut *tx).await?;
    }
    for (key, found) in &commit.descriptions {
        let insert = sqlx::query(
            "INSERT INTO descriptions (dataset_key, digest, classes, channels, train_images, test_images) \
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        );
        let insert = insert.bind(key.as_bytes().as_slice()).bind(found.digest.as_bytes().as_slice());
        let insert = insert.bind(json(&found.classes)?).bind(found.channels);
        insert.bind(found.train_images).bind(found.test_images).execute(&mut *tx).await?;
    }
    for row in &commit.workers {
        worker(tx, row).await?;
    }
    for row in &commit.services {
        audit::service(tx, row).await?;
    }
    if let Some(session) = commit.last_session {
        let counter = sqlx::query(
            "INSERT INTO counters (name, value) VALUES ('session', ?) \
             ON CONFLICT (name) DO UPDATE SET value = MAX(value, excluded.value)",
        );
        counter.bind(signed(session)).execute(&mut *tx).await?;
    }
    Ok(())
}

async fn stage(tx: &mut SqliteConnection, change: &StageChange) -> Result<(), Error> {
    if let Some(state) = change.state {
        // Forward only: a stage that failed has also ended, and stays failed.
        let update = sqlx::query("UPDATE stages SET state = ?1 WHERE sweep = ?2 AND position = ?3 AND state < ?1");
        update.bind(state.code()).bind(signed(change.sweep.0)).bind(change.stage).execute(&mut *tx).await?;
    }
    if !change.choice.is_empty() {
        // A choice is never revised.
        let update = sqlx::query(
            "UPDATE stages SET choice = ?, winner = ?, decided = ? WHERE sweep = ? AND position = ? AND choice = ''",
        );
        let update = update.bind(&change.choice).bind(change.winner).bind(change.decided);
        update.bind(signed(change.sweep.0)).bind(change.stage).execute(&mut *tx).await?;
    }
    Ok(())
}

async fn worker(tx: &mut SqliteConnection, row: &WorkerRow) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO workers (name, host, version, session, slots, labels, seen_ms) VALUES (?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (name) DO UPDATE SET host = excluded.host, version = excluded.version, \
         session = excluded.session, slots = excluded.slots, labels = excluded.labels, seen_ms = excluded.seen_ms",
    );
    let upsert = upsert.bind(&row.name).bind(&row.host).bind(&row.version).bind(signed(row.session));
    upsert.bind(json(&row.slots)?).bind(json(&row.labels)?).bind(row.at_ms).execute(&mut *tx).await?;
    Ok(())
}

async fn trials(tx: &mut SqliteConnection, commit: &Commit) -> Result<(), Error> {
    ROUND_OPENED
        .run(tx, &commit.rounds_opened, |query, (trial, round, at_ms)| {
            query.bind(trial.as_bytes().as_slice()).bind(round).bind(at_ms)
        })
        .await?;
    BOUND
        .run(tx, &commit.bound, |query, row| {
            let query = query.bind(signed(row.sweep.0)).bind(row.configuration).bind(signed(row.seed));
            query.bind(row.trial.as_bytes().as_slice()).bind(row.round).bind(row.reused)
        })
        .await?;
    ATTEMPT_STARTED
        .run(tx, &commit.attempts_started, |query, row| {
            let query = query.bind(row.key.0).bind(row.lease.trial.as_bytes().as_slice()).bind(row.lease.round);
            let query = query.bind(row.lease.attempt).bind(&row.worker).bind(signed(row.session));
            query.bind(row.slot).bind(&row.device).bind(row.slot_memory_bytes.map(signed)).bind(row.at_ms)
        })
        .await?;
    ATTEMPT_ADOPTED
        .run(tx, &commit.attempts_adopted, |query, (key, session)| query.bind(key.0).bind(signed(*session)))
        .await?;
    ATTEMPT_REVIVED
        .run(tx, &commit.attempts_revived, |query, (key, _, session)| query.bind(key.0).bind(signed(*session)))
        .await?;
    POINT
        .run(tx, &commit.points, |query, row| {
            bind_metrics(query.bind(row.attempt.0).bind(signed(row.sequence)), Some(&row.metrics))
        })
        .await?;
    Ok(())
}

async fn endings(tx: &mut SqliteConnection, commit: &Commit) -> Result<(), Error> {
    RESULT.run(tx, &commit.results, bind_result).await?;
    let validations: Vec<(i64, Vec<u8>)> = commit
        .results
        .iter()
        .filter_map(|row| Some((row.attempt.0, row.validation.as_ref()?.encode_to_vec())))
        .collect();
    VALIDATION.run(tx, &validations, |query, (attempt, body)| query.bind(attempt).bind(body)).await?;
    ATTEMPT_ENDED
        .run(tx, &commit.attempts_ended, |query, row| {
            let (class, reason) = failure(&row.failure);
            let query = query.bind(row.key.0).bind(row.lease.trial.as_bytes().as_slice()).bind(row.lease.round);
            let query = query.bind(row.lease.attempt).bind(row.state.code()).bind(class).bind(reason).bind(row.at_ms);
            query.bind(row.start_seconds).bind(row.run_seconds).bind(&row.log_tail)
        })
        .await?;
    ROUND_ENDED
        .run(tx, &commit.rounds_ended, |query, row| {
            let (class, reason) = failure(&row.failure);
            let query = query.bind(row.trial.as_bytes().as_slice()).bind(row.round).bind(row.state.code());
            let query = query.bind(row.accepted.map(|(attempt, _)| attempt));
            let query = query.bind(row.accepted.map(|(_, outcome)| outcome_code(outcome)));
            query.bind(class).bind(reason).bind(row.at_ms)
        })
        .await?;
    for row in &commit.sweeps_ended {
        let update = sqlx::query("UPDATE sweeps SET state = ?, reason = ?, ended_ms = ? WHERE id = ? AND state = ?");
        let update = update.bind(row.state.code()).bind(&row.reason).bind(row.at_ms);
        update.bind(signed(row.sweep.0)).bind(SweepState::Running.code()).execute(&mut *tx).await?;
        if row.state == SweepState::Cancelled {
            // What the sweep never got: nobody will ever bind it.
            let update = sqlx::query("UPDATE stages SET state = 2 WHERE sweep = ? AND state < 2");
            update.bind(signed(row.sweep.0)).execute(&mut *tx).await?;
        }
    }
    debug_assert_eq!(RoundState::Open.code(), 0);
    Ok(())
}

fn failure(failure: &Option<(sweep_spec::FailureClass, String)>) -> (Option<i64>, &str) {
    match failure {
        Some((class, reason)) => (Some(class_code(*class)), reason),
        None => (None, ""),
    }
}

/// Eight values; an epoch that is absent is number 0.
fn bind_metrics<'q>(query: Bound<'q>, metrics: Option<&EpochMetrics>) -> Bound<'q> {
    let none = EpochMetrics {
        epoch: 0,
        train_loss: 0.0,
        train_accuracy: 0.0,
        val_loss: 0.0,
        val_accuracy: 0.0,
        learning_rate: 0.0,
        seconds: 0.0,
        images_per_second: 0.0,
    };
    let metrics = metrics.unwrap_or(&none);
    let query = query.bind(metrics.epoch).bind(metrics.train_loss).bind(metrics.train_accuracy);
    let query = query.bind(metrics.val_loss).bind(metrics.val_accuracy).bind(metrics.learning_rate);
    query.bind(metrics.seconds).bind(metrics.images_per_second)
}

fn bind_result<'q>(query: Bound<'q>, row: &'q ResultRow) -> Bound<'q> {
    let query = query.bind(row.attempt.0).bind(outcome_code(row.result.outcome));
    let query = bind_metrics(query, row.result.last.as_ref());
    let query = bind_metrics(query, row.result.best.as_ref());
    let made = &row.result.provenance;
    let query = query.bind(signed(made.params)).bind(made.images_per_second).bind(made.seconds);
    let query = query.bind(signed(made.peak_memory_bytes)).bind(made.data_digest.as_bytes().as_slice());
    let query = query.bind(made.split_digest.as_bytes().as_slice()).bind(&made.device).bind(&made.device_name);
    query.bind(&made.instruction_set).bind(&made.trainer).bind(made.threads)
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::damaged(error.to_string()))
}

pub(super) async fn add_artifact(pool: &SqlitePool, artifact: &ArtifactRecord) -> Result<(), Error> {
    let insert = sqlx::query(
        "INSERT INTO artifacts (digest, kind, owner, data_digest, size_bytes) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT DO NOTHING",
    );
    let insert = insert.bind(artifact.digest.as_bytes().as_slice()).bind(i32::from(artifact.kind));
    let insert = insert.bind(artifact.owner.map_or(0, |(key, ..)| key.0));
    let insert = insert.bind(artifact.data_digest.map(|digest| digest.as_bytes().to_vec()));
    insert.bind(signed(artifact.size_bytes)).execute(pool).await?;
    Ok(())
}
