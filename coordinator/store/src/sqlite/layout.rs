//! What makes a file a store: how it begins, whose it is, and which layout it has.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::Error;

/// Marks a file as ours: "SWEP".
const APPLICATION_ID: i64 = 0x5357_4550;
const HEADER: &[u8; 16] = b"SQLite format 3\0";
/// `SQLITE_NOTADB`.
const NOT_A_DATABASE: &str = "26";

/// The layouts, oldest first. Forward only; PostgreSQL's have the same numbers.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "start", include_str!("migrations/0001_start.sql")),
    (2, "proof", include_str!("migrations/0002_proof.sql")),
    (3, "origin", include_str!("migrations/0003_origin.sql")),
    (4, "cost", include_str!("migrations/0004_cost.sql")),
    (5, "tokens", include_str!("migrations/0005_tokens.sql")),
    (6, "weights", include_str!("migrations/0006_weights.sql")),
    (7, "pauses", include_str!("migrations/0007_pauses.sql")),
    (8, "names", include_str!("migrations/0008_names.sql")),
    (9, "holds", include_str!("migrations/0009_holds.sql")),
    (10, "summaries", include_str!("migrations/0010_summaries.sql")),
    (12, "deletions", include_str!("migrations/0012_deletions.sql")),
    (16, "keys", include_str!("migrations/0016_keys.sql")),
];

/// A file that is there must begin as a database does; an empty one is taken as new.
pub(super) fn check_header(path: &Path) -> Result<(), Error> {
    let name = || path.display().to_string();
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::Io { path: name(), source }),
    };
    let mut header = Vec::new();
    match file.by_ref().take(HEADER.len() as u64).read_to_end(&mut header) {
        Ok(_) if header.is_empty() || header == HEADER => Ok(()),
        Ok(_) => Err(Error::NotAStore { path: name() }),
        Err(source) => Err(Error::Io { path: name(), source }),
    }
}

pub(super) fn name_error(path: &str, error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|error| error.code());
    if code.as_deref() == Some(NOT_A_DATABASE) { Error::NotAStore { path: path.to_owned() } } else { error.into() }
}

/// The name of a table, and the statement that made it.
type LayoutRow = (Option<Vec<u8>>, Option<Vec<u8>>);

/// The layout is kept as text in the file. The library that reads it takes for granted that it is text, so that is seen to
/// before anything else is asked.
async fn layout_is_text(pool: &SqlitePool) -> Result<(), Error> {
    let query = sqlx::query_as("SELECT CAST(name AS BLOB), CAST(sql AS BLOB) FROM sqlite_master");
    let rows: Vec<LayoutRow> = query.fetch_all(pool).await?;
    let parts = rows.iter().flat_map(|(name, sql)| [name, sql]).flatten();
    match parts.map(|part| std::str::from_utf8(part)).find_map(Result::err) {
        None => Ok(()),
        Some(error) => Err(Error::Unreadable { what: format!("its layout is no text: {error}") }),
    }
}

/// The newest migration in the file, 0 for a new one.
pub(super) async fn check_layout(pool: &SqlitePool, path: &str) -> Result<i64, Error> {
    let named = |error| name_error(path, error);
    layout_is_text(pool).await.map_err(|error| match error {
        Error::Database(error) => name_error(path, error),
        other => other,
    })?;
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(pool).await.map_err(named)?;
    let tables: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master").fetch_one(pool).await.map_err(named)?;
    if application != APPLICATION_ID && (application != 0 || tables != 0) {
        return Err(Error::NotAStore { path: path.to_owned() });
    }
    let known = MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or(0);
    let mut found = 0;
    if tables > 0 {
        let newest = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations");
        found = newest.fetch_one(pool).await.map_err(named)?;
        if found > known {
            return Err(Error::Newer { path: path.to_owned(), found, known });
        }
    }
    Ok(found)
}

pub(super) async fn migrate(writer: &SqlitePool, path: &str) -> Result<(), Error> {
    check_layout(writer, path).await?;
    sqlx::query(AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"))).execute(writer).await?;
    let migrations = MIGRATIONS.iter().map(|(version, description, text)| {
        Migration::new(*version, (*description).into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    let failed = |source| Error::Migration { path: path.to_owned(), source: Box::new(source) };
    migrator.run(writer).await.map_err(failed)
}
