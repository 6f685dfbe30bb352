//! Sweeps, configurations, workers and artifacts, as they are read.

use std::collections::HashMap;

use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use sweep_proto::v1;
use sweep_scheduler::SweepId;
use sweep_spec::trainer::EpochMetrics;
use sweep_spec::{Digest, TrialId};

use super::cells::Cells;
use super::rows::{signed, unsigned};
use crate::store::Error;
use crate::store::codes::{StageState, SweepState};
use crate::store::record::{
    ArtifactRecord, AttemptKey, ConfigurationRecord, Point, StageRecord, Submission, SweepRecord, WorkerRecord,
};

pub(super) fn digest(bytes: &[u8]) -> Result<Digest, Error> {
    Digest::try_from(bytes).map_err(|error| Error::damaged(error.to_string()))
}

pub(super) fn trial_id(bytes: &[u8]) -> Result<TrialId, Error> {
    TrialId::try_from(bytes).map_err(|error| Error::damaged(error.to_string()))
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::damaged(error.to_string()))
}

const DESCRIPTION: &str = "SELECT dataset_key, digest, classes, channels, train_images, test_images, sum FROM descriptions \
                           WHERE dataset_key = ?";

pub(super) async fn described(pool: &SqlitePool, dataset_key: Digest) -> Result<Vec<Digest>, Error> {
    let found = sqlx::query(DESCRIPTION).bind(dataset_key.as_bytes().as_slice()).fetch_all(pool).await?;
    found.iter().map(|row| Ok(description(row)?.0)).collect()
}

pub(super) async fn classes(pool: &SqlitePool, dataset_key: Digest, content: Digest) -> Result<Vec<String>, Error> {
    let found = sqlx::query(DESCRIPTION).bind(dataset_key.as_bytes().as_slice()).fetch_all(pool).await?;
    for row in &found {
        let (digest, classes) = description(row)?;
        if digest == content {
            return from_json(&classes);
        }
    }
    Ok(Vec::new())
}

/// The content of a data set and its classes, as JSON.
fn description(row: &SqliteRow) -> Result<(Digest, String), Error> {
    let mut cells = Cells::new(row, "descriptions");
    cells.digest()?;
    let digest = cells.digest()?;
    let classes = cells.text()?.to_owned();
    cells.int()?;
    cells.int()?;
    cells.int()?;
    cells.sum(|| format!("the data {digest}"))?;
    Ok((digest, classes))
}

const SWEEP: &str = "SELECT id, name, spec, overrides, spec_digest, submitter, weight, trial_limit, dataset_key, submitted_ms, \
                     sum, priority, paused, pin, state, reason, ended_ms, state_sum FROM sweeps WHERE state <> 0";
const STAGE: &str = "SELECT sweep, position, name, trials_at_most, keep_best, sum, state, choice, winner, decided, state_sum \
                     FROM stages";

pub(super) async fn sweeps(pool: &SqlitePool) -> Result<Vec<SweepRecord>, Error> {
    let stages = sqlx::query(AssertSqlSafe(format!("{STAGE} ORDER BY sweep, position")));
    let mut by_sweep: HashMap<SweepId, Vec<StageRecord>> = HashMap::new();
    for row in stages.fetch_all(pool).await? {
        let (sweep, position, stage) = stage(&row)?;
        let stages = by_sweep.entry(sweep).or_default();
        in_order(sweep, position, stages)?;
        stages.push(stage);
    }
    let rows = sqlx::query(AssertSqlSafe(format!("{SWEEP} ORDER BY id DESC"))).fetch_all(pool).await?;
    let mut submissions = submissions(pool, None).await?;
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut record = sweep_record(row)?;
        record.submission = submissions.remove(&record.id).unwrap_or_default();
        record.stages = by_sweep.remove(&record.id).unwrap_or_default();
        records.push(record);
    }
    Ok(records)
}

