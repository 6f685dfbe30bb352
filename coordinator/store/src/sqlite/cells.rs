//! One row on its way out: columns are read in order, and what is read is held against the row's checksums.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, TypeInfo, ValueRef};
use sweep_spec::{Digest, TrialId};

use super::read::{digest, trial_id};
use super::rows::{signed, unsigned};
use crate::Error;
use crate::seal::Seal;

/// The cells of a row, from the first on.
pub(super) struct Cells<'r> {
    row: &'r SqliteRow,
    next: usize,
    seal: Seal,
    table: &'static str,
}

impl<'r> Cells<'r> {
    pub(super) fn new(row: &'r SqliteRow, table: &'static str) -> Self {
        Self { row, next: 0, seal: Seal::new(), table }
    }

    /// The cells from the one at `first` on.
    pub(super) fn from(row: &'r SqliteRow, first: usize, table: &'static str) -> Self {
        Self { next: first, ..Self::new(row, table) }
    }

    /// Passes cells over.
    pub(super) fn skip(&mut self, count: usize) {
        self.next += count;
    }

    /// Goes on in another table of a join.
    pub(super) fn table(&mut self, table: &'static str) {
        self.table = table;
        self.seal.clear();
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
        self.seal.int(value);
        Ok(value)
    }

    /// A number that fits.
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
            Some(value) => self.seal.int(value),
            None => self.seal.null(),
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
        self.seal.real(value);
        Ok(value)
    }

    pub(super) fn text(&mut self) -> Result<&'r str, Error> {
        let value: &str = self.take()?;
        self.seal.text(value.as_bytes());
        Ok(value)
    }

    pub(super) fn blob(&mut self) -> Result<&'r [u8], Error> {
        let value: &[u8] = self.take()?;
        self.seal.blob(value);
        Ok(value)
    }

    pub(super) fn option_blob(&mut self) -> Result<Option<&'r [u8]>, Error> {
        let value: Option<&[u8]> = self.take()?;
        match value {
            Some(value) => self.seal.blob(value),
            None => self.seal.null(),
        }
        Ok(value)
    }

    pub(super) fn trial(&mut self) -> Result<TrialId, Error> {
        trial_id(self.blob()?)
    }

    pub(super) fn digest(&mut self) -> Result<Digest, Error> {
        digest(self.blob()?)
    }

    /// A value that stands elsewhere and belongs to the key.
    pub(super) fn known(&mut self, value: i64) {
        self.seal.int(value);
    }

    /// As [`Cells::known`], of a text.
    pub(super) fn known_text(&mut self, value: &str) {
        self.seal.text(value.as_bytes());
    }

    /// As [`Cells::known`], of a trial.
    pub(super) fn known_trial(&mut self, trial: TrialId) {
        self.seal.blob(trial.as_bytes());
    }

    /// As [`Cells::known`], for a number without a sign.
    pub(super) fn known_number(&mut self, value: u64) {
        self.seal.int(signed(value));
    }

    /// Whether the next cell is empty; it stays the next.
    pub(super) fn is_absent(&self) -> bool {
        self.row.try_get_raw(self.next).is_ok_and(|value| value.is_null())
    }

    /// Passes the checksum over, where not all of what it covers was read.
    pub(super) fn pass_sum(&mut self) {
        self.next += 1;
        self.seal.clear();
    }

    /// Reads the checksum of what was read since the last one. `name` says which row it is.
    pub(super) fn sum(&mut self, name: impl FnOnce() -> String) -> Result<(), Error> {
        let found: Option<i64> = self.take()?;
        let sum = self.seal.sum();
        self.seal.clear();
        if found == Some(sum) { Ok(()) } else { Err(Error::damaged_row(self.table, &name())) }
    }
}

/// Whatever a cell holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Cell {
    /// Cannot fail for what a row holds, whatever that is.
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

    pub(super) fn seal(&self, seal: &mut Seal) {
        match self {
            Self::Null => seal.null(),
            Self::Int(value) => seal.int(*value),
            Self::Real(value) => seal.real(*value),
            Self::Text(value) => seal.text(value),
            Self::Blob(value) => seal.blob(value),
        }
    }

    /// For people; long ones are cut.
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
