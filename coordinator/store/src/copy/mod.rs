//! `sweepctl store copy`: everything of one store into another that is empty, SQLite and PostgreSQL in any direction. It
//! is one transaction; what arrived is read back and compared before it is committed.
//!
//! Checksums of rows stay behind, and so do the counters of a file's own affairs: a file that was filled gets its checksums
//! when it is opened the first time, which is done here. Artifacts are files and are not copied.

mod cell;
mod postgres;
mod sqlite;

use std::path::Path;

use serde::Serialize;
use sqlx::postgres::PgConnectOptions;

use super::location::Location;
use super::sqlite::{Options, SqliteStore};
use super::{Error, Store};
use cell::{Column, Digest, Row};
use postgres::Database;
use sqlite::File;

/// Every table with rows of ours, in the order in which they are copied.
const TABLES: &[&str] = &[
    "questions",
    "sweeps",
    "stages",
    "configurations",
    "stage_configurations",
    "trials",
    "sweep_trials",
    "rounds",
    "attempts",
    "predictions",
    "points",
    "results",
    "validations",
    "workers",
    "services",
    "names",
    "descriptions",
    "artifacts",
    "counters",
    "audit",
    "lost",
    "submissions",
    "origins",
    "tests",
    "tokens",
    "keys",
    "weight_choices",
    "weights_kept",
    "removals",
    "pauses",
    "holds",
    "deletions",
    "specs",
    "summaries",
];

/// Tables that are there and are not copied: which layouts were made, and who leads.
const LEFT_OUT: &[&str] = &["_sqlx_migrations", "leader"];

/// Rows of `counters` that a file has for itself: how many transactions it saw, and whether its rows have checksums.
const OWN: &str = "'commit', 'sealed'";

/// The most rows of one statement. SQLite takes 32,766 values in one; 40 columns fit.
const ROWS: usize = 500;
/// The most bytes of one statement, but for a single row that is longer.
const BYTES: usize = 8 * 1024 * 1024;

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The store that is to be copied.
    #[error("cannot copy from {place}")]
    From {
        /// Which.
        place: String,
        /// Why not.
        #[source]
        source: Error,
    },
    /// The store that is to be filled.
    #[error("cannot copy to {place}")]
    To {
        /// Which.
        place: String,
        /// Why not.
        #[source]
        source: Error,
    },
    /// There is something in it.
    #[error("{place} is not empty: table `{table}` has {rows} rows")]
    NotEmpty {
        /// Which.
        place: String,
        /// Where.
        table: String,
        /// How many.
        rows: u64,
    },
    /// A table that this program does not know.
    #[error("{place} has a table `{table}` that this version does not know")]
    Unknown {
        /// Which.
        place: String,
        /// What.
        table: String,
    },
    /// What arrived is not what was sent. Nothing was kept.
    #[error("table `{table}` differs after the copy: {sent} rows were sent and {arrived} arrived, or a row differs")]
    Differs {
        /// Which.
        table: String,
        /// Rows there.
        sent: u64,
        /// Rows here.
        arrived: u64,
    },
}

impl Refused {
    /// The same as the store's own error.
    fn cause(self) -> Error {
        match self {
            Self::From { source, .. } | Self::To { source, .. } => source,
            other => Error::damaged(other.to_string()),
        }
    }
}

/// What was copied.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Table by table.
    pub tables: Vec<Copied>,
}

/// A table that was copied.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Its name.
    pub table: String,
    /// How many rows it has.
    pub rows: u64,
    /// The same on both sides, whatever the order of the rows.
    pub checksum: String,
}

/// A store that is read or filled. Nobody else writes to it meanwhile.
enum Side {
    File(Box<File>),
    Database(Box<Database>),
}

impl Side {
    async fn open(place: &Location, to_be_read: bool) -> Result<Self, Error> {
        match place {
            Location::File(path) => Ok(Self::File(Box::new(File::open(path, to_be_read).await?))),
            Location::Postgres(options) => {
                Ok(Self::Database(Box::new(Database::open(options, &place.to_string(), to_be_read).await?)))
            }
        }
    }

