//! Sweeps as they are read: one, a page of the list, the text of a spec, and what was kept of one that has ended.

use std::collections::HashMap;

use futures::TryStreamExt;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use sweep_scheduler::SweepId;
use sweep_spec::Digest;

use super::number::Writer;
use super::read::{digest, from_json};
use super::row_reader::RowReader;
use super::rows::{Values, signed, unsigned};
use crate::codes::{StageState, SweepState};
use crate::record::{AttemptKey, StageRecord, Submission, SweepPage, SweepRecord, SweepTitle};
use crate::summary::Summary;
use crate::{Error, packed};

/// A sweep. The text of a spec that an earlier release left in the row is not read.
const SWEEP: &str = "SELECT id, name, CASE WHEN length(spec) = 0 THEN spec END, overrides, spec_digest, submitter, weight, \
                     trial_limit, dataset_key, submitted_ms, sum, priority, paused, pin, state, reason, ended_ms, state_sum \
                     FROM sweeps";
const STAGE: &str = "SELECT sweep, position, name, trials_at_most, keep_best, sum, state, choice, winner, decided, state_sum \
                     FROM stages";

pub(super) async fn page(pool: &SqlitePool, page: &SweepPage) -> Result<Vec<SweepRecord>, Error> {
    let running = match page.running {
        None => "",
        Some(true) => "AND state = 1",
        Some(false) => "AND state > 1",
    };
    let chosen = Chosen {
        condition: format!("state <> 0 {running} AND (?1 IS NULL OR id < ?1) ORDER BY id DESC LIMIT ?2"),
        first: page.before.map(|id| signed(id.0)),
        second: i64::from(page.limit),
    };
    chosen.read(pool).await
}

/// Which sweeps are read, and the two values of the condition.
struct Chosen {
    condition: String,
    first: Option<i64>,
    second: i64,
}

impl Chosen {
    async fn read(&self, pool: &SqlitePool) -> Result<Vec<SweepRecord>, Error> {
        let query = sqlx::query(AssertSqlSafe(format!("{SWEEP} WHERE {}", self.condition)));
        let mut records = Vec::new();
        let mut rows = query.bind(self.first).bind(self.second).fetch(pool);
        while let Some(row) = rows.try_next().await? {
            records.push(record(&row)?);
        }
        drop(rows);
        let mut stages = self.stages(pool).await?;
        let mut submissions = self.submissions(pool).await?;
        for record in &mut records {
            record.submission = submissions.remove(&record.id).unwrap_or_default();
            record.stages = stages.remove(&record.id).unwrap_or_default();
        }
        Ok(records)
    }

