//! Sweeps, configurations, workers and artifacts, as they are read.

use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sweep_scheduler::SweepId;
use sweep_spec::trainer::EpochMetrics;
use sweep_spec::{Digest, TrialId};

use super::row_reader::RowReader;
use super::rows::{signed, unsigned};
use crate::Error;
use crate::codes::ArtifactKind;
use crate::record::{ArtifactRecord, AttemptKey, Point, WorkerRecord};

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
    let mut reader = RowReader::new(row, "descriptions");
    reader.digest()?;
    let digest = reader.digest()?;
    let classes = reader.text()?.to_owned();
    reader.int()?;
    reader.int()?;
    reader.int()?;
    reader.sum(|| format!("the data {digest}"))?;
    Ok((digest, classes))
}

pub(super) async fn workers(pool: &SqlitePool) -> Result<Vec<WorkerRecord>, Error> {
    let query =
        sqlx::query("SELECT name, host, version, session, slots, labels, seen_ms, sum FROM workers ORDER BY name");
    let record = |row: &SqliteRow| {
        let mut reader = RowReader::new(row, "workers");
        let name = reader.text()?.to_owned();
        let (host, version, session) = (reader.text()?.to_owned(), reader.text()?.to_owned(), reader.number()?);
        let (slots, labels, seen_ms) = (reader.text()?, reader.text()?, reader.int()?);
        reader.sum(|| format!("worker {name}"))?;
        let (slots, labels) = (from_json(slots)?, from_json(labels)?);
        Ok(WorkerRecord { name, host, version, session, slots, labels, seen_ms })
    };
    query.fetch_all(pool).await?.iter().map(record).collect()
}

/// The epoch and its seven numbers, from the next columns on.
pub(super) fn metrics(reader: &mut RowReader<'_>) -> Result<EpochMetrics, Error> {
    let epoch = reader.small()?;
    EpochMetrics::read(epoch, |_| reader.real())
}

/// Reads a point of this attempt from the next columns.
pub(super) fn point(reader: &mut RowReader<'_>, attempt: AttemptKey) -> Result<Point, Error> {
    reader.table("points");
    reader.known(attempt.0);
    let sequence = reader.number()?;
    let metrics = metrics(reader)?;
    reader.sum(|| format!("point {sequence} of attempt number {}", attempt.0))?;
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
    let kind: i64 = row.try_get("kind")?;
    let trial: Option<Vec<u8>> = row.try_get("trial")?;
    let attempt: Option<u32> = row.try_get("attempt")?;
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
        size_bytes: unsigned(row.try_get("size_bytes")?),
    })
}

pub(super) async fn artifact_of(pool: &SqlitePool, digest: Digest) -> Result<Option<(ArtifactKind, u64)>, Error> {
    let query = sqlx::query("SELECT kind, size_bytes FROM artifacts WHERE digest = ? ORDER BY kind LIMIT 1");
    let row = query.bind(digest.as_bytes().as_slice()).fetch_optional(pool).await?;
    let Some(row) = row else { return Ok(None) };
    let kind: i64 = row.try_get("kind")?;
    let kind = ArtifactKind::of(kind)?;
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
