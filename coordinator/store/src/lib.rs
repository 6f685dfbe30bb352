//! Where everything that was acknowledged lies. One trait in domain verbs; each backend owns its SQL and its
//! transactions, and runs the contract suite in `contract.rs`. Backends are folders beside each other with migrations of
//! the same numbers.
//!
//! What may not enter: policy. The store neither retries, chooses nor counts for anybody.

pub mod artifacts;
mod chain;
pub mod check;
pub mod checksum;
pub mod codes;
#[cfg(test)]
mod contract;
pub mod copy;
pub mod deletions;
pub mod leadership;
pub mod location;
pub mod observed;
mod packed;
pub mod postgres;
mod predictions;
pub mod private;
pub mod record;
pub mod role;
pub mod session_key;
pub mod sqlite;
pub mod summary;
pub mod tokens;
mod trial_filter;
pub mod weights;
pub mod write;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sqlx::error::DatabaseError;
use sweep_scheduler::event::History;
use sweep_scheduler::snapshot::SweepSnapshot;
use sweep_scheduler::{Lease, SweepId};
use sweep_spec::trainer::Validation;
use sweep_spec::{Digest, TrialId};

use codes::ArtifactKind;
use deletions::Deletions;
use leadership::{Alone, Leadership};
use location::Location;
use observed::Observed;
use postgres::durability::Safety;
use postgres::leader::Candidate;
use record::{
    ArtifactRecord, AttemptKey, AttemptRecord, AuditFilter, ConfigurationRecord, ConfigurationTitle, LiveSweep, Loaded,
    Point, Repeat, Replicate, ResultRecord, SweepPage, SweepRecord, SweepTitle, TrialPage, TrialRecord, TrialRow,
    WorkerRecord,
};
use sqlite::{Options, SqliteStore};
use summary::Summary;
use tokens::Tokens;
use weights::{Settled, Settlement};
use write::{AuditRow, Commit, Preparation};

pub use chain::chain;
pub use role::Role;
pub use session_key::SessionKey;

/// Milliseconds since 1970 by this machine's clock, for people and the store; never for decisions of the scheduler.
pub fn unix_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is there but is something else.
    #[error("{path} is not a store of Sweep: it is not a database, or one of another program")]
    NotAStore {
        /// The file.
        path: String,
    },
    /// The file was written by a newer Sweep.
    #[error("{path} was written by a newer version of Sweep (its layout is {found}, this program knows {known})")]
    Newer {
        /// The file.
        path: String,
        /// The newest migration in the file.
        found: i64,
        /// The newest migration of this program.
        known: i64,
    },
    /// The layout is one of an older Sweep, and only a coordinator may change that.
    #[error("{path} was written by an older version of Sweep: start a coordinator of this version on it first")]
    Older {
        /// Which.
        path: String,
    },
    /// The database acknowledges what a crash of its machine can lose or damage.
    #[error(
        "{path} has `{setting} = off`: a crash of the database's machine can lose or damage acknowledged data; set \
        `{setting} = on` in postgresql.conf and reload it, or start the coordinator with --allow-unsafe-database"
    )]
    NotDurable {
        /// The database.
        path: String,
        /// The setting.
        setting: String,
    },
    /// Another coordinator has it.
    #[error("{path} is in use by another coordinator")]
    InUse {
        /// The file.
        path: String,
    },
    /// A file or folder beside the database.
    #[error("cannot use {path}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others could use its files.
    #[error(transparent)]
    NotPrivate(#[from] sweep_trust::private::Error),
    /// There is no room for the store, or its disk fails. What was to be written is not there; what was written before
    /// stays, and the store can be used again when there is room.
    #[error("the disk of the store is full or fails")]
    Full(#[source] sqlx::Error),
    /// The database refused; whether a commit took place is unknown.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// The layout could not be brought up to date.
    #[error("cannot bring the layout of {path} up to date")]
    Migration {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: Box<sqlx::migrate::MigrateError>,
    },
    /// Another coordinator leads, or this one could not say in time that it does: it may not write.
    #[error("{}", deposed(.by))]
    Deposed {
        /// Where the one that leads is dialled; empty if that is not known.
        by: String,
    },
    /// What was read makes no sense, or is not what was written.
    #[error(
        "the store is damaged: {what}; put a copy of the store in its place, or start with --accept-loss, which leaves \
        out the damaged parts and lists them (`sweepctl store check` lists all damage)"
    )]
    Damaged {
        /// What, in words.
        what: String,
    },
    /// Pages of the file, rather than rows, are not what they were.
    #[error(
        "pages of the store's file are damaged ({what}): put a copy of the store in its place; --accept-loss can only \
        leave out rows and cannot help here"
    )]
    Unreadable {
        /// What the database says of it.
        what: String,
    },
    /// The file is not there, and had commits.
    #[error(
        "{path} is missing or empty, but {number} records {acknowledged} commits in it; put {path} back in its place, \
        with {path}-wal if there is one; or remove {number} to start with an empty store"
    )]
    Missing {
        /// The file.
        path: String,
        /// The file beside it that has the number of the last commit.
        number: String,
        /// That number.
        acknowledged: u64,
    },
    /// The file was removed or replaced while it was used: what is written does not go into the file of that name.
    #[error(
        "{path} was removed or replaced while it was in use; put it back in its place and start again, or remove its \
        other files too ({path}-wal, {path}.acknowledged) to start with an empty store"
    )]
    Vanished {
        /// The file.
        path: String,
    },
    /// What was written last is not there.
    #[error(
        "{path} lacks the last {missing} of the {acknowledged} acknowledged commits: it is an older copy, or the end \
        of its log ({path}-wal) was lost with the disk or removed; put the newest copy of the store with its log in \
        its place, or start with --accept-loss, which continues without them"
    )]
    Behind {
        /// The file.
        path: String,
        /// How many commits are not there.
        missing: u64,
        /// The number of the last that was acknowledged.
        acknowledged: u64,
    },
}

