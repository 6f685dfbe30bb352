//! Sweeps, configurations, workers and artifacts, as they are read.

use std::collections::HashMap;

use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, Row};
use sweep_proto::v1;
use sweep_scheduler::SweepId;
use sweep_spec::{Digest, TrialId};

use super::columns::{flag, large, signed, small, small_or_none, unsigned};
use crate::store::Error;
use crate::store::codes::{StageState, SweepState};
use crate::store::record::{
    ArtifactRecord, AttemptKey, ConfigurationRecord, StageRecord, Submission, SweepRecord, WorkerRecord,
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

pub(super) async fn described(pool: &PgPool, dataset_key: Digest) -> Result<Vec<Digest>, Error> {
    let query = sqlx::query_scalar("SELECT digest FROM descriptions WHERE dataset_key = $1");
    let found: Vec<Vec<u8>> = query.bind(dataset_key.as_bytes().as_slice()).fetch_all(pool).await?;
    found.iter().map(|bytes| digest(bytes)).collect()
}

pub(super) async fn classes(pool: &PgPool, dataset_key: Digest, content: Digest) -> Result<Vec<String>, Error> {
    let query = sqlx::query_scalar("SELECT classes FROM descriptions WHERE dataset_key = $1 AND digest = $2");
    let query = query.bind(dataset_key.as_bytes().as_slice()).bind(content.as_bytes().as_slice());
    let found: Option<String> = query.fetch_optional(pool).await?;
    found.map_or_else(|| Ok(Vec::new()), |text| from_json(&text))
}

const SWEEP: &str = "SELECT id, name, spec, overrides, spec_digest, submitter, priority, paused, weight, trial_limit, dataset_key, pin, \
                     state, reason, submitted_ms, ended_ms, b.fresh, b.reproduces, b.revision FROM sweeps \
                     LEFT JOIN submissions b ON b.sweep = id WHERE state > 0";

pub(super) async fn sweeps(pool: &PgPool) -> Result<Vec<SweepRecord>, Error> {
    let stages = sqlx::query(
        "SELECT sweep, name, trials_at_most, state, choice, winner, decided, keep_best FROM stages ORDER BY sweep, position",
    );
    let mut by_sweep: HashMap<i64, Vec<StageRecord>> = HashMap::new();
    for row in stages.fetch_all(pool).await? {
        by_sweep.entry(row.try_get("sweep")?).or_default().push(stage(&row)?);
    }
    let rows = sqlx::query(AssertSqlSafe(format!("{SWEEP} ORDER BY id DESC"))).fetch_all(pool).await?;
    let records = rows.iter().map(|row| sweep_record(row, by_sweep.remove(&row.try_get("id")?).unwrap_or_default()));
    records.collect()
}

pub(super) async fn sweep(pool: &PgPool, id: SweepId) -> Result<Option<SweepRecord>, Error> {
    let query = sqlx::query(AssertSqlSafe(format!("{SWEEP} AND id = $1"))).bind(signed(id.0));
    let Some(row) = query.fetch_optional(pool).await? else { return Ok(None) };
    let stages = sqlx::query(
        "SELECT name, trials_at_most, state, choice, winner, decided, keep_best FROM stages WHERE sweep = $1 ORDER BY position",
    );
    let stages = stages.bind(signed(id.0)).fetch_all(pool).await?;
    let stages = stages.iter().map(stage).collect::<Result<_, _>>()?;
    sweep_record(&row, stages).map(Some)
}

fn stage(row: &PgRow) -> Result<StageRecord, Error> {
    Ok(StageRecord {
        name: row.try_get("name")?,
        trials_at_most: large(row, "trials_at_most")?,
        state: StageState::of(row.try_get("state")?)?,
        choice: row.try_get("choice")?,
        winner: small_or_none(row, "winner")?,
        decided: small_or_none(row, "decided")?,
        keep_best: flag(row, "keep_best")?,
    })
}

fn sweep_record(row: &PgRow, stages: Vec<StageRecord>) -> Result<SweepRecord, Error> {
    let pin: Option<Vec<u8>> = row.try_get("pin")?;
    Ok(SweepRecord {
        id: SweepId(large(row, "id")?),
        name: row.try_get("name")?,
        spec: row.try_get("spec")?,
        overrides: from_json(row.try_get("overrides")?)?,
        spec_digest: digest(row.try_get("spec_digest")?)?,
        submitter: row.try_get("submitter")?,
        priority: small(row, "priority")?,
        paused: flag(row, "paused")?,
        weight: small(row, "weight")?,
        trial_limit: large(row, "trial_limit")?,
        dataset_key: digest(row.try_get("dataset_key")?)?,
        pin: pin.map(|pin| digest(&pin)).transpose()?,
        state: SweepState::of(row.try_get("state")?)?,
        reason: row.try_get("reason")?,
        submitted_ms: row.try_get("submitted_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        stages,
        submission: Submission {
            fresh: row.try_get::<Option<i64>, _>("fresh")?.unwrap_or(0) != 0,
            reproduces: row.try_get::<Option<i64>, _>("reproduces")?.map(AttemptKey),
            revision: row.try_get::<Option<String>, _>("revision")?.unwrap_or_default(),
        },
    })
}

pub(super) async fn sweep_named(pool: &PgPool, name: &str) -> Result<Option<SweepId>, Error> {
    let query = sqlx::query_scalar("SELECT id FROM sweeps WHERE name = $1 AND state > 0 ORDER BY id DESC LIMIT 1");
    let id: Option<i64> = query.bind(name).fetch_optional(pool).await?;
    Ok(id.map(|id| SweepId(unsigned(id))))
}

pub(super) async fn unfinished(pool: &PgPool, spec_digest: Digest) -> Result<Option<SweepId>, Error> {
    let query =
        sqlx::query_scalar("SELECT id FROM sweeps WHERE spec_digest = $1 AND state = 1 ORDER BY id DESC LIMIT 1");
    let id: Option<i64> = query.bind(spec_digest.as_bytes().as_slice()).fetch_optional(pool).await?;
    Ok(id.map(|id| SweepId(unsigned(id))))
}

pub(super) async fn configurations(pool: &PgPool, sweep: SweepId) -> Result<Vec<ConfigurationRecord>, Error> {
    let query = sqlx::query(
        "SELECT position, name, label, body, params, flops, cost, memory_bytes, baseline, \
         ARRAY(SELECT stage FROM stage_configurations s \
          WHERE s.sweep = c.sweep AND s.configuration = c.position ORDER BY stage) AS stages \
         FROM configurations c WHERE sweep = $1 ORDER BY position",
    );
    let rows = query.bind(signed(sweep.0)).fetch_all(pool).await?;
    rows.iter().map(configuration).collect()
}

fn configuration(row: &PgRow) -> Result<ConfigurationRecord, Error> {
    Ok(ConfigurationRecord {
        position: small(row, "position")?,
        name: row.try_get("name")?,
        label: row.try_get("label")?,
        configuration: from_json(row.try_get("body")?)?,
        params: large(row, "params")?,
        flops: large(row, "flops")?,
        cost: large(row, "cost")?,
        memory_bytes: large(row, "memory_bytes")?,
        baseline: flag(row, "baseline")?,
        stages: stages(row)?,
    })
}

/// The stages of a configuration, in order.
pub(super) fn stages(row: &PgRow) -> Result<Vec<u32>, Error> {
    let found: Vec<i64> = row.try_get("stages")?;
    found.iter().map(|stage| u32::try_from(*stage).map_err(|_| Error::damaged(format!("stage {stage}")))).collect()
}

pub(super) async fn workers(pool: &PgPool) -> Result<Vec<WorkerRecord>, Error> {
    let query = sqlx::query("SELECT name, host, version, session, slots, labels, seen_ms FROM workers ORDER BY name");
    let record = |row: &PgRow| {
        Ok(WorkerRecord {
            name: row.try_get("name")?,
            host: row.try_get("host")?,
            version: row.try_get("version")?,
            session: large(row, "session")?,
            slots: from_json(row.try_get("slots")?)?,
            labels: from_json(row.try_get("labels")?)?,
            seen_ms: row.try_get("seen_ms")?,
        })
    };
    query.fetch_all(pool).await?.iter().map(record).collect()
}

pub(super) async fn artifacts(pool: &PgPool, sweep: SweepId) -> Result<Vec<ArtifactRecord>, Error> {
    let query = sqlx::query(
        "SELECT f.digest, f.kind, f.owner, f.data_digest, f.size_bytes, a.trial, a.attempt \
         FROM sweep_trials t JOIN attempts a ON a.trial = t.trial JOIN artifacts f ON f.owner = a.key \
         WHERE t.sweep = $1 \
         UNION \
         SELECT f.digest, f.kind, f.owner, f.data_digest, f.size_bytes, NULL::bytea, NULL::bigint \
         FROM sweeps s JOIN artifacts f ON f.data_digest = s.pin AND f.owner = 0 WHERE s.id = $1 \
         ORDER BY 2, 6 NULLS FIRST, 7 NULLS FIRST",
    );
    let rows = query.bind(signed(sweep.0)).fetch_all(pool).await?;
    rows.iter().map(artifact).collect()
}

fn artifact(row: &PgRow) -> Result<ArtifactRecord, Error> {
    let kind: i32 = small(row, "kind")?;
    let trial: Option<Vec<u8>> = row.try_get("trial")?;
    let attempt: Option<u32> = small_or_none(row, "attempt")?;
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
        size_bytes: large(row, "size_bytes")?,
    })
}

