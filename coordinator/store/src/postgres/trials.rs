//! Trials, attempts, points and results, as they are read.

use futures::StreamExt;
use futures::stream::BoxStream;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, Row};
use sweep_scheduler::{Lease, SweepId};
use sweep_spec::trainer::{EpochMetrics, Origin, Provenance, Validation};
use sweep_spec::{FailureClass, Protocol, Trial, TrialId};

use super::columns::{flag, large, signed, small, small_or_none, unsigned};
use super::configurations::stages;
use super::read::{digest, from_json, trial_id};
use crate::codes::{AttemptState, RoundState, SweepState, class_of, outcome_of};
use crate::record::{
    AttemptKey, AttemptRecord, Point, Repeat, Replicate, ResultRecord, TestScore, TrialPage, TrialRecord, TrialRow,
    TrialState,
};
use crate::trial_filter::{RUNNING, condition};
use crate::{Error, predictions};

/// The columns of a result; all absent where a left join found none.
const RESULT: &str = "r.outcome AS result_outcome, \
    r.last_epoch, r.last_train_loss, r.last_train_accuracy, r.last_val_loss, r.last_val_accuracy, \
    r.last_learning_rate, r.last_seconds, r.last_images_per_second, \
    r.best_epoch, r.best_train_loss, r.best_train_accuracy, r.best_val_loss, r.best_val_accuracy, \
    r.best_learning_rate, r.best_seconds, r.best_images_per_second, \
    r.params AS made_params, r.images_per_second AS made_images_per_second, r.seconds AS made_seconds, \
    r.peak_memory_bytes, r.data_digest, r.split_digest, r.device AS made_device, r.device_name, r.instruction_set, \
    r.trainer, r.threads, \
    y.attempt AS origin_attempt, y.driver, y.kernel_cache, y.worker AS made_worker, y.worker_version, \
    y.host AS made_host, y.coordinator_version, y.sweep AS made_sweep, y.spec_digest AS made_spec, \
    y.revision AS made_revision, y.protocol_digest, \
    x.attempt AS test_attempt, x.epoch AS test_epoch, x.loss AS test_loss, x.accuracy AS test_accuracy";

/// Every trial of a sweep's opened stages, with its round and its accepted attempt. Stages that are prepared but not
/// open are left out.
const TRIALS: &str = "FROM sweep_trials t \
    JOIN sweeps s ON s.id = t.sweep \
    JOIN configurations k ON k.sweep = t.sweep AND k.position = t.configuration \
    LEFT JOIN rounds o ON o.trial = t.trial AND o.round = t.round \
    LEFT JOIN attempts a ON a.trial = t.trial AND a.attempt = o.attempt \
    LEFT JOIN results r ON r.attempt = a.key \
    LEFT JOIN origins y ON y.attempt = r.attempt \
    LEFT JOIN tests x ON x.attempt = r.attempt \
    WHERE t.sweep = $1 AND EXISTS (SELECT 1 FROM stage_configurations c JOIN stages g \
        ON g.sweep = c.sweep AND g.position = c.stage \
        WHERE c.sweep = t.sweep AND c.configuration = t.configuration AND g.state IN (1, 2))";

pub(super) fn replicates(pool: &PgPool, sweep: SweepId) -> BoxStream<'_, Result<Replicate, Error>> {
    let text = format!(
        "SELECT t.configuration, k.params, t.seed, t.trial, t.reused, o.state AS round_state, s.state AS sweep_state, \
         CASE WHEN o.state = 0 THEN {RUNNING} ELSE FALSE END AS running, {RESULT} {TRIALS} \
         ORDER BY t.configuration, t.seed"
    );
    let rows = sqlx::query(AssertSqlSafe(text)).bind(signed(sweep.0)).fetch(pool);
    rows.map(|row| replicate(&row?)).boxed()
}

fn replicate(row: &PgRow) -> Result<Replicate, Error> {
    let state: Option<i64> = row.try_get("round_state")?;
    let state = state.map(RoundState::of).transpose()?;
    let given_up = SweepState::of(row.try_get("sweep_state")?)? == SweepState::Cancelled;
    Ok(Replicate {
        configuration: small(row, "configuration")?,
        params: large(row, "params")?,
        seed: large(row, "seed")?,
        trial: trial_id(row.try_get("trial")?)?,
        // What a cancelled sweep had not got when it was cancelled stays ungot, whoever else goes on with it.
        state: match state {
            None | Some(RoundState::Open) if given_up => Some(RoundState::Cancelled),
            state => state,
        },
        running: row.try_get::<bool, _>("running")? && !given_up,
        reused: flag(row, "reused")?,
        result: result(row)?,
    })
}

