//! Configurations of a sweep, as they are read, and the stages that they belong to.

use futures::TryStreamExt;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, Row};
use sweep_scheduler::SweepId;

use super::columns::{flag, large, signed, small};
use super::read::from_json;
use crate::Error;
use crate::record::{ConfigurationRecord, ConfigurationTitle};

const CONFIGURATION: &str = "SELECT position, name, label, body, params, flops, cost, memory_bytes, baseline, \
                             ARRAY(SELECT stage FROM stage_configurations s \
                             WHERE s.sweep = c.sweep AND s.configuration = c.position ORDER BY stage) AS stages \
                             FROM configurations c WHERE sweep = $1";

/// Which configurations belong to which stages: configuration and stage, in this order.
pub(super) async fn memberships(pool: &PgPool, sweep: SweepId) -> Result<Vec<(u32, u32)>, Error> {
    let query = sqlx::query(
        "SELECT configuration, stage FROM stage_configurations WHERE sweep = $1 ORDER BY configuration, stage",
    );
    let mut rows = query.bind(signed(sweep.0)).fetch(pool);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        found.push((small(&row, "configuration")?, small(&row, "stage")?));
    }
    Ok(found)
}

pub(super) async fn all(pool: &PgPool, sweep: SweepId) -> Result<Vec<ConfigurationRecord>, Error> {
    let text = format!("{CONFIGURATION} ORDER BY position");
    let mut rows = sqlx::query(AssertSqlSafe(text)).bind(signed(sweep.0)).fetch(pool);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        found.push(configuration(&row)?);
    }
    Ok(found)
}

pub(super) async fn one(pool: &PgPool, sweep: SweepId, position: u32) -> Result<Option<ConfigurationRecord>, Error> {
    let query = sqlx::query(AssertSqlSafe(format!("{CONFIGURATION} AND position = $2")));
    let row = query.bind(signed(sweep.0)).bind(i64::from(position)).fetch_optional(pool).await?;
    row.as_ref().map(configuration).transpose()
}

pub(super) async fn titles(pool: &PgPool, sweep: SweepId) -> Result<Vec<ConfigurationTitle>, Error> {
    let query = sqlx::query(
        "SELECT position, name, label, baseline FROM configurations c WHERE sweep = $1 AND EXISTS \
         (SELECT 1 FROM stage_configurations s WHERE s.sweep = c.sweep AND s.configuration = c.position) \
         ORDER BY position",
    );
    let mut rows = query.bind(signed(sweep.0)).fetch(pool);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        found.push(ConfigurationTitle {
            position: small(&row, "position")?,
            name: row.try_get("name")?,
            label: row.try_get("label")?,
            baseline: flag(&row, "baseline")?,
        });
    }
    Ok(found)
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
