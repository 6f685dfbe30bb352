//! The store as a PostgreSQL database, for a fleet. Any number of coordinators may dial it; one of them leads
//! (`leader.rs`), and every transaction that writes holds the leader's row, so that nobody else can.

mod audit;
mod columns;
mod configurations;
mod deletions;
pub mod durability;
mod holds;
pub mod leader;
mod load;
mod observed;
mod prepare;
mod read;
mod sweeps;
pub mod tokens;
mod trials;
mod weights;
mod write;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection, Postgres, SqlSafeStr, Transaction};
use sweep_scheduler::event::History;
use sweep_scheduler::snapshot::SweepSnapshot;
use sweep_scheduler::{Lease, SweepId};
use sweep_spec::trainer::Validation;
use sweep_spec::{Digest, TrialId};

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
use super::{Error, Store, copy};
use crate::SessionKey;
pub(crate) use columns::text;
use leader::Tenure;

/// The advisory lock of references, by which pieces of a deletion are kept apart from what writes new ones.
const REFERENCES: i64 = 0x5357_4550_0001;
const WRITERS: u32 = 2;
const READERS: u32 = 8;
/// How long a connection is waited for. Longer than a database needs that lives, shorter than anybody's patience.
const CONNECT: Duration = Duration::from_secs(3);

/// The layouts, oldest first. Forward only; SQLite's have the same numbers.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "start", include_str!("migrations/0001_start.sql")),
    (2, "proof", include_str!("migrations/0002_proof.sql")),
    (3, "origin", include_str!("migrations/0003_origin.sql")),
    (4, "cost", include_str!("migrations/0004_cost.sql")),
    (5, "tokens", include_str!("migrations/0005_tokens.sql")),
    (6, "weights", include_str!("migrations/0006_weights.sql")),
    (7, "pauses", include_str!("migrations/0007_pauses.sql")),
    (8, "names", include_str!("migrations/0008_names.sql")),
    (9, "holds", include_str!("migrations/0009_holds.sql")),
    (10, "summaries", include_str!("migrations/0010_summaries.sql")),
    (12, "deletions", include_str!("migrations/0012_deletions.sql")),
    (16, "keys", include_str!("migrations/0016_keys.sql")),
];

/// A PostgreSQL database, in one term of this coordinator's.
#[derive(Debug)]
pub struct PostgresStore {
    writers: PgPool,
    readers: PgPool,
    /// One connection that no question about sweeps takes: whether the store answers is asked on it.
    probe: PgPool,
    options: PgConnectOptions,
    tenure: Tenure,
}

impl PostgresStore {
    /// Opens pools for a term. Nothing is dialled yet.
    pub(crate) fn new(options: &PgConnectOptions, tenure: Tenure) -> Self {
        let writers = durability::writers(options, WRITERS);
        // A row that a result is written to must be found by later readers: every statement sees what is committed.
        let reading = options.clone().options([("default_transaction_read_only", "on")]);
        let readers = PgPoolOptions::new().max_connections(READERS).acquire_timeout(CONNECT);
        let readers = readers.connect_lazy_with(reading.clone());
        let probe = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT).connect_lazy_with(reading);
        Self { writers, readers, probe, options: options.clone(), tenure }
    }

    /// Ends with an error when the term does: what it waits for may never come.
    async fn in_term<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            done = work => done,
            () = self.tenure.ended() => Err(self.tenure.deposed()),
        }
    }

    /// A transaction that no takeover can pass: it waits for this one, or has ended this term.
    async fn begin(&self) -> Result<Transaction<'static, Postgres>, Error> {
        let mut transaction = self.writers.begin().await?;
        self.tenure.hold(&mut transaction).await?;
        Ok(transaction)
    }
}

impl PostgresStore {
    /// A transaction that writes references to trials or artifacts. Any number of these run at a time.
    async fn begin_referring(&self) -> Result<Transaction<'static, Postgres>, Error> {
        self.begin_locked("SELECT pg_advisory_xact_lock_shared($1)").await
    }

    /// A transaction that removes what nothing refers to: no other transaction writes a reference meanwhile, and what it reads has every
    /// reference that was written before.
    async fn begin_alone(&self) -> Result<Transaction<'static, Postgres>, Error> {
        self.begin_locked("SELECT pg_advisory_xact_lock($1)").await
    }

    /// The lock comes before the leader's row: in one order everywhere, no two wait for each other.
    async fn begin_locked(&self, lock: &'static str) -> Result<Transaction<'static, Postgres>, Error> {
        let mut transaction = self.writers.begin().await?;
        sqlx::query(lock).bind(REFERENCES).execute(&mut *transaction).await?;
        self.tenure.hold(&mut transaction).await?;
        Ok(transaction)
    }
}

