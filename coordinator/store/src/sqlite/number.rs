//! The one writer. Every transaction takes the next number; after it is on disk its number goes into a small file beside
//! the database, so that a log that ends too early is noticed at the next start.
//!
//! The file is not synced. It is written after the transaction that it speaks of is on disk: whatever a crash of the
//! machine leaves of it is a number that was reached. A crash of the process loses nothing of it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sqlx::sqlite::SqlitePool;
use sqlx::{Sqlite, SqliteConnection, Transaction};
use sweep_trust::private::Sharing;
use tracing::warn;

use super::beside;
use super::place::Place;
use super::rows::{signed, unsigned};
use crate::{Error, checksum, private};

const MAGIC: &[u8; 8] = b"SWEEPACK";
const BEGIN: &str = "BEGIN IMMEDIATE";
/// The counter of transactions.
pub(super) const COMMIT: &str = "commit";

/// What the file says: 24 bytes, so within one sector.
fn encode(number: u64) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    bytes[16..].copy_from_slice(&checksum::counter("acknowledged", signed(number)).to_le_bytes());
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Option<u64> {
    let number = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    (bytes == encode(number)).then_some(number)
}

/// The number of the last transaction that somebody was told of.
#[derive(Debug)]
pub(super) struct Acknowledged {
    file: File,
    path: PathBuf,
    /// The last number, and whether the file could be written.
    last: Mutex<(u64, bool)>,
}

impl Acknowledged {
    /// Where the file lies.
    pub(super) fn path(store: &Path) -> PathBuf {
        beside(store, ".acknowledged")
    }

    /// What the file says, if it is there and whole.
    pub(super) fn read(store: &Path) -> Option<u64> {
        let path = Self::path(store);
        match std::fs::read(&path) {
            Ok(bytes) => {
                let number = decode(&bytes);
                if number.is_none() {
                    warn!(path = %path.display(), "this file is damaged: it does not contain the number of the last \
                        commit");
                }
                number
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!(path = %path.display(), %error, "cannot read the number of the last commit");
                None
            }
        }
    }

    /// Opens the file and says `number`, whatever it said before.
    pub(super) fn open(store: &Path, number: u64) -> Result<Self, Error> {
        let path = Self::path(store);
        let io = |source| Error::Io { path: path.display().to_string(), source };
        let file = Sharing::of(private::folder_of(store)).open(&path).map_err(io)?;
        file.write_all_at(&encode(number), 0).map_err(io)?;
        file.set_len(24).map_err(io)?;
        Ok(Self { file, path, last: Mutex::new((number, true)) })
    }

    /// Says that `number` is on disk. A file that cannot be written makes the next start less watchful and nothing else.
    fn write(&self, number: u64) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if number <= last.0 {
            return;
        }
        let written = self.file.write_all_at(&encode(number), 0);
        if let (Err(error), true) = (&written, last.1) {
            warn!(path = %self.path.display(), %error, "cannot write the number of the last commit");
        }
        *last = (number, written.is_ok());
    }
}

/// The one writer.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) pool: SqlitePool,
    pub(super) acknowledged: Acknowledged,
    pub(super) place: Place,
}

/// A transaction with a number. Dropped, it leaves nothing.
pub(super) struct Numbered<'w> {
    pub(super) transaction: Transaction<'static, Sqlite>,
    number: u64,
    writer: &'w Writer,
}

impl Writer {
    pub(super) async fn begin(&self) -> Result<Numbered<'_>, Error> {
        self.place.check()?;
        let mut transaction = match self.pool.begin_with(BEGIN).await {
            // A full disk makes SQLite roll back by itself; the connection then believes that it is in a transaction.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.pool.acquire().await?.close().await?;
                self.pool.begin_with(BEGIN).await?
            }
            begun => begun?,
        };
        let number = read(&mut transaction, COMMIT).await?.saturating_add(1);
        set(&mut transaction, COMMIT, number).await?;
        Ok(Numbered { transaction, number, writer: self })
    }
}

impl Numbered<'_> {
    /// Puts it on disk, then says so.
    pub(super) async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await?;
        // What went into a file without a name is lost.
        self.writer.place.check()?;
        self.writer.acknowledged.write(self.number);
        Ok(())
    }
}

/// A counter; 0 where there is none.
pub(super) async fn read(connection: &mut SqliteConnection, name: &'static str) -> Result<u64, Error> {
    let query = sqlx::query_as("SELECT value, sum FROM counters WHERE name = ?");
    let row: Option<(i64, Option<i64>)> = query.bind(name).fetch_optional(connection).await?;
    match row {
        None => Ok(0),
        Some((value, sum)) if sum == Some(checksum::counter(name, value)) => Ok(unsigned(value)),
        Some(_) => Err(Error::damaged_row("counters", name)),
    }
}

/// Sets a counter.
pub(super) async fn set(connection: &mut SqliteConnection, name: &'static str, value: u64) -> Result<(), Error> {
    let upsert = sqlx::query(
        "INSERT INTO counters (name, value, sum) VALUES (?, ?, ?) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, sum = excluded.sum",
    );
    let upsert = upsert.bind(name).bind(signed(value)).bind(checksum::counter(name, signed(value)));
    upsert.execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_reads_back_and_a_changed_byte_is_noticed() {
        for number in [0, 1, u64::MAX] {
            let bytes = encode(number);
            assert_eq!(decode(&bytes), Some(number));
            for index in 0..bytes.len() {
                let mut changed = bytes;
                changed[index] ^= 1;
                assert_eq!(decode(&changed), None, "byte {index}");
            }
            assert_eq!(decode(&bytes[..23]), None);
        }
        assert_eq!(decode(b""), None);
    }
}
