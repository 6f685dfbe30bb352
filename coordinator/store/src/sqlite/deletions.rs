//! Deleted sweeps, and what nothing refers to: removed in pieces, each a transaction of its own.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use sweep_scheduler::SweepId;
use sweep_spec::{Digest, TrialId};

use super::read::{digest, trial_id};
use super::row_reader::RowReader;
use super::rows::{Values, signed, unsigned};
use super::{SqliteStore, change, number};
use crate::codes::SweepState;
use crate::deletions::{
    BY_ATTEMPT, BY_SWEEP, CONTENTS, Deletion, DeletionRow, Deletions, Gone, LARGE_BY_SWEEP, NEXT, ORPHANS, PIECE,
    REFERS, REMOVE_SETTINGS, REMOVE_THUMBNAILS, Room, STRAY_THUMBNAILS, Step, Strays, TRIALS, UNFINISHED, remove_rows,
    split, still_orphans, strays,
};
use crate::{Error, Store};

/// The counter of the highest number that an attempt had which was removed: no number is given twice.
pub(super) const LAST_ATTEMPT: &str = "last_attempt";
/// Deleted sweeps of which something is left.
pub(super) const GOING: &str = "SELECT d.sweep FROM deletions d WHERE d.finished_ms = 0";
/// A file of an earlier release is rewritten up to this size, so that it can give room back from then on. A larger one would
/// keep commits waiting for seconds.
const REWRITE_BYTES: u64 = 64 * 1024 * 1024;
/// Pages that are given back in one go.
const VACUUM_PAGES: u32 = 1_000;

/// Records the deletion and removes the sweep's own rows. A sweep that runs, or is not there, stays as it is.
pub(super) async fn record(tx: &mut SqliteConnection, row: &DeletionRow) -> Result<(), Error> {
    let key = signed(row.sweep.0);
    // A sweep that lives must not be taken for one that has ended.
    change::verify_sweep(tx, row.sweep).await?;
    let query = sqlx::query("SELECT name, submitter, pin FROM sweeps WHERE id = ? AND state > ?");
    let query = query.bind(key).bind(SweepState::Running.code());
    let Some(found) = query.fetch_optional(&mut *tx).await? else { return Ok(()) };
    let (name, submitter): (String, String) = (found.try_get("name")?, found.try_get("submitter")?);
    let pin: Option<Vec<u8>> = found.try_get("pin")?;
    let insert = sqlx::query(
        "INSERT INTO deletions (sweep, name, submitter, pin, actor, asked_ms, sum, finished_ms, trials, kept, artifacts, \
         artifact_bytes, store_bytes, state_sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    let values = Values::of(insert).int(key).text(&name).text(&submitter).option_blob(pin.as_deref());
    let values = values.text(&row.actor).int(row.at_ms).sum().key(key);
    let values = (0..6).fold(values, |values, _| values.int(0)).sum();
    values.query.execute(&mut *tx).await?;
    for table in BY_SWEEP {
        let text = format!("DELETE FROM {table} WHERE sweep = ?");
        sqlx::query(AssertSqlSafe(text)).bind(key).execute(&mut *tx).await?;
    }
    sqlx::query("DELETE FROM sweeps WHERE id = ?").bind(key).execute(tx).await?;
    Ok(())
}

/// The highest number of a sweep or an attempt that was removed.
pub(super) async fn floors(pool: &SqlitePool) -> Result<(u64, i64), Error> {
    let mut connection = pool.acquire().await?;
    let sweep: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(sweep), 0) FROM deletions").fetch_one(&mut *connection).await?;
    let attempt = number::read(&mut connection, LAST_ATTEMPT).await?;
    Ok((unsigned(sweep), signed(attempt)))
}

const DELETION: &str = "SELECT sweep, name, submitter, pin, actor, asked_ms, sum, finished_ms, trials, kept, artifacts, \
                        artifact_bytes, store_bytes, state_sum FROM deletions WHERE sweep = ?";

