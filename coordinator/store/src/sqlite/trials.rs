//! Trials, attempts, points and results, as they are read.

use futures::StreamExt;
use futures::stream::BoxStream;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use sweep_scheduler::{Lease, SweepId};
use sweep_spec::trainer::{EpochMetrics, Origin, Provenance, Validation};
use sweep_spec::{Digest, FailureClass, Protocol, Trial, TrialId};

use super::read::{self, digest, from_json, trial_id};
use super::row_reader::RowReader;
use super::rows::{signed, unsigned};
use crate::codes::{AttemptState, RoundState, SweepState, class_of, outcome_of};
use crate::record::{
    AttemptKey, AttemptRecord, Point, Repeat, Replicate, ResultRecord, TestScore, TrialPage, TrialRecord, TrialRow,
    TrialState,
};
use crate::trial_filter::{RUNNING, condition};
use crate::{Error, checksum, predictions};

/// The columns of a result, of where it comes from and of its test part, as `result` reads them; all absent where a left
/// join found none.
const RESULT: &str = "r.attempt, r.outcome, \
    r.last_epoch, r.last_train_loss, r.last_train_accuracy, r.last_val_loss, r.last_val_accuracy, \
    r.last_learning_rate, r.last_seconds, r.last_images_per_second, \
    r.best_epoch, r.best_train_loss, r.best_train_accuracy, r.best_val_loss, r.best_val_accuracy, \
    r.best_learning_rate, r.best_seconds, r.best_images_per_second, \
    r.params, r.images_per_second, r.seconds, r.peak_memory_bytes, r.data_digest, r.split_digest, \
    r.device, r.device_name, r.instruction_set, r.trainer, r.threads, r.sum, \
    y.attempt, y.driver, y.kernel_cache, y.worker, y.worker_version, y.host, y.coordinator_version, y.sweep, \
    y.spec_digest, y.revision, y.protocol_digest, y.sum, \
    x.attempt, x.epoch, x.loss, x.accuracy, x.sum";

/// Every trial of a sweep's opened stages, with its round and its accepted attempt. Stages that are prepared but not
/// open are left out. The order of the joins is fixed: rows come in the order of the spec and are sorted nowhere.
const TRIALS: &str = "FROM sweep_trials t \
    CROSS JOIN sweeps s ON s.id = t.sweep \
    CROSS JOIN configurations k ON k.sweep = t.sweep AND k.position = t.configuration \
    LEFT JOIN rounds o ON o.trial = t.trial AND o.round = t.round \
    LEFT JOIN attempts a ON a.trial = t.trial AND a.attempt = o.attempt \
    LEFT JOIN results r ON r.attempt = a.key \
    LEFT JOIN origins y ON y.attempt = r.attempt \
    LEFT JOIN tests x ON x.attempt = r.attempt \
    WHERE t.sweep = ? AND EXISTS (SELECT 1 FROM stage_configurations c JOIN stages g \
        ON g.sweep = c.sweep AND g.position = c.stage \
        WHERE c.sweep = t.sweep AND c.configuration = t.configuration AND g.state IN (1, 2))";

/// What every question about trials reads of one, as `replicate` takes it.
fn replicate_columns() -> String {
    format!(
        "t.configuration, k.params, t.seed, t.trial, t.reused, o.state AS round_state, s.state AS sweep_state, \
         CASE WHEN o.state = 0 THEN {RUNNING} ELSE 0 END AS running, {RESULT}"
    )
}

/// How many of them stand before the result.
const BEFORE_RESULT: usize = 8;

pub(super) fn replicates(pool: &SqlitePool, sweep: SweepId) -> BoxStream<'_, Result<Replicate, Error>> {
    let text = format!("SELECT {} {TRIALS} ORDER BY t.configuration, t.seed", replicate_columns());
    let rows = sqlx::query(AssertSqlSafe(text)).bind(signed(sweep.0)).fetch(pool);
    rows.map(|row| replicate(&row?)).boxed()
}

fn replicate(row: &SqliteRow) -> Result<Replicate, Error> {
    let state: Option<i64> = row.try_get("round_state")?;
    let state = state.map(RoundState::of).transpose()?;
    let given_up = SweepState::of(row.try_get("sweep_state")?)? == SweepState::Cancelled;
    Ok(Replicate {
        configuration: row.try_get("configuration")?,
        params: unsigned(row.try_get(1)?),
        seed: unsigned(row.try_get("seed")?),
        trial: trial_id(row.try_get("trial")?)?,
        // What a cancelled sweep had not got when it was cancelled stays ungot, whoever else goes on with it.
        state: match state {
            None | Some(RoundState::Open) if given_up => Some(RoundState::Cancelled),
            state => state,
        },
        running: row.try_get::<i64, _>("running")? != 0 && !given_up,
        reused: row.try_get("reused")?,
        result: result(RowReader::from(row, BEFORE_RESULT, "results"))?,
    })
}

