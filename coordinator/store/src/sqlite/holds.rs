//! Sweeps whose rest is held back.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqlitePool;
use sweep_scheduler::{Hold, SweepId};

use super::row_reader::RowReader;
use super::rows::{Values, signed};
use crate::Error;
use crate::codes::{canaries_of, class_code, class_of};
use crate::write::HoldRow;

pub(super) async fn write(connection: &mut SqliteConnection, row: &HoldRow) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO holds (sweep, failed, class, reason, canaries, at_ms, sum) VALUES (?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (sweep) DO UPDATE SET failed = excluded.failed, class = excluded.class, reason = excluded.reason, \
         canaries = excluded.canaries, at_ms = excluded.at_ms, sum = excluded.sum",
    );
    let canaries = row.canaries();
    let values = Values::of(upsert).int(signed(row.sweep.0)).int(row.hold.as_ref().map_or(0, |hold| hold.failed));
    let values = values.option(row.hold.as_ref().map(|hold| class_code(hold.class)));
    let values = values.text(row.hold.as_ref().map_or("", |hold| &hold.reason)).blob(&canaries).int(row.at_ms).sum();
    values.query.execute(connection).await?;
    Ok(())
}

/// Why the rest of a sweep is held back, if it is.
pub(super) async fn read(pool: &SqlitePool, sweep: SweepId) -> Result<Option<Hold>, Error> {
    let query = sqlx::query("SELECT sweep, failed, class, reason, canaries, at_ms, sum FROM holds WHERE sweep = ?");
    let Some(row) = query.bind(signed(sweep.0)).fetch_optional(pool).await? else { return Ok(None) };
    let mut reader = RowReader::new(&row, "holds");
    reader.int()?;
    let (failed, class): (u32, _) = (reader.small()?, reader.option()?);
    let (reason, canaries) = (reader.text()?.to_owned(), canaries_of(reader.blob()?)?);
    reader.int()?;
    reader.sum(|| format!("what is held back of sweep {sweep}"))?;
    let Some(class) = class.filter(|_| failed > 0) else { return Ok(None) };
    Ok(Some(Hold { failed, class: class_of(class)?, reason, canaries }))
}