/// A deletion, and the content that its sweep was pinned to.
fn deletion(row: &SqliteRow) -> Result<(Deletion, Option<Vec<u8>>), Error> {
    let mut reader = RowReader::new(row, "deletions");
    let sweep = SweepId(reader.number()?);
    let (name, submitter) = (reader.text()?.to_owned(), reader.text()?.to_owned());
    let pin = reader.option_blob()?.map(<[u8]>::to_vec);
    let (actor, asked_ms) = (reader.text()?.to_owned(), reader.int()?);
    reader.sum(|| format!("the deletion of sweep {sweep}"))?;
    reader.known_number(sweep.0);
    let finished_ms = reader.int()?;
    let gone = Gone {
        trials: reader.number()?,
        kept: reader.number()?,
        artifacts: reader.number()?,
        artifact_bytes: reader.number()?,
    };
    let store_bytes = reader.number()?;
    reader.sum(|| format!("the deletion of sweep {sweep}"))?;
    Ok((Deletion { sweep, name, submitter, actor, asked_ms, finished_ms, gone, store_bytes }, pin))
}

async fn read(connection: &mut SqliteConnection, sweep: SweepId) -> Result<Option<(Deletion, Option<Vec<u8>>)>, Error> {
    let row = sqlx::query(DELETION).bind(signed(sweep.0)).fetch_optional(connection).await?;
    row.as_ref().map(deletion).transpose()
}

async fn update(connection: &mut SqliteConnection, now: &Deletion) -> Result<(), Error> {
    let key = signed(now.sweep.0);
    let update = sqlx::query(
        "UPDATE deletions SET finished_ms = ?, trials = ?, kept = ?, artifacts = ?, artifact_bytes = ?, store_bytes = ?, \
         state_sum = ? WHERE sweep = ?",
    );
    let gone = &now.gone;
    let values = Values::of(update).key(key).int(now.finished_ms).number(gone.trials).number(gone.kept);
    let values = values.number(gone.artifacts).number(gone.artifact_bytes).number(now.store_bytes).sum().loose(key);
    values.query.execute(connection).await?;
    Ok(())
}

/// A list of trials as SQL has it.
fn list(trials: &[TrialId]) -> String {
    trials.iter().map(|trial| format!("x'{trial}'")).collect::<Vec<_>>().join(",")
}

async fn run(connection: &mut SqliteConnection, text: String) -> Result<u64, Error> {
    // No two pieces have the same text.
    let done = sqlx::query(AssertSqlSafe(text)).persistent(false).execute(connection).await?;
    Ok(done.rows_affected())
}

/// Removes trials, and everything that is known of them. Nothing refers to them any more, and no worker runs them.
async fn remove_trials(connection: &mut SqliteConnection, trials: &[TrialId]) -> Result<Gone, Error> {
    if trials.is_empty() {
        return Ok(Gone::default());
    }
    let trials_list = list(trials);
    let text = format!("SELECT key FROM attempts WHERE trial IN ({trials_list})");
    let keys: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(text)).persistent(false).fetch_all(&mut *connection).await?;
    let mut gone = Gone { trials: trials.len() as u64, ..Gone::default() };
    for keys in keys.chunks(PIECE as usize) {
        let keys_list = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        for table in BY_ATTEMPT {
            run(connection, format!("DELETE FROM {table} WHERE attempt IN ({keys_list})")).await?;
        }
        let text = format!("DELETE FROM artifacts WHERE owner IN ({keys_list}) RETURNING digest, size_bytes");
        let rows = sqlx::query(AssertSqlSafe(text)).persistent(false).fetch_all(&mut *connection).await?;
        gone.add(release(connection, &rows).await?);
        run(connection, format!("DELETE FROM attempts WHERE key IN ({keys_list})")).await?;
    }
    if let Some(last) = keys.iter().max() {
        let before = number::read(connection, LAST_ATTEMPT).await?;
        number::set(connection, LAST_ATTEMPT, before.max(unsigned(*last))).await?;
    }
    run(connection, format!("DELETE FROM rounds WHERE trial IN ({trials_list})")).await?;
    run(connection, format!("DELETE FROM trials WHERE id IN ({trials_list})")).await?;
    Ok(gone)
}