    async fn tables(&mut self) -> Result<Vec<String>, Error> {
        match self {
            Self::File(file) => file.tables().await,
            Self::Database(database) => database.tables().await,
        }
    }

    async fn columns(&mut self, table: &str) -> Result<Vec<Column>, Error> {
        let mut columns = match self {
            Self::File(file) => file.columns(table).await?,
            Self::Database(database) => database.columns(table).await?,
        };
        columns.retain(|column| column.name != "sum" && !column.name.ends_with("_sum"));
        columns.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(columns)
    }

    async fn count(&mut self, table: &str) -> Result<u64, Error> {
        match self {
            Self::File(file) => file.count(table).await,
            Self::Database(database) => database.count(table).await,
        }
    }

    /// Gives every row to `take`, in pieces.
    async fn read(&mut self, table: &str, columns: &[Column], to: &mut Sink<'_>) -> Result<(), Error> {
        match self {
            Self::File(file) => file.read(table, columns, to).await,
            Self::Database(database) => database.read(table, columns, to).await,
        }
    }

    async fn insert(&mut self, table: &str, columns: &[Column], rows: &[Row]) -> Result<(), Error> {
        match self {
            Self::File(file) => file.insert(table, columns, rows).await,
            Self::Database(database) => database.insert(table, columns, rows).await,
        }
    }

    async fn begin(&mut self) -> Result<(), Error> {
        // Numbers that an empty store has are those of nobody; how many transactions a file saw stays true.
        let forget = "DELETE FROM counters WHERE name <> 'commit'";
        match self {
            Self::File(file) => {
                file.run("BEGIN IMMEDIATE").await?;
                file.run(forget).await
            }
            Self::Database(database) => {
                database.begin().await?;
                database.run(forget).await
            }
        }
    }

    async fn commit(&mut self) -> Result<(), Error> {
        match self {
            Self::File(file) => file.run("COMMIT").await,
            Self::Database(database) => database.commit().await,
        }
    }

    async fn close(self) {
        match self {
            Self::File(file) => file.close().await,
            Self::Database(database) => database.close().await,
        }
    }
}

/// Where rows go that are read: into a digest, and perhaps into another store.
struct Sink<'a> {
    digest: Digest,
    to: Option<(&'a mut Side, &'a str, &'a [Column])>,
    rows: Vec<Row>,
    bytes: usize,
}

