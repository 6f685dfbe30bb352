//! A PostgreSQL database that is copied, or filled. A copy leads the database meanwhile, or reads one snapshot of it.

use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Connection, Row as _};

use super::cell::{Cell, Column, Kind, Row};
use super::{Sink, select};
use crate::Error;
use crate::leadership::Led;
use crate::postgres::dial;
use crate::postgres::durability::{Safety, wait_for_disk};
use crate::postgres::leader::Candidate;

pub(super) struct Database {
    /// The right to write; none for one that is only read at one moment.
    led: Option<Led>,
    connection: PgConnection,
    /// Whose term it is.
    term: i64,
    name: String,
}

impl Database {
    /// One that is only read may lose what it likes.
    pub(super) async fn open(options: &PgConnectOptions, name: &str, to_be_read: bool) -> Result<Self, Error> {
        let safety = if to_be_read { Safety::Waived } else { Safety::Required };
        let candidate = Candidate::open(options, name.to_owned(), "a copy".to_owned(), safety).await?;
        let led = candidate.take().await?;
        let mut connection = dial(options).await?;
        wait_for_disk(&mut connection).await?;
        let term = sqlx::query_scalar("SELECT term FROM leader WHERE id = 1").fetch_one(&mut connection).await?;
        Ok(Self { led: Some(led), connection, term, name: name.to_owned() })
    }

    /// One snapshot of it, although a coordinator leads it and writes meanwhile.
    pub(super) async fn at_one_moment(options: &PgConnectOptions, name: &str) -> Result<Self, Error> {
        let connection = dial(options).await?;
        let mut database = Self { led: None, connection, term: 0, name: name.to_owned() };
        database.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        Ok(database)
    }

    pub(super) async fn run(&mut self, statement: &'static str) -> Result<(), Error> {
        sqlx::query(statement).execute(&mut self.connection).await?;
        Ok(())
    }

    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        self.run("BEGIN").await?;
        let held = "SELECT term FROM leader WHERE id = 1 FOR KEY SHARE";
        let term: i64 = sqlx::query_scalar(held).fetch_one(&mut self.connection).await?;
        if term == self.term { Ok(()) } else { Err(Error::InUse { path: self.name.clone() }) }
    }

    pub(super) async fn commit(&mut self) -> Result<(), Error> {
        for table in ["audit", "lost"] {
            let next = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT COALESCE(MAX(id), 0) + 1 FROM {table}), false)"
            );
            sqlx::query(AssertSqlSafe(next)).execute(&mut self.connection).await?;
        }
        self.run("COMMIT").await
    }

    pub(super) async fn tables(&mut self) -> Result<Vec<String>, Error> {
        let tables = "SELECT table_name::text FROM information_schema.tables \
                      WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'";
        Ok(sqlx::query_scalar(tables).fetch_all(&mut self.connection).await?)
    }

    pub(super) async fn columns(&mut self, table: &str) -> Result<Vec<Column>, Error> {
        let query = sqlx::query(
            "SELECT column_name::text, data_type::text FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1",
        );
        let rows = query.bind(table).fetch_all(&mut self.connection).await?;
        let column = |row: &PgRow| Ok(Column { name: row.try_get(0)?, kind: Kind::of(row.try_get(1)?)? });
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

    /// Each column travels as one array.
    pub(super) async fn insert(&mut self, table: &str, columns: &[Column], rows: &[Row]) -> Result<(), Error> {
        let mut arguments = PgArguments::default();
        let mut arrays = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter().enumerate() {
            let cells = rows.iter().filter_map(|row| row.get(index));
            let kind =
                add(&mut arguments, column.kind, cells).map_err(|error| Error::from(sqlx::Error::Encode(error)))?;
            arrays.push(format!("${}::{kind}[]", index + 1));
        }
        let statement = format!("INSERT INTO {table} ({}) SELECT * FROM UNNEST({})", names(columns), arrays.join(", "));
        sqlx::query_with(AssertSqlSafe(statement), arguments).execute(&mut self.connection).await?;
        Ok(())
    }

    pub(super) async fn close(self) {
        // What was not committed is rolled back by the end of the connection, however it comes.
        self.connection.close().await.ok();
        if let Some(led) = self.led {
            led.store.close().await;
        }
    }
}

fn add<'a>(
    arguments: &mut PgArguments,
    kind: Kind,
    cells: impl Iterator<Item = &'a Cell>,
) -> Result<&'static str, sqlx::error::BoxDynError> {
    macro_rules! of_kind {
        ($variant:ident, $value:ty) => {{
            let one = |cell: &Cell| match cell {
                Cell::$variant(value) => Some(value.clone()),
                _ => None,
            };
            arguments.add(cells.map(one).collect::<Vec<Option<$value>>>())
        }};
    }
    match kind {
        Kind::Number => of_kind!(Number, i64).map(|()| "bigint"),
        Kind::Real => of_kind!(Real, f64).map(|()| "double precision"),
        Kind::Text => of_kind!(Text, String).map(|()| "text"),
        Kind::Bytes => of_kind!(Bytes, Vec<u8>).map(|()| "bytea"),
    }
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn cells(row: &PgRow, columns: &[Column]) -> Result<Row, Error> {
    let cell = |(index, column): (usize, &Column)| {
        Ok(match column.kind {
            Kind::Number => row.try_get::<Option<i64>, _>(index)?.map(Cell::Number),
            Kind::Real => row.try_get::<Option<f64>, _>(index)?.map(Cell::Real),
            Kind::Text => row.try_get::<Option<String>, _>(index)?.map(Cell::Text),
            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(index)?.map(Cell::Bytes),
        }
        .unwrap_or(Cell::Nothing))
    };
    columns.iter().enumerate().map(cell).collect()
}