/// Lists the contents of removed rows whose files nothing needs any more.
async fn release(connection: &mut SqliteConnection, rows: &[SqliteRow]) -> Result<Gone, Error> {
    let mut gone = Gone::default();
    for row in rows {
        let (content, size): (Vec<u8>, i64) = (row.try_get("digest")?, row.try_get("size_bytes")?);
        let others = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM artifacts WHERE digest = ?)");
        if others.bind(&content).fetch_one(&mut *connection).await? {
            continue;
        }
        let insert = sqlx::query("INSERT INTO removals (digest, sum) VALUES (?, ?) ON CONFLICT DO NOTHING");
        let done = Values::of(insert).blob(&content).sum().query.execute(&mut *connection).await?;
        gone.artifacts += done.rows_affected();
        gone.artifact_bytes += unsigned(size) * done.rows_affected();
    }
    Ok(gone)
}

/// The trials that the next piece takes, each with whether another sweep refers to it.
async fn next(connection: &mut SqliteConnection, sweep: SweepId) -> Result<Vec<(TrialId, bool)>, Error> {
    let rows = sqlx::query(NEXT).bind(signed(sweep.0)).bind(PIECE).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((trial_id(row.try_get("trial")?)?, row.try_get::<i64, _>("shared")? != 0))).collect()
}