pub(super) async fn page(pool: &PgPool, page: &TrialPage) -> Result<Vec<TrialRow>, Error> {
    let (configuration, seed) = page.start();
    let condition = condition(page);
    let text = format!(
        "SELECT t.configuration, t.seed, t.trial, t.reused, o.state AS round_state, s.state AS sweep_state, \
         o.class, o.reason, {RUNNING} AS running, k.name, k.label, k.body, k.params, \
         ARRAY(SELECT stage FROM stage_configurations g \
          WHERE g.sweep = t.sweep AND g.configuration = t.configuration ORDER BY stage) AS stages, \
         (SELECT MAX(attempt) FROM attempts n WHERE n.trial = t.trial) AS attempts, \
         n.attempt AS newest_attempt, n.key AS newest_key, n.worker AS newest_worker, {RESULT} \
         {from} AND (t.configuration, t.seed) > ($2, $3) {condition} \
         ORDER BY t.configuration, t.seed LIMIT $4",
        from = TRIALS.replacen(
            "WHERE",
            "LEFT JOIN attempts n ON n.trial = t.trial AND n.attempt = (SELECT MAX(m.attempt) FROM attempts m \
             WHERE m.trial = t.trial AND m.round = t.round) WHERE",
            1
        ),
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(signed(page.sweep.0)).bind(configuration).bind(seed);
    let rows = query.bind(i64::from(page.limit)).fetch_all(pool).await?;
    rows.iter().map(trial_row).collect()
}

fn trial_row(row: &PgRow) -> Result<TrialRow, Error> {
    let found = replicate(row)?;
    let state = match found.state {
        None | Some(RoundState::Open) if found.running => TrialState::Running,
        None | Some(RoundState::Open) => TrialState::Queued,
        Some(RoundState::Succeeded) => TrialState::Succeeded,
        Some(RoundState::Failed) => TrialState::Failed,
        Some(RoundState::Cancelled) => TrialState::Cancelled,
    };
    let name: String = row.try_get("name")?;
    let newest: (Option<u32>, Option<i64>) = (small_or_none(row, "newest_attempt")?, row.try_get("newest_key")?);
    let class: Option<i64> = row.try_get("class")?;
    let reason: Option<String> = row.try_get("reason")?;
    Ok(TrialRow {
        configuration: found.configuration,
        label: if name.is_empty() { row.try_get("label")? } else { name },
        body: from_json(row.try_get("body")?)?,
        params: found.params,
        stages: stages(row)?,
        seed: found.seed,
        trial: found.trial,
        state,
        attempts: small_or_none(row, "attempts")?.unwrap_or(0),
        newest: newest.0.zip(newest.1.map(AttemptKey)),
        worker: row.try_get::<Option<String>, _>("newest_worker")?.unwrap_or_default(),
        failure: failure(class, reason.unwrap_or_default())?,
        result: found.result,
    })
}

fn failure(class: Option<i64>, reason: String) -> Result<Option<(FailureClass, String)>, Error> {
    class.map(|class| Ok((class_of(class)?, reason))).transpose()
}

fn result(row: &PgRow) -> Result<Option<ResultRecord>, Error> {
    let Some(outcome) = row.try_get::<Option<i64>, _>("result_outcome")? else { return Ok(None) };
    Ok(Some(ResultRecord {
        outcome: outcome_of(outcome)?,
        last: prefixed(row, "last_")?,
        best: prefixed(row, "best_")?,
        provenance: Provenance {
            params: large(row, "made_params")?,
            images_per_second: row.try_get("made_images_per_second")?,
            seconds: row.try_get("made_seconds")?,
            peak_memory_bytes: large(row, "peak_memory_bytes")?,
            data_digest: digest(row.try_get("data_digest")?)?,
            split_digest: digest(row.try_get("split_digest")?)?,
            device: row.try_get("made_device")?,
            device_name: row.try_get("device_name")?,
            instruction_set: row.try_get("instruction_set")?,
            trainer: row.try_get("trainer")?,
            threads: small(row, "threads")?,
            origin: origin(row)?,
        },
        test: test_score(row)?,
    }))
}

/// Where a result comes from; nothing is known of one of an earlier release.
fn origin(row: &PgRow) -> Result<Origin, Error> {
    if row.try_get::<Option<i64>, _>("origin_attempt")?.is_none() {
        return Ok(Origin::default());
    }
    let optional = |name: &str| row.try_get::<Option<&[u8]>, _>(name)?.map(digest).transpose();
    Ok(Origin {
        driver: row.try_get("driver")?,
        kernel_cache: row.try_get("kernel_cache")?,
        worker: row.try_get("made_worker")?,
        worker_version: row.try_get("worker_version")?,
        host: row.try_get("made_host")?,
        coordinator_version: row.try_get("coordinator_version")?,
        sweep: row.try_get::<Option<i64>, _>("made_sweep")?.map(unsigned),
        spec_digest: optional("made_spec")?,
        revision: row.try_get("made_revision")?,
        protocol_digest: optional("protocol_digest")?,
    })
}

fn test_score(row: &PgRow) -> Result<Option<TestScore>, Error> {
    let Some(epoch) = small_or_none(row, "test_epoch")? else { return Ok(None) };
    Ok(Some(TestScore { epoch, loss: row.try_get("test_loss")?, accuracy: row.try_get("test_accuracy")? }))
}

/// The answer of one attempt.
pub(super) async fn one_result(pool: &PgPool, attempt: AttemptKey) -> Result<Option<ResultRecord>, Error> {
    let text = format!(
        "SELECT {RESULT} FROM results r \
         LEFT JOIN origins y ON y.attempt = r.attempt \
         LEFT JOIN tests x ON x.attempt = r.attempt WHERE r.attempt = $1"
    );
    let row = sqlx::query(AssertSqlSafe(text)).bind(attempt.0).fetch_optional(pool).await?;
    row.as_ref().map_or(Ok(None), result)
}

fn prefixed(row: &PgRow, prefix: &str) -> Result<Option<EpochMetrics>, Error> {
    let metrics = metrics(row, prefix)?;
    Ok((metrics.epoch > 0).then_some(metrics))
}

pub(super) fn metrics(row: &PgRow, prefix: &str) -> Result<EpochMetrics, Error> {
    let epoch = small(row, &format!("{prefix}epoch"))?;
    EpochMetrics::read(epoch, |name| Ok(row.try_get(format!("{prefix}{name}").as_str())?))
}

/// An id's digits are a range of its bytes: those that begin with them.
pub(super) async fn like(pool: &PgPool, prefix: &str, limit: u32) -> Result<Vec<TrialId>, Error> {
    let bound = |fill: char| {
        let text: String = prefix.chars().chain(std::iter::repeat(fill)).take(64).collect();
        text.to_ascii_lowercase().parse::<TrialId>()
    };
    let (Ok(low), Ok(high)) = (bound('0'), bound('f')) else { return Ok(Vec::new()) };
    let query = sqlx::query_scalar("SELECT id FROM trials WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3");
    let query = query.bind(low.as_bytes().as_slice()).bind(high.as_bytes().as_slice()).bind(i64::from(limit));
    let found: Vec<Vec<u8>> = query.fetch_all(pool).await?;
    found.iter().map(|bytes| trial_id(bytes)).collect()
}

/// What all trials of a sweep share.
#[derive(serde::Deserialize)]
struct Question {
    dataset: sweep_spec::Dataset,
    protocol: Protocol,
    semantics: u32,
}

pub(super) async fn trial(pool: &PgPool, id: TrialId) -> Result<Option<TrialRecord>, Error> {
    let query = sqlx::query(
        "SELECT t.configuration, t.seed, q.body FROM trials t JOIN questions q ON q.digest = t.question WHERE t.id = $1",
    );
    let Some(row) = query.bind(id.as_bytes().as_slice()).fetch_optional(pool).await? else { return Ok(None) };
    let shared: Question = from_json(row.try_get("body")?)?;
    let trial = Trial {
        configuration: from_json(row.try_get("configuration")?)?,
        seed: large(&row, "seed")?,
        protocol: shared.protocol,
        dataset: shared.dataset,
        semantics: shared.semantics,
    };
    let query = sqlx::query(
        "SELECT t.sweep, t.configuration, t.seed FROM sweep_trials t JOIN sweeps s ON s.id = t.sweep AND s.state > 0 \
         WHERE t.trial = $1 ORDER BY t.sweep",
    );
    let rows = query.bind(id.as_bytes().as_slice()).fetch_all(pool).await?;
    let sweeps = rows.iter().map(|row| {
        let sweep = SweepId(large(row, "sweep")?);
        Ok((sweep, small(row, "configuration")?, large(row, "seed")?))
    });
    Ok(Some(TrialRecord { trial, sweeps: sweeps.collect::<Result<_, Error>>()? }))
}

const ATTEMPT: &str = "SELECT key, trial, round, attempt, worker, slot, device, slot_memory_bytes, state, class, \
                       reason, assigned_ms, ended_ms, start_seconds, run_seconds, log_tail FROM attempts WHERE trial = $1";

pub(super) async fn repeats(pool: &PgPool, trial: TrialId) -> Result<Vec<Repeat>, Error> {
    let query = sqlx::query(
        "SELECT b.sweep, y.round, b.reproduces FROM submissions b JOIN sweeps s ON s.id = b.sweep AND s.state > 0 \
         JOIN sweep_trials y ON y.sweep = b.sweep AND y.round IS NOT NULL \
         WHERE y.trial = $1 AND b.reproduces IS NOT NULL ORDER BY b.sweep",
    );
    let rows = query.bind(trial.as_bytes().as_slice()).fetch_all(pool).await?;
    let repeat = |row: &PgRow| {
        let (sweep, round) = (SweepId(large(row, "sweep")?), small(row, "round")?);
        Ok(Repeat { sweep, round, old: AttemptKey(row.try_get("reproduces")?) })
    };
    rows.iter().map(repeat).collect()
}

pub(super) async fn attempts(pool: &PgPool, trial: TrialId) -> Result<Vec<AttemptRecord>, Error> {
    let query = sqlx::query(AssertSqlSafe(format!("{ATTEMPT} ORDER BY attempt")));
    let rows = query.bind(trial.as_bytes().as_slice()).fetch_all(pool).await?;
    rows.iter().map(attempt_record).collect()
}

pub(super) async fn attempt(pool: &PgPool, lease: Lease) -> Result<Option<AttemptRecord>, Error> {
    let query = sqlx::query(AssertSqlSafe(format!("{ATTEMPT} AND attempt = $2 AND round = $3")));
    let query = query.bind(lease.trial.as_bytes().as_slice());
    let query = query.bind(i64::from(lease.attempt)).bind(i64::from(lease.round));
    query.fetch_optional(pool).await?.as_ref().map(attempt_record).transpose()
}

fn attempt_record(row: &PgRow) -> Result<AttemptRecord, Error> {
    let class: Option<i64> = row.try_get("class")?;
    Ok(AttemptRecord {
        key: AttemptKey(row.try_get("key")?),
        lease: Lease {
            trial: trial_id(row.try_get("trial")?)?,
            round: small(row, "round")?,
            attempt: small(row, "attempt")?,
        },
        worker: row.try_get("worker")?,
        slot: small(row, "slot")?,
        device: row.try_get("device")?,
        slot_memory_bytes: row.try_get::<Option<i64>, _>("slot_memory_bytes")?.map(unsigned),
        assigned_ms: row.try_get("assigned_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        state: AttemptState::of(row.try_get("state")?)?,
        failure: failure(class, row.try_get("reason")?)?,
        start_seconds: row.try_get("start_seconds")?,
        run_seconds: row.try_get("run_seconds")?,
        log_tail: row.try_get("log_tail")?,
    })
}

pub(super) async fn points(pool: &PgPool, attempt: AttemptKey) -> Result<Vec<Point>, Error> {
    let query = sqlx::query(
        "SELECT sequence, epoch, train_loss, train_accuracy, val_loss, val_accuracy, learning_rate, seconds, \
         images_per_second FROM points WHERE attempt = $1 ORDER BY sequence",
    );
    let rows = query.bind(attempt.0).fetch_all(pool).await?;
    let point = |row: &PgRow| Ok(Point { sequence: large(row, "sequence")?, metrics: metrics(row, "")? });
    rows.iter().map(point).collect()
}

pub(super) async fn validation(pool: &PgPool, attempt: AttemptKey) -> Result<Option<Validation>, Error> {
    answers(pool, attempt, "SELECT body FROM validations WHERE attempt = $1").await
}

pub(super) async fn test_predictions(pool: &PgPool, attempt: AttemptKey) -> Result<Option<Validation>, Error> {
    answers(pool, attempt, "SELECT body FROM tests WHERE attempt = $1").await
}

async fn answers(pool: &PgPool, attempt: AttemptKey, select: &'static str) -> Result<Option<Validation>, Error> {
    let query = sqlx::query_scalar(select);
    let body: Option<Vec<u8>> = query.bind(attempt.0).fetch_optional(pool).await?;
    body.map(|body| predictions::decode(&body)).transpose()
}
