//! What finished trials took, and what sweeps have spent.

use std::collections::{HashMap, HashSet};

use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use sweep_scheduler::SweepId;
use sweep_spec::TrialId;

use super::read::{from_json, trial_id};
use super::row_reader::RowReader;
use super::rows::{signed, unsigned};
use crate::Error;
use crate::codes::outcome_of;
use crate::observed::{Observed, ObservedTrial, Questions, seconds_between};
use crate::record::AttemptKey;

pub(super) async fn observed(pool: &SqlitePool, limit: u32) -> Result<Observed, Error> {
    let query = sqlx::query(
        "SELECT p.attempt, p.seconds, p.low, p.high, p.memory_bytes, p.sum, a.key, a.assigned_ms, a.ended_ms, \
         a.run_seconds, r.outcome, r.seconds AS trained, r.peak_memory_bytes, r.device_name, r.instruction_set, \
         r.threads, t.configuration, q.body, COALESCE(u.ms, 0) AS paused_ms \
         FROM results r JOIN attempts a ON a.key = r.attempt AND a.state = 1 JOIN trials t ON t.id = a.trial \
         JOIN questions q ON q.digest = t.question LEFT JOIN predictions p ON p.attempt = a.key \
         LEFT JOIN pauses u ON u.attempt = a.key \
         ORDER BY r.attempt DESC LIMIT ?",
    );
    let rows = query.bind(limit).fetch_all(pool).await?;
    let mut questions = Questions::default();
    let mut trials = Vec::with_capacity(rows.len());
    for row in rows.iter().rev() {
        trials.push(trial(row, &mut questions)?);
    }
    Ok(Observed { trials, sizes: sizes(pool).await? })
}

fn trial(row: &SqliteRow, questions: &mut Questions) -> Result<ObservedTrial, Error> {
    Ok(ObservedTrial {
        question: questions.read(row.try_get("body")?)?,
        configuration: from_json(row.try_get("configuration")?)?,
        outcome: outcome_of(row.try_get("outcome")?)?,
        seconds: row.try_get("trained")?,
        run_seconds: row.try_get("run_seconds")?,
        slot_seconds: seconds_between(
            row.try_get::<i64, _>("assigned_ms")?.saturating_add(row.try_get("paused_ms")?),
            row.try_get("ended_ms")?,
        ),
        peak_memory_bytes: unsigned(row.try_get("peak_memory_bytes")?),
        device_name: row.try_get("device_name")?,
        instruction_set: row.try_get("instruction_set")?,
        threads: row.try_get("threads")?,
        predicted: predicted(row)?,
    })
}

fn predicted(row: &SqliteRow) -> Result<Option<(f64, f64, f64)>, Error> {
    let mut reader = RowReader::new(row, "predictions");
    if reader.is_absent() {
        return Ok(None);
    }
    let attempt = AttemptKey(reader.int()?);
    let found = (reader.real()?, reader.real()?, reader.real()?);
    reader.int()?;
    reader.sum(|| format!("attempt number {}", attempt.0))?;
    Ok(Some(found))
}

async fn sizes(pool: &SqlitePool) -> Result<HashMap<sweep_spec::Digest, (u64, u64)>, Error> {
    let query = sqlx::query(
        "SELECT dataset_key, digest, classes, channels, train_images, test_images, sum FROM descriptions \
         ORDER BY dataset_key, digest",
    );
    let one = |row: &SqliteRow| {
        let mut reader = RowReader::new(row, "descriptions");
        let (key, digest) = (reader.digest()?, reader.digest()?);
        reader.text()?;
        reader.int()?;
        let size = (reader.number()?, reader.number()?);
        reader.sum(|| format!("the data {digest}"))?;
        Ok((key, size))
    };
    query.fetch_all(pool).await?.iter().map(one).collect()
}

/// Milliseconds of slots: attempts of the rounds that are a sweep's own, and that have ended.
pub(super) async fn spent_ms(pool: &SqlitePool, sweep: SweepId) -> Result<u64, Error> {
    let query = sqlx::query_scalar(
        "SELECT COALESCE(SUM(MAX(a.ended_ms - a.assigned_ms - COALESCE(u.ms, 0), 0)), 0) FROM sweep_trials t \
         JOIN attempts a ON a.trial = t.trial AND a.round = t.round AND a.state > 0 \
         LEFT JOIN pauses u ON u.attempt = a.key WHERE t.sweep = ? AND t.reused = 0",
    );
    let found: i64 = query.bind(signed(sweep.0)).fetch_one(pool).await?;
    Ok(u64::try_from(found).unwrap_or(0))
}

/// Values of one question.
const ASKED: usize = 500;

pub(super) async fn answered(pool: &SqlitePool, trials: &[TrialId]) -> Result<HashSet<TrialId>, Error> {
    let mut found = HashSet::new();
    for piece in trials.chunks(ASKED) {
        let places = vec!["?"; piece.len()].join(",");
        let text = format!("SELECT DISTINCT trial FROM rounds WHERE state = 1 AND trial IN ({places})");
        let query = sqlx::query_scalar(AssertSqlSafe(text));
        let query = piece.iter().fold(query, |query, id| query.bind(id.as_bytes().as_slice()));
        let rows: Vec<Vec<u8>> = query.fetch_all(pool).await?;
        for row in rows {
            found.insert(trial_id(&row)?);
        }
    }
    Ok(found)
}
