//! Many rows in one statement: each column travels as one array, so a statement has one text whatever the number of rows.
//! And the numbers of a row as they are read.

use std::borrow::Cow;

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Row};

use crate::Error;

/// The most rows of one statement: what a message holds is bounded, and memory too.
const ROWS: usize = 8192;

/// Columns of `rows`, in order.
pub(super) struct Columns<'r, T> {
    rows: &'r [T],
    names: Vec<&'static str>,
    types: Vec<&'static str>,
    arguments: PgArguments,
    failed: Option<sqlx::Error>,
}

impl<'r, T> Columns<'r, T> {
    pub(super) fn of(rows: &'r [T]) -> Self {
        Self { rows, names: Vec::new(), types: Vec::new(), arguments: PgArguments::default(), failed: None }
    }

    fn add<V>(mut self, name: &'static str, kind: &'static str, values: Vec<V>) -> Self
    where
        Vec<V>: for<'q> sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        if let Err(error) = self.arguments.add(values) {
            self.failed = Some(sqlx::Error::Encode(error));
        }
        self.names.push(name);
        self.types.push(kind);
        self
    }

    pub(super) fn number(self, name: &'static str, value: impl Fn(&'r T) -> i64) -> Self {
        let values = self.rows.iter().map(value).collect();
        self.add::<i64>(name, "bigint", values)
    }

    pub(super) fn number_or_none(self, name: &'static str, value: impl Fn(&'r T) -> Option<i64>) -> Self {
        let values = self.rows.iter().map(value).collect();
        self.add::<Option<i64>>(name, "bigint", values)
    }

    pub(super) fn real(self, name: &'static str, value: impl Fn(&'r T) -> f64) -> Self {
        let values = self.rows.iter().map(value).collect();
        self.add::<f64>(name, "double precision", values)
    }

    pub(super) fn text(self, name: &'static str, value: impl Fn(&'r T) -> &'r str) -> Self {
        let values = self.rows.iter().map(|row| text(value(row)).into_owned()).collect();
        self.add::<String>(name, "text", values)
    }

    pub(super) fn bytes(self, name: &'static str, value: impl Fn(&'r T) -> &'r [u8]) -> Self {
        let values = self.rows.iter().map(|row| value(row).to_vec()).collect();
        self.add::<Vec<u8>>(name, "bytea", values)
    }

    pub(super) fn bytes_or_none(self, name: &'static str, value: impl Fn(&'r T) -> Option<&'r [u8]>) -> Self {
        let values = self.rows.iter().map(|row| value(row).map(<[u8]>::to_vec)).collect();
        self.add::<Option<Vec<u8>>>(name, "bytea", values)
    }

    /// `a, b, c`.
    fn names(&self) -> String {
        self.names.join(", ")
    }

    /// The rows as a table of that name, with their place among them as `place`.
    fn table(&self, name: &str) -> String {
        let arrays = (1..).zip(&self.types).map(|(number, kind)| format!("${number}::{kind}[]"));
        let arrays = arrays.collect::<Vec<_>>().join(", ");
        format!("UNNEST({arrays}) WITH ORDINALITY AS {name} ({}, place)", self.names())
    }

    /// Inserts the rows; what stands in `tail` says what happens to those that are there.
    pub(super) async fn insert(self, to: &mut PgConnection, table: &str, tail: &str) -> Result<(), sqlx::Error> {
        let names = self.names();
        let text = format!("INSERT INTO {table} ({names}) SELECT {names} FROM {} {tail}", self.table("v"));
        self.run(to, text).await
    }

    /// Updates the rows of `table` that have the same `keys`: `set`, under `condition`. Of several with one key the first
    /// counts, as it would if they came one after the other.
    pub(super) async fn update(
        self,
        to: &mut PgConnection,
        table: &str,
        keys: &[&str],
        change: Change,
    ) -> Result<(), sqlx::Error> {
        let same = keys.iter().map(|key| format!("{table}.{key} = v.{key}")).collect::<Vec<_>>().join(" AND ");
        let (keys, from) = (keys.join(", "), self.table("u"));
        let text = format!(
            "UPDATE {table} SET {} FROM (SELECT DISTINCT ON ({keys}) * FROM {from} ORDER BY {keys}, place) v \
             WHERE {same} AND {}",
            change.set, change.condition
        );
        self.run(to, text).await
    }

    async fn run(self, to: &mut PgConnection, text: String) -> Result<(), sqlx::Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        sqlx::query_with(AssertSqlSafe(text), self.arguments).execute(to).await.map(drop)
    }
}

/// What an update writes, and to which rows.
pub(super) struct Change {
    pub(super) set: &'static str,
    pub(super) condition: &'static str,
}

/// `rows` in pieces that one statement takes; none if there are none.
pub(super) fn pieces<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    rows.chunks(ROWS)
}

/// PostgreSQL's text takes every character but one, and a worker's log may hold that one.
pub(crate) fn text(value: &str) -> Cow<'_, str> {
    if value.contains('\0') { value.replace('\0', "\u{fffd}").into() } else { value.into() }
}

/// A number without a sign as the tables have it: the signed number of the same bits.
pub(super) const fn signed(value: u64) -> i64 {
    value as i64
}

/// And back.
pub(super) const fn unsigned(value: i64) -> u64 {
    value as u64
}

/// A number of 64 bits without a sign.
pub(super) fn large(row: &PgRow, name: &str) -> Result<u64, Error> {
    Ok(unsigned(row.try_get(name)?))
}

/// A smaller number than the column could hold.
pub(super) fn small<N: TryFrom<i64>>(row: &PgRow, name: &str) -> Result<N, Error> {
    let value: i64 = row.try_get(name)?;
    N::try_from(value).map_err(|_| Error::damaged(format!("{value} as {name}")))
}

/// The same, where there may be none.
pub(super) fn small_or_none<N: TryFrom<i64>>(row: &PgRow, name: &str) -> Result<Option<N>, Error> {
    let value: Option<i64> = row.try_get(name)?;
    value.map(|value| N::try_from(value).map_err(|_| Error::damaged(format!("{value} as {name}")))).transpose()
}

/// A truth value.
pub(super) fn flag(row: &PgRow, name: &str) -> Result<bool, Error> {
    Ok(row.try_get::<i64, _>(name)? != 0)
}
