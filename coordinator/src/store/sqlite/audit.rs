//! Who did what, and which workers are out of service.

use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use sweep_scheduler::event::Service;
use sweep_scheduler::{SweepId, WorkerName};

use super::read::trial_id;
use super::rows::{Statement, signed, unsigned};
use crate::store::Error;
use crate::store::codes::{AuditAction, service_code, service_of};
use crate::store::record::AuditFilter;
use crate::store::write::{AuditRow, ServiceRow};

const AUDIT: Statement = Statement {
    head: "INSERT INTO audit (at_ms, actor, action, sweep, trial, attempt, worker, detail) VALUES",
    columns: 8,
    constants: "",
    tail: "",
};

pub(super) async fn write(connection: &mut SqliteConnection, rows: &[AuditRow]) -> Result<(), Error> {
    AUDIT
        .run(connection, rows, |query, row| {
            let query = query.bind(row.at_ms).bind(&row.actor).bind(row.action.code());
            let query = query.bind(row.sweep.map(|sweep| signed(sweep.0)));
            let query = query.bind(row.trial.as_ref().map(|trial| trial.as_bytes().as_slice()));
            query.bind(row.attempt).bind(&row.worker).bind(&row.detail)
        })
        .await?;
    Ok(())
}

pub(super) async fn read(pool: &SqlitePool, filter: &AuditFilter) -> Result<Vec<AuditRow>, Error> {
    let mut conditions = "at_ms >= ?1".to_owned();
    if filter.sweep.is_some() {
        conditions.push_str(" AND (sweep = ?2 OR trial IN (SELECT t.trial FROM sweep_trials t WHERE t.sweep = ?2))");
    }
    if filter.trial.is_some() {
        conditions.push_str(" AND trial = ?3");
    }
    if filter.worker.is_some() {
        conditions.push_str(" AND (worker = ?4 OR actor = ?4)");
    }
    let text = format!(
        "SELECT at_ms, actor, action, sweep, trial, attempt, worker, detail FROM audit_log \
         WHERE {conditions} ORDER BY at_ms DESC, step DESC, number DESC LIMIT ?5"
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(filter.since_ms);
    let query = query.bind(filter.sweep.map(|sweep| signed(sweep.0)));
    let query = query.bind(filter.trial.as_ref().map(|trial| trial.as_bytes().to_vec()));
    let rows = query.bind(filter.worker.as_deref()).bind(filter.limit).fetch_all(pool).await?;
    rows.iter().rev().map(entry).collect()
}

fn entry(row: &SqliteRow) -> Result<AuditRow, Error> {
    let sweep: Option<i64> = row.try_get("sweep")?;
    let trial: Option<Vec<u8>> = row.try_get("trial")?;
    Ok(AuditRow {
        at_ms: row.try_get("at_ms")?,
        actor: row.try_get("actor")?,
        action: AuditAction::of(row.try_get("action")?)?,
        sweep: sweep.map(|sweep| SweepId(unsigned(sweep))),
        trial: trial.map(|trial| trial_id(&trial)).transpose()?,
        attempt: row.try_get("attempt")?,
        worker: row.try_get("worker")?,
        detail: row.try_get("detail")?,
    })
}

pub(super) async fn service(connection: &mut SqliteConnection, row: &ServiceRow) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO services (worker, state, reason, actor, at_ms) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (worker) DO UPDATE SET state = excluded.state, reason = excluded.reason, actor = excluded.actor, \
         at_ms = excluded.at_ms",
    );
    let (state, reason) = service_code(&row.service);
    let upsert = upsert.bind(&row.worker).bind(state).bind(reason).bind(&row.actor).bind(row.at_ms);
    upsert.execute(connection).await?;
    Ok(())
}

/// Workers that are out of service.
pub(super) async fn services(pool: &SqlitePool) -> Result<Vec<(WorkerName, Service)>, Error> {
    let rows = sqlx::query("SELECT worker, state, reason FROM services ORDER BY worker").fetch_all(pool).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let service = service_of(row.try_get("state")?, row.try_get("reason")?)?;
        if service != Service::Active {
            found.push((WorkerName(row.try_get("worker")?), service));
        }
    }
    Ok(found)
}
