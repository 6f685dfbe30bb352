//! The SQLite half of `store check`.

use std::collections::HashSet;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Connection, Row};
use sweep_analysis::number::plural;
use sweep_spec::Digest;

use super::deletions::GOING;
use super::layout::{check_header, check_layout, name_error};
use super::number::{Acknowledged, COMMIT};
use super::row_reader::Cell;
use super::rows::unsigned;
use super::{beside, connect_options, lock, number, prepared, scan};
use crate::artifacts::Folder;
use crate::check::Report;
use crate::checksum::{TABLES, Table, since};
use crate::{Error, artifacts};

/// What refers to what: the table, which of its rows refer to something that is not there, and what is said of one.
const REFERENCES: &[(&str, &str, &str)] = &[
    ("stages", "NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = x.sweep)", "a stage without its sweep"),
    ("configurations", "NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = x.sweep)", "a configuration without its sweep"),
    (
        "configurations",
        // One that has no trials either is prepared and has not begun: `prepared` tells of it.
        "NOT EXISTS (SELECT 1 FROM stage_configurations c WHERE c.sweep = x.sweep AND c.configuration = x.position) \
         AND EXISTS (SELECT 1 FROM sweep_trials t WHERE t.sweep = x.sweep AND t.configuration = x.position)",
        "a configuration that has trials and is in no stage",
    ),
    (
        "stage_configurations",
        "NOT EXISTS (SELECT 1 FROM configurations c WHERE c.sweep = x.sweep AND c.position = x.configuration) \
         OR NOT EXISTS (SELECT 1 FROM stages g WHERE g.sweep = x.sweep AND g.position = x.stage)",
        "a stage or a configuration is missing",
    ),
    (
        "sweep_trials",
        "NOT EXISTS (SELECT 1 FROM configurations c WHERE c.sweep = x.sweep AND c.position = x.configuration)",
        "a trial without its configuration",
    ),
    ("sweep_trials", "NOT EXISTS (SELECT 1 FROM trials t WHERE t.id = x.trial)", "a trial whose question is missing"),
    (
        "sweep_trials",
        "x.round IS NOT NULL AND NOT EXISTS (SELECT 1 FROM rounds o WHERE o.trial = x.trial AND o.round = x.round)",
        "a trial that is bound to a missing round",
    ),
    (
        "trials",
        "NOT EXISTS (SELECT 1 FROM questions q WHERE q.digest = x.question)",
        "a trial without what it shares with others",
    ),
    ("rounds", "NOT EXISTS (SELECT 1 FROM trials t WHERE t.id = x.trial)", "a round without its trial"),
    (
        "rounds",
        "x.state = 1 AND NOT EXISTS (SELECT 1 FROM attempts a JOIN results r ON r.attempt = a.key \
         WHERE a.trial = x.trial AND a.attempt = x.attempt AND a.round = x.round AND a.state = 1)",
        "a round that succeeded without an accepted attempt and its result",
    ),
    (
        "attempts",
        // A round that was lost and accepted as such leaves its attempts.
        "NOT EXISTS (SELECT 1 FROM rounds o WHERE o.trial = x.trial AND o.round = x.round) \
         AND x.round > (SELECT COALESCE(MAX(value), 0) FROM counters WHERE name = 'round_floor')",
        "an attempt without its round",
    ),
    (
        "attempts",
        "x.state = 0 AND EXISTS (SELECT 1 FROM attempts a WHERE a.trial = x.trial AND a.state = 0 AND a.key < x.key)",
        "a second live attempt of a trial",
    ),
    ("points", "NOT EXISTS (SELECT 1 FROM attempts a WHERE a.key = x.attempt)", "a point without its attempt"),
    (
        "points",
        "x.sequence > 1 AND NOT EXISTS (SELECT 1 FROM points p WHERE p.attempt = x.attempt \
         AND p.sequence = x.sequence - 1)",
        "a point that follows a missing point",
    ),
    (
        "predictions",
        "NOT EXISTS (SELECT 1 FROM attempts a WHERE a.key = x.attempt)",
        "an expectation without its attempt",
    ),
    ("results", "NOT EXISTS (SELECT 1 FROM attempts a WHERE a.key = x.attempt)", "a result without its attempt"),
    (
        "validations",
        "NOT EXISTS (SELECT 1 FROM results r WHERE r.attempt = x.attempt)",
        "predictions without their result",
    ),
    ("origins", "NOT EXISTS (SELECT 1 FROM results r WHERE r.attempt = x.attempt)", "an origin without its result"),
    (
        "tests",
        "NOT EXISTS (SELECT 1 FROM results r WHERE r.attempt = x.attempt)",
        "numbers of a test part without their result",
    ),
    ("holds", "NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = x.sweep)", "held-back trials of a missing sweep"),
    ("specs", "NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = x.sweep)", "a spec without its sweep"),
    ("summaries", "NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = x.sweep)", "the summary of a missing sweep"),
    ("submissions", "NOT EXISTS (SELECT 1 FROM sweeps s WHERE s.id = x.sweep)", "a submission without its sweep"),
    (
        "artifacts",
        "x.owner <> 0 AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.key = x.owner)",
        "an artifact without its attempt",
    ),
];