    /// How they were submitted. Those of an earlier release are not among them.
    async fn submissions(&self, pool: &SqlitePool) -> Result<HashMap<SweepId, Submission>, Error> {
        let text = format!(
            "SELECT sweep, fresh, reproduces, revision, sum FROM submissions \
             WHERE sweep IN (SELECT id FROM sweeps WHERE {})",
            self.condition
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(self.first).bind(self.second);
        let read = |row: &SqliteRow| {
            let mut reader = RowReader::new(row, "submissions");
            let sweep = SweepId(reader.number()?);
            let (fresh, reproduces) = (reader.flag()?, reader.option()?.map(AttemptKey));
            let revision = reader.text()?.to_owned();
            reader.sum(|| format!("the submission of sweep {sweep}"))?;
            Ok((sweep, Submission { fresh, reproduces, revision }))
        };
        query.fetch_all(pool).await?.iter().map(read).collect()
    }

    /// Their stages. They are known by their position, so none may be missing.
    async fn stages(&self, pool: &SqlitePool) -> Result<HashMap<SweepId, Vec<StageRecord>>, Error> {
        let text =
            format!("{STAGE} WHERE sweep IN (SELECT id FROM sweeps WHERE {}) ORDER BY sweep, position", self.condition);
        let query = sqlx::query(AssertSqlSafe(text)).bind(self.first).bind(self.second);
        let mut by_sweep: HashMap<SweepId, Vec<StageRecord>> = HashMap::new();
        for row in query.fetch_all(pool).await? {
            let (sweep, position, stage) = stage(&row)?;
            let before = by_sweep.entry(sweep).or_default();
            if position as usize != before.len() {
                return Err(Error::damaged(format!("stage {} of sweep {sweep} is not there", before.len())));
            }
            before.push(stage);
        }
        Ok(by_sweep)
    }
}

pub(super) async fn titles(pool: &SqlitePool) -> Result<Vec<SweepTitle>, Error> {
    // By the index that has these columns: no row of `sweeps` is looked at.
    let query = sqlx::query(
        "SELECT id, state, name, submitter FROM sweeps INDEXED BY sweeps_listed WHERE state > 0 ORDER BY id DESC",
    );
    let mut titles = Vec::new();
    let mut rows = query.fetch(pool);
    while let Some(row) = rows.try_next().await? {
        titles.push(SweepTitle {
            id: SweepId(unsigned(row.try_get("id")?)),
            state: SweepState::of(row.try_get("state")?)?,
            name: row.try_get("name")?,
            submitter: row.try_get("submitter")?,
        });
    }
    Ok(titles)
}

pub(super) async fn sweep(pool: &SqlitePool, id: SweepId) -> Result<Option<SweepRecord>, Error> {
    let condition = "state <> 0 AND id = ?1 LIMIT ?2".to_owned();
    let one = Chosen { condition, first: Some(signed(id.0)), second: 1 };
    Ok(one.read(pool).await?.pop())
}

fn stage(row: &SqliteRow) -> Result<(SweepId, u32, StageRecord), Error> {
    let mut reader = RowReader::new(row, "stages");
    let (sweep, position): (SweepId, u32) = (SweepId(reader.number()?), reader.small()?);
    let name = || format!("stage {position} of sweep {sweep}");
    let (stage_name, trials_at_most, keep_best) = (reader.text()?.to_owned(), reader.number()?, reader.flag()?);
    reader.sum(name)?;
    reader.known_number(sweep.0);
    reader.known(i64::from(position));
    let state = StageState::of(reader.int()?)?;
    let choice = reader.text()?.to_owned();
    let (winner, decided) = (reader.small_option()?, reader.small_option()?);
    reader.sum(name)?;
    let stage = StageRecord { name: stage_name, trials_at_most, state, choice, winner, decided, keep_best };
    Ok((sweep, position, stage))
}

/// A sweep, its stages left out.
fn record(row: &SqliteRow) -> Result<SweepRecord, Error> {
    let mut reader = RowReader::new(row, "sweeps");
    let id = SweepId(reader.number()?);
    let (name, empty, overrides) = (reader.text()?.to_owned(), reader.option_blob()?.is_some(), reader.text()?);
    let (spec_digest, submitter) = (reader.digest()?, reader.text()?.to_owned());
    let (weight, trial_limit, dataset_key) = (reader.small()?, reader.number()?, reader.digest()?);
    let submitted_ms = reader.int()?;
    // The checksum covers the text of an earlier release's spec too: `spec` holds it against that.
    if empty {
        reader.sum(|| format!("sweep {id}"))?;
    } else {
        reader.pass_sum();
    }
    reader.known_number(id.0);
    let (priority, paused) = (reader.small()?, reader.flag()?);
    let pin = reader.option_blob()?.map(digest).transpose()?;
    let state = SweepState::of(reader.int()?)?;
    let (reason, ended_ms) = (reader.text()?.to_owned(), reader.int()?);
    reader.sum(|| format!("the state of sweep {id}"))?;
    Ok(SweepRecord {
        id,
        name,
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

pub(super) async fn spec(pool: &SqlitePool, id: SweepId) -> Result<Option<Vec<u8>>, Error> {
    let own = sqlx::query(
        "SELECT id, name, spec, overrides, spec_digest, submitter, weight, trial_limit, dataset_key, submitted_ms, sum \
         FROM sweeps WHERE state <> 0 AND id = ?",
    );
    let Some(row) = own.bind(signed(id.0)).fetch_optional(pool).await? else { return Ok(None) };
    let text = own_text(&row, id)?;
    if !text.is_empty() {
        return Ok(Some(text.to_vec()));
    }
    let query = sqlx::query("SELECT sweep, body, sum FROM specs WHERE sweep = ?").bind(signed(id.0));
    let missing = || Error::damaged(format!("the spec of sweep {id} is not there"));
    let row = query.fetch_optional(pool).await?.ok_or_else(missing)?;
    let mut reader = RowReader::new(&row, "specs");
    reader.int()?;
    let body = reader.blob()?;
    reader.sum(|| format!("the spec of sweep {id}"))?;
    packed::unpack(body).map(Some)
}

/// The text in a sweep's own row; empty but for one of an earlier release.
fn own_text(row: &SqliteRow, id: SweepId) -> Result<&[u8], Error> {
    let mut reader = RowReader::new(row, "sweeps");
    reader.int()?;
    reader.text()?;
    let text = reader.blob()?;
    reader.text()?;
    reader.blob()?;
    reader.text()?;
    reader.int()?;
    reader.int()?;
    reader.blob()?;
    reader.int()?;
    reader.sum(|| format!("sweep {id}"))?;
    Ok(text)
}

pub(super) async fn summary(pool: &SqlitePool, sweep: &SweepRecord) -> Result<Option<Summary>, Error> {
    let query = sqlx::query("SELECT sweep, ended_ms, body, sum FROM summaries WHERE sweep = ?");
    let Some(row) = query.bind(signed(sweep.id.0)).fetch_optional(pool).await? else { return Ok(None) };
    let mut reader = RowReader::new(&row, "summaries");
    reader.int()?;
    let (ended_ms, body) = (reader.int()?, reader.text()?);
    reader.sum(|| format!("what sweep {} came to", sweep.id))?;
    Ok(Summary::from_text(body).filter(|_| ended_ms == sweep.ended_ms))
}

pub(super) async fn keep_summary(writer: &Writer, sweep: &SweepRecord, summary: &Summary) -> Result<(), Error> {
    let body = summary.to_text()?;
    let key = signed(sweep.id.0);
    let mut numbered = writer.begin().await?;
    // One that was deleted or goes on meanwhile has another end, or none.
    let same = sqlx::query_scalar("SELECT COUNT(*) FROM sweeps WHERE id = ? AND state > 1 AND ended_ms = ?");
    let same: i64 = same.bind(key).bind(sweep.ended_ms).fetch_one(&mut *numbered.transaction).await?;
    if same == 0 {
        return Ok(());
    }
    let upsert = sqlx::query(
        "INSERT INTO summaries (sweep, ended_ms, body, sum) VALUES (?, ?, ?, ?) \
         ON CONFLICT (sweep) DO UPDATE SET ended_ms = excluded.ended_ms, body = excluded.body, sum = excluded.sum",
    );
    let values = Values::of(upsert).int(key).int(sweep.ended_ms).text(&body).sum();
    values.query.execute(&mut *numbered.transaction).await?;
    numbered.commit().await
}

pub(super) async fn named(pool: &SqlitePool, name: &str) -> Result<Option<SweepId>, Error> {
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
