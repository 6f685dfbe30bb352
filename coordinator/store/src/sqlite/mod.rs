//! The store as one SQLite file: write-ahead log, `synchronous=FULL`, one writer and a few readers. A lock file beside it
//! keeps a second coordinator out.

mod audit;
mod change;
pub(crate) mod check;
mod configurations;
mod consistency;
mod content;
pub mod copied;
mod deletions;
mod history_scan;
mod holds;
mod layout;
mod load;
mod number;
mod observed;
mod place;
mod prepare;
mod prepared;
mod read;
mod repair;
mod row_reader;
mod rows;
mod scan;
mod sweeps;
mod tokens;
mod trials;
mod weights;
mod write;

pub use content::content;

use std::collections::{HashMap, HashSet};
use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sweep_scheduler::event::History;
use sweep_scheduler::snapshot::SweepSnapshot;
use sweep_scheduler::{Lease, SweepId};
use sweep_spec::trainer::Validation;
use sweep_spec::{Digest, TrialId};
use sweep_trust::lock::Lock;
use sweep_trust::private::Sharing;
use tracing::warn;

use super::codes::ArtifactKind;
use super::observed::Observed;
use super::record::{
    ArtifactRecord, AttemptKey, AttemptRecord, AuditFilter, ConfigurationRecord, ConfigurationTitle, LiveSweep, Loaded,
    Point, Repeat, Replicate, ResultRecord, SweepPage, SweepRecord, SweepTitle, TrialPage, TrialRecord, TrialRow,
    WorkerRecord,
};
use super::summary::Summary;
use super::tokens::{TokenRecord, Tokens};
use super::weights::{Settled, Settlement};
use super::write::{AuditRow, Commit, Preparation};
use super::{Error, Loss, Store, private};
use crate::SessionKey;
use crate::unix_ms;
use layout::{check_header, migrate, name_error};
use number::{Acknowledged, Writer};
use place::Place;

const READERS: u32 = 4;
/// Rows that are read ahead of whoever takes them: a restart reads some hundred thousand, and a short queue makes two
/// threads wait for each other at every few of them.
const ROWS_AHEAD: usize = 2048;
/// How long a reader waits for a writer's checkpoint, and the other way round.
const BUSY: Duration = Duration::from_secs(10);
/// A file up to this size has its pages looked through at every opening, which takes some hundredths of a second.
const QUICK_CHECK_BYTES: u64 = 16 * 1024 * 1024;
/// The counter that is 0 while rows of an older layout have no checksums.
const CHECKSUMS_WRITTEN: &str = "sealed";

/// Which store, and how it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The file.
    pub path: PathBuf,
    /// Goes on without what is damaged or missing, and says what that is.
    pub accept_loss: bool,
}

impl Options {
    /// This file, refused if it is damaged.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), accept_loss: false }
    }
}

/// A SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    /// One connection that no question about sweeps takes: whether the store answers is asked on it.
    probe: SqlitePool,
    path: PathBuf,
    losses: Vec<Loss>,
    /// Held as long as the store is open, whoever still has a handle to it when it is closed.
    lock: Lock,
}