pub(super) async fn page(pool: &SqlitePool, page: &TrialPage) -> Result<Vec<TrialRow>, Error> {
    let (configuration, seed) = page.start();
    let condition = condition(page);
    let text = format!(
        "SELECT {columns}, o.class, o.reason, k.name, k.label, k.body, \
         (SELECT json_group_array(stage) FROM stage_configurations g \
          WHERE g.sweep = t.sweep AND g.configuration = t.configuration) AS stages, \
         (SELECT MAX(attempt) FROM attempts n WHERE n.trial = t.trial) AS attempts, \
         n.attempt AS newest_attempt, n.key AS newest_key, n.worker AS newest_worker \
         {from} AND (t.configuration, t.seed) > (?, ?) {condition} \
         ORDER BY t.configuration, t.seed LIMIT ?",
        columns = replicate_columns(),
        from = TRIALS.replacen(
            "WHERE",
            "LEFT JOIN attempts n ON n.trial = t.trial AND n.attempt = (SELECT MAX(m.attempt) FROM attempts m \
             WHERE m.trial = t.trial AND m.round = t.round) WHERE",
            1
        ),
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(signed(page.sweep.0)).bind(configuration).bind(seed);
    let rows = query.bind(page.limit).fetch_all(pool).await?;
    rows.iter().map(trial_row).collect()
}

fn trial_row(row: &SqliteRow) -> Result<TrialRow, Error> {
    let found = replicate(row)?;
    let state = match found.state {
        None | Some(RoundState::Open) if found.running => TrialState::Running,
        None | Some(RoundState::Open) => TrialState::Queued,
        Some(RoundState::Succeeded) => TrialState::Succeeded,
        Some(RoundState::Failed) => TrialState::Failed,
        Some(RoundState::Cancelled) => TrialState::Cancelled,
    };
    let name: String = row.try_get("name")?;
    let mut stages: Vec<u32> = from_json(row.try_get("stages")?)?;
    stages.sort_unstable();
    let newest: (Option<u32>, Option<i64>) = (row.try_get("newest_attempt")?, row.try_get("newest_key")?);
    let class: Option<i64> = row.try_get("class")?;
    let reason: Option<String> = row.try_get("reason")?;
    Ok(TrialRow {
        configuration: found.configuration,
        label: if name.is_empty() { row.try_get("label")? } else { name },
        body: from_json(row.try_get("body")?)?,
        params: found.params,
        stages,
        seed: found.seed,
        trial: found.trial,
        state,
        attempts: row.try_get::<Option<u32>, _>("attempts")?.unwrap_or(0),
        newest: newest.0.zip(newest.1.map(AttemptKey)),
        worker: row.try_get::<Option<String>, _>("newest_worker")?.unwrap_or_default(),
        failure: failure(class, reason.unwrap_or_default())?,
        result: found.result,
    })
}

fn failure(class: Option<i64>, reason: String) -> Result<Option<(FailureClass, String)>, Error> {
    class.map(|class| Ok((class_of(class)?, reason))).transpose()
}

/// A result, from the columns of `RESULT` on.
fn result(mut reader: RowReader<'_>) -> Result<Option<ResultRecord>, Error> {
    if reader.is_absent() {
        return Ok(None);
    }
    let key = reader.int()?;
    let name = || format!("attempt number {key}");
    let outcome = reader.int()?;
    let (last, best) = (read::metrics(&mut reader)?, read::metrics(&mut reader)?);
    let mut provenance = Provenance {
        params: reader.number()?,
        images_per_second: reader.real()?,
        seconds: reader.real()?,
        peak_memory_bytes: reader.number()?,
        data_digest: reader.digest()?,
        split_digest: reader.digest()?,
        device: reader.text()?.to_owned(),
        device_name: reader.text()?.to_owned(),
        instruction_set: reader.text()?.to_owned(),
        trainer: reader.text()?.to_owned(),
        threads: reader.small()?,
        origin: Origin::default(),
    };
    reader.sum(name)?;
    provenance.origin = origin(&mut reader)?;
    let test = test_score(&mut reader)?;
    let named = |metrics: EpochMetrics| (metrics.epoch > 0).then_some(metrics);
    Ok(Some(ResultRecord { outcome: outcome_of(outcome)?, last: named(last), best: named(best), provenance, test }))
}

/// Where a result comes from; nothing is known of one of an earlier release.
fn origin(reader: &mut RowReader<'_>) -> Result<Origin, Error> {
    const COLUMNS: usize = 12;
    reader.table("origins");
    if reader.is_absent() {
        reader.skip(COLUMNS);
        return Ok(Origin::default());
    }
    let key = reader.int()?;
    let found = Origin {
        driver: reader.text()?.to_owned(),
        kernel_cache: reader.text()?.to_owned(),
        worker: reader.text()?.to_owned(),
        worker_version: reader.text()?.to_owned(),
        host: reader.text()?.to_owned(),
        coordinator_version: reader.text()?.to_owned(),
        sweep: reader.option()?.map(unsigned),
        spec_digest: reader.option_blob()?.map(digest).transpose()?,
        revision: reader.text()?.to_owned(),
        protocol_digest: reader.option_blob()?.map(digest).transpose()?,
    };
    reader.sum(|| format!("attempt number {key}"))?;
    Ok(found)
}

fn test_score(reader: &mut RowReader<'_>) -> Result<Option<TestScore>, Error> {
    reader.table("tests");
    if reader.is_absent() {
        return Ok(None);
    }
    let key = reader.int()?;
    let found = TestScore { epoch: reader.small()?, loss: reader.real()?, accuracy: reader.real()? };
    reader.sum(|| format!("attempt number {key}"))?;
    Ok(Some(found))
}

/// The answer of one attempt.
pub(super) async fn one_result(pool: &SqlitePool, attempt: AttemptKey) -> Result<Option<ResultRecord>, Error> {
    let text = format!(
        "SELECT {RESULT} FROM results r \
         LEFT JOIN origins y ON y.attempt = r.attempt \
         LEFT JOIN tests x ON x.attempt = r.attempt WHERE r.attempt = ?"
    );
    let row = sqlx::query(AssertSqlSafe(text)).bind(attempt.0).fetch_optional(pool).await?;
    row.as_ref().map_or(Ok(None), |row| result(RowReader::from(row, 0, "results")))
}

/// An id's digits are a range of its bytes: those that begin with them.
pub(super) async fn like(pool: &SqlitePool, prefix: &str, limit: u32) -> Result<Vec<TrialId>, Error> {
    let bound = |fill: char| {
        let text: String = prefix.chars().chain(std::iter::repeat(fill)).take(64).collect();
        text.to_ascii_lowercase().parse::<TrialId>()
    };
    let (Ok(low), Ok(high)) = (bound('0'), bound('f')) else { return Ok(Vec::new()) };
    let query = sqlx::query_scalar("SELECT id FROM trials WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?");
    let query = query.bind(low.as_bytes().as_slice()).bind(high.as_bytes().as_slice()).bind(limit);
    let found: Vec<Vec<u8>> = query.fetch_all(pool).await?;
    found.iter().map(|bytes| trial_id(bytes)).collect()
}

/// What all trials of a sweep share.
#[derive(serde::Deserialize)]
pub(super) struct Question {
    dataset: sweep_spec::Dataset,
    protocol: Protocol,
    semantics: u32,
}

pub(super) async fn trial(pool: &SqlitePool, id: TrialId) -> Result<Option<TrialRecord>, Error> {
    let query = sqlx::query(
        "SELECT t.id, t.question, t.configuration, t.seed, t.sum, q.body FROM trials t \
         LEFT JOIN questions q ON q.digest = t.question WHERE t.id = ?",
    );
    let Some(row) = query.bind(id.as_bytes().as_slice()).fetch_optional(pool).await? else { return Ok(None) };
    let mut reader = RowReader::new(&row, "trials");
    reader.trial()?;
    let (question, configuration, seed) = (reader.digest()?, reader.text()?, reader.number()?);
    reader.sum(|| format!("trial {id}"))?;
    let body = if reader.is_absent() { "" } else { reader.text()? };
    if Digest::of(body.as_bytes()) != question {
        return Err(Error::damaged_row("questions", &format!("what trial {id} shares with others")));
    }
    let shared: Question = from_json(body)?;
    let trial = Trial {
        configuration: from_json(configuration)?,
        seed,
        protocol: shared.protocol,
        dataset: shared.dataset,
        semantics: shared.semantics,
    };
    let query = sqlx::query(
        "SELECT t.sweep, t.configuration, t.seed FROM sweep_trials t JOIN sweeps s ON s.id = t.sweep AND s.state > 0 \
         WHERE t.trial = ? ORDER BY t.sweep",
    );
    let rows = query.bind(id.as_bytes().as_slice()).fetch_all(pool).await?;
    let sweeps = rows.iter().map(|row| {
        let sweep = SweepId(unsigned(row.try_get("sweep")?));
        Ok((sweep, row.try_get("configuration")?, unsigned(row.try_get("seed")?)))
    });
    Ok(Some(TrialRecord { trial, sweeps: sweeps.collect::<Result<_, Error>>()? }))
}

const ATTEMPT: &str = "SELECT key, trial, round, attempt, worker, slot, device, slot_memory_bytes, assigned_ms, \
                       start_sum, state, class, reason, ended_ms, start_seconds, run_seconds, end_sum, log_tail, log_sum \
                       FROM attempts WHERE trial = ?";

pub(super) async fn repeats(pool: &SqlitePool, trial: TrialId) -> Result<Vec<Repeat>, Error> {
    let query = sqlx::query(
        "SELECT b.sweep, y.round, b.reproduces FROM submissions b JOIN sweeps s ON s.id = b.sweep AND s.state > 0 \
         JOIN sweep_trials y ON y.sweep = b.sweep AND y.round IS NOT NULL \
         WHERE y.trial = ? AND b.reproduces IS NOT NULL ORDER BY b.sweep",
    );
    let rows = query.bind(trial.as_bytes().as_slice()).fetch_all(pool).await?;
    let repeat = |row: &SqliteRow| {
        let sweep = SweepId(unsigned(row.try_get("sweep")?));
        Ok(Repeat { sweep, round: row.try_get("round")?, old: AttemptKey(row.try_get("reproduces")?) })
    };
    rows.iter().map(repeat).collect()
}

pub(super) async fn attempts(pool: &SqlitePool, trial: TrialId) -> Result<Vec<AttemptRecord>, Error> {
    let query = sqlx::query(AssertSqlSafe(format!("{ATTEMPT} ORDER BY attempt")));
    let rows = query.bind(trial.as_bytes().as_slice()).fetch_all(pool).await?;
    rows.iter().map(attempt_record).collect()
}

pub(super) async fn attempt(pool: &SqlitePool, lease: Lease) -> Result<Option<AttemptRecord>, Error> {
    let query = sqlx::query(AssertSqlSafe(format!("{ATTEMPT} AND attempt = ? AND round = ?")));
    let query = query.bind(lease.trial.as_bytes().as_slice()).bind(lease.attempt).bind(lease.round);
    query.fetch_optional(pool).await?.as_ref().map(attempt_record).transpose()
}

fn attempt_record(row: &SqliteRow) -> Result<AttemptRecord, Error> {
    let mut reader = RowReader::new(row, "attempts");
    let key = AttemptKey(reader.int()?);
    let lease = Lease { trial: reader.trial()?, round: reader.small()?, attempt: reader.small()? };
    let name = || format!("attempt {} of trial {}", lease.attempt, lease.trial);
    let (worker, slot, device) = (reader.text()?.to_owned(), reader.small()?, reader.text()?.to_owned());
    let slot_memory_bytes = reader.option()?.map(unsigned);
    let assigned_ms = reader.int()?;
    reader.sum(name)?;
    reader.known(key.0);
    let state = reader.int()?;
    let (class, reason, ended_ms) = (reader.option()?, reader.text()?.to_owned(), reader.int()?);
    let (start_seconds, run_seconds) = (reader.real()?, reader.real()?);
    reader.sum(name)?;
    reader.known(key.0);
    let log_tail = reader.text()?.to_owned();
    reader.sum(name)?;
    let (state, failure) = (AttemptState::of(state)?, failure(class, reason)?);
    Ok(AttemptRecord {
        key,
        lease,
        worker,
        slot,
        device,
        slot_memory_bytes,
        assigned_ms,
        ended_ms,
        state,
        failure,
        start_seconds,
        run_seconds,
        log_tail,
    })
}

pub(super) async fn points(pool: &SqlitePool, attempt: AttemptKey) -> Result<Vec<Point>, Error> {
    let query = sqlx::query(
        "SELECT sequence, epoch, train_loss, train_accuracy, val_loss, val_accuracy, learning_rate, seconds, \
         images_per_second, sum FROM points WHERE attempt = ? ORDER BY sequence",
    );
    let rows = query.bind(attempt.0).fetch_all(pool).await?;
    rows.iter().map(|row| read::point(&mut RowReader::new(row, "points"), attempt)).collect()
}

pub(super) async fn validation(pool: &SqlitePool, attempt: AttemptKey) -> Result<Option<Validation>, Error> {
    answers(pool, attempt, ("validations", "SELECT body, sum FROM validations WHERE attempt = ?")).await
}

pub(super) async fn test_predictions(pool: &SqlitePool, attempt: AttemptKey) -> Result<Option<Validation>, Error> {
    answers(pool, attempt, ("tests", "SELECT body, body_sum FROM tests WHERE attempt = ?")).await
}

async fn answers(
    pool: &SqlitePool,
    attempt: AttemptKey,
    (table, select): (&str, &'static str),
) -> Result<Option<Validation>, Error> {
    let query = sqlx::query_as(select);
    let Some((body, sum)): Option<(Vec<u8>, Option<i64>)> = query.bind(attempt.0).fetch_optional(pool).await? else {
        return Ok(None);
    };
    if sum != Some(checksum::validation(attempt, &body)) {
        return Err(Error::damaged_row(table, &format!("attempt number {}", attempt.0)));
    }
    predictions::decode(&body).map(Some)
}
