//! One batch of the engine as one transaction: one statement for each kind of row, whatever their number.

use sqlx::SqliteConnection;

use super::number::{self, Writer};
use super::rows::{Statement, Values, signed};
use super::{audit, change, deletions, holds, weights};
use crate::codes::{class_code, outcome_code};
use crate::record::{ArtifactRecord, AttemptKey, TestScore};
use crate::write::{Commit, ResultRow, WorkerRow};
use crate::{Error, checksum, predictions};

/// The counter of sessions.
pub(super) const SESSION: &str = "session";

const ROUND_OPENED: Statement = Statement {
    head: "INSERT INTO rounds (trial, round, opened_ms, start_sum, end_sum) VALUES",
    columns: 5,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
// The rows are there; by their key they are found in the order of the spec, five times as fast as by the trial's hash.
const BOUND: Statement = Statement {
    head: "INSERT INTO sweep_trials (sweep, configuration, seed, trial, round, reused, sum) VALUES",
    columns: 7,
    constants: "",
    tail: "ON CONFLICT (sweep, configuration, seed) DO UPDATE SET round = excluded.round, reused = excluded.reused, \
           sum = excluded.sum",
};
const ATTEMPT_STARTED: Statement = Statement {
    head: "INSERT INTO attempts (key, trial, round, attempt, worker, slot, device, slot_memory_bytes, assigned_ms, \
           start_sum, session, end_sum, log_sum) VALUES",
    columns: 13,
    constants: "",
    tail: "",
};
const PREDICTION: Statement = Statement {
    head: "INSERT INTO predictions (attempt, seconds, low, high, memory_bytes, sum) VALUES",
    columns: 6,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const ATTEMPT_ADOPTED: Statement = Statement {
    head: "WITH v (key, session) AS (VALUES",
    columns: 2,
    constants: "",
    tail: ") UPDATE attempts SET session = v.session FROM v WHERE attempts.key = v.key",
};
const ATTEMPT_REVIVED: Statement = Statement {
    head: "WITH v (key, session, end_sum, log_sum) AS (VALUES",
    columns: 4,
    constants: "",
    tail: ") UPDATE attempts SET session = v.session, state = 0, ended_ms = 0, class = NULL, reason = '', \
           start_seconds = 0, run_seconds = 0, log_tail = '', end_sum = v.end_sum, log_sum = v.log_sum FROM v \
           WHERE attempts.key = v.key AND attempts.state = 4",
};
const POINT: Statement = Statement {
    head: "INSERT INTO points (attempt, sequence, epoch, train_loss, train_accuracy, val_loss, val_accuracy, \
           learning_rate, seconds, images_per_second, sum) VALUES",
    columns: 11,
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
           instruction_set, trainer, threads, sum, answer_sum) VALUES",
    columns: 31,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const ORIGIN: Statement = Statement {
    head: "INSERT INTO origins (attempt, driver, kernel_cache, worker, worker_version, host, coordinator_version, sweep, \
           spec_digest, revision, protocol_digest, sum) VALUES",
    columns: 12,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const TEST: Statement = Statement {
    head: "INSERT INTO tests (attempt, epoch, loss, accuracy, sum, body, body_sum) VALUES",
    columns: 7,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const VALIDATION: Statement = Statement {
    head: "INSERT INTO validations (attempt, body, sum) VALUES",
    columns: 3,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
// The rows of these two are there as well. An upsert finds them five times as fast as an update from a list of values
// does; what it would insert is never used.
const ATTEMPT_ENDED: Statement = Statement {
    head: "INSERT INTO attempts (key, state, class, reason, ended_ms, start_seconds, run_seconds, end_sum, log_tail, \
           log_sum, trial, round, attempt, worker, session, slot, device, assigned_ms) VALUES",
    columns: 13,
    constants: ", '', 0, 0, '', 0",
    tail: "ON CONFLICT DO UPDATE SET state = excluded.state, class = excluded.class, reason = excluded.reason, \
           ended_ms = excluded.ended_ms, start_seconds = excluded.start_seconds, run_seconds = excluded.run_seconds, \
           end_sum = excluded.end_sum, log_tail = excluded.log_tail, log_sum = excluded.log_sum \
           WHERE attempts.state = 0",
};
const PAUSE: Statement = Statement {
    head: "INSERT INTO pauses (attempt, ms, sum) VALUES",
    columns: 3,
    constants: "",
    tail: "ON CONFLICT DO NOTHING",
};
const ROUND_ENDED: Statement = Statement {
    head: "INSERT INTO rounds (trial, round, state, attempt, outcome, class, reason, ended_ms, end_sum, opened_ms) VALUES",
    columns: 9,
    constants: ", 0",
    tail: "ON CONFLICT (trial, round) DO UPDATE SET state = excluded.state, attempt = excluded.attempt, \
           outcome = excluded.outcome, class = excluded.class, reason = excluded.reason, ended_ms = excluded.ended_ms, \
           end_sum = excluded.end_sum WHERE rounds.state = 0",
};

pub(super) async fn commit(writer: &Writer, commit: &Commit) -> Result<(), Error> {
    let mut numbered = writer.begin().await?;
    let tx = &mut *numbered.transaction;
    change::sweeps(tx, commit).await?;
    side_tables(tx, commit).await?;
    trials(tx, commit).await?;
    endings(tx, commit).await?;
    change::sweeps_ended(tx, &commit.sweeps_ended).await?;
    weights::changes(tx, commit).await?;
    for row in &commit.sweeps_deleted {
        deletions::record(tx, row).await?;
    }
    audit::write(tx, &commit.audit).await?;
    numbered.commit().await
}

async fn side_tables(tx: &mut SqliteConnection, commit: &Commit) -> Result<(), Error> {
    for (key, found) in &commit.descriptions {
        let insert = sqlx::query(
            "INSERT INTO descriptions (dataset_key, digest, classes, channels, train_images, test_images, sum) \
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        );
        let classes = json(&found.classes)?;
        let values = Values::of(insert).blob(key.as_bytes().as_slice()).blob(found.digest.as_bytes().as_slice());
        let values = values.text(&classes).int(found.channels).int(found.train_images).int(found.test_images).sum();
        values.query.execute(&mut *tx).await?;
    }
    for row in &commit.workers {
        worker(tx, row).await?;
    }
    for row in &commit.services {
        audit::service(tx, row).await?;
    }
    for row in &commit.names {
        audit::name(tx, row).await?;
    }
    for row in &commit.holds {
        holds::write(tx, row).await?;
    }
    if let Some(session) = commit.last_session {
        let last = number::read(tx, SESSION).await?;
        number::set(tx, SESSION, session.max(last)).await?;
    }
    Ok(())
}

async fn worker(tx: &mut SqliteConnection, row: &WorkerRow) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO workers (name, host, version, session, slots, labels, seen_ms, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (name) DO UPDATE SET host = excluded.host, version = excluded.version, \
         session = excluded.session, slots = excluded.slots, labels = excluded.labels, seen_ms = excluded.seen_ms, \
         sum = excluded.sum",
    );
    let (slots, labels) = (json(&row.slots)?, json(&row.labels)?);
    let values = Values::of(upsert).text(&row.name).text(&row.host).text(&row.version).number(row.session);
    values.text(&slots).text(&labels).int(row.at_ms).sum().query.execute(&mut *tx).await?;
    Ok(())
}

async fn trials(tx: &mut SqliteConnection, commit: &Commit) -> Result<(), Error> {
    ROUND_OPENED
        .run(tx, &commit.rounds_opened, |values, (trial, round, at_ms)| {
            let values = values.blob(trial.as_bytes().as_slice()).int(*round).int(*at_ms).sum();
            values.loose(checksum::open_round(*trial, *round))
        })
        .await?;
    BOUND
        .run(tx, &commit.bound, |values, row| {
            let values = values.number(row.sweep.0).int(row.configuration).number(row.seed);
            values.blob(row.trial.as_bytes().as_slice()).int(row.round).int(row.reused).sum()
        })
        .await?;
    ATTEMPT_STARTED
        .run(tx, &commit.attempts_started, |values, row| {
            let values = values.int(row.key.0).blob(row.lease.trial.as_bytes().as_slice()).int(row.lease.round);
            let values = values.int(row.lease.attempt).text(&row.worker).int(row.slot).text(&row.device);
            let values = values.option(row.slot_memory_bytes.map(signed)).int(row.at_ms).sum();
            // Nobody reads the session back: after a restart every worker opens another.
            let (end, log) = checksum::live_attempt(row.key);
            values.loose(signed(row.session)).loose(end).loose(log)
        })
        .await?;
    PREDICTION
        .run(tx, &commit.predictions, |values, row| {
            let values = values.int(row.attempt.0).real(row.seconds).real(row.low).real(row.high);
            values.number(row.memory_bytes).sum()
        })
        .await?;
    ATTEMPT_ADOPTED
        .run(tx, &commit.attempts_adopted, |values, (key, session)| values.loose(key.0).loose(signed(*session)))
        .await?;
    ATTEMPT_REVIVED
        .run(tx, &commit.attempts_revived, |values, (key, _, session)| {
            let (end, log) = checksum::live_attempt(*key);
            values.loose(key.0).loose(signed(*session)).loose(end).loose(log)
        })
        .await?;
    POINT
        .run(tx, &commit.points, |values, row| {
            let values = values.loose(row.attempt.0).loose(signed(row.sequence)).metrics(Some(&row.metrics));
            values.loose(checksum::point(row.attempt, row.sequence, &row.metrics))
        })
        .await?;
    Ok(())
}

async fn endings(tx: &mut SqliteConnection, commit: &Commit) -> Result<(), Error> {
    RESULT.run(tx, &commit.results, bind_result).await?;
    let validations: Vec<(AttemptKey, Vec<u8>)> = commit
        .results
        .iter()
        .filter_map(|row| Some((row.attempt, predictions::encode(row.said.validation.as_ref()?))))
        .collect();
    VALIDATION.run(tx, &validations, |values, (attempt, body)| values.int(attempt.0).blob(body).sum()).await?;
    ORIGIN.run(tx, &commit.results, bind_origin).await?;
    let tests: Vec<(AttemptKey, TestScore, Vec<u8>)> = commit.results.iter().filter_map(tested).collect();
    TEST.run(tx, &tests, |values, (attempt, test, body)| {
        let values = values.int(attempt.0).int(test.epoch).real(test.loss).real(test.accuracy).sum();
        values.key(attempt.0).blob(body).sum()
    })
    .await?;
    ATTEMPT_ENDED
        .run(tx, &commit.attempts_ended, |values, row| {
            let (class, reason) = failure(&row.failure);
            let values = values.int(row.key.0).int(row.state.code()).option(class).text(reason).int(row.at_ms);
            let values = values.real(row.start_seconds).real(row.run_seconds).sum();
            let values = values.key(row.key.0).text(&row.log_tail).sum();
            values.loose(row.lease.trial.as_bytes().as_slice()).loose(row.lease.round).loose(row.lease.attempt)
        })
        .await?;
    PAUSE.run(tx, &commit.pauses, |values, (attempt, ms)| values.int(attempt.0).number(*ms).sum()).await?;
    ROUND_ENDED
        .run(tx, &commit.rounds_ended, |values, row| {
            let (class, reason) = failure(&row.failure);
            let values = values.blob(row.trial.as_bytes().as_slice()).int(row.round).int(row.state.code());
            let values = values.option(row.accepted.map(|(attempt, _)| attempt));
            let values = values.option(row.accepted.map(|(_, outcome)| outcome_code(outcome)));
            values.option(class).text(reason).int(row.at_ms).sum()
        })
        .await?;
    Ok(())
}

fn failure(failure: &Option<(sweep_spec::FailureClass, String)>) -> (Option<i64>, &str) {
    match failure {
        Some((class, reason)) => (Some(class_code(*class)), reason),
        None => (None, ""),
    }
}

fn bind_result<'q>(values: Values<'q>, row: &'q ResultRow) -> Values<'q> {
    let values = values.loose(row.attempt.0).loose(outcome_code(row.result.outcome));
    let values = values.metrics(row.result.last.as_ref()).metrics(row.result.best.as_ref());
    let made = &row.result.provenance;
    let values = values.loose(signed(made.params)).loose(made.images_per_second).loose(made.seconds);
    let values = values.loose(signed(made.peak_memory_bytes)).loose(made.data_digest.as_bytes().as_slice());
    let values = values.loose(made.split_digest.as_bytes().as_slice()).loose(&made.device).loose(&made.device_name);
    let values = values.loose(&made.instruction_set).loose(&made.trainer).loose(made.threads);
    let values = values.loose(checksum::result(row.attempt, &row.result));
    values.loose(checksum::answer(row.attempt, made.data_digest.as_bytes(), made.seconds))
}

fn bind_origin<'q>(values: Values<'q>, row: &'q ResultRow) -> Values<'q> {
    let made = &row.result.provenance.origin;
    let values = values.int(row.attempt.0).text(&made.driver).text(&made.kernel_cache).text(&made.worker);
    let values = values.text(&made.worker_version).text(&made.host).text(&made.coordinator_version);
    let values = values.option(made.sweep.map(signed));
    let values = values.option_blob(made.spec_digest.as_ref().map(|digest| digest.as_bytes().as_slice()));
    let values = values.text(&made.revision);
    values.option_blob(made.protocol_digest.as_ref().map(|digest| digest.as_bytes().as_slice())).sum()
}

fn tested(row: &ResultRow) -> Option<(AttemptKey, TestScore, Vec<u8>)> {
    let body = row.said.test.as_ref().map(predictions::encode).unwrap_or_default();
    Some((row.attempt, row.result.test?, body))
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::damaged(error.to_string()))
}

pub(super) async fn add_artifact(writer: &Writer, artifact: &ArtifactRecord) -> Result<(), Error> {
    let mut numbered = writer.begin().await?;
    // The attempt may be gone with its sweep since the artifact was announced.
    let insert = sqlx::query(
        "INSERT INTO artifacts (digest, kind, owner, data_digest, size_bytes, sum) SELECT ?1, ?2, ?3, ?4, ?5, ?6 \
         WHERE ?3 = 0 OR EXISTS (SELECT 1 FROM attempts a WHERE a.key = ?3) ON CONFLICT DO NOTHING",
    );
    let values = Values::of(insert).blob(artifact.digest.as_bytes().as_slice()).int(artifact.kind.code());
    let values = values.int(artifact.owner.map_or(0, |(key, ..)| key.0));
    let values = values.option_blob(artifact.data_digest.as_ref().map(|digest| digest.as_bytes().as_slice()));
    values.number(artifact.size_bytes).sum().query.execute(&mut *numbered.transaction).await?;
    numbered.commit().await
}
