//! Reads the columns of a row in order and checks them against the checksums of the row.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, TypeInfo, ValueRef};
use sweep_spec::{Digest, TrialId};

use super::read::{digest, trial_id};
use super::rows::{signed, unsigned};
use crate::Error;
use crate::checksum::Checksum;

/// Reads a row, one column after the other.
pub(super) struct RowReader<'r> {
    row: &'r SqliteRow,
    next: usize,
    checksum: Checksum,
    table: &'static str,
}

impl<'r> RowReader<'r> {
    pub(super) fn new(row: &'r SqliteRow, table: &'static str) -> Self {
        Self { row, next: 0, checksum: Checksum::new(), table }
    }

    /// Starts at the column with the index `first`.
    pub(super) fn from(row: &'r SqliteRow, first: usize, table: &'static str) -> Self {
        Self { next: first, ..Self::new(row, table) }
    }

    /// Skips columns.
    pub(super) fn skip(&mut self, count: usize) {
        self.next += count;
    }

    /// The next columns belong to another table of the join.
    pub(super) fn table(&mut self, table: &'static str) {
        self.table = table;
        self.checksum.clear();
    }

    fn take<T>(&mut self) -> Result<T, Error>
    where
        T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        let index = self.next;
        self.next += 1;
        let table = self.table;
        self.row.try_get(index).map_err(|error| match error {
            sqlx::Error::ColumnDecode { .. } => {
                let column = self.row.columns().get(index).map(sqlx::Column::name).unwrap_or_default();
                Error::damaged(format!("`{column}` of a row of table `{table}` is no value of its kind"))
            }
            other => other.into(),
        })
    }

    pub(super) fn int(&mut self) -> Result<i64, Error> {
        let value = self.take()?;
        self.checksum.int(value);
        Ok(value)
    }

    /// A number that fits into `T`.
    pub(super) fn small<T: TryFrom<i64>>(&mut self) -> Result<T, Error> {
        let value = self.int()?;
        let table = self.table;
        T::try_from(value).map_err(|_| Error::damaged(format!("{value} in a row of table `{table}`")))
    }

    pub(super) fn number(&mut self) -> Result<u64, Error> {
        self.int().map(unsigned)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Error> {
        Ok(self.int()? != 0)
    }

    pub(super) fn option(&mut self) -> Result<Option<i64>, Error> {
        let value = self.take()?;
        match value {
            Some(value) => self.checksum.int(value),
            None => self.checksum.null(),
        }
        Ok(value)
    }

    pub(super) fn small_option<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, Error> {
        let value = self.option()?;
        let table = self.table;
        let small =
            |value| T::try_from(value).map_err(|_| Error::damaged(format!("{value} in a row of table `{table}`")));
        value.map(small).transpose()
    }

    pub(super) fn real(&mut self) -> Result<f64, Error> {
        let value = self.take()?;
        self.checksum.real(value);
        Ok(value)
    }

    pub(super) fn text(&mut self) -> Result<&'r str, Error> {
        let value: &str = self.take()?;
        self.checksum.text(value.as_bytes());
        Ok(value)
    }

    pub(super) fn blob(&mut self) -> Result<&'r [u8], Error> {
        let value: &[u8] = self.take()?;
        self.checksum.blob(value);
        Ok(value)
    }

    pub(super) fn option_blob(&mut self) -> Result<Option<&'r [u8]>, Error> {
        let value: Option<&[u8]> = self.take()?;
        match value {
            Some(value) => self.checksum.blob(value),
            None => self.checksum.null(),
        }
        Ok(value)
    }

    pub(super) fn trial(&mut self) -> Result<TrialId, Error> {
        trial_id(self.blob()?)
    }

    pub(super) fn digest(&mut self) -> Result<Digest, Error> {
        digest(self.blob()?)
    }

    /// Adds a part of the key to the checksum that the query does not select.
    pub(super) fn known(&mut self, value: i64) {
        self.checksum.int(value);
    }

    /// As [`RowReader::known`], for a text.
    pub(super) fn known_text(&mut self, value: &str) {
        self.checksum.text(value.as_bytes());
    }

    /// As [`RowReader::known`], for a trial.
    pub(super) fn known_trial(&mut self, trial: TrialId) {
        self.checksum.blob(trial.as_bytes());
    }

    /// As [`RowReader::known`], for a number without a sign.
    pub(super) fn known_number(&mut self, value: u64) {
        self.checksum.int(signed(value));
    }

    /// Whether the next column is NULL; does not move on.
    pub(super) fn is_absent(&self) -> bool {
        self.row.try_get_raw(self.next).is_ok_and(|value| value.is_null())
    }

    /// Skips a checksum where the query did not select all the columns that it covers.
    pub(super) fn pass_sum(&mut self) {
        self.next += 1;
        self.checksum.clear();
    }

    /// Reads a checksum and compares it with that of the columns read since the last one. `name` identifies the row in the error.
    pub(super) fn sum(&mut self, name: impl FnOnce() -> String) -> Result<(), Error> {
        let found: Option<i64> = self.take()?;
        let sum = self.checksum.sum();
        self.checksum.clear();
        if found == Some(sum) { Ok(()) } else { Err(Error::damaged_row(self.table, &name())) }
    }
}

/// A value of any column, whatever its type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Cell {
    /// Accepts every value that SQLite can store.
    pub(super) fn of(row: &SqliteRow, index: usize) -> Result<Self, sqlx::Error> {
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(Self::Null);
        }
        let kind = raw.type_info().into_owned();
        Ok(match kind.name() {
            "INTEGER" => Self::Int(row.try_get_unchecked(index)?),
            "REAL" => Self::Real(row.try_get_unchecked(index)?),
            "TEXT" => Self::Text(row.try_get_unchecked(index)?),
            _ => Self::Blob(row.try_get_unchecked(index)?),
        })
    }

    pub(super) fn add_to(&self, checksum: &mut Checksum) {
        match self {
            Self::Null => checksum.null(),
            Self::Int(value) => checksum.int(*value),
            Self::Real(value) => checksum.real(*value),
            Self::Text(value) => checksum.text(value),
            Self::Blob(value) => checksum.blob(value),
        }
    }

    /// The value for a message, cut to 200 characters.
    pub(super) fn show(&self) -> String {
        const LONGEST: usize = 200;
        let shown = match self {
            Self::Null => "nothing".to_owned(),
            Self::Int(value) => value.to_string(),
            Self::Real(value) => value.to_string(),
            Self::Text(value) => String::from_utf8_lossy(value).chars().take(LONGEST).collect(),
            Self::Blob(value) => value.iter().take(LONGEST / 2).map(|byte| format!("{byte:02x}")).collect(),
        };
        shown.replace('\0', "\u{fffd}")
    }
}
