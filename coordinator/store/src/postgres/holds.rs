//! Sweeps whose rest is held back.

use sqlx::postgres::PgPool;
use sqlx::{PgConnection, Row};
use sweep_scheduler::{Hold, SweepId};

use super::columns::{signed, small, text};
use crate::Error;
use crate::codes::{canaries_of, class_code, class_of};
use crate::write::HoldRow;

pub(super) async fn write(connection: &mut PgConnection, row: &HoldRow) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO holds (sweep, failed, class, reason, canaries, at_ms) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (sweep) DO UPDATE SET failed = excluded.failed, class = excluded.class, reason = excluded.reason, \
         canaries = excluded.canaries, at_ms = excluded.at_ms",
    );
    let upsert = upsert.bind(signed(row.sweep.0)).bind(row.hold.as_ref().map_or(0, |hold| i64::from(hold.failed)));
    let upsert = upsert.bind(row.hold.as_ref().map(|hold| class_code(hold.class)));
    let upsert = upsert.bind(text(row.hold.as_ref().map_or("", |hold| &hold.reason)));
    upsert.bind(row.canaries()).bind(row.at_ms).execute(connection).await?;
    Ok(())
}

/// Why the rest of a sweep is held back, if it is.
pub(super) async fn read(pool: &PgPool, sweep: SweepId) -> Result<Option<Hold>, Error> {
    let query = sqlx::query("SELECT failed, class, reason, canaries FROM holds WHERE sweep = $1 AND failed > 0");
    let Some(row) = query.bind(signed(sweep.0)).fetch_optional(pool).await? else { return Ok(None) };
    let class = class_of(row.try_get("class")?)?;
    let canaries = canaries_of(&row.try_get::<Vec<u8>, _>("canaries")?)?;
    Ok(Some(Hold { failed: small(&row, "failed")?, class, reason: row.try_get("reason")?, canaries }))
}
