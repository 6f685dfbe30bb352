//! One batch of the engine as one transaction: one statement for each kind of row, whatever their number.

use sqlx::PgConnection;
use sweep_spec::FailureClass;
use sweep_spec::trainer::{EpochMetrics, Origin};

use super::columns::{Change, Columns, pieces, signed, text};
use super::{audit, deletions, holds, weights};
use crate::codes::{SweepState, class_code, outcome_code};
use crate::record::{ArtifactRecord, TestScore};
use crate::write::{Commit, ResultRow, StageChange, WorkerRow};
use crate::{Error, predictions};

const NOTHING: &str = "ON CONFLICT DO NOTHING";

pub(super) async fn commit(tx: &mut PgConnection, commit: &Commit) -> Result<(), Error> {
    sweeps(tx, commit).await?;
    trials(tx, commit).await?;
    endings(tx, commit).await?;
    weights::changes(tx, commit).await?;
    for row in &commit.sweeps_deleted {
        deletions::record(tx, row).await?;
    }
    audit::write(tx, &commit.audit).await
}

async fn sweeps(tx: &mut PgConnection, commit: &Commit) -> Result<(), Error> {
    for sweep in &commit.sweeps_begun {
        let begin = sqlx::query("UPDATE sweeps SET state = $1 WHERE id = $2 AND state = $3");
        let begin = begin.bind(SweepState::Running.code()).bind(signed(sweep.0)).bind(SweepState::Preparing.code());
        begin.execute(&mut *tx).await?;
    }
    for sweep in &commit.sweeps_reopened {
        let reopen =
            sqlx::query("UPDATE sweeps SET state = $1, reason = '', ended_ms = 0 WHERE id = $2 AND state > $1");
        reopen.bind(SweepState::Running.code()).bind(signed(sweep.0)).execute(&mut *tx).await?;
    }
    for (sweep, paused) in &commit.paused {
        let update = sqlx::query("UPDATE sweeps SET paused = $1 WHERE id = $2");
        update.bind(i64::from(*paused)).bind(signed(sweep.0)).execute(&mut *tx).await?;
    }
    for (sweep, priority) in &commit.priorities {
        let update = sqlx::query("UPDATE sweeps SET priority = $1 WHERE id = $2");
        update.bind(i64::from(*priority)).bind(signed(sweep.0)).execute(&mut *tx).await?;
    }
    for (sweep, stage, state) in &commit.stages_reopened {
        let reopen = sqlx::query(
            // A winner is never revised, and neither is who gets more seeds, once they have them.
            "UPDATE stages SET state = $1, \
             choice = CASE WHEN winner IS NULL AND (keep_best = 1 OR $1 = 0) THEN '' ELSE choice END, \
             decided = CASE WHEN winner IS NULL AND (keep_best = 1 OR $1 = 0) THEN NULL ELSE decided END \
             WHERE sweep = $2 AND position = $3",
        );
        let reopen = reopen.bind(state.code()).bind(signed(sweep.0)).bind(i64::from(*stage));
        reopen.execute(&mut *tx).await?;
    }
    for change in &commit.stages {
        stage(tx, change).await?;
    }
    for (sweep, digest) in &commit.pins {
        let pin = sqlx::query("UPDATE sweeps SET pin = $1 WHERE id = $2");
        pin.bind(digest.as_bytes().as_slice()).bind(signed(sweep.0)).execute(&mut *tx).await?;
    }
    for (key, found) in &commit.descriptions {
        let insert = sqlx::query(
            "INSERT INTO descriptions (dataset_key, digest, classes, channels, train_images, test_images) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        );
        let insert = insert.bind(key.as_bytes().as_slice()).bind(found.digest.as_bytes().as_slice());
        let insert = insert.bind(json(&found.classes)?).bind(i64::from(found.channels));
        let insert = insert.bind(i64::from(found.train_images)).bind(i64::from(found.test_images));
        insert.execute(&mut *tx).await?;
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
        let counter = sqlx::query(
            "INSERT INTO counters (name, value) VALUES ('session', $1) \
             ON CONFLICT (name) DO UPDATE SET value = GREATEST(counters.value, excluded.value)",
        );
        counter.bind(signed(session)).execute(&mut *tx).await?;
    }
    Ok(())
}

async fn stage(tx: &mut PgConnection, change: &StageChange) -> Result<(), Error> {
    let place = (signed(change.sweep.0), i64::from(change.stage));
    if let Some(state) = change.state {
        // Forward only: a stage that failed has also ended, and stays failed.
        let update = sqlx::query("UPDATE stages SET state = $1 WHERE sweep = $2 AND position = $3 AND state < $1");
        update.bind(state.code()).bind(place.0).bind(place.1).execute(&mut *tx).await?;
    }
    if !change.choice.is_empty() {
        // A choice is never revised.
        let update = sqlx::query(
            "UPDATE stages SET choice = $1, winner = $2, decided = $3 WHERE sweep = $4 AND position = $5 AND choice = ''",
        );
        let update = update.bind(text(&change.choice)).bind(change.winner.map(i64::from));
        let update = update.bind(change.decided.map(i64::from));
        update.bind(place.0).bind(place.1).execute(&mut *tx).await?;
    }
    Ok(())
}

async fn worker(tx: &mut PgConnection, row: &WorkerRow) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO workers (name, host, version, session, slots, labels, seen_ms) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (name) DO UPDATE SET host = excluded.host, version = excluded.version, \
         session = excluded.session, slots = excluded.slots, labels = excluded.labels, seen_ms = excluded.seen_ms",
    );
    let upsert = upsert.bind(text(&row.name)).bind(text(&row.host)).bind(text(&row.version));
    let upsert = upsert.bind(signed(row.session)).bind(json(&row.slots)?).bind(json(&row.labels)?);
    upsert.bind(row.at_ms).execute(&mut *tx).await?;
    Ok(())
}

