//! Configurations of a sweep, as they are read, and the stages that they belong to.

use futures::TryStreamExt;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sweep_scheduler::SweepId;

use super::read::from_json;
use super::row_reader::RowReader;
use super::rows::signed;
use crate::Error;
use crate::record::{ConfigurationRecord, ConfigurationTitle};

const CONFIGURATION: &str = "SELECT sweep, position, name, label, body, params, flops, cost, memory_bytes, baseline, sum \
                             FROM configurations WHERE sweep = ?";
const MEMBERSHIP: &str = "SELECT sweep, stage, configuration, sum FROM stage_configurations WHERE sweep = ?";

/// Which configurations belong to which stages: configuration and stage, in this order.
pub(super) async fn memberships(pool: &SqlitePool, sweep: SweepId) -> Result<Vec<(u32, u32)>, Error> {
    let text = format!("{MEMBERSHIP} ORDER BY configuration, stage");
    let mut rows = sqlx::query(AssertSqlSafe(text)).bind(signed(sweep.0)).fetch(pool);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        found.push(membership(&row, sweep)?);
    }
    Ok(found)
}

fn membership(row: &SqliteRow, sweep: SweepId) -> Result<(u32, u32), Error> {
    let mut reader = RowReader::new(row, "stage_configurations");
    reader.int()?;
    let (stage, configuration) = (reader.small()?, reader.small()?);
    reader.sum(|| format!("configuration {configuration} in stage {stage} of sweep {sweep}"))?;
    Ok((configuration, stage))
}

pub(super) async fn all(pool: &SqlitePool, sweep: SweepId) -> Result<Vec<ConfigurationRecord>, Error> {
    let memberships = memberships(pool, sweep).await?;
    let text = format!("{CONFIGURATION} ORDER BY position");
    let mut rows = sqlx::query(AssertSqlSafe(text)).bind(signed(sweep.0)).fetch(pool);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let mut record = configuration(&row, sweep)?;
        let first = memberships.partition_point(|(configuration, _)| *configuration < record.position);
        let own = memberships.iter().skip(first).take_while(|(configuration, _)| *configuration == record.position);
        record.stages = own.map(|(_, stage)| *stage).collect();
        // One that is being prepared is in no stage yet. Of one whose rows are lost, its trials tell when they are loaded.
        if !record.stages.is_empty() {
            found.push(record);
        }
    }
    Ok(found)
}

pub(super) async fn one(
    pool: &SqlitePool,
    sweep: SweepId,
    position: u32,
) -> Result<Option<ConfigurationRecord>, Error> {
    let query = sqlx::query(AssertSqlSafe(format!("{CONFIGURATION} AND position = ?")));
    let row = query.bind(signed(sweep.0)).bind(position).fetch_optional(pool).await?;
    let Some(row) = row else { return Ok(None) };
    let mut record = configuration(&row, sweep)?;
    let query = sqlx::query(AssertSqlSafe(format!("{MEMBERSHIP} AND configuration = ? ORDER BY stage")));
    for row in &query.bind(signed(sweep.0)).bind(position).fetch_all(pool).await? {
        record.stages.push(membership(row, sweep)?.1);
    }
    Ok(Some(record).filter(|record| !record.stages.is_empty()))
}

pub(super) async fn titles(pool: &SqlitePool, sweep: SweepId) -> Result<Vec<ConfigurationTitle>, Error> {
    let text = format!(
        "{CONFIGURATION} AND EXISTS (SELECT 1 FROM stage_configurations c WHERE c.sweep = configurations.sweep \
         AND c.configuration = configurations.position) ORDER BY position"
    );
    let mut rows = sqlx::query(AssertSqlSafe(text)).bind(signed(sweep.0)).fetch(pool);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let mut reader = RowReader::new(&row, "configurations");
        reader.int()?;
        let (position, name, label) = (reader.small()?, reader.text()?.to_owned(), reader.text()?.to_owned());
        reader.text()?;
        for _ in ["params", "flops", "cost", "memory_bytes"] {
            reader.int()?;
        }
        let baseline = reader.flag()?;
        reader.sum(|| format!("configuration {position} of sweep {sweep}"))?;
        found.push(ConfigurationTitle { position, name, label, baseline });
    }
    Ok(found)
}

fn configuration(row: &SqliteRow, sweep: SweepId) -> Result<ConfigurationRecord, Error> {
    let mut reader = RowReader::new(row, "configurations");
    reader.int()?;
    let position = reader.small()?;
    let (name, label, body) = (reader.text()?.to_owned(), reader.text()?.to_owned(), reader.text()?);
    let (params, flops, cost, memory_bytes) = (reader.number()?, reader.number()?, reader.number()?, reader.number()?);
    let baseline = reader.flag()?;
    reader.sum(|| format!("configuration {position} of sweep {sweep}"))?;
    let (configuration, stages) = (from_json(body)?, Vec::new());
    Ok(ConfigurationRecord {
        position,
        name,
        label,
        configuration,
        params,
        flops,
        cost,
        memory_bytes,
        baseline,
        stages,
    })
}