/// Removes rows of a sweep of which there may be many; says whether there were any.
async fn remove_large(connection: &mut SqliteConnection, sweep: SweepId) -> Result<bool, Error> {
    for table in LARGE_BY_SWEEP {
        let done =
            sqlx::query(AssertSqlSafe(remove_rows(table))).bind(signed(sweep.0)).execute(&mut *connection).await?;
        if done.rows_affected() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Thumbnails of this content, unless another sweep is pinned to it.
async fn remove_thumbnails(connection: &mut SqliteConnection, content: &[u8]) -> Result<Gone, Error> {
    let rows = sqlx::query(REMOVE_THUMBNAILS).bind(content).fetch_all(&mut *connection).await?;
    release(connection, &rows).await
}

#[async_trait]
impl Deletions for SqliteStore {
    async fn deletion(&self, sweep: SweepId) -> Result<Option<Deletion>, Error> {
        let mut connection = self.readers.acquire().await?;
        Ok(read(&mut connection, sweep).await?.map(|(found, _)| found))
    }

    async fn unfinished_deletions(&self) -> Result<Vec<SweepId>, Error> {
        let found: Vec<i64> = sqlx::query_scalar(UNFINISHED).fetch_all(&self.readers).await?;
        Ok(found.into_iter().map(|sweep| SweepId(unsigned(sweep))).collect())
    }

    async fn weigh(&self, sweep: SweepId) -> Result<Gone, Error> {
        let mut connection = self.readers.acquire().await?;
        let trials = sqlx::query(TRIALS).bind(signed(sweep.0)).fetch_one(&mut *connection).await?;
        let contents = sqlx::query(CONTENTS).bind(signed(sweep.0)).fetch_one(&mut *connection).await?;
        let (referred, shared): (i64, i64) = (trials.try_get("referred")?, trials.try_get("shared")?);
        let (artifacts, bytes): (i64, i64) = (contents.try_get("artifacts")?, contents.try_get("bytes")?);
        Ok(Gone {
            trials: unsigned(referred - shared),
            kept: unsigned(shared),
            artifacts: unsigned(artifacts),
            artifact_bytes: unsigned(bytes),
        })
    }

    async fn next_to_go(&self, sweep: SweepId) -> Result<Vec<TrialId>, Error> {
        let mut connection = self.readers.acquire().await?;
        let found = next(&mut connection, sweep).await?;
        Ok(found.into_iter().filter(|(_, shared)| !shared).map(|(trial, _)| trial).collect())
    }

    async fn delete_piece(&self, sweep: SweepId, forgotten: &[TrialId]) -> Result<Step, Error> {
        let mut numbered = self.writer.begin().await?;
        let tx: &mut SqliteConnection = &mut numbered.transaction;
        let Some((mut now, pin)) = read(tx, sweep).await? else { return Ok(Step::Nothing) };
        if now.finished_ms > 0 {
            return Ok(Step::Nothing);
        }
        let found = next(tx, sweep).await?;
        let mut step = Step::More;
        if found.is_empty() {
            if sqlx::query_scalar(REFERS).bind(signed(sweep.0)).fetch_one(&mut *tx).await? {
                return Ok(Step::Waits);
            }
            if !remove_large(tx, sweep).await? {
                step = Step::Nothing;
                if let Some(pin) = pin {
                    now.gone.add(remove_thumbnails(tx, &pin).await?);
                }
            }
        } else {
            let (all, own) = split(found, forgotten);
            now.gone.add(Gone { kept: (all.len() - own.len()) as u64, ..remove_trials(tx, &own).await? });
            let references =
                format!("DELETE FROM sweep_trials WHERE trial IN ({}) AND sweep = {}", list(&all), signed(sweep.0));
            run(tx, references).await?;
        }
        update(tx, &now).await?;
        numbered.commit().await?;
        Ok(step)
    }

    async fn finish_deletion(&self, sweep: SweepId, at_ms: i64, store_bytes: u64) -> Result<(), Error> {
        let mut numbered = self.writer.begin().await?;
        let tx: &mut SqliteConnection = &mut numbered.transaction;
        if let Some((now, _)) = read(tx, sweep).await?.filter(|(found, _)| found.finished_ms == 0) {
            update(tx, &Deletion { finished_ms: at_ms, store_bytes, ..now }).await?;
        }
        numbered.commit().await
    }

    async fn strays(&self, before_ms: i64, limit: u32) -> Result<Strays, Error> {
        let query = sqlx::query(AssertSqlSafe(strays())).bind(before_ms).bind(limit);
        let row = query.fetch_one(&self.readers).await?;
        let number = |column| row.try_get::<i64, _>(column).map(unsigned);
        Ok(Strays {
            trials: number("trials")?,
            settings: number("settings")?,
            thumbnails: number("thumbnails")?,
            thumbnail_bytes: number("thumbnail_bytes")?,
        })
    }

    async fn orphans(&self, before_ms: i64, limit: u32) -> Result<Vec<TrialId>, Error> {
        let query = sqlx::query_scalar(ORPHANS).bind(before_ms).bind(limit);
        let found: Vec<Vec<u8>> = query.fetch_all(&self.readers).await?;
        found.iter().map(|trial| trial_id(trial)).collect()
    }

    async fn delete_orphans(&self, trials: &[TrialId]) -> Result<Gone, Error> {
        let mut numbered = self.writer.begin().await?;
        let tx: &mut SqliteConnection = &mut numbered.transaction;
        let text = still_orphans(&format!("IN ({})", list(trials)));
        let still: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(text)).persistent(false).fetch_all(&mut *tx).await?;
        let still = still.iter().map(|trial| trial_id(trial)).collect::<Result<Vec<_>, _>>()?;
        let gone = remove_trials(tx, &still).await?;
        numbered.commit().await?;
        Ok(gone)
    }

    async fn delete_settings(&self) -> Result<u64, Error> {
        let mut numbered = self.writer.begin().await?;
        let done = sqlx::query(REMOVE_SETTINGS).execute(&mut *numbered.transaction).await?;
        numbered.commit().await?;
        Ok(done.rows_affected())
    }

    async fn stray_thumbnails(&self) -> Result<Vec<(Digest, u64)>, Error> {
        let rows = sqlx::query(STRAY_THUMBNAILS).fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok((digest(row.try_get("digest")?)?, unsigned(row.try_get("size_bytes")?)))).collect()
    }

    async fn forget_thumbnails(&self, digests: &[Digest]) -> Result<Gone, Error> {
        let mut numbered = self.writer.begin().await?;
        let tx: &mut SqliteConnection = &mut numbered.transaction;
        let mut gone = Gone::default();
        for content in digests {
            let query = sqlx::query(
                "DELETE FROM artifacts WHERE owner = 0 AND digest = ? AND NOT EXISTS \
                 (SELECT 1 FROM sweeps s WHERE s.pin = artifacts.data_digest) RETURNING digest, size_bytes",
            );
            let rows = query.bind(content.as_bytes().as_slice()).fetch_all(&mut *tx).await?;
            gone.add(release(tx, &rows).await?);
        }
        numbered.commit().await?;
        Ok(gone)
    }

    async fn known_contents(&self, digests: &[Digest]) -> Result<Vec<Digest>, Error> {
        let mut connection = self.readers.acquire().await?;
        let mut known = Vec::new();
        for content in digests {
            let query = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM artifacts WHERE digest = $1) OR EXISTS (SELECT 1 FROM removals WHERE digest = $1)",
            );
            if query.bind(content.as_bytes().as_slice()).fetch_one(&mut *connection).await? {
                known.push(*content);
            }
        }
        Ok(known)
    }

    async fn shrink(&self) -> Result<Room, Error> {
        let mut connection = self.writer.pool.acquire().await?;
        let page = pragma(&mut connection, "page_size").await?;
        let free = pragma(&mut connection, "freelist_count").await?;
        let size = pragma(&mut connection, "page_count").await? * page;
        // 2: pages can be given back a few at a time.
        let incremental = pragma(&mut connection, "auto_vacuum").await? == 2;
        if free > 0 && !incremental && size <= REWRITE_BYTES {
            sqlx::query("PRAGMA auto_vacuum = INCREMENTAL").execute(&mut *connection).await?;
            sqlx::query("VACUUM").execute(&mut *connection).await?;
        }
        drop(connection);
        if incremental {
            self.vacuum_in_steps().await?;
        }
        let mut connection = self.writer.pool.acquire().await?;
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_all(&mut *connection).await?;
        let left = pragma(&mut connection, "freelist_count").await?;
        Ok(Room { returned: free.saturating_sub(left) * page, reusable: Some(left * page) })
    }
}

