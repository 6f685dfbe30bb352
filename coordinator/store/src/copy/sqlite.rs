//! A SQLite file that is copied, or filled.

use std::path::Path;

use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row as _};

use super::cell::{Cell, Column, Kind, Row};
use super::{Sink, select};
use crate::postgres::text;
use crate::sqlite::{Options, SqliteStore};
use crate::{Error, Store};

pub(super) struct File {
    /// Holds the lock file.
    store: SqliteStore,
    connection: SqliteConnection,
}

impl File {
    /// One that is `to_be_read` has to be there.
    pub(super) async fn open(path: &Path, to_be_read: bool) -> Result<Self, Error> {
        if to_be_read {
            let there = std::fs::metadata(path);
            there.map_err(|source| Error::Io { path: path.display().to_string(), source })?;
        }
        let store = SqliteStore::open(&Options::new(path)).await?;
        let connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await?;
        Ok(Self { store, connection })
    }

    pub(super) async fn run(&mut self, statement: &'static str) -> Result<(), Error> {
        sqlx::query(statement).execute(&mut self.connection).await?;
        Ok(())
    }

    pub(super) async fn tables(&mut self) -> Result<Vec<String>, Error> {
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        Ok(sqlx::query_scalar(tables).fetch_all(&mut self.connection).await?)
    }

    pub(super) async fn columns(&mut self, table: &str) -> Result<Vec<Column>, Error> {
        let query = sqlx::query("SELECT name, type FROM pragma_table_info(?)").bind(table);
        let rows = query.fetch_all(&mut self.connection).await?;
        let column = |row: &SqliteRow| Ok(Column { name: row.try_get(0)?, kind: Kind::of(row.try_get(1)?)? });
        rows.iter().map(column).collect()
    }

    pub(super) async fn count(&mut self, table: &str) -> Result<u64, Error> {
        let query = sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")));
        let count: i64 = query.fetch_one(&mut self.connection).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    pub(super) async fn read(&mut self, table: &str, columns: &[Column], to: &mut Sink<'_>) -> Result<(), Error> {
        let mut rows = sqlx::query(AssertSqlSafe(select(table, columns))).fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await? {
            to.take(cells(&row, columns)?).await?;
        }
        Ok(())
    }

    pub(super) async fn insert(&mut self, table: &str, columns: &[Column], rows: &[Row]) -> Result<(), Error> {
        let row = format!("({})", vec!["?"; columns.len()].join(","));
        let values = vec![row.as_str(); rows.len()].join(",");
        let statement = format!("INSERT INTO {table} ({}) VALUES {values}", names(columns));
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for cell in rows.iter().flatten() {
            query = match cell {
                Cell::Nothing => query.bind(None::<i64>),
                Cell::Number(value) => query.bind(value),
                Cell::Real(value) => query.bind(value),
                Cell::Text(value) => query.bind(value),
                Cell::Bytes(value) => query.bind(value),
            };
        }
        query.execute(&mut self.connection).await?;
        Ok(())
    }

    pub(super) async fn close(self) {
        // What was not committed is rolled back by the end of the connection, however it comes.
        self.connection.close().await.ok();
        self.store.close().await;
    }
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn cells(row: &SqliteRow, columns: &[Column]) -> Result<Row, Error> {
    let cell = |(index, column): (usize, &Column)| {
        Ok(match column.kind {
            Kind::Number => row.try_get::<Option<i64>, _>(index)?.map(Cell::Number),
            Kind::Real => row.try_get::<Option<f64>, _>(index)?.map(Cell::Real),
            // As PostgreSQL would have it.
            Kind::Text => row.try_get::<Option<&str>, _>(index)?.map(|value| Cell::Text(text(value).into_owned())),
            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(index)?.map(Cell::Bytes),
        }
        .unwrap_or(Cell::Nothing))
    };
    columns.iter().enumerate().map(cell).collect()
}
