//! Writes many rows in one statement and computes their checksums while binding. Statements come in a few sizes, so that each is prepared
//! once and then found again.

use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{AssertSqlSafe, SqliteConnection};
use sweep_spec::trainer::EpochMetrics;

use crate::checksum::Checksum;

/// Row counts of the statements, largest first. SQLite takes at most 32,766 values in one; 32 columns fit.
const SIZES: [usize; 4] = [512, 64, 8, 1];

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A statement about any number of rows: what stands before them, how many values a row has, what stands at the end of
/// each row as it is, and what stands after them all.
pub(super) struct Statement {
    pub(super) head: &'static str,
    pub(super) columns: usize,
    pub(super) constants: &'static str,
    pub(super) tail: &'static str,
}

impl Statement {
    /// Runs it over all `rows`; `bind` gives one row's values in order.
    pub(super) async fn run<'q, T>(
        &self,
        connection: &mut SqliteConnection,
        rows: &'q [T],
        bind: impl Fn(Values<'q>, &'q T) -> Values<'q>,
    ) -> Result<(), sqlx::Error> {
        let mut rest = rows;
        for size in SIZES {
            if rest.len() < size {
                continue;
            }
            let text = self.text(size);
            while rest.len() >= size {
                let (now, later) = rest.split_at(size);
                let mut values = Values::of(sqlx::query(AssertSqlSafe(text.clone())));
                for row in now {
                    values.checksum.clear();
                    values = bind(values, row);
                }
                values.query.execute(&mut *connection).await?;
                rest = later;
            }
        }
        Ok(())
    }

    fn text(&self, rows: usize) -> std::sync::Arc<str> {
        let row = format!("({}{})", vec!["?"; self.columns].join(","), self.constants);
        format!("{} {} {}", self.head, vec![row.as_str(); rows].join(","), self.tail).into()
    }
}

/// Binds the values of a row. Each bound value enters the checksum, except a `loose` one.
pub(super) struct Values<'q> {
    pub(super) query: Bound<'q>,
    checksum: Checksum,
}

impl<'q> Values<'q> {
    pub(super) fn of(query: Bound<'q>) -> Self {
        Self { query, checksum: Checksum::new() }
    }

    pub(super) fn int(mut self, value: impl Into<i64>) -> Self {
        let value = value.into();
        self.checksum.int(value);
        self.query = self.query.bind(value);
        self
    }

    pub(super) fn number(self, value: u64) -> Self {
        self.int(signed(value))
    }

    pub(super) fn option(mut self, value: Option<impl Into<i64>>) -> Self {
        let Some(value) = value else {
            self.checksum.null();
            self.query = self.query.bind(None::<i64>);
            return self;
        };
        self.int(value)
    }

    pub(super) fn real(mut self, value: f64) -> Self {
        self.checksum.real(value);
        self.query = self.query.bind(value);
        self
    }

    pub(super) fn text(mut self, value: &'q str) -> Self {
        self.checksum.text(value.as_bytes());
        self.query = self.query.bind(value);
        self
    }

    pub(super) fn blob(mut self, value: &'q [u8]) -> Self {
        self.checksum.blob(value);
        self.query = self.query.bind(value);
        self
    }

    pub(super) fn option_blob(mut self, value: Option<&'q [u8]>) -> Self {
        let Some(value) = value else {
            self.checksum.null();
            self.query = self.query.bind(None::<&[u8]>);
            return self;
        };
        self.blob(value)
    }

    /// Binds an epoch and its seven numbers; the caller computes the checksum. An absent epoch is written as number 0.
    pub(super) fn metrics(mut self, metrics: Option<&EpochMetrics>) -> Self {
        self.query = self.query.bind(metrics.map_or(0, |metrics| metrics.epoch));
        for value in metrics.map_or([0.0; 7], EpochMetrics::numbers) {
            self.query = self.query.bind(value);
        }
        self
    }

    /// Binds a value that the checksum does not cover.
    pub(super) fn loose<V>(mut self, value: V) -> Self
    where
        V: 'q + sqlx::Encode<'q, Sqlite> + sqlx::Type<Sqlite>,
    {
        self.query = self.query.bind(value);
        self
    }

    /// Adds a value to the checksum without binding it.
    pub(super) fn key(mut self, value: i64) -> Self {
        self.checksum.int(value);
        self
    }

    /// Binds the checksum and starts the next one.
    pub(super) fn sum(mut self) -> Self {
        self.query = self.query.bind(self.checksum.sum());
        self.checksum.clear();
        self
    }
}

/// A number without a sign as the tables have it: the signed number of the same bits.
pub(super) const fn signed(value: u64) -> i64 {
    value as i64
}

/// And back.
pub(super) const fn unsigned(value: i64) -> u64 {
    value as u64
}