pub(super) async fn sweep(pool: &SqlitePool, id: SweepId) -> Result<Option<SweepRecord>, Error> {
    let query = sqlx::query(AssertSqlSafe(format!("{SWEEP} AND id = ?"))).bind(signed(id.0));
    let Some(row) = query.fetch_optional(pool).await? else { return Ok(None) };
    let mut record = sweep_record(&row)?;
    record.submission = submissions(pool, Some(id)).await?.remove(&id).unwrap_or_default();
    let stages = sqlx::query(AssertSqlSafe(format!("{STAGE} WHERE sweep = ? ORDER BY position")));
    for row in stages.bind(signed(id.0)).fetch_all(pool).await? {
        let (_, position, stage) = stage(&row)?;
        in_order(id, position, &record.stages)?;
        record.stages.push(stage);
    }
    Ok(Some(record))
}

/// How sweeps were submitted: one, or all. Those of an earlier release are not among them.
async fn submissions(pool: &SqlitePool, one: Option<SweepId>) -> Result<HashMap<SweepId, Submission>, Error> {
    let query =
        sqlx::query("SELECT sweep, fresh, reproduces, revision, sum FROM submissions WHERE ?1 IS NULL OR sweep = ?1");
    let rows = query.bind(one.map(|id| signed(id.0))).fetch_all(pool).await?;
    let read = |row: &SqliteRow| {
        let mut cells = Cells::new(row, "submissions");
        let sweep = SweepId(cells.number()?);
        let (fresh, reproduces) = (cells.flag()?, cells.option()?.map(AttemptKey));
        let revision = cells.text()?.to_owned();
        cells.sum(|| format!("the submission of sweep {sweep}"))?;
        Ok((sweep, Submission { fresh, reproduces, revision }))
    };
    rows.iter().map(read).collect()
}

/// Stages are known by their position, so none may be missing.
fn in_order(sweep: SweepId, position: u32, before: &[StageRecord]) -> Result<(), Error> {
    let expected = before.len();
    if position as usize == expected {
        return Ok(());
    }
    Err(Error::damaged(format!("stage {expected} of sweep {sweep} is not there")))
}

fn stage(row: &SqliteRow) -> Result<(SweepId, u32, StageRecord), Error> {
    let mut cells = Cells::new(row, "stages");
    let (sweep, position): (SweepId, u32) = (SweepId(cells.number()?), cells.small()?);
    let name = || format!("stage {position} of sweep {sweep}");
    let (stage_name, trials_at_most, keep_best) = (cells.text()?.to_owned(), cells.number()?, cells.flag()?);
    cells.sum(name)?;
    cells.known_number(sweep.0);
    cells.known(i64::from(position));
    let state = StageState::of(cells.int()?)?;
    let choice = cells.text()?.to_owned();
    let (winner, decided) = (cells.small_option()?, cells.small_option()?);
    cells.sum(name)?;
    let stage = StageRecord { name: stage_name, trials_at_most, state, choice, winner, decided, keep_best };
    Ok((sweep, position, stage))
}

/// A sweep, its stages left out.
fn sweep_record(row: &SqliteRow) -> Result<SweepRecord, Error> {
    let mut cells = Cells::new(row, "sweeps");
    let id = SweepId(cells.number()?);
    let (name, spec, overrides) = (cells.text()?.to_owned(), cells.blob()?.to_vec(), cells.text()?);
    let (spec_digest, submitter) = (cells.digest()?, cells.text()?.to_owned());
    let (weight, trial_limit, dataset_key) = (cells.small()?, cells.number()?, cells.digest()?);
    let submitted_ms = cells.int()?;
    cells.sum(|| format!("sweep {id}"))?;
    cells.known_number(id.0);
    let (priority, paused) = (cells.small()?, cells.flag()?);
    let pin = cells.option_blob()?.map(digest).transpose()?;
    let state = SweepState::of(cells.int()?)?;
    let (reason, ended_ms) = (cells.text()?.to_owned(), cells.int()?);
    cells.sum(|| format!("the state of sweep {id}"))?;
    Ok(SweepRecord {
        id,
        name,
        spec,
        overrides: from_json(overrides)?,
        spec_digest,
        submitter,
        priority,
        paused,
        weight,
        trial_limit,
        dataset_key,
        pin,
        state,
        reason,
        submitted_ms,
        ended_ms,
        stages: Vec::new(),
        submission: Submission::default(),
    })
}

