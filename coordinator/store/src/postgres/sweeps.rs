//! Sweeps as they are read: one, a page of the list, the text of a spec, and what was kept of one that has ended.

use std::collections::HashMap;

use futures::TryStreamExt;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use sweep_scheduler::SweepId;
use sweep_spec::Digest;

use super::columns::{flag, large, signed, small, small_or_none, text, unsigned};
use super::read::{digest, from_json};
use crate::codes::{StageState, SweepState};
use crate::record::{AttemptKey, StageRecord, Submission, SweepPage, SweepRecord, SweepTitle};
use crate::summary::Summary;
use crate::{Error, packed};

const SWEEP: &str = "SELECT id, name, overrides, spec_digest, submitter, priority, paused, weight, trial_limit, dataset_key, \
                     pin, state, reason, submitted_ms, ended_ms, b.fresh, b.reproduces, b.revision FROM sweeps \
                     LEFT JOIN submissions b ON b.sweep = id WHERE state > 0";
const STAGE: &str = "SELECT sweep, name, trials_at_most, state, choice, winner, decided, keep_best FROM stages";

pub(super) async fn page(pool: &PgPool, page: &SweepPage) -> Result<Vec<SweepRecord>, Error> {
    let running = match page.running {
        None => "",
        Some(true) => "AND state = 1",
        Some(false) => "AND state > 1",
    };
    let query = format!("{SWEEP} {running} AND ($1::bigint IS NULL OR id < $1) ORDER BY id DESC LIMIT $2");
    let query = sqlx::query(AssertSqlSafe(query)).bind(page.before.map(|id| signed(id.0)));
    let rows = query.bind(i64::from(page.limit)).fetch_all(pool).await?;
    records(pool, &rows).await
}

/// The sweeps of these rows, with their stages.
async fn records(pool: &PgPool, rows: &[PgRow]) -> Result<Vec<SweepRecord>, Error> {
    let ids = rows.iter().map(|row| row.try_get("id")).collect::<Result<Vec<i64>, _>>()?;
    let stages = sqlx::query(AssertSqlSafe(format!("{STAGE} WHERE sweep = ANY ($1) ORDER BY sweep, position")));
    let mut by_sweep: HashMap<i64, Vec<StageRecord>> = HashMap::new();
    for row in stages.bind(&ids).fetch_all(pool).await? {
        by_sweep.entry(row.try_get("sweep")?).or_default().push(stage(&row)?);
    }
    let records = rows.iter().map(|row| record(row, by_sweep.remove(&row.try_get("id")?).unwrap_or_default()));
    records.collect()
}

pub(super) async fn titles(pool: &PgPool) -> Result<Vec<SweepTitle>, Error> {
    let mut rows =
        sqlx::query("SELECT id, state, name, submitter FROM sweeps WHERE state > 0 ORDER BY id DESC").fetch(pool);
    let mut titles = Vec::new();
    while let Some(row) = rows.try_next().await? {
        titles.push(SweepTitle {
            id: SweepId(large(&row, "id")?),
            state: SweepState::of(row.try_get("state")?)?,
            name: row.try_get("name")?,
            submitter: row.try_get("submitter")?,
        });
    }
    Ok(titles)
}

pub(super) async fn sweep(pool: &PgPool, id: SweepId) -> Result<Option<SweepRecord>, Error> {
    let query = sqlx::query(AssertSqlSafe(format!("{SWEEP} AND id = $1"))).bind(signed(id.0));
    let row = query.fetch_optional(pool).await?;
    Ok(records(pool, row.as_slice()).await?.pop())
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

fn record(row: &PgRow, stages: Vec<StageRecord>) -> Result<SweepRecord, Error> {
    let pin: Option<Vec<u8>> = row.try_get("pin")?;
    Ok(SweepRecord {
        id: SweepId(large(row, "id")?),
        name: row.try_get("name")?,
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

pub(super) async fn spec(pool: &PgPool, id: SweepId) -> Result<Option<Vec<u8>>, Error> {
    let own = sqlx::query_scalar("SELECT spec FROM sweeps WHERE state > 0 AND id = $1").bind(signed(id.0));
    let own: Option<Vec<u8>> = own.fetch_optional(pool).await?;
    if own.as_ref().is_none_or(|text| !text.is_empty()) {
        return Ok(own);
    }
    let packed = sqlx::query_scalar("SELECT body FROM specs WHERE sweep = $1").bind(signed(id.0));
    let packed: Option<Vec<u8>> = packed.fetch_optional(pool).await?;
    let packed = packed.ok_or_else(|| Error::damaged(format!("the spec of sweep {id} is not there")))?;
    packed::unpack(&packed).map(Some)
}

pub(super) async fn summary(pool: &PgPool, sweep: &SweepRecord) -> Result<Option<Summary>, Error> {
    let query = sqlx::query_scalar("SELECT body FROM summaries WHERE sweep = $1 AND ended_ms = $2");
    let body: Option<String> = query.bind(signed(sweep.id.0)).bind(sweep.ended_ms).fetch_optional(pool).await?;
    Ok(body.as_deref().and_then(Summary::from_text))
}

pub(super) async fn keep_summary(tx: &mut PgConnection, sweep: &SweepRecord, summary: &Summary) -> Result<(), Error> {
    // One that was deleted or goes on meanwhile has another end, or none.
    let upsert = sqlx::query(
        "INSERT INTO summaries (sweep, ended_ms, body) \
         SELECT id, ended_ms, $3 FROM sweeps WHERE id = $1 AND state > 1 AND ended_ms = $2 \
         ON CONFLICT (sweep) DO UPDATE SET ended_ms = excluded.ended_ms, body = excluded.body",
    );
    let body = summary.to_text()?;
    upsert.bind(signed(sweep.id.0)).bind(sweep.ended_ms).bind(text(&body)).execute(tx).await?;
    Ok(())
}

pub(super) async fn named(pool: &PgPool, name: &str) -> Result<Option<SweepId>, Error> {
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