/// The artifacts of a store that is checked.
#[derive(Clone, Copy)]
struct Artifacts<'a> {
    folder: &'a Path,
    /// Those that need no file.
    missing: &'a HashSet<Digest>,
}

pub(crate) async fn check(path: &Path, artifacts: &Path) -> Result<Report, Error> {
    is_a_store(path)?;
    let _lock = lock(path)?;
    roll_back(path).await.map_err(|error| name_error(&path.display().to_string(), error))?;
    let artifacts = Artifacts { folder: artifacts, missing: &HashSet::new() };
    read_store(path, connect_options(path).read_only(true), artifacts).await
}

/// No process writes to the copy, so SQLite looks for neither a log nor a lock.
pub(crate) async fn check_copy(path: &Path, folder: &Path, missing: &HashSet<Digest>) -> Result<Report, Error> {
    is_a_store(path)?;
    let options = connect_options(path).read_only(true).immutable(true);
    read_store(path, options, Artifacts { folder, missing }).await
}

fn is_a_store(path: &Path) -> Result<(), Error> {
    if !path.exists() {
        return Err(Error::Io { path: path.display().to_string(), source: std::io::ErrorKind::NotFound.into() });
    }
    check_header(path)
}

async fn read_store(path: &Path, options: SqliteConnectOptions, artifacts: Artifacts<'_>) -> Result<Report, Error> {
    let name = path.display().to_string();
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
    let pool = pool.map_err(|error| name_error(&name, error))?;
    let mut report = Report { path: name.clone(), ..Report::default() };
    report.layout = check_layout(&pool, &name).await?;
    report.acknowledged = Acknowledged::read(path);
    let result = read_everything(&pool, artifacts, &mut report).await;
    pool.close().await;
    match result {
        Ok(()) => Ok(report),
        // What stops the reading is a finding like any other.
        Err(error @ (Error::Damaged { .. } | Error::Unreadable { .. })) => {
            report.problem("file", error.to_string());
            Ok(report)
        }
        Err(error) => Err(error),
    }
}

/// Rolls back a change that a killed process left unfinished, as the next start does. A connection that only reads may not.
async fn roll_back(path: &Path) -> Result<(), sqlx::Error> {
    if !beside(path, "-journal").exists() {
        return Ok(());
    }
    let mut connection = SqliteConnection::connect_with(&connect_options(path)).await?;
    sqlx::query("SELECT COUNT(*) FROM sqlite_master").execute(&mut connection).await?;
    connection.close().await
}

async fn read_everything(pool: &SqlitePool, artifacts: Artifacts<'_>, report: &mut Report) -> Result<(), Error> {
    let mut connection = pool.acquire().await?;
    integrity(&mut connection, report).await?;
    let has_checksums = report.layout > 1;
    for table in TABLES {
        if has_checksums && since(table.name) <= report.layout {
            rows(&mut connection, table, report).await?;
        }
    }
    if has_checksums {
        report.commits = number::read(&mut connection, COMMIT).await?;
        let missing = report.acknowledged.map_or(0, |number| number.saturating_sub(report.commits));
        if missing > 0 {
            report.problem("file", format!("the last {missing} acknowledged commits are missing"));
        }
    }
    questions(&mut connection, report).await?;
    let layout = report.layout;
    for (table, condition, what) in REFERENCES.iter().filter(|(table, ..)| since(table) <= layout) {
        references(&mut connection, table, condition, what, report).await?;
    }
    report.prepared = prepared::find(&mut connection).await?;
    contents(&mut connection, artifacts, report).await
}

