//! Deleted sweeps, and what nothing refers to: removed in pieces, each a transaction of its own. While one runs, nobody
//! writes a new reference to a trial or an artifact (`PostgresStore::begin_alone`).

use async_trait::async_trait;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use sweep_scheduler::SweepId;
use sweep_spec::{Digest, TrialId};

use super::PostgresStore;
use super::columns::{large, signed, text, unsigned};
use super::read::{digest, trial_id};
use crate::Error;
use crate::codes::SweepState;
use crate::deletions::{
    BY_ATTEMPT, BY_SWEEP, CONTENTS, Deletion, DeletionRow, Deletions, Gone, LARGE_BY_SWEEP, NEXT, ORPHANS, PIECE,
    REFERS, REMOVE_SETTINGS, REMOVE_THUMBNAILS, Room, STRAY_THUMBNAILS, Step, Strays, TRIALS, UNFINISHED, remove_rows,
    split, still_orphans, strays,
};

/// The highest number of a sweep, and of an attempt, that was ever given.
pub(super) const LAST_SWEEP: &str =
    "SELECT GREATEST((SELECT COALESCE(MAX(id), 0) FROM sweeps), (SELECT COALESCE(MAX(sweep), 0) FROM deletions))";
pub(super) const LAST_ATTEMPT: &str = "SELECT GREATEST((SELECT COALESCE(MAX(key), 0) FROM attempts), \
    (SELECT COALESCE(MAX(value), 0) FROM counters WHERE name = 'last_attempt'))";

/// Records the deletion and removes the sweep's own rows. A sweep that runs, or is not there, stays as it is.
pub(super) async fn record(tx: &mut PgConnection, row: &DeletionRow) -> Result<(), Error> {
    let key = signed(row.sweep.0);
    let insert = sqlx::query(
        "INSERT INTO deletions (sweep, name, submitter, pin, actor, asked_ms, finished_ms, trials, kept, artifacts, \
         artifact_bytes, store_bytes) SELECT id, name, submitter, pin, $2, $3, 0, 0, 0, 0, 0, 0 FROM sweeps \
         WHERE id = $1 AND state > $4 ON CONFLICT DO NOTHING",
    );
    let insert = insert.bind(key).bind(text(&row.actor)).bind(row.at_ms).bind(SweepState::Running.code());
    if insert.execute(&mut *tx).await?.rows_affected() == 0 {
        return Ok(());
    }
    for table in BY_SWEEP {
        let delete = format!("DELETE FROM {table} WHERE sweep = $1");
        sqlx::query(AssertSqlSafe(delete)).bind(key).execute(&mut *tx).await?;
    }
    sqlx::query("DELETE FROM sweeps WHERE id = $1").bind(key).execute(tx).await?;
    Ok(())
}

const DELETION: &str = "SELECT sweep, name, submitter, pin, actor, asked_ms, finished_ms, trials, kept, artifacts, \
                        artifact_bytes, store_bytes FROM deletions WHERE sweep = $1";

fn deletion(row: &PgRow) -> Result<Deletion, Error> {
    let gone = Gone {
        trials: large(row, "trials")?,
        kept: large(row, "kept")?,
        artifacts: large(row, "artifacts")?,
        artifact_bytes: large(row, "artifact_bytes")?,
    };
    Ok(Deletion {
        sweep: SweepId(large(row, "sweep")?),
        name: row.try_get("name")?,
        submitter: row.try_get("submitter")?,
        actor: row.try_get("actor")?,
        asked_ms: row.try_get("asked_ms")?,
        finished_ms: row.try_get("finished_ms")?,
        gone,
        store_bytes: large(row, "store_bytes")?,
    })
}

async fn update(tx: &mut PgConnection, now: &Deletion) -> Result<(), Error> {
    let update = sqlx::query(
        "UPDATE deletions SET finished_ms = $2, trials = $3, kept = $4, artifacts = $5, artifact_bytes = $6, \
         store_bytes = $7 WHERE sweep = $1",
    );
    let gone = &now.gone;
    let update = update.bind(signed(now.sweep.0)).bind(now.finished_ms).bind(signed(gone.trials));
    let update = update.bind(signed(gone.kept)).bind(signed(gone.artifacts)).bind(signed(gone.artifact_bytes));
    update.bind(signed(now.store_bytes)).execute(tx).await?;
    Ok(())
}

fn bytes(trials: &[TrialId]) -> Vec<Vec<u8>> {
    trials.iter().map(|trial| trial.as_bytes().to_vec()).collect()
}

