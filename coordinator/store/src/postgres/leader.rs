//! Who leads: one row of the database, with a term, a holder and a deadline by the database's clock.
//!
//! The deadline says when another may try; what keeps two from writing is the term. Every transaction that writes holds
//! the row by its key, a takeover changes that key: so it waits for transactions of the old term that are under way, and
//! those that begin later find another term. A holder that is frozen in the middle of a transaction would be waited for
//! without an end; the one that takes over ends its sessions first.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection, Row};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::columns::{signed, unsigned};
use super::durability::{self, Safety};
use super::{CONNECT, Layout, PostgresStore, dial, layout, migrate, tokens};
use crate::Error;
use crate::SessionKey;
use crate::leadership::{Leadership, Led, Waiting};
use crate::tokens::TokenRecord;

/// How long the right lasts after a renewal.
const TERM: Duration = Duration::from_secs(3);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(1);
/// So long before the right ends by the database's clock, its holder no longer counts on it.
const MARGIN: Duration = Duration::from_millis(500);
/// How often others look.
const LOOK: Duration = Duration::from_millis(500);
/// The shortest pause before the next try.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one that takes over waits for transactions of the one before, and one that leaves for the database.
const PATIENCE: Duration = Duration::from_secs(2);

/// A coordinator that would lead.
pub struct Candidate {
    options: PgConnectOptions,
    /// The database, for people.
    name: String,
    /// Unlike any other process's.
    holder: String,
    /// Where this coordinator is dialled.
    address: String,
    safety: Safety,
    /// A connection for what is asked whoever leads.
    asking: PgPool,
}

impl Candidate {
    /// Dials the database, and makes its tables if it is empty.
    ///
    /// # Errors
    /// It cannot be reached, is not ours, or would lose what it acknowledges.
    pub async fn open(
        options: &PgConnectOptions,
        name: String,
        address: String,
        safety: Safety,
    ) -> Result<Self, Error> {
        let holder = format!("{:016x}", RandomState::new().build_hasher().finish());
        let options = options.clone().application_name(&session_name(&holder));
        let mut connection = dial(&options).await?;
        durability::check(&mut connection, &name, safety).await?;
        // A layout that another one's version can read is left alone until this one leads.
        if layout(&mut connection, &name).await? == Layout::Empty {
            migrate(&mut connection, &name).await?;
        }
        let one = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT);
        let asking = one.connect_lazy_with(options.clone().options([("default_transaction_read_only", "on")]));
        Ok(Self { options, name, holder, address, safety, asking })
    }

    /// Leads at once.
    ///
    /// # Errors
    /// Another one leads, or the database cannot be reached.
    pub async fn take(&self) -> Result<Led, Error> {
        self.look(&mut None).await?.map_err(|_| Error::InUse { path: self.name.clone() })
    }

    /// Looks at the row, and takes it if its time is over.
    async fn try_acquire(&self, connection: &mut PgConnection) -> Result<Attempt, Error> {
        let row = sqlx::query(
            "SELECT term, holder, address, deadline <= clock_timestamp() AS over, \
             GREATEST(0, EXTRACT(EPOCH FROM deadline - clock_timestamp()))::double precision AS seconds \
             FROM leader WHERE id = 1",
        );
        let row = row.fetch_one(&mut *connection).await?;
        let (term, holder): (i64, String) = (row.try_get("term")?, row.try_get("holder")?);
        if !row.try_get::<bool, _>("over")? && holder != self.holder {
            let seconds: f64 = row.try_get("seconds")?;
            let left = Duration::try_from_secs_f64(seconds).unwrap_or(LOOK);
            return Ok(Attempt::Led { address: row.try_get("address")?, left });
        }
        if !holder.is_empty() && holder != self.holder {
            let end = sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1");
            end.bind(session_name(&holder)).execute(&mut *connection).await?;
        }
        let begun = Instant::now();
        let take = sqlx::query_scalar(
            "UPDATE leader SET term = term + 1, holder = $1, address = $2, \
             deadline = clock_timestamp() + $3 * interval '1 millisecond' \
             WHERE id = 1 AND term = $4 AND (deadline <= clock_timestamp() OR holder = $1) RETURNING term",
        );
        let take = take.bind(&self.holder).bind(&self.address).bind(TERM.as_millis() as f64).bind(term);
        let taken: Option<i64> = take.fetch_optional(&mut *connection).await?;
        let Some(term) = taken else { return Ok(Attempt::Led { address: String::new(), left: PAUSE }) };
        Ok(Attempt::Won { term: unsigned(term), until: begun + TERM - MARGIN })
    }

    /// Dials if need be, tries once, and leads if that goes well.
    async fn look(&self, connection: &mut Option<PgConnection>) -> Result<Result<Led, (String, Duration)>, Error> {
        let mut dialled = match connection.take() {
            Some(connection) => connection,
            None => {
                let mut dialled = dial(&self.options).await?;
                // The server may have been started again with other settings.
                durability::check(&mut dialled, &self.name, self.safety).await?;
                dialled
            }
        };
        let attempt = match timeout(PATIENCE, self.try_acquire(&mut dialled)).await {
            Ok(attempt) => attempt?,
            Err(_) => return Err(Error::silent()),
        };
        let (term, until) = match attempt {
            Attempt::Won { term, until } => (term, until),
            Attempt::Led { address, left } => {
                *connection = Some(dialled);
                return Ok(Err((address, left)));
            }
        };
        let tenure = Tenure::begin(self, term, until, dialled);
        let mut migrating = dial(&self.options).await?;
        migrate(&mut migrating, &self.name).await?;
        // That it does not end well changes nothing: the layout is current.
        migrating.close().await.ok();
        info!(term, store = self.name, "this coordinator leads");
        let lost = tenure.ended.clone();
        Ok(Ok(Led { store: Arc::new(PostgresStore::new(&self.options, tenure)), lost }))
    }
}

