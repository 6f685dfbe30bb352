//! Who did what, which workers are out of service, and which hold their names.

use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use sweep_scheduler::event::{Instance, Service};
use sweep_scheduler::{SweepId, WorkerName};

use super::columns::{Columns, large, pieces, signed, small_or_none, text, unsigned};
use super::read::trial_id;
use crate::Error;
use crate::codes::{AuditAction, service_code, service_of};
use crate::record::AuditFilter;
use crate::write::{AuditRow, NameRow, ServiceRow};

pub(super) async fn write(connection: &mut PgConnection, rows: &[AuditRow]) -> Result<(), Error> {
    for rows in pieces(rows) {
        let columns = Columns::of(rows).number("at_ms", |row| row.at_ms).text("actor", |row| &row.actor);
        let columns = columns.number("action", |row| row.action.code());
        let columns = columns.number_or_none("sweep", |row| row.sweep.map(|sweep| signed(sweep.0)));
        let columns = columns.bytes_or_none("trial", |row| row.trial.as_ref().map(|trial| trial.as_bytes().as_slice()));
        let columns = columns.number_or_none("attempt", |row| row.attempt.map(i64::from));
        let columns = columns.text("worker", |row| &row.worker).text("detail", |row| &row.detail);
        columns.insert(connection, "audit", "").await?;
    }
    Ok(())
}

pub(super) async fn read(pool: &PgPool, filter: &AuditFilter) -> Result<Vec<AuditRow>, Error> {
    let mut conditions = "at_ms >= $1".to_owned();
    if filter.sweep.is_some() {
        conditions.push_str(" AND (sweep = $2 OR trial IN (SELECT t.trial FROM sweep_trials t WHERE t.sweep = $2))");
    }
    if filter.trial.is_some() {
        conditions.push_str(" AND trial = $3");
    }
    if filter.until_ms.is_some() {
        conditions.push_str(" AND at_ms <= $7");
    }
    if filter.worker.is_some() {
        conditions.push_str(" AND (worker = $4 OR actor = $4)");
    }
    let statement = format!(
        "SELECT at_ms, actor, action, sweep, trial, attempt, worker, detail FROM audit_log \
         WHERE {conditions} ORDER BY at_ms DESC, step DESC, number DESC LIMIT $5 OFFSET $6"
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(filter.since_ms);
    let query = query.bind(filter.sweep.map(|sweep| signed(sweep.0)));
    let query = query.bind(filter.trial.as_ref().map(|trial| trial.as_bytes().to_vec()));
    let query = query.bind(filter.worker.as_deref()).bind(i64::from(filter.limit));
    let rows = query.bind(i64::from(filter.skip)).bind(filter.until_ms).fetch_all(pool).await?;
    rows.iter().rev().map(entry).collect()
}

fn entry(row: &PgRow) -> Result<AuditRow, Error> {
    let sweep: Option<i64> = row.try_get("sweep")?;
    let trial: Option<Vec<u8>> = row.try_get("trial")?;
    Ok(AuditRow {
        at_ms: row.try_get("at_ms")?,
        actor: row.try_get("actor")?,
        action: AuditAction::of(row.try_get("action")?)?,
        sweep: sweep.map(|sweep| SweepId(unsigned(sweep))),
        trial: trial.map(|trial| trial_id(&trial)).transpose()?,
        attempt: small_or_none(row, "attempt")?,
        worker: row.try_get("worker")?,
        detail: row.try_get("detail")?,
    })
}

pub(super) async fn service(connection: &mut PgConnection, row: &ServiceRow) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO services (worker, state, reason, actor, at_ms) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (worker) DO UPDATE SET state = excluded.state, reason = excluded.reason, actor = excluded.actor, \
         at_ms = excluded.at_ms",
    );
    let (state, reason) = service_code(&row.service);
    let upsert = upsert.bind(text(&row.worker)).bind(state).bind(text(reason)).bind(text(&row.actor)).bind(row.at_ms);
    upsert.execute(connection).await?;
    Ok(())
}

/// Workers that are out of service.
pub(super) async fn services(pool: &PgPool) -> Result<Vec<(WorkerName, Service)>, Error> {
    let rows = sqlx::query("SELECT worker, state, reason, actor FROM services ORDER BY worker").fetch_all(pool).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let service = service_of(row.try_get("state")?, row.try_get("reason")?, row.try_get("actor")?)?;
        if service != Service::Active {
            found.push((WorkerName(row.try_get("worker")?), service));
        }
    }
    Ok(found)
}

pub(super) async fn name(connection: &mut PgConnection, row: &NameRow) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO names (worker, folder, process, held, host, address, since_ms) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (worker) DO UPDATE SET folder = excluded.folder, process = excluded.process, held = excluded.held, \
         host = excluded.host, address = excluded.address, since_ms = excluded.since_ms",
    );
    let Instance { folder, process } = row.instance;
    let upsert = upsert.bind(text(&row.worker)).bind(signed(folder)).bind(signed(process)).bind(i64::from(row.held));
    let upsert = upsert.bind(text(&row.host)).bind(text(&row.address)).bind(row.since_ms);
    upsert.execute(connection).await?;
    Ok(())
}

/// The worker that took each name last.
pub(super) async fn names(pool: &PgPool) -> Result<Vec<NameRow>, Error> {
    let query = sqlx::query("SELECT worker, folder, process, held, host, address, since_ms FROM names ORDER BY worker");
    let record = |row: &PgRow| {
        Ok(NameRow {
            worker: row.try_get("worker")?,
            instance: Instance { folder: large(row, "folder")?, process: large(row, "process")? },
            held: row.try_get::<i64, _>("held")? != 0,
            host: row.try_get("host")?,
            address: row.try_get("address")?,
            since_ms: row.try_get("since_ms")?,
        })
    };
    query.fetch_all(pool).await?.iter().map(record).collect()
}
