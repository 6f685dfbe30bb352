//! Whose weights are kept. A trial's weights stay as long as one sweep that has the trial keeps them.

use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use sweep_scheduler::SweepId;
use sweep_spec::{Digest, TrialId};

use super::audit;
use super::number::Writer;
use super::read::digest;
use super::rows::{Values, signed, unsigned};
use crate::Error;
use crate::codes::ArtifactKind;
use crate::weights::{Settled, Settlement};
use crate::write::Commit;

/// Sweeps that keep the weights of trial `t.trial`: those without a choice, and those that chose its configuration.
const KEEPERS: &str = "SELECT 1 FROM sweep_trials o WHERE o.trial = t.trial AND NOT EXISTS (SELECT 1 \
                       FROM weight_choices w WHERE w.sweep = o.sweep AND w.settled = 1 AND NOT EXISTS (SELECT 1 \
                       FROM weights_kept k WHERE k.sweep = o.sweep AND k.configuration = o.configuration))";

/// Sweeps that have ended and have to choose, and sweeps that go on and have not chosen any more.
pub(super) async fn changes(tx: &mut SqliteConnection, commit: &Commit) -> Result<(), Error> {
    for sweep in &commit.sweeps_reopened {
        forget(tx, *sweep).await?;
    }
    for (sweep, ended_ms) in &commit.weights_due {
        write(tx, *sweep, *ended_ms, false).await?;
    }
    Ok(())
}

/// A sweep without a choice keeps everything.
async fn forget(tx: &mut SqliteConnection, sweep: SweepId) -> Result<(), Error> {
    for text in ["DELETE FROM weight_choices WHERE sweep = ?", "DELETE FROM weights_kept WHERE sweep = ?"] {
        sqlx::query(text).bind(signed(sweep.0)).execute(&mut *tx).await?;
    }
    Ok(())
}

async fn write(tx: &mut SqliteConnection, sweep: SweepId, ended_ms: i64, settled: bool) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO weight_choices (sweep, ended_ms, settled, sum) VALUES (?, ?, ?, ?) ON CONFLICT (sweep) DO UPDATE \
         SET ended_ms = excluded.ended_ms, settled = excluded.settled, sum = excluded.sum",
    );
    Values::of(upsert).number(sweep.0).int(ended_ms).int(settled).sum().query.execute(tx).await?;
    Ok(())
}

/// The sweeps that have to choose.
pub(super) async fn due(pool: &SqlitePool) -> Result<Vec<SweepId>, Error> {
    let query = sqlx::query_scalar("SELECT sweep FROM weight_choices WHERE settled = 0 ORDER BY sweep");
    let found: Vec<i64> = query.fetch_all(pool).await?;
    Ok(found.into_iter().map(|sweep| SweepId(unsigned(sweep))).collect())
}

pub(super) async fn wanted(pool: &SqlitePool, trial: TrialId) -> Result<bool, Error> {
    let text = format!("SELECT EXISTS ({KEEPERS}) FROM (SELECT ? AS trial) t");
    let query = sqlx::query_scalar(AssertSqlSafe(text)).bind(trial.as_bytes().as_slice());
    Ok(query.fetch_one(pool).await?)
}

pub(super) async fn settle(writer: &Writer, settlement: &Settlement) -> Result<Settled, Error> {
    let mut numbered = writer.begin().await?;
    let tx: &mut SqliteConnection = &mut numbered.transaction;
    let sweep = settlement.sweep;
    let due = sqlx::query_scalar("SELECT ended_ms FROM weight_choices WHERE sweep = ? AND settled = 0");
    let due: Option<i64> = due.bind(signed(sweep.0)).fetch_optional(&mut *tx).await?;
    if due != Some(settlement.ended_ms) {
        return Ok(Settled::default());
    }
    let mut released = 0;
    match &settlement.kept {
        None => forget(tx, sweep).await?,
        Some(kept) => {
            write(tx, sweep, settlement.ended_ms, true).await?;
            for configuration in kept {
                let insert = sqlx::query("INSERT INTO weights_kept (sweep, configuration, sum) VALUES (?, ?, ?)");
                let values = Values::of(insert).number(sweep.0).int(*configuration).sum();
                values.query.execute(&mut *tx).await?;
            }
            released = release(tx, sweep).await?;
        }
    }
    audit::write(tx, std::slice::from_ref(&settlement.audit)).await?;
    numbered.commit().await?;
    Ok(Settled { done: true, released })
}

/// Forgets the weights of a sweep's trials that no sweep keeps; says how many.
async fn release(tx: &mut SqliteConnection, sweep: SweepId) -> Result<u64, Error> {
    let text = format!(
        "SELECT f.digest, f.owner FROM sweep_trials t JOIN attempts a ON a.trial = t.trial \
         JOIN artifacts f ON f.owner = a.key AND f.kind = ? WHERE t.sweep = ? AND NOT EXISTS ({KEEPERS})"
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(ArtifactKind::Weights.code()).bind(signed(sweep.0));
    let rows = query.fetch_all(&mut *tx).await?;
    for row in &rows {
        let (content, owner): (Vec<u8>, i64) = (row.try_get("digest")?, row.try_get("owner")?);
        let delete = sqlx::query("DELETE FROM artifacts WHERE digest = ? AND kind = ? AND owner = ?");
        let delete = delete.bind(&content).bind(ArtifactKind::Weights.code()).bind(owner);
        delete.execute(&mut *tx).await?;
        let others = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM artifacts WHERE digest = ?)");
        let others: bool = others.bind(&content).fetch_one(&mut *tx).await?;
        if !others {
            let insert = sqlx::query("INSERT INTO removals (digest, sum) VALUES (?, ?) ON CONFLICT DO NOTHING");
            Values::of(insert).blob(&content).sum().query.execute(&mut *tx).await?;
        }
    }
    Ok(rows.len() as u64)
}

pub(super) async fn removals(pool: &SqlitePool) -> Result<Vec<Digest>, Error> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar("SELECT digest FROM removals").fetch_all(pool).await?;
    rows.iter().map(|content| digest(content)).collect()
}

pub(super) async fn removed(writer: &Writer, digest: Digest) -> Result<(), Error> {
    let mut numbered = writer.begin().await?;
    let delete = sqlx::query("DELETE FROM removals WHERE digest = ?").bind(digest.as_bytes().as_slice());
    delete.execute(&mut *numbered.transaction).await?;
    numbered.commit().await
}