impl<'a> Sink<'a> {
    fn new(to: Option<(&'a mut Side, &'a str, &'a [Column])>) -> Self {
        Self { digest: Digest::default(), to, rows: Vec::new(), bytes: 0 }
    }

    async fn take(&mut self, row: Row) -> Result<(), Error> {
        self.bytes += self.digest.add(&row);
        if self.to.is_none() {
            return Ok(());
        }
        self.rows.push(row);
        if self.rows.len() >= ROWS || self.bytes >= BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        match &mut self.to {
            // Each side reads with its own sink: the future must not be of a size without end.
            Some((side, table, columns)) if !rows.is_empty() => Box::pin(side.insert(table, columns, &rows)).await,
            Some(_) | None => Ok(()),
        }
    }
}

/// Copies everything.
///
/// # Errors
/// One of them is in use or cannot be used, `to` is not empty, or what arrived is not what was sent.
pub async fn copy(from: &Location, to: &Location) -> Result<Report, Refused> {
    let places = Places { from: from.to_string(), to: to.to_string() };
    let mut source = Side::open(from, true).await.map_err(|error| places.from(error))?;
    let mut target = match Side::open(to, false).await {
        Ok(target) => target,
        Err(error) => {
            source.close().await;
            return Err(places.to(error));
        }
    };
    let copied = everything(&places, &mut source, &mut target).await;
    target.close().await;
    source.close().await;
    let report = copied?;
    if let Some(path) = to.file() {
        let sealed = SqliteStore::open(&Options::new(path)).await.map_err(|error| places.to(error))?;
        sealed.close().await;
    }
    Ok(report)
}

/// Whether there is anything in a store.
///
/// # Errors
/// It is in use, or cannot be used.
pub async fn is_filled(place: &Location) -> Result<bool, Refused> {
    let places = Places { from: place.to_string(), to: place.to_string() };
    let mut side = Side::open(place, false).await.map_err(|error| places.to(error))?;
    let found = filled(&places, &mut side).await;
    side.close().await;
    match found {
        Ok(()) => Ok(false),
        Err(Refused::NotEmpty { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Finds the first table with rows in it.
async fn filled(places: &Places, target: &mut Side) -> Result<(), Refused> {
    for table in TABLES.iter().filter(|table| **table != "counters") {
        let rows = target.count(table).await.map_err(|error| places.to(error))?;
        if rows > 0 {
            return Err(Refused::NotEmpty { place: places.to.clone(), table: (*table).to_owned(), rows });
        }
    }
    Ok(())
}

/// Copies a database, as it is at one moment, into a new file. Its coordinator goes on meanwhile.
///
/// # Errors
/// The database cannot be read, or the file cannot be written.
pub(crate) async fn snapshot(options: &PgConnectOptions, to: &Path) -> Result<(), Error> {
    let places = Places { from: "the database".to_owned(), to: to.display().to_string() };
    let mut target = Side::open(&Location::File(to.to_owned()), false).await?;
    let copied = match Database::at_one_moment(options, &places.from).await {
        Ok(source) => {
            let mut source = Side::Database(Box::new(source));
            let copied = everything(&places, &mut source, &mut target).await;
            source.close().await;
            copied.map(drop).map_err(Refused::cause)
        }
        Err(error) => Err(error),
    };
    target.close().await;
    copied?;
    // Gives the rows their checksums.
    SqliteStore::open(&Options::new(to)).await?.close().await;
    Ok(())
}

/// What reads a table.
fn select(table: &str, columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    let condition = if table == "counters" { format!(" WHERE name NOT IN ({OWN})") } else { String::new() };
    format!("SELECT {} FROM {table}{condition}", names.join(", "))
}

/// The names of both, for errors.
struct Places {
    from: String,
    to: String,
}

impl Places {
    fn from(&self, source: Error) -> Refused {
        Refused::From { place: self.from.clone(), source }
    }

    fn to(&self, source: Error) -> Refused {
        Refused::To { place: self.to.clone(), source }
    }
}

async fn everything(places: &Places, source: &mut Side, target: &mut Side) -> Result<Report, Refused> {
    for (side, place) in [(&mut *source, &places.from), (&mut *target, &places.to)] {
        let tables = side.tables().await.map_err(|error| places.from(error))?;
        let known = |table: &String| TABLES.contains(&table.as_str()) || LEFT_OUT.contains(&table.as_str());
        if let Some(table) = tables.into_iter().find(|table| !known(table)) {
            return Err(Refused::Unknown { place: place.clone(), table });
        }
    }
    filled(places, target).await?;
    target.begin().await.map_err(|error| places.to(error))?;
    let mut report = Report { tables: Vec::with_capacity(TABLES.len()) };
    for table in TABLES {
        report.tables.push(one(places, source, target, table).await?);
    }
    target.commit().await.map_err(|error| places.to(error))?;
    Ok(report)
}

async fn one(places: &Places, source: &mut Side, target: &mut Side, table: &str) -> Result<Copied, Refused> {
    let columns = source.columns(table).await.map_err(|error| places.from(error))?;
    let into = target.columns(table).await.map_err(|error| places.to(error))?;
    let mut sending = Sink::new(Some((&mut *target, table, &into)));
    source.read(table, &columns, &mut sending).await.map_err(|error| places.from(error))?;
    sending.flush().await.map_err(|error| places.to(error))?;
    let sent = sending.digest;
    let mut reading = Sink::new(None);
    target.read(table, &into, &mut reading).await.map_err(|error| places.to(error))?;
    let arrived = reading.digest;
    if sent != arrived {
        return Err(Refused::Differs { table: table.to_owned(), sent: sent.rows, arrived: arrived.rows });
    }
    Ok(Copied { table: table.to_owned(), rows: sent.rows, checksum: sent.to_string() })
}