/// Brings the layout up to date; two that begin at once wait for each other.
///
/// # Errors
/// The database is another program's, newer, or refuses.
pub(crate) async fn migrate(connection: &mut PgConnection, name: &str) -> Result<(), Error> {
    match layout(connection, name).await? {
        Layout::Current => return Ok(()),
        Layout::Empty | Layout::Older => {}
    }
    let migrations = MIGRATIONS.iter().map(|(version, description, text)| {
        Migration::new(*version, (*description).into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    let failed = |source| Error::Migration { path: name.to_owned(), source: Box::new(source) };
    migrator.run_direct(None, connection, false).await.map_err(failed)
}

/// What is in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Nothing.
    Empty,
    /// Ours, of an older version.
    Older,
    /// Ours, of this version.
    Current,
}

/// Looks whether the database is ours, and of which version.
///
/// # Errors
/// It is another program's, or newer.
pub(crate) async fn layout(connection: &mut PgConnection, name: &str) -> Result<Layout, Error> {
    let tables = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()",
    );
    let tables: Vec<String> = tables.fetch_all(&mut *connection).await?;
    if tables.is_empty() {
        return Ok(Layout::Empty);
    }
    let has = |wanted: &str| tables.iter().any(|table| table == wanted);
    // What another one has just begun to make has no table of ours yet.
    let begun = has("_sqlx_migrations") && tables.len() == 1;
    let ours = has("_sqlx_migrations") && has("leader") && has("sweep_trials");
    if !begun && !ours {
        return Err(Error::NotAStore { path: name.to_owned() });
    }
    let known = MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or(0);
    let newest = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations");
    let found: i64 = newest.fetch_one(connection).await?;
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Ok(Layout::Older),
        std::cmp::Ordering::Equal => Ok(Layout::Current),
        std::cmp::Ordering::Greater => Err(Error::Newer { path: name.to_owned(), found, known }),
    }
}

/// Dials, and gives up in time.
///
/// # Errors
/// Nobody answers, or not us.
pub(crate) async fn dial(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    match tokio::time::timeout(CONNECT, PgConnection::connect_with(options)).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(Error::silent()),
    }
}

#[async_trait]
impl Tokens for PostgresStore {
    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error> {
        tokens::all(&self.readers).await
    }

    async fn add_token(&self, token: &TokenRecord) -> Result<(), Error> {
        self.in_term(async {
            let mut transaction = self.begin().await?;
            tokens::add(&mut transaction, token).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn revoke_token(&self, id: &str, at_ms: i64, actor: &str) -> Result<bool, Error> {
        self.in_term(async {
            let mut transaction = self.begin().await?;
            let done = tokens::revoke(&mut transaction, id, at_ms, actor).await?;
            transaction.commit().await?;
            Ok(done)
        })
        .await
    }

    async fn session_key(&self) -> Result<Option<SessionKey>, Error> {
        tokens::session_key(&self.readers).await
    }

    async fn keep_session_key(&self, key: &SessionKey, at_ms: i64) -> Result<(), Error> {
        self.in_term(async {
            let mut transaction = self.begin().await?;
            tokens::keep_session_key(&mut transaction, key, at_ms).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        self.in_term(async {
            let mut transaction = self.begin().await?;
            write::commit(&mut transaction, commit).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn prepare(&self, rows: &Preparation) -> Result<(), Error> {
        self.in_term(async {
            let mut transaction = self.begin_referring().await?;
            prepare::prepare(&mut transaction, rows).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn load(&self) -> Result<Loaded, Error> {
        self.in_term(async {
            let mut transaction = self.begin().await?;
            prepare::remove_abandoned(&mut transaction).await?;
            transaction.commit().await?;
            load::load(&self.readers).await
        })
        .await
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
        self.in_term(async {
            let mut transaction = self.begin().await?;
            sweeps::keep_summary(&mut transaction, sweep, summary).await?;
            Ok(transaction.commit().await?)
        })
        .await
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
        self.in_term(async {
            let mut transaction = self.begin_referring().await?;
            write::add_artifact(&mut transaction, artifact).await?;
            Ok(transaction.commit().await?)
        })
        .await
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
        self.in_term(async {
            let mut transaction = self.begin().await?;
            let settled = weights::settle(&mut transaction, settlement).await?;
            transaction.commit().await?;
            Ok(settled)
        })
        .await
    }

    async fn removals(&self) -> Result<Vec<Digest>, Error> {
        weights::removals(&self.readers).await
    }

    async fn removed(&self, digest: Digest) -> Result<(), Error> {
        self.in_term(async {
            let mut transaction = self.begin().await?;
            weights::removed(&mut transaction, digest).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn snapshot(&self, path: &Path) -> Result<(), Error> {
        copy::snapshot(&self.options, path).await
    }

    async fn size_bytes(&self) -> Result<u64, Error> {
        let size = sqlx::query_scalar("SELECT pg_database_size(current_database())");
        let size: i64 = size.fetch_one(&self.readers).await?;
        Ok(u64::try_from(size).unwrap_or(0))
    }

    async fn check(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.probe).await?;
        Ok(())
    }

    /// Also gives up the term, so that another can lead at once.
    async fn close(&self) {
        self.readers.close().await;
        self.probe.close().await;
        self.writers.close().await;
        self.tenure.release().await;
    }
}