/// What came of looking.
enum Attempt {
    /// The row is this one's.
    Won { term: u64, until: Instant },
    /// It is another one's for so long at least.
    Led { address: String, left: Duration },
}

#[async_trait]
impl Leadership for Candidate {
    async fn acquire(&self, waiting: &watch::Sender<Waiting>) -> Led {
        let mut connection = None;
        loop {
            let (now, pause) = match self.look(&mut connection).await {
                Ok(Ok(led)) => return led,
                // Somebody was faster; who, the next look says.
                Ok(Err((address, left))) if address.is_empty() => (Waiting::Looking, left),
                Ok(Err((address, left))) => (Waiting::Led { address }, left.clamp(PAUSE, LOOK)),
                Err(error) => (Waiting::Unreachable { why: crate::chain(&error) }, LOOK),
            };
            waiting.send_if_modified(|before| {
                let changed = *before != now;
                if changed && let Waiting::Unreachable { why } = &now {
                    warn!(store = self.name, error = why, "the store cannot be reached");
                }
                *before = now;
                changed
            });
            sleep(pause).await;
        }
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error> {
        match timeout(PATIENCE, tokens::all(&self.asking)).await {
            Ok(found) => found,
            Err(_) => Err(Error::silent()),
        }
    }

    async fn session_key(&self) -> Result<Option<SessionKey>, Error> {
        match timeout(PATIENCE, tokens::session_key(&self.asking)).await {
            Ok(found) => found,
            Err(_) => Err(Error::silent()),
        }
    }

    fn is_shared(&self) -> bool {
        true
    }
}

fn session_name(holder: &str) -> String {
    format!("sweep {holder}")
}

/// The time in which one coordinator leads.
#[derive(Debug)]
pub(crate) struct Tenure {
    term: u64,
    /// Who leads now, where this one does not.
    by: Arc<Mutex<String>>,
    ended: CancellationToken,
    /// Says that the right is given up; so does dropping this.
    leave: DropGuard,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Tenure {
    fn begin(candidate: &Candidate, term: u64, until: Instant, connection: PgConnection) -> Self {
        let (ended, leave) = (CancellationToken::new(), CancellationToken::new());
        let by = Arc::<Mutex<String>>::default();
        let keeper = Keeper {
            options: candidate.options.clone(),
            term,
            until,
            connection: Some(connection),
            ended: ended.clone(),
            leave: leave.clone(),
        };
        let keeper = Mutex::new(Some(tokio::spawn(keeper.run())));
        Self { term, by, ended, leave: leave.drop_guard(), keeper }
    }

    /// Waits until this coordinator no longer leads.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Why nothing can be written any more.
    pub(super) fn deposed(&self) -> Error {
        Error::Deposed { by: self.by.lock().unwrap_or_else(PoisonError::into_inner).clone() }
    }

    /// Keeps the row from being taken over until the transaction ends, or finds that it was.
    pub(super) async fn hold(&self, transaction: &mut PgConnection) -> Result<(), Error> {
        let row = sqlx::query("SELECT term, address FROM leader WHERE id = 1 FOR KEY SHARE");
        let row = row.fetch_one(transaction).await?;
        if row.try_get::<i64, _>("term")? == signed(self.term) {
            return Ok(());
        }
        *self.by.lock().unwrap_or_else(PoisonError::into_inner) = row.try_get("address")?;
        self.ended.cancel();
        Err(self.deposed())
    }

    /// Lets another lead at once.
    pub(super) async fn release(&self) {
        self.leave.token().cancel();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            // What it could not say, the deadline says.
            timeout(PATIENCE, keeper).await.ok();
        }
    }
}

/// Renews the right until it is lost or given up.
struct Keeper {
    options: PgConnectOptions,
    term: u64,
    /// Until when it can be counted on, by this machine's clock.
    until: Instant,
    connection: Option<PgConnection>,
    ended: CancellationToken,
    leave: CancellationToken,
}

impl Keeper {
    async fn run(mut self) {
        let mut next = self.until + MARGIN - TERM + RENEWAL;
        loop {
            tokio::select! {
                () = self.leave.cancelled() => {
                    self.ended.cancel();
                    return self.give_up().await;
                }
                () = self.ended.cancelled() => return,
                () = sleep_until(next) => {}
            }
            let begun = Instant::now();
            match timeout_at(self.until, self.set_deadline(TERM)).await {
                Ok(Ok(true)) => {
                    self.until = begun + TERM - MARGIN;
                    next = begun + RENEWAL;
                }
                Ok(Ok(false)) => return self.lose("another coordinator has taken over"),
                Ok(Err(error)) if Instant::now() < self.until => {
                    warn!(error = %crate::chain(&error), "the right to write could not be renewed");
                    self.connection = None;
                    next = begun + RENEWAL / 5;
                }
                Ok(Err(_)) | Err(_) => return self.lose("the right to write was not renewed in time"),
            }
        }
    }

    fn lose(&self, why: &str) {
        warn!(term = self.term, why, "this coordinator no longer leads");
        self.ended.cancel();
    }

    async fn give_up(&mut self) {
        match timeout(PATIENCE, self.set_deadline(Duration::ZERO)).await {
            Ok(Ok(_)) => info!(term = self.term, "gave up the right to write"),
            Ok(Err(error)) => warn!(error = %crate::chain(&error), "could not give up the right to write"),
            Err(_) => warn!("could not give up the right to write in time"),
        }
    }

    /// False when the term is over.
    async fn set_deadline(&mut self, left: Duration) -> Result<bool, Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(dial(&self.options).await?),
        };
        let renew = sqlx::query(
            "UPDATE leader SET deadline = clock_timestamp() + $1 * interval '1 millisecond' WHERE id = 1 AND term = $2",
        );
        let done = renew.bind(left.as_millis() as f64).bind(signed(self.term)).execute(connection).await?;
        Ok(done.rows_affected() == 1)
    }
}