/// `SQLITE_IOERR`, `SQLITE_CORRUPT`, `SQLITE_FULL` and `SQLITE_NOTADB`, the last byte of the extended codes.
const INPUT_OUTPUT: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const NOT_A_DATABASE: i32 = 26;
/// `disk_full` of PostgreSQL.
const NO_ROOM: &str = "53100";

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let sqlite = error.as_database_error().and_then(|error| error.try_downcast_ref::<sqlx::sqlite::SqliteError>());
        let code = sqlite.and_then(|error| error.code()?.parse::<i32>().ok()).map(|code| code & 0xff);
        let no_room = error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == NO_ROOM);
        match (code, &error) {
            _ if no_room => Self::Full(error),
            (Some(FULL | INPUT_OUTPUT), _) => Self::Full(error),
            (Some(CORRUPT | NOT_A_DATABASE), _) => Self::Unreadable { what: error.to_string() },
            (_, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => Self::damaged(error.to_string()),
            _ => Self::Database(error),
        }
    }
}

impl Error {
    pub fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    /// A row whose columns are not what was written.
    pub(crate) fn damaged_row(table: &str, row: &str) -> Self {
        Self::damaged(format!("the row of table `{table}` for {row} does not match its checksum"))
    }

    /// Whether what is stored is not what was written: then nobody goes on without somebody's word.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::Unreadable { .. }
                | Self::Missing { .. }
                | Self::Vanished { .. }
                | Self::Behind { .. }
                | Self::NotAStore { .. }
        )
    }

    /// Whether the store is not where it was: no later write can reach it.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Vanished { .. })
    }

    /// A server that says nothing.
    pub(crate) fn silent() -> Self {
        Self::Database(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "it did not answer in time")))
    }

    /// Whether the database is away, and may come back.
    pub fn is_unreachable(&self) -> bool {
        let Self::Database(error) = self else { return false };
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
            // 08: the connection; 57P: the server ends, starts, or was told to end this session; 53300: too many sessions.
            sqlx::Error::Database(error) => {
                error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P") || code == "53300")
            }
            _ => false,
        }
    }
}

fn deposed(by: &str) -> String {
    match by {
        "" => "this coordinator no longer leads".to_owned(),
        by => format!("this coordinator no longer leads; the coordinator at {by} leads"),
    }
}

/// How a coordinator opens its store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opening {
    /// Where this coordinator is dialled; others learn it where several share a store.
    pub address: String,
    /// A file goes on without what is damaged, and says what that is.
    pub accept_loss: bool,
    /// What is done about a database that does not keep what it acknowledges.
    pub safety: Safety,
}

/// Opens the store at a place, for a coordinator.
///
/// # Errors
/// The place cannot be reached or used, is something else, or is damaged.
pub async fn open(location: &Location, opening: Opening) -> Result<Box<dyn Leadership>, Error> {
    let Opening { address, accept_loss, safety } = opening;
    match location {
        Location::File(path) => {
            let store = SqliteStore::open(&Options { path: path.clone(), accept_loss }).await?;
            for loss in store.losses() {
                tracing::warn!(table = loss.table, row = loss.key, reason = loss.reason, "lost and accepted");
            }
            Ok(Box::new(Alone::new(Arc::new(store))))
        }
        Location::Postgres(options) => {
            Ok(Box::new(Candidate::open(options, location.to_string(), address, safety).await?))
        }
    }
}