pub(super) async fn sweep_named(pool: &SqlitePool, name: &str) -> Result<Option<SweepId>, Error> {
    let query = sqlx::query_scalar("SELECT id FROM sweeps WHERE name = ? AND state > 0 ORDER BY id DESC LIMIT 1");
    let id: Option<i64> = query.bind(name).fetch_optional(pool).await?;
    Ok(id.map(|id| SweepId(unsigned(id))))
}

pub(super) async fn unfinished(pool: &SqlitePool, spec_digest: Digest) -> Result<Option<SweepId>, Error> {
    let query =
        sqlx::query_scalar("SELECT id FROM sweeps WHERE spec_digest = ? AND state = 1 ORDER BY id DESC LIMIT 1");
    let id: Option<i64> = query.bind(spec_digest.as_bytes().as_slice()).fetch_optional(pool).await?;
    Ok(id.map(|id| SweepId(unsigned(id))))
}

/// Which configurations belong to which stage: stage, configuration.
pub(super) async fn stage_configurations(pool: &SqlitePool, sweep: SweepId) -> Result<Vec<(u32, u32)>, Error> {
    let query = sqlx::query(
        "SELECT sweep, stage, configuration, sum FROM stage_configurations WHERE sweep = ? ORDER BY configuration, stage",
    );
    let one = |row: &SqliteRow| {
        let mut cells = Cells::new(row, "stage_configurations");
        cells.int()?;
        let (stage, configuration) = (cells.small()?, cells.small()?);
        cells.sum(|| format!("configuration {configuration} in stage {stage} of sweep {sweep}"))?;
        Ok((stage, configuration))
    };
    query.bind(signed(sweep.0)).fetch_all(pool).await?.iter().map(one).collect()
}

pub(super) async fn configurations(pool: &SqlitePool, sweep: SweepId) -> Result<Vec<ConfigurationRecord>, Error> {
    let mut stages: HashMap<u32, Vec<u32>> = HashMap::new();
    for (stage, configuration) in stage_configurations(pool, sweep).await? {
        stages.entry(configuration).or_default().push(stage);
    }
    let query = sqlx::query(
        "SELECT sweep, position, name, label, body, params, flops, cost, memory_bytes, baseline, sum \
         FROM configurations WHERE sweep = ? ORDER BY position",
    );
    let rows = query.bind(signed(sweep.0)).fetch_all(pool).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut record = configuration(row, sweep)?;
        record.stages = stages.remove(&record.position).unwrap_or_default();
        // One that is being prepared is in no stage yet. Of one whose rows are lost, its trials tell when they are loaded.
        if !record.stages.is_empty() {
            found.push(record);
        }
    }
    Ok(found)
}

fn configuration(row: &SqliteRow, sweep: SweepId) -> Result<ConfigurationRecord, Error> {
    let mut cells = Cells::new(row, "configurations");
    cells.int()?;
    let position = cells.small()?;
    let (name, label, body) = (cells.text()?.to_owned(), cells.text()?.to_owned(), cells.text()?);
    let (params, flops, cost, memory_bytes) = (cells.number()?, cells.number()?, cells.number()?, cells.number()?);
    let baseline = cells.flag()?;
    cells.sum(|| format!("configuration {position} of sweep {sweep}"))?;
    let (configuration, stages) = (from_json(body)?, Vec::new());
    Ok(ConfigurationRecord {
        position,
        name,
        label,
        configuration,
        params,
        flops,
        cost,
        memory_bytes,
        baseline,
        stages,
    })
}

pub(super) async fn workers(pool: &SqlitePool) -> Result<Vec<WorkerRecord>, Error> {
    let query =
        sqlx::query("SELECT name, host, version, session, slots, labels, seen_ms, sum FROM workers ORDER BY name");
    let record = |row: &SqliteRow| {
        let mut cells = Cells::new(row, "workers");
        let name = cells.text()?.to_owned();
        let (host, version, session) = (cells.text()?.to_owned(), cells.text()?.to_owned(), cells.number()?);
        let (slots, labels, seen_ms) = (cells.text()?, cells.text()?, cells.int()?);
        cells.sum(|| format!("worker {name}"))?;
        let (slots, labels) = (from_json(slots)?, from_json(labels)?);
        Ok(WorkerRecord { name, host, version, session, slots, labels, seen_ms })
    };
    query.fetch_all(pool).await?.iter().map(record).collect()
}