async fn trials(tx: &mut PgConnection, commit: &Commit) -> Result<(), Error> {
    for rows in pieces(&commit.rounds_opened) {
        let columns = Columns::of(rows).bytes("trial", |(trial, ..)| trial.as_bytes().as_slice());
        let columns = columns.number("round", |(_, round, _)| i64::from(*round)).number("opened_ms", |row| row.2);
        columns.insert(tx, "rounds", NOTHING).await?;
    }
    for rows in pieces(&commit.bound) {
        let columns = Columns::of(rows).number("sweep", |row| signed(row.sweep.0));
        let columns = columns.number("configuration", |row| i64::from(row.configuration));
        let columns = columns.number("seed", |row| signed(row.seed)).number("round", |row| i64::from(row.round));
        let columns = columns.number("reused", |row| i64::from(row.reused));
        let change = Change { set: "round = v.round, reused = v.reused", condition: "TRUE" };
        columns.update(tx, "sweep_trials", &["sweep", "configuration", "seed"], change).await?;
    }
    for rows in pieces(&commit.attempts_started) {
        let columns = Columns::of(rows).number("key", |row| row.key.0);
        let columns = columns.bytes("trial", |row| row.lease.trial.as_bytes().as_slice());
        let columns = columns.number("round", |row| i64::from(row.lease.round));
        let columns = columns.number("attempt", |row| i64::from(row.lease.attempt)).text("worker", |row| &row.worker);
        let columns = columns.number("session", |row| signed(row.session)).number("slot", |row| i64::from(row.slot));
        let columns = columns.text("device", |row| &row.device).number("assigned_ms", |row| row.at_ms);
        let columns = columns.number_or_none("slot_memory_bytes", |row| row.slot_memory_bytes.map(signed));
        columns.insert(tx, "attempts", "").await?;
    }
    for rows in pieces(&commit.predictions) {
        let columns = Columns::of(rows).number("attempt", |row| row.attempt.0).real("seconds", |row| row.seconds);
        let columns = columns.real("low", |row| row.low).real("high", |row| row.high);
        let columns = columns.number("memory_bytes", |row| signed(row.memory_bytes));
        columns.insert(tx, "predictions", NOTHING).await?;
    }
    for rows in pieces(&commit.attempts_adopted) {
        let columns = Columns::of(rows).number("key", |(key, _)| key.0).number("session", |row| signed(row.1));
        let change = Change { set: "session = v.session", condition: "TRUE" };
        columns.update(tx, "attempts", &["key"], change).await?;
    }
    for rows in pieces(&commit.attempts_revived) {
        let columns = Columns::of(rows).number("key", |(key, ..)| key.0).number("session", |row| signed(row.2));
        let change = Change {
            set: "session = v.session, state = 0, ended_ms = 0, class = NULL, reason = '', start_seconds = 0, \
                  run_seconds = 0, log_tail = ''",
            condition: "attempts.state = 4",
        };
        columns.update(tx, "attempts", &["key"], change).await?;
    }
    for rows in pieces(&commit.points) {
        let columns = Columns::of(rows).number("attempt", |row| row.attempt.0);
        let columns = columns.number("sequence", |row| signed(row.sequence));
        metrics(columns, POINT, |row| row.metrics).insert(tx, "points", NOTHING).await?;
    }
    Ok(())
}