/// Something that a store goes on without, because somebody accepted it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Loss {
    /// Which table.
    pub table: String,
    /// Which row; empty where it is about more than one.
    pub key: String,
    /// What was wrong with it, or what follows from it.
    pub reason: String,
}

/// The rounds, as trial and round, that belong to reproductions only: their question already has an answer.
pub(crate) const REPEATS: &str = "SELECT y.trial AS trial, y.round AS round FROM submissions b \
     JOIN sweep_trials y ON y.sweep = b.sweep WHERE b.reproduces IS NOT NULL AND y.round IS NOT NULL AND NOT EXISTS \
     (SELECT 1 FROM sweep_trials z LEFT JOIN submissions c ON c.sweep = z.sweep \
     WHERE z.trial = y.trial AND z.round = y.round AND z.reused = 0 AND c.reproduces IS NULL)";

/// What a store does.
#[async_trait]
pub trait Store: Tokens + Deletions {
    /// Writes all of `commit` or nothing; when it returns `Ok`, it is on disk. After an error the outcome is unknown,
    /// and the caller reloads.
    async fn commit(&self, commit: &Commit) -> Result<(), Error>;

    /// Writes rows of a sweep, or of stages, that no commit has begun yet. Said twice, it counts once.
    async fn prepare(&self, rows: &Preparation) -> Result<(), Error>;

    /// Everything that lives, for the scheduler and the engine; sweeps that were prepared and never begun are removed.
    async fn load(&self) -> Result<Loaded, Error>;

    /// A sweep that has ended, as `load` gives those that have not.
    async fn ended(&self, sweep: SweepId) -> Result<Option<(LiveSweep, SweepSnapshot)>, Error>;

    /// The newest entries of the audit log that pass the filter, newest last: what somebody did, and what happened to
    /// rounds, attempts and sweeps.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, Error>;

    /// What is known of the trials of some stages of a sweep; trials of which nothing is known are left out.
    async fn histories(&self, sweep: SweepId, stages: &[u32]) -> Result<HashMap<TrialId, History>, Error>;

    /// The content of a data set that the newest description of it found.
    async fn described(&self, dataset_key: Digest) -> Result<Vec<Digest>, Error>;

    /// The classes of a data set with this content, in its order; none where nobody has described it.
    async fn classes(&self, dataset_key: Digest, content: Digest) -> Result<Vec<String>, Error>;

    /// Some of the sweeps that have begun, newest first. No spec is read.
    async fn sweeps(&self, page: &SweepPage) -> Result<Vec<SweepRecord>, Error>;

    /// Every sweep that has begun, newest first, with what a person finds it by.
    async fn sweep_titles(&self) -> Result<Vec<SweepTitle>, Error>;

    /// A sweep that has begun. Its spec is not read.
    async fn sweep(&self, id: SweepId) -> Result<Option<SweepRecord>, Error>;

    /// The text of a sweep's spec.
    async fn spec(&self, sweep: SweepId) -> Result<Option<Vec<u8>>, Error>;

    /// What was kept of a sweep when it ended; nothing if it has gone on since.
    async fn summary(&self, sweep: &SweepRecord) -> Result<Option<Summary>, Error>;

    /// Keeps what a sweep that has ended came to. Of one that has gone on meanwhile nothing is kept.
    async fn keep_summary(&self, sweep: &SweepRecord, summary: &Summary) -> Result<(), Error>;

    /// The newest sweep of this name.
    async fn sweep_named(&self, name: &str) -> Result<Option<SweepId>, Error>;

    /// The newest unfinished sweep with this spec.
    async fn unfinished(&self, spec_digest: Digest) -> Result<Option<SweepId>, Error>;

    /// The configurations of a sweep's opened stages, in the order of the spec.
    async fn configurations(&self, sweep: SweepId) -> Result<Vec<ConfigurationRecord>, Error>;

    /// One configuration of a sweep.
    async fn configuration(&self, sweep: SweepId, position: u32) -> Result<Option<ConfigurationRecord>, Error>;

    /// What a sweep's configurations are called, in the order of the spec.
    async fn configuration_titles(&self, sweep: SweepId) -> Result<Vec<ConfigurationTitle>, Error>;

