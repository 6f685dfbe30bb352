//! Sweeps, configurations, workers and artifacts, as they are read.

use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};
use sweep_scheduler::SweepId;
use sweep_spec::{Digest, TrialId};

use super::columns::{large, signed, small, small_or_none};
use crate::Error;
use crate::codes::ArtifactKind;
use crate::record::{ArtifactRecord, AttemptKey, WorkerRecord};

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
    let kind: i64 = row.try_get("kind")?;
    let trial: Option<Vec<u8>> = row.try_get("trial")?;
    let attempt: Option<u32> = small_or_none(row, "attempt")?;
    let data: Option<Vec<u8>> = row.try_get("data_digest")?;
    let owner = match (trial, attempt) {
        (Some(trial), Some(attempt)) => Some((AttemptKey(row.try_get("owner")?), trial_id(&trial)?, attempt)),
        _ => None,
    };
    Ok(ArtifactRecord {
        digest: digest(row.try_get("digest")?)?,
        kind: ArtifactKind::of(kind)?,
        owner,
        data_digest: data.map(|data| digest(&data)).transpose()?,
        size_bytes: large(row, "size_bytes")?,
    })
}

pub(super) async fn artifact_of(pool: &PgPool, digest: Digest) -> Result<Option<(ArtifactKind, u64)>, Error> {
    let query = sqlx::query("SELECT kind, size_bytes FROM artifacts WHERE digest = $1 ORDER BY kind LIMIT 1");
    let row = query.bind(digest.as_bytes().as_slice()).fetch_optional(pool).await?;
    let Some(row) = row else { return Ok(None) };
    let kind: i64 = row.try_get("kind")?;
    let kind = ArtifactKind::of(kind)?;
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