async fn endings(tx: &mut PgConnection, commit: &Commit) -> Result<(), Error> {
    for rows in pieces(&commit.results) {
        result(rows).insert(tx, "results", NOTHING).await?;
        origin(rows).insert(tx, "origins", NOTHING).await?;
        let tests: Vec<(i64, TestScore, Vec<u8>)> = rows.iter().filter_map(tested).collect();
        let columns = Columns::of(&tests).number("attempt", |row| row.0).number("epoch", |row| i64::from(row.1.epoch));
        let columns = columns.real("loss", |row| row.1.loss).real("accuracy", |row| row.1.accuracy);
        columns.bytes("body", |row| &row.2).insert(tx, "tests", NOTHING).await?;
        let encoded = |row: &ResultRow| Some((row.attempt.0, predictions::encode(row.said.validation.as_ref()?)));
        let validations: Vec<(i64, Vec<u8>)> = rows.iter().filter_map(encoded).collect();
        let columns = Columns::of(&validations).number("attempt", |row| row.0).bytes("body", |row| &row.1);
        columns.insert(tx, "validations", NOTHING).await?;
    }
    for rows in pieces(&commit.attempts_ended) {
        let columns = Columns::of(rows).number("key", |row| row.key.0).number("state", |row| row.state.code());
        let columns = columns.number_or_none("class", |row| class(&row.failure));
        let columns = columns.text("reason", |row| reason(&row.failure)).number("ended_ms", |row| row.at_ms);
        let columns = columns.real("start_seconds", |row| row.start_seconds);
        let columns = columns.real("run_seconds", |row| row.run_seconds).text("log_tail", |row| &row.log_tail);
        let change = Change {
            set: "state = v.state, class = v.class, reason = v.reason, ended_ms = v.ended_ms, \
                  start_seconds = v.start_seconds, run_seconds = v.run_seconds, log_tail = v.log_tail",
            condition: "attempts.state = 0",
        };
        columns.update(tx, "attempts", &["key"], change).await?;
    }
    for rows in pieces(&commit.pauses) {
        let columns = Columns::of(rows).number("attempt", |(attempt, _)| attempt.0).number("ms", |row| signed(row.1));
        columns.insert(tx, "pauses", NOTHING).await?;
    }
    for rows in pieces(&commit.rounds_ended) {
        let columns = Columns::of(rows).bytes("trial", |row| row.trial.as_bytes().as_slice());
        let columns = columns.number("round", |row| i64::from(row.round)).number("state", |row| row.state.code());
        let columns = columns.number_or_none("attempt", |row| row.accepted.map(|(attempt, _)| i64::from(attempt)));
        let columns = columns.number_or_none("outcome", |row| row.accepted.map(|(_, outcome)| outcome_code(outcome)));
        let columns = columns.number_or_none("class", |row| class(&row.failure));
        let columns = columns.text("reason", |row| reason(&row.failure)).number("ended_ms", |row| row.at_ms);
        let change = Change {
            set: "state = v.state, attempt = v.attempt, outcome = v.outcome, class = v.class, reason = v.reason, \
                  ended_ms = v.ended_ms",
            condition: "rounds.state = 0",
        };
        columns.update(tx, "rounds", &["trial", "round"], change).await?;
    }
    for row in &commit.sweeps_ended {
        let update =
            sqlx::query("UPDATE sweeps SET state = $1, reason = $2, ended_ms = $3 WHERE id = $4 AND state = $5");
        let update = update.bind(row.state.code()).bind(text(&row.reason)).bind(row.at_ms);
        update.bind(signed(row.sweep.0)).bind(SweepState::Running.code()).execute(&mut *tx).await?;
        if row.state == SweepState::Cancelled {
            // What the sweep never got: nobody will ever bind it.
            let update = sqlx::query("UPDATE stages SET state = 2 WHERE sweep = $1 AND state < 2");
            update.bind(signed(row.sweep.0)).execute(&mut *tx).await?;
        }
    }
    Ok(())
}

fn class(failure: &Option<(FailureClass, String)>) -> Option<i64> {
    failure.as_ref().map(|(class, _)| class_code(*class))
}

fn reason(failure: &Option<(FailureClass, String)>) -> &str {
    failure.as_ref().map_or("", |(_, reason)| reason)
}