    /// Which configurations belong to which stages: configuration and stage, in this order.
    async fn memberships(&self, sweep: SweepId) -> Result<Vec<(u32, u32)>, Error>;

    /// The trials of a sweep's opened stages with their results, in the order of the spec, one after the other: there may be
    /// a million, so they are never held together.
    fn replicates(&self, sweep: SweepId) -> BoxStream<'_, Result<Replicate, Error>>;

    /// A page of a sweep's trials, in the order of the spec.
    async fn trials(&self, page: &TrialPage) -> Result<Vec<TrialRow>, Error>;

    /// The trials whose ids begin with these hexadecimal digits, at most `limit`.
    async fn trials_like(&self, prefix: &str, limit: u32) -> Result<Vec<TrialId>, Error>;

    /// A trial's question, and the sweeps that refer to it.
    async fn trial(&self, id: TrialId) -> Result<Option<TrialRecord>, Error>;

    /// A trial's attempts, oldest first.
    async fn attempts(&self, trial: TrialId) -> Result<Vec<AttemptRecord>, Error>;

    /// The sweeps that asked a trial again after it had an answer, oldest first.
    async fn repeats(&self, trial: TrialId) -> Result<Vec<Repeat>, Error>;

    /// An attempt by its lease.
    async fn attempt(&self, lease: Lease) -> Result<Option<AttemptRecord>, Error>;

    /// The points of an attempt.
    async fn points(&self, attempt: AttemptKey) -> Result<Vec<Point>, Error>;

    /// The answer of an attempt that was accepted.
    async fn result(&self, attempt: AttemptKey) -> Result<Option<ResultRecord>, Error>;

    /// What its network said of every image of a test part that only reports.
    async fn test_predictions(&self, attempt: AttemptKey) -> Result<Option<Validation>, Error>;

    /// What the network of an accepted attempt said of every validation image.
    async fn validation(&self, attempt: AttemptKey) -> Result<Option<Validation>, Error>;

    /// What the newest `limit` trials took that have an answer, and the sizes of the data sets that workers described.
    async fn observed(&self, limit: u32) -> Result<Observed, Error>;

    /// Milliseconds of slots that a sweep has spent: every attempt that has ended of the rounds that it waited for, failed
    /// ones included, from its assignment to its end. Rounds that had ended before cost it nothing.
    async fn spent_ms(&self, sweep: SweepId) -> Result<u64, Error>;

    /// Rounds that have not ended and that no other sweep that runs waits for, as trial and number.
    async fn open_rounds(&self, sweep: SweepId) -> Result<Vec<(TrialId, u32)>, Error>;

    /// Which of these trials have an accepted result.
    async fn answered(&self, trials: &[TrialId]) -> Result<HashSet<TrialId>, Error>;

    /// Every worker that ever registered.
    async fn workers(&self) -> Result<Vec<WorkerRecord>, Error>;

    /// Remembers an artifact whose content is in the folder.
    async fn add_artifact(&self, artifact: &ArtifactRecord) -> Result<(), Error>;

    /// The artifacts of a sweep's trials and data.
    async fn artifacts(&self, sweep: SweepId) -> Result<Vec<ArtifactRecord>, Error>;

    /// What an artifact of this digest is, if it is known, and its size.
    async fn artifact(&self, digest: Digest) -> Result<Option<(ArtifactKind, u64)>, Error>;

    /// Whether the weights of a trial are to be kept: some sweep that has it runs, keeps all weights, has not chosen yet, or
    /// has chosen this trial's configuration.
    async fn wants_weights(&self, trial: TrialId) -> Result<bool, Error>;

    /// Says whose weights a sweep keeps. Weights of its other trials that no sweep keeps any more are forgotten, and their
    /// contents are listed in `removals` unless another artifact has them. Said twice, it counts once.
    async fn settle_weights(&self, settlement: &Settlement) -> Result<Settled, Error>;

    /// Contents whose files are to be removed.
    async fn removals(&self) -> Result<Vec<Digest>, Error>;

    /// The file with this content is removed, or is wanted again.
    async fn removed(&self, digest: Digest) -> Result<(), Error>;

    /// Copies everything, as it is at one moment, into a new SQLite file. Commits go on meanwhile.
    async fn snapshot(&self, path: &Path) -> Result<(), Error>;

    /// How much room the store takes, in bytes, what is not yet put in its place included.
    async fn size_bytes(&self) -> Result<u64, Error>;

    /// Whether the store answers.
    async fn check(&self) -> Result<(), Error>;

    /// Closes files; what was committed stays.
    async fn close(&self);
}