impl SqliteStore {
    /// Gives free pages back a few at a time, so that other commits come between.
    async fn vacuum_in_steps(&self) -> Result<(), Error> {
        let vacuum = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
        loop {
            let mut connection = self.writer.pool.acquire().await?;
            let before = pragma(&mut connection, "freelist_count").await?;
            sqlx::query(AssertSqlSafe(vacuum.clone())).fetch_all(&mut *connection).await?;
            if before == 0 || pragma(&mut connection, "freelist_count").await? >= before {
                return Ok(());
            }
        }
    }

    /// Rewrites the file without the room of removed rows, which takes as much room again for a while. Says how many bytes
    /// were given back.
    ///
    /// # Errors
    /// There is no room for it, or the file is damaged.
    pub async fn compact(&self) -> Result<u64, Error> {
        let before = self.size_bytes().await?;
        let mut connection = self.writer.pool.acquire().await?;
        for statement in ["PRAGMA auto_vacuum = INCREMENTAL", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            sqlx::query(statement).fetch_all(&mut *connection).await?;
        }
        drop(connection);
        Ok(before.saturating_sub(self.size_bytes().await?))
    }
}

async fn pragma(connection: &mut SqliteConnection, name: &str) -> Result<u64, Error> {
    let found: i64 = sqlx::query_scalar(AssertSqlSafe(format!("PRAGMA {name}"))).fetch_one(connection).await?;
    Ok(unsigned(found))
}