/// The names of an epoch's columns, in order.
type Epoch = [&'static str; 8];

const POINT: Epoch = [
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
    "images_per_second",
];
const LAST: Epoch = [
    "last_epoch",
    "last_train_loss",
    "last_train_accuracy",
    "last_val_loss",
    "last_val_accuracy",
    "last_learning_rate",
    "last_seconds",
    "last_images_per_second",
];
const BEST: Epoch = [
    "best_epoch",
    "best_train_loss",
    "best_train_accuracy",
    "best_val_loss",
    "best_val_accuracy",
    "best_learning_rate",
    "best_seconds",
    "best_images_per_second",
];

/// An absent epoch is written as number 0.
const ABSENT: EpochMetrics = EpochMetrics::from_numbers(0, [0.0; 7]);

fn metrics<'r, T>(columns: Columns<'r, T>, names: Epoch, of: impl Fn(&'r T) -> EpochMetrics) -> Columns<'r, T> {
    let [epoch, numbers @ ..] = names;
    let columns = columns.number(epoch, |row| i64::from(of(row).epoch));
    let indexed = numbers.into_iter().enumerate();
    indexed.fold(columns, |columns, (index, name)| columns.real(name, |row| of(row).numbers()[index]))
}

fn result(rows: &[ResultRow]) -> Columns<'_, ResultRow> {
    let columns = Columns::of(rows).number("attempt", |row| row.attempt.0);
    let columns = columns.number("outcome", |row| outcome_code(row.result.outcome));
    let columns = metrics(columns, LAST, |row| row.result.last.unwrap_or(ABSENT));
    let columns = metrics(columns, BEST, |row| row.result.best.unwrap_or(ABSENT));
    let columns = columns.number("params", |row| signed(row.result.provenance.params));
    let columns = columns.real("images_per_second", |row| row.result.provenance.images_per_second);
    let columns = columns.real("seconds", |row| row.result.provenance.seconds);
    let columns = columns.number("peak_memory_bytes", |row| signed(row.result.provenance.peak_memory_bytes));
    let columns = columns.bytes("data_digest", |row| row.result.provenance.data_digest.as_bytes());
    let columns = columns.bytes("split_digest", |row| row.result.provenance.split_digest.as_bytes());
    let columns = columns.text("device", |row| &row.result.provenance.device);
    let columns = columns.text("device_name", |row| &row.result.provenance.device_name);
    let columns = columns.text("instruction_set", |row| &row.result.provenance.instruction_set);
    let columns = columns.text("trainer", |row| &row.result.provenance.trainer);
    columns.number("threads", |row| i64::from(row.result.provenance.threads))
}

fn tested(row: &ResultRow) -> Option<(i64, TestScore, Vec<u8>)> {
    let body = row.said.test.as_ref().map(predictions::encode).unwrap_or_default();
    Some((row.attempt.0, row.result.test?, body))
}

fn origin(rows: &[ResultRow]) -> Columns<'_, ResultRow> {
    fn of(row: &ResultRow) -> &Origin {
        &row.result.provenance.origin
    }
    let columns = Columns::of(rows).number("attempt", |row| row.attempt.0).text("driver", |row| &of(row).driver);
    let columns = columns.text("kernel_cache", |row| &of(row).kernel_cache).text("worker", |row| &of(row).worker);
    let columns = columns.text("worker_version", |row| &of(row).worker_version).text("host", |row| &of(row).host);
    let columns = columns.text("coordinator_version", |row| &of(row).coordinator_version);
    let columns = columns.number_or_none("sweep", |row| of(row).sweep.map(signed));
    let columns = columns
        .bytes_or_none("spec_digest", |row| of(row).spec_digest.as_ref().map(|digest| digest.as_bytes().as_slice()));
    let columns = columns.text("revision", |row| &of(row).revision);
    columns.bytes_or_none("protocol_digest", |row| {
        of(row).protocol_digest.as_ref().map(|digest| digest.as_bytes().as_slice())
    })
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::damaged(error.to_string()))
}

pub(super) async fn add_artifact(tx: &mut PgConnection, artifact: &ArtifactRecord) -> Result<(), Error> {
    // The attempt may be gone with its sweep since the artifact was announced.
    let insert = sqlx::query(
        "INSERT INTO artifacts (digest, kind, owner, data_digest, size_bytes) SELECT $1, $2, $3, $4, $5 \
         WHERE $3 = 0 OR EXISTS (SELECT 1 FROM attempts a WHERE a.key = $3) ON CONFLICT DO NOTHING",
    );
    let insert = insert.bind(artifact.digest.as_bytes().as_slice()).bind(artifact.kind.code());
    let insert = insert.bind(artifact.owner.map_or(0, |(key, ..)| key.0));
    let insert = insert.bind(artifact.data_digest.map(|digest| digest.as_bytes().to_vec()));
    insert.bind(signed(artifact.size_bytes)).execute(tx).await?;
    Ok(())
}
