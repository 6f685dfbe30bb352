//! What finished trials took, and what sweeps have spent.

use std::collections::{HashMap, HashSet};

use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};
use sweep_scheduler::SweepId;
use sweep_spec::{Digest, TrialId};

use super::columns::{large, signed, small, unsigned};
use super::read::{digest, from_json, trial_id};
use crate::Error;
use crate::codes::outcome_of;
use crate::observed::{Observed, ObservedTrial, Questions, seconds_between};

pub(super) async fn observed(pool: &PgPool, limit: u32) -> Result<Observed, Error> {
    let query = sqlx::query(
        "SELECT p.seconds, p.low, p.high, a.assigned_ms, a.ended_ms, a.run_seconds, r.outcome, r.seconds AS trained, \
         r.peak_memory_bytes, r.device_name, r.instruction_set, r.threads, t.configuration, q.body, \
         COALESCE(u.ms, 0) AS paused_ms \
         FROM results r JOIN attempts a ON a.key = r.attempt AND a.state = 1 JOIN trials t ON t.id = a.trial \
         JOIN questions q ON q.digest = t.question LEFT JOIN predictions p ON p.attempt = a.key \
         LEFT JOIN pauses u ON u.attempt = a.key \
         ORDER BY r.attempt DESC LIMIT $1",
    );
    let rows = query.bind(i64::from(limit)).fetch_all(pool).await?;
    let mut questions = Questions::default();
    let mut trials = Vec::with_capacity(rows.len());
    for row in rows.iter().rev() {
        trials.push(trial(row, &mut questions)?);
    }
    Ok(Observed { trials, sizes: sizes(pool).await? })
}

fn trial(row: &PgRow, questions: &mut Questions) -> Result<ObservedTrial, Error> {
    let predicted = match row.try_get::<Option<f64>, _>("seconds")? {
        Some(seconds) => Some((seconds, row.try_get("low")?, row.try_get("high")?)),
        None => None,
    };
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
        threads: small(row, "threads")?,
        predicted,
    })
}

async fn sizes(pool: &PgPool) -> Result<HashMap<Digest, (u64, u64)>, Error> {
    let query =
        sqlx::query("SELECT dataset_key, train_images, test_images FROM descriptions ORDER BY dataset_key, digest");
    let one = |row: &PgRow| {
        let size = (large(row, "train_images")?, large(row, "test_images")?);
        Ok((digest(row.try_get("dataset_key")?)?, size))
    };
    query.fetch_all(pool).await?.iter().map(one).collect()
}

/// Milliseconds of slots: attempts of the rounds that are a sweep's own, and that have ended.
pub(super) async fn spent_ms(pool: &PgPool, sweep: SweepId) -> Result<u64, Error> {
    let query = sqlx::query_scalar(
        "SELECT COALESCE(SUM(GREATEST(a.ended_ms - a.assigned_ms - COALESCE(u.ms, 0), 0)), 0)::bigint FROM sweep_trials t \
         JOIN attempts a ON a.trial = t.trial AND a.round = t.round AND a.state > 0 \
         LEFT JOIN pauses u ON u.attempt = a.key WHERE t.sweep = $1 AND t.reused = 0",
    );
    let found: i64 = query.bind(signed(sweep.0)).fetch_one(pool).await?;
    Ok(u64::try_from(found).unwrap_or(0))
}

pub(super) async fn answered(pool: &PgPool, trials: &[TrialId]) -> Result<HashSet<TrialId>, Error> {
    let ids: Vec<Vec<u8>> = trials.iter().map(|id| id.as_bytes().to_vec()).collect();
    let query = sqlx::query_scalar("SELECT DISTINCT trial FROM rounds WHERE state = 1 AND trial = ANY($1)");
    let rows: Vec<Vec<u8>> = query.bind(ids).fetch_all(pool).await?;
    rows.iter().map(|row| trial_id(row)).collect()
}
