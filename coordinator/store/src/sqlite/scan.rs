//! Reads every row of a table of `checksum::TABLES`, whatever its cells contain, checks it against its checksums, and
//! checksums put on rows that have none.

use futures::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::row_reader::Cell;
use crate::Error;
use crate::checksum::{Checksum, Group, Table};

/// Rows that get their checksums in one go.
const BATCH: u32 = 20_000;

/// A row that is not what was written.
pub(super) struct Wrong {
    pub(super) table: &'static Table,
    pub(super) key: Vec<Cell>,
    /// Its checksums that do not match.
    pub(super) groups: Vec<&'static Group>,
    /// All columns, for people.
    pub(super) content: String,
}

impl Wrong {
    /// The key in words.
    pub(super) fn name(&self) -> String {
        let pairs = self.table.key.iter().zip(&self.key);
        pairs.map(|(column, cell)| format!("{column} {}", cell.show())).collect::<Vec<_>>().join(", ")
    }
}

/// The columns of a row in the order in which they are read: the key, then each group with its checksum.
fn columns(table: &Table) -> Vec<&'static str> {
    let mut columns: Vec<&'static str> = table.key.to_vec();
    for group in table.groups {
        columns.extend_from_slice(group.columns);
        columns.push(group.sum);
    }
    columns
}

fn cells(row: &SqliteRow) -> Result<Vec<Cell>, sqlx::Error> {
    (0..row.len()).map(|index| Cell::of(row, index)).collect()
}

/// The checksums that a row should have, in the order of its groups.
fn sums(table: &'static Table, cells: &[Cell]) -> Vec<(&'static Group, Cell, Cell)> {
    let (key, mut rest) = cells.split_at(table.key.len().min(cells.len()));
    let mut found = Vec::with_capacity(table.groups.len());
    for group in table.groups {
        let (values, after) = rest.split_at(group.columns.len().min(rest.len()));
        let (sum, after) = after.split_first().map_or((Cell::Null, after), |(sum, after)| (sum.clone(), after));
        rest = after;
        let mut checksum = Checksum::new();
        key.iter().chain(values).for_each(|cell| cell.add_to(&mut checksum));
        let right = Cell::Int(checksum.sum());
        found.push((group, sum, right));
    }
    found
}

/// Reads a whole table; says how many rows it has and which of them are wrong.
pub(super) async fn verify(
    connection: &mut SqliteConnection,
    table: &'static Table,
) -> Result<(u64, Vec<Wrong>), Error> {
    let names = columns(table);
    let text = format!("SELECT {} FROM {}", names.join(", "), table.name);
    let mut rows = sqlx::query(AssertSqlSafe(text)).fetch(connection);
    let (mut count, mut wrong) = (0, Vec::new());
    while let Some(row) = rows.try_next().await? {
        count += 1;
        let cells = cells(&row)?;
        let groups = sums(table, &cells).into_iter().filter(|(_, sum, right)| sum != right);
        let groups: Vec<_> = groups.map(|(group, ..)| group).collect();
        if groups.is_empty() {
            continue;
        }
        let shown = names.iter().zip(&cells).map(|(name, cell)| format!("{name}={}", cell.show()));
        let content = shown.collect::<Vec<_>>().join(" ");
        wrong.push(Wrong { table, key: cells[..table.key.len()].to_vec(), groups, content });
    }
    Ok((count, wrong))
}

/// Puts checksums on the rows of a table that `condition` holds for, batch by batch. The rows are trusted. It ends where a
/// batch makes them no fewer, because their keys find other rows or none: those rows stay without a checksum, and a later
/// read finds the damage.
pub(super) async fn write_checksums(
    connection: &mut SqliteConnection,
    table: &'static Table,
    condition: &str,
) -> Result<(), Error> {
    let text = format!("SELECT COUNT(*) FROM {} WHERE {condition}", table.name);
    let mut before = i64::MAX;
    loop {
        let left: i64 = sqlx::query_scalar(AssertSqlSafe(text.clone())).fetch_one(&mut *connection).await?;
        if left == 0 || left >= before {
            return Ok(());
        }
        before = left;
        write_checksum_batch(connection, table, condition).await?;
    }
}

async fn write_checksum_batch(
    connection: &mut SqliteConnection,
    table: &'static Table,
    condition: &str,
) -> Result<(), Error> {
    let text = format!("SELECT {} FROM {} WHERE {condition} LIMIT {BATCH}", columns(table).join(", "), table.name);
    let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut *connection).await?;
    let assignments: Vec<_> = table.groups.iter().map(|group| format!("{} = ?", group.sum)).collect();
    let update = format!("UPDATE {} SET {} WHERE {}", table.name, assignments.join(", "), by_key(table));
    for row in &rows {
        let cells = cells(row)?;
        let mut query = sqlx::query(AssertSqlSafe(update.clone()));
        for (_, _, right) in sums(table, &cells) {
            query = bind(query, &right);
        }
        for cell in &cells[..table.key.len()] {
            query = bind(query, cell);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// A condition for one row, with a place for each column of the key.
pub(super) fn by_key(table: &Table) -> String {
    table.key.iter().map(|column| format!("{column} IS ?")).collect::<Vec<_>>().join(" AND ")
}

type Bound<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

pub(super) fn bind<'q>(query: Bound<'q>, cell: &Cell) -> Bound<'q> {
    match cell {
        Cell::Null => query.bind(None::<i64>),
        Cell::Int(value) => query.bind(*value),
        Cell::Real(value) => query.bind(*value),
        // What is no text cannot be bound as text; such a key matches nothing, and the row is told of and stays.
        Cell::Text(value) => query.bind(String::from_utf8_lossy(value).into_owned()),
        Cell::Blob(value) => query.bind(value.clone()),
    }
}

/// Forbids a change of a row of the audit log.
const AUDIT_IS_NOT_REWRITTEN: &str = "CREATE TRIGGER audit_is_not_rewritten BEFORE UPDATE ON audit BEGIN \
                                      SELECT RAISE(ABORT, 'the audit log is append-only'); END";

/// Gives every row its checksums: of a store of the first release, or of the copy of a database, whose rows have none. In a
/// transaction, so that the audit log is append-only again whatever interrupts it.
pub(super) async fn write_all_checksums(connection: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::query("DROP TRIGGER IF EXISTS audit_is_not_rewritten").execute(&mut *connection).await?;
    for table in crate::checksum::TABLES {
        let Some(first) = table.groups.first() else { continue };
        let condition = format!("{} IS NULL", first.sum);
        write_checksums(connection, table, &condition).await?;
    }
    sqlx::query(AUDIT_IS_NOT_REWRITTEN).execute(&mut *connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;

    #[tokio::test]
    async fn a_row_that_its_key_does_not_find_is_left_and_ends_the_search() {
        let counters = crate::checksum::TABLES.iter().find(|table| table.name == "counters").unwrap();
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        for text in [
            "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER, sum INTEGER)",
            // The key is not a text, so no query by key finds the row.
            "INSERT INTO counters VALUES ('commit', 7, NULL), (CAST(x'ff' AS TEXT), 7, NULL)",
        ] {
            sqlx::query(text).execute(&mut connection).await.unwrap();
        }
        write_checksums(&mut connection, counters, "sum IS NULL").await.unwrap();
        let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM counters WHERE sum IS NULL")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(left, 1);
    }
}
