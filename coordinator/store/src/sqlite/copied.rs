//! A copy of a store that no process writes to: what it refers to, read without a lock beside it.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool};
use sqlx::{Connection, Row};
use sweep_spec::{Digest, TrialId};

use super::read::{digest, trial_id};
use super::rows::unsigned;
use crate::Error;

/// The most artifacts with one content that are named.
const MOST_OWNERS: u32 = 3;

/// Artifacts that have one content.
pub struct Owners {
    /// The first few: the code of the kind; the trial, and a sweep that refers to it.
    pub some: Vec<(i32, Option<TrialId>, Option<u64>)>,
    /// How many there are.
    pub count: u64,
}

/// Copies the store into a new file, as it is at one moment. Commits go on meanwhile.
pub(super) async fn make(pool: &SqlitePool, path: &Path) -> Result<(), Error> {
    let name = path.to_str().ok_or_else(|| Error::Io {
        path: path.display().to_string(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path is no text"),
    })?;
    sqlx::query("VACUUM INTO ?").bind(name).execute(pool).await?;
    Ok(())
}

async fn open(path: &Path) -> Result<SqliteConnection, Error> {
    // No process writes to it, so SQLite looks for neither a log nor a lock.
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(true);
    Ok(SqliteConnection::connect_with(&options).await?)
}

/// The newest migration, the contents that artifacts have, and the bytes of these.
pub async fn weigh(path: &Path) -> Result<(i64, u64, u64), Error> {
    let mut connection = open(path).await?;
    let layout = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations");
    let layout: i64 = layout.fetch_one(&mut connection).await?;
    let row = sqlx::query(
        "SELECT COUNT(*) AS contents, COALESCE(SUM(size), 0) AS bytes FROM \
         (SELECT MAX(size_bytes) AS size FROM artifacts GROUP BY digest)",
    );
    let row = row.fetch_one(&mut connection).await?;
    let found = (layout, unsigned(row.try_get("contents")?), unsigned(row.try_get("bytes")?));
    connection.close().await?;
    Ok(found)
}

/// A page of the contents that artifacts have, in the order of their digests, with their sizes.
pub async fn contents(path: &Path, after: Option<Digest>, limit: u32) -> Result<Vec<(Digest, u64)>, Error> {
    let mut connection = open(path).await?;
    let query = sqlx::query(
        "SELECT digest, MAX(size_bytes) AS size FROM artifacts WHERE digest > ? GROUP BY digest ORDER BY digest LIMIT ?",
    );
    let after = after.map(|digest| digest.as_bytes().to_vec()).unwrap_or_default();
    let rows = query.bind(after).bind(limit).fetch_all(&mut connection).await?;
    connection.close().await?;
    rows.iter().map(|row| Ok((digest(row.try_get("digest")?)?, unsigned(row.try_get("size")?)))).collect()
}

/// The artifacts that have this content.
pub async fn owners(path: &Path, content: Digest) -> Result<Owners, Error> {
    let mut connection = open(path).await?;
    let content = content.as_bytes().as_slice();
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM artifacts WHERE digest = ?");
    let count: i64 = count.bind(content).fetch_one(&mut connection).await?;
    let query = sqlx::query(
        "SELECT f.kind, a.trial, (SELECT MIN(t.sweep) FROM sweep_trials t WHERE t.trial = a.trial) AS sweep \
         FROM artifacts f LEFT JOIN attempts a ON a.key = f.owner WHERE f.digest = ? ORDER BY f.kind, f.owner LIMIT ?",
    );
    let rows = query.bind(content).bind(MOST_OWNERS).fetch_all(&mut connection).await?;
    connection.close().await?;
    let owner = |row: &sqlx::sqlite::SqliteRow| {
        let trial = row.try_get::<Option<Vec<u8>>, _>("trial")?.map(|trial| trial_id(&trial)).transpose()?;
        let sweep = row.try_get::<Option<i64>, _>("sweep")?.map(unsigned);
        Ok((row.try_get("kind")?, trial, sweep))
    };
    Ok(Owners { some: rows.iter().map(owner).collect::<Result<_, Error>>()?, count: unsigned(count) })
}