impl SqliteStore {
    /// Opens the file, makes it if it is not there, and brings its layout up to date.
    ///
    /// # Errors
    /// The file is something else, newer, in use, damaged, or cannot be read or written.
    pub async fn open(options: &Options) -> Result<Self, Error> {
        let path = options.path.as_path();
        let name = path.display().to_string();
        let io = |source| Error::Io { path: name.clone(), source };
        let sharing = private::close(path)?;
        check_header(path)?;
        let lock = lock(path)?;
        is_there_or_new(options)?;
        // SQLite gives its log the mode that the file has.
        drop(sharing.open(path).map_err(io)?);
        let connect = connect_options(path).create_if_missing(true);
        let named = |error| name_error(&name, error);
        let one = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        // Only a writer can set these; the file keeps both. The vacuum mode counts for a new file; a file of an earlier
        // release gets it when it is rewritten.
        let writing = connect.clone().journal_mode(SqliteJournalMode::Wal).auto_vacuum(SqliteAutoVacuum::Incremental);
        let pool = one.connect_with(writing).await.map_err(named)?;
        migrate(&pool, &name).await?;
        let acknowledged = Acknowledged::read(path);
        let (losses, commits) = verify(&pool, options, acknowledged).await?;
        if acknowledged.is_none() && commits > 0 {
            warn!(store = name, commits, "no file next to the store contains the number of the last commit");
        }
        let acknowledged = Acknowledged::open(path, commits)?;
        let few = SqlitePoolOptions::new().max_connections(READERS).max_lifetime(None);
        let connect = connect.read_only(true);
        let readers = few.connect_with(connect.clone()).await.map_err(named)?;
        let one = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let probe = one.connect_with(connect).await.map_err(named)?;
        let writer = Writer { pool, acknowledged, place: Place::of(path)? };
        Ok(Self { writer, readers, probe, path: path.to_owned(), losses, lock })
    }

    /// What it goes on without since it was opened; empty unless that was accepted.
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .statement_cache_capacity(256)
        .row_buffer_size(ROWS_AHEAD)
        .pragma("cache_size", "-65536")
        .pragma("wal_autocheckpoint", "4000")
        .busy_timeout(BUSY)
}

/// Holds the file against what was acknowledged, and gives checksums to a store of the first release. Says what was lost
/// and accepted, and the number of the last transaction.
async fn verify(pool: &SqlitePool, options: &Options, acknowledged: Option<u64>) -> Result<(Vec<Loss>, u64), Error> {
    let size = std::fs::metadata(&options.path).map_or(0, |metadata| metadata.len());
    if size <= QUICK_CHECK_BYTES {
        let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(pool).await?;
        if found != "ok" {
            return Err(Error::Unreadable { what: found });
        }
    }
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let connection = &mut *transaction;
    if number::read(connection, CHECKSUMS_WRITTEN).await.unwrap_or(1) == 0 {
        scan::write_all_checksums(connection).await?;
        number::set(connection, CHECKSUMS_WRITTEN, 1).await?;
    }
    let losses =
        if options.accept_loss { repair::repair(connection, acknowledged, unix_ms()).await? } else { Vec::new() };
    let commits = number::read(connection, number::COMMIT).await?;
    if let Some(acknowledged) = acknowledged.filter(|number| *number > commits) {
        let path = options.path.display().to_string();
        return Err(Error::Behind { path, missing: acknowledged - commits, acknowledged });
    }
    transaction.commit().await?;
    Ok((losses, commits))
}

/// A store that is not there must be a new one: one that had commits was removed or lies elsewhere. Seen before a file is
/// made, so that refusing leaves none behind.
fn is_there_or_new(options: &Options) -> Result<(), Error> {
    let path = options.path.as_path();
    let is_there = std::fs::metadata(path).is_ok_and(|found| found.len() > 0);
    if is_there || options.accept_loss {
        return Ok(());
    }
    match Acknowledged::read(path).filter(|number| *number > 0) {
        None => Ok(()),
        Some(acknowledged) => Err(Error::Missing {
            path: path.display().to_string(),
            number: Acknowledged::path(path).display().to_string(),
            acknowledged,
        }),
    }
}

pub fn lock(path: &Path) -> Result<Lock, Error> {
    let lock_path = beside(path, ".lock");
    let io = |source| Error::Io { path: lock_path.display().to_string(), source };
    let file = Sharing::of(private::folder_of(path)).open(&lock_path).map_err(io)?;
    Lock::take(file).map_err(|error| match error {
        TryLockError::WouldBlock => Error::InUse { path: path.display().to_string() },
        TryLockError::Error(source) => io(source),
    })
}

/// The file beside a store whose name has this suffix.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[async_trait]
impl Tokens for SqliteStore {
    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error> {
        tokens::all(&self.readers).await
    }

    async fn add_token(&self, token: &TokenRecord) -> Result<(), Error> {
        tokens::add(&self.writer, token).await
    }