/// The seven numbers of an epoch and its own, from the next cells on.
fn metrics(cells: &mut Cells<'_>) -> Result<EpochMetrics, Error> {
    Ok(EpochMetrics {
        epoch: cells.small()?,
        train_loss: cells.real()?,
        train_accuracy: cells.real()?,
        val_loss: cells.real()?,
        val_accuracy: cells.real()?,
        learning_rate: cells.real()?,
        seconds: cells.real()?,
        images_per_second: cells.real()?,
    })
}

/// A point of this attempt, from the next cells on.
pub(super) fn point(cells: &mut Cells<'_>, attempt: AttemptKey) -> Result<Point, Error> {
    cells.table("points");
    cells.known(attempt.0);
    let sequence = cells.number()?;
    let metrics = metrics(cells)?;
    cells.sum(|| format!("point {sequence} of attempt number {}", attempt.0))?;
    Ok(Point { sequence, metrics })
}

pub(super) async fn artifacts(pool: &SqlitePool, sweep: SweepId) -> Result<Vec<ArtifactRecord>, Error> {
    let query = sqlx::query(
        "SELECT f.digest, f.kind, f.owner, f.data_digest, f.size_bytes, a.trial, a.attempt \
         FROM sweep_trials t JOIN attempts a ON a.trial = t.trial JOIN artifacts f ON f.owner = a.key \
         WHERE t.sweep = ?1 \
         UNION \
         SELECT f.digest, f.kind, f.owner, f.data_digest, f.size_bytes, NULL, NULL \
         FROM sweeps s JOIN artifacts f ON f.data_digest = s.pin AND f.owner = 0 WHERE s.id = ?1 \
         ORDER BY 2, 6, 7",
    );
    let rows = query.bind(signed(sweep.0)).fetch_all(pool).await?;
    rows.iter().map(artifact).collect()
}

fn artifact(row: &SqliteRow) -> Result<ArtifactRecord, Error> {
    let kind: i32 = row.try_get("kind")?;
    let trial: Option<Vec<u8>> = row.try_get("trial")?;
    let attempt: Option<u32> = row.try_get("attempt")?;
    let data: Option<Vec<u8>> = row.try_get("data_digest")?;
    let owner = match (trial, attempt) {
        (Some(trial), Some(attempt)) => Some((AttemptKey(row.try_get("owner")?), trial_id(&trial)?, attempt)),
        _ => None,
    };
    Ok(ArtifactRecord {
        digest: digest(row.try_get("digest")?)?,
        kind: v1::ArtifactKind::try_from(kind).map_err(|error| Error::damaged(error.to_string()))?,
        owner,
        data_digest: data.map(|data| digest(&data)).transpose()?,
        size_bytes: unsigned(row.try_get("size_bytes")?),
    })
}

pub(super) async fn artifact_of(pool: &SqlitePool, digest: Digest) -> Result<Option<(v1::ArtifactKind, u64)>, Error> {
    let query = sqlx::query("SELECT kind, size_bytes FROM artifacts WHERE digest = ? ORDER BY kind LIMIT 1");
    let row = query.bind(digest.as_bytes().as_slice()).fetch_optional(pool).await?;
    let Some(row) = row else { return Ok(None) };
    let kind: i32 = row.try_get("kind")?;
    let kind = v1::ArtifactKind::try_from(kind).map_err(|error| Error::damaged(error.to_string()))?;
    Ok(Some((kind, unsigned(row.try_get("size_bytes")?))))
}

pub(super) async fn open_rounds(pool: &SqlitePool, sweep: SweepId) -> Result<Vec<(TrialId, u32)>, Error> {
    let query = sqlx::query(
        "SELECT t.trial, t.round FROM sweep_trials t JOIN rounds o ON o.trial = t.trial AND o.round = t.round \
         AND o.state = 0 WHERE t.sweep = ? AND NOT EXISTS (SELECT 1 FROM sweep_trials y JOIN sweeps s ON s.id = y.sweep \
         AND s.state = 1 WHERE y.trial = t.trial AND y.round = t.round AND y.sweep <> t.sweep)",
    );
    let rows = query.bind(signed(sweep.0)).fetch_all(pool).await?;
    rows.iter().map(|row| Ok((trial_id(row.try_get("trial")?)?, row.try_get("round")?))).collect()
}