pub(super) async fn artifact_of(pool: &PgPool, digest: Digest) -> Result<Option<(v1::ArtifactKind, u64)>, Error> {
    let query = sqlx::query("SELECT kind, size_bytes FROM artifacts WHERE digest = $1 ORDER BY kind LIMIT 1");
    let row = query.bind(digest.as_bytes().as_slice()).fetch_optional(pool).await?;
    let Some(row) = row else { return Ok(None) };
    let kind: i32 = small(&row, "kind")?;
    let kind = v1::ArtifactKind::try_from(kind).map_err(|error| Error::damaged(error.to_string()))?;
    Ok(Some((kind, large(&row, "size_bytes")?)))
}

pub(super) async fn open_rounds(pool: &PgPool, sweep: SweepId) -> Result<Vec<(TrialId, u32)>, Error> {
    let query = sqlx::query(
        "SELECT t.trial, t.round FROM sweep_trials t JOIN rounds o ON o.trial = t.trial AND o.round = t.round \
         AND o.state = 0 WHERE t.sweep = $1 AND NOT EXISTS (SELECT 1 FROM sweep_trials y JOIN sweeps s ON s.id = y.sweep \
         AND s.state = 1 WHERE y.trial = t.trial AND y.round = t.round AND y.sweep <> t.sweep)",
    );
    let rows = query.bind(signed(sweep.0)).fetch_all(pool).await?;
    rows.iter().map(|row| Ok((trial_id(row.try_get("trial")?)?, small(row, "round")?))).collect()
}