/// Removes trials, and everything that is known of them. Nothing refers to them any more, and no worker runs them.
async fn remove_trials(tx: &mut PgConnection, trials: &[TrialId]) -> Result<Gone, Error> {
    if trials.is_empty() {
        return Ok(Gone::default());
    }
    let ids = bytes(trials);
    let keys = sqlx::query_scalar("SELECT key FROM attempts WHERE trial = ANY ($1)").bind(&ids);
    let keys: Vec<i64> = keys.fetch_all(&mut *tx).await?;
    let mut gone = Gone { trials: trials.len() as u64, ..Gone::default() };
    for table in BY_ATTEMPT {
        let delete = format!("DELETE FROM {table} WHERE attempt = ANY ($1)");
        sqlx::query(AssertSqlSafe(delete)).bind(&keys).execute(&mut *tx).await?;
    }
    let delete =
        sqlx::query("DELETE FROM artifacts WHERE owner = ANY ($1) AND owner <> 0 RETURNING digest, size_bytes");
    let rows = delete.bind(&keys).fetch_all(&mut *tx).await?;
    gone.add(release(tx, &rows).await?);
    if let Some(last) = keys.iter().max() {
        let raise = sqlx::query(
            "INSERT INTO counters (name, value) VALUES ('last_attempt', $1) \
             ON CONFLICT (name) DO UPDATE SET value = GREATEST(counters.value, excluded.value)",
        );
        raise.bind(last).execute(&mut *tx).await?;
    }
    sqlx::query("DELETE FROM attempts WHERE key = ANY ($1)").bind(&keys).execute(&mut *tx).await?;
    sqlx::query("DELETE FROM rounds WHERE trial = ANY ($1)").bind(&ids).execute(&mut *tx).await?;
    sqlx::query("DELETE FROM trials WHERE id = ANY ($1)").bind(&ids).execute(tx).await?;
    Ok(gone)
}

/// Lists the contents of removed rows whose files nothing needs any more.
async fn release(tx: &mut PgConnection, rows: &[PgRow]) -> Result<Gone, Error> {
    let mut gone = Gone::default();
    for row in rows {
        let (content, size): (Vec<u8>, i64) = (row.try_get("digest")?, row.try_get("size_bytes")?);
        let insert = sqlx::query(
            "INSERT INTO removals (digest) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM artifacts WHERE digest = $1) \
             ON CONFLICT DO NOTHING",
        );
        let listed = insert.bind(&content).execute(&mut *tx).await?.rows_affected();
        gone.artifacts += listed;
        gone.artifact_bytes += unsigned(size) * listed;
    }
    Ok(gone)
}

/// The trials that the next piece takes, each with whether another sweep refers to it.
async fn next(tx: &mut PgConnection, sweep: SweepId) -> Result<Vec<(TrialId, bool)>, Error> {
    let rows = sqlx::query(NEXT).bind(signed(sweep.0)).bind(i64::from(PIECE)).fetch_all(tx).await?;
    rows.iter().map(|row| Ok((trial_id(row.try_get("trial")?)?, row.try_get::<i64, _>("shared")? != 0))).collect()
}

