//! Who did what, which workers are out of service, and which hold their names.

use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, SqliteConnection};
use sweep_scheduler::event::{Instance, Service};
use sweep_scheduler::{SweepId, WorkerName};

use super::read::trial_id;
use super::row_reader::RowReader;
use super::rows::{Statement, Values, signed, unsigned};
use crate::Error;
use crate::codes::{AuditAction, service_code, service_of};
use crate::record::AuditFilter;
use crate::write::{AuditRow, NameRow, ServiceRow};

const AUDIT: Statement = Statement {
    head: "INSERT INTO audit (id, at_ms, actor, action, sweep, trial, attempt, worker, detail, sum) VALUES",
    columns: 10,
    constants: "",
    tail: "",
};

pub(super) async fn write(connection: &mut SqliteConnection, rows: &[AuditRow]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let last: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM audit").fetch_one(&mut *connection).await?;
    let rows: Vec<_> = (last.saturating_add(1)..).zip(rows).collect();
    AUDIT
        .run(connection, &rows, |values, (id, row)| {
            let values = values.int(*id).int(row.at_ms).text(&row.actor).int(row.action.code());
            let values = values.option(row.sweep.map(|sweep| signed(sweep.0)));
            let values = values.option_blob(row.trial.as_ref().map(|trial| trial.as_bytes().as_slice()));
            values.option(row.attempt).text(&row.worker).text(&row.detail).sum()
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
    if filter.until_ms.is_some() {
        conditions.push_str(" AND at_ms <= ?7");
    }
    if filter.worker.is_some() {
        conditions.push_str(" AND (worker = ?4 OR actor = ?4)");
    }
    let text = format!(
        "SELECT number, at_ms, actor, action, sweep, trial, attempt, worker, detail, sum FROM audit_log \
         WHERE {conditions} ORDER BY at_ms DESC, step DESC, number DESC LIMIT ?5 OFFSET ?6"
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(filter.since_ms);
    let query = query.bind(filter.sweep.map(|sweep| signed(sweep.0)));
    let query = query.bind(filter.trial.as_ref().map(|trial| trial.as_bytes().to_vec()));
    let query = query.bind(filter.worker.as_deref()).bind(filter.limit).bind(filter.skip).bind(filter.until_ms);
    let rows = query.fetch_all(pool).await?;
    rows.iter().rev().map(entry).collect()
}

fn entry(row: &SqliteRow) -> Result<AuditRow, Error> {
    let mut reader = RowReader::new(row, "audit");
    reader.int()?;
    let at_ms = reader.int()?;
    let actor = reader.text()?.to_owned();
    let action = AuditAction::of(reader.int()?)?;
    let sweep = reader.option()?.map(|sweep| SweepId(unsigned(sweep)));
    let trial = reader.option_blob()?.map(trial_id).transpose()?;
    let attempt = reader.small_option()?;
    let (worker, detail) = (reader.text()?.to_owned(), reader.text()?.to_owned());
    if !action.is_kept_elsewhere() {
        reader.sum(|| format!("what {actor} did at {at_ms}"))?;
    }
    Ok(AuditRow { at_ms, actor, action, sweep, trial, attempt, worker, detail })
}

pub(super) async fn service(connection: &mut SqliteConnection, row: &ServiceRow) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO services (worker, state, reason, actor, at_ms, sum) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (worker) DO UPDATE SET state = excluded.state, reason = excluded.reason, actor = excluded.actor, \
         at_ms = excluded.at_ms, sum = excluded.sum",
    );
    let (state, reason) = service_code(&row.service);
    let values = Values::of(upsert).text(&row.worker).int(state).text(reason).text(&row.actor).int(row.at_ms).sum();
    values.query.execute(connection).await?;
    Ok(())
}

/// Workers that are out of service.
pub(super) async fn services(pool: &SqlitePool) -> Result<Vec<(WorkerName, Service)>, Error> {
    let query = sqlx::query("SELECT worker, state, reason, actor, at_ms, sum FROM services ORDER BY worker");
    let mut found = Vec::new();
    for row in &query.fetch_all(pool).await? {
        let mut reader = RowReader::new(row, "services");
        let worker = reader.text()?.to_owned();
        let (state, reason) = (reader.int()?, reader.text()?.to_owned());
        let service = service_of(state, reason, reader.text()?)?;
        reader.int()?;
        reader.sum(|| format!("worker {worker}"))?;
        if service != Service::Active {
            found.push((WorkerName(worker), service));
        }
    }
    Ok(found)
}

pub(super) async fn name(connection: &mut SqliteConnection, row: &NameRow) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO names (worker, folder, process, held, host, address, since_ms, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (worker) DO UPDATE SET folder = excluded.folder, process = excluded.process, held = excluded.held, \
         host = excluded.host, address = excluded.address, since_ms = excluded.since_ms, sum = excluded.sum",
    );
    let Instance { folder, process } = row.instance;
    let values = Values::of(upsert).text(&row.worker).number(folder).number(process).int(row.held);
    let values = values.text(&row.host).text(&row.address).int(row.since_ms).sum();
    values.query.execute(connection).await?;
    Ok(())
}

/// The worker that took each name last.
pub(super) async fn names(pool: &SqlitePool) -> Result<Vec<NameRow>, Error> {
    let query =
        sqlx::query("SELECT worker, folder, process, held, host, address, since_ms, sum FROM names ORDER BY worker");
    let record = |row: &SqliteRow| {
        let mut reader = RowReader::new(row, "names");
        let worker = reader.text()?.to_owned();
        let instance = Instance { folder: reader.number()?, process: reader.number()? };
        let held = reader.int()? != 0;
        let (host, address, since_ms) = (reader.text()?.to_owned(), reader.text()?.to_owned(), reader.int()?);
        reader.sum(|| format!("the name {worker}"))?;
        Ok(NameRow { worker, instance, held, host, address, since_ms })
    };
    query.fetch_all(pool).await?.iter().map(record).collect()
}
