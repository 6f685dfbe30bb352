//! Values of any table, alike on both databases.

use std::fmt;

use crate::Error;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Real,
    Text,
    Bytes,
}

impl Kind {
    /// From the databases' own names.
    pub(super) fn of(name: &str) -> Result<Self, Error> {
        match name {
            "INTEGER" | "bigint" => Ok(Self::Number),
            "REAL" | "double precision" => Ok(Self::Real),
            "TEXT" | "text" => Ok(Self::Text),
            "BLOB" | "bytea" => Ok(Self::Bytes),
            other => Err(Error::damaged(format!("a column of the kind {other}"))),
        }
    }
}

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Nothing,
    Number(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A row, its cells in the order of the columns.
pub(super) type Row = Vec<Cell>;

/// Of a table: how many rows, and a sum over them that does not depend on their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Digest {
    pub(super) rows: u64,
    sum: u128,
}

impl Digest {
    /// Adds a row, and says how long it is.
    pub(super) fn add(&mut self, row: &Row) -> usize {
        let mut bytes = Vec::new();
        for cell in row {
            let (kind, content): (u8, &[u8]) = match cell {
                Cell::Nothing => (0, &[]),
                Cell::Number(value) => (1, &value.to_le_bytes()),
                // A zero has no sign: SQLite keeps none.
                Cell::Real(value) => (2, &(value + 0.0).to_bits().to_le_bytes()),
                Cell::Text(value) => (3, value.as_bytes()),
                Cell::Bytes(value) => (4, value),
            };
            bytes.push(kind);
            bytes.extend_from_slice(&(content.len() as u64).to_le_bytes());
            bytes.extend_from_slice(content);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(half));
        self.rows += 1;
        bytes.len()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.sum)
    }
}