    async fn revoke_token(&self, id: &str, at_ms: i64, actor: &str) -> Result<bool, Error> {
        tokens::revoke(&self.writer, id, at_ms, actor).await
    }

    async fn session_key(&self) -> Result<Option<SessionKey>, Error> {
        tokens::session_key(&self.readers).await
    }

    async fn keep_session_key(&self, key: &SessionKey, at_ms: i64) -> Result<(), Error> {
        tokens::keep_session_key(&self.writer, key, at_ms).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        write::commit(&self.writer, commit).await
    }

    async fn prepare(&self, rows: &Preparation) -> Result<(), Error> {
        prepare::prepare(&self.writer, rows).await
    }

    async fn load(&self) -> Result<Loaded, Error> {
        prepare::remove_abandoned(&self.writer).await?;
        load::load(&self.readers).await
    }

    async fn ended(&self, sweep: SweepId) -> Result<Option<(LiveSweep, SweepSnapshot)>, Error> {
        load::ended(&self.readers, sweep).await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, Error> {
        audit::read(&self.readers, filter).await
    }

    async fn histories(&self, sweep: SweepId, stages: &[u32]) -> Result<HashMap<TrialId, History>, Error> {
        load::histories(&self.readers, sweep, stages).await
    }

    async fn described(&self, dataset_key: Digest) -> Result<Vec<Digest>, Error> {
        read::described(&self.readers, dataset_key).await
    }

    async fn classes(&self, dataset_key: Digest, content: Digest) -> Result<Vec<String>, Error> {
        read::classes(&self.readers, dataset_key, content).await
    }

    async fn sweeps(&self, page: &SweepPage) -> Result<Vec<SweepRecord>, Error> {
        sweeps::page(&self.readers, page).await
    }

    async fn sweep_titles(&self) -> Result<Vec<SweepTitle>, Error> {
        sweeps::titles(&self.readers).await
    }

    async fn sweep(&self, id: SweepId) -> Result<Option<SweepRecord>, Error> {
        sweeps::sweep(&self.readers, id).await
    }

    async fn spec(&self, sweep: SweepId) -> Result<Option<Vec<u8>>, Error> {
        sweeps::spec(&self.readers, sweep).await
    }

    async fn summary(&self, sweep: &SweepRecord) -> Result<Option<Summary>, Error> {
        sweeps::summary(&self.readers, sweep).await
    }

    async fn keep_summary(&self, sweep: &SweepRecord, summary: &Summary) -> Result<(), Error> {
        sweeps::keep_summary(&self.writer, sweep, summary).await
    }

    async fn sweep_named(&self, name: &str) -> Result<Option<SweepId>, Error> {
        sweeps::named(&self.readers, name).await
    }

    async fn unfinished(&self, spec_digest: Digest) -> Result<Option<SweepId>, Error> {
        sweeps::unfinished(&self.readers, spec_digest).await
    }

    async fn configurations(&self, sweep: SweepId) -> Result<Vec<ConfigurationRecord>, Error> {
        configurations::all(&self.readers, sweep).await
    }

    async fn configuration(&self, sweep: SweepId, position: u32) -> Result<Option<ConfigurationRecord>, Error> {
        configurations::one(&self.readers, sweep, position).await
    }

    async fn configuration_titles(&self, sweep: SweepId) -> Result<Vec<ConfigurationTitle>, Error> {
        configurations::titles(&self.readers, sweep).await
    }

    async fn memberships(&self, sweep: SweepId) -> Result<Vec<(u32, u32)>, Error> {
        configurations::memberships(&self.readers, sweep).await
    }

    fn replicates(&self, sweep: SweepId) -> BoxStream<'_, Result<Replicate, Error>> {
        trials::replicates(&self.readers, sweep)
    }

    async fn trials(&self, page: &TrialPage) -> Result<Vec<TrialRow>, Error> {
        trials::page(&self.readers, page).await
    }

    async fn trials_like(&self, prefix: &str, limit: u32) -> Result<Vec<TrialId>, Error> {
        trials::like(&self.readers, prefix, limit).await
    }