async fn integrity(connection: &mut SqliteConnection, report: &mut Report) -> Result<(), Error> {
    let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(100)").fetch_all(connection).await?;
    for line in found.into_iter().filter(|line| line != "ok") {
        report.problem("file", line);
    }
    Ok(())
}

async fn rows(connection: &mut SqliteConnection, table: &'static Table, report: &mut Report) -> Result<(), Error> {
    let (count, wrong) = match scan::verify(connection, table).await {
        Ok(found) => found,
        Err(error @ Error::Unreadable { .. }) => {
            report.problem(table.name, error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    report.rows.push((table.name.to_owned(), count));
    for row in wrong {
        report.problem(table.name, format!("the row with {} does not match its checksum", row.name()));
    }
    Ok(())
}

/// What trials share is named by its hash.
async fn questions(connection: &mut SqliteConnection, report: &mut Report) -> Result<(), Error> {
    let rows = sqlx::query("SELECT digest, body FROM questions").fetch_all(connection).await?;
    for row in &rows {
        let (digest, body) = (Cell::of(row, 0)?, Cell::of(row, 1)?);
        let right = match &body {
            Cell::Text(body) => Cell::Blob(Digest::of(body).as_bytes().to_vec()),
            Cell::Null | Cell::Int(_) | Cell::Real(_) | Cell::Blob(_) => Cell::Null,
        };
        if digest != right {
            report.problem("questions", format!("the row with digest {} does not match its digest", digest.show()));
        }
    }
    report.rows.push(("questions".to_owned(), rows.len() as u64));
    Ok(())
}

async fn references(
    connection: &mut SqliteConnection,
    table: &str,
    condition: &str,
    what: &str,
    report: &mut Report,
) -> Result<(), Error> {
    let key = TABLES.iter().find(|found| found.name == table).map_or(&["rowid"][..], |found| found.key);
    let columns: Vec<_> = key.iter().map(|column| format!("x.{column}")).collect();
    // What is left of a deleted sweep is on its way out.
    let going = ["configurations", "stage_configurations", "sweep_trials"].contains(&table)
        && report.layout >= since("deletions");
    let besides = if going { format!(" AND x.sweep NOT IN ({GOING})") } else { String::new() };
    let text = format!("SELECT {} FROM {table} x WHERE ({condition}){besides}", columns.join(", "));
    for row in &sqlx::query(AssertSqlSafe(text)).fetch_all(connection).await? {
        let mut words = Vec::with_capacity(row.len());
        for (index, column) in key.iter().enumerate() {
            words.push(format!("{column} {}", Cell::of(row, index)?.show()));
        }
        report.problem(table, format!("{what}: {}", words.join(", ")));
    }
    Ok(())
}

/// Every artifact of the store has its file in the folder, and the file's content matches its name.
async fn contents(
    connection: &mut SqliteConnection,
    artifacts: Artifacts<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    let folder = Folder::at(artifacts.folder);
    let mut missing = 0;
    let rows = sqlx::query("SELECT digest, size_bytes FROM artifacts").fetch_all(connection).await?;
    let mut seen = HashSet::new();
    for row in &rows {
        let Ok(digest) = super::read::digest(row.try_get("digest")?) else { continue };
        if !seen.insert(digest) {
            continue;
        }
        let size = unsigned(row.try_get("size_bytes")?);
        match artifacts::verify(&folder, digest).await {
            Ok(Some(found)) if found == size => {}
            Ok(Some(found)) => {
                report.problem("artifacts", format!("{digest} has {found} bytes instead of {size}"));
            }
            Ok(None) => report.problem("artifacts", format!("{digest} does not match its name")),
            Err(Error::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound && artifacts.missing.contains(&digest) =>
            {
                missing += 1;
            }
            Err(Error::Io { source, .. }) => report.problem("artifacts", format!("cannot read {digest}: {source}")),
            Err(error) => return Err(error),
        }
    }
    report.artifacts = seen.len() as u64 - missing;
    if missing > 0 {
        let artifacts = plural(missing, "artifact");
        let note =
            format!("not in this copy: {artifacts}, which the coordinator could not read when the backup was made");
        report.notes.push(note);
    }
    Ok(())
}