/// Removes rows of a sweep of which there may be many; says whether there were any.
async fn remove_large(tx: &mut PgConnection, sweep: SweepId) -> Result<bool, Error> {
    for table in LARGE_BY_SWEEP {
        let done = sqlx::query(AssertSqlSafe(remove_rows(table))).bind(signed(sweep.0)).execute(&mut *tx).await?;
        if done.rows_affected() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Thumbnails of this content, unless another sweep is pinned to it.
async fn remove_thumbnails(tx: &mut PgConnection, content: &[u8]) -> Result<Gone, Error> {
    let rows = sqlx::query(REMOVE_THUMBNAILS).bind(content).fetch_all(&mut *tx).await?;
    release(tx, &rows).await
}

impl PostgresStore {
    async fn piece(&self, sweep: SweepId, forgotten: &[TrialId]) -> Result<Step, Error> {
        let mut transaction = self.begin_alone().await?;
        let tx: &mut PgConnection = &mut transaction;
        let row = sqlx::query(DELETION).bind(signed(sweep.0)).fetch_optional(&mut *tx).await?;
        let Some(row) = row else { return Ok(Step::Nothing) };
        let (mut now, pin) = (deletion(&row)?, row.try_get::<Option<Vec<u8>>, _>("pin")?);
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
            let references = sqlx::query("DELETE FROM sweep_trials WHERE trial = ANY ($1) AND sweep = $2");
            references.bind(bytes(&all)).bind(signed(sweep.0)).execute(&mut *tx).await?;
        }
        update(tx, &now).await?;
        transaction.commit().await?;
        Ok(step)
    }
}

#[async_trait]
impl Deletions for PostgresStore {
    async fn deletion(&self, sweep: SweepId) -> Result<Option<Deletion>, Error> {
        let row = sqlx::query(DELETION).bind(signed(sweep.0)).fetch_optional(&self.readers).await?;
        row.as_ref().map(deletion).transpose()
    }

    async fn unfinished_deletions(&self) -> Result<Vec<SweepId>, Error> {
        let found: Vec<i64> = sqlx::query_scalar(UNFINISHED).fetch_all(&self.readers).await?;
        Ok(found.into_iter().map(|sweep| SweepId(unsigned(sweep))).collect())
    }

    async fn weigh(&self, sweep: SweepId) -> Result<Gone, Error> {
        let trials = sqlx::query(TRIALS).bind(signed(sweep.0)).fetch_one(&self.readers).await?;
        let contents = sqlx::query(CONTENTS).bind(signed(sweep.0)).fetch_one(&self.readers).await?;
        let (referred, shared): (u64, u64) = (large(&trials, "referred")?, large(&trials, "shared")?);
        let (artifacts, artifact_bytes) = (large(&contents, "artifacts")?, large(&contents, "bytes")?);
        Ok(Gone { trials: referred - shared, kept: shared, artifacts, artifact_bytes })
    }

    async fn next_to_go(&self, sweep: SweepId) -> Result<Vec<TrialId>, Error> {
        let mut connection = self.readers.acquire().await?;
        let found = next(&mut connection, sweep).await?;
        Ok(found.into_iter().filter(|(_, shared)| !shared).map(|(trial, _)| trial).collect())
    }

    async fn delete_piece(&self, sweep: SweepId, forgotten: &[TrialId]) -> Result<Step, Error> {
        self.in_term(self.piece(sweep, forgotten)).await
    }

    async fn finish_deletion(&self, sweep: SweepId, at_ms: i64, store_bytes: u64) -> Result<(), Error> {
        self.in_term(async {
            let mut transaction = self.begin().await?;
            let update = sqlx::query(
                "UPDATE deletions SET finished_ms = $2, store_bytes = $3 WHERE sweep = $1 AND finished_ms = 0",
            );
            let update = update.bind(signed(sweep.0)).bind(at_ms).bind(signed(store_bytes));
            update.execute(&mut *transaction).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn strays(&self, before_ms: i64, limit: u32) -> Result<Strays, Error> {
        let query = sqlx::query(AssertSqlSafe(strays())).bind(before_ms).bind(i64::from(limit));
        let row = query.fetch_one(&self.readers).await?;
        Ok(Strays {
            trials: large(&row, "trials")?,
            settings: large(&row, "settings")?,
            thumbnails: large(&row, "thumbnails")?,
            thumbnail_bytes: large(&row, "thumbnail_bytes")?,
        })
    }

    async fn orphans(&self, before_ms: i64, limit: u32) -> Result<Vec<TrialId>, Error> {
        let query = sqlx::query_scalar(ORPHANS).bind(before_ms).bind(i64::from(limit));
        let found: Vec<Vec<u8>> = query.fetch_all(&self.readers).await?;
        found.iter().map(|trial| trial_id(trial)).collect()
    }

    async fn delete_orphans(&self, trials: &[TrialId]) -> Result<Gone, Error> {
        self.in_term(async {
            let mut transaction = self.begin_alone().await?;
            let still = sqlx::query_scalar(AssertSqlSafe(still_orphans("= ANY ($1)")));
            let still: Vec<Vec<u8>> = still.bind(bytes(trials)).fetch_all(&mut *transaction).await?;
            let still = still.iter().map(|trial| trial_id(trial)).collect::<Result<Vec<_>, _>>()?;
            let gone = remove_trials(&mut transaction, &still).await?;
            transaction.commit().await?;
            Ok(gone)
        })
        .await
    }

    async fn delete_settings(&self) -> Result<u64, Error> {
        self.in_term(async {
            let mut transaction = self.begin_alone().await?;
            let done = sqlx::query(REMOVE_SETTINGS).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(done.rows_affected())
        })
        .await
    }

    async fn stray_thumbnails(&self) -> Result<Vec<(Digest, u64)>, Error> {
        let rows = sqlx::query(STRAY_THUMBNAILS).fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok((digest(row.try_get("digest")?)?, large(row, "size_bytes")?))).collect()
    }

    async fn forget_thumbnails(&self, digests: &[Digest]) -> Result<Gone, Error> {
        self.in_term(async {
            let mut transaction = self.begin_alone().await?;
            let contents: Vec<Vec<u8>> = digests.iter().map(|content| content.as_bytes().to_vec()).collect();
            let delete = sqlx::query(
                "DELETE FROM artifacts f WHERE f.owner = 0 AND f.digest = ANY ($1) AND NOT EXISTS \
                 (SELECT 1 FROM sweeps s WHERE s.pin = f.data_digest) RETURNING f.digest, f.size_bytes",
            );
            let rows = delete.bind(contents).fetch_all(&mut *transaction).await?;
            let gone = release(&mut transaction, &rows).await?;
            transaction.commit().await?;
            Ok(gone)
        })
        .await
    }

    async fn known_contents(&self, digests: &[Digest]) -> Result<Vec<Digest>, Error> {
        let contents: Vec<Vec<u8>> = digests.iter().map(|content| content.as_bytes().to_vec()).collect();
        let query = sqlx::query_scalar(
            "SELECT digest FROM artifacts WHERE digest = ANY ($1) UNION SELECT digest FROM removals WHERE digest = ANY ($1)",
        );
        let found: Vec<Vec<u8>> = query.bind(contents).fetch_all(&self.readers).await?;
        found.iter().map(|content| digest(content)).collect()
    }

    /// The database keeps the room for later rows; its own vacuum makes it usable.
    async fn shrink(&self) -> Result<Room, Error> {
        Ok(Room::default())
    }
}