    async fn trial(&self, id: TrialId) -> Result<Option<TrialRecord>, Error> {
        trials::trial(&self.readers, id).await
    }

    async fn attempts(&self, trial: TrialId) -> Result<Vec<AttemptRecord>, Error> {
        trials::attempts(&self.readers, trial).await
    }

    async fn repeats(&self, trial: TrialId) -> Result<Vec<Repeat>, Error> {
        trials::repeats(&self.readers, trial).await
    }

    async fn attempt(&self, lease: Lease) -> Result<Option<AttemptRecord>, Error> {
        trials::attempt(&self.readers, lease).await
    }

    async fn points(&self, attempt: AttemptKey) -> Result<Vec<Point>, Error> {
        trials::points(&self.readers, attempt).await
    }

    async fn result(&self, attempt: AttemptKey) -> Result<Option<ResultRecord>, Error> {
        trials::one_result(&self.readers, attempt).await
    }

    async fn test_predictions(&self, attempt: AttemptKey) -> Result<Option<Validation>, Error> {
        trials::test_predictions(&self.readers, attempt).await
    }

    async fn validation(&self, attempt: AttemptKey) -> Result<Option<Validation>, Error> {
        trials::validation(&self.readers, attempt).await
    }

    async fn observed(&self, limit: u32) -> Result<Observed, Error> {
        observed::observed(&self.readers, limit).await
    }

    async fn spent_ms(&self, sweep: SweepId) -> Result<u64, Error> {
        observed::spent_ms(&self.readers, sweep).await
    }

    async fn open_rounds(&self, sweep: SweepId) -> Result<Vec<(TrialId, u32)>, Error> {
        read::open_rounds(&self.readers, sweep).await
    }

    async fn answered(&self, trials: &[TrialId]) -> Result<HashSet<TrialId>, Error> {
        observed::answered(&self.readers, trials).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRecord>, Error> {
        read::workers(&self.readers).await
    }

    async fn add_artifact(&self, artifact: &ArtifactRecord) -> Result<(), Error> {
        write::add_artifact(&self.writer, artifact).await
    }

    async fn artifacts(&self, sweep: SweepId) -> Result<Vec<ArtifactRecord>, Error> {
        read::artifacts(&self.readers, sweep).await
    }

    async fn artifact(&self, digest: Digest) -> Result<Option<(ArtifactKind, u64)>, Error> {
        read::artifact_of(&self.readers, digest).await
    }

    async fn wants_weights(&self, trial: TrialId) -> Result<bool, Error> {
        weights::wanted(&self.readers, trial).await
    }

    async fn settle_weights(&self, settlement: &Settlement) -> Result<Settled, Error> {
        weights::settle(&self.writer, settlement).await
    }

    async fn removals(&self) -> Result<Vec<Digest>, Error> {
        weights::removals(&self.readers).await
    }

    async fn removed(&self, digest: Digest) -> Result<(), Error> {
        weights::removed(&self.writer, digest).await
    }

    async fn snapshot(&self, path: &Path) -> Result<(), Error> {
        copied::make(&self.readers, path).await
    }

    async fn size_bytes(&self) -> Result<u64, Error> {
        let io = |source| Error::Io { path: self.path.display().to_string(), source };
        let file = tokio::fs::metadata(&self.path).await.map_err(io)?.len();
        // Without a log there is nothing in it.
        let log = tokio::fs::metadata(beside(&self.path, "-wal")).await.map_or(0, |log| log.len());
        Ok(file + log)
    }

    async fn check(&self) -> Result<(), Error> {
        self.writer.place.check()?;
        sqlx::query("SELECT 1").execute(&self.probe).await?;
        Ok(())
    }

    async fn close(&self) {
        self.readers.close().await;
        self.probe.close().await;
        self.writer.pool.close().await;
        if let Err(error) = self.lock.release() {
            warn!(%error, store = %self.path.display(), "the store's lock stays until this process ends");
        }
    }
}
