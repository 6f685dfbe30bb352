//! Whose weights are kept. A trial's weights stay as long as one sweep that has the trial keeps them.

use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use sweep_scheduler::SweepId;
use sweep_spec::{Digest, TrialId};

use super::audit;
use super::columns::{signed, unsigned};
use super::read::digest;
use crate::Error;
use crate::codes::ArtifactKind;
use crate::weights::{Settled, Settlement};
use crate::write::Commit;

/// Sweeps that keep the weights of trial `t.trial`: those without a choice, and those that chose its configuration.
const KEEPERS: &str = "SELECT 1 FROM sweep_trials o WHERE o.trial = t.trial AND NOT EXISTS (SELECT 1 \
                       FROM weight_choices w WHERE w.sweep = o.sweep AND w.settled = 1 AND NOT EXISTS (SELECT 1 \
                       FROM weights_kept k WHERE k.sweep = o.sweep AND k.configuration = o.configuration))";

/// Sweeps that have ended and have to choose, and sweeps that go on and have not chosen any more.
pub(super) async fn changes(tx: &mut PgConnection, commit: &Commit) -> Result<(), Error> {
    for sweep in &commit.sweeps_reopened {
        forget(tx, *sweep).await?;
    }
    for (sweep, ended_ms) in &commit.weights_due {
        write(tx, *sweep, *ended_ms, false).await?;
    }
    Ok(())
}

/// A sweep without a choice keeps everything.
async fn forget(tx: &mut PgConnection, sweep: SweepId) -> Result<(), Error> {
    for text in ["DELETE FROM weight_choices WHERE sweep = $1", "DELETE FROM weights_kept WHERE sweep = $1"] {
        sqlx::query(text).bind(signed(sweep.0)).execute(&mut *tx).await?;
    }
    Ok(())
}

async fn write(tx: &mut PgConnection, sweep: SweepId, ended_ms: i64, settled: bool) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO weight_choices (sweep, ended_ms, settled) VALUES ($1, $2, $3) ON CONFLICT (sweep) DO UPDATE \
         SET ended_ms = excluded.ended_ms, settled = excluded.settled",
    );
    upsert.bind(signed(sweep.0)).bind(ended_ms).bind(i64::from(settled)).execute(tx).await?;
    Ok(())
}

/// The sweeps that have to choose.
pub(super) async fn due(pool: &PgPool) -> Result<Vec<SweepId>, Error> {
    let query = sqlx::query_scalar("SELECT sweep FROM weight_choices WHERE settled = 0 ORDER BY sweep");
    let found: Vec<i64> = query.fetch_all(pool).await?;
    Ok(found.into_iter().map(|sweep| SweepId(unsigned(sweep))).collect())
}

pub(super) async fn wanted(pool: &PgPool, trial: TrialId) -> Result<bool, Error> {
    let text = format!("SELECT EXISTS ({KEEPERS}) FROM (SELECT $1::bytea AS trial) t");
    let query = sqlx::query_scalar(AssertSqlSafe(text)).bind(trial.as_bytes().as_slice());
    Ok(query.fetch_one(pool).await?)
}

pub(super) async fn settle(tx: &mut PgConnection, settlement: &Settlement) -> Result<Settled, Error> {
    let sweep = settlement.sweep;
    let due = sqlx::query_scalar("SELECT ended_ms FROM weight_choices WHERE sweep = $1 AND settled = 0");
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
                let insert = sqlx::query("INSERT INTO weights_kept (sweep, configuration) VALUES ($1, $2)");
                insert.bind(signed(sweep.0)).bind(i64::from(*configuration)).execute(&mut *tx).await?;
            }
            released = release(tx, sweep).await?;
        }
    }
    audit::write(tx, std::slice::from_ref(&settlement.audit)).await?;
    Ok(Settled { done: true, released })
}

/// Forgets the weights of a sweep's trials that no sweep keeps; says how many.
async fn release(tx: &mut PgConnection, sweep: SweepId) -> Result<u64, Error> {
    let text = format!(
        "SELECT f.digest, f.owner FROM sweep_trials t JOIN attempts a ON a.trial = t.trial \
         JOIN artifacts f ON f.owner = a.key AND f.kind = $1 WHERE t.sweep = $2 AND NOT EXISTS ({KEEPERS})"
    );
    let kind = ArtifactKind::Weights.code();
    let query = sqlx::query(AssertSqlSafe(text)).bind(kind).bind(signed(sweep.0));
    let rows = query.fetch_all(&mut *tx).await?;
    for row in &rows {
        let (content, owner): (Vec<u8>, i64) = (row.try_get("digest")?, row.try_get("owner")?);
        let delete = sqlx::query("DELETE FROM artifacts WHERE digest = $1 AND kind = $2 AND owner = $3");
        delete.bind(&content).bind(kind).bind(owner).execute(&mut *tx).await?;
        let insert = sqlx::query(
            "INSERT INTO removals (digest) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM artifacts WHERE digest = $1) \
             ON CONFLICT DO NOTHING",
        );
        insert.bind(&content).execute(&mut *tx).await?;
    }
    Ok(rows.len() as u64)
}

pub(super) async fn removals(pool: &PgPool) -> Result<Vec<Digest>, Error> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar("SELECT digest FROM removals").fetch_all(pool).await?;
    rows.iter().map(|content| digest(content)).collect()
}

pub(super) async fn removed(tx: &mut PgConnection, digest: Digest) -> Result<(), Error> {
    let delete = sqlx::query("DELETE FROM removals WHERE digest = $1").bind(digest.as_bytes().as_slice());
    delete.execute(tx).await?;
    Ok(())
}
